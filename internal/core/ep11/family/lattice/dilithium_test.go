// SPDX-License-Identifier: Apache-2.0

package lattice

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cloudflare/circl/sign/dilithium/mode2"
	"github.com/cloudflare/circl/sign/dilithium/mode3"
	"github.com/cloudflare/circl/sign/dilithium/mode5"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/ep11/family/familytest"
	"strongroom/internal/pure/ep11"
)

// drbg is the generator of NIST's known answers: CTR_DRBG of AES-256 without derivation function or additional input.
type drbg struct {
	key [32]byte
	v   [16]byte
}

func newDRBG(seed [48]byte) *drbg {
	g := &drbg{}
	g.update(&seed)
	return g
}

func (g *drbg) block(out []byte) {
	for i := 15; i >= 0; i-- {
		if g.v[i]++; g.v[i] != 0 {
			break
		}
	}
	c, err := aes.NewCipher(g.key[:])
	if err != nil {
		panic(err)
	}
	c.Encrypt(out, g.v[:])
}

func (g *drbg) update(data *[48]byte) {
	var buf [48]byte
	for i := range 3 {
		g.block(buf[16*i:])
	}
	for i := range buf {
		buf[i] ^= data[i]
	}
	copy(g.key[:], buf[:32])
	copy(g.v[:], buf[32:])
}

func (g *drbg) fill(out []byte) {
	var block [16]byte
	for len(out) > 0 {
		g.block(block[:])
		out = out[copy(out, block[:]):]
	}
	g.update(new([48]byte))
}

