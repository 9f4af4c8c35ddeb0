// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
)

// again decides again at an act, under the document that its decision names, and checks that nothing of the request's earlier entries
// is left out of the file. fee is what the act may cost; with more, beyond what an earlier attempt may.
func (c *checker) again(seq uint64, d policy.Decision, trail []uint64, fee custody.Uint256, more bool) (*policy.Rules, error) {
	rules, err := c.rulesOf(d)
	if err != nil {
		return nil, err
	}
	found, err := c.agrees(rules, c.moment(seq), d, fee, more) // the address book may be another one
	if err != nil {
		return nil, err
	}
	switch {
	case !found:
		return nil, errors.New("the rules give another decision than it records")
	case d.Outcome != policy.Allowed:
		return nil, errors.New("the rules did not allow it")
	case len(c.report.Rejections) > 0 || c.report.Executed:
		return nil, errors.New("the request had ended before")
	case !slices.Equal(trail, c.own):
		return nil, fmt.Errorf("refusals, permits and results in entries %v came before it; the file has %v", trail, c.own)
	}
	return rules, c.inTime(seq)
}

// quorum checks that the approvals in the file are those that an act consumes, and meet the plan of acceptance and the one of the
// moment.
func (c *checker) quorum(seq uint64, rules *policy.Rules, d policy.Decision, used []uint64) error {
	if !slices.Equal(used, c.votes) {
		return fmt.Errorf("it consumes approvals in entries %v; the file has %v", used, c.votes)
	}
	accepted, err := c.rulesOf(c.request.Decision)
	if err != nil {
		return err
	}
	floor, now := accepted.Floor(), c.moment(seq)
	poll := policy.Poll{Floor: &floor}
	for _, at := range used {
		a, ok := c.bodies[at].(*entry.Approval)
		if !ok {
			return fmt.Errorf("approval %d is not in the file", at)
		}
		who, _, ok := rules.Key(a.Approval.Key)
		given := c.leaves[at].Time
		if ok && who.ID == a.Approval.Person && who.Active && !authority.Stale(rules.Floor().Strictest(floor), given, now) {
			poll.Votes = append(poll.Votes, policy.Vote{Person: a.Approval.Person, Decision: a.Approval.Decision, Key: a.Approval.Key, Seq: at, Age: now.Time + now.Bound - given})
		}
	}
	// A delay that came in after the request counts from then, which the file does not show: it has passed if that from the request on has not.
	poll.Least, poll.Most = authority.Elapsed(c.moment(c.seq), now)
	if !accepted.Delayed() {
		poll.Most = 0
	}
	err = authority.Settled(rules, c.req.Initiator, poll, c.request.Decision, d)
	var q *authority.QuorumError
	if errors.As(err, &q) {
		return fmt.Errorf("the approvals do not meet the plan of %q: %v", q.Rule, q.Unmet)
	}
	return err
}

func (c *checker) permit(seq uint64, p *entry.Permit) error {
	if c.wallet.ID == "" || c.wallet.ID != p.Wallet {
		return errors.New("the permit is for another wallet than the request's")
	}
	fee, attempts := p.Fee, c.report.Attempts
	if n := len(attempts); n > 0 {
		fee, _ = p.Fee.Sub(attempts[n-1].Fee) // that it is more is checked below
	}
	rules, err := c.again(seq, p.Decision, p.Trail, fee, len(attempts) > 0)
	if err != nil {
		return err
	}
	asked := authority.Asked{Request: c.req, Effects: c.request.Effects, Bounds: c.request.Bounds, Kind: c.request.Facts.Evidence, Simulation: c.request.Facts.Simulation}
	again, err := authority.CheckPayload(c.wallet, secp.HardenedBit, asked, p.Payload, authority.Derive)
	if err != nil {
		return err
	}
	if again.PayloadHash != p.PayloadHash || again.Fee != p.Fee || !same(again.Slot, p.Slot) || !same(again.Keys, p.Keys) || !same(again.Change, p.Change) {
		return errors.New("the permit names another slot, key, fee or change than its payload has")
	}
	if p.Attempt != uint32(len(attempts))+1 {
		return fmt.Errorf("attempt %d follows %d attempts in the file", p.Attempt, len(attempts))
	}
	if p.Attempt == 1 {
		c.first = p
		err = c.quorum(seq, rules, p.Decision, p.Approvals)
	} else {
		err = c.replacement(p, attempts[len(attempts)-1])
	}
	if err != nil {
		return err
	}
	if p.Fee.Cmp(authority.FeeCap(c.request.Bounds, c.request.Decision, c.first.Decision, p.Decision)) > 0 {
		return errors.New("the fee is above the cap")
	}
	c.report.Attempts = append(attempts, Attempt{Permit: seq, Fee: p.Fee})
	return nil
}

