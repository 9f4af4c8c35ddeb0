// SPDX-License-Identifier: Apache-2.0

package bls

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/cloudflare/circl/ecc/bls12381"
	blst "github.com/supranational/blst/bindings/go"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

func mechanism() ep11.Mechanism {
	return ep11.Mechanism{Type: ep11.CKM_IBM_ECDSA_OTHER, Sign: &ep11.ECSign{Type: ep11.CK_ECSG_BLS}}
}

func aggregate(mode, size uint64, parts ...[]byte) ep11.Mechanism {
	return ep11.Mechanism{Type: ep11.CKM_IBM_EC_AGGREGATE, Aggregate: &ep11.Aggregate{Mode: mode, Size: size, Elements: bytes.Join(parts, nil)}}
}

// publicOf reads a public key with circl and writes it as keys are here; nil if circl refuses it.
func publicOf(compressed []byte) []byte {
	var p bls12381.G1
	if p.SetBytes(compressed) != nil {
		return nil
	}
	return append([]byte{4}, p.Bytes()...)
}

func signatureOf(compressed []byte) []byte {
	var p bls12381.G2
	if p.SetBytes(compressed) != nil {
		return nil
	}
	return p.Bytes()
}

func verify(public, message, sig []byte) error {
	return signer{}.Verify(context.Background(), family.Tools{}, mechanism(), family.Key{Public: public}, message, sig)
}

// TestWycheproof verifies published signatures of the proof-of-possession scheme, as far as they have a point to write down.
func TestWycheproof(t *testing.T) {
	t.Parallel()
	valid, other := 0, 0
	for _, g := range familytest.Wycheproof(t, "bls_sig_g2_pop_verify", 26).TestGroups {
		public := publicOf(familytest.Member(t, g.PublicKey, "pk"))
		for _, v := range g.Tests {
			sig := signatureOf(v.Sig)
			if public == nil || sig == nil {
				if v.Result == "valid" {
					t.Errorf("%d: not read", v.TcID)
				}
				continue
			}
			err := verify(public, v.Msg, sig)
			if (err == nil) != (v.Result == "valid") {
				t.Errorf("%d %s: %v", v.TcID, v.Comment, err)
			}
			if err == nil {
				valid++
			} else {
				other++
			}
		}
	}
	if valid < 5 || other < 3 {
		t.Errorf("%d valid and %d other cases", valid, other)
	}
}

// TestEthereum has fast_aggregate_verify_valid_3d7576f3c0e3570a of ethereum/bls12-381-tests: three keys, one message.
func TestEthereum(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	var keys [][]byte
	for _, k := range []string{
		"a491d1b0ecd9bb917989f0e74f0dea0422eac4a873e5e2644f368dffb9a6e20fd6e10c1b77654d067c0618f6e5a7f79a",
		"b301803f8b5ac4a1133581fc676dfedc60d891dd5fa99028805e5ea5b08d3491af75d0707adab3b70c6a6a580217bf81",
		"b53d21a4cfd562c469cc81514d4ce5a6b577d8403d32a394dc265dd190b47fa9f829fdd7963afdf972e5e77854051f6f",
	} {
		keys = append(keys, publicOf(familytest.Unhex(t, k)))
	}
	message := bytes.Repeat([]byte{0xab}, 32)
	sig := signatureOf(familytest.Unhex(t, "9712c3edd73a209c742b8250759db12549b3eaf43b5ca61376d9f30e2747dbcf842d8b2ac0901d2a093713e20284a767"+
		"0fcf6954e9ab93de991bb9b313e664785a075fc285806fa5224c82bde146561b446ccfc706a64b8579513cfc4ff1d930"))
	if err := verify(bytes.Join(keys, nil), message, sig); err != nil {
		t.Error(err)
	}
	out, err := aggregator{}.Derive(t.Context(), tools, family.Derivation{Mechanism: aggregate(ep11.CK_AGGREGATE_PUBLIC, PublicSize, keys...)})
	if err != nil || out.Kind() != kind || len(out.Public) != PublicSize || out.Secret.Len() != 0 {
		t.Fatal(err)
	}
	if err := verify(out.Public, message, sig); err != nil {
		t.Error(err)
	}
	familytest.Code(t, "two of three keys", verify(bytes.Join(keys[:2], nil), message, sig), ep11.CKR_SIGNATURE_INVALID)
	familytest.Code(t, "a key twice", verify(bytes.Join(append(keys, keys[0]), nil), message, sig), ep11.CKR_SIGNATURE_INVALID)
}

