// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"crypto/aes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/secret"
)

// cmacOf is AES-CMAC (RFC 4493) as a second opinion.
func cmacOf(t *testing.T, key, msg []byte) []byte {
	t.Helper()
	c, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	double := func(in []byte) []byte {
		out, carry := make([]byte, 16), byte(0)
		for i := 15; i >= 0; i-- {
			out[i], carry = in[i]<<1|carry, in[i]>>7
		}
		out[15] ^= carry * 0x87
		return out
	}
	k1 := make([]byte, 16)
	c.Encrypt(k1, k1)
	k1 = double(k1)
	last, full := k1, len(msg) > 0 && len(msg)%16 == 0
	if !full {
		last = double(k1)
		msg = append(bytes.Clone(msg), 0x80)
		msg = append(msg, make([]byte, (16-len(msg)%16)%16)...)
	}
	state := make([]byte, 16)
	for i := 0; i < len(msg); i += 16 {
		for j := range 16 {
			state[j] ^= msg[i+j]
			if i+16 == len(msg) {
				state[j] ^= last[j]
			}
		}
		c.Encrypt(state, state)
	}
	return state
}

// TestContribution imports a known key and compares the token's contribution with SP 800-108 written out.
func TestContribution(t *testing.T) {
	t.Parallel()
	rfc := func(s string) []byte { b, _ := hex.DecodeString(s); return b }
	// RFC 4493 section 4, examples 1 and 2.
	key := rfc("2b7e151628aed2a6abf7158809cf4f3c")
	if !bytes.Equal(cmacOf(t, key, nil), rfc("bb1d6929e95937287fa37d129b756746")) || !bytes.Equal(cmacOf(t, key, rfc("6bc1bee22e409f96e93d7e117393172a")), rfc("070a16b46b4d4144f79bdd9dd04a287c")) {
		t.Fatal("the second opinion is wrong")
	}
	b := softHSM(t)
	l := b.library(t, nil)
	r := mustCreate(t, l, durable.OS(), config(t, l, b.token(t)))
	key = bytes.Repeat([]byte{9}, 32)
	got, err := with(t.Context(), r.token, "contribute", func(m module, s p11.SessionHandle) (secret.Bytes, error) {
		o, err := b.mod.CreateObject(s, []*p11.Attribute{attr(p11.CKA_CLASS, uint(p11.CKO_SECRET_KEY)), attr(p11.CKA_KEY_TYPE, uint(p11.CKK_AES)), attr(p11.CKA_VALUE, key),
			attr(p11.CKA_TOKEN, false), attr(p11.CKA_SIGN, true)})
		if err != nil {
			return secret.Bytes{}, err
		}
		return r.contribute(m, s, o, []byte("the header"))
	})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	context := sha256.Sum256([]byte("strongroom/token-root/v1\x00the header"))
	var want []byte
	for i := range uint32(2) {
		in := binary.BigEndian.AppendUint32(nil, i+1)
		in = append(in, "strongroom/token-root/v1\x00"...)
		in = append(in, context[:]...)
		want = append(want, cmacOf(t, key, append(in, 0, 0, 1, 0))...)
	}
	if !got.Equal(take(t, l, string(want))) {
		t.Errorf("another contribution than %x", want)
	}
	if s := hex.EncodeToString(want); s != "faeeb7d35a22fab56bdb910411df1b5b8768d88d83b6852e266f53b838a8eb25" {
		t.Errorf("docs/spec/blob.md has another contribution than %s", s)
	}
}

// TestEnvelopeKey compares with RFC 5869 written out, and with the example in docs/spec/blob.md.
func TestEnvelopeKey(t *testing.T) {
	t.Parallel()
	l := softHSM(t).library(t, nil)
	for unlock, example := range map[string]string{
		"":                         "accf3e96c9e35cac32f289f1b626b9bc13bfcc2c65a7771a16d4c3c50c3455a1",
		strings.Repeat("\x03", 32): "ce6605fd0478b457f1dca944708775db9dce5155e71cc4390fafe62aaabc73fc",
	} {
		r := &Root{lib: l}
		if unlock != "" {
			r.unlock = take(t, l, unlock)
		}
		part, contribution := strings.Repeat("\x01", 32), strings.Repeat("\x02", 32)
		key, err := r.envelopeKey([]byte("the header"), take(t, l, part), take(t, l, contribution))
		if err != nil {
			t.Fatal(err)
		}
		defer key.Wipe()
		info := sha256.Sum256([]byte("strongroom/token-root/v1\x00the header"))
		mac := func(key, msg []byte) []byte { h := hmac.New(sha512.New384, key); h.Write(msg); return h.Sum(nil) }
		want := mac(mac(make([]byte, 48), []byte(part+contribution+unlock)), append(info[:], 1))[:32]
		if !key.Equal(take(t, l, string(bytes.Clone(want)))) {
			t.Errorf("unlock %x: another key than %x", unlock, want)
		}
		if hex.EncodeToString(want) != example {
			t.Errorf("docs/spec/blob.md has another key than %x", want)
		}
	}
	r := &Root{lib: l}
	if _, err := r.envelopeKey(nil, secret.Bytes{}, take(t, l, "x")); !errors.Is(err, secret.ErrWiped) {
		t.Errorf("without a part: got error %v", err)
	}
}
