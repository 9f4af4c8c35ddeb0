// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// checkApprovals says whether the recorded approvals are exactly those that stand, and meet both the plan that the request was
// accepted on and the one that the rules ask for now.
func (s *State) checkApprovals(p *Pending, d policy.Decision, used, trail []uint64, at Moment) error {
	if d.Version != s.Doc.Version || d.Hash != s.Rules.Hash() || d.Outcome != policy.Allowed {
		return errors.New("the decision is not an allowance of the current rule document")
	}
	if Expired(p.Bounds.NotAfter, at.Time, at.Bound) {
		return errors.New("the request may be past its notAfter")
	}
	if !slices.Equal(trail, p.Trail) {
		return errors.New("the trail is not the request's")
	}
	if err := s.unheld(p.ID); err != nil {
		return err
	}
	if len(used) != len(p.Approvals) {
		return fmt.Errorf("%d approvals are recorded, %d stand", len(used), len(p.Approvals))
	}
	for i, v := range p.Approvals {
		if used[i] != v.Seq {
			return fmt.Errorf("approval %d is entry %d, not %d", i, v.Seq, used[i])
		}
	}
	if err := s.checkCharges(d, p.reserved, at); err != nil {
		return err
	}
	return s.plansMet(p, d, at)
}

func (s *State) applyEffect(l entry.Leaf, b *entry.Effect) (func(), error) {
	p, ok := s.pending[b.Request]
	if !ok {
		return nil, fmt.Errorf("request %s does not wait", b.Request)
	}
	if err := s.checkApprovals(p, b.Decision, b.Approvals, b.Trail, Moment{l.Time, l.Bound}); err != nil {
		return nil, err
	}
	r, err := p.Parse()
	if err != nil {
		return nil, err
	}
	body := r.Decoded
	if _, is := body.(request.WarmBody); is != (b.Warm != nil) {
		return nil, errors.New("the effect is on a wallet's temperature, and the request is not, or the other way round")
	}
	if _, is := body.(*request.SlotReconcileBody); is != (b.Slots != nil) {
		return nil, errors.New("the effect frees slots, and the request does not ask for that, or the other way round")
	}
	if _, is := body.(request.AppBody); is != (b.App != nil) || is && b.Warm != nil {
		return nil, errors.New("the effect is on applications, and the request is not, or the other way round")
	}
	if _, is := body.(*request.WalletMoveBody); is != (b.Move != nil) {
		return nil, errors.New("the effect moves a wallet's key, and the request does not, or the other way round")
	}
	if _, is := body.(request.OversightBody); is != (b.Oversight != nil) {
		return nil, errors.New("the effect is on the operational state or a hold, and the request is not, or the other way round")
	}
	var apply func()
	switch o := body.(type) {
	case *request.WalletCreateBody:
		apply, err = s.createWallet(l, p.Seq, o, b)
	case *request.AddressCreateBody:
		apply, err = s.createAddresses(o, b)
	case *request.TransferBody, *request.ContractCallBody, *request.MessageSignBody:
		err = errors.New("what is signed has permits, not an effect")
	case request.WarmBody:
		apply, err = s.applyWarm(l, o, b)
	case request.AppBody:
		apply, err = s.applyApp(l, o, b)
	case *request.WalletMoveBody:
		apply, err = s.applyMove(l, o, b)
	case request.LifeBody:
		apply, err = s.applyLife(r, b)
	case *request.SlotReconcileBody:
		apply, err = s.applySlots(o, b)
	case request.OversightBody:
		apply, err = s.applyOversight(l, r, b)
	case request.ListBody:
		if s.Doc.Edits(r.Operation) {
			apply, err = s.changeDocument(l, r.Operation, body, b)
		} else {
			apply, err = s.applyList(l, o, b)
		}
	default:
		apply, err = s.changeDocument(l, r.Operation, body, b)
	}
	if err != nil {
		return nil, err
	}
	return func() {
		s.use(b.Decision.Limits, l)
		s.release(p)
		apply()
		s.end(p, l, EndExecuted)
	}, nil
}

func (s *State) changeDocument(l entry.Leaf, op request.Operation, body request.Body, b *entry.Effect) (func(), error) {
	if b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return nil, errors.New("the effect holds more than a document")
	}
	doc, err := policy.Apply(s.Profile, s.Doc, op, body)
	if err != nil {
		return nil, err
	}
	if err := s.book.fits(doc); err != nil {
		return nil, err
	}
	if canonical := doc.Encode(); string(canonical) != string(b.Document) {
		return nil, errors.New("the recorded document is not what the request makes of the current one")
	}
	rules, err := policy.Compile(doc)
	if err != nil {
		return nil, err
	}
	return func() {
		s.pinDocument(rules, l)
		s.book.follow(s.Doc, doc, l)
		s.paid.keep(doc)
		old := s.Doc
		s.Doc, s.Rules = doc, rules
		s.recount()
		s.hearAnew(old, l)
		s.docs = append(s.docs, l.Seq)
		for id, x := range s.sessions {
			if s.holds(x.Service, x.Key) != nil {
				delete(s.sessions, id)
			}
		}
	}, nil
}

