// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm/pkcs11/softhsmtest"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const (
	rightPIN = "1234567890"
	soPIN    = "0987654321"
)

// bed is the one SoftHSM of this process: the library is initialized once, and reads where its tokens lie only then.
type bed struct {
	mod   *native
	mu    sync.Mutex // one token is made at a time: it takes the free slot
	count atomic.Int64
	dir   string
	path  string // of the library
}

var shared = sync.OnceValues(func() (*bed, error) {
	// In memory where there is such a folder: SoftHSM flushes each object, and the tests here make thousands.
	memory := "/dev/shm"
	if _, err := os.Stat(memory); err != nil {
		memory = ""
	}
	dir, err := os.MkdirTemp(memory, "softhsm")
	if err != nil {
		return nil, err
	}
	conf, err := softhsmtest.Configure(dir)
	if err != nil {
		return nil, err
	}
	if err := os.Setenv("SOFTHSM2_CONF", conf); err != nil {
		return nil, err
	}
	path, err := softhsmtest.Find()
	if err != nil {
		return nil, err
	}
	m, err := open(path)
	if err != nil {
		return nil, err
	}
	return &bed{mod: m, dir: dir, path: path}, m.Initialize()
})

func TestMain(m *testing.M) {
	code := m.Run()
	if b, err := shared(); err == nil {
		os.RemoveAll(b.dir)
	}
	os.Exit(code)
}

func softHSM(t testing.TB) *bed {
	t.Helper()
	b, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// token makes a token and gives its label.
func (b *bed) token(t testing.TB) string {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	slots, err := b.mod.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	label := fmt.Sprintf("test %d", b.count.Add(1))
	for _, slot := range slots {
		i, err := b.mod.GetTokenInfo(slot)
		if err != nil {
			t.Fatal(err)
		}
		if i.Flags&p11.CKF_TOKEN_INITIALIZED != 0 {
			continue
		}
		if err := b.mod.InitToken(slot, soPIN, label); err != nil {
			t.Fatal(err)
		}
		s, err := b.mod.OpenSession(slot, p11.CKF_SERIAL_SESSION|p11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		err = errors.Join(b.mod.Ctx.Login(s, p11.CKU_SO, soPIN), b.mod.InitPIN(s, rightPIN), b.mod.Logout(s), b.mod.CloseSession(s))
		if err != nil {
			t.Fatal(err)
		}
		return label
	}
	t.Fatal("SoftHSM has no free slot")
	return ""
}

// slot gives the slot of a token.
func (b *bed) slot(t testing.TB, label string) uint {
	t.Helper()
	slots, err := b.mod.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		if i, err := b.mod.GetTokenInfo(s); err == nil && i.Label == label {
			return s
		}
	}
	t.Fatalf("there is no token %q", label)
	return 0
}

// endSessions ends all sessions with a token, and with them the login.
func (b *bed) endSessions(t testing.TB, label string) {
	t.Helper()
	if err := b.mod.CloseAllSessions(b.slot(t, label)); err != nil {
		t.Fatal(err)
	}
}

// initialized is a module that is initialized already and stays so.
type initialized struct{ module }

func (initialized) Initialize(...p11.InitializeOption) error { return nil }
func (initialized) Finalize() error                          { return nil }

// library gives a Library of its own on the shared SoftHSM, or on what stands around it.
func (b *bed) library(t testing.TB, m module) *Library {
	t.Helper()
	if m == nil {
		m = b.mod
	}
	l, err := start(Config{Arena: secrettest.Arena(t), Path: "test"}, initialized{m})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, ErrHung) {
			t.Error(err)
		}
	})
	return l
}

func take(t testing.TB, l *Library, s string) secret.Bytes {
	t.Helper()
	b, err := secret.Take(l.cfg.Arena, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Wipe)
	return b
}

// config is of a root in a directory of its own.
func config(t testing.TB, l *Library, label string) RootConfig {
	return RootConfig{Dir: filepath.Join(t.TempDir(), "root"), Token: label, PIN: take(t, l, rightPIN)}
}

func closeRoot(t testing.TB, r *Root) {
	t.Helper()
	if err := r.Close(); err != nil && !errors.Is(err, ErrHung) {
		t.Error(err)
	}
}

func mustCreate(t testing.TB, l *Library, disk durable.Disk, cfg RootConfig) *Root {
	t.Helper()
	r, err := l.create(t.Context(), disk, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRoot(t, r) })
	return r
}

func mustOpen(t testing.TB, l *Library, disk durable.Disk, cfg RootConfig) *Root {
	t.Helper()
	r, err := l.openRoot(t.Context(), disk, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeRoot(t, r) })
	return r
}
