// SPDX-License-Identifier: Apache-2.0

package tpm2_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/hsm/tpm2"
	"strongroom/internal/core/hsm/tpm2/tpmtest"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func seal(t testing.TB, r *tpm2.Root, a *secret.Arena, label, plain string) {
	t.Helper()
	if err := r.Seal(t.Context(), label, []byte("header"), take(t, a, plain)); err != nil {
		t.Fatal(err)
	}
}

// unseal gives what is sealed as a string.
func unseal(t testing.TB, r *tpm2.Root, label string) (out string, err error) {
	t.Helper()
	_, plain, err := r.Unseal(t.Context(), label)
	if err == nil {
		err = plain.Use(func(b []byte) error { out = string(b); return nil })
		plain.Wipe()
	}
	return out, err
}

func newRoot(t *testing.T) (*tpmtest.TPM, tpm2.Config, *tpm2.Root) {
	t.Helper()
	x := tpmtest.Start(t)
	cfg := weak(secrettest.Arena(t), filepath.Join(t.TempDir(), "root"), x.Open(t))
	return x, cfg, mustCreate(t, cfg)
}

// TestWrongPIN enters wrong PINs until the TPM locks itself. What needs no PIN goes on.
func TestWrongPIN(t *testing.T) {
	t.Parallel()
	_, cfg, r := newRoot(t)
	seal(t, r, cfg.Arena, "dwk-1", "a working key")
	seal(t, r, cfg.Arena, "dwk-2", "another")
	for i := range 3 {
		_, err := tpm2.Open(t.Context(), cfg, take(t, cfg.Arena, "wrong horse battery staple"))
		wantErr(t, "wrong PIN", err, tpm2.ErrPIN)
		if want := []string{"counts 1 of 3", "counts 2 of 3", "is locked now"}[i]; !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got error %v, want one that says %q", err, want)
		}
	}
	_, err := tpm2.Open(t.Context(), cfg, take(t, cfg.Arena, right))
	wantErr(t, "right PIN", err, tpm2.ErrLockout)
	if !strings.Contains(fmt.Sprint(err), "tpm2_dictionarylockout") {
		t.Errorf("%v doesn't say what to do", err)
	}
	_, err = unseal(t, r, "dwk-1")
	wantErr(t, "unseal", err, tpm2.ErrLockout)
	if n, err := r.IncrementCounter(t.Context()); n != 1 || err != nil {
		t.Errorf("counter under a lockout: %d, %v", n, err)
	}
	if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
		t.Errorf("destroy under a lockout: %v", err)
	}
}

