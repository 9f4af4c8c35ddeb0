// SPDX-License-Identifier: Apache-2.0

package rulefile

import (
	"cmp"
	"encoding/hex"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/price"
)

func byPriceSource(a, b policy.PriceSource) int { return cmp.Compare(a.ID, b.ID) }
func byFeedSigner(a, b price.Signer) int        { return cmp.Compare(a.ID, b.ID) }
func byPair(a, b policy.Pair) int {
	return cmp.Or(cmp.Compare(a.Asset, b.Asset), cmp.Compare(a.Currency, b.Currency))
}

// priceSource reads who tells what assets are worth.
func (r *reader) priceSource(n *yaml.Node, path string) (s policy.PriceSource) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":         func(n *yaml.Node, path string) { s.ID = r.Text(n, path) },
		"pairs":      func(n *yaml.Node, path string) { s.Pairs = items(r, n, path, r.pair, byPair) },
		"signers":    func(n *yaml.Node, path string) { s.Signers = items(r, n, path, r.feedSigner, byFeedSigner) },
		"minSigners": func(n *yaml.Node, path string) { s.MinSigners = uint32(r.Number(n, path, 32)) },
		"maxAge":     func(n *yaml.Node, path string) { s.MaxAge = r.duration(n, path) },
		"maxStep":    func(n *yaml.Node, path string) { s.MaxStep = uint32(r.Number(n, path, 32)) },
	}, "id", "pairs", "signers", "minSigners", "maxAge")
	return s
}

func (r *reader) pair(n *yaml.Node, path string) (p policy.Pair) {
	r.Mapping(n, path, strictyaml.Fields{
		"asset":    func(n *yaml.Node, path string) { p.Asset = custody.AssetID(r.Text(n, path)) },
		"currency": func(n *yaml.Node, path string) { p.Currency = r.Text(n, path) },
	}, "asset", "currency")
	return p
}

func (r *reader) feedSigner(n *yaml.Node, path string) (s price.Signer) {
	r.Mapping(n, path, strictyaml.Fields{
		"id": func(n *yaml.Node, path string) { s.ID = r.Text(n, path) },
		"pub": func(n *yaml.Node, path string) {
			text := r.Text(n, path)
			b, err := hex.DecodeString(text)
			if err != nil || hex.EncodeToString(b) != text {
				r.Fail(n, path, "want the public key in lower-case hex, as 'strongroom price keygen' prints it; quote it if it has no letters")
				return
			}
			s.Pub = b
		},
	}, "id", "pub")
	return s
}

// fiat reads an amount of money: {currency: USD, amount: "100000"}, in minor units.
func (r *reader) fiat(n *yaml.Node, path string) *policy.Fiat {
	var f policy.Fiat
	r.Mapping(n, path, strictyaml.Fields{
		"currency": func(n *yaml.Node, path string) { f.Currency = r.Text(n, path) },
		"amount": func(n *yaml.Node, path string) {
			if u := r.amount(n, path); u != nil {
				f.Amount = *u
			}
		},
	}, "currency", "amount")
	return &f
}

func fiatNodes(n *node, m policy.Match) {
	for _, x := range []struct {
		key string
		f   *policy.Fiat
	}{{"fiatMax", m.FiatMax}, {"fiatOver", m.FiatOver}} {
		if x.f != nil {
			n.add(x.key, flow((&node{}).add("currency", text(x.f.Currency)).add("amount", amount(&x.f.Amount))))
		}
	}
}

func priceSourceNode(s policy.PriceSource) *yaml.Node {
	pairs := each(s.Pairs, func(p policy.Pair) *yaml.Node {
		return flow((&node{}).add("asset", text(string(p.Asset))).add("currency", text(p.Currency)))
	})
	return (&node{}).add("id", text(s.ID)).add("pairs", pairs).add("signers", each(s.Signers, feedSignerNode)).add("minSigners", number(uint64(s.MinSigners))).
		add("maxAge", duration(s.MaxAge)).addIf(s.MaxStep > 0, "maxStep", number(uint64(s.MaxStep))).mapping()
}

func feedSignerNode(s price.Signer) *yaml.Node {
	return flow((&node{}).add("id", text(s.ID)).add("pub", text(hex.EncodeToString(s.Pub))))
}
