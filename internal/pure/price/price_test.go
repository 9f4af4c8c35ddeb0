// SPDX-License-Identifier: Apache-2.0

package price_test

import (
	"bytes"
	"crypto/ed25519"
	"math/big"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/price"
)

func rate(t interface{ Fatal(...any) }, text string, decimals, digits uint32) price.Rate {
	r, err := price.OfCoin(text, decimals, digits)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestOfCoin: prices as people say them, and the one spelling of their rates.
func TestOfCoin(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		text             string
		decimals, digits uint32
		want             string // empty: refused
	}{
		{"3000.00", 18, 2, "0.0000000000003"}, {"3000", 18, 2, "0.0000000000003"}, {"60000", 8, 2, "0.06"}, {"60123.45", 8, 2, "0.06012345"},
		{"1", 6, 2, "0.0001"}, {"9500000", 8, 0, "0.095"}, {"5", 0, 2, "500"}, {"1000", 0, 3, "1000000"},
		{"0", 8, 2, ""}, {"-1", 8, 2, ""}, {"1e3", 8, 2, ""}, {"", 8, 2, ""}, {".5", 8, 2, ""}, {"5.", 8, 2, ""}, {"1.2.3", 8, 2, ""}, {"1", 78, 2, ""}, {strings.Repeat("9", 60), 8, 2, ""},
		{strings.Repeat("9", 101), 8, 2, ""}, {"0." + strings.Repeat("0", 50) + "1", 18, 2, ""},
	} {
		r, err := price.OfCoin(x.text, x.decimals, x.digits)
		if (err == nil) != (x.want != "") || err == nil && r.String() != x.want {
			t.Errorf("%q of %d and %d: got %s %v, want %q", x.text, x.decimals, x.digits, r, err, x.want)
		}
	}
}

// TestRateHasOneSpelling: what could be written shorter is refused.
func TestRateHasOneSpelling(t *testing.T) {
	t.Parallel()
	for _, r := range []price.Rate{{}, {Mantissa: custody.U64(10), Scale: 1}, {Mantissa: custody.U64(1), Scale: price.MaxScale + 1}, {Mantissa: custody.Uint256{1}}} {
		if r.Check() == nil {
			t.Errorf("%+v is taken", r)
		}
	}
	for _, r := range []price.Rate{{Mantissa: custody.U64(10)}, {Mantissa: custody.U64(1), Scale: price.MaxScale}} {
		if err := r.Check(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func drawRate(t *rapid.T) price.Rate {
	m := new(big.Int).SetUint64(rapid.Uint64Min(1).Draw(t, "mantissa"))
	r, err := price.NewRate(m, -rapid.IntRange(0, 40).Draw(t, "scale"))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// exact is a rate as a fraction, made from its text: another way than the code's.
func exact(t *rapid.T, r price.Rate) *big.Rat {
	x, ok := new(big.Rat).SetString(r.String())
	if !ok {
		t.Fatal("no number: " + r.String())
	}
	return x
}

// TestValueIsRoundedUp: against fractions, the value is the least whole number that is not less.
func TestValueIsRoundedUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r := drawRate(t)
		amount := custody.Uint256(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "amount"))
		if rapid.Bool().Draw(t, "small") {
			amount = custody.U64(rapid.Uint64Max(1000).Draw(t, "less"))
		}
		want := new(big.Rat).Mul(exact(t, r), new(big.Rat).SetInt(new(big.Int).SetBytes(amount[:])))
		v, ok := r.Value(amount)
		if !ok {
			if want.Cmp(new(big.Rat).SetInt(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))) <= 0 {
				t.Fatalf("%s × %s fits", r, amount)
			}
			return
		}
		got := new(big.Rat).SetInt(new(big.Int).SetBytes(v[:]))
		if got.Cmp(want) < 0 || new(big.Rat).Sub(got, big.NewRat(1, 1)).Cmp(want) >= 0 {
			t.Fatalf("%s × %s gave %s", r, amount, v)
		}
	})
}

// TestCompareAndStep agree with fractions.
func TestCompareAndStep(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawRate(t), drawRate(t)
		if rapid.Bool().Draw(t, "near") { // within some percent
			m := new(big.Int).SetBytes(b.Mantissa[:])
			a, _ = price.NewRate(m.Mul(m, big.NewInt(rapid.Int64Range(8000, 12000).Draw(t, "by"))), -int(b.Scale)-4)
		}
		points := rapid.Uint32Range(0, 3000).Draw(t, "points")
		x, y := exact(t, a), exact(t, b)
		if a.Cmp(b) != x.Cmp(y) {
			t.Fatalf("%s and %s", a, b)
		}
		diff := new(big.Rat).Sub(x, y)
		most := new(big.Rat).Mul(y, big.NewRat(int64(points), 10_000))
		if want := diff.Abs(diff).Cmp(most) <= 0; a.Within(b, points) != want {
			t.Fatalf("%s within %d of %s: want %t", a, points, b, want)
		}
	})
}

