// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// OfflineAct is something that an offline domain did, as an entry of its log says: one of those that a result is read for.
type OfflineAct struct {
	Import   *offline.Import
	Result   *offline.Result
	MovedIn  *offline.MovedIn
	MovedOut *offline.MovedOut
	Refusal  *offline.Refusal
	Zeroized *offline.Zeroized
	Restored *offline.Restored
	Permit   *offline.Permit // absent where its body was left out
	CaughtUp *offline.CaughtUp
	Lost     bool // is about entries that the offline domain has imported and this log has lost: a later import says so
}

// ReadOffline follows the log of an offline domain from what is known of it and gives what it did. It checks chain, bodies and ids, not the
// checkpoint ([CheckOffline]) nor whether the acts fit.
func (s *State) ReadOffline(id custody.DomainID, records []entry.OfflineRecord) ([]OfflineAct, offline.Tail, error) {
	var t offline.Tail
	d, ok := s.OfflineDomain(id)
	if !ok {
		return nil, t, fmt.Errorf("domain %s is no offline domain of this authority", id)
	}
	var err error
	if t.Frontier, err = tlog.UnmarshalFrontier(d.Frontier); err != nil {
		return nil, t, err
	}
	t.Last = d.Last
	if len(records) == 0 {
		return nil, t, errors.New("no entry follows those that are known")
	}
	var acts []OfflineAct
	for _, r := range records {
		act, err := s.readOfflineRecord(id, &t, r)
		if err != nil {
			return nil, t, err
		}
		if act != (OfflineAct{}) {
			acts = append(acts, act)
		}
	}
	markLost(acts)
	return acts, t, nil
}

// markLost marks what is about entries that were lost when this log was re-anchored, as later imports of the offline domain say.
func markLost(acts []OfflineAct) {
	kept := uint64(math.MaxUint64)
	for i := len(acts) - 1; i >= 0; i-- {
		a := &acts[i]
		switch {
		case a.Import != nil:
			a.Lost = a.Import.Size > kept
			if b := a.Import.Again; b != nil {
				kept = min(kept, b.Kept)
			}
		case a.Permit != nil:
			a.Lost = a.Permit.Entry >= kept
		case a.Result != nil:
			a.Lost = a.Result.Entry >= kept
		case a.MovedIn != nil:
			a.Lost = a.MovedIn.Entry >= kept
		case a.MovedOut != nil:
			a.Lost = a.MovedOut.Entry >= kept
		}
	}
}

func (s *State) readOfflineRecord(id custody.DomainID, t *offline.Tail, r entry.OfflineRecord) (a OfflineAct, err error) {
	l, err := entry.DecodeLeaf(r.Leaf)
	switch {
	case err != nil:
		return a, err
	case l.Authority != s.Authority || l.Domain != id:
		return a, fmt.Errorf("entry %d belongs to another authority or domain", l.Seq)
	case l.Engine != entry.Engine1:
		return a, fmt.Errorf("entry %d: engine %q is not known", l.Seq, l.Engine)
	}
	if OfflineUnread(l.Kind) && len(r.Salt) == 0 && len(r.Body) == 0 {
		return a, nextOffline(t, r.Leaf, l)
	}
	if _, _, err := t.Next(offline.Record(r)); err != nil {
		return a, err
	}
	body, err := offline.DecodeBody(l.Kind, l.KindVersion, r.Body)
	if err != nil {
		return a, fmt.Errorf("entry %d: %w", l.Seq, err)
	}
	switch b := body.(type) {
	case *offline.Import:
		a.Import = b
	case *offline.Permit:
		a.Permit = b
	case *offline.Result:
		a.Result = b
	case *offline.MovedIn:
		a.MovedIn = b
	case *offline.MovedOut:
		a.MovedOut = b
	case *offline.Refusal:
		a.Refusal = b
	case *offline.Zeroized:
		a.Zeroized = b
	case *offline.Restored:
		a.Restored = b
	case *offline.CaughtUp:
		a.CaughtUp = b
	case *offline.Genesis:
		return a, fmt.Errorf("entry %d begins a domain", l.Seq)
	}
	return a, nil
}

