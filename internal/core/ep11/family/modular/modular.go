// SPDX-License-Identifier: Apache-2.0

// Package modular is the family of keys modulo a prime: DH key agreement (PKCS#3, CKM_DH_PKCS_DERIVE) and DSA signatures (FIPS 186-4), for clients
// that still have them.
//
// The groups are fixed. Whoever asks for parameters gets one of them at once: for DH ffdhe2048, 3072 or 4096 of RFC 7919, for DSA one of two that
// were made verifiably (docs/adr/0020-algorithms-for-applications.md tells how). DH also takes the groups of the same sizes of RFC 3526. Other
// parameters are refused for private keys (CKR_DOMAIN_PARAMS_INVALID): whether they are good can't be told quickly. A DSA public key may have
// parameters of its own, which are somebody else's signatures to trust.
//
// It refuses DH public values outside the subgroup of prime order (SP 800-56A section 5.6.2.3.1), and private values that lead to 1.
//
// Constant time: powers and integers that depend on a secret are computed by filippo.io/bigmod, the code of Go's own RSA; inverses modulo a prime
// by Fermat's little theorem with it. math/big sees public values alone. Copies outside the arena: bigmod computes on the stack, which is
// erased, or for large groups on the heap; results are cleared, the table of a power can't be.
package modular

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"

	"filippo.io/bigmod"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
)

// field is a group of integers modulo a prime p: the powers of g, a prime number q of them. It is immutable.
type field struct {
	name    string
	der     []byte
	p, q, g []byte // big-endian
	mp, mq  *bigmod.Modulus
}

// Set gives the family.
func Set() (family.Set, error) {
	var exchange, signature []*field
	for _, g := range []struct{ name, p string }{
		{"ffdhe2048", ffdhe2048}, {"ffdhe3072", ffdhe3072}, {"ffdhe4096", ffdhe4096}, {"modp2048", modp2048}, {"modp3072", modp3072}, {"modp4096", modp4096},
	} {
		p, ok := new(big.Int).SetString(g.p, 16)
		if !ok {
			return family.Set{}, fmt.Errorf("modular: the digits of %s are damaged", g.name)
		}
		q := new(big.Int).Rsh(p, 1) // both RFCs have safe primes
		f, err := newField(g.name, p.Bytes(), q.Bytes(), []byte{2}, false)
		if err != nil {
			return family.Set{}, err
		}
		exchange = append(exchange, f)
	}
	for _, g := range []struct{ name, p, q, g string }{{"DSA 2048", dsaP2048, dsaQ2048, dsaG2048}, {"DSA 3072", dsaP3072, dsaQ3072, dsaG3072}} {
		p, errP := hex.DecodeString(g.p)
		q, errQ := hex.DecodeString(g.q)
		base, errG := hex.DecodeString(g.g)
		if err := errors.Join(errP, errQ, errG); err != nil {
			return family.Set{}, fmt.Errorf("modular: the digits of %s are damaged: %w", g.name, err)
		}
		f, err := newField(g.name, p, q, base, true)
		if err != nil {
			return family.Set{}, err
		}
		signature = append(signature, f)
	}
	dhKind, dsaKind := family.KeyType{Type: ep11.CKK_DH}, family.KeyType{Type: ep11.CKK_DSA}
	set := family.Set{
		Keys: map[family.KeyType]family.Generator{dhKind: dhKeys{exchange}, dsaKind: dsaKeys{signature}},
		Rows: []family.Row{
			{Mechanism: ep11.CKM_DH_PKCS_PARAMETER_GEN, Parameters: parameters{exchange}},
			{Mechanism: ep11.CKM_DH_PKCS_KEY_PAIR_GEN, Generates: []family.KeyType{dhKind}},
			{Mechanism: ep11.CKM_DH_PKCS_DERIVE, Keys: []family.KeyType{dhKind}, Derive: deriver{exchange}},
			{Mechanism: ep11.CKM_DSA_PARAMETER_GEN, Parameters: parameters{signature}},
			{Mechanism: ep11.CKM_DSA_KEY_PAIR_GEN, Generates: []family.KeyType{dsaKind}},
		},
	}
	for _, m := range []uint64{ep11.CKM_DSA, ep11.CKM_DSA_SHA1, ep11.CKM_DSA_SHA224, ep11.CKM_DSA_SHA256} {
		set.Rows = append(set.Rows, family.Row{Mechanism: m, Keys: []family.KeyType{dsaKind}, Sign: signer{signature}})
	}
	return set, nil
}

