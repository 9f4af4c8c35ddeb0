// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/keyring"
	"strongroom/internal/core/signer"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/secp"
)

// Review is what operators are shown before they confirm, decoded and decided by this domain itself.
type Review struct {
	Domain     custody.DomainID
	Name       string
	Authority  custody.AuthorityID
	Number     uint64 // of the bundle
	Checkpoint int64  // its time, Unix seconds
	Now        authority.Moment
	Items      []Item
}

// Item is a permit that can be signed.
type Item struct {
	Entry     uint64 // in the authority's log
	Request   custody.RequestID
	Attempt   uint32
	Wallet    entry.Wallet
	Effects   request.Effects // asset, outputs, total
	Fee       custody.Uint256 // most that the payload can cost, base units of the chain's coin
	Slot      entry.Slot
	Payload   [32]byte
	Initiator custody.PersonID
	Approvers []custody.PersonID // who count now

	permit *entry.Permit
	leaf   [32]byte
}

// permits signs what the authority's log permits for the wallets that are here, once the operators have confirmed.
func (w *work) permits(ctx context.Context, by Operators) error {
	items, err := w.signable(ctx)
	if err != nil || len(items) == 0 {
		return err
	}
	at, err := w.now(w.checkpoint * 1e9)
	if err != nil {
		return err
	}
	keep, err := by.Review(ctx, Review{Domain: w.ID(), Name: w.state.Name, Authority: w.state.Authority, Number: w.bundle.Number, Checkpoint: w.checkpoint,
		Now: at, Items: items})
	if errors.Is(err, ErrUnattended) {
		w.report.Waiting = len(items)
		return nil
	}
	if err != nil {
		return fmt.Errorf("review: %w", err)
	}
	var chosen []Item
	for _, it := range items {
		if slices.Contains(keep, it.Entry) {
			chosen = append(chosen, it)
		} else if err := w.refuse(ctx, it.Entry, problem.New(problem.Forbidden, "the operators of the offline domain did not confirm this")); err != nil {
			return err
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	if err := w.confirmed(ctx, by, chosen); err != nil {
		return err
	}
	return w.settlePermits(ctx)
}

// confirmed has the operators sign, and records the permits that they signed for.
func (w *work) confirmed(ctx context.Context, by Operators, items []Item) error {
	if err := w.fresh(); err != nil {
		return fmt.Errorf("before the confirmation: %w", err)
	}
	at, err := w.now(w.checkpoint * 1e9)
	if err != nil {
		return err
	}
	c := pure.Confirmation{V: 1, Authority: w.state.Authority, Domain: w.ID(), Bundle: w.hash, Time: at.Time}
	for _, it := range items {
		c.Permits = append(c.Permits, pure.Confirmed{Entry: it.Entry, Payload: it.Payload})
	}
	sigs, err := by.Confirm(ctx, c)
	if err != nil {
		return fmt.Errorf("confirmation: %w", err)
	}
	if err := pure.CheckSignatures(w.follow.state.Rules, c, sigs); err != nil {
		return problem.New(problem.Unauthenticated, "confirmation: %v", err)
	}
	if err := w.fresh(); err != nil {
		return fmt.Errorf("after the confirmation: %w", err)
	}
	if at, err = w.now(w.checkpoint * 1e9); err != nil {
		return err
	}
	statement := c.Encode()
	var last auditlog.Handle
	for _, it := range items {
		p := it.permit
		if last, err = w.hand(ctx, at, &pure.Permit{Entry: it.Entry, Leaf: it.leaf, Payload: it.Payload, Signatures: sigs, Statement: statement,
			Request: p.Request, Attempt: p.Attempt, Wallet: p.Wallet, Slot: p.Slot}); err != nil {
			return err
		}
	}
	return w.wait(ctx, last)
}

// An answer is one entry of the online domain's log, which has at most [entry.MaxBody] bytes. These are the most that its part for a permit or a
// refusal takes, generously, in bytes; what is left above mostAnswer is for moves.
const (
	mostAnswer   = entry.MaxBody / 4 * 3
	permitBytes  = 2048 // leaves of permit and result, and the result without signatures
	keyBytes     = 160  // signature of one input
	refusalBytes = 1024 + pure.MaxDetail
)

// room gives how many bytes an answer can still take: entries that the online domain has not taken yet come with it each time.
func (w *work) room(ctx context.Context) (int, error) {
	left := w.most
	for from := w.bundle.Known; from < w.state.Next && left > 0; from += chunk {
		recs, err := w.records(ctx, from, min(from+chunk, w.state.Next))
		if err != nil {
			return 0, err
		}
		for _, r := range recs {
			l, err := entry.DecodeLeaf(r.Leaf)
			if err != nil {
				return 0, err
			}
			left -= len(r.Leaf) + 32
			if !authority.OfflineUnread(l.Kind) {
				left -= len(r.Body)
			}
		}
	}
	return left, nil
}

// signable lists the permits that wait for this domain, are of a wallet that is here, and may be signed now. Others of these wallets are
// refused. What would make the answer too large for the online domain waits for the next bundle.
func (w *work) signable(ctx context.Context) ([]Item, error) {
	var items []Item
	left, err := w.room(ctx)
	if err != nil {
		return nil, err
	}
	for _, g := range w.follow.state.ExportedTo(w.ID()) {
		if _, done := w.state.Permitted(g.Permit); done {
			continue
		}
		leaf, body, err := w.follow.entry(ctx, g.Permit)
		if err != nil {
			return nil, err
		}
		p, ok := body.(*entry.Permit)
		if !ok || leaf != g.PermitLeaf {
			return nil, fmt.Errorf("%w: entry %d", ErrFollow, g.Permit)
		}
		if _, here := w.state.Holds(p.Wallet); !here {
			continue
		}
		if left -= max(permitBytes+keyBytes*len(p.Keys), refusalBytes); left < 0 {
			w.cfg.Logger.WarnContext(ctx, "the result would be too large for the online domain with more permits: import it, then export again")
			break
		}
		it, err := w.judge(ctx, g, p)
		if err == nil {
			err = w.seedIsHere(ctx, p.Wallet)
		}
		if err != nil {
			if err := w.refuse(ctx, g.Permit, err); err != nil {
				return nil, err
			}
			continue
		}
		items = append(items, it)
		if len(items) == pure.MaxPermits {
			break // the others with the next bundle
		}
	}
	return items, nil
}

// judge decides once more about a permit, as the authority's rules, people and switches are at the end of what was imported. The audit has
// found that it was right in its time; what has changed since counts against it here.
func (w *work) judge(ctx context.Context, g *authority.Signed, p *entry.Permit) (Item, error) {
	s := w.follow.state
	wallet, next, ok := s.Wallet(p.Wallet)
	if !ok {
		return Item{}, problem.New(problem.NotFound, "wallet %q is not known", p.Wallet)
	}
	_, body, err := w.follow.entry(ctx, g.Seq)
	if err != nil {
		return Item{}, err
	}
	e, ok := body.(*entry.Request)
	if !ok {
		return Item{}, fmt.Errorf("%w: entry %d", ErrFollow, g.Seq)
	}
	asked, err := authority.AskedOf(e)
	if err != nil {
		return Item{}, err
	}
	switch life := s.Life(); {
	case life.Phase != authority.Operational:
		return Item{}, problem.New(problem.Zeroized, "the online domain is zeroized")
	case !life.Allowed.Has(authority.SchemePoint(wallet.Scheme)):
		return Item{}, problem.New(problem.Forbidden, "switched off in this authority: %s", authority.SchemePoint(wallet.Scheme))
	case e.Evidence.Key == "":
		return Item{}, problem.New(problem.Unauthenticated, "it was asked for in a session, for which only the online core vouches; ask with a signature")
	}
	if err := authority.CheckSignedEvidence(s.Rules, asked.Request, e.Evidence); err != nil {
		return Item{}, err
	}
	again, err := authority.CheckPayload(wallet, next[1]+authority.ChangeGap, asked, p.Payload, authority.Derive)
	if err != nil {
		return Item{}, err
	}
	if again.PayloadHash != p.PayloadHash || authority.SlotHash(p.Wallet, again.Slot) != authority.SlotHash(p.Wallet, p.Slot) || again.Fee != p.Fee {
		return Item{}, problem.New(problem.OutsideBounds, "the payload is not what the permit says")
	}
	if err := w.state.CheckSlot(p.Request, p.Attempt, p.Slot); err != nil {
		return Item{}, problem.New(problem.Conflict, "%v", err)
	}
	it := Item{Entry: g.Permit, Request: p.Request, Attempt: p.Attempt, Wallet: wallet, Effects: asked.Effects, Fee: p.Fee, Slot: p.Slot, Payload: p.PayloadHash,
		Initiator: asked.Request.Initiator, permit: p, leaf: g.PermitLeaf}
	it.Approvers, err = w.allowed(ctx, g, wallet, next[0], asked, p)
	return it, err
}

// allowed evaluates the rules as they are now, with the approvals whose people and keys still count.
func (w *work) allowed(ctx context.Context, g *authority.Signed, wallet entry.Wallet, receiving uint32, asked authority.Asked, p *entry.Permit) ([]custody.PersonID, error) {
	rules := w.follow.state.Rules
	at, err := w.now(w.checkpoint * 1e9)
	if err != nil {
		return nil, err
	}
	view := authority.View{At: at, Temperature: request.Cold, Mode: w.mode(), Simulation: asked.Simulation, Verdicts: authority.VerdictsOf(p.Decision.Screening), Prices: authority.PricesOf(p.Decision.Prices), // what sources said since is not here
		Destination: w.follow.state.View(authority.Moment{Time: w.follow.state.Time}).Destination}
	f, _, bounds, err := authority.Describe(rules, view, wallet, receiving, asked.Request, asked.Kind, authority.Derive)
	if err != nil {
		return nil, err
	}
	decision := authority.Judge(rules.Case(f), nil)
	if err := authority.Refused(decision); err != nil {
		return nil, err
	}
	if most := authority.FeeCap(bounds, decision); p.Fee.Cmp(most) > 0 {
		return nil, problem.New(problem.OutsideBounds, "the payload may cost %s in fee; the cap is %s", p.Fee, most)
	}
	var votes []policy.Vote
	var people []custody.PersonID
	for _, seq := range g.Approvals {
		_, body, err := w.follow.entry(ctx, seq)
		if err != nil {
			return nil, err
		}
		a, ok := body.(*entry.Approval)
		if !ok {
			return nil, fmt.Errorf("%w: entry %d", ErrFollow, seq)
		}
		if who, _, ok := rules.Key(a.Approval.Key); ok && who.Active && who.ID == a.Approval.Person {
			votes = append(votes, policy.Vote{Person: who.ID, Decision: a.Approval.Decision, Key: a.Approval.Key, Seq: seq})
			people = append(people, who.ID)
		}
	}
	if met, unmet := decision.Met(rules, asked.Request.Initiator, votes); !met {
		return nil, &problem.Error{Kind: problem.QuorumNotMet, Detail: "the approvals that still count do not meet the rules as they are now", Rule: decision.Rule, Unmet: unmet}
	}
	return people, nil
}

// settlePermits signs the permits that are recorded and have no result: the only thing that can become of them.
func (w *work) settlePermits(ctx context.Context) error {
	return w.settle(ctx, w.follow, func(pure.Permitted) bool { return true })
}

// settle signs those of them that are wanted, as the log that f follows has them.
func (w *work) settle(ctx context.Context, f *follower, want func(pure.Permitted) bool) error {
	for _, r := range w.state.Permits() {
		if r.Result != nil || !want(r) {
			continue
		}
		leaf, body, err := f.entry(ctx, r.Entry)
		if err != nil {
			return err
		}
		p, ok := body.(*entry.Permit)
		if !ok || leaf != r.Leaf || canon.HashBytes(canon.TagPayload, p.Payload) != r.Payload || p.PayloadHash != r.Payload {
			return fmt.Errorf("%w: entry %d", ErrFollow, r.Entry)
		}
		wallet, _, ok := f.state.Wallet(p.Wallet)
		if !ok {
			return fmt.Errorf("sign permit %d: its wallet is not known", r.Entry)
		}
		out, err := w.sign(ctx, r, wallet, p)
		if err != nil {
			return fmt.Errorf("sign permit %d: %w", r.Entry, err)
		}
		if err := w.record(ctx, w.guess(), out); err != nil {
			return err
		}
		w.report.Signed = append(w.report.Signed, Signed{Entry: r.Entry, Request: r.Request[:], TxID: out.TxID})
	}
	return nil
}

// sign makes the signatures of a permit that is durable, and verifies them as everybody else can.
func (w *work) sign(ctx context.Context, r pure.Permitted, wallet entry.Wallet, p *entry.Permit) (*pure.Result, error) {
	key := func(wallet entry.Wallet, k entry.KeyPath, pub authority.Derived, f func([]byte) error) error {
		path, err := authority.AccountPath(wallet)
		if err != nil {
			return err
		}
		if len(wallet.Public) != secp.CompressedSize {
			return fmt.Errorf("wallet %s: its account key has %d bytes", wallet.ID, len(wallet.Public))
		}
		a := keyring.Address{Wallet: wallet.ID, Path: k, Account: path, Public: [secp.CompressedSize]byte(wallet.Public), Branch: pub.Branch}
		return w.keys.Use(ctx, time.Unix(0, w.cfg.Clock.Boot()), a, func() (keyring.Seed, error) {
			seed, err := w.seedOf(ctx, wallet.ID)
			return keyring.Seed{Key: seed}, err // used once: nothing of it is kept
		}, f)
	}
	sigs, err := signer.Signer{Curve: w.curve, Derive: authority.Derive, Key: key}.Permit(wallet, p, w.ids.Aux(r.Hash))
	if err != nil {
		return nil, err
	}
	raw, txid, err := authority.Assemble(wallet, p, sigs, authority.Derive)
	if err != nil {
		return nil, err
	}
	out := &pure.Result{Entry: r.Entry, Signatures: sigs, TxID: txid, Signed: sha256.Sum256(raw), Leaf: r.Leaf[:]}
	return out, authority.CheckResult(wallet, p, &entry.Result{Request: p.Request, Permit: r.Entry, Signatures: sigs, TxID: txid, Signed: out.Signed}, authority.Derive)
}