// TestThePINIsAPart: what the TPM gives is not enough, even to somebody whom it gives everything.
func TestThePINIsAPart(t *testing.T) {
	t.Parallel()
	_, cfg, r := newRoot(t)
	seal(t, r, cfg.Arena, "identity", "the identity")
	r.SetPINPart(take(t, cfg.Arena, strings.Repeat("p", 32)))
	_, err := unseal(t, r, "identity")
	wantErr(t, "without the part from the PIN", err, hsm.ErrAltered)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	good := weak(a, filepath.Join(t.TempDir(), "root"), x.Open(t))
	pin := take(t, a, right)
	_, err := tpm2.Open(t.Context(), good, pin)
	wantErr(t, "nothing there", err, tpm2.ErrNoRoot)
	_, err = tpm2.Create(t.Context(), good, take(t, a, "short"))
	wantErr(t, "short PIN", err, passphrase.ErrRules)
	for name, change := range map[string]func(*tpm2.Config){
		"no arena": func(c *tpm2.Config) { c.Arena = nil }, "no directory": func(c *tpm2.Config) { c.Dir = "" }, "no device": func(c *tpm2.Config) { c.Device = nil },
		"PCR 24": func(c *tpm2.Config) { c.PCRs = []uint{24} }, "PCR twice": func(c *tpm2.Config) { c.PCRs = []uint{7, 7} }, "PCRs not in order": func(c *tpm2.Config) { c.PCRs = []uint{7, 4} },
		"weak": func(c *tpm2.Config) { c.WeakUnsafe = false },
	} {
		cfg := good
		change(&cfg)
		if _, err := tpm2.Create(t.Context(), cfg, pin); err == nil {
			t.Errorf("%s: created", name)
		}
		if _, err := tpm2.Open(t.Context(), cfg, pin); err == nil || errors.Is(err, tpm2.ErrNoRoot) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	r := mustCreate(t, good)
	_, err = tpm2.Create(t.Context(), good, pin)
	wantErr(t, "created twice", err, tpm2.ErrRootExists)
	strict := good
	strict.Cost, strict.WeakUnsafe = passphrase.Cost{}, false
	_, err = tpm2.Open(t.Context(), strict, pin)
	wantErr(t, "weak file, strict reader", err, passphrase.ErrCost)
	if some, whole, err := tpm2.Exists(good.Dir); !some || !whole || err != nil {
		t.Errorf("exists: %v, %v, %v", some, whole, err)
	}
	if s, err := r.Status(t.Context()); err != nil || s.Kind != "tpm2" || s.Hardware {
		t.Errorf("status %+v, %v", s, err)
	}
	r.Close()
	_, err = unseal(t, r, "identity")
	wantErr(t, "closed", err, hsm.ErrClosed)
	wantErr(t, "closed", r.Random(t.Context(), make([]byte, 1)), hsm.ErrClosed)
	for name, path := range map[string]string{"absent": filepath.Join(t.TempDir(), "tpm"), "a folder": t.TempDir(), "a file": filepath.Join(good.Dir, "root.tpm")} {
		if _, err := tpm2.OpenDevice(path); !errors.Is(err, tpm2.ErrGone) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	// A character device that is no TPM.
	d, err := tpm2.OpenDevice("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	cfg := good
	cfg.Device = d
	if !d.Hardware() {
		t.Error("a device is no hardware")
	}
	_, err = tpm2.Open(t.Context(), cfg, pin)
	wantErr(t, "/dev/zero", err, tpm2.ErrMalformed)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestChangedPCR changes the register that the root is bound to, and then puts it back by a restart.
func TestChangedPCR(t *testing.T) {
	t.Parallel()
	x, cfg, r := newRoot(t)
	seal(t, r, cfg.Arena, "identity", "the identity")
	seal(t, r, cfg.Arena, "spare", "another")
	x.Extend(t, 16) // another one
	if _, err := unseal(t, mustOpen(t, cfg), "identity"); err != nil {
		t.Fatal(err)
	}
	x.Extend(t, 7)
	check := func(what string, err error, want []uint) {
		t.Helper()
		var e *tpm2.PCRError
		if !errors.As(err, &e) || !slices.Equal(e.Changed, want) {
			t.Errorf("%s: got error %v", what, err)
		}
	}
	_, err := tpm2.Open(t.Context(), cfg, take(t, cfg.Arena, right))
	check("open", err, []uint{7})
	if !strings.Contains(err.Error(), "PCR 7 has another value") || !strings.Contains(err.Error(), "ceremony") {
		t.Errorf("words: %v", err)
	}
	_, err = unseal(t, r, "identity") // the TPM itself refuses
	check("unseal", err, nil)
	check("seal", r.Seal(t.Context(), "dwk-1", nil, take(t, cfg.Arena, "x")), nil)
	if err := r.Destroy(t.Context(), "spare"); err != nil { // it only takes power away
		t.Errorf("destroy: %v", err)
	}
	x.Restart(t)
	again := mustOpen(t, cfg)
	if _, err := unseal(t, again, "identity"); err != nil {
		t.Errorf("with the old firmware again: %v", err)
	}
	_, err = unseal(t, again, "spare")
	wantErr(t, "destroyed under another firmware", err, hsm.ErrNotFound)
}

func TestClearedOrReplaced(t *testing.T) {
	t.Parallel()
	x, cfg, r := newRoot(t)
	seal(t, r, cfg.Arena, "identity", "the identity")
	pin := take(t, cfg.Arena, right)
	other := cfg
	other.Device = tpmtest.Start(t).Open(t)
	_, err := tpm2.Open(t.Context(), other, pin)
	wantErr(t, "replaced", err, tpm2.ErrOtherTPM)
	x.Clear(t)
	_, err = tpm2.Open(t.Context(), cfg, pin)
	wantErr(t, "cleared", err, tpm2.ErrOtherTPM)
	_, err = unseal(t, r, "identity")
	wantErr(t, "cleared under an open root", err, tpm2.ErrOtherTPM)
	_, err = r.ReadCounter(t.Context())
	wantErr(t, "counter of a cleared TPM", err, tpm2.ErrOtherTPM)
}

// TestGone switches the TPM off under an open root.
func TestGone(t *testing.T) {
	t.Parallel()
	x, cfg, r := newRoot(t)
	seal(t, r, cfg.Arena, "identity", "the identity")
	x.Restart(t)
	if _, err := unseal(t, r, "identity"); err != nil {
		t.Errorf("a restart between two operations: %v", err)
	}
	if _, err := (tpm.Shutdown{ShutdownType: tpm.TPMSUClear}).Execute(x); err != nil {
		t.Fatal(err)
	}
	x.Kill(t)
	_, err := unseal(t, r, "identity")
	wantErr(t, "gone", err, tpm2.ErrGone)
	x.Run(t)
	_, err = unseal(t, r, "identity")
	wantErr(t, "latched", err, tpm2.ErrGone)
	_, err = tpm2.Open(t.Context(), cfg, take(t, cfg.Arena, right))
	wantErr(t, "latched device", err, tpm2.ErrGone)
	cfg.Device = x.Open(t)
	if got, err := unseal(t, mustOpen(t, cfg), "identity"); got != "the identity" || err != nil {
		t.Errorf("opened anew: %q, %v", got, err)
	}
}

// TestDestroyIsReal puts the files of an earlier day back.
func TestDestroyIsReal(t *testing.T) {
	t.Parallel()
	x, cfg, r := newRoot(t)
	seal(t, r, cfg.Arena, "dwk-1", "a working key")
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.CopyFS(saved, os.DirFS(cfg.Dir)); err != nil {
		t.Fatal(err)
	}
	before := len(x.Indexes(t))
	if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
		t.Fatal(err)
	}
	if n := len(x.Indexes(t)); n != before-1 {
		t.Errorf("%d indexes after the destroy, %d before", n, before)
	}
	file := filepath.Join(cfg.Dir, "dwk-1.sealed")
	b, err := os.ReadFile(filepath.Join(saved, "dwk-1.sealed"))
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	r = mustOpen(t, cfg)
	_, err = unseal(t, r, "dwk-1")
	wantErr(t, "restored file", err, hsm.ErrNotFound)
	if s, err := r.Status(t.Context()); err != nil || len(s.Labels) != 0 {
		t.Errorf("status %+v, %v", s, err)
	}
	// The label is free; and what is sealed under it now doesn't bring the old one back.
	seal(t, r, cfg.Arena, "dwk-1", "the next")
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = unseal(t, r, "dwk-1")
	wantErr(t, "old file, new index", err, hsm.ErrAltered)
}

// TestStolenIndex: the owner's password is empty, so that anybody may remove an index and make another.
func TestStolenIndex(t *testing.T) {
	t.Parallel()
	x, cfg, r := newRoot(t)
	index, err := r.IndexOf("dwk-1")
	if err != nil {
		t.Fatal(err)
	}
	define := func() {
		t.Helper()
		p := tpm.TPMSNVPublic{NVIndex: index, NameAlg: tpm.TPMAlgSHA256, DataSize: 32, Attributes: tpm.TPMANV{AuthRead: true, AuthWrite: true, NT: tpm.TPMNTOrdinary}}
		if _, err := (tpm.NVDefineSpace{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: tpm.PasswordAuth(nil)}, PublicInfo: tpm.New2B(p)}).Execute(x); err != nil {
			t.Fatal(err)
		}
	}
	define()
	wantErr(t, "seal in another's place", r.Seal(t.Context(), "dwk-1", nil, take(t, cfg.Arena, "x")), tpm2.ErrIndex)
	if err := r.Destroy(t.Context(), "dwk-1"); err != nil {
		t.Errorf("destroy where another's index is: %v", err)
	}
	if !slices.Contains(x.Indexes(t), index) {
		t.Error("another's index was removed")
	}
	x.Undefine(t, index)
	seal(t, r, cfg.Arena, "dwk-1", "a working key")
	x.Undefine(t, index)
	define()
	_, err = unseal(t, r, "dwk-1")
	wantErr(t, "unseal with another's index", err, hsm.ErrAltered)
}

func TestFull(t *testing.T) {
	t.Parallel()
	x, cfg, r := newRoot(t)
	for i := range tpm2.MaxLabels {
		seal(t, r, cfg.Arena, fmt.Sprintf("dwk-%d", i), "a working key")
	}
	wantErr(t, "one label too many", r.Seal(t.Context(), "one-more", nil, take(t, cfg.Arena, "x")), tpm2.ErrFull)
	if err := r.Destroy(t.Context(), "dwk-0"); err != nil {
		t.Fatal(err)
	}
	// Another program takes the rest.
	for size, i := uint16(2048), tpm.TPMHandle(0); size >= 8; {
		p := tpm.TPMSNVPublic{NVIndex: 0x01400000 + i, NameAlg: tpm.TPMAlgSHA256, DataSize: size, Attributes: tpm.TPMANV{AuthRead: true, AuthWrite: true, NT: tpm.TPMNTOrdinary}}
		_, err := tpm.NVDefineSpace{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: tpm.PasswordAuth(nil)}, PublicInfo: tpm.New2B(p)}.Execute(x)
		i++
		if errors.Is(err, tpm.TPMRCNVSpace) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, "no room", r.Seal(t.Context(), "one-more", nil, take(t, cfg.Arena, "x")), tpm2.ErrFull)
	if got, err := unseal(t, r, "dwk-1"); got != "a working key" || err != nil {
		t.Errorf("in a full TPM: %q, %v", got, err)
	}
}

func TestOwnerPassword(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	_, err := tpm.HierarchyChangeAuth{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: tpm.PasswordAuth(nil)}, NewAuth: tpm.TPM2BAuth{Buffer: []byte("x")}}.Execute(x)
	if err != nil {
		t.Fatal(err)
	}
	a := secrettest.Arena(t)
	_, err = tpm2.Create(t.Context(), weak(a, filepath.Join(t.TempDir(), "root"), x.Open(t)), take(t, a, right))
	wantErr(t, "owner password", err, tpm2.ErrOwner)
}

