// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"strongroom/internal/app/ceremonyfile"
	"strongroom/internal/app/ritual"
	"strongroom/internal/app/words"
	custodian "strongroom/internal/core/ceremony"
	"strongroom/internal/edge/agefile"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/secret"
)

// dialogue is the hands of people at a terminal. At every question Ctrl-C ends the program; what was done is kept.
type dialogue struct {
	e       *env
	script  ceremony.Script
	signers map[string]*keyfile.Key // nil: they sign elsewhere
	step    ceremony.Step
}

var _ ritual.Hands = (*dialogue)(nil)

func newDialogue(e *env, s ceremony.Script) *dialogue {
	return &dialogue{e: e, script: s, signers: map[string]*keyfile.Key{}}
}

// attempts is how often something is asked for again that was typed wrong.
const attempts = 5

// errNoTerminal says that nobody can be asked.
var errNoTerminal = errors.New("a ceremony is a dialogue, and standard input is no terminal; an exercise takes a script that says unattended, and --hands")

// Begin tells whose turn it is.
func (d *dialogue) Begin(s ceremony.Step, n, of int) {
	d.step = s
	d.e.say("")
	d.e.say("Step %d of %d. %s: %s.", n, of, d.who(s.Actor), s.Title)
}

// who gives somebody with their role.
func (d *dialogue) who(name string) string {
	if p, ok := d.script.Participant(name); ok {
		return fmt.Sprintf("%s (%s)", p.Name, p.Role)
	}
	return "The core"
}

// line asks for a line of text.
func (d *dialogue) line(ctx context.Context, prompt string) (string, error) {
	if d.e.In == nil || !term.IsTerminal(int(d.e.In.Fd())) {
		return "", errNoTerminal
	}
	fmt.Fprint(d.e.Err, words.Plain(prompt))
	b, err := d.wait(ctx, func() ([]byte, error) {
		var line []byte
		for one := make([]byte, 1); ; {
			n, err := d.e.In.Read(one)
			if n == 1 && one[0] != '\n' {
				line = append(line, one[0])
			}
			if n == 1 && one[0] == '\n' || err != nil {
				return line, err
			}
		}
	})
	return strings.TrimSpace(string(b)), err
}

// hidden asks for something that is not shown.
func (d *dialogue) hidden(ctx context.Context, prompt string) ([]byte, error) {
	if d.e.In == nil || !term.IsTerminal(int(d.e.In.Fd())) {
		return nil, errNoTerminal
	}
	fd := int(d.e.In.Fd())
	before, err := term.GetState(fd)
	if err == nil {
		err = silence(fd) // before the question: who types ahead is not shown either
	}
	if err != nil {
		return nil, err
	}
	fmt.Fprint(d.e.Err, words.Plain(prompt))
	b, err := d.wait(ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	err = errors.Join(err, term.Restore(fd, before))
	d.e.say("")
	return b, err
}

// silence switches echo off.
func silence(fd int) error {
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return err
	}
	t.Lflag &^= unix.ECHO
	return unix.IoctlSetTermios(fd, unix.TCSETS, t)
}

// wait reads, and gives up when the context ends: the read then goes on until the program ends.
func (d *dialogue) wait(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type answer struct {
		b   []byte
		err error
	}
	got := make(chan answer, 1)
	go func() { // ends with the answer, or with the program
		b, err := read()
		got <- answer{b, err}
	}()
	select {
	case a := <-got:
		if a.err != nil {
			clear(a.b)
			return nil, fmt.Errorf("nobody answered: %w", a.err)
		}
		return a.b, nil
	case <-ctx.Done():
		d.e.say("")
		return nil, fmt.Errorf("interrupted: %w", context.Cause(ctx))
	}
}

// ask asks until the answer is taken.
func (d *dialogue) ask(ctx context.Context, prompt string, take func(string) error) error {
	var err error
	for range attempts {
		var text string
		if text, err = d.line(ctx, prompt); err != nil {
			return err
		}
		if err = take(text); err == nil {
			return nil
		}
		d.e.say("%v. Once more.", err)
	}
	return err
}

// Compare has somebody compare a hash.
func (d *dialogue) Compare(ctx context.Context, name, what string, hash [32]byte) error {
	d.e.say("Hash of %s:", what)
	d.e.say("    %s", ceremonyfile.Groups(hash))
	return d.ask(ctx, fmt.Sprintf("%s compares all of it with their own copy. Type yes if it is the same: ", name), func(text string) error {
		if text != "yes" {
			return errors.New("if it is not the same, stop with Ctrl-C and find out why")
		}
		return nil
	})
}

// Program asks for the hash that somebody computed elsewhere.
func (d *dialogue) Program(ctx context.Context, name string) (out [32]byte, err error) {
	err = d.ask(ctx, fmt.Sprintf("SHA-256 of strongroom-core, as %s computed it on another machine (64 hex digits, spaces as you like): ", name), func(text string) error {
		b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil || len(b) != len(out) {
			return errors.New("these are not 64 hex digits")
		}
		out = [32]byte(b)
		return nil
	})
	return out, err
}

