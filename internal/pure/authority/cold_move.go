// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// The control points of keys that move.
var (
	needsMoveOut = points.Make(points.MoveOut, points.ExportCold)
	needsMoveIn  = points.Make(points.MoveIn, points.ExportCold)
)

// addOffline says what an offline_add does.
func (s *State) addOffline(o *request.OfflineAddBody) (c lifeChange, err error) {
	if err := s.on(points.Make(points.ExportCold)); err != nil {
		return c, err
	}
	d, err := s.readOffline(o)
	if err != nil {
		return c, problem.New(problem.Malformed, "the first entry of the offline domain: %v", err)
	}
	switch {
	case s.offlineAt(d.ID) >= 0:
		return c, problem.New(problem.Conflict, "the offline domain %s belongs to this authority already, or did", d.ID)
	case slices.ContainsFunc(s.OfflineDomains(), func(x OfflineDomain) bool { return x.Name == d.Name }):
		return c, problem.New(problem.Conflict, "another offline domain is called %q; choose another name", d.Name)
	case len(s.cold.domains) >= MaxOffline:
		return c, problem.New(problem.TooLarge, "%d offline domains were added already", MaxOffline)
	}
	c.effect = s.ofCurrent()
	c.effect.Added = d.ID[:]
	c.commit = func(*entry.Life) {
		d.Added = s.Next
		s.cold.domains = append(s.cold.domains[:len(s.cold.domains):len(s.cold.domains)], d)
	}
	return c, nil
}

// readOffline reads the first entry of an offline domain.
func (s *State) readOffline(o *request.OfflineAddBody) (d OfflineDomain, err error) {
	g, err := offline.OpenGenesis(offline.Record{Leaf: o.Leaf, Salt: o.Salt, Body: o.Body})
	switch {
	case err != nil:
		return d, err
	case g.Authority != s.Authority:
		return d, errors.New("it follows another authority")
	case g.Profile != s.Profile:
		return d, fmt.Errorf("its profile is %s, this domain's %s", g.Profile, s.Profile)
	}
	return OfflineDomain{ID: g.Domain, Name: o.Name, LogKey: g.LogKey, Identity: g.Identity, Transport: g.Transport, Import: g.Key, Frontier: g.Frontier.Marshal(), Last: g.Last}, nil
}

// removeOffline says what an offline_remove does.
func (s *State) removeOffline(o *request.OfflineRemoveBody) (c lifeChange, err error) {
	i := s.offlineAt(custody.DomainID(o.Domain))
	if i < 0 || s.cold.domains[i].Removed > 0 {
		return c, problem.New(problem.NotFound, "no offline domain of this authority has the id %s", custody.DomainID(o.Domain))
	}
	if held, _ := s.AwayIn(s.cold.domains[i].ID); len(held) > 0 {
		return c, problem.New(problem.Conflict, "the offline domain %q has the keys of %d wallets, the first of them %q; move them back first", s.cold.domains[i].Name, len(held), held[0].ID)
	}
	c.effect = s.ofCurrent()
	c.effect.Removed = o.Domain
	c.commit = func(*entry.Life) { s.changeOffline(i, func(d *OfflineDomain) { d.Removed = s.Next }) }
	return c, nil
}

// changeOffline changes an offline domain in a copy of the list: what was given out stays as it was.
func (s *State) changeOffline(i int, change func(*OfflineDomain)) {
	s.cold.domains = slices.Clone(s.cold.domains)
	change(&s.cold.domains[i])
}

// moveChange is what a wallet_move does.
type moveChange struct {
	wallet entry.Wallet
	effect entry.Move                      // but for what the core makes: the sealed seed, or the import key
	commit func(seq uint64, e *entry.Move) // takes the recorded effect
}

