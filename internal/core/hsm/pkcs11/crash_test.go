// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/custody"
)

var errPower = errors.New("the power failed")

// lasting are the calls of a library after which something is different.
var lasting = []string{"GenerateKey", "GenerateKeyPair", "DestroyObject", "Encrypt", "Sign"}

// power is what a disk and a token run on. It fails at the n-th operation that lasts, of either, before or after its effect, and then nothing works any more.
type power struct {
	disk *durabletest.Disk

	mu    sync.Mutex // guards all below
	left  int        // operations until it fails; 0: it doesn't
	after bool
	down  bool
}

func (p *power) failAt(n int, after bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.after = n, after
}

func (p *power) step(f func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.down {
		return errPower
	}
	if p.left != 1 {
		p.left--
		return f()
	}
	p.down = true
	if p.after {
		_ = f() // nobody hears of it
	}
	return errPower
}

func (p *power) call(name string, f func() error) error {
	if slices.Contains(lasting, name) {
		return p.step(f)
	}
	p.mu.Lock()
	down := p.down
	p.mu.Unlock()
	if down {
		return errPower
	}
	return f()
}

// restart gives disk and token their power back.
func (p *power) restart(loss durabletest.Loss) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.down = 0, false
	p.disk.Restart(loss)
}

// powered is the disk on that power.
type powered struct {
	durable.Disk
	p *power
}

func (d powered) WriteNew(path string, b []byte) error {
	return d.p.step(func() error { return d.Disk.WriteNew(path, b) })
}
func (d powered) Zero(path string) error { return d.p.step(func() error { return d.Disk.Zero(path) }) }
func (d powered) Link(path, name string) error {
	return d.p.step(func() error { return d.Disk.Link(path, name) })
}
func (d powered) Rename(path, name string) error {
	return d.p.step(func() error { return d.Disk.Rename(path, name) })
}
func (d powered) Remove(path string) error {
	return d.p.step(func() error { return d.Disk.Remove(path) })
}
func (d powered) Mkdir(path string) error {
	return d.p.step(func() error { return d.Disk.Mkdir(path) })
}
func (d powered) SyncDir(dir string) error {
	return d.p.step(func() error { return d.Disk.SyncDir(dir) })
}

// act is something that changes a root, and what must hold however it was interrupted.
type act struct {
	name  string
	setup bool // the root exists before, with the label dwk-1, and the counter at 1
	do    func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, r *Root) error
	check func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, done bool) error
}

const crashKey custody.KeyID = "0000000000000000000000000000000a"

func acts() []act {
	unsealed := func(t *testing.T, r *Root, label string) (bool, error) {
		_, out, err := r.Unseal(t.Context(), label)
		if errors.Is(err, hsm.ErrNotFound) {
			return false, nil
		}
		defer out.Wipe()
		if err == nil && !out.Equal(take(t, r.lib, "the secret")) {
			err = errors.New("another secret was unsealed")
		}
		return true, err
	}
	return []act{
		{"create", false, func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, _ *Root) error {
			r, err := l.create(t.Context(), d, cfg)
			if err == nil {
				closeRoot(t, r)
			}
			return err
		}, func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, done bool) error {
			r, err := l.openRoot(t.Context(), d, cfg)
			if errors.Is(err, ErrNoRoot) && !done {
				r, err = l.create(t.Context(), d, cfg)
			}
			if err != nil {
				return err
			}
			defer closeRoot(t, r)
			n, err := r.ReadCounter(t.Context())
			if err == nil && n != 0 {
				err = fmt.Errorf("counter is %d", n)
			}
			return err
		}},
		{"seal", true, func(t *testing.T, l *Library, _ durable.Disk, _ RootConfig, r *Root) error {
			return r.Seal(t.Context(), "identity", []byte("header"), take(t, l, "the secret"))
		}, func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, done bool) error {
			r := mustOpen(t, l, d, cfg)
			there, err := unsealed(t, r, "identity")
			if err == nil && done && !there {
				return errors.New("acknowledged, but lost")
			}
			if err != nil {
				return err
			}
			// The caller tries again, and both ways it is there then.
			err = r.Seal(t.Context(), "identity", []byte("header"), take(t, l, "the secret"))
			if there != errors.Is(err, hsm.ErrExists) || !there && err != nil {
				return fmt.Errorf("sealed again, there=%v: %w", there, err)
			}
			if there, err = unsealed(t, r, "identity"); !there || err != nil {
				return fmt.Errorf("after another try it is there: %v; %w", there, err)
			}
			return nil
		}},
		{"destroy", true, func(t *testing.T, _ *Library, _ durable.Disk, _ RootConfig, r *Root) error {
			return r.Destroy(t.Context(), "dwk-1")
		}, func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, done bool) error {
			r := mustOpen(t, l, d, cfg)
			there, err := unsealed(t, r, "dwk-1")
			if err != nil || done && there {
				return fmt.Errorf("there=%v: %w", there, err)
			}
			if s, err := r.Status(t.Context()); err != nil || (len(s.Labels) > 0) != there {
				return fmt.Errorf("there=%v, but status lists %v: %w", there, s.Labels, err)
			}
			if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
				return err
			}
			return r.Seal(t.Context(), "dwk-1", nil, take(t, l, "the secret")) // the label is free
		}},
		{"increment", true, func(t *testing.T, _ *Library, _ durable.Disk, _ RootConfig, r *Root) error {
			_, err := r.IncrementCounter(t.Context())
			return err
		}, func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, done bool) error {
			r := mustOpen(t, l, d, cfg)
			n, err := r.ReadCounter(t.Context())
			if err != nil || n < 1 || n > 2 || done && n != 2 {
				return fmt.Errorf("counter is %d: %w", n, err)
			}
			next, err := r.IncrementCounter(t.Context())
			if err != nil || next != n+1 {
				return fmt.Errorf("after %d comes %d: %w", n, next, err)
			}
			return nil
		}},
		{"make a key", true, func(t *testing.T, _ *Library, _ durable.Disk, _ RootConfig, r *Root) error {
			_, err := r.GenerateTokenKey(t.Context(), crashKey, hsm.ECDSAP256)
			return err
		}, func(t *testing.T, l *Library, d durable.Disk, cfg RootConfig, done bool) error {
			r := mustOpen(t, l, d, cfg)
			_, public, err := r.TokenKey(t.Context(), crashKey)
			if errors.Is(err, hsm.ErrNotFound) && !done {
				public, err = r.GenerateTokenKey(t.Context(), crashKey, hsm.ECDSAP256)
			}
			if err != nil {
				return err
			}
			_, err = r.SignWithTokenKey(t.Context(), crashKey, hsm.ECDSAP256, public, make([]byte, 32))
			return err
		}},
	}
}