func (c *checker) replacement(p *entry.Permit, before Attempt) error {
	switch {
	case authority.SlotHash(p.Wallet, p.Slot) != authority.SlotHash(c.first.Wallet, c.first.Slot):
		return errors.New("the replacement uses another slot than the first attempt")
	case p.Fee.Cmp(before.Fee) <= 0:
		return errors.New("the replacement pays no higher fee than the attempt before it")
	case len(p.Approvals) != 0:
		return errors.New("the replacement consumes approvals")
	default:
		return nil
	}
}

func (c *checker) result(seq uint64, b *entry.Result) error {
	n := len(c.report.Attempts)
	if n == 0 || c.report.Attempts[n-1].Permit != b.Permit || c.report.Attempts[n-1].Result != 0 {
		return fmt.Errorf("its permit, entry %d, is not the latest one, or has a result", b.Permit)
	}
	p, ok := c.bodies[b.Permit].(*entry.Permit)
	if !ok {
		return fmt.Errorf("its permit, entry %d, is not in the file", b.Permit)
	}
	if err := authority.CheckResult(c.wallet, p, b, authority.Derive); err != nil {
		return err
	}
	c.report.Attempts[n-1].TxID, c.report.Attempts[n-1].Result = b.TxID, seq
	return nil
}

// effect checks that an operation other than a transfer was allowed, and that what it did is what was asked for.
func (c *checker) effect(seq uint64, b *entry.Effect) error {
	rules, err := c.again(seq, b.Decision, b.Trail, custody.Uint256{}, false)
	if err != nil {
		return err
	}
	if err := c.quorum(seq, rules, b.Decision, b.Approvals); err != nil {
		return err
	}
	if _, is := c.req.Decoded.(request.WarmBody); is != (b.Warm != nil) {
		return errors.New("the effect is on a wallet's temperature, and the request is not, or the other way round")
	}
	if _, is := c.req.Decoded.(*request.SlotReconcileBody); is != (b.Slots != nil) {
		return errors.New("the effect frees slots, and the request does not ask for that, or the other way round")
	}
	if _, is := c.req.Decoded.(request.OversightBody); is != (b.Oversight != nil) {
		return errors.New("the effect is on the operational state or a hold, and the request is not, or the other way round")
	}
	if _, is := c.req.Decoded.(*request.WalletMoveBody); is != (b.Move != nil) {
		return errors.New("the effect moves a wallet's key, and the request does not, or the other way round")
	}
	switch o := c.req.Decoded.(type) {
	case *request.TransferBody, *request.ContractCallBody, *request.MessageSignBody:
		err = errors.New("what is signed has permits, not an effect")
	case *request.SlotReconcileBody:
		err = reconciled(o, b)
	case *request.WalletCreateBody:
		err = c.walletMade(o, b)
	case *request.AddressCreateBody:
		a := b.Addresses
		if b.Wallet != nil || b.Key != nil || b.Document != nil || a == nil || a.Wallet != o.Wallet || a.Branch != 0 || a.Count != o.Count {
			return errors.New("the effect is not the addresses that were asked for")
		}
		err = rootOf(c.wallet, *a)
	case request.WarmBody:
		err = warmMade(o, b)
	case request.AppBody:
		err = appMade(o, b)
	case *request.WalletMoveBody:
		err = moveMade(o, b)
	case request.LifeBody:
		err = lifeMade(o, b)
	case request.OversightBody:
		err = oversightMade(o, b)
	case request.ListBody:
		if doc := rules.Document(); doc.Edits(c.req.Operation) {
			err = c.documentMade(rules, b)
		} else {
			err = c.listMade(b)
		}
	default:
		err = c.documentMade(rules, b)
	}
	c.report.Executed = err == nil
	return err
}

// rootOf checks the root over a run of addresses.
func rootOf(w entry.Wallet, a entry.AddressBatch) error {
	root, err := authority.BatchRoot(w, a, authority.Derive)
	if err == nil && root != a.Root {
		err = errors.New("the addresses are not the wallet's")
	}
	return err
}

func (c *checker) walletMade(o *request.WalletCreateBody, b *entry.Effect) error {
	w, a := b.Wallet, b.Addresses
	switch {
	case b.Document != nil || w == nil || a == nil:
		return errors.New("the effect is not a wallet with its first address")
	case w.ID != o.Wallet || w.Chain != o.Chain || w.Scheme != o.Scheme || w.Account != o.Account || (b.Key != nil) != (o.Seed == ""):
		return errors.New("the wallet is not the one that was asked for")
	case o.Seed != "" && w.Key != o.Seed, b.Key != nil && w.Key != b.Key.ID:
		return errors.New("the wallet has another seed than the one asked for, or made")
	case a.Wallet != w.ID || a.Branch != 0 || a.From != 0 || a.Count != 1:
		return errors.New("the wallet's first address must be number 0")
	}
	c.wallet = *w
	return rootOf(*w, *a)
}

