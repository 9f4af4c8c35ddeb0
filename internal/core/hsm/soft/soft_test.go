// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/hsmtest"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const (
	right  = "correct horse battery staple"
	second = "another passphrase that is long"
)

func take(t testing.TB, a *secret.Arena, s string) secret.Bytes {
	t.Helper()
	b, err := secret.Take(a, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Wipe)
	return b
}

// weak is a configuration that costs little.
func weak(a *secret.Arena, dir string) Config {
	return Config{Arena: a, Dir: dir, Argon: Argon{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}
}

func mustCreate(t testing.TB, disk durable.Disk, cfg Config, p secret.Bytes) *Root {
	t.Helper()
	r, err := create(disk, cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func mustOpen(t testing.TB, disk durable.Disk, cfg Config, p secret.Bytes) *Root {
	t.Helper()
	r, err := open(disk, cfg, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func TestConformance(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	hsmtest.Run(t, hsmtest.Harness{Arena: a, Start: func(t *testing.T) func(*testing.T) hsm.Root {
		cfg := weak(a, filepath.Join(t.TempDir(), "root"))
		mustCreate(t, durable.OS(), cfg, take(t, a, right)).Close()
		return func(t *testing.T) hsm.Root { return mustOpen(t, durable.OS(), cfg, take(t, a, right)) }
	}})
}

// TestDefaults creates and opens a root at the cost that users pay.
func TestDefaults(t *testing.T) {
	a := secrettest.Arena(t)
	cfg := Config{Arena: a, Dir: filepath.Join(t.TempDir(), "root")}
	r, err := Create(cfg, take(t, a, right))
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	r, err = Open(cfg, take(t, a, right))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sealed, err := os.ReadFile(filepath.Join(cfg.Dir, rootFile))
	if err != nil {
		t.Fatal(err)
	}
	b, err := seal.Header(sealed)
	if err != nil {
		t.Fatal(err)
	}
	var h rootHeader
	if err := canon.Decode(b, &h); err != nil || h.Argon != (Argon{Time: 3, Memory: 256 << 10, Lanes: 4}) {
		t.Errorf("got %+v and error %v", h, err)
	}
	if _, err := Create(cfg, take(t, a, right)); !errors.Is(err, ErrRootExists) {
		t.Errorf("created twice: got error %v", err)
	}
	for name, mode := range map[string]fs.FileMode{"": 0o700, rootFile: 0o600, counterFile: 0o600} {
		if info, err := os.Stat(filepath.Join(cfg.Dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%q: got mode %v and error %v, want %v", name, info.Mode(), err, mode)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	disk := durabletest.New()
	good := take(t, a, right)
	if _, err := open(disk, weak(a, "/root"), good); !errors.Is(err, ErrNoRoot) {
		t.Errorf("nothing there: got error %v", err)
	}
	for _, p := range []string{"short", strings.Repeat("x", 1025), "a passphrase with a\ttab", "a passphrase with an end\n", "not UTF-8 at all \xff"} {
		if _, err := create(disk, weak(a, "/root"), take(t, a, p)); !errors.Is(err, passphrase.ErrRules) {
			t.Errorf("passphrase %q: got error %v", p, err)
		}
	}
	mustCreate(t, disk, weak(a, "/root"), good)
	for _, p := range []string{"wrong", right + "\n", strings.ToUpper(right), right[1:]} {
		if _, err := open(disk, weak(a, "/root"), take(t, a, p)); !errors.Is(err, ErrWrongPassphrase) {
			t.Errorf("passphrase %q: got error %v", p, err)
		}
	}
	strict := weak(a, "/root")
	strict.Argon, strict.WeakUnsafe = Argon{}, false
	if _, err := open(disk, strict, good); !errors.Is(err, ErrArgon) {
		t.Errorf("weak file, strict reader: got error %v", err)
	}
	for _, cfg := range []Config{{}, {Arena: a}, {Dir: "/root"}} {
		if _, err := open(disk, cfg, good); err == nil {
			t.Errorf("opened with %+v", cfg)
		}
		if _, err := create(disk, cfg, good); err == nil {
			t.Errorf("created with %+v", cfg)
		}
	}
}

// TestEveryBit changes each bit of each file of a root.
func TestEveryBit(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	disk := durabletest.New()
	cfg := weak(a, "/root")
	p := take(t, a, right)
	r := mustCreate(t, disk, cfg, p)
	if err := r.Seal(t.Context(), "identity", []byte("header"), take(t, a, "the identity")); err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct {
		name string
		use  func() error
		want error
	}{
		{rootFile, func() error { _, err := open(disk, cfg, p); return err }, ErrWrongPassphrase},
		{counterFile, func() error { _, err := r.ReadCounter(t.Context()); return err }, hsm.ErrAltered},
		{"identity.sealed", func() error {
			_, plain, err := r.Unseal(t.Context(), "identity")
			plain.Wipe()
			return err
		}, hsm.ErrAltered},
	} {
		path := "/root/" + f.name
		b, err := disk.Read(path, seal.MaxEnvelope)
		if err != nil {
			t.Fatal(err)
		}
		for bit := range len(b) * 8 {
			disk.Flip(path, bit)
			// A change of the cost of argon2id is an error of its own where it leaves the bounds.
			if err := f.use(); !errors.Is(err, f.want) && !errors.Is(err, ErrArgon) {
				t.Fatalf("%s, bit %d of byte %d: got error %v", f.name, bit%8, bit/8, err)
			}
			disk.Flip(path, bit)
		}
		if f.name != rootFile {
			if err := f.use(); err != nil {
				t.Fatalf("%s restored: %v", f.name, err)
			}
		}
	}
}

// TestExchange puts files in each other's place, and those of another root.
func TestExchange(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	disk := durabletest.New()
	p := take(t, a, right)
	one, two := mustCreate(t, disk, weak(a, "/one"), p), mustCreate(t, disk, weak(a, "/two"), p)
	for _, r := range []*Root{one, two} {
		for _, label := range []string{"dwk-1", "dwk-2"} {
			if err := r.Seal(t.Context(), label, nil, take(t, a, "a working key")); err != nil {
				t.Fatal(err)
			}
		}
	}
	counterOf := func(name string) func() error {
		return func() error {
			if err := disk.Rename("/one/"+name, "/one/"+counterFile); err != nil {
				t.Fatal(err)
			}
			_, err := one.ReadCounter(t.Context())
			return err
		}
	}
	unseal := func(from, label string) func() error {
		return func() error {
			if err := disk.Rename(from, "/one/"+label+ending); err != nil {
				t.Fatal(err)
			}
			_, _, err := one.Unseal(t.Context(), label)
			return err
		}
	}
	for i, f := range []func() error{
		unseal("/one/dwk-2.sealed", "dwk-1"),
		unseal("/two/dwk-1.sealed", "dwk-1"),
		counterOf("dwk-1.sealed"),
		unseal("/one/counter.soft", "dwk-1"),
		func() error { _, err := one.ReadCounter(t.Context()); return err }, // now missing
		func() error { _, err := one.IncrementCounter(t.Context()); return err },
	} {
		if err := f(); !errors.Is(err, hsm.ErrAltered) {
			t.Errorf("exchange %d: got error %v", i, err)
		}
	}
	// The root file of another root with the same passphrase opens, to another master key.
	if err := disk.Rename("/two/"+rootFile, "/one/"+rootFile); err != nil {
		t.Fatal(err)
	}
	if err := one.ChangePassphrase(p, take(t, a, second)); !errors.Is(err, hsm.ErrAltered) {
		t.Errorf("change the passphrase of another root: got error %v", err)
	}
}

func TestChangePassphrase(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	disk := durabletest.New()
	cfg := weak(a, "/root")
	old, next := take(t, a, right), take(t, a, second)
	r := mustCreate(t, disk, cfg, old)
	if err := r.Seal(t.Context(), "identity", nil, take(t, a, "the identity")); err != nil {
		t.Fatal(err)
	}
	if err := r.ChangePassphrase(next, next); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("wrong old passphrase: got error %v", err)
	}
	if err := r.ChangePassphrase(old, take(t, a, "short")); !errors.Is(err, passphrase.ErrRules) {
		t.Errorf("short new passphrase: got error %v", err)
	}
	if err := r.ChangePassphrase(old, next); err != nil {
		t.Fatal(err)
	}
	if _, err := open(disk, cfg, old); !errors.Is(err, ErrWrongPassphrase) {
		t.Errorf("old passphrase: got error %v", err)
	}
	for _, r := range []*Root{r, mustOpen(t, disk, cfg, next)} {
		_, plain, err := r.Unseal(t.Context(), "identity")
		if err != nil {
			t.Fatal(err)
		}
		plain.Wipe()
	}
	r.Close()
	if err := r.ChangePassphrase(next, old); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("closed: got error %v", err)
	}
	if _, _, err := r.Unseal(t.Context(), "identity"); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("closed: got error %v", err)
	}
	if _, err := r.Status(t.Context()); !errors.Is(err, hsm.ErrClosed) {
		t.Errorf("closed: got error %v", err)
	}
}

// TestCrash stops the disk at each operation of each act, before and after its effect, restarts with each loss, and looks.
func TestCrash(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	old, next, plain := take(t, a, right), take(t, a, second), take(t, a, "the identity")
	cfg := weak(a, "/root")
	const dir = "/root"
	unsealed := func(r *Root) (bool, error) {
		_, out, err := r.Unseal(t.Context(), "identity")
		if errors.Is(err, hsm.ErrNotFound) {
			return false, nil
		}
		same := out.Equal(plain)
		out.Wipe()
		if err == nil && !same {
			err = errors.New("another secret was unsealed")
		}
		return true, err
	}
	for _, tt := range []struct {
		name  string
		setup bool // the root exists before
		act   func(t *testing.T, r *Root, disk durable.Disk) error
		check func(t *testing.T, disk durable.Disk, done bool) error
	}{
		{"create", false, func(_ *testing.T, _ *Root, disk durable.Disk) error {
			r, err := create(disk, cfg, old)
			if err == nil {
				r.Close()
			}
			return err
		}, func(t *testing.T, disk durable.Disk, done bool) error {
			r, err := open(disk, cfg, old)
			if errors.Is(err, ErrNoRoot) && !done {
				r, err = create(disk, cfg, old)
			}
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = r.ReadCounter(t.Context())
			return err
		}},
		{"change passphrase", true, func(_ *testing.T, r *Root, _ durable.Disk) error { return r.ChangePassphrase(old, next) },
			func(_ *testing.T, disk durable.Disk, done bool) error {
				r, err := open(disk, cfg, next)
				if errors.Is(err, ErrWrongPassphrase) && !done {
					r, err = open(disk, cfg, old)
				}
				if err == nil {
					r.Close()
				}
				return err
			}},
		{"seal", true, func(t *testing.T, r *Root, _ durable.Disk) error { return r.Seal(t.Context(), "identity", nil, plain) },
			func(t *testing.T, disk durable.Disk, done bool) error {
				there, err := unsealed(mustOpen(t, disk, cfg, old))
				if err == nil && done && !there {
					err = errors.New("acknowledged, but lost")
				}
				return err
			}},
		{"destroy", true, func(t *testing.T, r *Root, disk durable.Disk) error { return r.Destroy(t.Context(), "dwk-1") },
			func(t *testing.T, disk durable.Disk, done bool) error {
				_, out, err := mustOpen(t, disk, cfg, old).Unseal(t.Context(), "dwk-1")
				out.Wipe()
				switch {
				case errors.Is(err, hsm.ErrNotFound):
					return nil
				case done:
					return fmt.Errorf("acknowledged, but there: %w", err)
				default:
					return err
				}
			}},
		{"increment", true, func(t *testing.T, r *Root, _ durable.Disk) error {
			_, err := r.IncrementCounter(t.Context())
			return err
		},
			func(t *testing.T, disk durable.Disk, done bool) error {
				n, err := mustOpen(t, disk, cfg, old).ReadCounter(t.Context())
				if err == nil && (n > 1 || done && n != 1) {
					err = fmt.Errorf("counter is %d", n)
				}
				return err
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for n, ends := 1, false; !ends; n++ {
				for _, after := range []bool{false, true} {
					for _, loss := range durabletest.Losses() {
						disk := durabletest.New()
						var r *Root
						if tt.setup {
							r = mustCreate(t, disk, cfg, old)
							if err := r.Seal(t.Context(), "dwk-1", nil, plain); err != nil {
								t.Fatal(err)
							}
						}
						disk.StopAt(n, after)
						err := tt.act(t, r, disk)
						ends = ends || err == nil
						if err != nil && !errors.Is(err, durabletest.ErrStopped) {
							t.Fatal(err)
						}
						disk.Restart(loss)
						if err := tt.check(t, disk, err == nil); err != nil {
							t.Errorf("operation %d after=%v loses %s: %v", n, after, loss, err)
						}
						names, err := disk.List(dir)
						if err == nil && strings.Contains(fmt.Sprint(names), ".new-") || err == nil && strings.Contains(fmt.Sprint(names), ".erase-") {
							t.Errorf("operation %d after=%v loses %s: left behind %v", n, after, loss, names)
						}
					}
				}
			}
		})
	}
}

// FuzzRootFile: a file that opens has one encoding and a cost within the bounds.
func FuzzRootFile(f *testing.F) {
	a := secrettest.Arena(f)
	p := take(f, a, right)
	cfg := weak(a, "/root")
	disk := durabletest.New()
	mustCreate(f, disk, cfg, p)
	written, err := disk.Read("/root/"+rootFile, seal.MaxEnvelope)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(written)
	f.Fuzz(func(t *testing.T, b []byte) {
		var h rootHeader
		header, headerErr := seal.Header(b)
		if headerErr == nil && canon.Decode(header, &h) == nil && h.Argon.Memory > 1<<12 {
			t.Skip("slow")
		}
		disk := durabletest.New()
		if err := errors.Join(disk.Mkdir("/root"), disk.WriteNew("/root/"+rootFile, b)); err != nil {
			t.Fatal(err)
		}
		r, err := open(disk, cfg, p)
		if err != nil {
			return
		}
		r.Close()
		if headerErr != nil || !bytes.Equal(canon.Encode(h), header) || h.Argon.Check(true) != nil {
			t.Fatalf("opened %x", b)
		}
	})
}
