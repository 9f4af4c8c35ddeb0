// SPDX-License-Identifier: Apache-2.0

package derive

import (
	"bytes"
	"crypto"
	"crypto/des" //nolint:gosec // what is tested
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

func derive(t testing.TB, tools family.Tools, m ep11.Mechanism, ckk uint64, base, data []byte, of uint64, length int) ([]byte, error) {
	t.Helper()
	key := family.Key{Type: ckk, Secret: familytest.Secret(t, tools, base)}
	defer key.Secret.Wipe()
	out, err := familytest.Row(t, Set(), m.Type, family.KeyType{Type: ckk}).Derive.Derive(t.Context(), tools, family.Derivation{Mechanism: m, Base: &key, Data: data, Type: of, Length: length})
	if err != nil {
		return nil, err
	}
	if out.Type != of || out.Public != nil {
		t.Error("derived something else")
	}
	return familytest.Reveal(t, out.Secret), nil
}

// TestHashed compares with the hashes of the standard library, for keys of all lengths and types.
func TestHashed(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	for m, h := range map[uint64]crypto.Hash{ep11.CKM_SHA1_KEY_DERIVATION: crypto.SHA1, ep11.CKM_SHA224_KEY_DERIVATION: crypto.SHA224, ep11.CKM_SHA256_KEY_DERIVATION: crypto.SHA256,
		ep11.CKM_SHA384_KEY_DERIVATION: crypto.SHA384, ep11.CKM_SHA512_KEY_DERIVATION: crypto.SHA512} {
		rapid.Check(t, func(r *rapid.T) {
			base := rapid.SliceOfN(rapid.Byte(), 10, 200).Draw(r, "base")
			n := rapid.OneOf(rapid.Just(0), rapid.IntRange(ep11.MinSecret, h.Size())).Draw(r, "n")
			hash := h.New()
			hash.Write(base)
			want := hash.Sum(nil)
			if n > 0 {
				want = want[:n]
			}
			got, err := derive(t, tools, ep11.Mechanism{Type: m}, ep11.CKK_GENERIC_SECRET, base, nil, ep11.CKK_GENERIC_SECRET, n)
			if err != nil || !bytes.Equal(got, want) {
				r.Fatalf("got %x and %v, want %x", got, err, want)
			}
		})
		hash := h.New()
		hash.Write(make([]byte, 24))
		want := hash.Sum(nil)[:16]
		for _, ckk := range []uint64{ep11.CKK_DES3, ep11.CKK_AES, ep11.CKK_SHA256_HMAC} {
			got, err := derive(t, tools, ep11.Mechanism{Type: m}, ckk, make([]byte, 24), nil, ep11.CKK_AES, 16)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("key type 0x%x: got %x and %v, want %x", ckk, got, err, want)
			}
		}
	}
}

// TestEncrypted compares with encryption block by block, from both places of the data, under both kinds of keys; DES keys get odd parity.
func TestEncrypted(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	rapid.Check(t, func(r *rapid.T) {
		ckk := rapid.SampledFrom([]uint64{ep11.CKK_DES2, ep11.CKK_DES3}).Draw(r, "type")
		size := map[uint64]int{ep11.CKK_DES2: 16, ep11.CKK_DES3: 24}[ckk]
		base := rapid.SliceOfN(rapid.Byte(), size, size).Draw(r, "base")
		data := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(r, "data"), rapid.IntRange(3, 6).Draw(r, "blocks"))
		data[0] ^= 1
		cipher, err := des.NewTripleDESCipher(append(bytes.Clone(base), base...)[:24]) //nolint:gosec // what is tested
		if err != nil {
			r.Fatal(err)
		}
		want := make([]byte, len(data))
		for at := 0; at < len(data); at += 8 {
			cipher.Encrypt(want[at:], data[at:])
		}
		inParameter := ep11.Mechanism{Type: ep11.CKM_DES3_ECB_ENCRYPT_DATA, Parameter: data}
		inCall := ep11.Mechanism{Type: ep11.CKM_DES3_ECB_ENCRYPT_DATA}
		for n, of := range map[int]uint64{0: ep11.CKK_GENERIC_SECRET, 13: ep11.CKK_GENERIC_SECRET, 16: ep11.CKK_AES, 24: ep11.CKK_DES3} {
			wanted := bytes.Clone(want)
			if n > 0 {
				wanted = wanted[:n]
			}
			if of == ep11.CKK_DES3 {
				family.OddParity(wanted)
			}
			a, errA := derive(t, tools, inParameter, ckk, base, nil, of, n)
			b, errB := derive(t, tools, inCall, ckk, base, data, of, n)
			if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, wanted) || !bytes.Equal(b, wanted) {
				r.Fatalf("got %x and %x, %v; want %x", a, b, err, wanted)
			}
		}
	})
}

