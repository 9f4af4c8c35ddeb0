// SPDX-License-Identifier: Apache-2.0

package tpmtest

import (
	"bytes"
	"errors"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/hsm/tpm2"
)

// ErrInjected is the error of an injected fault.
var ErrInjected = errors.New("injected fault of the TPM's transport")

// Faulty is a transport to a TPM that listens, fails, and lies. It is safe for concurrent use.
type Faulty struct {
	tpm *TPM

	mu     sync.Mutex // guards the rest
	n      int        // commands so far
	failAt int        // the command that fails; 0: none
	after  bool       // after its effect
	struck bool
	change func(n int, command, response []byte) []byte
	heard  bytes.Buffer
}

// Faulty gives a transport.
func (x *TPM) Faulty() *Faulty { return &Faulty{tpm: x} }

// Device opens a device on the transport and closes it when the test ends.
func (f *Faulty) Device(t testing.TB) *tpm2.Device {
	t.Helper()
	d := tpm2.NewDevice("faulty", f, 30*time.Second)
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// FailAt makes the n-th command from now on (1: the next) fail once, before or after its effect; 0: none.
func (f *Faulty) FailAt(n int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failAt, f.after, f.struck = f.n+n, after, false
	if n == 0 {
		f.failAt = 0
	}
}

// Struck says whether the fault happened.
func (f *Faulty) Struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.struck
}

// Change has a function see each command and its response, and give the response in its place. n counts commands from 1 on, from now.
func (f *Faulty) Change(change func(n int, command, response []byte) []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.change = 0, change
}

// Heard gives all bytes that went over the transport.
func (f *Faulty) Heard() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return bytes.Clone(f.heard.Bytes())
}

// Exchange implements [tpm2.Transport].
func (f *Faulty) Exchange(command []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	fails := f.n == f.failAt
	f.struck = f.struck || fails
	if fails && !f.after {
		return nil, ErrInjected
	}
	response, err := f.tpm.Send(command)
	f.heard.Write(command)
	f.heard.Write(response)
	if fails {
		return nil, ErrInjected
	}
	if err == nil && f.change != nil {
		response = f.change(f.n, command, response)
	}
	return response, err
}

// Close implements [tpm2.Transport].
func (f *Faulty) Close() error { return nil }
