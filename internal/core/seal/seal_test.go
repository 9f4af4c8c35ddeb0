// SPDX-License-Identifier: Apache-2.0

package seal_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/seal"
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
	key32  = bytes.Repeat([]byte{7}, 32)
	header = []byte("the header")
	plain  = []byte("the plaintext of a sealed thing")
)

func mustSeal(t testing.TB, tag canon.Tag, key secret.Bytes, header []byte, p secret.Bytes) []byte {
	t.Helper()
	b, err := seal.Seal(tag, key, header, p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	rapid.Check(t, func(r *rapid.T) {
		h := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(r, "header")
		p := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(r, "plain")
		k := rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(r, "key")
		key, err := secret.Take(a, bytes.Clone(k))
		if err != nil {
			r.Fatal(err)
		}
		defer key.Wipe()
		in, err := secret.Take(a, bytes.Clone(p))
		if err != nil {
			r.Fatal(err)
		}
		defer in.Wipe()
		sealed, err := seal.Seal(canon.TagBlob, key, h, in)
		if err != nil {
			r.Fatal(err)
		}
		if again, err := seal.Seal(canon.TagBlob, key, h, in); err != nil || bytes.Equal(again, sealed) {
			r.Fatalf("sealed twice to the same bytes (err %v)", err)
		}
		out, gotHeader, err := seal.Open(a, canon.TagBlob, key, sealed)
		if err != nil {
			r.Fatal(err)
		}
		defer out.Wipe()
		if !out.Equal(in) || !bytes.Equal(gotHeader, h) {
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
	key := take(t, a, key32)
	sealed := mustSeal(t, canon.TagBlob, key, header, take(t, a, plain))
	for i := range len(sealed) * 8 {
		b := bytes.Clone(sealed)
		b[i/8] ^= 1 << (i % 8)
		if out, _, err := seal.Open(a, canon.TagBlob, key, b); !errors.Is(err, seal.ErrOpen) && !errors.Is(err, seal.ErrMalformed) {
			out.Wipe()
			t.Fatalf("bit %d of byte %d changed: got error %v", i%8, i/8, err)
		}
	}
	for n := range len(sealed) {
		if _, _, err := seal.Open(a, canon.TagBlob, key, sealed[:n]); !errors.Is(err, seal.ErrMalformed) {
			t.Fatalf("cut to %d bytes: got error %v", n, err)
		}
	}
}

// parts is the envelope as docs/spec/blob.md has it, written again for the tests.
type parts struct {
	Header     []byte `cbor:"1,keyasint"`
	Salt       []byte `cbor:"2,keyasint"`
	Commitment []byte `cbor:"3,keyasint"`
	Box        []byte `cbor:"4,keyasint"`
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
	key, p := take(t, a, key32), take(t, a, plain)
	sealed := mustSeal(t, canon.TagBlob, key, header, p)
	other := split(t, mustSeal(t, canon.TagBlob, key, []byte("other header"), p))
	with := func(change func(*parts)) []byte {
		e := split(t, sealed)
		change(&e)
		return canon.Encode(e)
	}
	wiped := take(t, a, key32)
	wiped.Wipe()
	tests := []struct {
		name   string
		tag    canon.Tag
		key    secret.Bytes
		sealed []byte
		want   error
	}{
		{"another tag", canon.TagSeal, key, sealed, seal.ErrOpen},
		{"another key", canon.TagBlob, take(t, a, bytes.Repeat([]byte{8}, 32)), sealed, seal.ErrOpen},
		{"short key", canon.TagBlob, take(t, a, key32[:31]), sealed, seal.ErrInput},
		{"wiped key", canon.TagBlob, wiped, sealed, secret.ErrWiped},
		{"header of another", canon.TagBlob, key, with(func(e *parts) { e.Header = other.Header }), seal.ErrOpen},
		{"salt of another", canon.TagBlob, key, with(func(e *parts) { e.Salt = other.Salt }), seal.ErrOpen},
		{"commitment of another", canon.TagBlob, key, with(func(e *parts) { e.Commitment = other.Commitment }), seal.ErrOpen},
		{"box of another", canon.TagBlob, key, with(func(e *parts) { e.Box = other.Box }), seal.ErrOpen},
		{"all but the header of another", canon.TagBlob, key, with(func(e *parts) { h := e.Header; *e = other; e.Header = h }), seal.ErrOpen},
		{"box without plaintext", canon.TagBlob, key, with(func(e *parts) { e.Box = e.Box[:28] }), seal.ErrMalformed},
		{"box too long", canon.TagBlob, key, with(func(e *parts) { e.Box = make([]byte, seal.MaxPlain+29) }), seal.ErrMalformed},
		{"header too long", canon.TagBlob, key, with(func(e *parts) { e.Header = make([]byte, seal.MaxHeader+1) }), seal.ErrMalformed},
		{"short salt", canon.TagBlob, key, with(func(e *parts) { e.Salt = e.Salt[:31] }), seal.ErrMalformed},
		{"short commitment", canon.TagBlob, key, with(func(e *parts) { e.Commitment = e.Commitment[:31] }), seal.ErrMalformed},
		{"trailing byte", canon.TagBlob, key, append(bytes.Clone(sealed), 0), seal.ErrMalformed},
		{"too long", canon.TagBlob, key, make([]byte, seal.MaxEnvelope+1), seal.ErrMalformed},
		{"empty", canon.TagBlob, key, nil, seal.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := seal.Open(a, tt.tag, tt.key, tt.sealed); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}
	t.Run("seal", func(t *testing.T) {
		if _, err := seal.Seal(canon.TagBlob, key, make([]byte, seal.MaxHeader+1), p); !errors.Is(err, seal.ErrInput) {
			t.Errorf("long header: got error %v", err)
		}
		if _, err := seal.Seal(canon.TagBlob, key, nil, take(t, a, make([]byte, seal.MaxPlain+1))); !errors.Is(err, seal.ErrInput) {
			t.Errorf("long plaintext: got error %v", err)
		}
		if _, err := seal.Seal(canon.TagBlob, take(t, a, key32[:16]), nil, p); !errors.Is(err, seal.ErrInput) {
			t.Errorf("short key: got error %v", err)
		}
		if _, err := seal.Seal(canon.TagBlob, key, nil, wiped); !errors.Is(err, secret.ErrWiped) {
			t.Errorf("wiped plaintext: got error %v", err)
		}
		largest := mustSeal(t, canon.TagBlob, key, make([]byte, seal.MaxHeader), take(t, a, make([]byte, seal.MaxPlain)))
		if len(largest) > seal.MaxEnvelope {
			t.Errorf("the largest envelope has %d bytes, more than %d", len(largest), seal.MaxEnvelope)
		}
	})
}

// hkdf is RFC 5869 written out, as a second opinion.
func hkdf(h func() hash.Hash, key, salt, info []byte, n int) (out []byte) {
	extract := hmac.New(h, salt)
	extract.Write(key)
	prk := extract.Sum(nil)
	var block []byte
	for i := byte(1); len(out) < n; i++ {
		expand := hmac.New(h, prk)
		expand.Write(block)
		expand.Write(info)
		expand.Write([]byte{i})
		block = expand.Sum(nil)
		out = append(out, block...)
	}
	return out[:n]
}

// openBySpec opens an envelope from the words of docs/spec/blob.md alone.
func openBySpec(t testing.TB, tag string, key, sealed []byte) []byte {
	t.Helper()
	e := split(t, sealed)
	info := sha256.Sum256(append([]byte(tag+"\x00"), e.Header...))
	okm := hkdf(sha512.New384, key, e.Salt, info[:], 64)
	if !bytes.Equal(okm[32:], e.Commitment) {
		t.Fatal("the commitment is not that of the spec")
	}
	block, err := aes.NewCipher(okm[:32])
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	out, err := gcm.Open(nil, e.Box[:12], e.Box[12:], e.Header)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestFollowsTheSpec(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	sealed := mustSeal(t, canon.TagBlob, take(t, a, key32), header, take(t, a, plain))
	if got := openBySpec(t, "strongroom/blob/v1", key32, sealed); !bytes.Equal(got, plain) {
		t.Errorf("got %q, want %q", got, plain)
	}
}

// frozen reads an envelope that the first version wrote: plain under header, sealed with key32 as a blob.
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
	out, gotHeader, err := seal.Open(a, canon.TagBlob, take(t, a, key32), frozen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Wipe()
	if got := content(t, out); !bytes.Equal(got, plain) || !bytes.Equal(gotHeader, header) {
		t.Errorf("got %q under %q, want %q under %q", got, gotHeader, plain, header)
	}
}

func TestPattern(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	id := [32]byte{1, 2, 3}
	pattern := func(key []byte, id [32]byte, epoch uint64) [16]byte {
		p, err := seal.Pattern(take(t, a, key), id, epoch)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	vk := hkdf(sha512.New384, key32, make([]byte, 48), []byte("strongroom/pattern/v1"), 32)
	mac := hmac.New(sha256.New, vk)
	mac.Write([]byte("strongroom/pattern/v1\x00"))
	mac.Write(id[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, 3))
	got := pattern(key32, id, 3)
	if want := [16]byte(mac.Sum(nil)); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
	if fmt.Sprintf("%x", got) != "cc0eac61f3f3b7a99dc50f6568ac5720" { // frozen
		t.Errorf("got %x", got)
	}
	for name, other := range map[string][16]byte{
		"key":      pattern(bytes.Repeat([]byte{8}, 32), id, 3),
		"identity": pattern(key32, [32]byte{1, 2, 4}, 3),
		"epoch":    pattern(key32, id, 4),
	} {
		if other == got {
			t.Errorf("another %s has the same pattern", name)
		}
	}
	if _, err := seal.Pattern(take(t, a, key32[:16]), id, 1); !errors.Is(err, seal.ErrInput) {
		t.Errorf("short key: got error %v", err)
	}
}

func TestHeaderNeedsNoKey(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	sealed := mustSeal(t, canon.TagBlob, take(t, a, key32), header, take(t, a, plain))
	if got, err := seal.Header(sealed); err != nil || !bytes.Equal(got, header) {
		t.Errorf("got %q and error %v", got, err)
	}
	if _, err := seal.Header(sealed[1:]); !errors.Is(err, seal.ErrMalformed) {
		t.Errorf("got error %v", err)
	}
}

// FuzzOpen states the law of the envelope: what opens has one encoding, and nothing that wasn't sealed opens.
func FuzzOpen(f *testing.F) {
	a := secrettest.Arena(f)
	key := take(f, a, key32)
	sealed := frozen(f) // the same in each process of the fuzzer
	f.Add(sealed)
	f.Add(sealed[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		if h, err := seal.Header(b); err == nil {
			e := split(t, b)
			if !bytes.Equal(canon.Encode(e), b) || !bytes.Equal(e.Header, h) {
				t.Fatal("an envelope with two encodings was read")
			}
		}
		out, _, err := seal.Open(a, canon.TagBlob, key, b)
		if err == nil {
			out.Wipe()
			if !bytes.Equal(b, sealed) {
				t.Fatal("opened what nobody sealed")
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	a := secrettest.Arena(b)
	key := take(b, a, key32)
	sealed := mustSeal(b, canon.TagBlob, key, make([]byte, 300), take(b, a, make([]byte, 64)))
	b.ReportAllocs()
	for b.Loop() {
		out, _, err := seal.Open(a, canon.TagBlob, key, sealed)
		if err != nil {
			b.Fatal(err)
		}
		out.Wipe()
	}
}
