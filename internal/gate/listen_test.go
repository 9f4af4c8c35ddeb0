// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var discard = slog.New(slog.DiscardHandler)

func TestListenModes(t *testing.T) {
	t.Parallel()
	path := filepath.Join(folder(t), "core.sock")
	ln, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("got %v, %v", info.Mode(), err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrInUse) {
		t.Errorf("second: got %v", err)
	}
	ln.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Error("close left the socket")
	}
}

func TestListenRemovesStaleOnly(t *testing.T) {
	t.Parallel()
	path := filepath.Join(folder(t), "core.sock")
	old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	old.SetUnlinkOnClose(false)
	old.Close() // as after a kill
	ln, err := Listen(path)
	if err != nil {
		t.Fatalf("stale: %v", err)
	}
	ln.Close()
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); !errors.Is(err, ErrPath) {
		t.Errorf("a file: got %v", err)
	}
	if b, _ := os.ReadFile(path); string(b) != "precious" {
		t.Error("the file is gone")
	}
}

func TestListenRefusesPaths(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	open := filepath.Join(dir, "open")
	if err := os.Mkdir(open, 0o755); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	foreign := "/proc" // root's, but not 0700; another user's folder needs root to make
	if os.Geteuid() == 0 {
		foreign = filepath.Join(dir, "foreign")
		if err := errors.Join(os.Mkdir(foreign, 0o700), os.Chown(foreign, 1234, 1234)); err != nil {
			t.Fatal(err)
		}
	}
	long := filepath.Join(dir, strings.Repeat("x", MaxPath-len(dir)))
	for name, path := range map[string]string{
		"108 bytes and the kernel takes 107": long,
		"mode 0755":                          filepath.Join(open, "s"),
		"symbolic link":                      filepath.Join(link, "s"),
		"no such file":                       filepath.Join(dir, "absent", "s"),
		"belongs to user":                    filepath.Join(foreign, "s"),
		"abstract":                           "@core",
		`"": name a file`:                    "",
	} {
		if ln, err := Listen(path); !errors.Is(err, ErrPath) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: got %v, %v", name, ln, err)
		}
	}
	if ln, err := Listen(long[:MaxPath]); err != nil {
		t.Errorf("longest path: %v", err)
	} else {
		ln.Close()
	}
	if _, err := Dial(t.Context(), long); !errors.Is(err, ErrPath) {
		t.Errorf("dial: %v", err)
	}
}

// TestListenRace starts many at once over a stale socket: exactly one wins, and it can be reached.
func TestListenRace(t *testing.T) {
	t.Parallel()
	for range 20 {
		path := filepath.Join(folder(t), "s")
		old, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		old.SetUnlinkOnClose(false)
		old.Close()
		var winner atomic.Pointer[net.UnixListener]
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				ln, err := Listen(path)
				if errors.Is(err, ErrInUse) {
					return
				}
				if err != nil || winner.Swap(ln) != nil {
					t.Errorf("a second winner, or %v", err)
				}
			})
		}
		wg.Wait()
		if winner.Load() == nil {
			t.Fatal("nobody won")
		}
		c, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		winner.Load().Close()
	}
}
