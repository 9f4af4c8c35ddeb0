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

	"strongroom/internal/core/internal/curve"
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

// TestShortWay: the short way to a scalar, hardened to an account and then below it, ends where the long one does.
func TestShortWay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	rapid.Check(t, func(t *rapid.T) {
		raw := rapid.SliceOfN(rapid.Byte(), MinSeedSize-1, MaxSeedSize).Draw(t, "seed")
		account := secp.Path(rapid.SliceOfN(rapid.OneOf(rapid.Uint32Min(secp.HardenedBit), rapid.Uint32Range(secp.HardenedBit, secp.HardenedBit+5)), 0, 4).Draw(t, "account"))
		below := secp.Path(rapid.SliceOfN(rapid.OneOf(rapid.Uint32Max(secp.HardenedBit-1), rapid.Uint32Range(0, 5)), 0, 4).Draw(t, "below"))
		seed, err := secret.Take(h.arena, bytes.Clone(raw))
		if err != nil {
			t.Fatal(err)
		}
		defer seed.Wipe()
		node, err := h.Account(seed, account)
		if len(raw) < MinSeedSize {
			if !errors.Is(err, ErrSeed) {
				t.Fatalf("a seed of %d bytes: %v", len(raw), err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer node.Wipe()
		master := h.master(t, raw)
		defer master.Wipe()
		at := master.derive(t, account)
		if err := same(node, at.key); err != nil {
			t.Fatalf("account %v: %v", account, err)
		}
		var levels []Level
		for _, i := range below {
			levels = append(levels, Level{Parent: at.PublicKey().Compressed(), Index: i})
			next := at.derive(t, secp.Path{i})
			at.Wipe()
			at = next
		}
		defer at.Wipe()
		var got secret.Bytes
		if err := node.Use(func(b []byte) error { got, err = h.Below(b, levels...); return err }); err != nil {
			t.Fatal(err)
		}
		defer got.Wipe()
		err = got.Use(func(a []byte) error {
			return at.Use(func(b []byte) error {
				if !bytes.Equal(a, b) {
					return errors.New("another scalar")
				}
				return nil
			})
		})
		if err != nil {
			t.Fatalf("%v, %v: %v", account, below, err)
		}
	})
}

func same(a, b secret.Bytes) error {
	if !a.Equal(b) {
		return errors.New("another node")
	}
	return nil
}

func TestShortWayRefuses(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	seed, err := secret.Take(h.arena, make([]byte, MinSeedSize))
	if err != nil {
		t.Fatal(err)
	}
	defer seed.Wipe()
	if _, err := h.Account(seed, make(secp.Path, secp.MaxDepth+1)); !errors.Is(err, secp.ErrTooDeep) {
		t.Errorf("too deep: %v", err)
	}
	if _, err := h.Account(seed, secp.Path{secp.HardenedBit, 7}); !errors.Is(err, ErrNormal) {
		t.Errorf("a normal index on the way to an account: %v", err)
	}
	if _, err := h.Below(make([]byte, NodeSize-1)); err == nil {
		t.Error("a node of 63 bytes was taken")
	}
	node := make([]byte, NodeSize)
	node[31] = 1
	if _, err := h.Below(node, Level{Index: secp.HardenedBit}); !errors.Is(err, secp.ErrHardened) {
		t.Errorf("a hardened index below an account: %v", err)
	}
}

// A wrong public key on the way gives another scalar, whose signature is withheld.
func TestWrongParentSignsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	master := h.master(t, unhex(t, abandonSeed))
	defer master.Wipe()
	want := master.derive(t, secp.Path{0})
	defer want.Wipe()
	var got secret.Bytes
	err := master.key.Use(func(b []byte) (err error) {
		got, err = h.Below(b, Level{Parent: want.PublicKey().Compressed()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer got.Wipe()
	err = got.Use(func(sk []byte) error {
		_, _, err := h.curve.SignECDSA(sk, want.PublicKey().Compressed(), [32]byte{1}, [32]byte{})
		return err
	})
	if !errors.Is(err, curve.ErrFault) {
		t.Errorf("signed with another key: %v", err)
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
