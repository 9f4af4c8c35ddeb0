// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
)

// Image is the canonical encoding of a state, but for the data of full chunks, which it names by hash. The state's root is the
// hash over the hashes of its sections, in order; a section's hash covers its number.
type Image struct {
	Head     headSection     `cbor:"1,keyasint"`
	Document []byte          `cbor:"2,keyasint"` // canonical policy.Document
	Keys     []entry.NewKey  `cbor:"3,keyasint"`
	Wallets  chainState      `cbor:"4,keyasint"`
	Next     [][2]uint32     `cbor:"5,keyasint"`
	Accounts chainState      `cbor:"6,keyasint"`
	Nonces   []uint64        `cbor:"7,keyasint"`
	Spent    chainState      `cbor:"8,keyasint"`
	Sessions []sessionRecord `cbor:"9,keyasint"`  // sorted by entry
	Pending  []*Pending      `cbor:"10,keyasint"` // sorted by entry
	Signed   []*Signed       `cbor:"11,keyasint"` // sorted by entry
	Done     chainState      `cbor:"12,keyasint"`
	Docs     []uint64        `cbor:"13,keyasint"` // by version less 1: entry that made the document
	Born     []uint64        `cbor:"14,keyasint"` // by wallet: entry that made it
	Asked    []uint64        `cbor:"15,keyasint"` // by wallet: entry of the request for it
	Life     Life            `cbor:"16,keyasint"`
	Blobs    lifeBlobs       `cbor:"17,keyasint"`
	Warm     []warmRecord    `cbor:"18,keyasint"` // by wallet

	// Later sections are left out while they say nothing, so that older logs keep their roots.

	Cold      *coldSection  `cbor:"19,keyasint,omitempty"` // offline domains, and wallets whose keys are away
	Anchoring *Anchoring    `cbor:"20,keyasint,omitempty"` // nil if the domain was never re-anchored
	Apps      *appSection   `cbor:"21,keyasint,omitempty"` // grants to applications, and revoked keys
	Meters    []meterRecord `cbor:"22,keyasint,omitempty"` // by key; what limits have counted

	Governance *governanceSection `cbor:"23,keyasint,omitempty"` // operational state, holds, address ledger, and destinations paid
}

type headSection struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	Domain    custody.DomainID    `cbor:"2,keyasint"`
	Profile   custody.Profile     `cbor:"3,keyasint"`
	LogKey    [32]byte            `cbor:"4,keyasint"`
	Identity  [32]byte            `cbor:"5,keyasint"`
	Root      string              `cbor:"6,keyasint"`
	Anchor    string              `cbor:"7,keyasint"`
	Next      uint64              `cbor:"8,keyasint"`
	Last      [32]byte            `cbor:"9,keyasint"`
	Time      int64               `cbor:"10,keyasint"`
	Writer    uint64              `cbor:"11,keyasint"`
	Epoch     uint64              `cbor:"12,keyasint"`
	Pattern   []byte              `cbor:"13,keyasint"`
}

type sessionRecord struct {
	ID      [16]byte `cbor:"1,keyasint"`
	Session Session  `cbor:"2,keyasint"`
}

// Image gives the state's image. It shares memory with the state and is good until the next Apply.
func (s *State) Image() Image {
	m := Image{
		Head: headSection{s.Authority, s.Domain, s.Profile, s.LogKey, s.Identity, s.Root, s.Anchor, s.Next, s.Last, s.Time, s.Writer,
			s.Epoch, s.Pattern},
		Document: s.Doc.Encode(),
		Keys:     s.keys,
		Wallets:  s.wallets.state(),
		Next:     s.next,
		Accounts: s.accounts.state(),
		Nonces:   s.nonces,
		Spent:    s.spent.state(),
		Pending:  sortedPending(s.pending),
		Done:     s.done.state(),
		Docs:     s.docs,
		Born:     s.born,
		Asked:    s.askedIn,
		Life:     s.life,
		Blobs:    s.blobs,
		Warm:     s.warmImage(),

		Cold:      s.coldImage(),
		Anchoring: s.anchoring,
		Apps:      s.appImage(),
		Meters:    s.meterImage(),

		Governance: s.governanceImage(),
	}
	for id, x := range s.sessions {
		m.Sessions = append(m.Sessions, sessionRecord{id, x})
	}
	slices.SortFunc(m.Sessions, func(a, b sessionRecord) int { return cmp.Compare(a.Session.Seq, b.Session.Seq) })
	for _, g := range s.signed {
		m.Signed = append(m.Signed, g)
	}
	slices.SortFunc(m.Signed, func(a, b *Signed) int { return cmp.Compare(a.Seq, b.Seq) })
	return m
}

