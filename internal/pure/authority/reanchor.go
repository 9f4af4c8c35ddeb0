// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// Limits of re-anchoring.
const (
	MaxReanchors      = 100               // of a domain
	MaxReanchorAge    = 30 * 24 * 3600    // seconds that a re-anchor document is good for at most
	maxKnown          = tlog.MaxSigned    // bytes of the checkpoint in a document
	maxReanchorSigned = policy.MaxMembers // signatures of a document
	maxIncarnation    = uint64(1)<<62 - 1 // far beyond what counting reaches

)

// Anchoring is what re-anchoring has made of a domain. A domain that was never re-anchored has none in its image. Who gets one must not change
// what it points to.
type Anchoring struct {
	Incarnation uint64             `cbor:"1,keyasint"`
	Since       uint64             `cbor:"2,keyasint"` // entry that began it
	Leaf        [32]byte           `cbor:"3,keyasint"` // its leaf hash
	Witnesses   []entry.LogWitness `cbor:"4,keyasint,omitempty"`
	Quorum      uint64             `cbor:"5,keyasint,omitempty"`
	Pending     *Reanchoring       `cbor:"6,keyasint,omitempty"`  // whose gap entry is not there yet
	GapAt       int64              `cbor:"7,keyasint,omitempty"`  // latest time of the last gap in which entries may be lost, Unix nanoseconds: every limit counts as used up then
	Held        uint64             `cbor:"8,keyasint,omitempty"`  // so many keys, by birth, were there at that gap: slots of their wallets are held
	Freed       []uint32           `cbor:"9,keyasint,omitempty"`  // wallets of such keys that are reconciled, by number
	Entries     []uint64           `cbor:"10,keyasint"`           // reanchor and gap entries, which every later proof carries
	Fresh       int64              `cbor:"11,keyasint,omitempty"` // Unix seconds: no request that was made before the last gap lives longer; what ends by then is refused
}

// Reanchoring is a re-anchoring whose time-lock runs, or that was cancelled.
type Reanchoring struct {
	Entry     uint64 `cbor:"1,keyasint"`
	Until     int64  `cbor:"2,keyasint"`           // Unix nanoseconds; the gap entry's time less its bound is not before
	From      uint64 `cbor:"3,keyasint"`           // entries from here
	To        uint64 `cbor:"4,keyasint"`           // to here, not included, are lost for certain
	Whole     bool   `cbor:"5,keyasint,omitempty"` // log witnesses have confirmed that nothing is lost
	Fresh     int64  `cbor:"7,keyasint,omitempty"` // becomes [Anchoring.Fresh]; 0 in the evaluation profile
	Cancelled bool   `cbor:"6,keyasint,omitempty"`
}

// Anchoring gives what re-anchoring has made of the domain; Incarnation is 1 where it never happened.
func (s *State) Anchoring() Anchoring {
	if s.anchoring == nil {
		return Anchoring{Incarnation: 1}
	}
	return *s.anchoring
}

// renewAnchoring gives a copy to change: what the old one points to may have been given out.
func (s *State) renewAnchoring() *Anchoring {
	a := s.Anchoring()
	a.Freed, a.Entries = slices.Clone(a.Freed), slices.Clone(a.Entries)
	if a.Pending != nil {
		p := *a.Pending
		a.Pending = &p
	}
	return &a
}

// settled says whether the domain is not between a re-anchoring and its gap entry. What only takes power away is done all the same: docs/spec/reanchor.md.
func (s *State) settled(o request.Operation) error {
	if s.anchoring == nil || s.anchoring.Pending == nil {
		return nil
	}
	switch o {
	case request.ReanchorCancel, request.Zeroize, request.PersonRevoke, request.PointsSet, request.WarmClose, request.Freeze, request.RequestHold:
		return nil
	}
	p := s.anchoring.Pending
	if p.Cancelled {
		return problem.New(problem.Reanchoring, "the log was re-anchored in entry %d, and that was cancelled: put the log back that it was to replace, or re-anchor again; see 'strongroom domain re-anchor status'", p.Entry)
	}
	return problem.New(problem.Reanchoring, "the log was re-anchored in entry %d; until its time-lock has passed the domain takes only what takes power away; see 'strongroom domain re-anchor status'", p.Entry)
}

