// SPDX-License-Identifier: Apache-2.0

package algorithm

import (
	"bytes"
	"errors"
	"testing"

	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// TestKeysForOtherUses: no key is used by a mechanism that doesn't take its kind, and no mechanism for what it is not.
func TestKeysForOtherUses(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	plain := take(t, a, []byte{1})
	acts := map[described.Use]func(Key, Mechanism) error{
		described.Sign:    func(k Key, m Mechanism) error { _, err := table.Sign(k, m, make([]byte, 32), nil); return err },
		described.MAC:     func(k Key, m Mechanism) error { _, err := table.MAC(k, m, nil); return err },
		described.Encrypt: func(k Key, m Mechanism) error { _, err := table.Encrypt(k, m, []byte{1}, nil); return err },
		described.Decrypt: func(k Key, m Mechanism) error { _, err := table.Decrypt(k, m, make([]byte, 256), nil); return err },
		described.Wrap:    func(k Key, m Mechanism) error { _, err := table.Wrap(k, m, plain); return err },
		described.KEM:     func(k Key, m Mechanism) error { return wiped(table.Decapsulate(a, k, m, make([]byte, 1088))) },
		described.Agree:   func(k Key, m Mechanism) error { return wiped(table.Agree(a, k, m, make([]byte, 32))) },
		described.Derive:  func(k Key, m Mechanism) error { return wiped(table.Derive(a, k, m, secp.Path{0})) },
	}
	for _, kind := range table.described.Kinds() {
		key := Key{Kind: kind.Kind, Secret: take(t, a, bytes.Repeat([]byte{5}, kind.Max)), Public: make([]byte, kind.Public)}
		for _, r := range table.described.Rows() {
			for use, act := range acts {
				fits := r.Use == use || r.Use == described.Encrypt && use == described.Decrypt || r.Use == described.Decrypt && use == described.Encrypt
				if fits && table.described.Direct(kind.Kind, r.Mechanism) {
					continue
				}
				if err := act(key, r.Mechanism); !errors.Is(err, ErrUnfit) {
					t.Errorf("%s with a key of kind %s to %s: got %v", r.Mechanism, kind.Kind, use, err)
				}
			}
			if !table.described.Direct(kind.Kind, r.Mechanism) && table.Verify(kind.Kind, r.Mechanism, key.Public, nil, nil) {
				t.Errorf("%s verifies with a key of kind %s", r.Mechanism, kind.Kind)
			}
		}
		for use, act := range acts {
			if err := act(key, "rot13"); !errors.Is(err, ErrUnknown) {
				t.Errorf("%s with an unknown mechanism: got %v", use, err)
			}
		}
	}
	if _, err := table.Sign(Key{Kind: "rot13", Secret: plain}, described.EdDSA, nil, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown kind: got %v", err)
	}
}

// use does with a key what a mechanism is for.
func use(table *Table, a *secret.Arena, key Key, m Mechanism) (err error) {
	r, _ := table.described.Find(m)
	switch r.Use {
	case described.Sign:
		_, err = table.Sign(key, m, make([]byte, 32), nil)
	case described.MAC:
		_, err = table.MAC(key, m, nil)
	case described.Encrypt, described.Decrypt:
		_, err = table.Decrypt(key, m, make([]byte, 256), nil)
	case described.Wrap:
		err = wiped(table.Unwrap(a, key, m, make([]byte, 24)))
	case described.KEM:
		err = wiped(table.Decapsulate(a, key, m, make([]byte, 1088)))
	case described.Agree:
		err = wiped(table.Agree(a, key, m, make([]byte, 65)))
	case described.Derive:
		err = wiped(table.Derive(a, key, m, secp.Path{0}))
	}
	return err
}

func wiped(s secret.Bytes, err error) error {
	s.Wipe()
	return err
}

// TestSecretsOutOfRange: neither a wrong length nor bytes that are no key are used.
func TestSecretsOutOfRange(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for _, k := range table.described.Kinds() {
		for _, n := range []int{k.Min - 1, k.Max + 1} {
			if _, err := table.Public(k.Kind, take(t, a, make([]byte, n))); !errors.Is(err, ErrSecret) {
				t.Errorf("%s of %d bytes: got %v", k.Kind, n, err)
			}
		}
	}
	for _, r := range table.described.Rows() {
		of, _ := table.described.Material(r.Kinds[0])
		for _, n := range []int{of.Min - 1, of.Max + 1} { // half an AES key is another algorithm's key
			key := Key{of.Kind, take(t, a, make([]byte, n)), make([]byte, of.Public)}
			if err := use(table, a, key, r.Mechanism); !errors.Is(err, ErrSecret) {
				t.Errorf("%s with a secret of %d bytes: got %v", r.Mechanism, n, err)
			}
		}
	}
	ranged := []Kind{described.KindSecp256k1, described.KindP256, described.KindP384, described.KindP521, described.KindBLS, described.KindRSA2048}
	for _, k := range ranged {
		of, _ := table.described.Material(k)
		for _, fill := range []byte{0, 0xff} {
			sk := take(t, a, bytes.Repeat([]byte{fill}, of.Max))
			if _, err := table.Public(k, sk); !errors.Is(err, ErrSecret) {
				t.Errorf("%s of bytes %#x: got %v", k, fill, err)
			}
			for _, r := range table.described.Rows() {
				if r.Use != described.Sign || !table.described.Direct(k, r.Mechanism) {
					continue
				}
				if _, err := table.Sign(Key{k, sk, make([]byte, of.Public)}, r.Mechanism, make([]byte, 32), nil); err == nil {
					t.Errorf("%s signed with bytes %#x", r.Mechanism, fill)
				}
			}
		}
	}
	gone := take(t, a, make([]byte, 32))
	gone.Wipe()
	if _, err := table.Sign(Key{Kind: described.KindEd25519, Secret: gone}, described.EdDSA, nil, nil); err == nil {
		t.Error("signed with a wiped secret")
	}
}

// TestRSAPartsThatDoNotFit: each of p, q and d is checked against the others.
func TestRSAPartsThatDoNotFit(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for _, at := range []int{127, 255, 511} {
		b := rsaTestKey()
		b[at] ^= 2
		if _, err := table.Public(described.KindRSA2048, take(t, a, b)); !errors.Is(err, ErrSecret) {
			t.Errorf("byte %d: got %v", at, err)
		}
	}
}

// TestInputs: digests and messages of a length that a mechanism doesn't take are refused, not cut or filled.
func TestInputs(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	for _, m := range []Mechanism{described.ECDSASecp256k1, described.BIP340, described.ECDSAP256, described.ECDSAP384, described.ECDSAP521} {
		r, _ := table.described.Find(m)
		key := generate(t, table, a, r.Kinds[0])
		for _, n := range []int{0, 20, 31, 33, 65} {
			if _, err := table.Sign(key, m, make([]byte, n), nil); !errors.Is(err, ErrInput) {
				t.Errorf("%s, %d bytes: got %v", m, n, err)
			}
		}
	}
	kem := generate(t, table, a, described.KindMLKEM768)
	if err := wiped(table.Decapsulate(a, kem, described.MLKEM768, make([]byte, 1087))); !errors.Is(err, ErrInput) {
		t.Errorf("short capsule: got %v", err)
	}
	if _, _, err := table.Encapsulate(a, described.MLKEM768, make([]byte, 1183)); !errors.Is(err, ErrInput) {
		t.Errorf("short encapsulation key: got %v", err)
	}
	for _, m := range []Mechanism{described.X25519, described.ECDHP256} {
		r, _ := table.described.Find(m)
		key := generate(t, table, a, r.Kinds[0])
		for _, peer := range [][]byte{nil, make([]byte, 32), make([]byte, 65), {0}} { // a point of small order, one off the curve, infinity
			if err := wiped(table.Agree(a, key, m, peer)); !errors.Is(err, ErrInput) {
				t.Errorf("%s with %x: got %v", m, peer, err)
			}
		}
	}
	oaep := generate(t, table, a, described.KindRSA2048)
	if _, err := table.Encrypt(oaep, described.RSAOAEP, make([]byte, 191), nil); !errors.Is(err, ErrInput) {
		t.Errorf("too long for OAEP: got %v", err)
	}
	if _, err := table.Encrypt(oaep, described.RSAOAEP, nil, []byte{1}); !errors.Is(err, ErrUnfit) {
		t.Errorf("additional data with OAEP: got %v", err)
	}
	if _, err := table.Decrypt(oaep, described.RSAOAEP, make([]byte, 256), []byte{1}); !errors.Is(err, ErrUnfit) {
		t.Errorf("additional data with OAEP: got %v", err)
	}
}

// TestWrongKeys: what one key sealed another does not open, and codes count whole.
func TestWrongKeys(t *testing.T) {
	t.Parallel()
	table, a := newTable(t), secrettest.Arena(t)
	one, two := generate(t, table, a, described.KindAES256), generate(t, table, a, described.KindAES256)
	sealed, err := table.Encrypt(one, described.AESGCM, []byte("text"), []byte("for"))
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]func() error{
		"another key":              func() error { _, err := table.Decrypt(two, described.AESGCM, sealed, []byte("for")); return err },
		"other additional data":    func() error { _, err := table.Decrypt(one, described.AESGCM, sealed, nil); return err },
		"cut off":                  func() error { _, err := table.Decrypt(one, described.AESGCM, sealed[:27], []byte("for")); return err },
		"wrapped by another key":   func() error { return unwrapOther(t, table, a, one, two) },
		"unwrapped out of nothing": func() error { return wiped(table.Unwrap(a, one, described.AESKeyWrap, nil)) },
	} {
		if err := open(); !errors.Is(err, ErrOpen) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	mac := generate(t, table, a, described.KindGeneric)
	code, err := table.MAC(mac, described.HMACSHA256, []byte("text"))
	if err != nil || table.VerifyMAC(mac, described.HMACSHA256, []byte("text"), code) != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]byte{nil, code[:31], append(bytes.Clone(code), 0)} {
		if err := table.VerifyMAC(mac, described.HMACSHA256, []byte("text"), bad); !errors.Is(err, ErrOpen) {
			t.Errorf("code of %d bytes: got %v", len(bad), err)
		}
	}
}

