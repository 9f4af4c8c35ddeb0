// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// builtinKinds has the code of each kind of keys.
func builtinKinds(b *curve.Backend) []Keys {
	code := map[Kind]Keys{
		described.KindHDSeed:     {Size: 64, Generate: random, Public: none},
		described.KindSecp256k1:  {Size: curve.ScalarSize, Generate: scalar(secpPublic(b)), Public: secpPublic(b)},
		described.KindP256:       nist(described.KindP256),
		described.KindP384:       nist(described.KindP384),
		described.KindP521:       nist(described.KindP521),
		described.KindEd25519:    {Size: 32, Generate: random, Public: edPublic},
		described.KindX25519:     {Size: 32, Generate: random, Public: x25519Public},
		described.KindBLS:        {Size: 32, Generate: blsGenerate, Public: blsPublic},
		described.KindRSA2048:    rsaKeys(2048),
		described.KindRSA3072:    rsaKeys(3072),
		described.KindRSA4096:    rsaKeys(4096),
		described.KindAES256:     {Size: 32, Generate: random, Public: none},
		described.KindGeneric:    {Size: 64, Generate: random, Public: none},
		described.KindMLDSA44:    mldsaKeys(described.KindMLDSA44),
		described.KindMLDSA65:    mldsaKeys(described.KindMLDSA65),
		described.KindMLDSA87:    mldsaKeys(described.KindMLDSA87),
		described.KindMLKEM768:   {Size: 64, Generate: random, Public: mlkem768Public},
		described.KindMLKEM1024:  {Size: 64, Generate: random, Public: mlkem1024Public},
		described.KindFROSTShare: {Public: secpPublic(b)}, // shares come from a protocol between cores
	}
	var list []Keys
	for _, m := range described.All().Kinds() {
		k := code[m.Kind] // one that is missing has no Public, which With refuses
		k.Material = m
		list = append(list, k)
	}
	return list
}

// builtinRows has the code of each algorithm.
func builtinRows(b *curve.Backend) []Row {
	code := map[Mechanism]Row{
		described.BIP32:          {Derive: bip32(b)},
		described.ECDSASecp256k1: {Sign: secpSign(b), Verify: secpVerify(b), Verified: true},
		described.BIP340:         {Sign: bip340Sign(b), Verify: bip340Verify(b), Verified: true},
		described.ECDSAP256:      {Sign: ecdsaSign, Verify: ecdsaVerify},
		described.ECDSAP384:      {Sign: ecdsaSign, Verify: ecdsaVerify},
		described.ECDSAP521:      {Sign: ecdsaSign, Verify: ecdsaVerify},
		described.EdDSA:          {Sign: edSign, Verify: edVerify},
		described.BLS:            {Sign: blsSign, Verify: blsVerify},
		described.RSAPKCS1:       {Sign: pkcs1Sign, Verify: pkcs1Verify},
		described.RSAPSS:         {Sign: pssSign, Verify: pssVerify},
		described.RSAOAEP:        {EncryptTo: oaepEncrypt, DecryptFrom: oaepDecrypt},
		described.AESGCM:         {Encrypt: gcmSeal, Decrypt: gcmOpen},
		described.AESKeyWrap:     {Wrap: kwpWrap, Unwrap: kwpUnwrap},
		described.HMACSHA256:     {MAC: hmacOf(described.HMACSHA256)},
		described.HMACSHA384:     {MAC: hmacOf(described.HMACSHA384)},
		described.HMACSHA512:     {MAC: hmacOf(described.HMACSHA512)},
		described.MLDSA44:        {Sign: mldsaSign, Verify: mldsaVerify},
		described.MLDSA65:        {Sign: mldsaSign, Verify: mldsaVerify},
		described.MLDSA87:        {Sign: mldsaSign, Verify: mldsaVerify},
		described.MLKEM768:       {Encapsulate: mlkem768Encapsulate, Decapsulate: mlkem768Decapsulate},
		described.MLKEM1024:      {Encapsulate: mlkem1024Encapsulate, Decapsulate: mlkem1024Decapsulate},
		described.ECDHP256:       {Agree: ecdhP256},
		described.X25519:         {Agree: x25519},
	}
	var list []Row
	for _, d := range described.All().Rows() {
		r := code[d.Mechanism] // one that is missing is not complete, which With refuses
		r.Row, r.Answers = d, answers[d.Mechanism]
		list = append(list, r)
	}
	return list
}