// checkReanchor says whether a document can be the next entry of this state, but for signatures and the root of the tree. It gives the largest checkpoint
// that the document names; of size 0 if none.
func (s *State) checkReanchor(b *entry.Reanchor, at Moment) (known tlog.Checkpoint, err error) {
	now := s.Anchoring()
	switch {
	case b.V != 1 || len(b.Nonce) != 16:
		return known, errors.New("want version 1 and a nonce of 16 bytes")
	case b.Authority != s.Authority || b.Domain != s.Domain:
		return known, errors.New("it is of another domain")
	case b.Before != now.Incarnation || b.Since != now.Since:
		return known, fmt.Errorf("it is for incarnation %d of the log, which began with entry %d; this is %d, from entry %d", b.Before, b.Since, now.Incarnation, now.Since)
	case b.Incarnation <= b.Before || b.Incarnation > maxIncarnation:
		return known, fmt.Errorf("incarnation %d can't follow incarnation %d", b.Incarnation, b.Before)
	case b.Size != s.Next || b.Last != s.Last:
		return known, fmt.Errorf("it is for a log of %d entries whose last has the hash %x; this has %d, and %x", b.Size, b.Last[:8], s.Next, s.Last[:8])
	case b.Delay != s.Doc.ReanchorDelay():
		return known, fmt.Errorf("its time-lock is %d seconds; the rule document says %d", b.Delay, s.Doc.ReanchorDelay())
	case Expired(b.NotAfter, at.Time, at.Bound):
		return known, errors.New("it may be past its notAfter; prepare it again")
	case b.NotAfter > at.Time/1e9+MaxReanchorAge:
		return known, fmt.Errorf("its notAfter is more than %d seconds ahead", MaxReanchorAge)
	case len(now.Entries) >= 2*MaxReanchors:
		return known, fmt.Errorf("the domain was re-anchored %d times already", MaxReanchors)
	}
	if err := entry.CheckReason(b.Reason); err != nil {
		return known, err
	}
	set, err := AnchorWitnesses(b.Anchor, b.Witnesses, b.Quorum)
	if err != nil {
		return known, err
	}
	if s.Profile == custody.Production && (b.Anchor != anchorOfProduction || set.Len() < witnessesOfProduction) {
		return known, fmt.Errorf("a production domain has the anchor %s and %d log witnesses at least", anchorOfProduction, witnessesOfProduction)
	}
	return s.checkKnown(b, now)
}

// checkKnown reads the checkpoint that a document names.
func (s *State) checkKnown(b *entry.Reanchor, now Anchoring) (known tlog.Checkpoint, err error) {
	if len(b.Known) == 0 {
		if b.Whole {
			return known, errors.New("it says that nothing is lost, and shows no checkpoint")
		}
		return known, nil
	}
	if len(b.Known) > maxKnown {
		return known, fmt.Errorf("its checkpoint has %d bytes, more than %d", len(b.Known), maxKnown)
	}
	text, _, _ := bytes.Cut(b.Known, []byte("\n\n"))
	if known, _, err = tlog.ParseExtended(string(text) + "\n"); err != nil {
		return known, fmt.Errorf("its checkpoint: %w", err)
	}
	d, incarnation, err := entry.ParseOrigin(known.Origin)
	switch {
	case err != nil:
		return known, fmt.Errorf("its checkpoint: %w", err)
	case d != s.Domain || incarnation >= b.Incarnation:
		return known, fmt.Errorf("its checkpoint is of %s, which incarnation %d can't follow", known.Origin, b.Incarnation)
	case b.Whole && (incarnation != now.Incarnation || known.Size != b.Size || known.Root != b.Root):
		return known, errors.New("it says that nothing is lost, and shows a checkpoint of another log than the one that is there")
	}
	return known, nil
}

// signers says whether the people who signed a document meet the recovery plan: each an active person with an active key that is no passkey, by rising
// person. The signatures themselves are checked by [AuditReanchor].
func signers(rules *policy.Rules, b *entry.Reanchor) error {
	if len(b.Signatures) > maxReanchorSigned {
		return fmt.Errorf("%d signatures, more than %d", len(b.Signatures), maxReanchorSigned)
	}
	var votes []policy.Vote
	for i, x := range b.Signatures {
		who, key, ok := rules.Key(x.Key)
		switch {
		case i > 0 && b.Signatures[i-1].Person >= x.Person:
			return errors.New("signatures must be by rising person, one each")
		case !ok || who.ID != x.Person || !who.Active:
			return fmt.Errorf("key %s is not an active key of %s", x.Key, x.Person)
		case key.Passkey():
			return fmt.Errorf("%s signed with a passkey; a re-anchoring is signed with key files", x.Person)
		}
		votes = append(votes, policy.Vote{Person: x.Person, Decision: request.Approve})
	}
	if ok, unmet := rules.Document().Plans().Recovery.Met(rules, "", votes); !ok {
		return &QuorumError{Rule: policy.RuleRecoveryPlan, Unmet: unmet}
	}
	return nil
}