// section is a part of the image that the root covers under its number.
type section struct {
	number byte
	value  any
}

// sections lists what the root covers, in order. Sections from 19 on are left out where there is nothing in them: logs that are older than
// they are keep their roots.
func (m Image) sections() (out []section) {
	for i, v := range []any{m.Head, m.Document, m.Keys, m.Wallets, m.Next, m.Accounts, m.Nonces, m.Spent, m.Sessions, m.Pending, m.Signed, m.Done, m.Docs, m.Born, m.Asked, m.Life, m.Blobs,
		m.Warm} {
		out = append(out, section{byte(i + 1), v})
	}
	if m.Cold != nil {
		out = append(out, section{19, m.Cold})
	}
	if m.Anchoring != nil {
		out = append(out, section{20, m.Anchoring})
	}
	if m.Apps != nil {
		out = append(out, section{21, m.Apps})
	}
	if len(m.Meters) > 0 {
		out = append(out, section{22, m.Meters})
	}
	if m.Governance != nil {
		out = append(out, section{23, m.Governance})
	}
	return out
}

// Encode gives the canonical encoding and the root hash. Each section is encoded once for both.
func (m Image) Encode() (encoding []byte, root [32]byte) {
	sections := m.sections()
	encoding = append(make([]byte, 0, m.sizeHint()), 0xa0|byte(len(sections))) // a map of so many, at most 23, with keys of one byte
	hashes := make([][32]byte, 0, len(sections))
	for _, x := range sections {
		encoding = append(encoding, x.number)
		from := len(encoding)
		encoding = canon.Append(encoding, x.value)
		hashes = append(hashes, canon.HashBytes(canon.TagSection, []byte{0xa2, 1, x.number, 2}, encoding[from:])) // {1: number, 2: section}
	}
	return encoding, canon.Hash(canon.TagStateRoot, hashes)
}

// sizeHint is about how long the encoding is, in bytes, by the lists that become long. Growing step by step would copy it many times.
func (m Image) sizeHint() int {
	n := 4096 + len(m.Document) + 400*len(m.Signed) + 16*len(m.Next) + 6*(len(m.Nonces)+len(m.Born)+len(m.Asked)+len(m.Docs)) + 128*len(m.Sessions) + 200*len(m.Keys) + 34*len(m.Blobs.Next) + 80*(len(m.Blobs.Previous)+len(m.Blobs.Doomed)) + 200*len(m.Warm) + 400*len(m.Meters)
	if m.Apps != nil {
		n += 3000*len(m.Apps.Grants) + 80*len(m.Apps.Revoked)
	}
	if g := m.Governance; g != nil && g.Verdicts != nil {
		n += 320 * len(g.Verdicts.Verdicts)
	}
	for _, p := range m.Pending {
		n += 1500 + p.size()
	}
	for _, c := range []chainState{m.Wallets, m.Accounts, m.Spent, m.Done} {
		n += 48*len(c.Full) + len(c.Tail)
	}
	return n
}

// Root gives the root hash of an image.
func (m Image) Root() [32]byte {
	_, root := m.Encode()
	return root
}

// StateRoot gives the root hash of the state.
func (s *State) StateRoot() [32]byte { return s.Image().Root() }

// Chunks lists the full chunks by hash; a snapshot keeps the ones that it does not have yet.
func (s *State) Chunks() map[[32]byte][]byte {
	out := map[[32]byte][]byte{}
	for _, c := range []*chain{&s.wallets, &s.accounts, &s.spent, &s.done, &s.book.ledger, &s.paid.chain} {
		for _, f := range c.full {
			out[f.hash] = f.data
		}
	}
	return out
}

