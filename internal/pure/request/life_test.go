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
	"strongroom/internal/pure/share"
)

// custodianKey is the key of a custodian, by share from 1.
func custodianKey(share int) ed25519.PrivateKey {
	h := sha256.Sum256(fmt.Appendf(nil, "custodian %d", share))
	return ed25519.NewKeyFromSeed(h[:])
}

// sharing is a recovery record of two of three, as a load names it.
func sharing() *request.Recovery {
	r := &request.Recovery{Public: bytes.Repeat([]byte{1}, request.RecoveryKeySize), Threshold: 2, Shares: 3, Commitments: commitments(), Transcript: bytes.Repeat([]byte{3}, 32)}
	for i := range 3 {
		r.Custodians = append(r.Custodians, request.PublicKey{Alg: request.Ed25519, Pub: custodianKey(i + 1).Public().(ed25519.PublicKey)})
	}
	return r
}

// commitments are two that a sharing could have.
func commitments() []byte {
	g := share.Generator().Encode()
	return append(g[:], g[:]...)
}

// frozenLife are the encodings and messages of the life cycle: they never change.
func frozenLife() map[string]string {
	out := map[string]string{}
	for _, op := range request.Operations() {
		if r := example(op); op.LifeCycle() && bodies()[op] != nil && offline()[op] == nil {
			hash := r.Hash()
			out[string(op)], out[string(op)+" hash"] = hex.EncodeToString(r.Encode()), hex.EncodeToString(hash[:])
		}
	}
	r := *sharing()
	h := r.Hash()
	out["recovery record hash"] = hex.EncodeToString(h[:])
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
		"threshold above n":    load(func(r *request.Recovery) { r.Threshold, r.Commitments = 4, append(commitments(), commitments()...) }),
		"too many shares":      load(func(r *request.Recovery) { r.Shares = 17 }),
		"no element":           load(func(r *request.Recovery) { r.Commitments[40] ^= 1 }),
		"a commitment less":    load(func(r *request.Recovery) { r.Commitments = r.Commitments[32:] }),
		"no transcript":        load(func(r *request.Recovery) { r.Transcript = nil }),
		"a sealed copy":        load(func(r *request.Recovery) { r.WorkingKey, r.Identity = make([]byte, 32), make([]byte, 32) }),
		"no custodians":        load(func(r *request.Recovery) { r.Custodians = nil }),
		"a custodian less":     load(func(r *request.Recovery) { r.Custodians = r.Custodians[1:] }),
		"a custodian twice":    load(func(r *request.Recovery) { r.Custodians[0] = r.Custodians[1] }),
		"a malformed key":      load(func(r *request.Recovery) { r.Custodians[0].Pub = nil }),
		"a passkey":            load(func(r *request.Recovery) { r.Custodians[0] = passkeyOf(r.Custodians[0]) }),
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

// A new sharing needs the receipt of each custodian, in order, of one ceremony and for this sharing and key.
func TestReceipts(t *testing.T) {
	t.Parallel()
	r := sharing()
	c, err := share.Parse(share.Scheme{Threshold: 2, Shares: 3}, r.Commitments)
	if err != nil {
		t.Fatal(err)
	}
	make1 := func(n int, change func(*share.Receipt)) request.ShareReceipt {
		x := share.NewReceipt(share.NewMeta([32]byte{7}, c, uint8(n), fmt.Sprintf("custodian %d", n), sha256.Sum256(r.Public)), c, [32]byte{byte(n)})
		if change != nil {
			change(&x)
		}
		return request.ShareReceipt{Receipt: canon.Encode(x), Sig: ed25519.Sign(custodianKey(n), x.Message())}
	}
	rs := []request.ShareReceipt{make1(1, nil), make1(2, nil), make1(3, nil)}
	if err := r.CheckReceipts(rs); err != nil {
		t.Fatal(err)
	}
	sealed := *r
	sealed.WorkingKey, sealed.Identity = make([]byte, 32), make([]byte, 32)
	if sealed.Hash() != r.Hash() {
		t.Error("sealed copies change the record's hash")
	}
	other := *r
	other.Public = bytes.Repeat([]byte{9}, request.RecoveryKeySize)
	with := func(x request.ShareReceipt) []request.ShareReceipt { return []request.ShareReceipt{rs[0], rs[1], x} }
	for what, err := range map[string]error{
		"another recovery key": other.CheckReceipts(rs),
		"one less":             r.CheckReceipts(rs[:2]),
		"none":                 r.CheckReceipts(nil),
		"one twice":            r.CheckReceipts([]request.ShareReceipt{rs[0], rs[0], rs[2]}),
		"another order":        r.CheckReceipts([]request.ShareReceipt{rs[1], rs[0], rs[2]}),
		"another's signature":  r.CheckReceipts(with(request.ShareReceipt{Receipt: rs[2].Receipt, Sig: rs[0].Sig})),
		"no receipt":           r.CheckReceipts(with(request.ShareReceipt{Sig: rs[2].Sig})),
		"another ceremony":     r.CheckReceipts(with(make1(3, func(x *share.Receipt) { x.Ceremony[0]++ }))),
		"another sharing":      r.CheckReceipts(with(make1(3, func(x *share.Receipt) { x.Sharing[0]++ }))),
		"another share":        r.CheckReceipts(with(make1(3, func(x *share.Receipt) { x.Index = 2 }))),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

// Operations that need no approval are a closed list: the phrase names the domain.
func TestZeroizePhrase(t *testing.T) {
	t.Parallel()
	if got := request.ZeroizePhrase(custody.DomainID{1, 2, 3}); got != "zeroize 0102030000000000" {
		t.Errorf("got %q", got)
	}
	for _, op := range request.Operations() {
		if op.EditsRules() && op.LifeCycle() || op.Governance() != (op.EditsRules() || op.LifeCycle() || op == request.SlotReconcile || op.Oversight()) {
			t.Errorf("%s is of two sorts", op)
		}
	}
}