// CheckReanchor says whether a document, signed or not, can be the next entry at a moment. The root of the tree is for the caller to compare.
func (s *State) CheckReanchor(b *entry.Reanchor, at Moment) error {
	_, err := s.checkReanchor(b, at)
	return err
}

// AuditReanchor checks what is signed in a document: that the people of the recovery plan signed it, under the rules in force at its head, that the
// log's own key signed the checkpoint which it names, and, where it says that nothing is lost, that a quorum of the log witnesses so far cosigned that.
func AuditReanchor(rules *policy.Rules, logKey [32]byte, before tlog.Witnesses, b *entry.Reanchor) error {
	if err := signers(rules, b); err != nil {
		return err
	}
	message := b.Message()
	for _, x := range b.Signatures {
		if _, key, _ := rules.Key(x.Key); !key.Verify(message, x.Sig) {
			return fmt.Errorf("the signature of %s does not verify", x.Person)
		}
	}
	if len(b.Known) == 0 {
		return nil
	}
	c, text, err := openKnown(b.Known, logKey)
	if err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	if !b.Whole {
		return nil
	}
	_, lines, _ := bytes.Cut(b.Known, []byte("\n\n"))
	n := 0
	for _, w := range before.All() {
		if _, _, err := tlog.FindCosignature(lines, text, w.Key); err == nil {
			n++
		}
	}
	if before.Len() == 0 || n < before.Quorum() {
		return fmt.Errorf("it says that nothing is lost, and %d of the log witnesses so far confirm %d entries", n, c.Size)
	}
	return nil
}

// openKnown verifies the log key's signature over a checkpoint of any incarnation, with extension lines or not.
func openKnown(signed []byte, logKey [32]byte) (tlog.Checkpoint, string, error) {
	origin, _, _ := bytes.Cut(signed, []byte("\n"))
	key, err := tlog.NewKey(string(origin), logKey[:])
	if err != nil {
		return tlog.Checkpoint{}, "", err
	}
	return tlog.OpenExtended(signed, key)
}

// applyReanchor takes a reanchor entry: the log goes on in a new incarnation, under a new writer, and the time-lock runs.
func (s *State) applyReanchor(l entry.Leaf, hash [32]byte, b *entry.Reanchor) (func(), error) {
	if l.Writer <= s.Writer {
		return nil, fmt.Errorf("it is written under epoch %d; a re-anchoring takes a new one, after %d", l.Writer, s.Writer)
	}
	known, err := s.checkReanchor(b, Moment{l.Time, l.Bound})
	if err != nil {
		return nil, err
	}
	if err := signers(s.Rules, b); err != nil {
		return nil, err
	}
	p := &Reanchoring{Entry: l.Seq, Until: l.Time + l.Bound + b.Delay*1e9, From: b.Size, To: max(b.Size, known.Size), Whole: b.Whole}
	if s.Profile == custody.Production {
		p.Fresh = (l.Time+l.Bound)/1e9 + 1 + s.Doc.Floor.RequestTTL
	}
	a := s.renewAnchoring()
	if q := a.Pending; q != nil { // what that one found lost still is
		p.From, p.To, p.Whole = min(p.From, q.From), max(p.To, q.To), p.Whole && q.Whole
	}
	a.Incarnation, a.Since, a.Leaf, a.Witnesses, a.Quorum, a.Pending = b.Incarnation, l.Seq, hash, b.Witnesses, b.Quorum, p
	a.Entries = append(a.Entries, l.Seq)
	return func() { s.anchoring, s.Anchor, s.Writer = a, b.Anchor, l.Writer }, nil
}

