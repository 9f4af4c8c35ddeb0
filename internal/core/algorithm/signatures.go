// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"runtime"

	"filippo.io/mldsa"
	blst "github.com/supranational/blst/bindings/go"
	"golang.org/x/sys/cpu"

	described "strongroom/internal/pure/algorithm"
)

// hedge gives the caller's auxiliary value, or a fresh one.
func hedge(aux *[32]byte) (out [32]byte) {
	if aux != nil {
		return *aux
	}
	rand.Read(out[:]) // never fails: crypto/rand ends the process when the system has no randomness
	return out
}

// checkMachine refuses processors on which blst's code, which is built for those of the last ten years, would stop the process.
func checkMachine() error {
	if runtime.GOARCH == "amd64" && !(cpu.X86.HasADX && cpu.X86.HasBMI2) {
		return fmt.Errorf("%w: this processor lacks the ADX and BMI2 instructions, which %q needs; build with CGO_CFLAGS='-O2 -D__BLST_PORTABLE__'", ErrUnknown, described.BLS)
	}
	return nil
}

func edPublic(sk []byte) ([]byte, error) {
	if len(sk) != ed25519.SeedSize {
		return nil, ErrSecret
	}
	key := ed25519.NewKeyFromSeed(sk)
	defer clear(key[:ed25519.SeedSize])
	return append([]byte(nil), key[ed25519.SeedSize:]...), nil
}

// edSign is deterministic, as RFC 8032 says, with or without aux.
func edSign(_ Kind, sk, _, msg []byte, _ *[32]byte) ([]byte, error) {
	if len(sk) != ed25519.SeedSize {
		return nil, ErrSecret
	}
	key := ed25519.NewKeyFromSeed(sk)
	defer clear(key)
	return ed25519.Sign(key, msg), nil
}

func edVerify(_ Kind, pub, msg, sig []byte) bool {
	return len(pub) == ed25519.PublicKeySize && ed25519.Verify(pub, msg, sig)
}

// blsTag is the domain separation tag of the ciphersuite: keys in G1, signatures in G2, with proofs of possession, as Ethereum's consensus
// layer has it. Who aggregates public keys must have seen their proofs of possession first; nothing here aggregates.
const blsTag = "BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"

// blsGenerate is KeyGen of the draft (section 2.3) from 32 random bytes.
func blsGenerate(ctx context.Context, from Source, to []byte) error {
	if err := from.Fill(ctx, to); err != nil {
		return err
	}
	key := blst.KeyGen(to)
	if key == nil {
		return ErrFault
	}
	defer key.Zeroize()
	raw := key.Serialize()
	copy(to, raw)
	clear(raw)
	return nil
}

// blsKey reads a scalar in [1, r-1]. The caller zeroizes it.
func blsKey(sk []byte) (*blst.SecretKey, error) {
	if len(sk) != blst.BLST_SCALAR_BYTES {
		return nil, ErrSecret
	}
	key := new(blst.SecretKey).Deserialize(sk)
	if key == nil {
		return nil, ErrSecret
	}
	return key, nil
}

func blsPublic(sk []byte) ([]byte, error) {
	key, err := blsKey(sk)
	if err != nil {
		return nil, err
	}
	defer key.Zeroize()
	return new(blst.P1Affine).From(key).Compress(), nil
}

// blsSign is deterministic, with or without aux: there is no nonce.
func blsSign(_ Kind, sk, _, msg []byte, _ *[32]byte) ([]byte, error) {
	key, err := blsKey(sk)
	if err != nil {
		return nil, err
	}
	defer key.Zeroize()
	return new(blst.P2Affine).Sign(key, msg, []byte(blsTag)).Compress(), nil
}

// blsVerify refuses points outside their groups, and infinity as a public key.
func blsVerify(_ Kind, pub, msg, sig []byte) bool {
	if len(pub) != blst.BLST_P1_COMPRESS_BYTES || len(sig) != blst.BLST_P2_COMPRESS_BYTES {
		return false
	}
	p, s := new(blst.P1Affine).Uncompress(pub), new(blst.P2Affine).Uncompress(sig)
	return p != nil && s != nil && s.Verify(true, p, true, msg, []byte(blsTag))
}

// mldsaOf gives the parameters of a kind of keys.
func mldsaOf(k Kind) mldsa.Parameters {
	switch k {
	case described.KindMLDSA44:
		return mldsa.MLDSA44()
	case described.KindMLDSA65:
		return mldsa.MLDSA65()
	default:
		return mldsa.MLDSA87()
	}
}

func mldsaKeys(k Kind) Keys {
	return Keys{Size: mldsa.PrivateKeySize, Generate: random, Public: func(sk []byte) ([]byte, error) {
		key, err := mldsa.NewPrivateKey(mldsaOf(k), sk)
		if err != nil {
			return nil, ErrSecret
		}
		return key.PublicKey().Bytes(), nil
	}}
}

// mldsaSign signs the message itself with an empty context: hedged without aux, the deterministic variant with it.
func mldsaSign(k Kind, sk, _, msg []byte, aux *[32]byte) ([]byte, error) {
	key, err := mldsa.NewPrivateKey(mldsaOf(k), sk)
	if err != nil {
		return nil, ErrSecret
	}
	if aux != nil {
		return key.SignDeterministic(msg, nil)
	}
	return key.Sign(nil, msg, nil)
}

func mldsaVerify(k Kind, pub, msg, sig []byte) bool {
	key, err := mldsa.NewPublicKey(mldsaOf(k), pub)
	return err == nil && mldsa.Verify(key, msg, sig, nil) == nil
}
