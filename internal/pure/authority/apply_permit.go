// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// SlotHash names a slot of a wallet.
func SlotHash(w custody.WalletID, s entry.Slot) [32]byte {
	return canon.Hash(canon.TagSlot, &struct {
		W custody.WalletID `cbor:"1,keyasint"`
		S entry.Slot       `cbor:"2,keyasint"`
	}{w, s})
}

// FeeCap gives the strictest of the request's cap and those of the routes that decided.
func FeeCap(b request.Bounds, by ...policy.Decision) custody.Uint256 {
	most := b.FeeCap
	for _, d := range by {
		if d.FeeCap != nil && d.FeeCap.Cmp(most) < 0 {
			most = *d.FeeCap
		}
	}
	return most
}

func (s *State) applyPermit(l entry.Leaf, leaf [32]byte, b *entry.Permit) (func(), error) {
	if canon.HashBytes(canon.TagPayload, b.Payload) != b.PayloadHash {
		return nil, errors.New("payload hash is not the payload's")
	}
	if len(b.Keys) == 0 {
		return nil, errors.New("no key is to sign")
	}
	if d := b.Decision; d.Version != s.Doc.Version || d.Hash != s.Rules.Hash() || d.Outcome != policy.Allowed {
		return nil, errors.New("the decision is not an allowance of the current rule document")
	}
	if i, ok := s.walletIndex[b.Wallet]; ok {
		if err := s.on(s.permitNeeds(b.Request, s.walletList[i])); err != nil {
			return nil, err
		}
		if err := s.free(i); err != nil {
			return nil, err
		}
	}
	if err := s.MayPermit(b.Wallet); err != nil {
		return nil, err
	}
	if g, ok := s.signed[b.Request]; ok {
		return s.replace(l, leaf, b, g)
	}
	p, ok := s.pending[b.Request]
	if !ok {
		return nil, fmt.Errorf("request %s does not wait", b.Request)
	}
	if err := s.checkApprovals(p, b.Decision, b.Approvals, b.Trail, Moment{l.Time, l.Bound}); err != nil {
		return nil, err
	}
	wi, ok := s.walletIndex[p.Effects.Wallet]
	switch {
	case !p.Effects.Operation.Signs() || !ok || b.Wallet != p.Effects.Wallet:
		return nil, errors.New("only what an existing wallet signs has permits")
	case b.Attempt != 1:
		return nil, fmt.Errorf("first permit is attempt %d, not 1", b.Attempt)
	case b.Fee.Cmp(FeeCap(p.Bounds, p.Decision, b.Decision)) > 0:
		return nil, errors.New("the fee is above the cap")
	case len(s.signed) >= MaxSigned:
		return nil, fmt.Errorf("%d signed requests are open already", MaxSigned)
	}
	take, err := s.takeSlot(uint32(wi), p.Bounds.Slot, b)
	if err != nil {
		return nil, err
	}
	takeWarm, err := s.warmPermit(wi, p, b, Moment{l.Time, l.Bound})
	if err != nil {
		return nil, err
	}
	g := &Signed{ID: p.ID, Seq: p.Seq, BodyHash: p.BodyHash, Permit: l.Seq, Attempt: 1, Payload: b.PayloadHash,
		Slot: SlotHash(p.Effects.Wallet, b.Slot), Fee: b.Fee,
		FeeCap: FeeCap(p.Bounds, p.Decision, b.Decision), NotAfter: p.Bounds.NotAfter,
		Trail: append(slices.Clone(p.Trail), l.Seq), Leaf: p.Leaf, PermitLeaf: leaf, Approvals: b.Approvals, Refused: p.Refused,
		Asset: p.Effects.Asset, wallet: b.Wallet}
	if p.Effects.Operation != request.Transfer {
		g.Operation = p.Effects.Operation
	}
	return func() {
		take()
		takeWarm()
		s.useChange(wi, b.Change)
		s.use(b.Decision.Limits, l)
		s.unwait(p)
		if s.Rules.RemembersPaid() {
			for _, o := range p.Effects.Outputs {
				s.paid.add(p.Effects.Chain, o.Address)
			}
		}
		s.signed[p.ID] = g
		s.export(wi, p.ID)
	}, nil
}

