// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"strongroom/internal/secret"
)

// typist types the next answer whenever it is asked for a passphrase.
type typist struct {
	t        *testing.T
	terminal *os.File
	answers  []string
	said     strings.Builder
}

func (p *typist) Write(b []byte) (int, error) {
	p.said.Write(b)
	if strings.HasSuffix(string(b), ": ") {
		if len(p.answers) == 0 {
			p.t.Error("asked too often")
			p.answers = []string{"", ""}
		}
		if _, err := p.terminal.WriteString(p.answers[0] + "\n"); err != nil {
			p.t.Error(err)
		}
		p.answers = p.answers[1:]
	}
	return len(b), nil
}

func TestChoosePassphraseAsksAgain(t *testing.T) {
	t.Parallel()
	const good = "five random words are fine"
	for name, tt := range map[string]struct {
		answers []string
		ok      bool
		says    string
	}{
		"at once":     {[]string{good, good}, true, "The same again"},
		"too short":   {[]string{"short", good, good}, true, "too short"},
		"empty":       {[]string{"", good, good}, true, "once more"},
		"different":   {[]string{good, good + "?", good, good}, true, "the two entries differ; once more"},
		"three times": {[]string{"short", "", "short"}, false, "too short"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			master, slave := pty(t)
			arena, err := secret.NewArena(secret.Config{Size: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			p := &typist{t: t, terminal: master, answers: tt.answers}
			e := &env{Streams: Streams{In: slave, Err: p}, arena: arena, read: map[int]secret.Bytes{}}
			got, err := e.choosePassphrase(-1, "a key", "--fd")
			if (err == nil) != tt.ok || !strings.Contains(p.said.String(), tt.says) {
				t.Fatalf("error %v; said %q", err, p.said.String())
			}
			if tt.ok && got.Use(func(b []byte) error {
				if string(b) != good {
					t.Error("another passphrase than the one that was entered")
				}
				return nil
			}) != nil {
				t.Error("the passphrase can't be used")
			}
		})
	}
}

// pty opens a pseudo-terminal: what is written to the master is typed at the slave.
func pty(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	return master, slave
}