// TestDilithiumKnownAnswers makes the file of known answers of the round 3 submission (version 3.1, reference commit 61b51a71701b) with the code of
// this package and compares its hash: keys, signatures and their verification, a hundred times a strength.
func TestDilithiumKnownAnswers(t *testing.T) {
	t.Parallel()
	for i, tt := range []struct{ name, want string }{
		{"Dilithium2", "38ed991c5ca11e39ab23945ca37af89e059d16c5474bf8ba96b15cb4e948af2a"},
		{"Dilithium3", "8196b32212753f525346201ffec1c7a0a852596fa0b57bd4e2746231dab44d55"},
		{"Dilithium5", "7ded97a6e6c809b43b54c248171d7504fa6a0cab651bf288bb00034782667481"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p, h := dilithiumSets()[i], sha256.New()
			var seed [48]byte
			for i := range seed {
				seed[i] = byte(i)
			}
			g := newDRBG(seed)
			fmt.Fprintf(h, "# %s\n\n", tt.name)
			for i := range 100 {
				g.fill(seed[:])
				message := make([]byte, 33*(i+1))
				g.fill(message)
				fmt.Fprintf(h, "count = %d\nseed = %X\nmlen = %d\nmsg = %X\n", i, seed, len(message), message)
				sk := make([]byte, p.secretSizes()[0])
				if err := p.create(func(b []byte) error { newDRBG(seed).fill(b); return nil }, sk); err != nil {
					t.Fatal(err)
				}
				packed, _, ok := p.packed(sk)
				public, isKey := p.public(sk)
				raw, isPublic := p.decodePublic(public)
				sig, signed := p.sign(sk, message)
				if !ok || !isKey || !isPublic || !signed || !p.verify(public, message, sig) {
					t.Fatal("a key that was made is none")
				}
				fmt.Fprintf(h, "pk = %X\nsk = %X\nsmlen = %d\nsm = %X%X\n\n", raw, packed, len(message)+len(sig), sig, message)
			}
			if got := fmt.Sprintf("%x", h.Sum(nil)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// withT1 gives the private key in its longer form.
func withT1(t *testing.T, p dilithiumSet, k family.Key) []byte {
	t.Helper()
	packed, t1, ok := p.packed(familytest.Peek(t, k.Secret))
	public, decoded := p.decodePublic(k.Public)
	if !ok || !decoded || t1 != nil {
		t.Fatal("a new key has another form")
	}
	form := p.form(true)
	out := make([]byte, form.size)
	form.write(out, packed, public[rhoSize:])
	return out
}

// privateDER and publicDER are how encoding/asn1 sees the keys.
type (
	privateDER struct {
		Version                  int
		Rho, Key, Tr, S1, S2, T0 asn1.BitString
		T1                       asn1.BitString `asn1:"optional,explicit,tag:0"`
	}
	publicDER struct{ Rho, T1 asn1.BitString }
)

// TestDilithiumDER: keys are DER as encoding/asn1 reads and writes it, with and without t1, and of the sizes of the specification.
func TestDilithiumDER(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	for i, p := range dilithiumSets() {
		if want := [][3]int{{mode2.PrivateKeySize, mode2.PublicKeySize, 2420}, {mode3.PrivateKeySize, mode3.PublicKeySize, 3293}, {mode5.PrivateKeySize, mode5.PublicKeySize, 4595}}[i]; p.packedSize() != want[0] || rhoSize+p.t1 != want[1] || p.sigLen != want[2] {
			t.Fatalf("sizes %d, %d, %d; want %v", p.packedSize(), rhoSize+p.t1, p.sigLen, want)
		}
		k := generate(t, tools, p)
		raw := withT1(t, p, k)
		var private privateDER
		var public publicDER
		if rest, err := asn1.Unmarshal(raw, &private); err != nil || len(rest) != 0 {
			t.Fatal(err)
		}
		if rest, err := asn1.Unmarshal(k.Public, &public); err != nil || len(rest) != 0 {
			t.Fatal(err)
		}
		if !bytes.Equal(private.T1.Bytes, public.T1.Bytes) || !bytes.Equal(private.Rho.Bytes, public.Rho.Bytes) {
			t.Fatal("the halves differ")
		}
		again, err := asn1.Marshal(private)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another encoding, %v", err)
		}
		g := Set().Keys[kindOf(p)]
		load := func(change func(*privateDER)) error {
			was := private
			defer func() { private = was }()
			change(&private)
			der, err := asn1.Marshal(private)
			if err != nil {
				t.Fatal(err)
			}
			public, err := g.Public(family.Key{Secret: familytest.Secret(t, tools, der)})
			if err == nil && !bytes.Equal(public, k.Public) {
				t.Error("another public key")
			}
			return err
		}
		flip := func(b asn1.BitString) asn1.BitString {
			b.Bytes = bytes.Clone(b.Bytes)
			b.Bytes[0] ^= 1
			return b
		}
		reversed := func(b asn1.BitString) asn1.BitString {
			b.Bytes = bytes.Clone(b.Bytes)
			slices.Reverse(b.Bytes)
			return b
		}
		if err := load(func(*privateDER) {}); err != nil {
			t.Errorf("with t1: %v", err)
		}
		if err := load(func(k *privateDER) { k.T1 = asn1.BitString{} }); err != nil {
			t.Errorf("without t1: %v", err)
		}
		for name, change := range map[string]func(*privateDER){
			"t1": func(k *privateDER) { k.T1 = flip(k.T1) }, "rho": func(k *privateDER) { k.Rho = flip(k.Rho) }, "tr": func(k *privateDER) { k.Tr = flip(k.Tr) },
			"s1": func(k *privateDER) { k.S1 = flip(k.S1) }, "t0": func(k *privateDER) { k.T0 = reversed(k.T0) },
			"version": func(k *privateDER) { k.Version = 1 },
			"s1 out of range": func(k *privateDER) {
				k.S1 = asn1.BitString{Bytes: bytes.Repeat([]byte{0xff}, len(k.S1.Bytes)), BitLength: k.S1.BitLength}
			},
		} {
			familytest.Code(t, name, load(change), ep11.CKR_WRAPPED_KEY_INVALID)
		}
	}
}

// TestDilithiumKeyOfTwo: a key with a part that fits for some messages only signs or refuses, and never says that the machine is failing.
func TestDilithiumKeyOfTwo(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	for _, p := range dilithiumSets() {
		k := generate(t, tools, p)
		raw := withT1(t, p, k)
		refused := 0
		changed := bytes.Clone(raw)
		for range 40 { // more and more of t0
			for range 8 {
				changed[len(raw)-p.t1-10-rand.IntN(p.parts[5]-10)] ^= 0x80
			}
			secret := familytest.Secret(t, tools, bytes.Clone(changed))
			for _, message := range []string{"a", "b", "c"} {
				_, err := signer{p}.Sign(t.Context(), tools, ep11.Mechanism{}, family.Key{Secret: secret}, []byte(message))
				if err != nil {
					refused++
					if !errors.Is(err, ep11.CKR_FUNCTION_FAILED) {
						t.Errorf("got %v", err)
					}
				}
			}
		}
		if refused == 0 {
			t.Error("no signature was refused, so this test shows nothing")
		}
	}
}

// TestDilithiumRange: each coefficient of s1 and s2 that is too large is seen, and none that isn't.
func TestDilithiumRange(t *testing.T) {
	t.Parallel()
	for i, p := range dilithiumSets() {
		width, most := []int{3, 4, 3}[i], []int{4, 8, 4}[i]
		start := rhoSize + 32 + trSize
		n := (p.parts[3] + p.parts[4]) * 8 / width
		put := func(packed []byte, at, v int) {
			for b := range width {
				bit := at*width + b
				packed[start+bit/8] = packed[start+bit/8]&^(1<<(bit%8)) | byte(v>>b&1)<<(bit%8)
			}
		}
		packed := make([]byte, p.packedSize())
		for at := range n {
			put(packed, at, at%(most+1))
		}
		if !p.inRange(packed) {
			t.Fatal("a key in range is refused")
		}
		for _, at := range []int{0, 1, 2, 7, 8, n / 2, n - 2, n - 1} {
			for v := most + 1; v < 1<<width; v++ {
				put(packed, at, v)
				if p.inRange(packed) {
					t.Fatalf("coefficient %d of %d is taken", at, v)
				}
				put(packed, at, most)
			}
		}
	}
}

// TestDilithiumOutOfRangeIsRefused: a key that differs from a good one in one coefficient of s2, by so little that its public key and signatures stay
// good, is refused because the coefficient is too large.
func TestDilithiumOutOfRangeIsRefused(t *testing.T) {
	t.Parallel()
	tools := familytest.Tools(t)
	for _, p := range dilithiumSets() {
		k := generate(t, tools, p)
		good, _, ok := p.packed(familytest.Peek(t, k.Secret))
		if !ok {
			t.Fatal("no key")
		}
		refused := 0
		for at := range 40 {
			packed := bytes.Clone(good)
			packed[rhoSize+32+trSize+p.parts[3]+3*at] |= 0x0f // its first coefficient is 7 of 3 bits, or 15 of 4: too large
			if !bytes.Equal(p.publicOf(packed), p.publicOf(good)) {
				continue
			}
			sk := make([]byte, p.secretSizes()[0])
			p.form(false).write(sk, packed, nil)
			if _, ok := p.public(sk); ok && !p.inRange(packed) {
				t.Fatal("a key out of range is one")
			}
			if !p.inRange(packed) {
				refused++
			}
		}
		if refused == 0 {
			t.Error("no key was out of range, so this test shows nothing")
		}
	}
}
