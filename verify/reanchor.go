// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/proof"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// Reanchor is a re-anchoring of the log that a proof shows: entries were lost, or what remembered the log's head was gone, and people of the recovery
// plan had the log go on. docs/spec/reanchor.md.
type Reanchor struct {
	Entry       uint64
	Time        time.Time
	Incarnation uint64 // that it began
	Before      uint64 // incarnation that it ended
	Reason      string
	Signers     []custody.PersonID
	Lost        Lost      // as it was found
	Gap         uint64    // entry with which it took effect; 0: it had not when the proof was made, or was cancelled
	GapTime     time.Time // of that entry
	GapLost     Lost      // with what re-anchorings before it, that had not taken effect, found lost
}

// Lost says which entries a log lost.
type Lost struct {
	From, To uint64 // of the entries [From, To) it is certain
	Whole    bool   // log witnesses had confirmed that nothing is lost
}

// incarnation gives the incarnation that the checkpoint must be of, and its log witnesses: those of the last re-anchoring in the file, or of genesis. That the entry is
// in the tree of the checkpoint, and that its body is the leaf's, is checked with all entries; what can't be read here is refused there.
func (c *checker) incarnation() (uint64, tlog.Witnesses, error) {
	for i := len(c.file.Entries) - 1; i > 0; i-- {
		if b := reanchorOf(c.file.Entries[i]); b != nil {
			set, err := authority.AnchorWitnesses(b.Anchor, b.Witnesses, b.Quorum)
			return b.Incarnation, set, err
		}
	}
	set, err := c.logWitnesses()
	return 1, set, err
}

// reanchorOf reads a reanchor entry; nil if it is another.
func reanchorOf(e proof.Entry) *entry.Reanchor {
	l, err := entry.DecodeLeaf(e.Leaf)
	if err != nil || l.Kind != entry.KindReanchor || len(e.Bodies) == 0 {
		return nil
	}
	var b entry.Reanchor
	if canon.Decode(e.Bodies[0].Body, &b) != nil {
		return nil
	}
	return &b
}

// reanchors checks every re-anchoring and gap in the file: each follows the one before, people of the recovery plan signed it, and it took effect after its
// time-lock.
func (c *checker) reanchors(logKey ed25519.PublicKey) error {
	before, err := c.logWitnesses()
	if err != nil {
		return err
	}
	open := -1 // first re-anchoring that has no gap yet
	for _, seq := range c.order {
		switch b := c.bodies[seq].(type) {
		case *entry.Reanchor:
			if err = c.reanchor(seq, b, before, logKey); err == nil {
				before, err = authority.AnchorWitnesses(b.Anchor, b.Witnesses, b.Quorum)
			}
			if open < 0 {
				open = len(c.report.Reanchors) - 1
			}
		case *entry.Gap:
			err = c.gap(seq, b, open)
			open = -1
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", seq, err)
		}
	}
	return nil
}

func (c *checker) reanchor(seq uint64, b *entry.Reanchor, before tlog.Witnesses, logKey ed25519.PublicKey) error {
	was, since := uint64(1), uint64(0)
	if n := len(c.report.Reanchors); n > 0 {
		was, since = c.report.Reanchors[n-1].Incarnation, c.report.Reanchors[n-1].Entry
	}
	l, rules := c.leaves[seq], c.inForce(seq)
	switch {
	case b.Before != was || b.Since != since:
		return fmt.Errorf("it follows a re-anchoring in entry %d, which is not in the file, or not the last one before it", b.Since)
	case b.Incarnation <= was || b.Size != seq || b.Last != l.Prev || custody.DomainID(b.Authority) != c.report.Domain || b.Domain != c.report.Domain:
		return errors.New("it re-anchors another log than the one it stands in")
	case b.Delay != rules.Document().ReanchorDelay():
		return errors.New("its time-lock is not that of the rules in force")
	}
	if err := authority.AuditReanchor(rules, [32]byte(logKey), before, b); err != nil {
		return err
	}
	x := Reanchor{Entry: seq, Time: time.Unix(0, l.Time).UTC(), Incarnation: b.Incarnation, Before: b.Before, Reason: b.Reason, Lost: Lost{From: seq, To: max(seq, knownSize(b)), Whole: b.Whole}}
	for _, s := range b.Signatures {
		x.Signers = append(x.Signers, s.Person)
	}
	c.report.Reanchors = append(c.report.Reanchors, x)
	return nil
}

// knownSize gives the size of the checkpoint that a document names, whose signature was verified.
func knownSize(b *entry.Reanchor) uint64 {
	for i := range len(b.Known) - 1 {
		if b.Known[i] == '\n' && b.Known[i+1] == '\n' {
			k, _, _ := tlog.ParseExtended(string(b.Known[:i+1])) // it was read before
			return k.Size
		}
	}
	return 0
}

func (c *checker) gap(seq uint64, b *entry.Gap, open int) error {
	list := c.report.Reanchors
	if open < 0 || list[len(list)-1].Entry != b.Reanchor {
		return fmt.Errorf("the re-anchoring in entry %d is not the last one before it in the file, or took effect already", b.Reanchor)
	}
	x := &list[len(list)-1]
	lost := list[open].Lost
	for _, r := range list[open:] {
		lost = Lost{From: min(lost.From, r.Lost.From), To: max(lost.To, r.Lost.To), Whole: lost.Whole && r.Lost.Whole}
	}
	if (Lost{From: b.From, To: b.To, Whole: b.Whole}) != lost {
		return errors.New("it names another gap than the re-anchorings before it found")
	}
	from, to := c.leaves[x.Entry], c.leaves[seq]
	if to.Time-to.Bound < from.Time+from.Bound+c.bodies[x.Entry].(*entry.Reanchor).Delay*1e9 {
		return errors.New("the time-lock may not have passed")
	}
	x.Gap, x.GapTime, x.GapLost = seq, time.Unix(0, to.Time).UTC(), lost
	return nil
}

// settled says whether an act on the request may stand at an entry: not between a re-anchoring and its gap, unless it takes power away only.
func (c *checker) settled(seq uint64) error {
	switch c.req.Operation {
	case request.ReanchorCancel, request.Zeroize, request.PersonRevoke, request.PointsSet, request.WarmClose:
		return nil
	}
	for _, r := range c.report.Reanchors {
		if r.Entry < seq && (r.Gap == 0 || r.Gap > seq) && !c.superseded(r, seq) {
			return fmt.Errorf("it stands between the re-anchoring in entry %d and its gap", r.Entry)
		}
	}
	return nil
}

// superseded says whether another re-anchoring that came after one has taken effect before an entry, for both.
func (c *checker) superseded(r Reanchor, seq uint64) bool {
	for _, x := range c.report.Reanchors {
		if x.Entry > r.Entry && x.Gap != 0 && x.Gap < seq {
			return true
		}
	}
	return false
}

// void ends a request that was open at a gap in which entries may be lost.
func (c *checker) void(seq uint64, b *entry.Gap) {
	if !b.Whole && seq > c.seq && c.end == "" && len(c.report.Attempts) == 0 && !c.report.Executed {
		c.end = authority.EndVoid.String()
	}
}

// reconciled checks that an effect frees the slots of the wallet that the request names.
func reconciled(o *request.SlotReconcileBody, b *entry.Effect) error {
	if b.Slots == nil || b.Slots.Wallet != o.Wallet || b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil {
		return errors.New("the effect is not the wallet whose slots the request frees")
	}
	return nil
}