// Signer asks once for somebody's key.
func (d *dialogue) Signer(ctx context.Context, p ceremony.Participant) (*keyfile.Key, error) {
	if k, ok := d.signers[p.Name]; ok {
		return k, nil
	}
	var k *keyfile.Key
	err := d.ask(ctx, fmt.Sprintf("File with the key of %s; nothing, if they sign on a machine of their own: ", p.Name), func(path string) error {
		if path == "" {
			return nil
		}
		opened, err := d.e.unlock(path, func(prompt string) (secret.Bytes, error) { return d.secret(ctx, d.e.arena, prompt) })
		if err != nil {
			return err
		}
		if opened.Public().Ref() != p.Key.Ref() {
			opened.Wipe()
			return fmt.Errorf("%s is another key than the script has for %s", path, p.Name)
		}
		k = opened
		d.e.keys = append(d.e.keys, k) // wiped at the end
		return nil
	})
	if err != nil {
		return nil, err
	}
	d.signers[p.Name] = k
	return k, nil
}

// secret asks for a passphrase.
func (d *dialogue) secret(ctx context.Context, a *secret.Arena, prompt string) (secret.Bytes, error) {
	b, err := d.hidden(ctx, prompt)
	if err != nil {
		return secret.Bytes{}, err
	}
	if len(b) == 0 {
		return secret.Bytes{}, errors.New("the passphrase is empty")
	}
	return secret.Take(a, b)
}

// Dice asks for rolls, which are not shown. Spaces are left out.
func (d *dialogue) Dice(ctx context.Context, a *secret.Arena, name string, rolls int) (secret.Bytes, error) {
	d.e.say("%s rolls a die %d times and types each number, 1 to 6. Nobody looks; nothing is shown. A mistyped number does no harm.", name, rolls)
	var err error
	for range attempts {
		var b []byte
		if b, err = d.hidden(ctx, fmt.Sprintf("%d numbers, spaces as you like: ", rolls)); err != nil {
			return secret.Bytes{}, err
		}
		n := 0
		for _, c := range b {
			if c != ' ' {
				b[n] = c
				n++
			}
		}
		clear(b[n:])
		if err = custodian.CheckRolls(b[:n]); err == nil && n != rolls {
			err = fmt.Errorf("these were %d numbers, not %d", n, rolls)
		}
		if err == nil {
			return secret.Take(a, b[:n])
		}
		clear(b)
		d.e.say("%v. Once more.", err)
	}
	return secret.Bytes{}, err
}

// Opener asks for a custodian's identity.
func (d *dialogue) Opener(ctx context.Context, a *secret.Arena, name string) (o custodian.Opener, ok bool, err error) {
	err = d.ask(ctx, fmt.Sprintf("Identity file of %s; nothing, if they open their share on a machine of their own: ", name), func(path string) error {
		if path == "" {
			return nil
		}
		text, err := agefile.Read(a, path, func() (secret.Bytes, error) { return d.secret(ctx, a, fmt.Sprintf("Passphrase of %s: ", path)) })
		if err != nil {
			return err
		}
		defer text.Wipe()
		o, err = custodian.ParseAgeOpener(text)
		ok = err == nil
		return err
	})
	return o, ok, err
}

// Share asks for the share that a custodian brings.
func (d *dialogue) Share(ctx context.Context, a *secret.Arena, name string) (*custodian.Opened, error) {
	o, here, err := d.Opener(ctx, a, name)
	if err != nil || !here {
		return nil, err
	}
	var out *custodian.Opened
	err = d.ask(ctx, fmt.Sprintf("File with the share of %s: ", name), func(path string) error {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		out, err = custodian.OpenShare(a, b, o)
		return err
	})
	return out, err
}

// Stored asks where a share went.
func (d *dialogue) Stored(ctx context.Context, p ceremony.Participant) (ceremony.Stored, error) {
	s := ceremony.Stored{}
	for _, x := range []struct {
		to           *string
		what, script string
	}{{&s.Bag, "Number of the bag", p.Bag}, {&s.Safe, "Name of the safe", p.Safe}} {
		err := d.ask(ctx, x.what+", as read out: ", func(text string) error {
			if text == "" || x.script != "" && text != x.script {
				return fmt.Errorf("the script has %q", x.script)
			}
			*x.to = text
			return nil
		})
		if err != nil {
			return s, err
		}
	}
	return s, nil
}

// Await waits until somebody has brought a file.
func (d *dialogue) Await(ctx context.Context, name, command, path string) error {
	d.e.say("On the machine of %s: %s", name, command)
	return d.ask(ctx, fmt.Sprintf("Press Enter when %s is there: ", path), func(string) error {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return errors.New("it is not there yet")
		} else if err != nil {
			return err
		}
		return nil
	})
}
