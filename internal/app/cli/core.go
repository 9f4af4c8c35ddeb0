// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"strongroom/internal/app/coldtalk"
	"strongroom/internal/secret"
)

// coreProgram is the name of the process that holds keys.
const coreProgram = "strongroom-core"

// corePath finds it: beside this program, else in PATH.
func corePath() (string, error) {
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		path := filepath.Join(filepath.Dir(self), coreProgram)
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	path, err := exec.LookPath(coreProgram)
	if err != nil {
		return "", hint(fmt.Errorf("%s is neither beside this program nor in PATH", coreProgram), "install it beside strongroom; it is a program of its own so that what holds keys stays small")
	}
	return path, nil
}

type coreCmd struct {
	Args []string `arg:"" optional:"" help:"Command and flags of strongroom-core."`
}

// Run becomes strongroom-core: this process is replaced, so that signals, descriptors and exit status are its own.
func (c *coreCmd) Run(*env) error {
	path, err := corePath()
	if err != nil {
		return err
	}
	return fmt.Errorf("start %s: %w", path, syscall.Exec(path, append([]string{coreProgram}, c.Args...), os.Environ()))
}

// pipeOf gives the reading end of a pipe that holds a secret. The writing end is closed; a pipe takes a passphrase whole (pipe(7): 64 KiB).
func pipeOf(p secret.Bytes) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	err = p.Use(func(b []byte) error { _, err := w.Write(b); return err })
	if err = errors.Join(err, w.Close()); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// coreCommand prepares a run of strongroom-core whose passphrase comes through a pipe, as its descriptor 3; with the zero Bytes it gets none. The
// caller closes the pipe once the process has started.
func coreCommand(ctx context.Context, pass secret.Bytes, args ...string) (*exec.Cmd, *os.File, error) {
	path, err := corePath()
	if err != nil {
		return nil, nil, err
	}
	if pass.Len() == 0 {
		none, err := os.Open(os.DevNull)
		return exec.CommandContext(ctx, path, args...), none, err
	}
	r, err := pipeOf(pass)
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, path, append(args, "--passphrase-fd", "3")...)
	cmd.ExtraFiles = []*os.File{r}
	return cmd, r, nil
}

// runCore runs a command of strongroom-core to its end and gives what it wrote to standard output.
func (e *env) runCore(pass secret.Bytes, args ...string) (string, error) {
	cmd, pipe, err := coreCommand(e.ctx, pass, args...)
	if err != nil {
		return "", err
	}
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err = errors.Join(cmd.Run(), pipe.Close())
	var left *exec.ExitError
	if errors.As(err, &left) {
		return "", fmt.Errorf("%s %s: %s", coreProgram, args[0], cmp.Or(lastError(words.String()), left.Error()))
	}
	if err != nil {
		return "", err
	}
	_, _ = io.Copy(e.Err, &words)
	return strings.TrimSpace(out.String()), nil
}

// lastError gives what the core said went wrong, without the lines of its log; empty if it said nothing.
func lastError(words string) string {
	words = strings.TrimSpace(words)
	if i := strings.LastIndex(words, coreProgram+": error: "); i >= 0 {
		return words[i+len(coreProgram+": error: "):]
	}
	var said []string
	for l := range strings.Lines(words) {
		if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "{") {
			said = append(said, l)
		}
	}
	return strings.Join(said, "; ")
}

// runTalking is runCore for a command that asks back: the core writes its questions to one pipe and reads the replies from another (package
// coldtalk). What it says to people goes to standard error at once. Without talking it gets no pipes.
func (e *env) runTalking(pass secret.Bytes, talking bool, talk func(coldtalk.Question) (coldtalk.Reply, error), args ...string) ([]byte, error) {
	cmd, pipe, err := coreCommand(e.ctx, pass, args...)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	words := &safeBuffer{}
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(withoutErrors{e.Err}, words)
	ends := []*os.File{pipe}
	done := make(chan error, 1)
	if !talking {
		done <- nil
	} else {
		questions, asks, err := os.Pipe()
		if err != nil {
			return nil, errors.Join(err, pipe.Close())
		}
		replies, answers, err := os.Pipe()
		if err != nil {
			return nil, errors.Join(err, pipe.Close(), questions.Close(), asks.Close())
		}
		first := 3 + len(cmd.ExtraFiles)
		cmd.Args = append(cmd.Args, "--questions-fd", strconv.Itoa(first), "--replies-fd", strconv.Itoa(first+1))
		cmd.ExtraFiles = append(cmd.ExtraFiles, asks, replies)
		ends = append(ends, asks, replies)
		go func() { // ends when the core closes its end
			err := coldtalk.Serve(answers, questions, talk)
			done <- errors.Join(err, answers.Close(), questions.Close())
		}()
	}
	err = cmd.Start()
	for _, f := range ends {
		err = errors.Join(err, f.Close())
	}
	if err == nil {
		err = cmd.Wait()
	}
	talkErr := <-done
	var left *exec.ExitError
	if errors.As(err, &left) {
		return nil, fmt.Errorf("%s %s: %s", coreProgram, strings.Join(args[:2], " "), cmp.Or(lastError(words.text()), left.Error()))
	}
	return out.Bytes(), errors.Join(err, talkErr)
}

// withoutErrors leaves out the lines in which the core says why it ends: they are said once, by this program. The core writes whole lines.
type withoutErrors struct{ w io.Writer }

// Write implements [io.Writer].
func (f withoutErrors) Write(b []byte) (int, error) {
	if bytes.HasPrefix(b, []byte(coreProgram+": error: ")) {
		return len(b), nil
	}
	return f.w.Write(b)
}
