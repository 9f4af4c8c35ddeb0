// SPDX-License-Identifier: Apache-2.0

package tpm2_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/durable/durabletest"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/hsm/tpm2/tpmtest"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// TestNothingSecretOnTheBus listens to everything.
func TestNothingSecretOnTheBus(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	f := x.Faulty()
	sessions := 0
	f.Change(func(_ int, command, response []byte) []byte {
		if tpm.TPMCC(binary.BigEndian.Uint32(command[6:])) == tpm.TPMCCStartAuthSession {
			sessions++
			// Without a salt, who listens derives the session's key from what else went over the bus.
			if key := tpm.TPMHandle(binary.BigEndian.Uint32(command[10:])); key == tpm.TPMRHNull {
				t.Error("a session without a salt")
			}
		}
		return response
	})
	cfg := weak(a, filepath.Join(t.TempDir(), "root"), f.Device(t))
	r := mustCreate(t, cfg)
	seal(t, r, a, "identity", "the identity, which is long enough not to appear by chance")
	r = mustOpen(t, cfg)
	if _, err := unseal(t, r, "identity"); err != nil {
		t.Fatal(err)
	}
	part, err := r.Part(t.Context(), "identity")
	if err != nil {
		t.Fatal(err)
	}
	defer part.Wipe()
	drawn := make([]byte, 32)
	if err := r.Random(t.Context(), drawn); err != nil {
		t.Fatal(err)
	}
	if _, err := r.IncrementCounter(t.Context()); err != nil {
		t.Fatal(err)
	}
	heard := f.Heard()
	if len(heard) < 10_000 || sessions < 10 {
		t.Fatalf("heard %d bytes and %d sessions only", len(heard), sessions)
	}
	for i, s := range append(r.Secrets(), part, take(t, a, right), take(t, a, "the identity"), take(t, a, string(drawn))) {
		if s.Len() < 8 {
			t.Errorf("secret %d has %d bytes", i, s.Len())
		}
		if err := s.Use(func(b []byte) error {
			if bytes.Contains(heard, b) {
				t.Errorf("secret %d was on the bus", i)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
}

// TestForgedAnswers changes one byte of each response in turn: what comes out is right or an error.
func TestForgedAnswers(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	cfg := weak(a, filepath.Join(t.TempDir(), "root"), x.Open(t))
	seal(t, mustCreate(t, cfg), a, "identity", "the identity")
	if _, err := mustOpen(t, cfg).IncrementCounter(t.Context()); err != nil {
		t.Fatal(err)
	}
	forged, refused := 0, 0
	for n := 1; ; n++ {
		most := 0
		for at := 0; at == 0 || at < most; at += 1 + most/12 {
			f := x.Faulty()
			f.Change(func(i int, _, response []byte) []byte {
				if i == n {
					most = len(response)
					if at < most {
						response[at] ^= 0x41
					}
				}
				return response
			})
			cfg.Device = f.Device(t)
			err := use(t, cfg)
			if most > 0 {
				forged++
			}
			if err != nil {
				refused++
				x.Restart(t) // sessions are left behind, as no resource manager cleans up here
			}
		}
		if most == 0 {
			break
		}
	}
	if forged < 150 || refused < forged/2 {
		t.Errorf("%d responses forged, %d refused", forged, refused)
	}
}

// use opens the root and uses it, and fails the test where it gives what is wrong.
func use(t *testing.T, cfg tpm2.Config) error {
	t.Helper()
	r, err := tpm2.Open(t.Context(), cfg, take(t, cfg.Arena, right))
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := unseal(t, r, "identity")
	if err != nil {
		return err
	}
	if got != "the identity" {
		t.Fatalf("unsealed %q", got)
	}
	n, err := r.ReadCounter(t.Context())
	if err != nil {
		return err
	}
	if n != 1 {
		t.Fatalf("counter is %d", n)
	}
	return nil
}

// TestEveryByte changes each byte of each file of a root.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	disk := durabletest.New()
	cfg := weak(a, "/root", x.Open(t))
	pin := take(t, a, right)
	r, err := tpm2.CreateOn(t.Context(), disk, cfg, pin)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seal(t, r, a, "identity", "the identity")
	opened := func() error {
		r, err := tpm2.OpenOn(t.Context(), disk, cfg, pin)
		if err == nil {
			r.Close()
		}
		return err
	}
	for name, try := range map[string]func() error{
		"root.tpm": opened, "counter.tpm": opened, "identity.sealed": func() error { _, err := unseal(t, r, "identity"); return err },
	} {
		b, err := disk.Read("/root/"+name, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			disk.Flip("/root/"+name, i*8+i%8)
			if err := try(); !errors.Is(err, hsm.ErrAltered) {
				t.Fatalf("%s, byte %d: got error %v", name, i, err)
			}
			disk.Flip("/root/"+name, i*8+i%8)
		}
		if err := try(); err != nil {
			t.Fatalf("%s restored: %v", name, err)
		}
		if err := disk.Rename("/root/"+name, "/saved"); err != nil {
			t.Fatal(err)
		}
		if err := try(); !errors.Is(err, hsm.ErrAltered) && !errors.Is(err, tpm2.ErrNoRoot) && !errors.Is(err, hsm.ErrNotFound) {
			t.Errorf("%s removed: got error %v", name, err)
		}
		if err := disk.Rename("/saved", "/root/"+name); err != nil {
			t.Fatal(err)
		}
	}
	// No wrong PIN was counted for any of it.
	c, err := tpm.GetCapability{Capability: tpm.TPMCapTPMProperties, Property: uint32(tpm.TPMPTLockoutCounter), PropertyCount: 1}.Execute(x)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := c.CapabilityData.Data.TPMProperties(); err != nil || list.TPMProperty[0].Value != 0 {
		t.Errorf("wrong PINs: %v, %v", list, err)
	}
}

// TestExchange puts files in each other's place, and those of another root on the same TPM.
func TestExchange(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	disk := durabletest.New()
	pin := take(t, a, right)
	var roots []*tpm2.Root
	for _, dir := range []string{"/one", "/two"} {
		r, err := tpm2.CreateOn(t.Context(), disk, weak(a, dir, x.Open(t)), pin)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		seal(t, r, a, "dwk-1", "a working key")
		seal(t, r, a, "dwk-2", "another")
		roots = append(roots, r)
	}
	for _, from := range []string{"/one/dwk-2.sealed", "/two/dwk-1.sealed"} {
		if err := disk.Rename(from, "/one/dwk-1.sealed"); err != nil {
			t.Fatal(err)
		}
		_, err := unseal(t, roots[0], "dwk-1")
		wantErr(t, from, err, hsm.ErrAltered)
	}
	for _, name := range []string{"counter.tpm", "root.tpm"} {
		if err := disk.Rename("/two/"+name, "/one/"+name); err != nil {
			t.Fatal(err)
		}
		r, err := tpm2.OpenOn(t.Context(), disk, weak(a, "/one", x.Open(t)), pin)
		if err == nil {
			defer r.Close()
		}
		if name == "counter.tpm" {
			wantErr(t, name, err, hsm.ErrAltered)
		} else if err != nil { // with both of the other's files it is the other root, whose labels are not these
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCounterIsNeverSetBack: nobody who may do with the TPM what its owner may brings a lower number back.
func TestCounterIsNeverSetBack(t *testing.T) {
	t.Parallel()
	x, cfg, r := newRoot(t)
	for range 5 {
		if _, err := r.IncrementCounter(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.IncrementCounter(t.Context()); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	old := cfg
	old.Dir = saved
	if n, err := mustOpen(t, old).ReadCounter(t.Context()); n != 6 || err != nil {
		t.Errorf("with the files of an earlier day: %d, %v", n, err)
	}
	index := x.Indexes(t)[0]
	x.Undefine(t, index)
	_, err := r.ReadCounter(t.Context())
	wantErr(t, "removed", err, hsm.ErrAltered)
	p := tpm.TPMSNVPublic{NVIndex: index, NameAlg: tpm.TPMAlgSHA256, DataSize: 8, Attributes: tpm.TPMANV{AuthRead: true, AuthWrite: true, NoDA: true, NT: tpm.TPMNTCounter}}
	if _, err := (tpm.NVDefineSpace{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: tpm.PasswordAuth(nil)}, PublicInfo: tpm.New2B(p)}).Execute(x); err != nil {
		t.Fatal(err)
	}
	name, err := tpm.NVName(&p)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm.NVIncrement{AuthHandle: tpm.AuthHandle{Handle: index, Name: *name, Auth: tpm.PasswordAuth(nil)}, NVIndex: tpm.NamedHandle{Handle: index, Name: *name}}.Execute(x)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = r.ReadCounter(t.Context())
		wantErr(t, "made anew by somebody else", err, hsm.ErrAltered)
		_, err = r.IncrementCounter(t.Context())
		wantErr(t, "made anew by somebody else", err, hsm.ErrAltered)
	}
}

// TestANewCounterBeginsAboveAll is what the counter rests on (TPM 2.0 part 3, TPM2_NV_Increment), even for who knows its key.
func TestANewCounterBeginsAboveAll(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	key := take(t, a, strings.Repeat("k", 32))
	last := uint64(0)
	for round := range 4 {
		d := x.Open(t)
		id, err := tpm2.DefineCounter(t.Context(), d, a, key, "counter")
		if err != nil {
			t.Fatal(err)
		}
		if id.First <= last {
			t.Fatalf("a new counter begins at %d; one before it was at %d", id.First, last)
		}
		c, err := tpm2.OpenCounter(d, a, id, key, "counter")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			if last, err = c.Increment(t.Context()); err != nil || last != id.First+uint64(i)+1 {
				t.Fatalf("round %d: %d, %v", round, last, err)
			}
		}
		c.Close()
		if round%2 == 1 {
			if err := tpm2.RemoveCounter(t.Context(), d, a, key, "counter"); err != nil {
				t.Fatal(err)
			}
			x.Restart(t)
		}
	}
	for _, id := range []tpm2.CounterID{{}, {Primary: make([]byte, 34), Index: 0x01800000}, {Primary: make([]byte, 34), Index: 0x01c00000, First: 1}, {Primary: make([]byte, 34), Index: 0x01800001, First: 1}} {
		_, err := tpm2.OpenCounter(x.Open(t), a, id, key, "counter")
		wantErr(t, fmt.Sprint(id), err, tpm2.ErrIndex)
	}
}

// act is something that must survive a stop anywhere.
type act struct {
	name  string
	setup bool // the root exists before
	do    func(t *testing.T, disk durable.Disk, cfg tpm2.Config, r *tpm2.Root) error
	check func(t *testing.T, disk durable.Disk, cfg tpm2.Config, done bool) error
}

func acts(a *secret.Arena, plain secret.Bytes, pin secret.Bytes) []act {
	sealed := func(t *testing.T, r *tpm2.Root, label string) (bool, error) {
		_, out, err := r.Unseal(t.Context(), label)
		defer out.Wipe()
		switch {
		case errors.Is(err, hsm.ErrNotFound):
			return false, nil
		case err == nil && !out.Equal(plain):
			err = errors.New("another secret was unsealed")
		}
		return err == nil, err
	}
	with := func(t *testing.T, disk durable.Disk, cfg tpm2.Config, f func(r *tpm2.Root) error) error {
		r, err := tpm2.OpenOn(t.Context(), disk, cfg, pin)
		if err != nil {
			return err
		}
		defer r.Close()
		return f(r)
	}
	return []act{
		{"create", false, func(t *testing.T, disk durable.Disk, cfg tpm2.Config, _ *tpm2.Root) error {
			r, err := tpm2.CreateOn(t.Context(), disk, cfg, pin)
			if err == nil {
				r.Close()
			}
			return err
		}, func(t *testing.T, disk durable.Disk, cfg tpm2.Config, done bool) error {
			if !done {
				r, err := tpm2.CreateOn(t.Context(), disk, cfg, pin)
				if err == nil {
					r.Close()
				} else if !errors.Is(err, tpm2.ErrRootExists) {
					return err
				}
			}
			return with(t, disk, cfg, func(r *tpm2.Root) error {
				n, err := r.ReadCounter(t.Context())
				if n != 0 {
					err = fmt.Errorf("counter is %d", n)
				}
				return err
			})
		}},
		{"seal", true, func(t *testing.T, _ durable.Disk, _ tpm2.Config, r *tpm2.Root) error {
			return r.Seal(t.Context(), "identity", nil, plain)
		},
			func(t *testing.T, disk durable.Disk, cfg tpm2.Config, done bool) error {
				return with(t, disk, cfg, func(r *tpm2.Root) error {
					there, err := sealed(t, r, "identity")
					if err != nil || done && !there {
						return fmt.Errorf("acknowledged: %v, there: %v, %w", done, there, err)
					}
					if !there {
						err = r.Seal(t.Context(), "identity", nil, plain)
					}
					return err
				})
			}},
		{"destroy", true, func(t *testing.T, _ durable.Disk, _ tpm2.Config, r *tpm2.Root) error {
			return r.Destroy(t.Context(), "dwk-1")
		},
			func(t *testing.T, disk durable.Disk, cfg tpm2.Config, done bool) error {
				return with(t, disk, cfg, func(r *tpm2.Root) error {
					there, err := sealed(t, r, "dwk-1")
					if err != nil || done && there {
						return fmt.Errorf("acknowledged: %v, there: %v, %w", done, there, err)
					}
					if !there { // free, whatever was left
						return r.Seal(t.Context(), "dwk-1", nil, plain)
					}
					return r.Destroy(t.Context(), "dwk-1")
				})
			}},
		{"increment", true, func(t *testing.T, _ durable.Disk, _ tpm2.Config, r *tpm2.Root) error {
			_, err := r.IncrementCounter(t.Context())
			return err
		}, func(t *testing.T, disk durable.Disk, cfg tpm2.Config, done bool) error {
			return with(t, disk, cfg, func(r *tpm2.Root) error {
				n, err := r.ReadCounter(t.Context())
				if err == nil && (n > 1 || done && n != 1) {
					err = fmt.Errorf("counter is %d", n)
				}
				return err
			})
		}},
	}
}

// begin makes what an act starts from.
func begin(t *testing.T, c act, cfg tpm2.Config, plain, pin secret.Bytes) (*durabletest.Disk, *tpm2.Root) {
	t.Helper()
	disk := durabletest.New()
	if !c.setup {
		return disk, nil
	}
	r, err := tpm2.CreateOn(t.Context(), disk, cfg, pin)
	if err == nil {
		err = r.Seal(t.Context(), "dwk-1", nil, plain)
	}
	if err != nil {
		t.Fatal(err)
	}
	return disk, r
}

// TestCrash stops the disk at each operation of each act, before and after its effect, restarts with each loss, and looks.
func TestCrash(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	plain, pin := take(t, a, "the secret"), take(t, a, right)
	for _, c := range acts(a, plain, pin) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := tpmtest.Start(t)
			for n, ends := 1, false; !ends; n++ {
				for _, after := range []bool{false, true} {
					for _, loss := range durabletest.Losses() {
						cfg := weak(a, "/root", x.Open(t))
						disk, r := begin(t, c, cfg, plain, pin)
						disk.StopAt(n, after)
						err := c.do(t, disk, cfg, r)
						ends = ends || err == nil
						if err != nil && !errors.Is(err, durabletest.ErrStopped) {
							t.Fatal(err)
						}
						if r != nil {
							r.Close()
						}
						disk.Restart(loss)
						if err := c.check(t, disk, cfg, err == nil); err != nil {
							t.Errorf("operation %d after=%v loses %s: %v", n, after, loss, err)
						}
						for _, index := range x.Indexes(t) { // the next round is another root
							x.Undefine(t, index)
						}
					}
				}
			}
		})
	}
}

// TestLostTPM loses the TPM at each command of each act, before and after its effect; then the machine is restarted.
func TestLostTPM(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	plain, pin := take(t, a, "the secret"), take(t, a, right)
	for _, c := range acts(a, plain, pin) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := tpmtest.Start(t)
			for n, ends := 1, false; !ends; n++ {
				for _, after := range []bool{false, true} {
					f := x.Faulty()
					cfg := weak(a, "/root", f.Device(t))
					disk, r := begin(t, c, cfg, plain, pin)
					f.FailAt(n, after)
					err := c.do(t, disk, cfg, r)
					if ends = ends || !f.Struck(); f.Struck() && !errors.Is(err, tpm2.ErrGone) {
						t.Fatalf("command %d after=%v: got error %v", n, after, err)
					}
					if r != nil {
						r.Close()
					}
					x.Restart(t)
					cfg.Device = x.Open(t)
					if err := c.check(t, disk, cfg, err == nil); err != nil {
						t.Errorf("command %d after=%v: %v", n, after, err)
					}
					if names, err := disk.List("/root"); err != nil || strings.Contains(fmt.Sprint(names), ".new-") {
						t.Errorf("command %d after=%v: left %v, %v", n, after, names, err)
					}
					for _, index := range x.Indexes(t) {
						x.Undefine(t, index)
					}
				}
			}
		})
	}
}

