// SPDX-License-Identifier: Apache-2.0

// Package curvetest looks at the C stack that package curve's calls ran on, to show that they erase what the library leaves there. Tests
// alone import it: cgo can't stand in test files. Callers hold the thread with runtime.LockOSThread.
package curvetest

/*
#cgo pkg-config: libsecp256k1
#cgo CFLAGS: -O2 -Wall
#include "stack.h"
*/
import "C"

import "unsafe"

// Room is how many bytes of stack are looked at.
const Room = C.ST_ROOM

// Operations of [Library.Run].
const (
	PublicKey = iota
	ECDSA
	TweakAdd
	BIP340
	TweakedBIP340
	Agree
	MulAdd
	Operations // how many there are
)

// Library is libsecp256k1 called without erasing anything: the control that shows what would be left.
type Library struct{ ctx *C.secp256k1_context }

// NewLibrary makes a context.
func NewLibrary() *Library { return &Library{C.st_context()} }

// Run does an operation with a scalar and 32 bytes and reports whether the library agreed.
func (l *Library) Run(operation int, sk, msg *[32]byte) bool {
	return C.st_raw(l.ctx, C.int(operation), (*C.uchar)(unsafe.Pointer(sk)), (*C.uchar)(unsafe.Pointer(msg))) == 1
}

// Paint fills the stack below the caller with a pattern.
func Paint() { C.st_paint() }

// Depth returns how many bytes of the pattern have been overwritten since Paint, from the top.
func Depth() int { return int(C.st_depth()) }

// Stack copies the stack below the caller to out. It allocates nothing, because the runtime allocates on the very stack it copies.
func Stack(out *[Room]byte) { C.st_copy((*C.uchar)(unsafe.Pointer(out))) }
