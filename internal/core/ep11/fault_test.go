// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/elliptic"
	"strongroom/internal/core/ep11/family/rsakey"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
)

// TestSignaturesAreVerified: a signature that doesn't verify under the key's public half, as a fault in the machine makes one, is a fault and
// never an answer. Here the half is another key's.
func TestSignaturesAreVerified(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	tools := family.Tools{Arena: b.env.Arena, Random: system{}}
	curves, err := elliptic.Set()
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	seen := 0
	for _, row := range curves.Rows {
		for _, kind := range row.Keys {
			make := func() family.Key {
				k, err := curves.Keys[kind].Generate(ctx, tools, ep11.Mechanism{}, []byte(kind.Params), nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(k.Secret.Wipe)
				return k
			}
			k, other := make(), make()
			m := ep11.Mechanism{Type: row.Mechanism}
			if _, err := row.Sign.Sign(ctx, tools, m, k, []byte("data")); err != nil {
				t.Errorf("%s: %v", ep11.MechanismName(row.Mechanism), err)
			}
			k.Public = other.Public
			if sig, err := row.Sign.Sign(ctx, tools, m, k, []byte("data")); sig != nil || !errors.Is(err, family.ErrFault) {
				t.Errorf("%s: %x, %v", ep11.MechanismName(row.Mechanism), sig, err)
			}
			seen++
		}
	}
	if seen < 50 {
		t.Errorf("only %d", seen)
	}
}

// TestMadeRSA: what fills a pool is the key that it looks like, and a damaged one is none.
func TestMadeRSA(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	k, err := rsakey.Make(b.env.Arena, 2048)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Secret.Wipe()
	of := rsakey.Set().Keys[family.KeyType{Type: ep11.CKK_RSA}]
	public, err := of.Public(k)
	if err != nil || !bytes.Equal(public, k.Public) || of.Bits(k) != 2048 || of.Check(k) != nil {
		t.Fatalf("the halves don't fit: %v", err)
	}
	if err := k.Secret.Use(func(der []byte) error {
		for i := 0; i < len(der); i += 37 {
			s, err := secret.Take(b.env.Arena, flip(der, i))
			if err != nil {
				return err
			}
			if _, err := of.Public(family.Key{Type: ep11.CKK_RSA, Secret: s}); err == nil {
				t.Errorf("byte %d changed and still a key", i)
			}
			s.Wipe()
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := rsakey.Modulus(k.Public[:20]); ok || of.Bits(family.Key{}) != 0 {
		t.Error("a part of a public key is read")
	}
}
