// SPDX-License-Identifier: Apache-2.0

// Package timetest runs real time servers for tests: chronyd on loopback, with keys and with NTS, right or wrong by as much as the test
// says. It never touches the machine's clock. It also carries datagrams and streams to them, as the process beside the core does, and lets
// a test drop, change and repeat them. A machine without the programs fails the test and is told what to install.
package timetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/internal/core/timeguard/ntp"
	"strongroom/internal/secret"
)

// startTimeout is how long a server may take to answer.
const startTimeout = 20 * time.Second

// Keys is the key file of every server.
const Keys = `1 AES128 HEX:000102030405060708090A0B0C0D0E0F
2 AES256 HEX:000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F
3 SHA256 HEX:F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF0102030405060708
4 SHA512 HEX:F0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF1112131415161718
`

// Options say what server to run.
type Options struct {
	Offset time.Duration // by how much it is wrong, in whole seconds
	NTS    *Authority    // with NTS, under a certificate of this authority for the name "localhost"
	Conf   string        // more lines of configuration
}

// Server is a running chronyd.
type Server struct {
	NTP string // address of its datagrams
	KE  string // address of its key establishment, or empty

	dir     string
	offset  time.Duration
	process *exec.Cmd
	ended   chan error
}

// Start runs a chronyd, and stops it when the test ends.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := &Server{dir: t.TempDir(), offset: o.Offset, NTP: "127.0.0.1:" + freePort(t, "udp")}
	if err := os.Chmod(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(s.NTP)
	conf := "local stratum 3\nallow 127.0.0.0/8\nbindaddress 127.0.0.1\nport " + port + "\ncmdport 0\nbindcmdaddress " + s.file("cmd.sock") +
		"\npidfile " + s.file("pid") + "\nkeyfile " + s.file("keys") + "\n" + o.Conf
	write(t, s.file("keys"), []byte(Keys))
	if o.NTS != nil {
		ke := freePort(t, "tcp")
		s.KE = "127.0.0.1:" + ke
		cert, key := o.NTS.Issue(t, "localhost", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
		write(t, s.file("cert.pem"), cert)
		write(t, s.file("key.pem"), key)
		conf += "ntsport " + ke + "\nntsservercert " + s.file("cert.pem") + "\nntsserverkey " + s.file("key.pem") + "\nntsdumpdir " + s.dir + "\nntsrotate 0\n"
	}
	write(t, s.file("conf"), []byte(conf))
	s.Run(t)
	t.Cleanup(func() { s.Stop(t) })
	return s
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

// Run starts the server again after [Server.Stop].
func (s *Server) Run(t testing.TB) {
	t.Helper()
	bin := find(t, "chrony", "/usr/sbin/chronyd")
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	s.process = exec.Command(bin, "-f", s.file("conf"), "-x", "-d", "-U", "-u", me.Username)
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	s.process.Stdout, s.process.Stderr = &out, &out
	if s.offset != 0 {
		lib := find(t, "libfaketime", "/usr/lib/*/faketime/libfaketime.so.1")
		s.process.Env = append(os.Environ(), "LD_PRELOAD="+lib, fmt.Sprintf("FAKETIME=%+ds", int(s.offset.Seconds())))
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended = make(chan error, 1)
	go func(p *exec.Cmd, ended chan<- error) { ended <- p.Wait() }(s.process, s.ended) // Stop waits for it
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	for ctx.Err() == nil {
		if len(s.ended) > 0 {
			break
		}
		try, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		_, _, err := (&Net{UDP: map[string]string{"s": s.NTP}}).Exchange(try, ntp.Kind, "s", ntp.Request(ntp.Nonce{1}))
		<-try.Done() // an error comes at once while nobody listens
		cancel()
		if err == nil {
			return
		}
	}
	t.Fatalf("chronyd does not answer; it says:\n%s", out.Bytes())
}

// Stop ends the server.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.process == nil {
		return
	}
	if err := s.process.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-s.ended
	s.process = nil
}

// ForgetCookies makes the server start with other NTS keys than those its cookies were made with.
func (s *Server) ForgetCookies(t testing.TB) {
	t.Helper()
	s.Stop(t)
	if err := os.Remove(s.file("ntskeys")); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	s.Run(t)
}

func find(t testing.TB, pkg, pattern string) string {
	t.Helper()
	list, err := filepath.Glob(pattern)
	if err != nil || len(list) == 0 {
		t.Fatalf("%s is missing; install it with: apt-get install %s", pattern, pkg)
	}
	return list[0]
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// freePort gives a port of loopback that nobody listens on now.
func freePort(t testing.TB, network string) string {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(c.LocalAddr().String())
		if err := errors.Join(err, c.Close()); err != nil {
			t.Fatal(err)
		}
		return port
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
}

// Key reads a key of [Keys] into the arena.
func Key(t testing.TB, a *secret.Arena, id uint32) ntp.Key {
	t.Helper()
	k, err := ntp.ReadKey(a, []byte(Keys), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Wipe)
	return k
}

// Arena makes an arena that is closed when the test ends.
func Arena(t testing.TB) *secret.Arena {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 16})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// Boot reads the clock since boot.
func Boot() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic(err)
	}
	return ts.Nano()
}

// WallAt gives what the wall clock of the machine showed, in Unix nanoseconds, when the clock since boot was at boot. It reads both clocks within
// a millisecond of each other: a busy machine may stop a test between two readings, which is then done again.
func WallAt(boot int64) int64 {
	for {
		before := Boot()
		wall := time.Now().UnixNano()
		if Boot()-before < int64(time.Millisecond) {
			return wall - (before - boot)
		}
	}
}

// Net carries datagrams and streams to the addresses of targets.
type Net struct {
	UDP, TCP map[string]string

	// Spoil, if not nil, sees each question and its answer and gives the answer that arrives, or an error.
	Spoil func(target string, question, answer []byte) ([]byte, error)
}

// Exchange sends a datagram and waits for one answer. A target "name@:port" is the host of name at that port.
func (n *Net) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	name, at, _ := strings.Cut(target, "@")
	address, ok := n.UDP[name]
	if !ok || kind != ntp.Kind {
		return 0, nil, fmt.Errorf("target %q of kind %q is not known", target, kind)
	}
	if host, port, err := net.SplitHostPort(at); err == nil {
		was, _, err := net.SplitHostPort(address)
		if err != nil {
			return 0, nil, err
		}
		if host == "" {
			host = was
		}
		address = net.JoinHostPort(host, port)
	}
	var d net.Dialer
	c, err := d.DialContext(ctx, "udp", address)
	if err != nil {
		return 0, nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := c.Write(body); err != nil {
		return 0, nil, err
	}
	b := make([]byte, 2048)
	k, err := c.Read(b)
	if err != nil {
		return 0, nil, err
	}
	if n.Spoil != nil {
		b, err := n.Spoil(name, body, b[:k])
		return 0, b, err
	}
	return 0, b[:k], nil
}

// Dial opens a stream.
func (n *Net) Dial(ctx context.Context, _, target string) (net.Conn, error) {
	address, ok := n.TCP[target]
	if !ok {
		return nil, fmt.Errorf("target %q is not known", target)
	}
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}