// stuck never answers, until the test ends.
type stuck struct{ ctx <-chan struct{} }

func (s stuck) Exchange([]byte) ([]byte, error) { <-s.ctx; return nil, errors.New("late") }
func (s stuck) Close() error                    { return nil }

func TestSlow(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	d := tpm2.NewDevice("stuck", stuck{t.Context().Done()}, time.Millisecond)
	cfg := weak(a, filepath.Join(t.TempDir(), "root"), d)
	for range 2 {
		_, err := tpm2.Create(t.Context(), cfg, take(t, a, right))
		wantErr(t, "no answer", err, tpm2.ErrSlow)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// TestBusy: a TPM that asks for a command again gets it again.
func TestBusy(t *testing.T) {
	t.Parallel()
	x := tpmtest.Start(t)
	a := secrettest.Arena(t)
	f := x.Faulty()
	cfg := weak(a, filepath.Join(t.TempDir(), "root"), busy{f, new(int)}.device(t))
	seal(t, mustCreate(t, cfg), a, "identity", "the identity")
	if got, err := unseal(t, mustOpen(t, cfg), "identity"); got != "the identity" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	forever := tpm2.NewDevice("busy", always(response(tpm.TPMRCRetry)), time.Millisecond)
	cfg.Device = forever
	_, err := tpm2.Open(t.Context(), cfg, take(t, a, right))
	wantErr(t, "busy for ever", err, tpm2.ErrSlow)
	if err := forever.Close(); err != nil {
		t.Error(err)
	}
}

// busy asks to be asked again, every other time.
type busy struct {
	*tpmtest.Faulty
	n *int
}

func (b busy) Exchange(command []byte) ([]byte, error) {
	*b.n++
	if *b.n%2 == 1 {
		return response([]tpm.TPMRC{tpm.TPMRCRetry, tpm.TPMRCYielded, tpm.TPMRCTesting, tpm.TPMRCNVRate}[*b.n/2%4]), nil
	}
	return b.Faulty.Exchange(command)
}

func (b busy) device(t testing.TB) *tpm2.Device {
	d := tpm2.NewDevice("busy", b, time.Minute)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// response is one that says nothing but a code.
func response(rc tpm.TPMRC) []byte {
	return []byte{0x80, 0x01, 0, 0, 0, 10, byte(rc >> 24), byte(rc >> 16), byte(rc >> 8), byte(rc)}
}

// always gives the same response.
type always []byte

func (r always) Exchange([]byte) ([]byte, error) { return bytes.Clone(r), nil }
func (r always) Close() error                    { return nil }

func TestMalformedResponses(t *testing.T) {
	t.Parallel()
	for name, b := range map[string][]byte{
		"empty": {}, "short": make([]byte, 9), "zeros": make([]byte, 10), "wrong length": {0x80, 1, 0, 0, 0, 11, 0, 0, 0, 0}, "wrong tag": {0x80, 3, 0, 0, 0, 10, 0, 0, 0, 0},
		"code and content": {0x80, 1, 0, 0, 0, 11, 0, 0, 1, 1, 0}, "TPM 1.2": {0, 0xc4, 0, 0, 0, 10, 0, 0, 0, 30}, "success of 1.2": {0, 0xc4, 0, 0, 0, 10, 0, 0, 0, 0},
		"too long": append([]byte{0x80, 1, 0, 0, 0x10, 1, 0, 0, 0, 0}, make([]byte, 4087)...),
	} {
		if err := tpm2.CheckResponse(b); !errors.Is(err, tpm2.ErrMalformed) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	for _, b := range [][]byte{response(0), response(tpm.TPMRCFailure)} {
		if err := tpm2.CheckResponse(b); err != nil {
			t.Error(err)
		}
	}
}
