// SPDX-License-Identifier: Apache-2.0

package curve

import (
	"bytes"
	"runtime"
	"slices"
	"testing"

	"strongroom/internal/core/internal/curve/curvetest"
)

// traces are the forms in which a scalar lies in memory: any 8 of its bytes in a row, as given or as little-endian limbs.
func traces(stack []byte, sk []byte) int {
	found := 0
	little := slices.Clone(sk)
	slices.Reverse(little)
	for _, form := range [][]byte{sk, little} {
		for i := 0; i+8 <= len(form); i += 8 {
			found += bytes.Count(stack, form[i:i+8])
		}
	}
	return found
}

// TestNothingSecretStaysOnTheStack runs each operation and looks for the scalar on the stack it ran on. The same operation of the library
// alone is the control: over all operations it must leave traces, or the test shows nothing.
func TestNothingSecretStaysOnTheStack(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k := newKey(t, 77)
	sk := [32]byte(k.sk)
	msg := [32]byte{1: 1, 31: 9}
	library := curvetest.NewLibrary()
	ours := [curvetest.Operations]func() error{
		curvetest.PublicKey:     func() error { _, err := k.backend.PublicKey(k.sk); return err },
		curvetest.ECDSA:         func() error { _, _, err := k.backend.makeECDSA(k.sk, &msg, &msg); return err },
		curvetest.TweakAdd:      func() error { return k.backend.TweakAdd(k.sk, msg[:], make([]byte, 32)) },
		curvetest.BIP340:        func() error { _, _, err := k.backend.makeBIP340(k.sk, &k.pub, false, nil, msg[:], &msg); return err },
		curvetest.TweakedBIP340: func() error { _, _, err := k.backend.makeBIP340(k.sk, &k.pub, true, nil, msg[:], &msg); return err },
	}
	ours[curvetest.Agree] = func() error { return k.backend.Agree(k.sk, basePoint(t), make([]byte, 32)) }
	ours[curvetest.MulAdd] = func() error { return k.backend.MulAdd(k.sk, msg[:], msg[:], true, make([]byte, 32)) }
	control, stack := 0, new([curvetest.Room]byte)
	for operation, f := range ours {
		curvetest.Paint()
		if !library.Run(operation, &sk, &msg) {
			t.Fatalf("operation %d: the library refused", operation)
		}
		depth := curvetest.Depth()
		curvetest.Stack(stack)
		left := traces(stack[:], k.sk)
		control += left

		curvetest.Paint()
		if err := f(); err != nil {
			t.Fatalf("operation %d: %v", operation, err)
		}
		curvetest.Stack(stack)
		got := traces(stack[:], k.sk)
		t.Logf("operation %d: the library used %d bytes of stack and left %d traces; with erasing %d", operation, depth, left, got)
		if got != 0 {
			t.Errorf("operation %d left %d traces of the scalar on the stack", operation, got)
		}
		if depth > 8<<10 {
			t.Errorf("operation %d used %d bytes of stack, more than half of what is erased; raise SCRUB in backend.c", operation, depth)
		}
	}
	if control == 0 {
		t.Error("the library alone left no trace either, so this test shows nothing")
	}
}
