// SPDX-License-Identifier: Apache-2.0

package keystore

import (
	"bytes"
	"errors"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/core/seal"
	"strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// seedHeader is a well-formed header of an HD seed.
func seedHeader() Header {
	return Header{
		V: 1, Authority: custody.AuthorityID{1}, Domain: custody.DomainID{2}, Epoch: 3, Pattern: [16]byte{4},
		Key: "00112233445566778899aabbccddeeff", Purpose: Custody, Kind: HDSeed, Class: Core,
		Attributes: Sign | Derive | Extractable | Modifiable | Cacheable | Local,
		Mechanisms: []Mechanism{BIP32, BIP340, ECDSASecp256k1}, CreatedBy: [32]byte{5}, Public: []byte{2, 3}, Expires: 1_900_000_000,
	}
}

func shareHeader() Header {
	h := seedHeader()
	h.Kind, h.Class, h.Share = FROSTShare, MPC, &Share{Index: 2, Threshold: 2, Total: 3}
	h.Attributes |= MPCShare
	h.Mechanisms, h.Public = []Mechanism{BIP340}, append([]byte{2}, make([]byte, 32)...)
	return h
}

// mechanisms are those that narrowing is tried with: the seed's, and others.
var mechanisms = []Mechanism{BIP32, ECDSASecp256k1, BIP340, ECDSAP256, EdDSA, AESKeyWrap, AESGCM}

func TestHeaderRoundTrip(t *testing.T) {
	t.Parallel()
	bound := seedHeader()
	bound.Session, bound.Expires, bound.Public = bytes.Repeat([]byte{9}, 32), 0, nil
	for _, h := range []Header{seedHeader(), shareHeader(), bound} {
		got, err := DecodeHeader(h.Encode())
		if err != nil || !reflect.DeepEqual(got, h) {
			t.Errorf("got %+v and error %v, want %+v", got, err, h)
		}
	}
}

func TestHeaderRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Header)
	}{
		{"version 0", func(h *Header) { h.V = 0 }},
		{"version 2", func(h *Header) { h.V = 2 }},
		{"no authority", func(h *Header) { h.Authority = custody.AuthorityID{} }},
		{"no domain", func(h *Header) { h.Domain = custody.DomainID{} }},
		{"no epoch", func(h *Header) { h.Epoch = 0 }},
		{"key id", func(h *Header) { h.Key = "0011" }},
		{"purpose", func(h *Header) { h.Purpose = "both" }},
		{"kind", func(h *Header) { h.Kind = "rsa" }},
		{"class", func(h *Header) { h.Class = "cloud" }},
		{"unknown attribute", func(h *Header) { h.Attributes |= 1 << 40 }},
		{"signs and wraps", func(h *Header) { h.Attributes |= Wrap }},
		{"signs and unwraps", func(h *Header) { h.Attributes |= Unwrap }},
		{"wraps and decrypts", func(h *Header) { h.Attributes = Wrap | Decrypt }},
		{"unwraps and encrypts", func(h *Header) { h.Attributes = Unwrap | Encrypt }},
		{"extractable and never", func(h *Header) { h.Attributes |= NeverExtractable }},
		{"attestation leaves", func(h *Header) { h.Attributes |= Attestation }},
		{"unknown mechanism", func(h *Header) { h.Mechanisms = []Mechanism{"rot13"} }},
		{"mechanisms unsorted", func(h *Header) { slices.Reverse(h.Mechanisms) }},
		{"mechanism twice", func(h *Header) { h.Mechanisms = []Mechanism{BIP32, BIP32} }},
		{"mechanism of another kind", func(h *Header) { h.Mechanisms = []Mechanism{AESGCM} }},
		{"mechanism of a seed's keys with a share", func(h *Header) { *h = shareHeader(); h.Mechanisms = []Mechanism{BIP32} }},
		{"long public key", func(h *Header) { h.Public = make([]byte, 134) }},
		{"public key of another length than its kind's", func(h *Header) { *h = shareHeader(); h.Public = h.Public[:32] }},
		{"negative expiry", func(h *Header) { h.Expires = -1 }},
		{"short session", func(h *Header) { h.Session = []byte{1} }},
		{"share in class core", func(h *Header) { h.Share = &Share{1, 2, 3} }},
		{"mpc without share", func(h *Header) { h.Class = MPC }},
		{"share attribute in class core", func(h *Header) { h.Attributes |= MPCShare }},
		{"seed in a token", func(h *Header) { h.Class = Token }},
		{"share of another kind", func(h *Header) { *h = shareHeader(); h.Kind = Secp256k1 }},
		{"share without its attribute", func(h *Header) { *h = shareHeader(); h.Attributes &^= MPCShare }},
		{"share 0", func(h *Header) { *h = shareHeader(); h.Share.Index = 0 }},
		{"share beyond the last", func(h *Header) { *h = shareHeader(); h.Share.Index = 4 }},
		{"threshold 1", func(h *Header) { *h = shareHeader(); h.Share.Threshold = 1 }},
		{"threshold beyond the total", func(h *Header) { *h = shareHeader(); h.Share.Threshold = 4 }},
		{"too many shares", func(h *Header) { *h = shareHeader(); h.Share.Total = 256 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := seedHeader()
			tt.change(&h)
			if err := h.Check(); !errors.Is(err, ErrHeader) {
				t.Errorf("check: got error %v", err)
			}
			if _, err := DecodeHeader(h.Encode()); !errors.Is(err, ErrHeader) {
				t.Errorf("decode: got error %v", err)
			}
		})
	}
	if _, err := DecodeHeader(make([]byte, seal.MaxHeader+1)); !errors.Is(err, ErrHeader) {
		t.Errorf("too long: got error %v", err)
	}
	if _, err := DecodeHeader(append(seedHeader().Encode(), 0)); !errors.Is(err, ErrHeader) {
		t.Errorf("trailing byte: got error %v", err)
	}
	unknown := canon.Encode(struct {
		Header
		New uint `cbor:"17,keyasint"`
	}{seedHeader(), 1})
	if _, err := DecodeHeader(unknown); !errors.Is(err, ErrHeader) {
		t.Errorf("unknown field: got error %v", err)
	}
}

