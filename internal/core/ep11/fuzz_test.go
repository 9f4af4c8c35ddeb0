// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
)

// FuzzCall gives the engine any call, with good keys in place of the blobs that it can't make. Whatever comes is an answer or a return code, and
// no secret stays behind in the arena.
func FuzzCall(f *testing.F) {
	b := newBench(f)
	all := flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_WRAP, ep11.CKA_UNWRAP, ep11.CKA_SIGN, ep11.CKA_VERIFY, ep11.CKA_DERIVE, ep11.CKA_EXTRACTABLE)
	aes, mac := b.aes(32, all), b.generic(32, all)
	sk, pk := b.pair(ep11.OIDP256, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	keys := [][]byte{nil, aes, mac, sk, pk}
	state := b.must(ep11.Call{Function: ep11.FnSignInit, Mechanism: mech(ep11.CKM_SHA256_HMAC), Key: mac}).State
	for _, c := range []ep11.Call{
		{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_AES_KEY_GEN), Template: and(all, number(ep11.CKA_VALUE_LEN, 32))},
		{Function: ep11.FnGenerateKeyPair, Mechanism: mech(ep11.CKM_EC_KEY_PAIR_GEN), Template2: bytesOf(ep11.CKA_EC_PARAMS, ep11.OIDP256)},
		{Function: ep11.FnEncryptSingle, Mechanism: withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16)), Data: []byte("text")},
		{Function: ep11.FnSignFinal, State: state},
		{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_TRANSPORTKEY), Data: pk},
		{Function: ep11.FnGetAttribute, Template: ep11.Template{ep11.CKA_CLASS: {}}},
	} {
		f.Add(c.Encode(), uint8(1), uint8(1))
	}
	live := b.env.Arena.Usage().Live - 2*b.env.Opened.Kept()
	f.Fuzz(func(t *testing.T, in []byte, one, two uint8) {
		c, err := ep11.DecodeCall(in)
		if err != nil {
			if ep11.FailureOf(err).Code == ep11.CKR_GENERAL_ERROR {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(c.Encode(), in) {
			t.Fatal("another encoding")
		}
		if c.Mechanism != nil && c.Mechanism.Type == ep11.CKM_RSA_PKCS_KEY_PAIR_GEN {
			return // seconds each
		}
		if len(c.Key) == 0 {
			c.Key = keys[int(one)%len(keys)]
		}
		if len(c.Key2) == 0 {
			c.Key2 = keys[int(two)%len(keys)]
		}
		a, _, err := b.e.Do(context.Background(), b.env, c)
		if err != nil && (ep11.FailureOf(err).Code == ep11.CKR_GENERAL_ERROR || errors.Is(err, family.ErrFault)) {
			t.Fatalf("%s: %v", c.Function, err)
		}
		if n := b.env.Arena.Usage().Live - 2*b.env.Opened.Kept(); n != live { // each key that is kept open has a pad
			t.Fatalf("%s leaves %d secrets behind", c.Function, n-live)
		}
		if _, err := ep11.DecodeAnswer(a.Encode()); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzBlob gives the engine any bytes as a key and as a state: none of them opens but the good one.
func FuzzBlob(f *testing.F) {
	b := newBench(f)
	blob := b.generic(32, flags(ep11.CKA_SIGN))
	_, pk := b.pair(ep11.OIDP256, nil, flags(ep11.CKA_VERIFY))
	state := b.must(ep11.Call{Function: ep11.FnSignInit, Mechanism: mech(ep11.CKM_SHA256_HMAC), Key: blob}).State
	f.Add(flip(blob, 40)) // not the good ones: each process that fuzzes has its own
	f.Add(flip(pk, 80))
	f.Add(flip(state, 40))
	f.Fuzz(func(t *testing.T, in []byte) {
		if _, _, err := b.e.Do(context.Background(), b.env, hmacWith(in)); err == nil && !bytes.Equal(in, blob) {
			t.Fatal("an altered blob opens")
		}
		if _, _, err := b.e.Do(context.Background(), b.env, ep11.Call{Function: ep11.FnSign, State: in}); err == nil && !bytes.Equal(in, state) {
			t.Fatal("an altered state opens")
		}
		_, _, err := b.e.Do(context.Background(), b.env, ep11.Call{Function: ep11.FnVerifySingle, Mechanism: mech(ep11.CKM_ECDSA), Key: in, Data: []byte("x"), Signature: make([]byte, 64)})
		if codeOf(err) == ep11.CKR_GENERAL_ERROR || err == nil {
			t.Fatalf("got %v", err)
		}
	})
}

// TestEveryCodeIsTested: a return code that the engine or a classical family can give stands in one of these tests.
func TestEveryCodeIsTested(t *testing.T) {
	t.Parallel()
	code := regexp.MustCompile(`\bep11\.(CKR_[A-Z0-9_]+)`)
	read := func(pattern string, tests bool) map[string]bool {
		found := map[string]bool{}
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") != tests {
				continue
			}
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range code.FindAllStringSubmatch(string(text), -1) {
				found[m[1]] = true
			}
		}
		return found
	}
	tested := read("*.go", true)
	given := read("*.go", false)
	for _, dir := range []string{"elliptic", "rsakey", "symmetric", "digest"} {
		for c := range read("family/"+dir+"/*.go", false) {
			given[c] = true
		}
	}
	if len(given) < 30 {
		t.Fatalf("only %d codes", len(given))
	}
	for c := range given {
		if !tested[c] {
			t.Errorf("%s is given and not tested", c)
		}
	}
}
