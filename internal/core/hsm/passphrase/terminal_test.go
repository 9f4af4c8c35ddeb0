// SPDX-License-Identifier: Apache-2.0

package passphrase

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/internal/secret/secrettest"
)

// pty opens a pseudo-terminal: what is written to the master is what somebody types at the slave.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	fd := int(master.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}

// typist is a prompt that types the next answer when it is asked a question.
type typist struct {
	t       *testing.T
	master  *os.File
	answers []string
	asked   []string
}

func (p *typist) Write(b []byte) (int, error) {
	if string(b) == "\n" {
		return len(b), nil
	}
	p.asked = append(p.asked, string(b))
	if len(p.answers) > 0 {
		if _, err := p.master.WriteString(p.answers[0]); err != nil {
			p.t.Error(err)
		}
		p.answers = p.answers[1:]
	}
	return len(b), nil
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	for _, tt := range []struct {
		name    string
		answers []string
		create  bool
		out     string
		want    error
		asked   int
	}{
		{"read", []string{good + "\n"}, false, good, nil, 1},
		{"carriage return ends the line", []string{good + "\r"}, false, good, nil, 1},
		{"backspace", []string{"xx\x7f\x08" + good + "ö\x7f\n"}, false, good, nil, 1},
		{"backspace at the start", []string{"\x7f\x7f" + good + "\n"}, false, good, nil, 1},
		{"Ctrl-U", []string{"all wrong\x15" + good + "\n"}, false, good, nil, 1},
		{"Ctrl-D inside is ignored", []string{"correct horse\x04 battery staple\n"}, false, good, nil, 1},
		{"Ctrl-C", []string{"correct\x03"}, false, "", ErrCancelled, 1},
		{"Ctrl-D", []string{"\x04"}, false, "", ErrEmpty, 1},
		{"empty line", []string{"\n"}, false, "", ErrEmpty, 1},
		{"create", []string{good + "\n", good + "\n"}, true, good, nil, 2},
		{"create, different", []string{good + "\n", good + "r\n"}, true, "", ErrDifferent, 2},
		{"create, short", []string{"short\n"}, true, "", ErrRules, 1},
		{"create, cancelled", []string{good + "\n", "\x03"}, true, "", ErrCancelled, 2},
		{"longest", []string{strings.Repeat("x", 1024) + "\n"}, false, strings.Repeat("x", 1024), nil, 1},
		{"too long", []string{strings.Repeat("x", 1026) + "\n"}, false, "", ErrTooLong, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			master, slave := pty(t)
			before, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil {
				t.Fatal(err)
			}
			prompt := &typist{t: t, master: master, answers: tt.answers}
			s := Source{FD: -1, Terminal: slave, Prompt: prompt}
			read := s.Read
			if tt.create {
				read = s.ReadNew
			}
			// A key that isn't understood would leave read waiting for ever: then the terminal hangs up.
			hangUp := time.AfterFunc(20*time.Second, func() { _ = master.Close() })
			p, err := read(a)
			hangUp.Stop()
			if !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
			if got := text(t, p); got != tt.out {
				t.Errorf("got %q, want %q", got, tt.out)
			}
			if len(prompt.asked) != tt.asked {
				t.Errorf("asked %q, want %d questions", prompt.asked, tt.asked)
			}
			after, err := unix.IoctlGetTermios(int(slave.Fd()), unix.TCGETS)
			if err != nil || *after != *before {
				t.Errorf("the terminal's mode was not put back: %+v and error %v", after, err)
			}
			if shown := shown(t, master); bytes.Contains(shown, []byte("x")) || bytes.Contains(shown, []byte("horse")) {
				t.Errorf("the terminal showed %q", shown)
			}
		})
	}
}

// shown returns what the terminal displayed.
func shown(t *testing.T, master *os.File) []byte {
	t.Helper()
	fd := int(master.Fd())
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if n, err := unix.Poll(ready, 0); err != nil || n == 0 {
		return nil
	}
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

func TestTerminalHangsUp(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	master, slave := pty(t)
	hangUp := &typist{t: t, master: master}
	s := Source{FD: -1, Terminal: slave, Prompt: writerFunc(func(b []byte) (int, error) {
		_, err := hangUp.Write(b)
		if len(hangUp.asked) == 1 {
			err = errors.Join(err, master.Close())
		}
		return len(b), err
	})}
	if p, err := s.Read(a); err == nil {
		t.Errorf("read %q", text(t, p))
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