// cancelReanchor is what domain_reanchor_cancel does.
func (s *State) cancelReanchor(o *request.ReanchorCancelBody) (c lifeChange, err error) {
	if s.anchoring == nil || s.anchoring.Pending == nil || s.anchoring.Pending.Entry != o.Reanchor {
		return c, problem.New(problem.Conflict, "no re-anchoring of entry %d is under way", o.Reanchor)
	}
	if s.anchoring.Pending.Cancelled {
		return c, problem.New(problem.Conflict, "the re-anchoring of entry %d was cancelled already", o.Reanchor)
	}
	c.effect = s.ofCurrent()
	c.commit = func(*entry.Life) {
		a := s.renewAnchoring()
		a.Pending.Cancelled = true
		s.anchoring = a
	}
	return c, nil
}

// DueGap gives the gap entry that is due at a moment, or nil.
func (s *State) DueGap(at Moment) *entry.Gap {
	if s.anchoring == nil || s.anchoring.Pending == nil || s.anchoring.Pending.Cancelled || at.Time-at.Bound < s.anchoring.Pending.Until {
		return nil
	}
	p := s.anchoring.Pending
	return &entry.Gap{Reanchor: p.Entry, From: p.From, To: p.To, Whole: p.Whole}
}

// applyGap takes a gap entry: the domain works again, and unless nothing is lost, whatever was open has ended and every slot is held.
func (s *State) applyGap(l entry.Leaf, b *entry.Gap) (func(), error) {
	due := s.DueGap(Moment{l.Time, l.Bound})
	if due == nil {
		return nil, errors.New("no re-anchoring is under way, it was cancelled, or its time-lock may not have passed")
	}
	if *due != *b {
		return nil, errors.New("it is not the gap of the re-anchoring that is under way")
	}
	a := s.renewAnchoring()
	a.Pending, a.Entries = nil, append(a.Entries, l.Seq)
	if b.Whole {
		return func() { s.anchoring = a }, nil
	}
	fresh := s.anchoring.Pending.Fresh
	a.GapAt, a.Held, a.Freed, a.Fresh = l.Time+l.Bound, uint64(len(s.keys)), nil, max(a.Fresh, fresh)
	return func() {
		s.anchoring = a
		s.countHeld()
		for _, p := range s.PendingList() {
			s.end(p, l, EndVoid)
		}
		clear(s.sessions)
		for n := range s.warm {
			s.setSessions(n, nil)
		}
		s.useUp(l)
		s.freezeAfterGap(l)
		s.screenAfterGap(l)
	}, nil
}

// witnessesSoFar gives the log witnesses that the domain has now; the empty set where its anchor has none. Those of the first incarnation stand in genesis.
func (s *State) witnessesSoFar(history History) (tlog.Witnesses, error) {
	if s.anchoring != nil {
		return AnchorWitnesses(s.Anchor, s.anchoring.Witnesses, s.anchoring.Quorum)
	}
	body, err := history(0)
	if err != nil {
		return tlog.Witnesses{}, err
	}
	g, ok := body.(*entry.Genesis)
	if !ok {
		return tlog.Witnesses{}, errors.New("entry 0 is no genesis")
	}
	return s.Witnesses(g)
}

// Witnesses gives the log witnesses that the domain has now, g being its genesis; the empty set where its anchor has none.
func (s *State) Witnesses(g *entry.Genesis) (tlog.Witnesses, error) {
	if s.anchoring != nil {
		return AnchorWitnesses(s.Anchor, s.anchoring.Witnesses, s.anchoring.Quorum)
	}
	return LogWitnesses(g)
}

// Origin is the origin of the checkpoints of the domain's log, in its present incarnation.
func (s *State) Origin() string { return entry.Origin(s.Domain, s.Anchoring().Incarnation) }

// restoreAnchoring takes what re-anchoring has made from an image. Keys and wallets are there already.
func (s *State) restoreAnchoring(m Image) error {
	a := m.Anchoring
	if a == nil {
		return nil
	}
	if a.Incarnation < 2 || a.Since >= s.Next || a.Held > uint64(len(s.keys)) || len(a.Entries) == 0 {
		return errors.New("what re-anchoring made can't be so")
	}
	for i, n := range a.Freed {
		if int(n) >= len(s.walletList) || i > 0 && a.Freed[i-1] >= n {
			return errors.New("reconciled wallets are out of order, or don't exist")
		}
	}
	s.anchoring = a
	s.countHeld()
	return nil
}

func (s *State) auditReanchor(b *entry.Reanchor, history History) error {
	before, err := s.witnessesSoFar(history)
	if err != nil {
		return err
	}
	return AuditReanchor(s.Rules, s.LogKey, before, b)
}