// TestCrash fails the power at each lasting operation of disk and token of each act, before and after its effect, restarts with each loss, and looks.
func TestCrash(t *testing.T) {
	t.Parallel()
	for _, a := range acts() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			b := softHSM(t)
			label := b.token(t)
			for n, ends := 1, false; !ends; n++ {
				for _, after := range []bool{false, true} {
					for _, loss := range durabletest.Losses() {
						t.Run(fmt.Sprintf("operation %d after=%v loses %s", n, after, loss), func(t *testing.T) {
							ends = crash(t, b, label, a, n, after, loss) || ends
						})
					}
				}
				if n > 200 {
					t.Fatal("it never ends")
				}
			}
		})
	}
}

// crash runs one act and says whether it came to its end.
func crash(t *testing.T, b *bed, label string, a act, n int, after bool, loss durabletest.Loss) bool {
	p := &power{disk: durabletest.New()}
	l := b.library(t, &interposer{b.mod, p.call})
	d := powered{p.disk, p}
	cfg := RootConfig{Dir: "/root", Token: label, PIN: take(t, l, rightPIN)}
	var r *Root
	if a.setup {
		r = mustCreate(t, l, d, cfg)
		if err := r.Seal(t.Context(), "dwk-1", nil, take(t, l, "the secret")); err != nil {
			t.Fatal(err)
		}
		if _, err := r.IncrementCounter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	p.failAt(n, after)
	err := a.do(t, l, d, cfg, r)
	if err != nil && !errors.Is(err, errPower) {
		t.Fatal(err)
	}
	p.restart(loss)
	b.endSessions(t, label) // those of a process that ended
	if r != nil {
		closeRoot(t, r)
	}
	if e := a.check(t, l, d, cfg, err == nil); e != nil {
		t.Error(e)
	}
	names, e := p.disk.List("/root")
	if s := fmt.Sprint(names); e != nil || strings.Contains(s, ".new-") || strings.Contains(s, ".erase-") || strings.Contains(s, creatingFile) {
		t.Errorf("left behind %v, %v", names, e)
	}
	b.endSessions(t, label)
	b.noOrphans(t, label)
	return err == nil
}

// noOrphans fails if the token holds a root's objects beyond those of a root at rest, and then removes all: the next run starts with an empty token.
func (b *bed) noOrphans(t *testing.T, label string) {
	t.Helper()
	l := b.library(t, nil)
	tok, err := l.login(label, take(t, l, rightPIN), false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tok.release(); err != nil {
			t.Error(err)
		}
	}()
	counts, err := with(t.Context(), tok, "look", func(m module, s p11.SessionHandle) (map[role]int, error) {
		out := map[role]int{}
		for _, r := range []role{roleSeal, roleMAC, roleCount, roleWrap, roleKey, rolePublic} {
			class := uint(p11.CKO_SECRET_KEY)
			switch r {
			case roleKey:
				class = p11.CKO_PRIVATE_KEY
			case rolePublic:
				class = p11.CKO_PUBLIC_KEY
			}
			found, err := search(m, s, class, r, nil)
			if err != nil {
				return nil, err
			}
			out[r] = len(found)
			for _, o := range found {
				if err := m.DestroyObject(s, o.handle); err != nil {
					return nil, err
				}
			}
		}
		return out, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if counts[roleSeal] != counts[roleMAC] || counts[roleSeal] > 2 || counts[roleCount] != 1 || counts[roleWrap] != 1 || counts[roleKey] != counts[rolePublic] {
		t.Errorf("the token holds %v", counts)
	}
}
