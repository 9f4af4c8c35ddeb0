// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
)

// custodianKey is the key of a custodian, by share from 1.
func custodianKey(share int) ed25519.PrivateKey {
	h := sha256.Sum256(fmt.Appendf(nil, "custodian %d", share))
	return ed25519.NewKeyFromSeed(h[:])
}

// sharing is a recovery record of two of three, as a load names it.
func sharing() *request.Recovery {
	r := &request.Recovery{Public: bytes.Repeat([]byte{1}, request.RecoveryKeySize), Threshold: 2, Shares: 3, Commitments: bytes.Repeat([]byte{2}, 2*request.CommitmentSize), Transcript: bytes.Repeat([]byte{3}, 32)}
	for i := range 3 {
		r.Custodians = append(r.Custodians, request.PublicKey{Alg: request.Ed25519, Pub: custodianKey(i + 1).Public().(ed25519.PublicKey)})
	}
	return r
}

// frozenLife are the encodings and messages of the life cycle: they never change.
func frozenLife() map[string]string {
	out := map[string]string{}
	for _, op := range request.Operations() {
		if r := example(op); op.LifeCycle() {
			hash := r.Hash()
			out[string(op)], out[string(op)+" hash"] = hex.EncodeToString(r.Encode()), hex.EncodeToString(hash[:])
		}
	}
	r := *sharing()
	h := r.Hash()
	out["recovery record hash"] = hex.EncodeToString(h[:])
	out["receipt message"] = hex.EncodeToString(r.ReceiptMessage(custody.AuthorityID{1}, custody.DomainID{2}, 300, 3))
	return out
}

func TestLifeBodiesRefused(t *testing.T) {
	t.Parallel()
	load := func(f func(*request.Recovery)) request.Request {
		return change(request.EpochLoad, func(b *request.EpochLoadBody) { f(b.Recovery) })
	}
	for name, r := range map[string]request.Request{
		"no counter":           change(request.PointsSet, func(b *request.PointsSetBody) { b.Counter = 0 }),
		"no point":             change(request.PointsSet, func(b *request.PointsSetBody) { b.Allow, b.Deny, b.Freeze = points.Set{}, points.Set{}, points.Set{} }),
		"on and off":           change(request.PointsSet, func(b *request.PointsSetBody) { b.Deny = b.Allow }),
		"a point without name": change(request.PointsSet, func(b *request.PointsSetBody) { b.Freeze[31] |= 1 << 7 }),
		"load without counter": change(request.EpochLoad, func(b *request.EpochLoadBody) { b.Counter = 0 }),
		"load of epoch 1":      change(request.EpochLoad, func(b *request.EpochLoadBody) { b.Epoch = 1 }),
		"short public key":     load(func(r *request.Recovery) { r.Public = r.Public[1:] }),
		"threshold 0":          load(func(r *request.Recovery) { r.Threshold, r.Commitments = 0, nil }),
		"threshold above n":    load(func(r *request.Recovery) { r.Threshold, r.Commitments = 4, bytes.Repeat([]byte{2}, 128) }),
		"too many shares":      load(func(r *request.Recovery) { r.Shares = 17 }),
		"a commitment less":    load(func(r *request.Recovery) { r.Commitments = r.Commitments[32:] }),
		"no transcript":        load(func(r *request.Recovery) { r.Transcript = nil }),
		"a sealed copy":        load(func(r *request.Recovery) { r.WorkingKey, r.Identity = make([]byte, 32), make([]byte, 32) }),
		"no custodians":        load(func(r *request.Recovery) { r.Custodians = nil }),
		"a custodian less":     load(func(r *request.Recovery) { r.Custodians = r.Custodians[1:] }),
		"a custodian twice":    load(func(r *request.Recovery) { r.Custodians[0] = r.Custodians[1] }),
		"a malformed key":      load(func(r *request.Recovery) { r.Custodians[0].Pub = nil }),
		"short pattern":        change(request.EpochCommit, func(b *request.EpochCommitBody) { b.Pattern = b.Pattern[1:] }),
		"short receipt":        change(request.EpochCommit, func(b *request.EpochCommitBody) { b.Receipts[0].Sig = nil }),
		"too many receipts":    change(request.EpochCommit, func(b *request.EpochCommitBody) { b.Receipts = make([]request.ShareReceipt, 17) }),
		"activate epoch 0":     change(request.EpochActivate, func(b *request.EpochActivateBody) { b.Epoch = 0 }),
		"finalize no pattern":  change(request.EpochFinalize, func(b *request.EpochFinalizeBody) { b.Pattern = nil }),
		"cancel no counter":    change(request.EpochCancel, func(b *request.EpochCancelBody) { b.Counter = 0 }),
		"restore epoch 0":      change(request.Restore, func(b *request.RestoreBody) { b.Epoch = 0 }),
		"long phrase":          change(request.Zeroize, func(b *request.ZeroizeBody) { b.Phrase = string(bytes.Repeat([]byte("z"), 65)) }),
		"zeroize no counter":   change(request.Zeroize, func(b *request.ZeroizeBody) { b.Counter = 0 }),
	} {
		if err := r.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// A new sharing needs the receipt of each custodian, in order, for this record, epoch and domain.
func TestReceipts(t *testing.T) {
	t.Parallel()
	r := sharing()
	a, d := custody.AuthorityID{1}, custody.DomainID{2}
	good := func() (out []request.ShareReceipt) {
		for i := range 3 {
			n := uint32(i + 1)
			out = append(out, request.ShareReceipt{Share: n, Sig: ed25519.Sign(custodianKey(i+1), r.ReceiptMessage(a, d, 2, n))})
		}
		return out
	}
	if err := r.CheckReceipts(a, d, 2, good()); err != nil {
		t.Fatal(err)
	}
	sealed := *r
	sealed.WorkingKey, sealed.Identity = make([]byte, 32), make([]byte, 32)
	if sealed.Hash() != r.Hash() {
		t.Error("sealed copies change the record's hash: receipts are given before they are there")
	}
	other := *r
	other.Commitments = bytes.Repeat([]byte{9}, 64)
	rs := good()
	for what, err := range map[string]error{
		"another sharing":   other.CheckReceipts(a, d, 2, rs),
		"another epoch":     r.CheckReceipts(a, d, 3, rs),
		"another domain":    r.CheckReceipts(a, custody.DomainID{3}, 2, rs),
		"another authority": r.CheckReceipts(custody.AuthorityID{3}, d, 2, rs),
		"one less":          r.CheckReceipts(a, d, 2, rs[:2]),
		"none":              r.CheckReceipts(a, d, 2, nil),
		"one twice":         r.CheckReceipts(a, d, 2, []request.ShareReceipt{rs[0], rs[0], rs[2]}),
		"another order":     r.CheckReceipts(a, d, 2, []request.ShareReceipt{rs[1], rs[0], rs[2]}),
		"another's share":   r.CheckReceipts(a, d, 2, []request.ShareReceipt{rs[0], rs[1], {Share: 3, Sig: rs[0].Sig}}),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if canon.Encode(r) == nil {
		t.Error("no encoding")
	}
}

// Operations that need no approval are a closed list: the phrase names the domain.
func TestZeroizePhrase(t *testing.T) {
	t.Parallel()
	if got := request.ZeroizePhrase(custody.DomainID{1, 2, 3}); got != "zeroize 0102030000000000" {
		t.Errorf("got %q", got)
	}
	for _, op := range request.Operations() {
		if op.EditsRules() && op.LifeCycle() || op.Governance() != (op.EditsRules() || op.LifeCycle()) {
			t.Errorf("%s is of two sorts", op)
		}
	}
}
