// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"testing"

	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

func TestReceiptsAreChecked(t *testing.T) {
	t.Parallel()
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{authority: AuthorityID{1}, identity: pub}
	id := RequestID{2}
	good := receipt{Authority: c.authority, Domain: custody.DomainID(c.authority), Request: id, Seq: 7, Leaf: [32]byte{3}, State: "rejected"}
	view := func(r receipt, sig []byte) RequestView {
		return RequestView{Receipt: &apiv1.Receipt{Seq: r.Seq, Leaf: hex.EncodeToString(r.Leaf[:]), State: r.State, Signature: sig}}
	}
	sign := func(r receipt) []byte { return ed25519.Sign(key, canon.Message(canon.TagReply, r)) }
	if err := c.checkReceipt(context.Background(), id, view(good, sign(good))); err != nil {
		t.Fatalf("a good receipt: %v", err)
	}
	other, elsewhere := good, good
	other.Seq, elsewhere.Request = 8, RequestID{9}
	short := view(good, sign(good))
	short.Receipt.Leaf = "00"
	for name, v := range map[string]RequestView{
		"none": {}, "of another entry": view(other, sign(good)), "of another request": view(good, sign(elsewhere)), "without signature": view(good, nil), "short leaf": short,
	} {
		if err := c.checkReceipt(context.Background(), id, v); !errors.Is(err, ErrReceipt) {
			t.Errorf("%s: %v, want ErrReceipt", name, err)
		}
	}
}