// TestFrozenDerivations compares with docs/spec/blob.md.
func TestFrozenDerivations(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	seven, eight, nine := take(t, a, strings.Repeat("\x07", 32)), take(t, a, strings.Repeat("\x08", 32)), take(t, a, strings.Repeat("\x09", 32))
	key, err := tpm2.Join(a, "dwk-1", seven, eight, nine)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	auth, err := tpm2.Auth(a, seven, "counter.tpm")
	if err != nil {
		t.Fatal(err)
	}
	defer auth.Wipe()
	index, err := tpm2.IndexOf(seven, "dwk-1")
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintf("%#x", uint32(index))
	for _, s := range []secret.Bytes{key, auth} {
		if err := s.Use(func(b []byte) error { got += " " + hex.EncodeToString(b); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	const want = "0x187aa9f ce43c12818ab1ac21eee2daef6bb4ddd8af42eb25e4a87e5c6e2386488df2ab9 " +
		"64734736787246747452704b77304a3635464653474b7373456d357a4a5a4a41"
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// FuzzResponses changes responses of a TPM: opening the root and using it gives what is right or an error, never a panic.
func FuzzResponses(f *testing.F) {
	x := tpmtest.Start(f)
	a := secrettest.Arena(f)
	cfg := weak(a, filepath.Join(f.TempDir(), "root"), x.Open(f))
	r, err := tpm2.Create(f.Context(), cfg, take(f, a, right))
	if err != nil {
		f.Fatal(err)
	}
	seal(f, r, a, "identity", "the identity")
	if _, err := r.IncrementCounter(f.Context()); err != nil {
		f.Fatal(err)
	}
	r.Close()
	for n := range 40 {
		f.Add(n+1, 10+n%20, byte(n), false)
	}
	f.Fuzz(func(t *testing.T, n, at int, b byte, cut bool) {
		faulty := x.Faulty()
		faulty.Change(func(i int, _, response []byte) []byte {
			if i == n && at >= 0 && at < len(response) {
				if response[at] ^= b; cut {
					response = response[:at]
					if at >= 10 { // as long as it says
						response[4], response[5] = byte(at>>8), byte(at)
					}
				}
			}
			return response
		})
		cfg := cfg
		cfg.Device = faulty.Device(t)
		if use(t, cfg) != nil {
			x.Restart(t)
		}
	})
}
