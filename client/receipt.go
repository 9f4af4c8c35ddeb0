// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// ErrReceipt says that serve answered without the domain's word that what was handed in is in the log, or with a word that is false or
// about something else: the request or decision may have been dropped. Hand the same in again, through another serve if there is one, or
// look into the log.
var ErrReceipt = errors.New("the answer carries no valid receipt of the domain: what was handed in may not be in the log")

// receipt is what the domain identity key signs, or for a session's request its key MACs, under canon.TagReceipt (docs/spec/door.md).
type receipt struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	Domain    custody.DomainID    `cbor:"2,keyasint"`
	Request   custody.RequestID   `cbor:"3,keyasint"`
	Seq       uint64              `cbor:"4,keyasint"`
	Leaf      [32]byte            `cbor:"5,keyasint"`
	State     string              `cbor:"6,keyasint"`
	Act       [32]byte            `cbor:"7,keyasint"`
}

// checkReceipt checks the receipt of an act on a request: it must name this act, which the caller hashed, and the state that the answer
// tells. session is the key of the session that the act came with, or nil. Without a good one it is [ErrReceipt].
func (c *Client) checkReceipt(ctx context.Context, id RequestID, act [32]byte, v RequestView, session []byte) error {
	if v.Receipt == nil || v.ID != id.String() || v.Receipt.State != v.State {
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
	r := receipt{Authority: authority, Domain: custody.DomainID(authority), Request: id, Seq: v.Receipt.Seq, Leaf: [32]byte(leaf), State: v.State, Act: act}
	m := canon.Message(canon.TagReceipt, r)
	if session != nil {
		mac := hmac.New(sha256.New, session)
		mac.Write(m)
		if !hmac.Equal(mac.Sum(nil), v.Receipt.Signature) {
			return ErrReceipt
		}
		return nil
	}
	if !ed25519.Verify(identity, m, v.Receipt.Signature) {
		return ErrReceipt
	}
	return nil
}
