// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"crypto/rand"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/ep11"
)

// operation kinds that work in parts.
type inParts struct {
	name                      string
	m                         *ep11.Mechanism
	key                       []byte
	init, update, final, once ep11.Function
	single                    ep11.Function
}

func kinds(b *bench) []inParts {
	aes := b.aes(32, flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_SIGN))
	des := b.must(ep11.Call{Function: ep11.FnGenerateKey, Mechanism: mech(ep11.CKM_DES3_KEY_GEN), Template: flags(ep11.CKA_ENCRYPT, ep11.CKA_DECRYPT, ep11.CKA_SIGN)}).Key
	iv16, iv8 := make([]byte, 16), make([]byte, 8)
	rand.Read(iv16)
	rand.Read(iv8)
	var out []inParts
	crypt := func(name string, m *ep11.Mechanism, key []byte) {
		out = append(out, inParts{name, m, key, ep11.FnEncryptInit, ep11.FnEncryptUpdate, ep11.FnEncryptFinal, ep11.FnEncrypt, ep11.FnEncryptSingle})
	}
	sign := func(name string, m uint64, key []byte) {
		out = append(out, inParts{name, mech(m), key, ep11.FnSignInit, ep11.FnSignUpdate, ep11.FnSignFinal, ep11.FnSign, ep11.FnSignSingle})
	}
	crypt("AES-ECB", mech(ep11.CKM_AES_ECB), aes)
	crypt("AES-CBC", withIV(ep11.CKM_AES_CBC, iv16), aes)
	crypt("AES-CBC-PAD", withIV(ep11.CKM_AES_CBC_PAD, iv16), aes)
	crypt("AES-CTR", withIV(ep11.CKM_AES_CTR, iv16), aes)
	crypt("DES3-ECB", mech(ep11.CKM_DES3_ECB), des)
	crypt("DES3-CBC", withIV(ep11.CKM_DES3_CBC, iv8), des)
	crypt("DES3-CBC-PAD", withIV(ep11.CKM_DES3_CBC_PAD, iv8), des)
	sign("AES-CMAC", ep11.CKM_AES_CMAC, aes)
	sign("IBM-CMAC DES3", ep11.CKM_IBM_CMAC, des)
	for _, m := range []uint64{ep11.CKM_SHA_1_HMAC, ep11.CKM_SHA256_HMAC, ep11.CKM_SHA512_HMAC, ep11.CKM_SHA512_224_HMAC, ep11.CKM_IBM_SHA3_256_HMAC} {
		sign(ep11.MechanismName(m), m, aes)
	}
	for _, m := range []uint64{ep11.CKM_SHA_1, ep11.CKM_SHA224, ep11.CKM_SHA256, ep11.CKM_SHA384, ep11.CKM_SHA512, ep11.CKM_SHA512_224, ep11.CKM_SHA512_256, ep11.CKM_IBM_SHA3_224, ep11.CKM_IBM_SHA3_512} {
		out = append(out, inParts{ep11.MechanismName(m), mech(m), nil, ep11.FnDigestInit, ep11.FnDigestUpdate, ep11.FnDigestFinal, ep11.FnDigest, ep11.FnDigestSingle})
	}
	return out
}

// decryption gives the kind that undoes an encryption.
func (k inParts) decryption() inParts {
	k.init, k.update, k.final, k.once, k.single = ep11.FnDecryptInit, ep11.FnDecryptUpdate, ep11.FnDecryptFinal, ep11.FnDecrypt, ep11.FnDecryptSingle
	return k
}

// parts runs an operation in parts.
func (b *bench) parts(k inParts, parts ...[]byte) ([]byte, error) {
	state := b.must(ep11.Call{Function: k.init, Mechanism: k.m, Key: k.key}).State
	var out []byte
	for _, p := range parts {
		a, err := b.do(ep11.Call{Function: k.update, State: state, Data: p})
		if err != nil {
			return nil, err
		}
		state, out = a.State, append(out, a.Data...)
	}
	a, err := b.do(ep11.Call{Function: k.final, State: state})
	return append(out, a.Data...), err
}