// changeMove says what a wallet_move does in the state as it is.
func (s *State) changeMove(o *request.WalletMoveBody) (c moveChange, err error) {
	if c.wallet, _, err = s.wallet(o.Wallet); err != nil {
		return c, err
	}
	if err := movable(c.wallet); err != nil {
		return c, err
	}
	c.effect = entry.Move{Wallet: o.Wallet, To: custody.DomainID(o.To), Temperature: o.Temperature}
	if custody.DomainID(o.To) == s.Domain {
		return c, s.moveBack(&c, o)
	}
	return c, s.moveOut(&c, o)
}

func (s *State) moveOut(c *moveChange, o *request.WalletMoveBody) error {
	if err := s.on(needsMoveOut); err != nil {
		return err
	}
	i := s.offlineAt(custody.DomainID(o.To))
	if i < 0 || s.cold.domains[i].Removed > 0 {
		return problem.New(problem.NotFound, "no offline domain of this authority has the id %s", custody.DomainID(o.To))
	}
	d := s.cold.domains[i]
	key := s.keyIndex[c.wallet.Key]
	n := uint32(s.walletIndex[o.Wallet])
	switch a, away := s.cold.away[n]; {
	case away:
		return problem.New(problem.Conflict, "wallet %q is cold already: its key is %s, at the offline domain %q", o.Wallet, a.Way, s.cold.domains[a.Domain].Name)
	case o.Temperature != request.Cold:
		return problem.New(problem.Malformed, "a wallet in an offline domain is %s, not %s", request.Cold, o.Temperature)
	case d.Zeroized:
		return problem.New(problem.Conflict, "the offline domain %q was zeroized", d.Name)
	case s.unheard(d):
		return problem.New(problem.Conflict, "the log has lost entries, and the offline domain %q has not said since which keys it took in under them: import its next result first", d.Name)
	case d.Taken > 0:
		return problem.New(problem.Conflict, "a key is on its way to the offline domain %q, by entry %d; its result brings the import key for the next one", d.Name, d.Taken)
	case s.seedUses[key].count != 1:
		return problem.New(problem.Conflict, "wallet %q can't move: %d other wallets have its seed", o.Wallet, s.seedUses[key].count-1)
	}
	doomed := s.giveUp(s.blobsOf(key))
	list := entry.ListOf(doomed)
	c.effect.Import, c.effect.Doomed = d.Import.ID, &list
	c.commit = func(seq uint64, e *entry.Move) {
		s.dropBlobs(key)
		s.blobs.Doomed = doomed
		s.setSessions(n, nil)
		delete(s.warm, n)
		s.changeOffline(i, func(d *OfflineDomain) { d.Taken = seq })
		s.cold.away[n] = &Away{Wallet: n, Domain: uint32(i), Way: Leaving, Move: seq, Import: e.Import, Copy: e.Copy}
	}
	return nil
}

// unheard says whether entries were lost since the last result of an offline domain: it may have used its import key under them, and a seed that
// is sealed to a used one is lost.
func (s *State) unheard(d OfflineDomain) bool {
	a := s.anchoring
	return a != nil && a.GapAt > 0 && len(a.Entries) > 0 && a.Entries[len(a.Entries)-1] > max(d.Result, d.Added)
}

func (s *State) moveBack(c *moveChange, o *request.WalletMoveBody) error {
	if err := s.on(needsMoveIn); err != nil {
		return err
	}
	n := uint32(s.walletIndex[o.Wallet])
	switch a, away := s.cold.away[n]; {
	case !away:
		return problem.New(problem.Conflict, "the key of wallet %q is in this domain already", o.Wallet)
	case o.Temperature == request.Cold:
		return problem.New(problem.Malformed, "a wallet in this domain is %s or %s, not %s", request.Hot, request.Warm, request.Cold)
	case a.Way != Held:
		return problem.New(problem.Conflict, "the key of wallet %q is %s, by entry %d; import the next result of the offline domain %q first", o.Wallet, a.Way, a.Move, s.cold.domains[a.Domain].Name)
	}
	c.commit = func(seq uint64, e *entry.Move) {
		s.cold.changed(n, func(a *Away) {
			a.Way, a.Move, a.Import, a.Public, a.Back = Coming, seq, e.Import, e.Public, o.Temperature
		})
	}
	return nil
}

