// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// attend leads through an attended ceremony: attend LEADER FOLDER HASH command args…
//
// The command has a terminal of its own, at which the people of the ceremony answer. Their files are in FOLDER: NAME.key, NAME.age and NAME.dice.
// LEADER signs at that terminal; everybody else takes what is to be signed, or their share, to a machine of their own, where they run the command
// that the terminal names. Each compares the script's hash with HASH, which they have from elsewhere. The PIN of the token is the file pass, on
// descriptor 3. What stood on the terminal goes to the file attended, also when the ceremony failed.
func attend(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 4 {
		ts.Fatalf("usage: attend LEADER FOLDER HASH program args…")
	}
	p := &people{ts: ts, leader: args[0], dir: ts.MkAbs(args[1]), hash: args[2], asked: map[string]int{}}
	for i, a := range args {
		if a == "--dir" && i+1 < len(args) {
			p.ritual = ts.MkAbs(args[i+1])
		}
	}
	cmd, tty := p.command(args[3:])
	said, err := p.talk(cmd, tty)
	ts.Check(os.WriteFile(ts.MkAbs("attended"), said, 0o600))
	ts.Logf("%s", said)
	for name := range p.asked {
		if dice, err := os.ReadFile(filepath.Join(p.dir, name+".dice")); err == nil && bytes.Contains(said, bytes.TrimSpace(dice)[:20]) {
			ts.Fatalf("the terminal shows what %s rolled", name)
		}
	}
	var left *exec.ExitError
	switch {
	case err != nil && !errors.As(err, &left):
		ts.Fatalf("%v", err)
	case (err != nil) != neg:
		ts.Fatalf("the ceremony ended with %v", err)
	}
}

// people answer the questions of a ceremony.
type people struct {
	ts     *testscript.TestScript
	leader string
	dir    string // their files
	ritual string // folder of the ceremony
	hash   string // of the script, as everybody has it on paper
	key    string // fingerprint of the key of a load, as the terminal showed it last
	actor  string // whose step it is
	asked  map[string]int
}

// command prepares the command with a new terminal. It gives the other end of it.
func (p *people) command(args []string) (*exec.Cmd, *os.File) {
	main, end, err := openTerminal()
	p.ts.Check(err)
	defer end.Close()
	path, err := exec.LookPath(args[0])
	p.ts.Check(err)
	pin, err := os.Open(p.ts.MkAbs("pass"))
	p.ts.Check(err)
	defer pin.Close()
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Env = p.ts.MkAbs("."), p.env()
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = end, end, end, []*os.File{pin}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	p.ts.Check(cmd.Start())
	return cmd, main
}

func (p *people) env() []string {
	return append(os.Environ(), "HOME="+p.ts.Getenv("HOME"), "XDG_CONFIG_HOME="+p.ts.Getenv("XDG_CONFIG_HOME"), "SOFTHSM2_CONF="+p.ts.Getenv("SOFTHSM2_CONF"))
}

// openTerminal makes a pseudo terminal (pty(7)).
func openTerminal() (main, end *os.File, err error) {
	main, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	var n uint32
	if err = unix.IoctlSetPointerInt(int(main.Fd()), unix.TIOCSPTLCK, 0); err == nil {
		n, err = unix.IoctlGetUint32(int(main.Fd()), unix.TIOCGPTN)
	}
	if err == nil {
		end, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		return nil, nil, errors.Join(err, main.Close())
	}
	return main, end, nil
}

// talk answers until the command ends, and gives all that stood on the terminal.
func (p *people) talk(cmd *exec.Cmd, tty *os.File) ([]byte, error) {
	defer tty.Close()
	stuck := time.AfterFunc(3*patience, func() { _ = cmd.Process.Kill() }) // a question that nobody understands
	defer stuck.Stop()
	var all, open []byte
	for b := make([]byte, 4096); ; {
		n, err := tty.Read(b)
		all, open = append(all, b[:n]...), append(open, b[:n]...)
		if err != nil { // EIO: nobody has the other end any more
			return all, cmd.Wait()
		}
		answer, ok, err := p.answer(strings.ReplaceAll(string(open), "\r", ""))
		if err != nil {
			_ = cmd.Process.Kill()
			return all, errors.Join(err, cmd.Wait())
		}
		if ok {
			open = open[:0]
			if _, err := tty.WriteString(answer + "\n"); err != nil {
				return all, errors.Join(err, cmd.Wait())
			}
		}
	}
}

