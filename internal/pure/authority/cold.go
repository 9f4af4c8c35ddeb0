// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// OfflineDomain is a domain on a machine without network that follows this authority, as far as its results have told. docs/spec/cold.md.
type OfflineDomain struct {
	ID        custody.DomainID  `cbor:"1,keyasint"`
	Name      string            `cbor:"2,keyasint"`
	Added     uint64            `cbor:"3,keyasint"` // effect that took it in
	LogKey    [32]byte          `cbor:"4,keyasint"`
	Identity  [32]byte          `cbor:"5,keyasint"`
	Transport []byte            `cbor:"6,keyasint"`            // public key that bundles are sealed to
	Import    offline.ImportKey `cbor:"7,keyasint"`            // that the next seed which goes there is sealed to
	Taken     uint64            `cbor:"8,keyasint,omitempty"`  // move that has used Import and has not arrived yet; 0: it is free
	Frontier  []byte            `cbor:"9,keyasint"`            // of the tree over its entries that are known, as [tlog.Frontier.Marshal] has it
	Last      [32]byte          `cbor:"10,keyasint"`           // leaf hash of the last of them
	Result    uint64            `cbor:"11,keyasint,omitempty"` // entry of the last result
	Knows     uint64            `cbor:"12,keyasint,omitempty"` // entries of this log that it has imported, as far as is known
	Zeroized  bool              `cbor:"13,keyasint,omitempty"`
	Number    uint64            `cbor:"15,keyasint,omitempty"` // of the last bundle
	Removed   uint64            `cbor:"14,keyasint,omitempty"` // effect that gave it up; it never comes again
	Gap       uint64            `cbor:"16,keyasint,omitempty"` // entry of the last result that said that it was set back
}

// Size is how many of its entries are known.
func (d OfflineDomain) Size() uint64 {
	f, err := tlog.UnmarshalFrontier(d.Frontier)
	if err != nil { // it was checked where it came from
		return 0
	}
	return f.Size()
}

// Way says where the key of a cold wallet is.
type Way uint8

// The ways. They are wire format.
const (
	Leaving Way = 1 // sealed to the offline domain, which has not said yet that it has it
	Held    Way = 2 // in the offline domain
	Coming  Way = 3 // asked back; the offline domain has not given it yet
)

// String gives the word that the API shows.
func (w Way) String() string {
	switch w {
	case Leaving:
		return "leaving"
	case Held:
		return "held"
	case Coming:
		return "coming"
	default:
		return fmt.Sprintf("way-%d", uint8(w))
	}
}

// Away says where the key of a cold wallet is.
type Away struct {
	Wallet uint32              `cbor:"1,keyasint"` // position in the list of wallets
	Domain uint32              `cbor:"2,keyasint"` // position in the list of offline domains
	Way    Way                 `cbor:"3,keyasint"`
	Move   uint64              `cbor:"4,keyasint"`           // effect of the latest move
	Import custody.KeyID       `cbor:"5,keyasint,omitempty"` // import key that the seed is sealed to on its way
	Copy   []byte              `cbor:"6,keyasint,omitempty"` // of a key that leaves: hash of the sealed seed
	Erased bool                `cbor:"7,keyasint,omitempty"` // of a key that leaves: its blobs here are erased, so that the sealed seed may go
	Back   request.Temperature `cbor:"8,keyasint,omitempty"` // of a key that comes: the wallet's from its arrival on
	Public []byte              `cbor:"9,keyasint,omitempty"` // of a key that comes: public half of the import key

	Missing bool `cbor:"10,keyasint,omitempty"` // the offline domain was set back, and has said that it does not have the seed, or can't open it
}

// coldSection is section 19 of the image.
type coldSection struct {
	Domains []OfflineDomain `cbor:"1,keyasint,omitempty"` // in the order in which they were added
	Away    []Away          `cbor:"2,keyasint,omitempty"` // by wallet
	Open    []exportRecord  `cbor:"3,keyasint,omitempty"` // by permit
	Back    []backRecord    `cbor:"4,keyasint,omitempty"` // by wallet
}

// backRecord is a wallet whose key was away and came back.
type backRecord struct {
	Wallet uint32 `cbor:"1,keyasint"`
	Since  uint64 `cbor:"2,keyasint"` // entry that brought it last
}