// OfflineUnread says whether nothing follows, in this authority, from the bodies of a kind of entry in an offline domain's log: they may be left
// out where they would take too much room.
func OfflineUnread(k entry.Kind) bool {
	return k == offline.KindPermit || k == offline.KindRecovery || k == offline.KindClosed || k == entry.KindWriter
}

// nextOffline takes an entry without its body.
func nextOffline(t *offline.Tail, leaf []byte, l entry.Leaf) error {
	if l.Seq != t.Frontier.Size() || l.Prev != t.Last {
		return fmt.Errorf("entry %d does not follow entry %d", l.Seq, t.Frontier.Size()-1)
	}
	t.Last = entry.Hash(leaf)
	t.Frontier.Append(t.Last)
	return nil
}

// CheckOffline says whether a checkpoint of an offline domain, signed by its log key, is of the entries that were followed and of no others.
func (s *State) CheckOffline(id custody.DomainID, t offline.Tail, checkpoint []byte) error {
	d, ok := s.OfflineDomain(id)
	if !ok {
		return fmt.Errorf("domain %s is no offline domain of this authority", id)
	}
	key, err := tlog.NewKey(entry.Origin(id, 1), d.LogKey[:])
	if err != nil {
		return err
	}
	c, err := tlog.OpenExact(checkpoint, key)
	if err != nil {
		return err
	}
	return t.Reaches(c)
}

// applyOffline takes what an offline domain did. Each step is checked against the state that the steps before it make.
func (s *State) applyOffline(l entry.Leaf, b *entry.Offline) (func(), error) {
	if b.Number > 0 {
		return s.applyBundle(b)
	}
	acts, tail, err := s.ReadOffline(b.Domain, b.Records)
	if err != nil {
		return nil, err
	}
	if len(b.Checkpoint) == 0 {
		return nil, errors.New("has no checkpoint of the offline domain")
	}
	x, err := s.followOffline(b, acts, s.settledOffline)
	if err != nil {
		return nil, err
	}
	x.domain.Frontier, x.domain.Last, x.domain.Result = tail.Frontier.Marshal(), tail.Last, l.Seq
	if x.setBack {
		x.domain.Gap = l.Seq
	}
	return x.commit, nil
}

// FitsOffline says whether what an offline domain did fits the state, without what the log lacks of its results.
func (s *State) FitsOffline(b *entry.Offline) error {
	acts, _, err := s.ReadOffline(b.Domain, b.Records)
	if err != nil {
		return err
	}
	_, err = s.followOffline(b, acts, func(*offline.Result) error { return nil })
	return err
}

// followOffline follows what an offline domain did; settled says whether something that it signed stands in the log.
func (s *State) followOffline(b *entry.Offline, acts []OfflineAct, settled func(*offline.Result) error) (*offlineSteps, error) {
	i := s.offlineAt(b.Domain)
	x := &offlineSteps{s: s, at: i, domain: s.cold.domains[i], wallets: map[uint32]Away{}, taken: b.Taken, settled: settled}
	for _, a := range acts {
		if err := x.take(a); err != nil {
			return nil, err
		}
	}
	if len(x.taken) > 0 {
		return nil, errors.New("names keys that did not come back")
	}
	return x, nil
}

// applyBundle takes that a bundle goes to an offline domain.
func (s *State) applyBundle(b *entry.Offline) (func(), error) {
	d, ok := s.OfflineDomain(b.Domain)
	if !ok {
		return nil, fmt.Errorf("domain %s is no offline domain of this authority", b.Domain)
	}
	if b.Number != d.Number+1 || len(b.Records) > 0 || len(b.Checkpoint) > 0 || len(b.Taken) > 0 {
		return nil, fmt.Errorf("bundle %d follows bundle %d, and is no result", b.Number, d.Number)
	}
	i := s.offlineAt(b.Domain)
	return func() { s.changeOffline(i, func(d *OfflineDomain) { d.Number = b.Number }) }, nil
}