// TestAgainstCircl generates, signs, aggregates and verifies, and wants circl's bytes at every step.
func TestAgainstCircl(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	message := []byte("one message of all")
	var publics, sigs [][]byte
	var sumPublic bls12381.G1
	var sumSig bls12381.G2
	sumPublic.SetIdentity()
	sumSig.SetIdentity()
	for range 10 {
		k, err := keys{}.Generate(t.Context(), tools, ep11.Mechanism{}, []byte(ep11.OIDBLS12381), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := signer{}.Sign(t.Context(), tools, mechanism(), k, message)
		if err != nil {
			t.Fatal(err)
		}
		var scalar bls12381.Scalar
		if err := scalar.UnmarshalBinary(familytest.Reveal(t, k.Secret)); err != nil {
			t.Fatal(err)
		}
		var public bls12381.G1
		var want bls12381.G2
		public.ScalarMult(&scalar, bls12381.G1Generator())
		want.Hash(message, []byte(tag))
		want.ScalarMult(&scalar, &want)
		if !bytes.Equal(k.Public, append([]byte{4}, public.Bytes()...)) || !bytes.Equal(sig, want.Bytes()) {
			t.Fatalf("public key %x, signature %x; circl has another", k.Public, sig)
		}
		if err := (keys{}).Check(k); err != nil {
			t.Fatal(err)
		}
		sumPublic.Add(&sumPublic, &public)
		sumSig.Add(&sumSig, &want)
		publics, sigs = append(publics, k.Public), append(sigs, sig)
	}
	all, err := aggregator{}.Sign(t.Context(), tools, aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize, sigs...), family.Key{}, []byte("ignored"))
	if err != nil || !bytes.Equal(all, sumSig.Bytes()) {
		t.Fatalf("aggregate %x, %v", all, err)
	}
	one, err := aggregator{}.Derive(t.Context(), tools, family.Derivation{Mechanism: aggregate(ep11.CK_AGGREGATE_PUBLIC, PublicSize, publics...)})
	if err != nil || !bytes.Equal(one.Public, append([]byte{4}, sumPublic.Bytes()...)) {
		t.Fatalf("sum of keys %x, %v", one.Public, err)
	}
	if err := errors.Join(verify(one.Public, message, all), verify(bytes.Join(publics, nil), message, all)); err != nil {
		t.Error(err)
	}
	nine, err := aggregator{}.Sign(t.Context(), tools, aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize, sigs[:9]...), family.Key{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	familytest.Code(t, "one did not sign", verify(one.Public, message, nine), ep11.CKR_SIGNATURE_INVALID)
	familytest.Code(t, "another message", verify(one.Public, message[1:], all), ep11.CKR_SIGNATURE_INVALID)
}

// negated gives -P of a public key, with which it cancels out.
func negated(t *testing.T, public []byte) []byte {
	t.Helper()
	var p bls12381.G1
	if err := p.SetBytes(public[1:]); err != nil {
		t.Fatal(err)
	}
	p.Neg()
	return append([]byte{4}, p.Bytes()...)
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	k, err := keys{}.Generate(t.Context(), tools, ep11.Mechanism{}, []byte(ep11.OIDBLS12381), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Secret.Wipe()
	sig, err := signer{}.Sign(t.Context(), tools, mechanism(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	infinity := append([]byte{0x40}, make([]byte, SignatureSize-1)...)
	var compressed bls12381.G2
	if err := compressed.SetBytes(sig); err != nil {
		t.Fatal(err)
	}
	short := append(compressed.BytesCompressed(), make([]byte, SignatureSize/2)...) // what a lax reader takes for the compressed form
	compressed.Neg()
	minus := compressed.Bytes()
	for name, bad := range map[string][]byte{"infinity": infinity, "zeros": make([]byte, SignatureSize), "ones": bytes.Repeat([]byte{0xff}, SignatureSize),
		"compressed and filled up": short, "negated": minus, "changed": append(slices.Clone(sig[:191]), sig[191]^1)} {
		familytest.Code(t, name, verify(k.Public, nil, bad), ep11.CKR_SIGNATURE_INVALID)
	}
	for _, n := range []int{0, 96, 191, 193} {
		familytest.Code(t, "length", verify(k.Public, nil, make([]byte, n)), ep11.CKR_SIGNATURE_LEN_RANGE)
	}
	off := slices.Clone(k.Public)
	off[96] ^= 1
	outside := append([]byte{4}, g1Outside(t)...)
	half, rest := splitOutside(t, k.Public)
	var packed bls12381.G1
	if err := packed.SetBytes(k.Public[1:]); err != nil {
		t.Fatal(err)
	}
	filled := append(append([]byte{4}, packed.BytesCompressed()...), make([]byte, 48)...)
	publics := map[string][]byte{"two outside whose sum is a key": append(half, rest...), "compressed and filled up": filled, "none": nil, "short": k.Public[:96], "long": append(slices.Clone(k.Public), 0), "off": off, "outside": outside,
		"infinity": append([]byte{4, 0x40}, make([]byte, 95)...), "zeros": append([]byte{4}, make([]byte, 96)...), "no prefix": append([]byte{3}, k.Public[1:]...),
		"cancelled": append(slices.Clone(k.Public), negated(t, k.Public)...), "second is bad": append(slices.Clone(k.Public), off...)}
	for name, bad := range publics {
		familytest.Code(t, name, verify(bad, nil, sig), ep11.CKR_SIGNATURE_INVALID)
		familytest.Code(t, name, keys{}.Check(family.Key{Public: bad}), ep11.CKR_PUBLIC_KEY_INVALID)
	}
	for _, m := range []ep11.Mechanism{{}, {Sign: &ep11.ECSign{Type: ep11.CK_ECSG_S256}}, aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize, sig)} {
		_, err := signer{}.Sign(t.Context(), tools, m, k, nil)
		familytest.Code(t, "sign", err, ep11.CKR_MECHANISM_PARAM_INVALID)
		familytest.Code(t, "verify", signer{}.Verify(t.Context(), tools, m, k, nil, sig), ep11.CKR_MECHANISM_PARAM_INVALID)
	}
	for _, raw := range [][]byte{make([]byte, SecretSize), bytes.Repeat([]byte{0xff}, SecretSize)} {
		_, err := keys{}.Public(family.Key{Secret: familytest.Secret(t, tools, raw)})
		familytest.Code(t, "secret", err, ep11.CKR_WRAPPED_KEY_INVALID)
		if _, err := (signer{}).Sign(t.Context(), tools, mechanism(), family.Key{Secret: familytest.Secret(t, tools, raw)}, nil); err == nil {
			t.Error("a secret that is no key signed")
		}
	}
	_, err = keys{}.Public(family.Key{Secret: familytest.Secret(t, tools, make([]byte, 31))})
	familytest.Code(t, "short secret", err, ep11.CKR_KEY_SIZE_RANGE)
	broken := tools
	broken.Random = familytest.Broken{}
	if _, err := (keys{}).Generate(t.Context(), broken, ep11.Mechanism{}, nil, nil, nil); !errors.Is(err, familytest.ErrNoRandom) {
		t.Errorf("without randomness: %v", err)
	}
}

func TestAggregationRefusals(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	k, err := keys{}.Generate(t.Context(), tools, ep11.Mechanism{}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Secret.Wipe()
	sig, err := signer{}.Sign(t.Context(), tools, mechanism(), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	var p bls12381.G2
	if err := p.SetBytes(sig); err != nil {
		t.Fatal(err)
	}
	p.Neg()
	one := aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize, sig)
	versioned := *one.Aggregate
	versioned.Version = 1
	for name, m := range map[string]ep11.Mechanism{
		"none": {}, "version": {Aggregate: &versioned}, "mode": aggregate(ep11.CK_AGGREGATE_PUBLIC, SignatureSize, sig), "no elements": aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize),
		"size": aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize-1, sig), "size zero": aggregate(ep11.CK_AGGREGATE_SIGN, 0, sig), "half": aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize, sig, sig[:96]),
		"garbage": aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize, sig, make([]byte, SignatureSize)), "cancelled": aggregate(ep11.CK_AGGREGATE_SIGN, SignatureSize, sig, p.Bytes()),
	} {
		_, err := aggregator{}.Sign(t.Context(), tools, m, family.Key{}, nil)
		familytest.Code(t, name, err, ep11.CKR_MECHANISM_PARAM_INVALID)
	}
	familytest.Code(t, "verify", aggregator{}.Verify(t.Context(), tools, one, family.Key{}, nil, sig), ep11.CKR_MECHANISM_INVALID)
	derive := func(m ep11.Mechanism, t ep11.Template) error {
		_, err := aggregator{}.Derive(context.Background(), tools, family.Derivation{Mechanism: m, Template: t})
		return err
	}
	good := aggregate(ep11.CK_AGGREGATE_PUBLIC, PublicSize, k.Public)
	familytest.Code(t, "mode", derive(aggregate(ep11.CK_AGGREGATE_SIGN, PublicSize, k.Public), nil), ep11.CKR_MECHANISM_PARAM_INVALID)
	familytest.Code(t, "cancelled", derive(aggregate(ep11.CK_AGGREGATE_PUBLIC, PublicSize, k.Public, negated(t, k.Public)), nil), ep11.CKR_PUBLIC_KEY_INVALID)
	familytest.Code(t, "curve", derive(good, ep11.Template{ep11.CKA_EC_PARAMS: ep11.Bytes([]byte(ep11.OIDP256))}), ep11.CKR_TEMPLATE_INCONSISTENT)
	familytest.Code(t, "type", derive(good, ep11.Template{ep11.CKA_KEY_TYPE: ep11.Int(ep11.CKK_AES)}), ep11.CKR_TEMPLATE_INCONSISTENT)
	if err := derive(good, ep11.Template{ep11.CKA_KEY_TYPE: ep11.Int(ep11.CKK_EC), ep11.CKA_EC_PARAMS: ep11.Bytes([]byte(ep11.OIDBLS12381))}); err != nil {
		t.Error(err)
	}
}