// exportRecord is a request whose latest permit waits for its signatures from an offline domain.
type exportRecord struct {
	Request custody.RequestID `cbor:"1,keyasint"`
	Wallet  uint32            `cbor:"2,keyasint"`
}

// Limits.
const (
	MaxOffline  = 256     // offline domains that were ever added
	MaxExported = 100_000 // permits that wait for their signatures from offline domains
)

// cold is where keys are that are not in this domain.
type cold struct {
	domains []OfflineDomain
	away    map[uint32]*Away             // by wallet
	open    map[custody.RequestID]uint32 // requests whose latest permit waits for its signatures from there, with their wallet
	back    map[uint32]uint64            // by wallet: entry that brought its key back last
}

// OfflineDomains lists the offline domains in the order in which they were added, without those that were removed.
func (s *State) OfflineDomains() (out []OfflineDomain) {
	for _, d := range s.cold.domains {
		if d.Removed == 0 {
			out = append(out, d)
		}
	}
	return out
}

// OfflineDomain gives an offline domain by its id.
func (s *State) OfflineDomain(id custody.DomainID) (OfflineDomain, bool) {
	i := s.offlineAt(id)
	if i < 0 || s.cold.domains[i].Removed > 0 {
		return OfflineDomain{}, false
	}
	return s.cold.domains[i], true
}

func (s *State) offlineAt(id custody.DomainID) int {
	return slices.IndexFunc(s.cold.domains, func(d OfflineDomain) bool { return d.ID == id })
}

// Away says where the key of a wallet is, if it is not here. The caller must not change it.
func (s *State) Away(id custody.WalletID) (*Away, bool) {
	i, ok := s.walletIndex[id]
	if !ok {
		return nil, false
	}
	a, ok := s.cold.away[uint32(i)]
	return a, ok
}

// BackSince gives the entry that brought the key of a wallet back last; 0 if it was never away. Permits before it may have been signed elsewhere.
func (s *State) BackSince(id custody.WalletID) uint64 {
	i, ok := s.walletIndex[id]
	if !ok {
		return 0
	}
	return s.cold.back[uint32(i)]
}

// AwayAt gives the offline domain that a wallet's key is in, or on its way to or from.
func (s *State) AwayAt(a *Away) OfflineDomain { return s.cold.domains[a.Domain] }

// AwayIn lists the wallets whose keys are in an offline domain, or on their way there or back, in order of birth. The caller must not
// change what it gets.
func (s *State) AwayIn(id custody.DomainID) (wallets []entry.Wallet, where []*Away) {
	for _, n := range slices.Sorted(maps.Keys(s.cold.away)) {
		if a := s.cold.away[n]; s.cold.domains[a.Domain].ID == id {
			wallets, where = append(wallets, s.walletList[n]), append(where, a)
		}
	}
	return wallets, where
}

// Leaving lists the sealed copies of the seeds that are on their way to offline domains, by wallet.
func (s *State) Leaving() (out [][32]byte) {
	for _, n := range slices.Sorted(maps.Keys(s.cold.away)) {
		if a := s.cold.away[n]; a.Way == Leaving {
			out = append(out, [32]byte(a.Copy))
		}
	}
	return out
}

// LeavingKeys lists the keys that are on their way to offline domains and whose blobs here are not erased yet, by wallet.
func (s *State) LeavingKeys() (out []custody.KeyID) {
	for _, n := range slices.Sorted(maps.Keys(s.cold.away)) {
		if a := s.cold.away[n]; a.Way == Leaving && !a.Erased {
			out = append(out, s.walletList[n].Key)
		}
	}
	return out
}

// ColdWallets lists the wallets whose keys are not here, in order of birth.
func (s *State) ColdWallets() (out []custody.WalletID) {
	for _, n := range slices.Sorted(maps.Keys(s.cold.away)) {
		out = append(out, s.walletList[n].ID)
	}
	return out
}

// Exported says whether the latest permit of a request waits for its signatures from an offline domain, and from which.
func (s *State) Exported(id custody.RequestID) (custody.DomainID, bool) {
	n, ok := s.cold.open[id]
	if !ok {
		return custody.DomainID{}, false
	}
	return s.cold.domains[s.cold.away[n].Domain].ID, true
}

