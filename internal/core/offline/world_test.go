// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/segment"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/core/keystore/files"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// crew are the operators of the tests.
type crew struct {
	people []domaintest.Person
	skip   map[uint64]bool // permits that they don't want
	seen   []Review
	spoil  func(*pure.Confirmation, []pure.Signature) // between signing and handing over
	asked  int
	pause  func()
	err    error

	told   []Reanchoring // of re-anchorings
	agrees error         // what they answer
	losses []Loss        // of domains that were set back
}

func (c *crew) SetBack(_ context.Context, l Loss) error {
	c.losses = append(c.losses, l)
	return c.agrees
}

func (c *crew) Reanchored(_ context.Context, r Reanchoring) error {
	c.told = append(c.told, r)
	return c.agrees
}

func (c *crew) Review(_ context.Context, r Review) ([]uint64, error) {
	c.seen = append(c.seen, r)
	var out []uint64
	for _, it := range r.Items {
		if !c.skip[it.Entry] {
			out = append(out, it.Entry)
		}
	}
	return out, c.err
}

func (c *crew) Confirm(_ context.Context, x pure.Confirmation) ([]pure.Signature, error) {
	c.asked++
	if c.pause != nil {
		c.pause()
	}
	var out []pure.Signature
	for _, p := range c.people {
		out = append(out, pure.Signature{Person: p.ID, Key: p.Pub.Ref(), Sig: ed25519.Sign(p.Key, x.Message())})
	}
	if c.spoil != nil {
		c.spoil(&x, out)
	}
	return out, nil
}

// vault is an offline domain in a folder.
type vault struct {
	t       testing.TB
	dir     string
	clock   *domaintest.Clock
	faults  *domaintest.Faults
	arena   *secret.Arena // of the process that is open
	d       *Domain
	closers []func() error
}

