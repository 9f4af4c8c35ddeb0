// SPDX-License-Identifier: Apache-2.0

package hd

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha512"
	"errors"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"pgregory.net/rapid"

	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

func TestAgreesWithHdkeychain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), MinSeedSize, MaxSeedSize).Draw(t, "seed")
		path := secp.Path(rapid.SliceOfN(rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 5)), 0, 6).Draw(t, "path"))
		master := h.master(t, seed)
		defer master.Wipe()
		got := master.derive(t, path)
		defer got.Wipe()

		want, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range path {
			if want, err = want.Derive(index); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := text(t, got, "0488ade4", true), want.String(); got != want {
			t.Fatalf("%v: got %s, want %s", path, got, want)
		}
	})
}

// TestKeyIsTheNodes: the short way to a scalar ends where the long one does.
func TestKeyIsTheNodes(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), MinSeedSize-1, MaxSeedSize).Draw(t, "seed")
		path := secp.Path(rapid.SliceOfN(rapid.OneOf(rapid.Uint32(), rapid.Uint32Range(0, 5)), 0, 6).Draw(t, "path"))
		seed, err := secret.Take(h.arena, bytes.Clone(raw))
		if err != nil {
			t.Fatal(err)
		}
		defer seed.Wipe()
		got, err := h.Key(seed, path)
		if len(raw) < MinSeedSize {
			if !errors.Is(err, ErrSeed) {
				t.Fatalf("a seed of %d bytes: %v", len(raw), err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer got.Wipe()
		master := h.master(t, raw)
		defer master.Wipe()
		want := master.derive(t, path)
		defer want.Wipe()
		err = got.Use(func(a []byte) error {
			return want.Use(func(b []byte) error {
				if !bytes.Equal(a, b) {
					return errors.New("another scalar")
				}
				return nil
			})
		})
		if err != nil {
			t.Fatalf("%v: %v", path, err)
		}
	})
	if _, err := h.Key(secret.Bytes{}, make(secp.Path, secp.MaxDepth+1)); !errors.Is(err, secp.ErrTooDeep) {
		t.Errorf("too deep: %v", err)
	}
}

// TestPublicDerivationAgrees: deriving a normal child and neutering is neutering and deriving.
func TestPublicDerivationAgrees(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	master := h.master(t, unhex(t, abandonSeed))
	defer master.Wipe()
	account := master.derive(t, parse(t, "m/86'/0'/0'"))
	defer account.Wipe()
	if err := account.Mask(); err != nil {
		t.Fatal(err)
	}
	watching, err := account.Neuter()
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		path := secp.Path(rapid.SliceOfN(rapid.Uint32Range(0, secp.HardenedBit-1), 0, 4).Draw(t, "path"))
		child := account.derive(t, path)
		defer child.Wipe()
		got, err := child.Neuter()
		if err != nil {
			t.Fatal(err)
		}
		want, err := watching.Derive(path...)
		if err != nil || got != want {
			t.Fatalf("%v: got %+v, want %+v, %v", path, got, want, err)
		}
		if err := child.Use(func(sk []byte) error { return h.curve.CheckPair(sk, child.PublicKey().Compressed()) }); err != nil {
			t.Fatal(err)
		}
	})
}

func TestHMAC(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.SliceOfN(rapid.Byte(), 0, sha512.BlockSize).Draw(t, "key")
		message := rapid.SliceOfN(rapid.Byte(), 0, MaxSeedSize).Draw(t, "message")
		oracle := hmac.New(sha512.New, key)
		oracle.Write(message)
		if err := h.work(func(w *work) error {
			w.hmac(key, copy(w.message, message))
			if want := oracle.Sum(nil); !bytes.Equal(w.sum, want) {
				t.Fatalf("got %x, want %x", w.sum, want)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}