// takeSlot checks that a slot is free and gives what takes it, for ever. A nonce is the least that no permit has used: one that is
// left out could never be used again, and what comes after it never be mined.
func (s *State) takeSlot(wallet uint32, rule request.SlotPolicy, b *entry.Permit) (func(), error) {
	if rule == request.AccountNonce {
		if len(b.Slot.Inputs) != 0 || b.Slot.Account == "" || len(b.Keys) != 1 || b.Keys[0].Branch != 0 || len(b.Change) != 0 {
			return nil, errors.New("the slot must be one account's nonce")
		}
		a := account{wallet, b.Keys[0].Index}
		i, seen := s.accountIndex[a]
		next := uint64(0)
		if seen {
			next = s.nonces[i]
		}
		if b.Slot.Nonce != next {
			return nil, fmt.Errorf("nonce %d is not the least free one, %d", b.Slot.Nonce, next)
		}
		return func() { s.nonces[s.useAccount(a)] = next + 1 }, nil
	}
	if rule == request.NoSlot {
		return func() {}, noSlot(b)
	}
	if rule != request.InputSet || b.Slot.Account != "" || b.Slot.Nonce != 0 || len(b.Slot.Inputs) == 0 || len(b.Slot.Inputs) != len(b.Keys) {
		return nil, errors.New("the slot must be a set of inputs, one key each")
	}
	if len(s.spentIndex)+len(b.Slot.Inputs) > MaxSpent {
		return nil, fmt.Errorf("%d inputs are recorded; this domain can't spend more", MaxSpent)
	}
	for i, in := range b.Slot.Inputs {
		if _, ok := s.spentIndex[in]; ok {
			return nil, fmt.Errorf("input %d is taken by another permit", i)
		}
		for _, other := range b.Slot.Inputs[:i] {
			if other == in {
				return nil, fmt.Errorf("input %d stands twice", i)
			}
		}
	}
	return func() {
		for _, in := range b.Slot.Inputs {
			s.addSpent(in)
		}
	}, nil
}

func (s *State) addSpent(in entry.Input) {
	s.spent.add(encodeSpent(in), 0)
	s.spentIndex[in] = struct{}{}
}

// replace is a further attempt in the same slot: only the fee, and where it comes from, may differ.
func (s *State) replace(l entry.Leaf, leaf [32]byte, b *entry.Permit, g *Signed) (func(), error) {
	switch {
	case g.Operation == request.MessageSign:
		return nil, errors.New("a message has one permit")
	case b.Attempt != g.Attempt+1:
		return nil, fmt.Errorf("attempt %d follows attempt %d", b.Attempt, g.Attempt)
	case b.PayloadHash == g.Payload:
		return nil, errors.New("the payload is the one that has a permit already")
	case b.Fee.Cmp(g.Fee) <= 0:
		return nil, errors.New("a replacement pays a higher fee")
	case b.Fee.Cmp(FeeCap(request.Bounds{FeeCap: g.FeeCap}, b.Decision)) > 0:
		return nil, errors.New("the fee is above the cap")
	case Expired(g.NotAfter, l.Time, l.Bound):
		return nil, errors.New("the request may be past its notAfter")
	case !slices.Equal(b.Trail, g.Trail) || len(g.Trail) >= MaxTrail-1:
		return nil, errors.New("the trail is not the request's, or too long")
	case len(b.Approvals) != 0:
		return nil, errors.New("a replacement rides on the approvals of the first attempt")
	}
	wi, ok := s.walletIndex[b.Wallet]
	if !ok || SlotHash(b.Wallet, b.Slot) != g.Slot {
		return nil, errors.New("a replacement uses the same slot")
	}
	if err := s.checkCharges(b.Decision, nil, Moment{l.Time, l.Bound}); err != nil {
		return nil, err
	}
	if id, asks := s.asksPlan(b.Decision); asks {
		return nil, fmt.Errorf("limit %s asks for a plan, and a replacement has no approvals of its own", id)
	}
	more, _ := b.Fee.Sub(g.Fee)
	takeWarm, err := s.takeWarm(wi, g.Asset, custody.Uint256{}, more, Moment{l.Time, l.Bound})
	if err != nil {
		return nil, err
	}
	return func() {
		takeWarm()
		s.use(b.Decision.Limits, l)
		s.useChange(wi, b.Change)
		g.Permit, g.Result, g.Attempt, g.Payload, g.Fee, g.PermitLeaf = l.Seq, 0, b.Attempt, b.PayloadHash, b.Fee, leaf
		g.Trail = append(g.Trail, l.Seq)
		s.export(wi, g.ID)
	}, nil
}

// useChange moves a wallet's next change index past the ones that a permit pays.
func (s *State) useChange(wallet int, change []entry.KeyPath) {
	for _, c := range change {
		s.next[wallet][1] = max(s.next[wallet][1], c.Index+1)
	}
}

func (s *State) applyResult(l entry.Leaf, b *entry.Result) (func(), error) {
	g, ok := s.signed[b.Request]
	if !ok {
		return nil, fmt.Errorf("request %s has no permit", b.Request)
	}
	switch {
	case b.Permit != g.Permit:
		return nil, fmt.Errorf("the latest permit is entry %d, not %d", g.Permit, b.Permit)
	case g.Result != 0:
		return nil, fmt.Errorf("entry %d has the result already", g.Result)
	case len(b.Signatures) == 0 || b.TxID == "":
		return nil, errors.New("the result has no signature or no transaction id")
	}
	return func() {
		g.Result = l.Seq
		delete(s.cold.open, g.ID)
		g.Trail = append(g.Trail, l.Seq)
		if g.NotAfter < l.Time/1e9 { // an earlier entry may have taken its deadline, perhaps with a smaller bound
			s.expiry.push(deadline{at: g.NotAfter, seq: g.Seq, request: g.ID})
		}
	}, nil
}
