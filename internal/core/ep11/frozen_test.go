// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"strongroom/internal/pure/ep11"
)

var update = flag.Bool("update", false, "make frozen files that don't exist")

// frozen reads a thing that callers hold, as it was made when its format was fixed. What exists is never changed: if it stops to be read, find
// another way.
func frozen(t *testing.T, name string, make func() []byte) []byte {
	t.Helper()
	path := filepath.Join("testdata", "frozen", name+".hex")
	text, err := os.ReadFile(path)
	if *update && errors.Is(err, fs.ErrNotExist) {
		text = []byte(hex.EncodeToString(make()) + "\n")
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	b, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestFrozen: blobs, public keys, states and wrapped keys of the first version are read for ever. The working key is 32 times 01, the domain 01
// and zeros, the caller 02 and zeros, the pattern 01 and zeros, the time 1,700,000,000.
func TestFrozen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	bound := flags(ep11.CKA_IBM_ATTRBOUND)
	secret := frozen(t, "secret", func() []byte { return b.generic(32, flags(ep11.CKA_SIGN, ep11.CKA_VERIFY)) })
	code := frozen(t, "code", func() []byte { return b.must(hmacWith(secret)).Data })
	if got := b.must(hmacWith(secret)).Data; !bytes.Equal(got, code) {
		t.Errorf("code %x", got)
	}
	state := frozen(t, "state", func() []byte {
		s := b.must(ep11.Call{Function: ep11.FnSignInit, Mechanism: mech(ep11.CKM_SHA256_HMAC), Key: secret}).State
		return b.must(ep11.Call{Function: ep11.FnSignUpdate, State: s, Data: []byte("x")}).State
	})
	if got := b.must(ep11.Call{Function: ep11.FnSignFinal, State: state}).Data; !bytes.Equal(got, code) {
		t.Errorf("code %x in parts", got)
	}
	var private, public []byte
	private = frozen(t, "private", func() []byte {
		private, public = b.pair(ep11.OIDSecp256k1, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
		return private
	})
	public = frozen(t, "public", func() []byte { return public })
	sig := b.must(ep11.Call{Function: ep11.FnSignSingle, Mechanism: mech(ep11.CKM_ECDSA), Key: private, Data: []byte("x")}).Data
	checkVerify(b, ep11.CKM_ECDSA, public, []byte("x"), sig)
	kek := frozen(t, "kek", func() []byte { return b.aes(32, bound, flags(ep11.CKA_WRAP, ep11.CKA_UNWRAP)) })
	mac := frozen(t, "mac", func() []byte { return b.generic(32, bound) })
	wrapped := frozen(t, "wrapped", func() []byte {
		key := b.aes(32, bound, flags(ep11.CKA_EXTRACTABLE, ep11.CKA_ENCRYPT))
		return b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), Key: key, Key2: kek, Key3: mac}).Data
	})
	got := b.must(ep11.Call{Function: ep11.FnUnwrapKey, Mechanism: mech(ep11.CKM_IBM_ATTRIBUTEBOUND_WRAP), Data: wrapped, Key2: kek, Key3: mac, Template: number(ep11.CKA_KEY_TYPE, ep11.CKK_AES)})
	sum := frozen(t, "sum", func() []byte { return got.CheckSum })
	if !bytes.Equal(got.CheckSum, sum) || !b.get(got.Key, ep11.CKA_ENCRYPT).Has(ep11.CKA_ENCRYPT) {
		t.Errorf("check sum %x", got.CheckSum)
	}
}
