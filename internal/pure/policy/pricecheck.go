// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/price"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/testimony"
)

func (d Document) checkPrices() error {
	if len(d.PriceSources) > MaxPriceSources {
		return fmt.Errorf("has %d price sources, more than %d", len(d.PriceSources), MaxPriceSources)
	}
	pairs, keys := map[Pair]string{}, d.ownKeys()
	for i, s := range d.PriceSources {
		if i > 0 && d.PriceSources[i-1].ID >= s.ID {
			return fmt.Errorf("priceSources must be sorted by id and distinct: %s comes after %s", s.ID, d.PriceSources[i-1].ID)
		}
		if err := cmp.Or(custody.CheckSlug("price source", s.ID), s.check(pairs, keys)); err != nil {
			return inItem("priceSources", "price source", s.ID, err)
		}
	}
	return nil
}

// ownKeys gives whose each key of a person or service is. A signer of a source has another one.
func (d Document) ownKeys() map[string]string {
	keys := map[string]string{}
	for _, p := range d.Principals {
		for _, k := range p.Keys {
			keys[string(k.Pub)] = string(p.ID)
		}
	}
	return keys
}

func (s PriceSource) check(pairs map[Pair]string, keys map[string]string) error {
	switch {
	case len(s.Pairs) < 1 || len(s.Pairs) > MaxPairs || len(s.Signers) < 1 || len(s.Signers) > MaxSigners:
		return fmt.Errorf("has %d pairs and %d signers; want 1 to %d and 1 to %d", len(s.Pairs), len(s.Signers), MaxPairs, MaxSigners)
	case s.MaxStep > MaxPriceStep:
		return fmt.Errorf("maxStep is %d basis points; want %d at most", s.MaxStep, MaxPriceStep)
	}
	for i, p := range s.Pairs {
		if err := errors.Join(p.Asset.Check(), price.CheckCurrency(p.Currency)); err != nil {
			return err
		}
		if i > 0 && s.Pairs[i-1].compare(p) >= 0 {
			return errors.New("pairs must be sorted by asset and currency, and distinct")
		}
		if other, taken := pairs[p]; taken {
			return fmt.Errorf("%s in %s is a pair of %s already; a pair has one source", p.Asset, p.Currency, other)
		}
		pairs[p] = s.ID
	}
	return checkSigners(s.ID, s.Signers, s.MinSigners, s.MaxAge, keys)
}

// checkSigners checks who signs for a source of whatever sort, and how long that counts. keys says whose keys there are, and gets these.
func checkSigners(id string, signers []testimony.Signer, least uint32, maxAge int64, keys map[string]string) error {
	switch {
	case least < 1 || int(least) > len(signers):
		return fmt.Errorf("minSigners is %d; want 1 to %d, as many as there are", least, len(signers))
	case maxAge < MinPriceAge || maxAge > MaxPriceAge:
		return fmt.Errorf("maxAge is %d seconds; want %d to %d", maxAge, MinPriceAge, MaxPriceAge)
	}
	for i, x := range signers {
		if err := cmp.Or(x.Check(), request.PublicKey{Alg: request.Ed25519, Pub: x.Pub}.Check()); err != nil {
			return err
		}
		if i > 0 && signers[i-1].ID >= x.ID {
			return errors.New("signers must be sorted by id and distinct")
		}
		who := id + "/" + x.ID
		if other, taken := keys[string(x.Pub)]; taken {
			return fmt.Errorf("the key of %s is that of %s; one key is one voice", who, other)
		}
		keys[string(x.Pub)] = who
	}
	return nil
}

// checkFiat checks what a match says of money.
func (d Document) checkFiat(m Match) error {
	for _, x := range []struct {
		what string
		f    *Fiat
	}{{"amount.fiatMax", m.FiatMax}, {"amount.fiatOver", m.FiatOver}} {
		if x.f == nil {
			continue
		}
		if err := d.quoted(x.f.Currency); err != nil {
			return fmt.Errorf("%s: %w", x.what, err)
		}
	}
	if a, b := m.FiatMax, m.FiatOver; a != nil && b != nil && a.Currency == b.Currency && b.Amount.Cmp(a.Amount) >= 0 {
		return fmt.Errorf("amount: fiatOver %s is not less than fiatMax %s, so nothing matches", b.Amount, a.Amount)
	}
	return nil
}

// quoted says whether a source of the document has a currency at all.
func (d Document) quoted(currency string) error {
	if err := price.CheckCurrency(currency); err != nil {
		return err
	}
	for _, s := range d.PriceSources {
		if slices.ContainsFunc(s.Pairs, func(p Pair) bool { return p.Currency == currency }) {
			return nil
		}
	}
	return fmt.Errorf("no source of priceSources has a pair in %s", currency)
}

// checkLimitFiat checks what a limit says of money.
func (d Document) checkLimitFiat(l Limit) error {
	switch {
	case l.Measure != MeasureFiat && l.Currency != "":
		return fmt.Errorf("currency goes with measure %s, and with nothing else", MeasureFiat)
	case l.Measure == MeasureFiat:
		if err := d.quoted(l.Currency); err != nil {
			return fmt.Errorf("currency: %w", err)
		}
	}
	return nil
}

// String tells an amount of money in words.
func (m Fiat) String() string { return price.Money(m.Amount, m.Currency) }

// String tells a source in words.
func (s PriceSource) String() string {
	pairs := make([]string, len(s.Pairs))
	for i, p := range s.Pairs {
		pairs[i] = string(p.Asset) + " in " + p.Currency
	}
	out := fmt.Sprintf("%d of %s tell the price of %s; a quote counts for %d seconds", s.MinSigners, signersOf(s.Signers), joined(pairs, ", "), s.MaxAge)
	if s.MaxStep > 0 {
		out += fmt.Sprintf(", and a step of more than %d basis points holds", s.MaxStep)
	}
	return out
}

// signersOf names signers with their keys.
func signersOf(list []testimony.Signer) string {
	out := make([]string, len(list))
	for i, x := range list {
		out[i] = x.ID + " (" + hex.EncodeToString(x.Pub) + ")"
	}
	return joined(out, ", ")
}

func diffPrices(old, next Document, say func(string, ...any)) {
	both(old.PriceSources, next.PriceSources, func(s PriceSource) string { return s.ID },
		func(s PriceSource) { say("price source %s is new: %s", s.ID, s) },
		func(s PriceSource) {
			say("price source %s is removed, and its quotes are forgotten; it was: %s", s.ID, s)
		},
		func(a, b PriceSource) {
			if !same(a, b) {
				say("price source %s is now, and what was accepted of it is forgotten: %s; it was: %s", a.ID, b, a)
			}
		})
}