// offlineSteps follows the acts of a result before they are committed.
type offlineSteps struct {
	s       *State
	at      int
	domain  OfflineDomain
	wallets map[uint32]Away  // as they are after the acts so far; Way 0: the key is here
	arrived []entry.TakenKey // keys that came back
	doomed  []entry.Blob
	taken   []entry.TakenKey // of the entry, that no act has used
	settled func(*offline.Result) error
	setBack bool // one of the acts says that it was set back
}

// wallet gives where a wallet's key is after the acts so far.
func (x *offlineSteps) wallet(id custody.WalletID) (Away, error) {
	n, ok := x.s.walletIndex[id]
	if ok {
		if a, changed := x.wallets[uint32(n)]; changed {
			return a, nil
		}
		if a, away := x.s.cold.away[uint32(n)]; away {
			return *a, nil
		}
	}
	return Away{}, fmt.Errorf("wallet %q is not cold", id)
}

func (x *offlineSteps) take(a OfflineAct) error {
	switch {
	case a.Lost:
		if a.MovedIn != nil { // its import key is used all the same
			if a.MovedIn.Next.Check() != nil {
				return errors.New("the offline domain names no new import key")
			}
			x.domain.Import = a.MovedIn.Next
		}
	case a.Import != nil:
		if err := x.s.knowsAnchors(a.Import.Again); err != nil {
			return err
		}
		if a.Import.Size > x.s.Next {
			return fmt.Errorf("the offline domain has imported %d entries; there are %d", a.Import.Size, x.s.Next)
		}
		x.domain.Knows = a.Import.Size
	case a.Result != nil:
		return x.settled(a.Result)
	case a.MovedIn != nil:
		return x.movedIn(a.MovedIn)
	case a.MovedOut != nil:
		return x.movedOut(a.MovedOut)
	case a.CaughtUp != nil:
		return x.caughtUp(a.CaughtUp)
	case a.Zeroized != nil:
		x.domain.Zeroized = true
	case a.Restored != nil:
		x.domain.Zeroized = false
	}
	return nil
}

// knowsAnchors says whether this log was last re-anchored as an offline domain has imported it.
func (s *State) knowsAnchors(b *offline.Reanchored) error {
	if b == nil {
		return nil
	}
	if len(b.Entries) == 0 || s.anchoring == nil {
		return errors.New("the offline domain follows a re-anchoring that is not in this log")
	}
	last := b.Entries[len(b.Entries)-1]
	if a := s.anchoring; last.Incarnation > a.Incarnation || last.Incarnation == a.Incarnation && (last.Entry != a.Since || last.Leaf != a.Leaf) || b.Kept > b.Entries[0].Entry {
		return fmt.Errorf("the offline domain follows incarnation %d of this log from entry %d, which is not that of this log", last.Incarnation, last.Entry)
	}
	return nil
}

// settledOffline says whether what an offline domain has signed stands in the log already: its result comes before the entry that tells of it.
func (s *State) settledOffline(b *offline.Result) error {
	for id := range s.cold.open {
		if g := s.signed[id]; g.Permit == b.Entry && isPermit(b, g.PermitLeaf) {
			return fmt.Errorf("the permit of entry %d was signed, and its result is not in the log", b.Entry)
		}
	}
	return nil
}

// isPermit says whether a result can be of the permit with a leaf hash: one that names it is of no other.
func isPermit(b *offline.Result, leaf [32]byte) bool {
	return len(b.Leaf) == 0 || bytes.Equal(b.Leaf, leaf[:])
}