// TestHeaderTakesTheTable: a key of each kind may name each mechanism that is its own in the table of algorithms, and no other.
func TestHeaderTakesTheTable(t *testing.T) {
	t.Parallel()
	all, accepted := algorithm.All(), 0
	for _, k := range all.Kinds() {
		for _, r := range all.Rows() {
			h := seedHeader()
			if k.Kind == FROSTShare {
				h = shareHeader()
			}
			h.Kind, h.Mechanisms, h.Public = k.Kind, []Mechanism{r.Mechanism}, make([]byte, k.Public)
			err := h.Check()
			if (err == nil) != all.Fits(k.Kind, r.Mechanism) {
				t.Errorf("kind %s, mechanism %s: got %v", k.Kind, r.Mechanism, err)
			}
			if err != nil {
				continue
			}
			accepted++
			if _, err := DecodeHeader(h.Encode()); err != nil { // the longest public keys fit too
				t.Errorf("kind %s: got %v", k.Kind, err)
			}
		}
	}
	if accepted < len(all.Rows()) {
		t.Errorf("accepted %d headers for %d rows", accepted, len(all.Rows()))
	}
}

func TestNarrow(t *testing.T) {
	t.Parallel()
	h := seedHeader()
	same := Narrowing{h.Attributes, h.Mechanisms, h.Expires}
	for _, tt := range []struct {
		name   string
		change func(*Narrowing)
		want   error
	}{
		{"nothing", func(*Narrowing) {}, nil},
		{"drop a permission", func(n *Narrowing) { n.Attributes &^= Sign }, nil},
		{"freeze", func(n *Narrowing) { n.Attributes &^= Modifiable }, nil},
		{"add a limit", func(n *Narrowing) { n.Attributes |= CeremonyOnly }, nil},
		{"drop mechanisms", func(n *Narrowing) { n.Mechanisms = []Mechanism{BIP32} }, nil},
		{"drop all mechanisms", func(n *Narrowing) { n.Mechanisms = nil }, nil},
		{"earlier expiry", func(n *Narrowing) { n.Expires-- }, nil},
		{"add a permission", func(n *Narrowing) { n.Attributes = n.Attributes&^Sign | Decrypt }, ErrWidens},
		{"drop a fact", func(n *Narrowing) { n.Attributes &^= Local }, ErrWidens},
		{"add a fact", func(n *Narrowing) { n.Attributes = n.Attributes&^Extractable | NeverExtractable }, ErrWidens},
		{"add a mechanism", func(n *Narrowing) { n.Mechanisms = append([]Mechanism{AESGCM}, n.Mechanisms...) }, ErrWidens},
		{"later expiry", func(n *Narrowing) { n.Expires++ }, ErrWidens},
		{"no expiry", func(n *Narrowing) { n.Expires = 0 }, ErrWidens},
		{"negative expiry", func(n *Narrowing) { n.Expires = -1 }, ErrWidens},
		{"conflict", func(n *Narrowing) { n.Attributes |= Wrap }, ErrHeader},
		{"unsorted mechanisms", func(n *Narrowing) { n.Mechanisms = []Mechanism{BIP340, BIP32} }, ErrHeader},
	} {
		t.Run(tt.name, func(t *testing.T) {
			n := same
			n.Mechanisms = slices.Clone(n.Mechanisms)
			tt.change(&n)
			got, err := h.Narrow(n)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got error %v, want %v", err, tt.want)
			}
			if err == nil && (got.Attributes != n.Attributes || !slices.Equal(got.Mechanisms, n.Mechanisms) || got.Expires != n.Expires || got.Check() != nil) {
				t.Errorf("got %+v", got)
			}
		})
	}
	never := seedHeader()
	never.Expires = 0
	if got, err := never.Narrow(Narrowing{never.Attributes, nil, 5}); err != nil || got.Expires != 5 {
		t.Errorf("an expiry for a key without: got %+v and error %v", got, err)
	}
	limited := seedHeader()
	limited.Attributes |= CeremonyOnly
	if _, err := limited.Narrow(same); !errors.Is(err, ErrWidens) {
		t.Errorf("drop a limit: got error %v", err)
	}
	frozen := seedHeader()
	frozen.Attributes &^= Modifiable
	if _, err := frozen.Narrow(Narrowing{frozen.Attributes, nil, frozen.Expires}); !errors.Is(err, ErrWidens) {
		t.Errorf("not modifiable: got error %v", err)
	}
}