func unwrapOther(t *testing.T, table *Table, a *secret.Arena, one, two Key) error {
	wrapped, err := table.Wrap(one, described.AESKeyWrap, one.Secret)
	if err != nil {
		t.Fatal(err)
	}
	return wiped(table.Unwrap(a, two, described.AESKeyWrap, wrapped))
}

// FuzzVerify: no public key, message or signature makes any algorithm panic, and a signature cut off by a byte is none.
func FuzzVerify(f *testing.F) {
	table := newTable(f)
	for _, list := range answers {
		for _, k := range list {
			f.Add(k.Public, k.Input, k.Output)
		}
	}
	f.Fuzz(func(t *testing.T, pub, msg, sig []byte) {
		for _, r := range table.described.Rows() {
			for _, k := range r.Kinds {
				if table.Verify(k, r.Mechanism, pub, msg, sig) && table.Verify(k, r.Mechanism, pub, msg, sig[:len(sig)-1]) {
					t.Errorf("%s verifies %x with and without its last byte", r.Mechanism, sig)
				}
			}
			if r.Use != described.KEM {
				continue
			}
			if shared, _, err := table.rows[r.Mechanism].Encapsulate(pub); err == nil && len(shared) != r.Makes {
				t.Errorf("%s shares %d bytes", r.Mechanism, len(shared))
			}
		}
	})
}