// TestParity: each byte of a DES key has an odd number of bits, and its other bits are left alone.
func TestParity(t *testing.T) {
	t.Parallel()
	for b := range 256 {
		key := []byte{byte(b)}
		family.OddParity(key)
		n := 0
		for i := range 8 {
			n += int(key[0]>>i) & 1
		}
		if n%2 != 1 || key[0]&0xfe != byte(b)&0xfe {
			t.Errorf("%08b became %08b", b, key[0])
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	sha, ecb := uint64(ep11.CKM_SHA256_KEY_DERIVATION), uint64(ep11.CKM_DES3_ECB_ENCRYPT_DATA)
	block, base := make([]byte, 16), make([]byte, 24)
	for _, tt := range []struct {
		name   string
		m      ep11.Mechanism
		data   []byte
		of     uint64
		length int
		want   ep11.Code
	}{
		{"hash with a parameter", ep11.Mechanism{Type: sha, Parameter: block}, nil, ep11.CKK_AES, 16, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hash with data", ep11.Mechanism{Type: sha}, block, ep11.CKK_AES, 16, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"hash with a structure", ep11.Mechanism{Type: sha, ECDH: &ep11.ECDH{}}, nil, ep11.CKK_AES, 16, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"longer than the hash", ep11.Mechanism{Type: sha}, nil, ep11.CKK_GENERIC_SECRET, 33, ep11.CKR_KEY_SIZE_RANGE},
		{"shorter than a secret", ep11.Mechanism{Type: sha}, nil, ep11.CKK_GENERIC_SECRET, 9, ep11.CKR_KEY_SIZE_RANGE},
		{"an HMAC key of a byte", ep11.Mechanism{Type: sha}, nil, ep11.CKK_SHA256_HMAC, 1, ep11.CKR_KEY_SIZE_RANGE},
		{"a block of 8 bytes", ep11.Mechanism{Type: ecb, Parameter: block[:8]}, nil, ep11.CKK_GENERIC_SECRET, 0, ep11.CKR_KEY_SIZE_RANGE},
		{"AES of no length", ep11.Mechanism{Type: sha}, nil, ep11.CKK_AES, 0, ep11.CKR_TEMPLATE_INCOMPLETE},
		{"DES3 of SHA-1", ep11.Mechanism{Type: ep11.CKM_SHA1_KEY_DERIVATION}, nil, ep11.CKK_DES3, 24, ep11.CKR_KEY_SIZE_RANGE},
		{"a curve's key", ep11.Mechanism{Type: sha}, nil, ep11.CKK_EC, 32, ep11.CKR_TEMPLATE_INCONSISTENT},
		{"no data", ep11.Mechanism{Type: ecb}, nil, ep11.CKK_AES, 16, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"data twice", ep11.Mechanism{Type: ecb, Parameter: block}, block, ep11.CKK_AES, 16, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"half a block", ep11.Mechanism{Type: ecb, Parameter: block[:12]}, nil, ep11.CKK_GENERIC_SECRET, 12, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"far too much data", ep11.Mechanism{Type: ecb}, make([]byte, ep11.MaxParameter+8), ep11.CKK_AES, 16, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"a structure", ep11.Mechanism{Type: ecb, BTC: &ep11.BTC{}}, block, ep11.CKK_AES, 16, ep11.CKR_MECHANISM_PARAM_INVALID},
		{"longer than the data", ep11.Mechanism{Type: ecb, Parameter: block}, nil, ep11.CKK_AES, 24, ep11.CKR_KEY_SIZE_RANGE},
	} {
		_, err := derive(t, tools, tt.m, ep11.CKK_DES3, base, tt.data, tt.of, tt.length)
		familytest.Code(t, tt.name, err, tt.want)
	}
	for _, m := range []ep11.Mechanism{{Type: sha}, {Type: ecb, Parameter: block}} {
		_, err := familytest.Row(t, Set(), m.Type, family.KeyType{Type: ep11.CKK_DES3}).Derive.Derive(t.Context(), tools, family.Derivation{Mechanism: m, Type: ep11.CKK_AES, Length: 16})
		familytest.Code(t, "no base", err, ep11.CKR_KEY_NEEDED)
	}
	_, err := hashed{}.Derive(t.Context(), tools, family.Derivation{Mechanism: ep11.Mechanism{Type: ep11.CKM_SHA_1}})
	familytest.Code(t, "no derivation", err, ep11.CKR_MECHANISM_INVALID)
	if _, err := derive(t, tools, ep11.Mechanism{Type: ecb, Parameter: block}, ep11.CKK_DES3, base[:8], nil, ep11.CKK_AES, 16); !errors.Is(err, family.ErrFault) {
		t.Errorf("a DES key of 8 bytes gave %v", err)
	}
}