func (x *offlineSteps) movedIn(b *offline.MovedIn) error {
	a, err := x.wallet(b.Wallet)
	if err != nil {
		return err
	}
	key := x.s.walletList[a.Wallet].Key
	switch {
	case a.Way != Leaving || !a.Erased || int(a.Domain) != x.at || a.Move != b.Entry || a.Import != b.Used || key != b.Key:
		return fmt.Errorf("wallet %q did not move there with entry %d, key %s and import key %s", b.Wallet, b.Entry, b.Key, b.Used)
	case b.Next.ID == b.Used || b.Next.Check() != nil:
		return errors.New("the offline domain names no new import key")
	}
	x.doomed = append(x.doomed, sealedCopies(a.Copy)...)
	a.Way, a.Import, a.Copy, a.Erased, a.Missing = Held, "", nil, false, false
	x.wallets[a.Wallet] = a
	x.domain.Import, x.domain.Taken = b.Next, 0
	return nil
}

func (x *offlineSteps) movedOut(b *offline.MovedOut) error {
	a, err := x.wallet(b.Wallet)
	if err != nil {
		return err
	}
	key := x.s.walletList[a.Wallet].Key
	if a.Way != Coming || int(a.Domain) != x.at || a.Move != b.Entry || key != b.Key {
		return fmt.Errorf("wallet %q was not asked back with entry %d and key %s", b.Wallet, b.Entry, b.Key)
	}
	if len(x.taken) == 0 {
		return fmt.Errorf("wallet %q came back, and the blob of its key is not named", b.Wallet)
	}
	k := x.taken[0]
	if k.Key != key || k.Epoch != x.s.Epoch || k.Blob == [32]byte{} {
		return fmt.Errorf("the blob of key %s is not named, or is not of the current epoch", key)
	}
	x.taken = x.taken[1:]
	x.arrived = append(x.arrived, k)
	x.doomed = append(x.doomed, x.s.blobsOf(x.s.keyIndex[a.Import])...)
	x.wallets[a.Wallet] = Away{Wallet: a.Wallet, Import: a.Import, Back: a.Back}
	return nil
}

func (x *offlineSteps) commit() {
	s := x.s
	s.changeOffline(x.at, func(d *OfflineDomain) { *d = x.domain })
	if len(x.doomed) > 0 {
		s.blobs.Doomed = s.giveUp(x.doomed)
	}
	for n, a := range x.wallets {
		if a.Way != 0 {
			s.cold.away[n] = &a
			continue
		}
		s.dropBlobs(s.keyIndex[a.Import])
		delete(s.cold.away, n)
		s.cold.back[n] = s.Next
		if a.Back == request.Warm {
			s.setSessions(n, nil)
		}
		for id, w := range s.cold.open {
			if w == n {
				delete(s.cold.open, id)
			}
		}
	}
	for _, k := range x.arrived {
		i := s.keyIndex[k.Key]
		s.keys[i].Epoch, s.keys[i].Blob = k.Epoch, k.Blob
		if i < len(s.blobs.Next) {
			s.lacking++
		}
	}
}

// auditOffline checks the offline domain's signature over what it is said to have done, and what must stand in the log before.
func (s *State) auditOffline(b *entry.Offline) error {
	if b.Number > 0 {
		return nil
	}
	_, tail, err := s.ReadOffline(b.Domain, b.Records)
	if err != nil {
		return err
	}
	return s.CheckOffline(b.Domain, tail, b.Checkpoint)
}

// Unsigned lists what an offline domain has signed and what is not in the log yet: the results of latest permits, with their requests.
func (s *State) Unsigned(acts []OfflineAct) (out []entry.Result) {
	byPermit := map[uint64]custody.RequestID{}
	for id := range s.cold.open {
		byPermit[s.signed[id].Permit] = id
	}
	for _, a := range acts {
		if r := a.Result; r != nil && !a.Lost {
			if id, ok := byPermit[r.Entry]; ok && isPermit(r, s.signed[id].PermitLeaf) {
				out = append(out, entry.Result{Request: id, Permit: r.Entry, Signatures: r.Signatures, TxID: r.TxID, Signed: r.Signed})
			}
		}
	}
	return slices.Clip(out)
}