// warmMade checks that an effect on a wallet's temperature is what the request asks for. Which sessions it closed follows from the state,
// which a proof does not show.
func warmMade(o request.WarmBody, b *entry.Effect) error {
	if b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return errors.New("the effect holds more than a wallet's temperature")
	}
	want := entry.Warm{Wallet: o.Of(), Closed: b.Warm.Closed}
	switch o := o.(type) {
	case *request.WalletTemperatureBody:
		want.To = o.To
	case *request.WarmOpenBody:
		want.Opened = &entry.WarmSession{Asset: o.Asset, Amount: o.Amount, NotAfter: o.NotAfter}
	}
	if !same(*b.Warm, want) {
		return errors.New("the effect is not the temperature or session that was asked for")
	}
	return nil
}

// appMade checks that an effect on applications is what the request asks for. Which grant it ended, what that had used, and which keys were revoked
// before follow from the state, which a proof does not show.
func appMade(o request.AppBody, b *entry.Effect) error {
	if b.App == nil || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil || b.Warm != nil {
		return errors.New("the effect is not one on grants and keys of applications alone")
	}
	want := entry.App{Ended: b.App.Ended, Used: b.App.Used}
	switch o := o.(type) {
	case *request.AppGrantBody:
		want.Grant = o.Grant
	case *request.AppRevokeBody:
		want.Grant = o.Grant
	case *request.AppKeyRevokeBody:
		want = entry.App{Keys: b.App.Keys}
		for _, k := range b.App.Keys {
			if !slices.Contains(o.Keys, k) {
				return errors.New("the effect revokes a key that the request does not name")
			}
		}
	}
	if !same(*b.App, want) {
		return errors.New("the effect is not the grant, or its end, that was asked for")
	}
	return nil
}

// moveMade checks that an effect moves the key that the request names to where it says. With which import key, follows from the state, which a proof
// does not show; of a key that comes back the core made it.
func moveMade(o *request.WalletMoveBody, b *entry.Effect) error {
	if b.Document != nil || b.Wallet != nil || b.Addresses != nil || b.Life != nil || b.Warm != nil {
		return errors.New("the effect holds more than a move")
	}
	m := b.Move
	if m.Wallet != o.Wallet || string(m.To[:]) != string(o.To) || m.Temperature != o.Temperature {
		return errors.New("the effect is not the move that was asked for")
	}
	goes := o.Temperature == request.Cold
	if goes != (len(m.Copy) == 32) || goes == (len(m.Public) > 0) || goes == (b.Key != nil) || b.Key != nil && b.Key.ID != m.Import {
		return errors.New("a key that goes has a sealed copy, one that comes back an import key")
	}
	return nil
}

// lifeMade checks that an effect on the life cycle is about the working key that the request names. What else it says follows from the
// state, which a proof does not show.
func lifeMade(o request.LifeBody, b *entry.Effect) error {
	if b.Life == nil || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil {
		return errors.New("the effect is not one on the domain's life cycle")
	}
	epoch, pattern := b.Life.Epoch, []byte(nil)
	switch o := o.(type) {
	case *request.EpochLoadBody:
		epoch = o.Epoch
	case *request.EpochCommitBody:
		epoch, pattern = o.Epoch, o.Pattern
	case *request.EpochActivateBody:
		epoch, pattern = o.Epoch, o.Pattern
	case *request.EpochFinalizeBody:
		epoch, pattern = o.Epoch, o.Pattern
	case *request.EpochCancelBody:
		epoch, pattern = o.Epoch, o.Pattern
	case *request.RestoreBody:
		epoch, pattern = o.Epoch, o.Pattern
	case *request.ReanchorCancelBody: // about the re-anchoring, which the file shows
	}
	if added, removed := offlineMade(o); !bytes.Equal(added, b.Life.Added) || !bytes.Equal(removed, b.Life.Removed) {
		return errors.New("the effect is about another offline domain than the request")
	}
	if b.Life.Epoch != epoch || pattern != nil && !bytes.Equal(pattern, b.Life.Pattern) {
		return errors.New("the effect is about another working key than the request")
	}
	return nil
}

// documentMade makes the change of the rule document again.
func (c *checker) documentMade(rules *policy.Rules, b *entry.Effect) error {
	if b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return errors.New("the effect holds more than a document")
	}
	if err := authority.CheckPossession(custody.AuthorityID(c.report.Domain), c.req); err != nil {
		return err
	}
	doc, err := policy.Apply(c.report.Profile, rules.Document(), c.req.Operation, c.req.Decoded)
	if err != nil {
		return err
	}
	if string(doc.Encode()) != string(b.Document) {
		return errors.New("the recorded document is not what the request makes of the one before")
	}
	return nil
}

// offlineMade gives the offline domain that a request adds or removes.
func offlineMade(o request.LifeBody) (added, removed []byte) {
	switch o := o.(type) {
	case *request.OfflineAddBody:
		id := o.ID()
		return id[:], nil
	case *request.OfflineRemoveBody:
		return nil, o.Domain
	default:
		return nil, nil
	}
}