// TestMedian: a minority can't move it beyond what the others say, and of two the higher one counts.
func TestMedian(t *testing.T) {
	t.Parallel()
	one, two, three := rate(t, "1", 0, 0), rate(t, "2", 0, 0), rate(t, "3", 0, 0)
	if got := price.Median([]price.Rate{two, one}); got != two {
		t.Errorf("of two: %s", got)
	}
	if got := price.Median([]price.Rate{three, one, two}); got != two {
		t.Errorf("of three: %s", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		honest := rapid.SliceOfN(rapid.Custom(drawRate), 2, 5).Draw(t, "honest")
		liars := rapid.SliceOfN(rapid.Custom(drawRate), 0, len(honest)-1).Draw(t, "liars")
		all := slices.Concat(honest, liars)
		m := price.Median(all)
		if m.Cmp(slices.MinFunc(honest, price.Rate.Cmp)) < 0 || m.Cmp(slices.MaxFunc(honest, price.Rate.Cmp)) > 0 {
			t.Fatalf("median %s of honest %v and %v", m, honest, liars)
		}
	})
}

func quote() price.Quote {
	return price.Quote{V: 1, Authority: custody.AuthorityID{1}, Source: "feed", Asset: "eip155:1/slip44:60", Currency: "USD", Rate: price.Rate{Mantissa: custody.U64(3), Scale: 13}, AsOf: 1_900_000_000}
}

func keyOf(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

// TestSignature: whatever of a quote is changed, the signature does not verify any more.
func TestSignature(t *testing.T) {
	t.Parallel()
	key := keyOf(1)
	pub := key.Public().(ed25519.PublicKey)
	s := price.Sign(quote(), "one", key)
	if !s.Verify(pub) || s.Check() != nil {
		t.Fatal("the signature does not verify")
	}
	if s.Verify(keyOf(2).Public().(ed25519.PublicKey)) || s.Verify(pub[:31]) {
		t.Error("it verifies with another key")
	}
	for name, change := range map[string]func(*price.Quote){
		"authority": func(q *price.Quote) { q.Authority[0]++ }, "source": func(q *price.Quote) { q.Source = "fees" }, "asset": func(q *price.Quote) { q.Asset = "eip155:5/slip44:60" },
		"currency": func(q *price.Quote) { q.Currency = "EUR" }, "rate": func(q *price.Quote) { q.Rate.Scale++ }, "time": func(q *price.Quote) { q.AsOf++ },
	} {
		x := s
		change(&x.Said)
		if x.Verify(pub) {
			t.Errorf("%s is not signed", name)
		}
	}
}

// TestQuotesThatAreRefused names each fault.
func TestQuotesThatAreRefused(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(*price.Signed){
		"version 2":        func(s *price.Signed) { s.Said.V = 2 },
		"source":           func(s *price.Signed) { s.Said.Source = "A b" },
		"asset":            func(s *price.Signed) { s.Said.Asset = "gold" },
		"currency":         func(s *price.Signed) { s.Said.Currency = "US$" },
		"rate: is 0":       func(s *price.Signed) { s.Said.Rate = price.Rate{} },
		"asOf 0":           func(s *price.Signed) { s.Said.AsOf = 0 },
		"asOf 8589934593":  func(s *price.Signed) { s.Said.AsOf = 1<<33 + 1 },
		"signer":           func(s *price.Signed) { s.Signer = "" },
		"a signature has ": func(s *price.Signed) { s.Sig = s.Sig[:63] },
	} {
		s := price.Sign(quote(), "one", keyOf(1))
		spoil(&s)
		if _, err := price.Decode(s.Encode()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
	if _, err := price.Decode(make([]byte, price.MaxSigned+1)); err == nil {
		t.Error("a quote of any size is read")
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for c, want := range map[string]uint32{"JPY": 0, "USD": 2, "KWD": 3, "CLF": 4, "XXX": 2} {
		if got := price.Digits(c); got != want {
			t.Errorf("%s: %d", c, got)
		}
	}
}

// FuzzDecode: what is read is well-formed, has one encoding, and a rate whose text is that rate again.
func FuzzDecode(f *testing.F) {
	s := price.Sign(quote(), "one", keyOf(1))
	f.Add(s.Encode())
	f.Add([]byte{0xa3})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := price.Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Encode(), b) {
			t.Fatalf("another encoding: %x", b)
		}
		whole, fraction, _ := strings.Cut(s.Said.Rate.String(), ".")
		m, ok := new(big.Int).SetString(whole+fraction, 10)
		if r, err := price.NewRate(m, -len(fraction)); !ok || err != nil || r != s.Said.Rate {
			t.Fatalf("%s: %+v is not %+v: %v", s.Said.Rate, r, s.Said.Rate, err)
		}
	})
}

// TestValueOfARateBeyondBounds: a rate from a file that nobody checked values nothing, and takes no time.
func TestValueOfARateBeyondBounds(t *testing.T) {
	t.Parallel()
	for _, r := range []price.Rate{{Mantissa: custody.U64(1), Scale: 1 << 31}, {Mantissa: custody.U64(1), Scale: price.MaxScale + 1}, {}, {Mantissa: custody.U64(10), Scale: 1}} {
		if v, ok := r.Value(custody.U64(1)); ok {
			t.Errorf("%s: %s", r, v)
		}
		if s := r.String(); len(s) > 80 {
			t.Errorf("%d characters for %s and %d", len(s), r.Mantissa, r.Scale)
		}
	}
}
