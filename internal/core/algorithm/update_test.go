// SPDX-License-Identifier: Apache-2.0

package algorithm_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"strongroom/internal/core/algorithm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/selftest"
	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/secret"
)

// The algorithm of the update: ECDSA over P-224, which this version doesn't have.
const (
	ecdsaP224 described.Mechanism = "ecdsa-p224"
	kindP224  described.Kind      = "p224"
	pointP224                     = 250
)

// p224 is all that an update brings: a kind with its code, and a row with its code and a known answer (RFC 6979 appendix A.2.4, "sample").
func p224(t *testing.T) (algorithm.Keys, algorithm.Row) {
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	parse := func(sk []byte) (*ecdsa.PrivateKey, error) { return ecdsa.ParseRawPrivateKey(elliptic.P224(), sk) }
	public := func(sk []byte) ([]byte, error) {
		key, err := parse(sk)
		if err != nil {
			return nil, algorithm.ErrSecret
		}
		return key.PublicKey.Bytes()
	}
	kind := algorithm.Keys{
		Material: described.Material{Kind: kindP224, Min: 28, Max: 28, Public: 57, Form: "scalar; point"}, Size: 28, Public: public,
		Generate: func(ctx context.Context, from algorithm.Source, to []byte) error {
			for {
				if err := from.Fill(ctx, to); err != nil {
					return err
				}
				if _, err := public(to); err == nil {
					return nil
				}
			}
		},
	}
	digest := sha256.Sum256([]byte("sample"))
	row := algorithm.Row{
		Row: described.Row{Mechanism: ecdsaP224, PKCS11: "CKM_ECDSA", Use: described.Sign, Kinds: []described.Kind{kindP224}, Point: pointP224, Strength: 112, Source: "FIPS 186-4"},
		Sign: func(_ described.Kind, sk, _, msg []byte, aux *[32]byte) ([]byte, error) {
			key, err := parse(sk)
			if err != nil {
				return nil, err
			}
			random := rand.Reader
			if aux != nil {
				random = nil
			}
			if len(msg) != crypto.SHA256.Size() {
				return nil, algorithm.ErrInput
			}
			return key.Sign(random, msg, crypto.SHA256)
		},
		Verify: func(_ described.Kind, pub, msg, sig []byte) bool {
			key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P224(), pub)
			return err == nil && ecdsa.VerifyASN1(key, msg, sig)
		},
	}
	sig, err := asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(unhex("61aa3da010e8e8406c656bc477a7a7189895e7e840cdfe8ff42307ba")),
		new(big.Int).SetBytes(unhex("bc814050dab5d23770879494f9e0a680dc1af7161991bde692b10101")),
	})
	if err != nil {
		t.Fatal(err)
	}
	row.Answers = []algorithm.KnownAnswer{{
		Source: "RFC 6979 appendix A.2.4", Kind: kindP224, Secret: unhex("f220266e1105bfe3083e03ec7a3a654651f45e37167e88600bf257c1"),
		Public: unhex("0400cf08da5ad719e42707fa431292dea11244d64fc51610d94b130d6ceeab6f3debe455e3dbf85416f7030cbd94f34f2d6f232c69f3c1385a"),
		Input:  digest[:], Output: sig,
	}}
	return kind, row
}

// TestAnAlgorithmAsAnUpdate adds two rows to the table and nothing anywhere else, and gets everything: key generation with its pairwise test,
// signatures that are verified before they are released, a control point, the self-test on start, and headers that name it.
func TestAnAlgorithmAsAnUpdate(t *testing.T) {
	t.Parallel()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	table, err := algorithm.New()
	if err != nil {
		t.Fatal(err)
	}
	before := table
	kind, row := p224(t)
	if table, err = table.With([]algorithm.Keys{kind}, []algorithm.Row{row}); err != nil {
		t.Fatal(err)
	}

	key, err := table.Generate(t.Context(), a, algorithm.System{}, kindP224)
	if err != nil || len(key.Public) != 57 {
		t.Fatalf("got %d bytes, %v", len(key.Public), err)
	}
	defer key.Secret.Wipe()
	msg := bytes.Repeat([]byte{9}, 32)
	sig, err := table.Sign(key, ecdsaP224, msg, nil)
	if err != nil || !table.Verify(kindP224, ecdsaP224, key.Public, msg, sig) {
		t.Fatalf("got %x, %v", sig, err)
	}
	other := key
	other.Public = row.Answers[0].Public
	if _, err := table.Sign(other, ecdsaP224, msg, nil); !errors.Is(err, algorithm.ErrFault) {
		t.Errorf("a signature that does not verify was released: %v", err)
	}

	if r, ok := table.Described().Find(ecdsaP224); !ok || points.Point(r.Point) != pointP224 || r.PointName() != "sign-ecdsa-p224" {
		t.Errorf("control point: got %+v", r)
	} else if allowed := points.Make(pointP224); !allowed.Has(points.Point(r.Point)) || points.Evaluation().Has(points.Point(r.Point)) {
		t.Error("its control point is on without being switched on")
	}

	tests := selftest.New(table, a)
	if err := tests.Run(t.Context(), selftest.Options{}); err != nil {
		t.Errorf("self-test: %v", err)
	}
	if err := tests.Run(t.Context(), selftest.Options{Fail: string(ecdsaP224)}); !errors.Is(err, selftest.ErrFailed) {
		t.Errorf("its self-test does not fail: %v", err)
	}

	h := keystore.Header{V: 1, Authority: custody.AuthorityID{1}, Domain: custody.DomainID{2}, Epoch: 1, Pattern: [16]byte{3},
		Key: "00112233445566778899aabbccddeeff", Purpose: keystore.App, Kind: kindP224, Class: keystore.Core, Attributes: keystore.Sign,
		Mechanisms: []keystore.Mechanism{ecdsaP224}, CreatedBy: [32]byte{4}, Public: key.Public}
	if err := h.CheckIn(table.Described()); err != nil {
		t.Errorf("header: %v", err)
	}
	if err := h.CheckIn(before.Described()); !errors.Is(err, keystore.ErrHeader) {
		t.Errorf("a header from the future was taken: %v", err)
	}
}
