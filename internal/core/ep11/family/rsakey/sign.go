// SPDX-License-Identifier: Apache-2.0

package rsakey

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/subtle"
	"math/big"

	"filippo.io/bigmod"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/digest"
	"strongroom/internal/pure/ep11"
)

// form of a signature.
type form uint8

const (
	pkcs1 form = iota
	pss
	x931
)

// padding is what a mechanism puts around a digest. Without a hash the data is what the mechanism says.
type padding struct {
	form    form
	hash    crypto.Hash
	trailer byte // of X9.31: which hash
}

var paddings = map[uint64]padding{
	ep11.CKM_RSA_PKCS: {form: pkcs1}, ep11.CKM_SHA1_RSA_PKCS: {form: pkcs1, hash: crypto.SHA1}, ep11.CKM_SHA224_RSA_PKCS: {form: pkcs1, hash: crypto.SHA224},
	ep11.CKM_SHA256_RSA_PKCS: {form: pkcs1, hash: crypto.SHA256}, ep11.CKM_SHA384_RSA_PKCS: {form: pkcs1, hash: crypto.SHA384},
	ep11.CKM_SHA512_RSA_PKCS: {form: pkcs1, hash: crypto.SHA512},

	ep11.CKM_RSA_PKCS_PSS: {form: pss}, ep11.CKM_SHA1_RSA_PKCS_PSS: {form: pss, hash: crypto.SHA1}, ep11.CKM_SHA224_RSA_PKCS_PSS: {form: pss, hash: crypto.SHA224},
	ep11.CKM_SHA256_RSA_PKCS_PSS: {form: pss, hash: crypto.SHA256}, ep11.CKM_SHA384_RSA_PKCS_PSS: {form: pss, hash: crypto.SHA384},
	ep11.CKM_SHA512_RSA_PKCS_PSS: {form: pss, hash: crypto.SHA512},

	ep11.CKM_RSA_X9_31: {form: x931}, ep11.CKM_SHA1_RSA_X9_31: {form: x931, hash: crypto.SHA1, trailer: 0x33},
}

// hashes are the digests that parameters name, with the mask generation function of the same hash: another one is refused.
var hashes = map[uint64]struct {
	hash crypto.Hash
	mgf  uint64
}{
	ep11.CKM_SHA_1: {crypto.SHA1, ep11.CKG_MGF1_SHA1}, ep11.CKM_SHA224: {crypto.SHA224, ep11.CKG_MGF1_SHA224}, ep11.CKM_SHA256: {crypto.SHA256, ep11.CKG_MGF1_SHA256},
	ep11.CKM_SHA384: {crypto.SHA384, ep11.CKG_MGF1_SHA384}, ep11.CKM_SHA512: {crypto.SHA512, ep11.CKG_MGF1_SHA512},
}

// job is one signature to make or check.
type job struct {
	padding
	data   []byte
	salt   int
	hashID uint64 // CKM of hash
}