// g1Outside gives a point of the curve that is not in the group.
func g1Outside(t *testing.T) []byte {
	t.Helper()
	for x := byte(1); x < 100; x++ {
		encoded := append([]byte{0x80}, make([]byte, 47)...)
		encoded[47] = x
		if p := new(blst.P1Affine).Uncompress(encoded); p != nil && !p.InG1() {
			return p.Serialize()
		}
	}
	t.Fatal("no point found")
	return nil
}

// splitOutside gives two points outside the group whose sum is a public key.
func splitOutside(t *testing.T, public []byte) (a, b []byte) {
	t.Helper()
	var p, o, zero blst.P1
	p.FromAffine(new(blst.P1Affine).Deserialize(public[1:]))
	o.FromAffine(new(blst.P1Affine).Deserialize(g1Outside(t)))
	sum := p.Add(&o)
	return encode(sum.ToAffine()), encode(zero.Sub(&o).ToAffine())
}

// Law: the verdict on any bytes as a public key or signature is that of circl's groups and pairing.
func FuzzVerify(f *testing.F) {
	tools := familytest.Tools(f)
	k, err := keys{}.Generate(f.Context(), tools, ep11.Mechanism{}, nil, nil, nil)
	if err != nil {
		f.Fatal(err)
	}
	defer k.Secret.Wipe()
	sig, err := signer{}.Sign(f.Context(), tools, mechanism(), k, []byte("m"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.Public, []byte("m"), sig)
	f.Add(append(k.Public, k.Public...), []byte("m"), sig)
	f.Fuzz(func(t *testing.T, public, message, sig []byte) {
		got := verify(public, message, sig) == nil
		if len(public) == PublicSize && len(sig) == SignatureSize && got != circlVerify(public, message, sig) {
			t.Fatalf("got %v", got)
		}
	})
}

func circlVerify(public, message, sig []byte) bool {
	var p bls12381.G1
	var s, h bls12381.G2
	if public[0] != 4 || public[1]&flags != 0 || sig[0]&flags != 0 || p.SetBytes(public[1:]) != nil || s.SetBytes(sig) != nil || p.IsIdentity() || s.IsIdentity() {
		return false
	}
	h.Hash(message, []byte(tag))
	return bls12381.ProdPairFrac([]*bls12381.G1{&p, bls12381.G1Generator()}, []*bls12381.G2{&h, &s}, []int{1, -1}).IsIdentity()
}
