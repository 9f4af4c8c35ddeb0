// SPDX-License-Identifier: Apache-2.0

package verdict_test

import (
	"bytes"
	"crypto/ed25519"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/verdict"
)

const (
	vendor  = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
	bitcoin = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
)

func one() verdict.Verdict {
	return verdict.Verdict{V: 1, Authority: custody.AuthorityID{1}, Source: "screen", Subject: verdict.OfAddress("eip155:1", vendor), Risk: 40, Categories: []string{"gambling", "mixer"},
		Exposure: verdict.Indirect, Status: verdict.Alert, AsOf: 1_900_000_000, Expires: 1_900_003_600, Evidence: bytes.Repeat([]byte{7}, 32)}
}

func keyOf(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

// TestSignature: whatever of a verdict is changed, the signature does not verify any more.
func TestSignature(t *testing.T) {
	t.Parallel()
	pub := keyOf(1).Public().(ed25519.PublicKey)
	s := verdict.Sign(one(), "north", keyOf(1))
	if !s.Verify(pub) || s.Check() != nil {
		t.Fatal("the signature does not verify")
	}
	if s.Verify(keyOf(2).Public().(ed25519.PublicKey)) || s.Verify(pub[:31]) {
		t.Error("it verifies with another key")
	}
	for name, change := range map[string]func(*verdict.Verdict){
		"authority": func(v *verdict.Verdict) { v.Authority[0]++ }, "source": func(v *verdict.Verdict) { v.Source = "other" },
		"chain": func(v *verdict.Verdict) { v.Subject.Chain = "eip155:5" }, "address": func(v *verdict.Verdict) { v.Subject.Address = bitcoin },
		"risk": func(v *verdict.Verdict) { v.Risk = 0 }, "categories": func(v *verdict.Verdict) { v.Categories = v.Categories[:1] },
		"exposure": func(v *verdict.Verdict) { v.Exposure = verdict.NotExposed }, "status": func(v *verdict.Verdict) { v.Status = verdict.Accept },
		"asOf": func(v *verdict.Verdict) { v.AsOf++ }, "expires": func(v *verdict.Verdict) { v.Expires++ }, "evidence": func(v *verdict.Verdict) { v.Evidence = nil },
	} {
		x := s
		if change(&x.Said); x.Verify(pub) {
			t.Errorf("%s is not signed", name)
		}
	}
}

// TestVerdictsThatAreRefused names each fault; among them every second spelling of an address.
func TestVerdictsThatAreRefused(t *testing.T) {
	t.Parallel()
	many := make([]string, verdict.MaxCategories+1)
	long := make([]string, verdict.MaxCategories)
	for i := range many {
		many[i] = fmt.Sprintf("c%02d", i)
	}
	for i := range long {
		long[i] = fmt.Sprintf("c%02d", i) + strings.Repeat("x", 60)
	}
	for want, spoil := range map[string]func(*verdict.Signed){
		"version 2": func(s *verdict.Signed) { s.Said.V = 2 },
		"source":    func(s *verdict.Signed) { s.Said.Source = "A b" },
		"checksum":  func(s *verdict.Signed) { s.Said.Subject.Address = strings.ToLower(vendor) },
		"one spelling": func(s *verdict.Signed) {
			s.Said.Subject = verdict.OfAddress("bip122:000000000019d6689c085ae165831e93", strings.ToUpper(bitcoin))
		},
		"subject":           func(s *verdict.Signed) { s.Said.Subject = verdict.Subject{} },
		"hash of 32 bytes":  func(s *verdict.Signed) { s.Said.Subject.Request = make([]byte, 32) },
		"by its hash of 32": func(s *verdict.Signed) { s.Said.Subject = verdict.Subject{Request: make([]byte, 31)} },
		"risk is 101":       func(s *verdict.Signed) { s.Said.Risk = 101 },
		"more than 16":      func(s *verdict.Signed) { s.Said.Categories = many },
		"category":          func(s *verdict.Signed) { s.Said.Categories = []string{"Bad"} },
		"sorted":            func(s *verdict.Signed) { s.Said.Categories = []string{"b", "a"} },
		"distinct":          func(s *verdict.Signed) { s.Said.Categories = []string{"a", "a"} },
		"exposure":          func(s *verdict.Signed) { s.Said.Exposure = "some" },
		"status":            func(s *verdict.Signed) { s.Said.Status = "" },
		"asOf 0":            func(s *verdict.Signed) { s.Said.AsOf = 0 },
		"expires 8589":      func(s *verdict.Signed) { s.Said.Expires = 1<<33 + 1 },
		"not after asOf":    func(s *verdict.Signed) { s.Said.Expires = s.Said.AsOf },
		"evidence":          func(s *verdict.Signed) { s.Said.Evidence = []byte{1} },
		"signer":            func(s *verdict.Signed) { s.Signer = "" },
		"a signature has":   func(s *verdict.Signed) { s.Sig = s.Sig[:63] },
		"more than 1024":    func(s *verdict.Signed) { s.Said.Categories = long },
	} {
		s := verdict.Sign(one(), "north", keyOf(1))
		spoil(&s)
		if _, err := verdict.Decode(s.Encode()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
		if s.Check() == nil {
			t.Errorf("%q: it is well-formed", want)
		}
	}
	for _, good := range []verdict.Subject{verdict.OfRequest([32]byte{}), verdict.OfAddress("bip122:000000000019d6689c085ae165831e93", bitcoin)} {
		if err := good.Check(); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
}

func drawVerdict(t *rapid.T) verdict.Verdict {
	v := one()
	v.Risk, v.AsOf = rapid.Uint32Max(100).Draw(t, "risk"), rapid.Int64Range(1, 100).Draw(t, "asOf")
	v.Expires = v.AsOf + rapid.Int64Range(1, 100).Draw(t, "lives")
	v.Categories = nil
	for _, c := range []string{"darknet", "gambling", "mixer"} {
		if rapid.Bool().Draw(t, c) {
			v.Categories = append(v.Categories, c)
		}
	}
	v.Exposure, v.Status = rapid.SampledFrom(verdict.Exposures()).Draw(t, "exposure"), rapid.SampledFrom(verdict.Statuses()).Draw(t, "status")
	return v
}

// TestWorst: no signer makes what the others say look better, whatever the order.
func TestWorst(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(rapid.Custom(drawVerdict), 1, 4).Draw(t, "list")
		w := verdict.Worst(list)
		if err := w.Check(); err != nil {
			t.Fatalf("%+v: %v", w, err)
		}
		all := map[string]bool{}
		for _, v := range list {
			if v.Risk > w.Risk || slices.Index(verdict.Statuses(), v.Status) > slices.Index(verdict.Statuses(), w.Status) || slices.Index(verdict.Exposures(), v.Exposure) > slices.Index(verdict.Exposures(), w.Exposure) || v.AsOf < w.AsOf || v.Expires < w.Expires {
				t.Fatalf("%+v is better than %+v", w, v)
			}
			for _, c := range v.Categories {
				all[c] = true
			}
		}
		if len(all) != len(w.Categories) {
			t.Fatalf("categories %v of %v", w.Categories, list)
		}
		slices.Reverse(list)
		if again := verdict.Worst(list); !again.Same(w) || again.AsOf != w.AsOf {
			t.Fatalf("%+v, in another order %+v", w, again)
		}
	})
}

func TestEnds(t *testing.T) {
	t.Parallel()
	v := one()
	if v.Ends(60) != v.AsOf+60 || v.Ends(7200) != v.Expires {
		t.Errorf("ends at %d and %d", v.Ends(60), v.Ends(7200))
	}
}

// FuzzDecode: what is read is well-formed, has one encoding, and a subject of one spelling.
func FuzzDecode(f *testing.F) {
	s := verdict.Sign(one(), "north", keyOf(1))
	f.Add(s.Encode())
	r := one()
	r.Subject = verdict.OfRequest([32]byte{1})
	s = verdict.Sign(r, "north", keyOf(1))
	f.Add(s.Encode())
	f.Add([]byte{0xa3})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := verdict.Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Encode(), b) {
			t.Fatalf("another encoding: %x", b)
		}
		if sub := s.Said.Subject; sub.Check() != nil || len(sub.Request) > 0 == (sub.Address != "") {
			t.Fatalf("subject %+v", sub)
		}
	})
}