// random makes a key of which all bytes are good.
func random(ctx context.Context, from Source, to []byte) error { return from.Fill(ctx, to) }

// none is the public key of what has none.
func none([]byte) ([]byte, error) { return nil, nil }

// draws is how often a scalar is drawn that is in range at least every second time.
const draws = 128

// scalar makes keys by drawing until check takes one: without bias, unlike reducing.
func scalar(check func([]byte) ([]byte, error)) func(context.Context, Source, []byte) error {
	return func(ctx context.Context, from Source, to []byte) error {
		for range draws {
			if err := from.Fill(ctx, to); err != nil {
				return err
			}
			if _, err := check(to); err == nil {
				return nil
			}
		}
		return fmt.Errorf("%w: %d draws out of range; the source of randomness is broken", ErrFault, draws)
	}
}

func secpPublic(b *curve.Backend) func([]byte) ([]byte, error) {
	return func(sk []byte) ([]byte, error) {
		pub, err := b.PublicKey(sk)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrSecret, err)
		}
		return pub[:], nil
	}
}

// secpInput checks the sizes of what the backend takes as arrays.
func secpInput(pub, msg []byte) (p [curve.PublicKeySize]byte, m [32]byte, err error) {
	if len(pub) != len(p) || len(msg) != len(m) {
		return p, m, fmt.Errorf("%w: a public key of %d and a digest or message of %d bytes, not %d and %d", ErrInput, len(pub), len(msg), len(p), len(m))
	}
	return [curve.PublicKeySize]byte(pub), [32]byte(msg), nil
}

// fault turns the backend's fault into ours.
func fault(err error) error {
	if errors.Is(err, curve.ErrFault) || errors.Is(err, curve.ErrPublicKey) {
		return fmt.Errorf("%w: %w", ErrFault, err)
	}
	return err
}

func secpSign(b *curve.Backend) func(Kind, []byte, []byte, []byte, *[32]byte) ([]byte, error) {
	return func(_ Kind, sk, pub, msg []byte, aux *[32]byte) ([]byte, error) {
		p, m, err := secpInput(pub, msg)
		if err != nil {
			return nil, err
		}
		sig, _, err := b.SignECDSA(sk, p, m, hedge(aux))
		return sig[:], fault(err)
	}
}

func secpVerify(b *curve.Backend) func(Kind, []byte, []byte, []byte) bool {
	return func(_ Kind, pub, msg, sig []byte) bool {
		p, m, err := secpInput(pub, msg)
		return err == nil && len(sig) == curve.SignatureSize && b.VerifyECDSA(p, m, [curve.SignatureSize]byte(sig))
	}
}

func bip340Sign(b *curve.Backend) func(Kind, []byte, []byte, []byte, *[32]byte) ([]byte, error) {
	return func(_ Kind, sk, pub, msg []byte, aux *[32]byte) ([]byte, error) {
		p, m, err := secpInput(pub, msg)
		if err != nil {
			return nil, err
		}
		sig, err := b.SignBIP340(sk, p, m, hedge(aux))
		return sig[:], fault(err)
	}
}

func bip340Verify(b *curve.Backend) func(Kind, []byte, []byte, []byte) bool {
	return func(_ Kind, pub, msg, sig []byte) bool {
		return len(pub) == curve.PublicKeySize && len(sig) == curve.SignatureSize &&
			b.VerifyBIP340([curve.XOnlySize]byte(pub[1:]), msg, [curve.SignatureSize]byte(sig))
	}
}

// bip32 derives with a deriver of its own for each call, which costs nothing: it is two pointers.
func bip32(b *curve.Backend) func(*secret.Arena, secret.Bytes, secp.Path) (secret.Bytes, error) {
	return func(a *secret.Arena, seed secret.Bytes, path secp.Path) (secret.Bytes, error) {
		d, err := hd.New(hd.Config{Arena: a, Curve: b})
		if err != nil {
			return secret.Bytes{}, err
		}
		master, err := d.Master(seed)
		if err != nil {
			return secret.Bytes{}, err
		}
		defer master.Wipe()
		node, err := master.Derive(path)
		if err != nil {
			return secret.Bytes{}, err
		}
		defer node.Wipe()
		var out secret.Bytes
		err = node.Use(func(sk []byte) (err error) {
			out, err = secret.New(a, len(sk), func(b []byte) error { copy(b, sk); return nil })
			return err
		})
		return out, err
	}
}
