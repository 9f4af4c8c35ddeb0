// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

const bookAddress = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"

func asking(op request.Operation, body any) request.Request {
	return request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: op, Body: canon.Encode(body), NotAfter: 1_800_000_000}
}

func TestBookBodies(t *testing.T) {
	t.Parallel()
	add := func(change func(*request.WhitelistAddBody)) request.Request {
		b := request.WhitelistAddBody{ID: "bank", Chain: "eip155:1", Address: bookAddress, Counterparty: "acme", Expires: 5, Kind: "exchange", Tags: []string{"a", "b"},
			Proof: &request.Ownership{Kind: request.SignedMessage, Scheme: request.EIP191, Sig: make([]byte, 65)}, Lookalike: "other"}
		change(&b)
		return asking(request.WhitelistAdd, b)
	}
	satoshi := request.Ownership{Kind: request.SatoshiTest, Wallet: "hot", Index: 1, Amount: 5, TxID: "0xab"}
	for name, c := range map[string]struct {
		r    request.Request
		want string // empty: fits
	}{
		"all":            {add(func(*request.WhitelistAddBody) {}), ""},
		"plain":          {asking(request.WhitelistAdd, request.WhitelistAddBody{ID: "bank", Chain: "eip155:1", Address: bookAddress}), ""},
		"satoshi":        {add(func(b *request.WhitelistAddBody) { b.Proof = &satoshi }), ""},
		"suspend":        {asking(request.WhitelistSuspend, request.WhitelistSuspendBody{ID: "bank"}), ""},
		"review":         {asking(request.WhitelistReview, request.WhitelistReviewBody{IDs: []string{"a", "b"}}), ""},
		"block":          {asking(request.BlacklistAdd, request.BlacklistAddBody{Chain: "eip155:1", Address: bookAddress, Reason: "bad"}), ""},
		"unblock":        {asking(request.BlacklistRemove, request.BlacklistRemoveBody{Chain: "eip155:1", Address: bookAddress}), ""},
		"party":          {add(func(b *request.WhitelistAddBody) { b.Counterparty = "A b" }), "counterparty"},
		"kind":           {add(func(b *request.WhitelistAddBody) { b.Kind = "pub" }), "is none of"},
		"tags":           {add(func(b *request.WhitelistAddBody) { b.Tags = []string{"b", "a"} }), "tags must be sorted"},
		"many tags":      {add(func(b *request.WhitelistAddBody) { b.Tags = make([]string, 17) }), "17 tags"},
		"end":            {add(func(b *request.WhitelistAddBody) { b.Expires = -1 }), "expires"},
		"hidden":         {add(func(b *request.WhitelistAddBody) { b.Lookalike = "a\u202e" }), "visible"},
		"proof kind":     {add(func(b *request.WhitelistAddBody) { b.Proof.Kind = "oath" }), "none of"},
		"other scheme":   {add(func(b *request.WhitelistAddBody) { b.Proof.Scheme = request.BIP322 }), "is not for"},
		"no signature":   {add(func(b *request.WhitelistAddBody) { b.Proof.Sig = nil }), "has a scheme and a signature"},
		"long signature": {add(func(b *request.WhitelistAddBody) { b.Proof.Sig = make([]byte, 1025) }), "at most 1024"},
		"two proofs":     {add(func(b *request.WhitelistAddBody) { b.Proof.TxID = "x" }), "names wallet, amount and transaction"},
		"satoshi, less": {add(func(b *request.WhitelistAddBody) {
			b.Proof = &request.Ownership{Kind: request.SatoshiTest, Wallet: "hot", TxID: "x"}
		}), "names wallet, amount"},
		"txid":         {add(func(b *request.WhitelistAddBody) { o := satoshi; o.TxID = "a b"; b.Proof = &o }), "explorers"},
		"no note":      {add(func(b *request.WhitelistAddBody) { b.Proof = &request.Ownership{Kind: request.Attested} }), "says in its note"},
		"no ids":       {asking(request.WhitelistReview, request.WhitelistReviewBody{}), "1 to 1000"},
		"ids twice":    {asking(request.WhitelistReview, request.WhitelistReviewBody{IDs: []string{"a", "a"}}), "sorted and distinct"},
		"no id":        {asking(request.WhitelistSuspend, request.WhitelistSuspendBody{}), "address-book id"},
		"block a name": {asking(request.BlacklistAdd, request.BlacklistAddBody{Chain: "eip155:1", Address: "bank"}), "address"},
		"block, spelt": {asking(request.BlacklistAdd, request.BlacklistAddBody{Chain: "eip155:1", Address: strings.ToLower(bookAddress)}), "address"},
		"long reason":  {asking(request.BlacklistAdd, request.BlacklistAddBody{Chain: "eip155:1", Address: bookAddress, Reason: strings.Repeat("x", 201)}), "200 bytes"},
	} {
		err := c.r.Check()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if c.want == "" {
			if again, err := request.Decode(c.r.Encode()); err != nil || !bytes.Equal(again.Encode(), c.r.Encode()) {
				t.Errorf("%s: %v", name, err)
			}
			if request.ListEffectsOf(body(t, c.r)) == nil {
				t.Errorf("%s: no effects", name)
			}
		}
	}
}

func body(t *testing.T, r request.Request) request.Body {
	t.Helper()
	b, err := r.DecodeBody()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The challenge is another one wherever anything that it binds is another, and says it in clear.
func TestChallenge(t *testing.T) {
	t.Parallel()
	a, b := custody.AuthorityID{1}, custody.AuthorityID{2}
	texts := map[string]bool{}
	amounts := map[uint64]bool{}
	for _, c := range []struct {
		a       custody.AuthorityID
		d       custody.DomainID
		id      string
		chain   custody.ChainID
		address string
	}{{a, custody.DomainID(a), "bank", "eip155:1", bookAddress}, {b, custody.DomainID(a), "bank", "eip155:1", bookAddress}, {a, custody.DomainID(b), "bank", "eip155:1", bookAddress},
		{a, custody.DomainID(a), "banc", "eip155:1", bookAddress}, {a, custody.DomainID(a), "bank", "eip155:2", bookAddress}, {a, custody.DomainID(a), "bank", "eip155:1", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359"}} {
		s := request.Challenge(c.a, c.d, c.id, c.chain, c.address)
		for _, part := range []string{c.a.String(), c.d.String(), "Name: " + c.id + "\n", "Chain: " + string(c.chain) + "\n", "Address: " + c.address + "\n"} {
			if !strings.Contains(s, part) {
				t.Errorf("%q does not say %q", s, part)
			}
		}
		n := request.SatoshiAmount(c.a, c.d, c.id, c.chain, c.address)
		if n < 1000 || n > 9999 {
			t.Errorf("%d", n)
		}
		texts[s[strings.LastIndex(s, "\n"):]], amounts[n] = true, true
	}
	if len(texts) != 6 || len(amounts) < 5 {
		t.Errorf("%d challenges, %d amounts", len(texts), len(amounts))
	}
}