// TestParts: however data is cut, the parts make what the whole makes.
func TestParts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, k := range kinds(b) {
		t.Run(k.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var cut [][]byte
				n := rapid.IntRange(1, 5).Draw(t, "parts")
				total := 0
				for i := range n {
					size := rapid.IntRange(1, 40).Draw(t, "size")
					if i == n-1 {
						size += (16 - (total+size)%16) % 16
					}
					total += size
					part := make([]byte, size)
					rand.Read(part)
					cut = append(cut, part)
				}
				whole := bytes.Join(cut, nil)
				want := b.must(ep11.Call{Function: k.single, Mechanism: k.m, Key: k.key, Data: whole}).Data
				state := b.must(ep11.Call{Function: k.init, Mechanism: k.m, Key: k.key}).State
				if once := b.must(ep11.Call{Function: k.once, State: state, Data: whole}).Data; !bytes.Equal(once, want) {
					t.Fatal("once and single differ")
				}
				got, err := b.parts(k, cut...)
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("parts make another result: %v", err)
				}
				if k.init != ep11.FnEncryptInit {
					return
				}
				d := k.decryption()
				if plain := b.must(ep11.Call{Function: d.single, Mechanism: d.m, Key: d.key, Data: want}).Data; !bytes.Equal(plain, whole) {
					t.Fatal("does not decrypt")
				}
				at := rapid.IntRange(1, len(want)-1).Draw(t, "at")
				if plain, err := b.parts(d, want[:at], want[at:]); err != nil || !bytes.Equal(plain, whole) {
					t.Fatalf("does not decrypt in parts: %v", err)
				}
			})
		})
	}
}

// TestSignaturesInParts: hashed signatures may come in parts, and verify in parts.
func TestSignaturesInParts(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	sk, pk := b.pair(ep11.OIDP384, flags(ep11.CKA_SIGN), flags(ep11.CKA_VERIFY))
	key := inParts{"", mech(ep11.CKM_ECDSA_SHA384), sk, ep11.FnSignInit, ep11.FnSignUpdate, ep11.FnSignFinal, ep11.FnSign, ep11.FnSignSingle}
	sig, err := b.parts(key, []byte("one "), []byte("two"))
	if err != nil {
		t.Fatal(err)
	}
	checkVerify(b, ep11.CKM_ECDSA_SHA384, pk, []byte("one two"), sig)
	state := b.must(ep11.Call{Function: ep11.FnVerifyInit, Mechanism: mech(ep11.CKM_ECDSA_SHA384), Key: pk}).State
	b.must(ep11.Call{Function: ep11.FnVerify, State: state, Data: []byte("one two"), Signature: sig})
	state = b.must(ep11.Call{Function: ep11.FnVerifyUpdate, State: state, Data: []byte("one t")}).State
	state = b.must(ep11.Call{Function: ep11.FnVerifyUpdate, State: state, Data: []byte("wo")}).State
	b.must(ep11.Call{Function: ep11.FnVerifyFinal, State: state, Signature: sig})
	b.must(ep11.Call{Function: ep11.FnVerifyFinal, State: state, Signature: sig}) // a state may be used again
	b.refused(ep11.CKR_SIGNATURE_INVALID, ep11.Call{Function: ep11.FnVerifyFinal, State: state, Signature: flip(sig, 3)})
	b.refused(ep11.CKR_OPERATION_ACTIVE, ep11.Call{Function: ep11.FnVerify, State: state, Signature: sig})
}

