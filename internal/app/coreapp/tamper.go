// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/selftest"
)

// TamperFile is the file of a data folder whose appearance makes the core destroy its working keys, if no other is named. A switch of the
// machine's case, a script or 'strongroom hsm tamper' makes it; its first line is recorded as the cause.
const TamperFile = "tamper"

// tamperEvery is how often the file is looked for.
const tamperEvery = 250 * time.Millisecond

// maxTamper is how much of the file is read, in bytes.
const maxTamper = 1024

// tamperFile gives the path that is watched.
func (o Options) tamperFile() string {
	if o.TamperFile != "" {
		return o.TamperFile
	}
	return filepath.Join(o.Data, TamperFile)
}

// tampered says whether the file is there, and why. One that can't be looked at counts: who hides it would otherwise have won. But what
// anybody on the machine can bring about by using up its memory or open files does not.
func tampered(path string) (cause string, ok bool) {
	_, err := os.Stat(path) // opens nothing
	return judged(err, func() string { return firstLine(path) })
}

// fleeting are errors of a machine that is short of something. They say nothing about the file.
var fleeting = []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EINTR, unix.EAGAIN}

// judged says what the error of a look at the file means.
func judged(err error, read func() string) (cause string, ok bool) {
	switch {
	case err == nil:
		return read(), true
	case errors.Is(err, os.ErrNotExist), slices.ContainsFunc(fleeting, func(f error) bool { return errors.Is(err, f) }):
		return "", false
	default:
		return "the tamper file can't be read", true
	}
}

// firstLine gives the file's first line; it is there, whether or not it can be read.
func firstLine(path string) string {
	const none = "the tamper file appeared"
	f, err := os.Open(path)
	if err != nil {
		return none
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxTamper))
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if err != nil || line == "" {
		return none
	}
	return line
}

// tamperedBefore destroys the working keys of a domain that is not open yet, if the file is there. The domain then records it when it opens.
func (p *parts) tamperedBefore(ctx context.Context, o Options) error {
	cause, ok := tampered(o.tamperFile())
	if !ok {
		return nil
	}
	o.Log.ErrorContext(ctx, "tampering: the working keys are destroyed before the domain opens; remove the file before a restore", slog.String("file", o.tamperFile()), slog.String("cause", cause))
	if err := securedomain.MarkTampered(ctx, p.cfg.Arena, p.cfg.Root, cause); err != nil {
		return fmt.Errorf("tampering (%s): %w", cause, err)
	}
	return nil
}

// errTampered ends a start during which the file appeared.
var errTampered = errors.New("tampering while the core waited to open its domain; it records it at its next start")

// watchOpening looks for the file while the domain is being opened, which may wait for log witnesses or the time. When it appears the working
// keys are destroyed and the start ends.
func (p *parts) watchOpening(ctx context.Context, o Options, end context.CancelCauseFunc) {
	t := time.NewTicker(tamperEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if _, ok := tampered(o.tamperFile()); ok {
				end(errors.Join(errTampered, p.tamperedBefore(context.WithoutCancel(ctx), o)))
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// watchTamper looks for the file until ctx ends, and destroys the domain's working keys when it appears. The core goes on: it answers what a
// zeroized domain does.
func watchTamper(ctx context.Context, o Options, d *securedomain.Domain) {
	t := time.NewTicker(tamperEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if cause, ok := tampered(o.tamperFile()); ok {
				if err := d.Tamper(cause); err != nil {
					o.Log.ErrorContext(ctx, "tampering: not all could be done; the core ends and goes on at its next start", slog.Any("error", err))
				}
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// distrusts destroys the working keys after a self-test failed in a running core: what it computes can't be trusted with keys any more. At a
// start no root is opened then, so there is nothing to destroy.
func distrusts(d *securedomain.Domain, cause error) error {
	if !errors.Is(cause, selftest.ErrFailed) {
		return nil
	}
	return d.Tamper("a self-test failed: " + cause.Error())
}