// ExportedTo lists the requests whose latest permits wait for their signatures from an offline domain, by permit. The caller must not change
// what it gets.
func (s *State) ExportedTo(id custody.DomainID) (out []*Signed) {
	for r, n := range s.cold.open {
		if s.cold.domains[s.cold.away[n].Domain].ID == id {
			out = append(out, s.signed[r])
		}
	}
	slices.SortFunc(out, func(a, b *Signed) int { return cmp.Compare(a.Permit, b.Permit) })
	return out
}

// changed replaces where a wallet's key is by a changed copy: what points to it may have been given out.
func (c *cold) changed(n uint32, change func(*Away)) {
	a := *c.away[n]
	change(&a)
	c.away[n] = &a
}

// MayPermit says whether a wallet may have a permit, whose key may be on its way back.
func (s *State) MayPermit(id custody.WalletID) error {
	a, ok := s.Away(id)
	switch {
	case !ok:
		return nil
	case a.Way == Coming:
		return problem.New(problem.KeyAway, "the key of wallet %q is on its way back from the offline domain %q, entry %d; its transfers are signed when the result that brings it is imported",
			id, s.cold.domains[a.Domain].Name, a.Move)
	case len(s.cold.open) >= MaxExported:
		return problem.New(problem.Busy, "%d permits wait for offline domains already", MaxExported)
	}
	return nil
}

// export notes that a permit of a request waits for its signatures from the offline domain that has the wallet's key, if one has.
func (s *State) export(wallet int, request custody.RequestID) {
	if _, away := s.cold.away[uint32(wallet)]; away {
		s.cold.open[request] = uint32(wallet)
	}
}

// coldSeed says whether a seed is a cold wallet's. That wallet is its only one.
func (s *State) coldSeed(id custody.KeyID) (custody.WalletID, bool) {
	i, ok := s.keyIndex[id]
	if !ok || s.seedUses[i].count == 0 {
		return "", false
	}
	n := s.seedUses[i].first
	_, away := s.cold.away[n]
	return s.walletList[n].ID, away
}

// coldImage gives section 19, which is left out where there is nothing in it.
func (s *State) coldImage() *coldSection {
	if len(s.cold.domains) == 0 {
		return nil
	}
	m := &coldSection{Domains: s.cold.domains}
	for _, n := range slices.Sorted(maps.Keys(s.cold.away)) {
		m.Away = append(m.Away, *s.cold.away[n])
	}
	for r, n := range s.cold.open {
		m.Open = append(m.Open, exportRecord{r, n})
	}
	slices.SortFunc(m.Open, func(a, b exportRecord) int {
		return cmp.Compare(s.signed[a.Request].Permit, s.signed[b.Request].Permit)
	})
	for _, n := range slices.Sorted(maps.Keys(s.cold.back)) {
		m.Back = append(m.Back, backRecord{n, s.cold.back[n]})
	}
	return m
}

// restoreCold takes section 19 of an image. The wallets and the signed requests are there already.
func (s *State) restoreCold(m *coldSection) error {
	if m == nil {
		return nil
	}
	if len(m.Domains) == 0 || len(m.Domains) > MaxOffline {
		return fmt.Errorf("%d offline domains", len(m.Domains))
	}
	for _, d := range m.Domains {
		if _, err := tlog.UnmarshalFrontier(d.Frontier); err != nil {
			return fmt.Errorf("offline domain %s: %w", d.ID, err)
		}
	}
	for i, a := range m.Away {
		if int(a.Wallet) >= len(s.walletList) || int(a.Domain) >= len(m.Domains) || i > 0 && m.Away[i-1].Wallet >= a.Wallet || a.Way < Leaving || a.Way > Coming {
			return errors.New("cold wallets are out of order, or don't exist")
		}
		s.cold.away[a.Wallet] = &a
	}
	for _, x := range m.Open {
		if _, ok := s.signed[x.Request]; !ok || s.cold.away[x.Wallet] == nil {
			return errors.New("a request waits for an offline domain, and has no permit or no cold wallet")
		}
		s.cold.open[x.Request] = x.Wallet
	}
	for i, x := range m.Back {
		if int(x.Wallet) >= len(s.walletList) || i > 0 && m.Back[i-1].Wallet >= x.Wallet {
			return errors.New("wallets whose keys came back are out of order, or don't exist")
		}
		s.cold.back[x.Wallet] = x.Since
	}
	s.cold.domains = m.Domains
	return nil
}
