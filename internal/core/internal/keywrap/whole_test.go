// SPDX-License-Identifier: Apache-2.0

package keywrap

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
)

// TestWhole runs the examples of RFC 3394 section 4, and refuses each altered bit and every other length.
func TestWhole(t *testing.T) {
	t.Parallel()
	for _, v := range []struct{ section, key, plain, wrapped string }{
		{"4.1", "000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff", "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"},
		{"4.2", "000102030405060708090a0b0c0d0e0f1011121314151617", "00112233445566778899aabbccddeeff", "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"},
		{"4.6", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
			"28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"},
	} {
		key, _ := hex.DecodeString(v.key)
		plain, _ := hex.DecodeString(v.plain)
		out := make([]byte, Size(len(plain)))
		if err := WrapWhole(key, plain, out); err != nil || hex.EncodeToString(out) != v.wrapped {
			t.Errorf("%s: got %x, %v", v.section, out, err)
		}
		got := make([]byte, len(plain))
		if n, err := UnwrapWhole(key, out, got); err != nil || n != len(plain) || !bytes.Equal(got, plain) {
			t.Errorf("%s: unwraps to %x, %v", v.section, got, err)
		}
		for i := range out {
			bad := bytes.Clone(out)
			bad[i] ^= 4
			if _, err := UnwrapWhole(key, bad, got); !errors.Is(err, ErrUnwrap) || !bytes.Equal(got, make([]byte, len(got))) {
				t.Errorf("%s: byte %d changed: %v, %x", v.section, i, err, got)
			}
		}
		if _, err := Unwrap(key, out, got); !errors.Is(err, ErrUnwrap) {
			t.Errorf("%s: taken for the padded form: %v", v.section, err)
		}
	}
	key := make([]byte, 16)
	for _, n := range []int{0, 8, 15, 17, MaxPlain + 8} {
		if err := WrapWhole(key, make([]byte, n), make([]byte, Size(n))); !errors.Is(err, ErrInput) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if _, err := UnwrapWhole(key, make([]byte, n), make([]byte, max(n-8, 0))); !errors.Is(err, ErrUnwrap) {
			t.Errorf("unwrap %d bytes: %v", n, err)
		}
	}
	if err := WrapWhole(key[:15], make([]byte, 16), make([]byte, 24)); !errors.Is(err, ErrInput) {
		t.Errorf("a key of 15 bytes: %v", err)
	}
}
