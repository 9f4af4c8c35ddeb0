// SPDX-License-Identifier: Apache-2.0

package secret

import (
	"bytes"
	"testing"
	"unsafe"
)

const trace = 0xa7

// leave puts a pattern on the stack and returns.
//
//go:noinline
func leave(sum *byte) {
	var b [512]byte
	for i := range b {
		b[i] = trace
	}
	for _, x := range b[:] {
		*sum += x
	}
}

// below copies n bytes of stack below its caller's frame.
//
//go:noinline
//go:nocheckptr
func below(out []byte) {
	var mark byte
	at := unsafe.Pointer(&mark)
	for i := range out {
		out[i] = *(*byte)(unsafe.Add(at, -i-1))
	}
}

// TestDoErasesTheStack leaves a pattern on the stack without Do, where it must be found (else the test shows nothing), and with Do.
func TestDoErasesTheStack(t *testing.T) {
	run := bytes.Repeat([]byte{trace}, 64)
	look := func(f func()) bool {
		out := make([]byte, 4096)
		var grow [16 << 10]byte
		wipe(grow[:])
		f()
		below(out)
		return bytes.Contains(out, run)
	}
	var sum byte
	if !look(func() { leave(&sum) }) {
		t.Skip("the stack below shows no trace without Do either")
	}
	if look(func() { Do(func() { leave(&sum) }) }) {
		t.Error("Do left a trace on the stack")
	}
}

func TestDoErasesAfterPanic(t *testing.T) {
	run := bytes.Repeat([]byte{trace}, 64)
	out := make([]byte, 4096)
	var sum byte
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was lost")
			}
		}()
		Do(func() { leave(&sum); panic("boom") })
	}()
	below(out)
	if bytes.Contains(out, run) {
		t.Error("Do left a trace on the stack")
	}
}