// TestRatchet: whatever changes are tried in whatever order, what a key may do never grows, and all else stays.
func TestRatchet(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		h := seedHeader()
		for range rapid.IntRange(1, 8).Draw(r, "steps") {
			n := Narrowing{
				Attributes: h.Attributes ^ Attributes(rapid.SampledFrom([]uint64{0, 1, 2, 4, 1 << 8, 1 << 9, 1 << 16, 1 << 24, 1 << 25, 3}).Draw(r, "bits")),
				Expires:    h.Expires + rapid.Int64Range(-2, 2).Draw(r, "expires"),
			}
			for _, m := range mechanisms {
				if rapid.Bool().Draw(r, string(m)) {
					n.Mechanisms = append(n.Mechanisms, m)
				}
			}
			slices.Sort(n.Mechanisms)
			next, err := h.Narrow(n)
			if err != nil {
				continue
			}
			for _, need := range []Attributes{Sign, Derive, Wrap, Unwrap, Encrypt, Decrypt, Extractable, Modifiable, Cacheable} {
				for _, m := range mechanisms {
					if next.Permits(need, m) && !h.Permits(need, m) {
						r.Fatalf("%v gained %v with %v", h.Attributes, need, m)
					}
				}
			}
			if next.Attributes&facts != h.Attributes&facts || next.Attributes&limits < h.Attributes&limits || next.Expires > h.Expires {
				r.Fatalf("%v became %v", h.Attributes, next.Attributes)
			}
			rest := next
			rest.Attributes, rest.Mechanisms, rest.Expires = h.Attributes, h.Mechanisms, h.Expires
			if !reflect.DeepEqual(rest, h) {
				r.Fatal("something else changed")
			}
			h = next
		}
	})
}

func TestAttributesString(t *testing.T) {
	t.Parallel()
	var all Attributes
	for _, n := range names {
		if bits.OnesCount64(uint64(n.bit)) != 1 || all&n.bit != 0 {
			t.Errorf("%s is not a bit of its own", n.name)
		}
		all |= n.bit
	}
	if all != permissions|limits|facts {
		t.Errorf("names and sorts differ: %x", uint64(all^(permissions|limits|facts)))
	}
	for a, want := range map[Attributes]string{0: "none", Sign | Local: "sign+local", 1 << 40: "unknown(0x10000000000)"} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if !strings.Contains(all.String(), "ceremony-only") {
		t.Errorf("got %q", all.String())
	}
}

func FuzzDecodeHeader(f *testing.F) {
	f.Add(seedHeader().Encode())
	f.Add(shareHeader().Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := DecodeHeader(b)
		if err == nil && !bytes.Equal(h.Encode(), b) {
			t.Fatal("a header with two encodings was read")
		}
	})
}