// config opens what the domain stands on.
func (v *vault) config(create bool) (Config, error) {
	var c Config
	arena, err := secret.NewArena(secret.Config{Size: 2 << 20})
	if err != nil {
		return c, err
	}
	v.arena = arena
	v.closers = append(v.closers, arena.Close)
	pass, err := secret.Take(arena, []byte("a passphrase for tests"))
	if err != nil {
		return c, err
	}
	defer pass.Wipe()
	open := soft.Open
	if create {
		open = soft.Create
	}
	root, err := open(soft.Config{Arena: arena, Dir: filepath.Join(v.dir, "root"), Argon: soft.Argon{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}, pass)
	if err != nil {
		return c, err
	}
	v.closers = append(v.closers, func() error { root.Close(); return nil })
	c = Config{Arena: arena, Root: root, Clock: v.clock, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	dir := func(name string) disk.Dir {
		if err := os.MkdirAll(filepath.Join(v.dir, name), 0o700); err != nil {
			v.t.Fatal(err)
		}
		d, err := disk.OS(filepath.Join(v.dir, name), disk.Options{})
		if err != nil {
			v.t.Fatal(err)
		}
		return d
	}
	own, err := segment.Open(dir("log"), segment.Options{SegmentSize: 1 << 20})
	if err != nil {
		return c, err
	}
	v.closers = append(v.closers, own.Close)
	follow, err := segment.Open(dir("authority"), segment.Options{SegmentSize: 1 << 20})
	if err != nil {
		return c, err
	}
	v.closers = append(v.closers, follow.Close)
	anchor, err := file.Open(dir("anchor"))
	if err != nil {
		return c, err
	}
	v.closers = append(v.closers, anchor.Close)
	blobs, err := files.Open(filepath.Join(v.dir, "blobs"))
	if err != nil {
		return c, err
	}
	c.Store, c.Follow, c.Anchor, c.Blobs, c.List = own, follow, anchor, blobs, blobs.List
	if v.faults != nil {
		a := securedomain.Config{Store: own, Anchor: anchor, Blobs: blobs, Root: root}
		v.faults.Wrap(&a)
		b := securedomain.Config{Store: follow}
		v.faults.Wrap(&b)
		c.Store, c.Anchor, c.Blobs, c.Root, c.Follow = a.Store, a.Anchor, a.Blobs, a.Root, b.Store
	}
	return c, nil
}

// newVault makes an offline domain of an authority.
func newVault(t testing.TB, clock *domaintest.Clock, a custody.AuthorityID) *vault {
	t.Helper()
	v := &vault{t: t, dir: t.TempDir(), clock: clock}
	t.Cleanup(v.close)
	if err := v.create(a); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v *vault) create(a custody.AuthorityID) error {
	_, err := os.Stat(filepath.Join(v.dir, "root"))
	c, err := v.config(errors.Is(err, os.ErrNotExist))
	if err != nil {
		return err
	}
	v.d, err = Create(background, c, Preparation{Authority: a, Profile: custody.Evaluation, Name: "vault", RootKind: "soft", AnchorKind: "file"})
	return err
}

func (v *vault) open() error {
	c, err := v.config(false)
	if err == nil {
		v.d, err = Open(background, c)
	}
	if err != nil {
		v.close()
	}
	return err
}

// close ends the domain; afterwards nothing secret may be left in its arena.
func (v *vault) close() {
	v.t.Helper()
	if v.d != nil {
		_ = v.d.Close(background) // after a fault it says so
		v.d = nil
	}
	for i := len(v.closers) - 1; i >= 0; i-- {
		if err := v.closers[i](); err != nil && v.faults == nil {
			v.t.Errorf("close: %v", err)
		}
	}
	v.closers = nil
}

// reopen is the next run of the program.
func (v *vault) reopen() {
	v.t.Helper()
	v.close()
	if err := v.open(); err != nil {
		v.t.Fatal(err)
	}
}

// work gives a bundle in, in a run of its own.
func (v *vault) work(bundle []byte, by Operators) ([]byte, Report, error) {
	v.t.Helper()
	v.reopen()
	var out bytes.Buffer
	r, err := v.d.Work(background, bytes.NewReader(bundle), &out, by)
	return out.Bytes(), r, err
}

// house is both sides.
type house struct {
	*online
	v   *vault
	ops *crew
}

func newHouse(t testing.TB, options ...onlineOption) *house {
	t.Helper()
	clock := &domaintest.Clock{}
	clock.Wall.Store(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	clock.Since.Store(int64(time.Hour))
	o := newOnline(t, secrettest.Arena(t), clock, options...)
	h := &house{online: o, v: newVault(t, clock, o.s.Authority)}
	h.ops = &crew{people: []domaintest.Person{o.alice, o.bob}}
	g, err := h.v.d.Genesis(background)
	if err != nil {
		t.Fatal(err)
	}
	o.add(g, "vault")
	return h
}

// carry takes a bundle of all that is new there, and the answer back.
func (h *house) carry() (*result, Report) {
	h.t.Helper()
	h.wait(time.Second)
	h.v.reopen()
	p := h.parts(h.v.d, h.v.d.follow.size())
	answer, report, err := h.v.work(h.seal(p), h.ops)
	if err != nil {
		h.t.Fatal(err)
	}
	h.wait(time.Second)
	return h.take(answer, p.head), report
}

// cold makes a wallet and moves its seed into the vault.
func (h *house) cold(id custody.WalletID) {
	h.t.Helper()
	h.do("wallet_create", walletBody(id))
	h.moveOut(id, h.v.d.ID())
	if _, r := h.carry(); len(r.MovedIn) != 1 {
		h.t.Fatalf("%+v", r)
	}
}

// kindOf gives the kind of a body of the online side.
func kindOf(body any) entry.Kind { return kinds[fmt.Sprintf("%T", body)] }

var deriver = authority.Derive

// lose removes a folder of a closed vault.
func (v *vault) lose(name string) {
	v.t.Helper()
	if err := os.RemoveAll(filepath.Join(v.dir, name)); err != nil {
		v.t.Fatal(err)
	}
}

// damage changes a byte in the middle of what the largest file of a folder holds.
func (v *vault) damage(name string) {
	v.t.Helper()
	var largest string
	var size int64
	list, err := os.ReadDir(filepath.Join(v.dir, name))
	if err != nil {
		v.t.Fatal(err)
	}
	for _, e := range list {
		if i, err := e.Info(); err == nil && i.Mode().IsRegular() && i.Size() > size {
			largest, size = filepath.Join(v.dir, name, e.Name()), i.Size()
		}
	}
	b, err := os.ReadFile(largest)
	if err != nil {
		v.t.Fatal(err)
	}
	b[len(bytes.TrimRight(b, "\x00"))/2] ^= 1
	if err := os.WriteFile(largest, b, 0o600); err != nil {
		v.t.Fatal(err)
	}
}
