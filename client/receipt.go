// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"errors"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// ErrReceipt says that serve handed on a decision without the domain's signed word that it is in the log, or with a false one: it may
// have been dropped. Ask for the request again later, through another serve if there is one, or look into the log.
var ErrReceipt = errors.New("the answer carries no valid receipt of the domain: the decision may not be in the log")

// receipt is what the domain identity key signs under canon.TagReply (docs/spec/door.md).
type receipt struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	Domain    custody.DomainID    `cbor:"2,keyasint"`
	Request   custody.RequestID   `cbor:"3,keyasint"`
	Seq       uint64              `cbor:"4,keyasint"`
	Leaf      [32]byte            `cbor:"5,keyasint"`
	State     string              `cbor:"6,keyasint"`
}

// checkReceipt checks the receipt of an act on a request. Without one it is [ErrReceipt].
func (c *Client) checkReceipt(ctx context.Context, id RequestID, v RequestView) error {
	if v.Receipt == nil {
		return ErrReceipt
	}
	authority, identity, err := c.domain(ctx)
	if err != nil {
		return err
	}
	leaf, err := hex.DecodeString(v.Receipt.Leaf)
	if err != nil || len(leaf) != 32 || len(identity) != ed25519.PublicKeySize {
		return ErrReceipt
	}
	r := receipt{Authority: authority, Domain: custody.DomainID(authority), Request: id, Seq: v.Receipt.Seq, Leaf: [32]byte(leaf), State: v.Receipt.State}
	if !ed25519.Verify(identity, canon.Message(canon.TagReply, r), v.Receipt.Signature) {
		return ErrReceipt
	}
	return nil
}