func TestStates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.aes(32, flags(ep11.CKA_SIGN, ep11.CKA_ENCRYPT))
	init := ep11.Call{Function: ep11.FnSignInit, Mechanism: mech(ep11.CKM_SHA256_HMAC), Key: key}
	state := b.must(init).State
	once := func(s []byte) ep11.Call { return ep11.Call{Function: ep11.FnSign, State: s, Data: []byte("x")} }
	b.must(once(state))
	for i := range state {
		b.refused(ep11.CKR_SAVED_STATE_INVALID, once(flip(state, i)))
		if i > 0 {
			b.refused(ep11.CKR_SAVED_STATE_INVALID, once(state[:i]))
		}
	}
	b.refused(ep11.CKR_SAVED_STATE_INVALID, once(append(bytes.Clone(state), 0)))
	b.refused(ep11.CKR_OPERATION_NOT_INITIALIZED, once(nil))
	for _, f := range []ep11.Function{ep11.FnVerify, ep11.FnVerifyUpdate, ep11.FnEncrypt, ep11.FnEncryptUpdate, ep11.FnEncryptFinal, ep11.FnDecrypt, ep11.FnDigest, ep11.FnDigestUpdate, ep11.FnDigestFinal, ep11.FnDigestKey} {
		b.refused(ep11.CKR_OPERATION_NOT_INITIALIZED, ep11.Call{Function: f, State: state, Data: []byte("x"), Key: key})
	}
	b.refused(ep11.CKR_SAVED_STATE_INVALID, once(key))
	b.refused(ep11.CKR_IBM_BLOB_ERROR, hmacWith(append(make([]byte, sessionSize), state...)))

	home := b.env
	b.env.Owner[0]++
	b.refused(ep11.CKR_SAVED_STATE_INVALID, once(state))
	b.env = home
	b.env.Domain[0]++
	b.refused(ep11.CKR_SAVED_STATE_INVALID, once(state))
	b.env = home
	b.env.Now += stateLife - 1
	b.must(once(state))
	b.env.Now++
	b.refused(ep11.CKR_SAVED_STATE_INVALID, once(state))
	b.env = home
	b.env.Current = epoch(t, home.Arena, 2)
	b.refused(ep11.CKR_SAVED_STATE_INVALID, once(state))
	b.env.Previous = home.Current
	begun := b.must(ep11.Call{Function: ep11.FnSignUpdate, State: state, Data: []byte("x")}).State // goes on over a change of the working key
	b.env = home
	b.must(ep11.Call{Function: ep11.FnSignFinal, State: begun})
	b.refused(ep11.CKR_OPERATION_ACTIVE, once(begun))
	b.env.Current = nil
	b.refused(ep11.CKR_IBM_WK_NOT_INITIALIZED, once(state))
	b.refused(ep11.CKR_IBM_WK_NOT_INITIALIZED, init)
	b.refused(ep11.CKR_IBM_WK_NOT_INITIALIZED, ep11.Call{Function: ep11.FnDigestInit, Mechanism: mech(ep11.CKM_SHA256)})
	b.env = home

	digests := b.must(ep11.Call{Function: ep11.FnDigestInit, Mechanism: mech(ep11.CKM_IBM_SHA3_512)}).State
	b.refused(ep11.CKR_ARGUMENTS_BAD, ep11.Call{Function: ep11.FnDigest, State: digests})
	b.refused(ep11.CKR_ARGUMENTS_BAD, ep11.Call{Function: ep11.FnDigestUpdate, State: digests})
	digests = b.must(ep11.Call{Function: ep11.FnDigestUpdate, State: digests, Data: []byte("x")}).State
	if len(digests) > 1024 {
		t.Errorf("a digest's state of %d bytes", len(digests))
	}
	b.refused(ep11.CKR_OPERATION_ACTIVE, ep11.Call{Function: ep11.FnDigest, State: digests, Data: []byte("x")})
}

// TestDigestKey: an extractable secret key is hashed as data, no other is.
func TestDigestKey(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	state := b.must(ep11.Call{Function: ep11.FnDigestInit, Mechanism: mech(ep11.CKM_SHA256)}).State
	sk, pk := b.pair(ep11.OIDP256, flags(ep11.CKA_SIGN, ep11.CKA_EXTRACTABLE), flags(ep11.CKA_VERIFY))
	for _, k := range [][]byte{b.aes(32), sk, pk} {
		b.refused(ep11.CKR_KEY_INDIGESTIBLE, ep11.Call{Function: ep11.FnDigestKey, State: state, Key: k})
	}
	key := b.aes(32, flags(ep11.CKA_EXTRACTABLE))
	state = b.must(ep11.Call{Function: ep11.FnDigestKey, State: state, Key: key}).State
	got := b.must(ep11.Call{Function: ep11.FnDigestFinal, State: state}).Data
	if want := sum256(b.exported(key)); !bytes.Equal(got, want) {
		t.Error("not the hash of the key")
	}
}

// exported gives the content of an extractable key, by wrapping it under a key that decrypts.
func (b *bench) exported(key []byte) []byte {
	b.t.Helper()
	kek := b.aes(32, flags(ep11.CKA_WRAP, ep11.CKA_DECRYPT))
	m := withIV(ep11.CKM_AES_CBC_PAD, make([]byte, 16))
	wrapped := b.must(ep11.Call{Function: ep11.FnWrapKey, Mechanism: m, Key: key, Key2: kek}).Data
	return b.must(ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: m, Key: kek, Data: wrapped}).Data
}

// TestCounterWraps: a counter that overflows between two parts goes on as one that overflows within one.
func TestCounterWraps(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := b.aes(16, flags(ep11.CKA_ENCRYPT))
	for _, iv := range [][]byte{bytes.Repeat([]byte{0xff}, 16), append(make([]byte, 8), bytes.Repeat([]byte{0xff}, 8)...)} {
		k := inParts{"", withIV(ep11.CKM_AES_CTR, iv), key, ep11.FnEncryptInit, ep11.FnEncryptUpdate, ep11.FnEncryptFinal, ep11.FnEncrypt, ep11.FnEncryptSingle}
		data := make([]byte, 64)
		want := b.must(ep11.Call{Function: ep11.FnEncryptSingle, Mechanism: k.m, Key: key, Data: data}).Data
		if got, err := b.parts(k, data[:16], data[16:35], data[35:]); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%x: %v", iv, err)
		}
	}
}
