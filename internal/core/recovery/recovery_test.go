// SPDX-License-Identifier: Apache-2.0

package recovery_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudflare/circl/kem/xwing"
	"pgregory.net/rapid"

	"strongroom/internal/core/recovery"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// take makes a secret of these bytes, wiped at the end of the test.
func take(t testing.TB, a *secret.Arena, b []byte) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

func content(t testing.TB, s secret.Bytes) (out []byte) {
	t.Helper()
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

var (
	master   = bytes.Repeat([]byte{7}, 32)
	identity = [32]byte{1, 2, 3}
	plain    = []byte("a domain working key of 32 bytes")
)

const label = "dwk-3"

func derive(t testing.TB, a *secret.Arena, r []byte) *recovery.Key {
	t.Helper()
	k, err := recovery.Derive(a, take(t, a, r))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Wipe)
	return k
}

func seal(t testing.TB, a *secret.Arena, public []byte, label string, p []byte) []byte {
	t.Helper()
	sealed, err := recovery.Seal(public, identity, label, take(t, a, p))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestDeriveIsAFunctionOfTheMaster(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	one, two := derive(t, a, master), derive(t, a, master)
	if !bytes.Equal(one.Public(), two.Public()) {
		t.Error("the same master secret gave two keys")
	}
	if len(one.Public()) != recovery.PublicSize {
		t.Errorf("public key of %d bytes", len(one.Public()))
	}
	if err := recovery.CheckPublic(one.Public()); err != nil {
		t.Error(err)
	}
	other := bytes.Clone(master)
	other[31] ^= 1
	if bytes.Equal(one.Public(), derive(t, a, other).Public()) {
		t.Error("two master secrets gave one key")
	}
	one.Public()[0] ^= 1
	if !bytes.Equal(one.Public(), two.Public()) {
		t.Error("a caller changed the key through what Public returned")
	}
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	key := derive(t, a, master)
	rapid.Check(t, func(r *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(r, "plain")
		l := rapid.StringMatching(`[a-z0-9.-]{1,64}`).Draw(r, "label")
		var id [32]byte
		copy(id[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "identity"))
		in, err := secret.Take(a, bytes.Clone(p))
		if err != nil {
			r.Fatal(err)
		}
		defer in.Wipe()
		sealed, err := recovery.Seal(key.Public(), id, l, in)
		if err != nil {
			r.Fatal(err)
		}
		if again, err := recovery.Seal(key.Public(), id, l, in); err != nil || bytes.Equal(again, sealed) {
			r.Fatalf("sealed twice to the same bytes (err %v)", err)
		}
		if of, err := recovery.KeyOf(sealed); err != nil || of != sha256.Sum256(key.Public()) {
			r.Fatalf("key of the envelope: %x, %v", of, err)
		}
		out, err := key.Open(a, id, l, sealed)
		if err != nil {
			r.Fatal(err)
		}
		defer out.Wipe()
		if !out.Equal(in) {
			r.Fatal("what was opened is not what was sealed")
		}
		if len(p) >= 16 && bytes.Contains(sealed, p) {
			r.Fatal("the plaintext stands in the envelope")
		}
	})
}

func TestEveryBitCounts(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	key := derive(t, a, master)
	sealed := seal(t, a, key.Public(), label, plain)
	step := 1
	if testing.Short() {
		step = 31
	}
	for i := 0; i < len(sealed)*8; i += step {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		out, err := key.Open(a, identity, label, b)
		if !errors.Is(err, recovery.ErrOpen) && !errors.Is(err, recovery.ErrMalformed) && !errors.Is(err, recovery.ErrOtherKey) {
			out.Wipe()
			t.Fatalf("bit %d of byte %d changed: got error %v", i%8, i/8, err)
		}
	}
	for n := range len(sealed) {
		if _, err := key.Open(a, identity, label, sealed[:n]); !errors.Is(err, recovery.ErrMalformed) {
			t.Fatalf("cut to %d bytes: got error %v", n, err)
		}
	}
}

// parts is the envelope as docs/spec/share.md has it, written again for the tests.
type parts struct {
	V   uint   `cbor:"1,keyasint"`
	Key []byte `cbor:"2,keyasint"`
	Enc []byte `cbor:"3,keyasint"`
	Box []byte `cbor:"4,keyasint"`
}

func split(t testing.TB, sealed []byte) (p parts) {
	t.Helper()
	if err := canon.Decode(sealed, &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	key, stranger := derive(t, a, master), derive(t, a, bytes.Repeat([]byte{8}, 32))
	sealed := seal(t, a, key.Public(), label, plain)
	other := split(t, seal(t, a, key.Public(), label, plain))
	with := func(change func(*parts)) []byte {
		e := split(t, sealed)
		change(&e)
		return canon.Encode(e)
	}
	wiped := derive(t, a, master)
	wiped.Wipe()
	strangerHash := sha256.Sum256(stranger.Public())
	tests := []struct {
		name     string
		key      *recovery.Key
		identity [32]byte
		label    string
		sealed   []byte
		want     error
	}{
		{"another key", stranger, identity, label, sealed, recovery.ErrOtherKey},
		{"another key, told that it is this one", stranger, identity, label, with(func(e *parts) { e.Key = strangerHash[:] }), recovery.ErrOpen},
		{"another identity", key, [32]byte{1, 2, 4}, label, sealed, recovery.ErrOpen},
		{"another label", key, identity, "dwk-4", sealed, recovery.ErrOpen},
		{"label cut", key, identity, "dwk-", sealed, recovery.ErrOpen},
		{"no label", key, identity, "", sealed, recovery.ErrInput},
		{"wiped key", wiped, identity, label, sealed, secret.ErrWiped},
		{"box of another", key, identity, label, with(func(e *parts) { e.Box = other.Box }), recovery.ErrOpen},
		{"encapsulated key of another", key, identity, label, with(func(e *parts) { e.Enc = other.Enc }), recovery.ErrOpen},
		{"X25519 share of zero", key, identity, label, with(func(e *parts) { clear(e.Enc[1088:]) }), recovery.ErrOpen},
		{"version 2", key, identity, label, with(func(e *parts) { e.V = 2 }), recovery.ErrMalformed},
		{"box without plaintext", key, identity, label, with(func(e *parts) { e.Box = e.Box[:16] }), recovery.ErrMalformed},
		{"box too long", key, identity, label, with(func(e *parts) { e.Box = make([]byte, recovery.MaxPlain+17) }), recovery.ErrMalformed},
		{"encapsulated key short", key, identity, label, with(func(e *parts) { e.Enc = e.Enc[1:] }), recovery.ErrMalformed},
		{"key hash short", key, identity, label, with(func(e *parts) { e.Key = e.Key[1:] }), recovery.ErrMalformed},
		{"trailing byte", key, identity, label, append(bytes.Clone(sealed), 0), recovery.ErrMalformed},
		{"too long", key, identity, label, make([]byte, recovery.MaxSealed+1), recovery.ErrMalformed},
		{"empty", key, identity, label, nil, recovery.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := tt.key.Open(a, tt.identity, tt.label, tt.sealed); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
}

func TestRefusesToSeal(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	public := derive(t, a, master).Public()
	unreduced := bytes.Clone(public)
	copy(unreduced, []byte{0xff, 0xff, 0xff}) // two coefficients of 4095; q is 3329
	for _, tt := range []struct {
		name   string
		public []byte
		label  string
		plain  []byte
	}{
		{"no label", public, "", plain},
		{"long label", public, strings.Repeat("a", recovery.MaxLabel+1), plain},
		{"label in capitals", public, "DWK-1", plain},
		{"label with a zero", public, "dwk\x00", plain},
		{"short public key", public[1:], label, plain},
		{"no public key", nil, label, plain},
		{"public key that is not reduced", unreduced, label, plain},
		{"long plaintext", public, label, make([]byte, recovery.MaxPlain+1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := recovery.Seal(tt.public, identity, tt.label, take(t, a, tt.plain)); !errors.Is(err, recovery.ErrInput) {
				t.Errorf("got error %v", err)
			}
		})
	}
	if err := recovery.CheckPublic(unreduced); !errors.Is(err, recovery.ErrInput) {
		t.Errorf("unreduced public key: got error %v", err)
	}
	if _, err := recovery.Seal(public, identity, label, secret.Bytes{}); !errors.Is(err, secret.ErrWiped) {
		t.Errorf("wiped plaintext: got error %v", err)
	}
	if n := len(seal(t, a, public, strings.Repeat("a", recovery.MaxLabel), make([]byte, recovery.MaxPlain))); n > recovery.MaxSealed {
		t.Errorf("the largest envelope has %d bytes, more than %d", n, recovery.MaxSealed)
	}
	for _, n := range []int{31, 33} {
		if _, err := recovery.Derive(a, take(t, a, make([]byte, n))); !errors.Is(err, recovery.ErrInput) {
			t.Errorf("master secret of %d bytes: got error %v", n, err)
		}
	}
	if _, err := recovery.Derive(a, secret.Bytes{}); !errors.Is(err, secret.ErrWiped) {
		t.Errorf("wiped master secret: got error %v", err)
	}
}

// suite of RFC 9180 section 5.1 for KEM 0x647a, KDF 0x0002, AEAD 0x0002.
var suite = []byte{'H', 'P', 'K', 'E', 0x64, 0x7a, 0, 2, 0, 2}

func labeledExtract(t testing.TB, salt []byte, label string, ikm []byte) []byte {
	t.Helper()
	prk, err := hkdf.Extract(sha512.New384, bytes.Join([][]byte{[]byte("HPKE-v1"), suite, []byte(label), ikm}, nil), salt)
	if err != nil {
		t.Fatal(err)
	}
	return prk
}

func labeledExpand(t testing.TB, prk []byte, label string, info []byte, n int) []byte {
	t.Helper()
	full := bytes.Join([][]byte{binary.BigEndian.AppendUint16(nil, uint16(n)), []byte("HPKE-v1"), suite, []byte(label), info}, nil)
	out, err := hkdf.Expand(sha512.New384, prk, string(full), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seedBySpec is the KEM's private key that follows from a master secret: docs/spec/share.md, and "DeriveKeyPair" of draft-ietf-hpke-pq
// with SHAKE256 as its one-stage KDF.
func seedBySpec(t testing.TB, r []byte) []byte {
	t.Helper()
	ikm, err := hkdf.Key(sha512.New, r, nil, "strongroom/recovery/v1", 64)
	if err != nil {
		t.Fatal(err)
	}
	h := sha3.NewSHAKE256()
	for _, b := range [][]byte{ikm, []byte("HPKE-v1"), {'K', 'E', 'M', 0x64, 0x7a}, {0, 13}, []byte("DeriveKeyPair"), {0, 32}} {
		_, _ = h.Write(b)
	}
	seed := make([]byte, 32)
	_, _ = h.Read(seed)
	return seed
}

// openBySpec opens an envelope from the words of docs/spec/share.md alone, with another implementation of the KEM and RFC 9180's key schedule
// written out.
func openBySpec(t testing.TB, r []byte, identity [32]byte, label string, sealed []byte) []byte {
	t.Helper()
	seed := seedBySpec(t, r)
	_, public := xwing.DeriveKeyPairPacked(seed)
	e := split(t, sealed)
	hash := sha256.Sum256(public)
	if e.V != 1 || !bytes.Equal(e.Key, hash[:]) {
		t.Fatal("version or key hash is not that of the spec")
	}
	shared := xwing.Decapsulate(e.Enc, seed)
	info := []byte("strongroom/recovery-seal/v1\x00")
	info = append(info, 0xa4, 0x01, 0x01, 0x02, 0x58, 0x20)
	info = append(info, hash[:]...)
	info = append(info, 0x03, 0x58, 0x20)
	info = append(info, identity[:]...)
	info = append(info, 0x04, 0x60+byte(len(label)))
	info = append(info, label...)
	schedule := bytes.Join([][]byte{{0}, labeledExtract(t, nil, "psk_id_hash", nil), labeledExtract(t, nil, "info_hash", info)}, nil)
	secretKey := labeledExtract(t, shared, "secret", nil)
	block, err := aes.NewCipher(labeledExpand(t, secretKey, "key", schedule, 32))
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	out, err := gcm.Open(nil, labeledExpand(t, secretKey, "base_nonce", schedule, 12), e.Box, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFollowsTheSpec(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	key := derive(t, a, master)
	if _, public := xwing.DeriveKeyPairPacked(seedBySpec(t, master)); !bytes.Equal(public, key.Public()) {
		t.Fatal("the public key is not that of the spec")
	}
	if got := openBySpec(t, master, identity, label, seal(t, a, key.Public(), label, plain)); !bytes.Equal(got, plain) {
		t.Errorf("got %q, want %q", got, plain)
	}
}

// frozen reads an envelope that the first version wrote: plain for identity and label, to the key of master.
func frozen(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "frozen", "envelope.hex"))
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// TestFrozen opens an envelope that the first version wrote.
func TestFrozen(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	key := derive(t, a, master)
	const hash = "49e65bbca5a78a3e107daa051e2f44b349d1af836a37a1b1381cccb852e4d2f2"
	if got := fmt.Sprintf("%x", sha256.Sum256(key.Public())); got != hash {
		t.Errorf("SHA-256 of the public key is %s, was %s", got, hash)
	}
	out, err := key.Open(a, identity, label, frozen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Wipe()
	if got := content(t, out); !bytes.Equal(got, plain) {
		t.Errorf("got %q, want %q", got, plain)
	}
}

// FuzzOpen: whatever opens is the one encoding of an envelope, and everything else is refused by name.
func FuzzOpen(f *testing.F) {
	a := secrettest.Arena(f)
	key := derive(f, a, master)
	f.Add(frozen(f))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := key.Open(a, identity, label, b)
		if err != nil {
			if !errors.Is(err, recovery.ErrMalformed) && !errors.Is(err, recovery.ErrOtherKey) && !errors.Is(err, recovery.ErrOpen) {
				t.Fatalf("unnamed error %v", err)
			}
			return
		}
		defer out.Wipe()
		if got := openBySpec(t, master, identity, label, b); !bytes.Equal(got, content(t, out)) {
			t.Fatal("the spec reads another plaintext")
		}
	})
}

func BenchmarkSeal(b *testing.B) {
	a := secrettest.Arena(b)
	key, p := derive(b, a, master), take(b, a, plain)
	for b.Loop() {
		if _, err := recovery.Seal(key.Public(), identity, label, p); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	a := secrettest.Arena(b)
	key := derive(b, a, master)
	sealed := seal(b, a, key.Public(), label, plain)
	for b.Loop() {
		out, err := key.Open(a, identity, label, sealed)
		if err != nil {
			b.Fatal(err)
		}
		out.Wipe()
	}
}