func newField(name string, p, q, g []byte, dsa bool) (*field, error) {
	mp, errP := bigmod.NewModulus(p)
	mq, errQ := bigmod.NewModulus(q)
	if err := errors.Join(errP, errQ); err != nil {
		return nil, fmt.Errorf("modular: group %s: %w", name, err)
	}
	f := &field{name: name, p: p, q: q, g: g, mp: mp, mq: mq, der: ep11.EncodeGroup(p, nil, g)}
	if dsa {
		f.der = ep11.EncodeGroup(p, q, g)
	}
	return f, nil
}

// find gives the group that parameters are, or refuses them.
func find(fields []*field, params []byte) (*field, error) {
	for _, f := range fields {
		if string(f.der) == string(params) {
			return f, nil
		}
	}
	return nil, ep11.Fail(ep11.CKR_DOMAIN_PARAMS_INVALID, "keys are made and used in the groups that parameter generation gives")
}

// power writes base^e mod p to out, as long as p. e is secret, base is below p.
func (f *field) power(base, e, out []byte) error {
	b, err := bigmod.NewNat().SetBytes(base, f.mp)
	if err != nil {
		return family.ErrFault
	}
	x := bigmod.NewNat().Exp(b, e, f.mp)
	raw := x.Bytes(f.mp)
	copy(out, raw)
	clear(raw)
	clear(x.Bits())
	return nil
}

// widened gives a public number in a width, or says that it is wider.
func widened(b []byte, width int) ([]byte, bool) {
	for len(b) > 0 && b[0] == 0 {
		b = b[1:]
	}
	if len(b) > width {
		return nil, false
	}
	out := make([]byte, width)
	copy(out[width-len(b):], b)
	return out, true
}

// member says whether a public value lies in the subgroup of order q, and is not 1.
func (f *field) member(y []byte) bool {
	p, v := new(big.Int).SetBytes(f.p), new(big.Int).SetBytes(y)
	one := big.NewInt(1)
	if v.Cmp(one) <= 0 || v.Cmp(new(big.Int).Sub(p, one)) >= 0 {
		return false
	}
	if len(f.q) == len(f.p) { // a safe prime: the members are the squares
		return big.Jacobi(v, p) == 1
	}
	return v.Exp(v, new(big.Int).SetBytes(f.q), p).Cmp(one) == 0
}

// parameters gives out groups.
type parameters struct{ fields []*field }

// Parameters gives the first group of the size that CKA_PRIME_BITS names. CKA_SUBPRIME_BITS must fit if it is there.
func (p parameters) Parameters(_ context.Context, _ family.Tools, _ ep11.Mechanism, t ep11.Template) ([]byte, error) {
	bits, ok := t.Number(ep11.CKA_PRIME_BITS)
	if !ok {
		return nil, ep11.Fail(ep11.CKR_TEMPLATE_INCOMPLETE, "parameters need CKA_PRIME_BITS")
	}
	for _, f := range p.fields {
		if uint64(8*len(f.p)) != bits {
			continue
		}
		if n, ok := t.Number(ep11.CKA_SUBPRIME_BITS); ok && len(f.q) < len(f.p) && n != uint64(8*len(f.q)) {
			return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a subprime of %d bits is not offered", n)
		}
		return append([]byte(nil), f.der...), nil
	}
	return nil, ep11.Fail(ep11.CKR_KEY_SIZE_RANGE, "a group of %d bits is not offered", bits)
}