// Restore rebuilds a state from an image; load gives a chunk's data by hash. Neither is trusted: the root of the result must be
// the one that a snapshot entry commits, and the caller checks that.
func Restore(m Image, load func([32]byte) ([]byte, error)) (*State, error) {
	s := New()
	h := m.Head
	s.Authority, s.Domain, s.Profile, s.LogKey, s.Identity = h.Authority, h.Domain, h.Profile, h.LogKey, h.Identity
	s.Root, s.Anchor, s.Next, s.Last, s.Time, s.Writer, s.Epoch, s.Pattern = h.Root, h.Anchor, h.Next, h.Last, h.Time, h.Writer, h.Epoch, h.Pattern
	var err error
	if s.Doc, err = policy.DecodeDocument(m.Document); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if s.Rules, err = policy.Compile(s.Doc); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	s.keys = m.Keys
	s.seedUses = make([]seedUse, len(s.keys))
	for i, k := range s.keys {
		s.keyIndex[k.ID] = i
	}
	if err := s.restoreLife(m); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if err := s.restoreChains(m, load); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if err := s.restoreWarm(m); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if err := s.restoreAnchoring(m); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if err := s.restoreApps(m.Apps); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if err := s.restoreBook(m.Governance, load); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if err := s.restoreMeters(m); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	for _, x := range m.Sessions {
		s.sessions[x.ID] = x.Session
		s.expiry.push(deadline{at: x.Session.NotAfter, seq: x.Session.Seq, session: x.ID})
	}
	for _, p := range m.Pending {
		if p == nil {
			return nil, fmt.Errorf("restore state: a pending request is missing")
		}
		s.wait(p)
		s.expiry.push(deadline{at: p.Bounds.NotAfter, seq: p.Seq, request: p.ID})
	}
	for _, g := range m.Signed {
		if g == nil {
			return nil, fmt.Errorf("restore state: a signed request is missing")
		}
		s.signed[g.ID] = g
		s.expiry.push(deadline{at: g.NotAfter, seq: g.Seq, request: g.ID})
	}
	if err := s.restoreCold(m.Cold); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	if err := s.restoreGovernance(m.Governance); err != nil {
		return nil, fmt.Errorf("restore state: %w", err)
	}
	return s, nil
}

// restoreLife takes the life cycle. The keys are there already.
func (s *State) restoreLife(m Image) error {
	s.life, s.blobs = m.Life, m.Blobs
	want := 0
	if n := s.life.Next; n != nil && n.Committed {
		want = len(s.keys)
	}
	if len(s.blobs.Next) != want {
		return fmt.Errorf("%d keys have a place for a blob under the next epoch, not %d", len(s.blobs.Next), want)
	}
	for i, h := range s.blobs.Next {
		if h == [32]byte{} && Here(s.keys[i]) {
			s.lacking++
		}
	}
	return nil
}

func (s *State) restoreChains(m Image, load func([32]byte) ([]byte, error)) (err error) {
	if s.wallets, err = m.Wallets.restore(walletChunk, load); err != nil {
		return err
	}
	if s.accounts, err = m.Accounts.restore(accountChunk, load); err != nil {
		return err
	}
	if s.spent, err = m.Spent.restore(spentChunk, load); err != nil {
		return err
	}
	if s.done, err = m.Done.restore(doneChunk, load); err != nil {
		return err
	}
	err = s.wallets.each(func(b []byte) error {
		var w entry.Wallet
		if err := canon.Decode(b, &w); err != nil {
			return err
		}
		s.walletIndex[w.ID] = len(s.walletList)
		s.walletKeys[keyOfWallet(w)] = struct{}{}
		if _, ok := s.keyIndex[w.Key]; !ok {
			return fmt.Errorf("wallet %s: its seed does not exist", w.ID)
		}
		s.useSeed(w, len(s.walletList))
		s.countClass(w)
		s.walletList = append(s.walletList, w)
		return nil
	})
	if err != nil {
		return err
	}
	err = s.accounts.each(func(b []byte) error {
		var a account
		if err := canon.Decode(b, &a); err != nil {
			return err
		}
		s.accountIndex[a] = len(s.accountIndex)
		return nil
	})
	if err != nil {
		return err
	}
	s.next, s.nonces, s.docs, s.born, s.askedIn = m.Next, m.Nonces, m.Docs, m.Born, m.Asked
	if len(s.next) != len(s.walletList) || len(s.born) != len(s.walletList) || len(s.askedIn) != len(s.walletList) || uint64(len(s.docs)) != s.Doc.Version || len(s.nonces) != len(s.accountIndex) {
		return fmt.Errorf("lists of wallets or accounts disagree")
	}
	err = s.spent.each(func(b []byte) error {
		in, err := decodeSpent(b)
		s.spentIndex[in] = struct{}{}
		return err
	})
	if err != nil {
		return err
	}
	return s.done.places(func(at place, b []byte) error {
		id, _, err := decodeDone(b)
		s.doneIndex[id] = at
		return err
	})
}