func (s *State) createWallet(l entry.Leaf, asked uint64, o *request.WalletCreateBody, b *entry.Effect) (func(), error) {
	w := b.Wallet
	if w == nil || b.Document != nil || b.Addresses == nil || b.Life != nil {
		return nil, errors.New("the effect must hold the wallet and its first address")
	}
	if err := s.on(needs(o, entry.Wallet{})); err != nil {
		return nil, err
	}
	if _, ok := s.walletIndex[o.Wallet]; ok || len(s.walletList) >= MaxWallets {
		return nil, fmt.Errorf("wallet %s exists, or there are too many", o.Wallet)
	}
	switch {
	case w.ID != o.Wallet || w.Chain != o.Chain || w.Scheme != o.Scheme || w.Account != o.Account || w.Class != o.Class || len(w.Public) != 33:
		return nil, errors.New("the wallet is not the one asked for")
	case (b.Key != nil) != (o.Seed == ""):
		return nil, errors.New("a wallet has a new seed exactly if none is named")
	case b.Addresses.Wallet != o.Wallet || b.Addresses.Branch != 0 || b.Addresses.From != 0 || b.Addresses.Count != 1:
		return nil, errors.New("the wallet's first address must be number 0")
	case w.Class == request.ClassToken && (w.ChainCode != [32]byte{} || w.Master != [4]byte{} || w.Parent != [4]byte{}):
		return nil, errors.New("a wallet of class token has a chain code or fingerprints")
	}
	if k := b.Key; k != nil {
		if k.ID != w.Key || k.Purpose != entry.PurposeCustody || k.Kind != bornKind(w.Class) || k.Epoch != s.Epoch || k.ID.Check() != nil || !Here(*k) {
			return nil, errors.New("the new key is not one of the wallet's class, for custody, of the current epoch")
		}
		if _, ok := s.keyIndex[k.ID]; ok {
			return nil, fmt.Errorf("key %s exists", k.ID)
		}
		if err := s.checkNext(k); err != nil {
			return nil, err
		}
	} else if i, ok := s.keyIndex[w.Key]; !ok || w.Key != o.Seed || !isSeed(s.keys[i]) {
		return nil, fmt.Errorf("seed %s does not exist", o.Seed)
	} else if _, away := s.coldSeed(o.Seed); away {
		return nil, errors.New("the seed is a cold wallet's")
	} else if _, warm := s.warmSeed(o.Seed); warm {
		return nil, errors.New("the seed is a warm wallet's")
	}
	if _, ok := s.walletKeys[keyOfWallet(*w)]; ok {
		return nil, errors.New("another wallet of the chain has the same keys")
	}
	return func() {
		if b.Key != nil {
			s.addKey(*b.Key)
		}
		s.addWallet(*w, l.Seq, asked)
		s.next[len(s.next)-1] = [2]uint32{1, 0}
		if o.Temperature == request.Warm {
			s.setSessions(uint32(len(s.walletList)-1), nil)
		}
	}, nil
}

// bornKind gives the kind of the key that a wallet is born with.
func bornKind(c request.Class) string {
	if c == request.ClassToken {
		return entry.KindTokenKey
	}
	return entry.KindSeed
}

// checkNext says whether a new key has a blob under the next epoch exactly if one is committed.
func (s *State) checkNext(k *entry.NewKey) error {
	want := 0
	if n := s.life.Next; n != nil && n.Committed {
		want = 32
	}
	if len(k.Next) != want || want > 0 && [32]byte(k.Next) == [32]byte{} {
		return errors.New("a new key has a blob under the next epoch exactly if one is committed")
	}
	return nil
}

// addKey adds a key that was checked.
func (s *State) addKey(k entry.NewKey) {
	s.keyIndex[k.ID] = len(s.keys)
	if len(k.Next) > 0 {
		s.blobs.Next = append(s.blobs.Next, [32]byte(k.Next))
		k.Next = nil
	}
	s.keys, s.seedUses = append(s.keys, k), append(s.seedUses, seedUse{})
}

func (s *State) addWallet(w entry.Wallet, born, asked uint64) {
	s.wallets.add(canon.Encode(w), 0)
	s.walletIndex[w.ID] = len(s.walletList)
	s.walletKeys[keyOfWallet(w)] = struct{}{}
	s.useSeed(w, len(s.walletList))
	s.countClass(w)
	s.walletList = append(s.walletList, w)
	if s.held(len(s.walletList) - 1) {
		s.heldCount++
	}
	s.next = append(s.next, [2]uint32{})
	s.born, s.askedIn = append(s.born, born), append(s.askedIn, asked)
}

func (s *State) createAddresses(o *request.AddressCreateBody, b *entry.Effect) (func(), error) {
	if b.Addresses == nil || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Life != nil {
		return nil, errors.New("the effect must hold addresses and nothing else")
	}
	if err := s.on(needsDerive); err != nil {
		return nil, err
	}
	i, ok := s.walletIndex[o.Wallet]
	if !ok {
		return nil, fmt.Errorf("wallet %s does not exist", o.Wallet)
	}
	if err := severalAddresses(s.walletList[i]); err != nil {
		return nil, err
	}
	a := b.Addresses
	if a.Wallet != o.Wallet || a.Branch != 0 || a.Count != o.Count || a.From != s.next[i][0] || uint64(a.From)+uint64(a.Count) > 1<<31 {
		return nil, fmt.Errorf("the addresses are not the next %d of wallet %s", o.Count, o.Wallet)
	}
	return func() { s.next[i][0] += a.Count }, nil
}

// QuorumError says which approvals are missing.
type QuorumError struct {
	Rule  string
	Unmet []problem.Unmet
}

// Error names the rule.
func (e *QuorumError) Error() string { return fmt.Sprintf("approvals for %q are missing", e.Rule) }

// WaitError says that nothing is missing but time.
type WaitError struct {
	Rule    string
	Seconds int64 // that still have to pass, as far as they are known; 0: not known
}

func (e *WaitError) Error() string {
	if e.Seconds == 0 {
		return fmt.Sprintf("the delay of %q has not passed", e.Rule)
	}
	return fmt.Sprintf("the delay that %q asks for passes in %d seconds", e.Rule, e.Seconds)
}
