// SPDX-License-Identifier: Apache-2.0

package domainkeys

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/soft"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/readkey"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func newRoot(t testing.TB, a *secret.Arena) *soft.Root {
	t.Helper()
	p, err := secret.Take(a, []byte("correct horse battery staple"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wipe()
	r, err := soft.Create(soft.Config{Arena: a, Dir: t.TempDir(), Argon: soft.Argon{Time: 1, Memory: 8, Lanes: 1}, WeakUnsafe: true}, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// parts is a fixed identity: bytes 0, 1, 2 … 159.
func parts() []byte {
	b := make([]byte, 160)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func fixedIdentity(t testing.TB, a *secret.Arena) *Identity {
	t.Helper()
	p, err := secret.Take(a, parts())
	if err != nil {
		t.Fatal(err)
	}
	i, err := newIdentity(a, p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Wipe)
	return i
}

func TestIdentitySaveLoad(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	root := newRoot(t, a)
	if _, err := LoadIdentity(t.Context(), a, root); !errors.Is(err, hsm.ErrNotFound) {
		t.Errorf("nothing saved: got error %v", err)
	}
	i, err := GenerateIdentity(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer i.Wipe()
	if err := i.Save(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	if err := i.Save(t.Context(), root); !errors.Is(err, hsm.ErrExists) {
		t.Errorf("saved twice: got error %v", err)
	}
	again, err := LoadIdentity(t.Context(), a, root)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Wipe()
	if again.LogKey() != i.LogKey() || again.IdentityKey() != i.IdentityKey() || again.Salt(1, 2) != i.Salt(1, 2) || again.Aux([32]byte{1}) != i.Aux([32]byte{1}) {
		t.Error("another identity was loaded")
	}
	if i.LogKey() == i.IdentityKey() {
		t.Error("log key and identity key are the same")
	}
	other, err := GenerateIdentity(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Wipe()
	if other.LogKey() == i.LogKey() {
		t.Error("two identities are the same")
	}
}

func TestSignatures(t *testing.T) {
	t.Parallel()
	i := fixedIdentity(t, secrettest.Arena(t))
	log, id := i.LogKey(), i.IdentityKey()
	if want := ed25519.NewKeyFromSeed(parts()[:32]).Public().(ed25519.PublicKey); !bytes.Equal(log[:], want) {
		t.Errorf("log key: got %x, want %x", log, want)
	}
	if want := ed25519.NewKeyFromSeed(parts()[32:64]).Public().(ed25519.PublicKey); !bytes.Equal(id[:], want) {
		t.Errorf("identity key: got %x, want %x", id, want)
	}
	m := []byte("a message")
	if sig := i.SignLog(m); !ed25519.Verify(log[:], m, sig) || ed25519.Verify(id[:], m, sig) || !bytes.Equal(sig, i.SignLog(m)) {
		t.Errorf("log signature %x", sig)
	}
	if sig := i.SignIdentity(m); !ed25519.Verify(id[:], m, sig) || ed25519.Verify(log[:], m, sig) {
		t.Errorf("identity signature %x", sig)
	}
}

func hmac256(key []byte, parts ...[]byte) []byte {
	m := hmac.New(sha256.New, key)
	for _, p := range parts {
		m.Write(p)
	}
	return m.Sum(nil)
}

// hkdf384 is the first block of RFC 5869 with SHA-384, written out, without a salt.
func hkdf384(key, info []byte, n int) []byte {
	h := func() hash.Hash { return sha512.New384() }
	extract := hmac.New(h, make([]byte, 48))
	extract.Write(key)
	expand := hmac.New(h, extract.Sum(nil))
	expand.Write(info)
	expand.Write([]byte{1})
	return expand.Sum(nil)[:n]
}

func TestDerivationsFollowTheSpec(t *testing.T) {
	t.Parallel()
	i := fixedIdentity(t, secrettest.Arena(t))
	place := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, 7), 3)
	if got, want := i.Salt(7, 3), hmac256(parts()[96:128], []byte("strongroom/salt/v1\x00"), place)[:16]; !bytes.Equal(got[:], want) {
		t.Errorf("salt: got %x, want %x", got, want)
	}
	leaf := [32]byte{9}
	if got, want := i.Aux(leaf), hmac256(parts()[128:], []byte("strongroom/permit-aux/v1\x00"), leaf[:]); !bytes.Equal(got[:], want) {
		t.Errorf("aux: got %x, want %x", got, want)
	}
	key, err := i.ReadKey(24323)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	want := hkdf384(parts()[64:96], append([]byte("strongroom/read-key/v1\x00"), 0, 0, 0x5f, 0x03), 32)
	if err := key.Use(func(got []byte) error {
		if !bytes.Equal(got, want) {
			return fmt.Errorf("got %x, want %x", got, want)
		}
		return nil
	}); err != nil {
		t.Errorf("read key: %v", err)
	}
	if i.Salt(7, 3) == i.Salt(7, 4) || i.Salt(7, 3) == i.Salt(8, 3) || i.Aux(leaf) == i.Aux([32]byte{8}) {
		t.Error("different inputs have the same output")
	}
}

// TestFrozen has the values that docs/spec/blob.md gives for the identity of the bytes 0 to 159.
func TestFrozen(t *testing.T) {
	t.Parallel()
	i := fixedIdentity(t, secrettest.Arena(t))
	log, id, salt, aux := i.LogKey(), i.IdentityKey(), i.Salt(7, 3), i.Aux([32]byte{9})
	key, err := i.ReadKey(24323)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	var read []byte
	if err := key.Use(func(b []byte) error { read = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		name string
		got  []byte
		want string
	}{
		{"log key", log[:], "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"},
		{"identity key", id[:], "29acbae141bccaf0b22e1a94d34d0bc7361e526d0bfe12c89794bc9322966dd7"},
		{"salt", salt[:], "7a22b15854df3b0b8f7b690ea0590571"},
		{"aux", aux[:], "14b76193a28ecac7fca18404a0019c3d91aaabc379e5d14fa81363dc5668a3df"},
		{"read key", read, "6e18b5f8ff0d9a8e62d7f806b29c2ef014d01b9df0034e3df83760a42c470ad0"},
	} {
		if hex.EncodeToString(v.got) != v.want {
			t.Errorf("%s: got %x, want %s", v.name, v.got, v.want)
		}
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	i := fixedIdentity(t, secrettest.Arena(t))
	salt, body := [16]byte{5}, []byte("a confidential body")
	stored := map[uint32][]byte{}
	for period := uint32(24300); period < 24340; period++ { // more than are kept ready
		b, err := i.SealBody(period, 7, 1, salt, body)
		if err != nil {
			t.Fatal(err)
		}
		again, err := i.SealBody(period, 7, 1, salt, body)
		if err != nil || bytes.Equal(b, again) {
			t.Fatalf("sealed twice to the same bytes (err %v)", err)
		}
		stored[period] = b
	}
	if got := len(i.reads.keys); got != keptReadKeys {
		t.Errorf("%d read keys are kept ready, want %d", got, keptReadKeys)
	}
	for period, b := range stored {
		gotSalt, got, err := i.OpenBody(period, 7, 1, b)
		if err != nil || gotSalt != salt || !bytes.Equal(got, body) {
			t.Fatalf("period %d: got %x, %q and error %v", period, gotSalt, got, err)
		}
		for _, at := range []struct {
			period uint32
			seq    uint64
			index  uint32
		}{{period + 1, 7, 1}, {period, 8, 1}, {period, 7, 0}} {
			if _, _, err := i.OpenBody(at.period, at.seq, at.index, b); !errors.Is(err, readkey.ErrOpen) {
				t.Fatalf("%+v: got error %v", at, err)
			}
		}
	}
	b := stored[24300]
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		if _, _, err := i.OpenBody(24300, 7, 1, b); !errors.Is(err, readkey.ErrOpen) {
			t.Fatalf("bit %d of byte %d: got error %v", bit%8, bit/8, err)
		}
		b[bit/8] ^= 1 << (bit % 8)
	}
	// An auditor with the read key alone reads it.
	key, err := i.ReadKey(24300)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	if err := key.Use(func(raw []byte) error {
		k, err := readkey.New(24300, (*[32]byte)(raw))
		if err != nil {
			return err
		}
		_, got, err := k.Open(readkey.Place{Seq: 7, Index: 1}, b)
		if err == nil && !bytes.Equal(got, body) {
			err = fmt.Errorf("got %q", got)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	i := fixedIdentity(t, secrettest.Arena(t))
	salt, aux := i.Salt(1, 1), i.Aux([32]byte{1})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := range 200 {
				if i.Salt(1, 1) != salt || i.Aux([32]byte{1}) != aux {
					t.Error("another salt or aux")
				}
				period := uint32(24300 + (n*g)%30)
				b, err := i.SealBody(period, 1, 1, salt, []byte("body"))
				if err != nil {
					t.Error(err)
					return
				}
				if _, _, err := i.OpenBody(period, 1, 1, b); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func TestNothingPrints(t *testing.T) {
	t.Parallel()
	i := fixedIdentity(t, secrettest.Arena(t))
	if _, err := i.SealBody(1, 1, 1, [16]byte{}, nil); err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%x", "%s", "%d"} {
		for _, v := range []any{i, i.logKey, i.salts, i.reads.keys} {
			out := fmt.Sprintf(format, v)
			for part := 0; part < 160; part += 32 {
				raw := parts()[part:][:8]
				if strings.Contains(out, string(raw)) || strings.Contains(out, hex.EncodeToString(raw)) || strings.Contains(out, strings.Trim(fmt.Sprint(raw), "[]")) {
					t.Errorf("%s prints part %d: %s", format, part, out)
				}
			}
		}
	}
}

func TestWipe(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	i, err := GenerateIdentity(a, nil)
	if err != nil {
		t.Fatal(err)
	}
	private := i.logKey.private()
	i.Wipe()
	i.Wipe()
	if !bytes.Equal(private, make([]byte, 64)) || a.Usage().Live != 0 {
		t.Errorf("wiped: %d secrets are live, private key zero %v", a.Usage().Live, bytes.Equal(private, make([]byte, 64)))
	}
	defer func() {
		if recover() == nil {
			t.Error("signed after Wipe")
		}
	}()
	i.SignLog(nil)
}

func TestDWK(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	root := newRoot(t, a)
	id := [32]byte{1}
	if _, err := GenerateDWK(a, id, 0, nil); err == nil {
		t.Error("made a key of epoch 0")
	}
	for _, epoch := range []uint64{1, 2} {
		d, err := GenerateDWK(a, id, epoch, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Wipe()
		if err := d.Save(t.Context(), root); err != nil {
			t.Fatal(err)
		}
		if err := d.Save(t.Context(), root); !errors.Is(err, hsm.ErrExists) {
			t.Errorf("saved twice: got error %v", err)
		}
		got, err := LoadDWK(t.Context(), root, id, epoch)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Wipe()
		if !got.Key().Equal(d.Key()) || got.Pattern != d.Pattern || got.Epoch != epoch || got.Identity != id {
			t.Errorf("got %+v, want %+v", got, d)
		}
	}
	if _, err := LoadDWK(t.Context(), root, [32]byte{2}, 1); !errors.Is(err, ErrUnfit) {
		t.Errorf("another domain: got error %v", err)
	}
	if err := DestroyDWK(t.Context(), root, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDWK(t.Context(), root, id, 1); !errors.Is(err, hsm.ErrNotFound) {
		t.Errorf("destroyed: got error %v", err)
	}
	d, err := LoadDWK(t.Context(), root, id, 2)
	if err != nil {
		t.Fatal(err)
	}
	d.Wipe()
}

// liar is a root that unseals what the test gives it.
type liar struct {
	hsm.Sealer
	arena  *secret.Arena
	header []byte
	plain  []byte
}

func (l liar) Unseal(context.Context, string) ([]byte, secret.Bytes, error) {
	s, err := secret.Take(l.arena, bytes.Clone(l.plain))
	return l.header, s, err
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	i := fixedIdentity(t, a)
	log, id := i.LogKey(), i.IdentityKey()
	for name, l := range map[string]liar{
		"no header":     {plain: parts()},
		"version":       {header: canon.Encode(identityHeader{V: 2, What: "identity", Log: log[:], Identity: id[:]}), plain: parts()},
		"what":          {header: canon.Encode(identityHeader{V: 1, What: "dwk", Log: log[:], Identity: id[:]}), plain: parts()},
		"log key":       {header: canon.Encode(identityHeader{V: 1, What: "identity", Log: id[:], Identity: id[:]}), plain: parts()},
		"identity key":  {header: canon.Encode(identityHeader{V: 1, What: "identity", Log: log[:], Identity: log[:]}), plain: parts()},
		"short content": {header: canon.Encode(identityHeader{V: 1, What: "identity", Log: log[:], Identity: id[:]}), plain: parts()[:159]},
	} {
		l.arena = a
		if _, err := LoadIdentity(t.Context(), a, l); !errors.Is(err, ErrUnfit) {
			t.Errorf("identity, %s: got error %v", name, err)
		}
	}
	d, err := GenerateDWK(a, id, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Wipe()
	var key []byte
	if err := d.Key().Use(func(b []byte) error { key = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	good := dwkHeader{V: 1, What: "dwk", Identity: id[:], Epoch: 3, Pattern: d.Pattern[:]}
	for name, l := range map[string]liar{
		"no header":     {plain: key},
		"version":       {header: canon.Encode(dwkHeader{2, good.What, good.Identity, good.Epoch, good.Pattern}), plain: key},
		"what":          {header: canon.Encode(dwkHeader{1, "identity", good.Identity, good.Epoch, good.Pattern}), plain: key},
		"domain":        {header: canon.Encode(dwkHeader{1, good.What, log[:], good.Epoch, good.Pattern}), plain: key},
		"epoch":         {header: canon.Encode(dwkHeader{1, good.What, good.Identity, 4, good.Pattern}), plain: key},
		"pattern":       {header: canon.Encode(dwkHeader{1, good.What, good.Identity, good.Epoch, nil}), plain: key},
		"another key":   {header: canon.Encode(good), plain: bytes.Repeat([]byte{1}, 32)},
		"short content": {header: canon.Encode(good), plain: key[:31]},
	} {
		l.arena = a
		if _, err := LoadDWK(t.Context(), l, id, 3); !errors.Is(err, ErrUnfit) {
			t.Errorf("working key, %s: got error %v", name, err)
		}
	}
	l := liar{arena: a, header: canon.Encode(good), plain: key}
	got, err := LoadDWK(t.Context(), l, id, 3)
	if err != nil {
		t.Fatal(err)
	}
	got.Wipe()
}

func BenchmarkSealBody(b *testing.B) {
	i := fixedIdentity(b, secrettest.Arena(b))
	body := make([]byte, 1024)
	period := readkey.Period(time.Unix(1_800_000_000, 0).UnixNano())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.SealBody(period, 1, 0, i.Salt(1, 0), body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignLog(b *testing.B) {
	i := fixedIdentity(b, secrettest.Arena(b))
	m := make([]byte, 200)
	for b.Loop() {
		i.SignLog(m)
	}
}

// TestKeysComeFromWhatFills: identity and working key are what the given randomness makes them, and nothing when it fails.
func TestKeysComeFromWhatFills(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	same := Fill(func(b []byte) error {
		for i := range b {
			b[i] = byte(i)
		}
		return nil
	})
	var ids [2][ed25519.PublicKeySize]byte
	var patterns [2][16]byte
	for n := range ids {
		i, err := GenerateIdentity(a, same)
		if err != nil {
			t.Fatal(err)
		}
		ids[n] = i.IdentityKey()
		d, err := GenerateDWK(a, ids[n], 1, same)
		if err != nil {
			t.Fatal(err)
		}
		patterns[n] = d.Pattern
		d.Wipe()
		i.Wipe()
	}
	if ids[0] != ids[1] || patterns[0] != patterns[1] {
		t.Error("other randomness than the given is in a key")
	}
	failing := Fill(func([]byte) error { return errors.New("no randomness") })
	if _, err := GenerateIdentity(a, failing); err == nil {
		t.Error("an identity without randomness")
	}
	if _, err := GenerateDWK(a, ids[0], 1, failing); err == nil {
		t.Error("a working key without randomness")
	}
}