// What a ceremony asks.
var (
	isStep    = regexp.MustCompile(`Step \d+ of \d+\. (\w+) \(\w+\): `)
	isCompare = regexp.MustCompile(`Hash of (the [a-z ]+):\n +([0-9a-f ]+)\n(\w+) compares all of it with their own copy\. Type yes if it is the same: $`)
	isProgram = regexp.MustCompile(`SHA-256 of strongroom-core, as (\w+) computed it on another machine .*: $`)
	isKey     = regexp.MustCompile(`File with the key of (\w+); nothing, .*: $`)
	isOpener  = regexp.MustCompile(`Identity file of (\w+); nothing, .*: $`)
	isDice    = regexp.MustCompile(`(\w+) rolls a die (?s:.*)\d+ numbers, spaces as you like: $`)
	isStored  = regexp.MustCompile(`(Number of the bag|Name of the safe), as read out: $`)
	isBring   = regexp.MustCompile(`On the machine of (\w+): (strongroom \w+ [\w-]+) .*\nPress Enter when (.*) is there: $`)
)

// answer gives the answer to the question that stands last on the terminal, if it is one.
func (p *people) answer(text string) (string, bool, error) {
	if m := isStep.FindAllStringSubmatch(text, -1); m != nil {
		p.actor = m[len(m)-1][1]
	}
	if m := isCompare.FindStringSubmatch(text); m != nil {
		p.asked[m[3]]++
		got := strings.ReplaceAll(m[2], " ", "")
		if m[1] == "the key of this load" {
			p.key = got
		} else if got != p.hash {
			return "", false, fmt.Errorf("%s is shown %s, and has %s on paper", m[3], got, p.hash)
		}
		return "yes", true, nil
	}
	if m := isProgram.FindStringSubmatch(text); m != nil {
		path, err := exec.LookPath("strongroom-core")
		if err != nil {
			return "", false, err
		}
		b, err := os.ReadFile(path)
		h := sha256.Sum256(b)
		return hex.EncodeToString(h[:]), true, err
	}
	if m := isKey.FindStringSubmatch(text); m != nil {
		if m[1] == p.leader {
			return p.file(m[1], "key"), true, nil
		}
		return "", true, nil
	}
	if isOpener.MatchString(text) {
		return "", true, nil
	}
	if m := isDice.FindStringSubmatch(text); m != nil {
		b, err := os.ReadFile(p.file(m[1], "dice"))
		return string(bytes.TrimSpace(b)), true, err
	}
	if m := isStored.FindStringSubmatch(text); m != nil {
		return map[string]string{"Number of the bag": "bag-", "Name of the safe": "safe-"}[m[1]] + p.actor, true, nil
	}
	if m := isBring.FindStringSubmatch(text); m != nil {
		return "", true, p.elsewhere(m[1], m[2], m[3])
	}
	return "", false, nil
}

func (p *people) file(name, kind string) string { return filepath.Join(p.dir, name+"."+kind) }

// elsewhere runs what somebody runs on a machine of their own, and brings the file.
func (p *people) elsewhere(name, command, path string) error {
	args := strings.Fields(command)
	asked := filepath.Join(p.ritual, "to-sign", filepath.Base(path))
	shares, err := filepath.Glob(filepath.Join(p.ritual, "shares", "*-"+name+".share"))
	if err != nil {
		return err
	}
	share := p.file(name, "share") // which they brought
	if len(shares) == 1 {
		share = shares[0] // which they got
	}
	switch command {
	case "strongroom ceremony sign":
		args = append(args, asked, "--key", p.file(name, "key"), "--out", path, "--yes")
	case "strongroom custodian receipt":
		args = append(args, share, "--identity-file", p.file(name, "age"), "--record", asked, "--key", p.file(name, "key"), "--out", path, "--yes")
	case "strongroom custodian hand-in":
		args = append(args, p.file(name, "share"), "--identity-file", p.file(name, "age"), "--importer", filepath.Join(p.ritual, "importer.cbor"), "--fingerprint", p.key, "--out", path)
	default:
		return fmt.Errorf("%s is told to run %q", name, command)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Dir = p.env(), p.ts.MkAbs(".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %s: %w: %s", name, command, err, out)
	}
	return nil
}