// blobsOf lists the blobs of a key: under the previous epoch, the current and the next one.
func (s *State) blobsOf(key int) (out []entry.Blob) {
	k := s.keys[key]
	for _, b := range s.blobs.Previous {
		if b.Key == k.ID {
			out = append(out, b)
		}
	}
	if k.Blob != [32]byte{} {
		out = append(out, entry.Blob{Key: k.ID, Hash: k.Blob})
	}
	if key < len(s.blobs.Next) && s.blobs.Next[key] != [32]byte{} {
		out = append(out, entry.Blob{Key: k.ID, Hash: s.blobs.Next[key]})
	}
	return out
}

// dropBlobs leaves a key without blobs. The caller dooms them.
func (s *State) dropBlobs(key int) {
	id := s.keys[key].ID
	s.keys[key].Blob = [32]byte{}
	s.blobs.Previous = slices.DeleteFunc(slices.Clone(s.blobs.Previous), func(b entry.Blob) bool { return b.Key == id })
	if key >= len(s.blobs.Next) {
		return
	}
	if s.blobs.Next[key] == [32]byte{} {
		s.lacking--
	}
	s.blobs.Next[key] = [32]byte{}
}

// erasedBlobs takes it that all doomed blobs are erased: what leaves may go now.
func (s *State) erasedBlobs() {
	for n, a := range s.cold.away {
		if a.Way == Leaving && !a.Erased {
			s.cold.changed(n, func(a *Away) { a.Erased = true })
		}
	}
}

// isSeed says whether wallets can be made from a key.
func isSeed(k entry.NewKey) bool {
	return k.Purpose == entry.PurposeCustody && k.Kind == entry.KindSeed
}

// Here says whether a key has a blob in this domain. One that has none has moved away, or was a used import key.
func Here(k entry.NewKey) bool { return k.Blob != [32]byte{} }

// applyMove takes the effect of a wallet_move.
func (s *State) applyMove(l entry.Leaf, o *request.WalletMoveBody, b *entry.Effect) (func(), error) {
	if b.Document != nil || b.Wallet != nil || b.Addresses != nil || b.Life != nil || b.Warm != nil {
		return nil, errors.New("the effect must hold the move and nothing else")
	}
	c, err := s.changeMove(o)
	if err != nil {
		return nil, err
	}
	back := custody.DomainID(o.To) == s.Domain
	if err := s.checkMove(back, b); err != nil {
		return nil, err
	}
	c.effect.Copy, c.effect.Public = b.Move.Copy, b.Move.Public
	if back {
		c.effect.Import = b.Move.Import
	}
	if !bytes.Equal(canon.Encode(&c.effect), canon.Encode(b.Move)) {
		return nil, errors.New("the recorded effect is not where the request moves the key")
	}
	return func() {
		if b.Key != nil {
			s.addKey(*b.Key)
		}
		c.commit(l.Seq, b.Move)
	}, nil
}

// checkMove says whether a recorded move has what the core must have made: of a key that goes the sealed seed, of one that comes back the
// import key.
func (s *State) checkMove(back bool, b *entry.Effect) error {
	if !back {
		if b.Key != nil || len(b.Move.Copy) != 32 || len(b.Move.Public) != 0 {
			return errors.New("a key that goes has a sealed copy, and no import key here")
		}
		return nil
	}
	k := b.Key
	if k == nil || len(b.Move.Copy) != 0 || len(b.Move.Public) != offline.PublicSize || k.ID != b.Move.Import {
		return errors.New("a key that comes back has an import key here, and no sealed copy")
	}
	if k.ID.Check() != nil || k.Purpose != entry.PurposeImport || k.Kind != entry.KindImportKey || k.Epoch != s.Epoch || !Here(*k) {
		return errors.New("the import key is not one of the current epoch")
	}
	if _, ok := s.keyIndex[k.ID]; ok {
		return errors.New("the import key exists already")
	}
	return s.checkNext(k)
}