// newJob checks data and parameter.
func newJob(m ep11.Mechanism, data []byte) (job, error) {
	p, ok := paddings[m.Type]
	if !ok {
		return job{}, ep11.CKR_MECHANISM_INVALID
	}
	j := job{padding: p, data: data}
	if j.form != pss {
		if len(m.Parameter) != 0 || m.PSS != nil {
			return job{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the mechanism takes no parameter")
		}
		if p.trailer != 0 {
			j.data = append(bytes.Clone(data), p.trailer)
		}
		return j, nil
	}
	if m.PSS == nil {
		return job{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "the mechanism needs hash, mask and salt length")
	}
	h, ok := hashes[m.PSS.Hash]
	if !ok || h.mgf != m.PSS.MGF || p.hash != 0 && h.hash != p.hash {
		return job{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "hash and mask must be of the mechanism's hash")
	}
	if j.hash, j.hashID = h.hash, m.PSS.Hash; len(data) != h.hash.Size() {
		return job{}, ep11.Fail(ep11.CKR_DATA_LEN_RANGE, "the data is a digest of %d bytes", h.hash.Size())
	}
	if m.PSS.Salt > 512 && m.PSS.Salt != ep11.SaltOfHash {
		return job{}, ep11.Fail(ep11.CKR_MECHANISM_PARAM_INVALID, "a salt of %d bytes", m.PSS.Salt)
	}
	if j.salt = int(m.PSS.Salt); m.PSS.Salt == ep11.SaltOfHash {
		j.salt = h.hash.Size()
	}
	return j, nil
}

// fits refuses data that the key is too small for. bits is the length of the modulus.
func (j job) fits(bits int) error {
	size, over := (bits+7)/8, 0
	switch {
	case j.form == x931:
		over = len(j.data) + 2 - size
	case j.form == pkcs1 && j.hash == 0:
		over = len(j.data) + 11 - size
	case j.form == pkcs1:
		over = len(j.data) + 19 + 11 - size
	default:
		over = len(j.data) + j.salt + 2 - (bits-1+7)/8
	}
	if over > 0 || j.form != pss && len(j.data) == 0 {
		return ep11.Fail(ep11.CKR_DATA_LEN_RANGE, "the data doesn't fit a key of %d bits", bits)
	}
	return nil
}

// signer makes and checks signatures.
type signer struct{}

// Sign signs and verifies.
func (signer) Sign(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, data []byte) (sig []byte, err error) {
	j, err := newJob(m, data)
	if err != nil {
		return nil, err
	}
	err = with(k, func(key *rsa.PrivateKey) error {
		if err := j.fits(key.N.BitLen()); err != nil {
			return err
		}
		if sig, err = j.sign(key); err == nil && j.verify(&key.PublicKey, sig) {
			return nil
		}
		return j.blame(key, sig, err)
	})
	if err != nil {
		return nil, err
	}
	return sig, nil
}

// blame says why there is no signature that verifies, by making it again. What fails in the same way again has its reason in key or data, which are the
// caller's, and only what differs is a fault of the machine. With a salt no two are the same: there the second must fail too.
func (j job) blame(key *rsa.PrivateKey, sig []byte, failed error) error {
	again, err := j.sign(key)
	same := failed != nil && err != nil
	if failed == nil && err == nil {
		same = bytes.Equal(again, sig) || j.form == pss && j.salt > 0
		same = same && !j.verify(&key.PublicKey, again)
	}
	if !same {
		return family.ErrFault
	}
	return ep11.Fail(ep11.CKR_FUNCTION_FAILED, "no signature of this data by this key verifies")
}

func (j job) sign(key *rsa.PrivateKey) ([]byte, error) {
	switch {
	case j.form == pkcs1:
		return rsa.SignPKCS1v15(nil, key, j.hash, j.data)
	case j.form == pss && j.salt > 0:
		return rsa.SignPSS(rand.Reader, key, j.hash, j.data, &rsa.PSSOptions{SaltLength: j.salt})
	case j.form == pss:
		return exponentiate(key, j.unsalted(key.N.BitLen()))
	}
	sig, err := exponentiate(key, j.x931(key.Size()))
	if err != nil {
		return nil, err
	}
	// X9.31: the smaller of s and n - s. Signatures are public.
	s := new(big.Int).SetBytes(sig)
	if other := new(big.Int).Sub(key.N, s); other.Cmp(s) < 0 {
		s = other
	}
	return s.FillBytes(sig), nil
}

// Verify checks a signature.
func (signer) Verify(_ context.Context, _ family.Tools, m ep11.Mechanism, k family.Key, data, sig []byte) error {
	j, err := newJob(m, data)
	if err != nil {
		return err
	}
	key, err := publicKey(k.Public)
	if err != nil {
		return err
	}
	if err := j.fits(key.N.BitLen()); err != nil {
		return err
	}
	if len(sig) != key.Size() {
		return ep11.CKR_SIGNATURE_LEN_RANGE
	}
	if !j.verify(key, sig) {
		return ep11.CKR_SIGNATURE_INVALID
	}
	return nil
}

func (j job) verify(key *rsa.PublicKey, sig []byte) bool {
	switch {
	case j.form == pkcs1:
		return rsa.VerifyPKCS1v15(key, j.hash, j.data, sig) == nil
	case j.form == pss && j.salt > 0:
		return rsa.VerifyPSS(key, j.hash, j.data, sig, &rsa.PSSOptions{SaltLength: j.salt}) == nil
	}
	s := new(big.Int).SetBytes(sig)
	if s.Cmp(key.N) >= 0 {
		return false
	}
	got := s.Exp(s, big.NewInt(int64(key.E)), key.N)
	want := new(big.Int)
	if j.form == pss {
		want.SetBytes(j.unsalted(key.N.BitLen()))
	} else {
		want.SetBytes(j.x931(key.Size()))
		if low := new(big.Int).And(got, big.NewInt(0xf)); low.Int64() != 12 { // s was n minus the root
			got.Sub(key.N, got)
		}
	}
	return got.Cmp(want) == 0
}

// unsalted is EMSA-PSS-ENCODE (RFC 8017 section 9.1.1) with an empty salt: crypto/rsa takes 0 for the longest salt.
func (j job) unsalted(bits int) []byte {
	h := digest.New(j.hashID)
	h.Write(make([]byte, 8))
	h.Write(j.data)
	sum := h.Sum(nil)
	em := make([]byte, (bits-1+7)/8)
	db := em[:len(em)-len(sum)-1]
	db[len(db)-1] = 1
	for i, n := 0, 0; i < len(db); n++ { // MGF1, RFC 8017 appendix B.2.1
		h.Reset()
		h.Write(sum)
		h.Write([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
		mask := h.Sum(nil)
		i += subtle.XORBytes(db[i:], db[i:], mask)
	}
	copy(em[len(db):], sum)
	em[len(em)-1] = 0xbc
	if spare := 8*len(em) - (bits - 1); spare > 0 {
		em[0] &= 0xff >> spare
	}
	return em
}

// x931 is the block of ANSI X9.31: 6b bb … bb ba data cc, or 6a data cc without room for filling. data ends with the byte that names the hash.
func (j job) x931(size int) []byte {
	em := bytes.Repeat([]byte{0xbb}, size)
	at := size - 1 - len(j.data)
	em[0] = 0x6a
	if at > 1 {
		em[0], em[at-1] = 0x6b, 0xba
	}
	copy(em[at:], j.data)
	em[size-1] = 0xcc
	return em
}

// exponentiate is the private operation (RFC 8017 section 5.1.2, step 2.b) on a block below the modulus, in constant time.
func exponentiate(key *rsa.PrivateKey, em []byte) ([]byte, error) {
	p, err := bigmod.NewModulus(key.Primes[0].Bytes())
	if err != nil {
		return nil, err
	}
	q, err := bigmod.NewModulus(key.Primes[1].Bytes())
	if err != nil {
		return nil, err
	}
	n, err := bigmod.NewModulus(key.N.Bytes())
	if err != nil {
		return nil, err
	}
	c, err := bigmod.NewNat().SetBytes(bytes.TrimLeft(em, "\x00"), n)
	if err != nil {
		return nil, err
	}
	qInv, err := bigmod.NewNat().SetBytes(key.Precomputed.Qinv.Bytes(), p)
	if err != nil {
		return nil, err
	}
	t0 := bigmod.NewNat()
	m := bigmod.NewNat().Exp(t0.Mod(c, p), key.Precomputed.Dp.Bytes(), p)
	m2 := bigmod.NewNat().Exp(t0.Mod(c, q), key.Precomputed.Dq.Bytes(), q)
	defer func() { clear(m2.Bits()); clear(qInv.Bits()) }()
	m.Sub(t0.Mod(m2, p), p)
	m.Mul(qInv, p)
	m.ExpandFor(n).Mul(t0.Mod(q.Nat(), n), n)
	m.Add(m2.ExpandFor(n), n)
	return m.Bytes(n), nil
}
