// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// WarmSession is an open session of a warm wallet. docs/spec/warm.md.
type WarmSession struct {
	Asset     custody.AssetID `cbor:"1,keyasint"`
	Amount    custody.Uint256 `cbor:"2,keyasint"` // that it was opened for, base units of the asset
	Remaining custody.Uint256 `cbor:"3,keyasint"` // that no permit has taken yet
	NotAfter  int64           `cbor:"4,keyasint"` // Unix seconds
	Seq       uint64          `cbor:"5,keyasint"` // entry that opened it
}

// warmRecord is a warm wallet in the image.
type warmRecord struct {
	Wallet   uint32        `cbor:"1,keyasint"`           // position in the list of wallets
	Sessions []WarmSession `cbor:"2,keyasint,omitempty"` // by asset
}

// MaxWarmSessions is how many sessions of warm wallets are open at a time.
const MaxWarmSessions = 10_000

// seedUse says which wallets have a seed.
type seedUse struct{ first, count uint32 } // position of the first, and how many

// useSeed counts a wallet of a seed that exists.
func (s *State) useSeed(w entry.Wallet, number int) {
	u := &s.seedUses[s.keyIndex[w.Key]]
	if u.count == 0 {
		u.first = uint32(number)
	}
	u.count++
}

// warmSeed says whether a seed is a warm wallet's. That wallet is its only one.
func (s *State) warmSeed(id custody.KeyID) (custody.WalletID, bool) {
	i, ok := s.keyIndex[id]
	if !ok || s.seedUses[i].count == 0 {
		return "", false
	}
	n := s.seedUses[i].first
	_, warm := s.warm[n]
	return s.walletList[n].ID, warm
}

// Temperature gives a wallet's temperature; hot, if there is no such wallet.
func (s *State) Temperature(id custody.WalletID) request.Temperature {
	if i, ok := s.walletIndex[id]; ok {
		if _, away := s.cold.away[uint32(i)]; away {
			return request.Cold
		}
		if _, warm := s.warm[uint32(i)]; warm {
			return request.Warm
		}
	}
	return request.Hot
}

// WarmSessions gives the sessions of a wallet that have not ended for certain, by asset.
func (s *State) WarmSessions(id custody.WalletID) []WarmSession {
	i, ok := s.walletIndex[id]
	if !ok {
		return nil
	}
	return slices.Clone(s.warm[uint32(i)])
}

// WarmWallets lists the warm wallets in order of birth; with open, those with a session that has not ended for certain.
func (s *State) WarmWallets(open bool) (out []custody.WalletID) {
	for _, n := range slices.Sorted(maps.Keys(s.warm)) {
		if !open || len(s.warm[n]) > 0 {
			out = append(out, s.walletList[n].ID)
		}
	}
	return out
}

// WarmSession gives the session that lets a warm wallet's keys be used for an asset now, or the problem that says that none does.
func (s *State) WarmSession(id custody.WalletID, asset custody.AssetID, at Moment) (WarmSession, error) {
	if i, ok := s.walletIndex[id]; ok {
		list := s.warm[uint32(i)]
		if j := sessionOf(list, asset); j >= 0 && !Expired(list[j].NotAfter, at.Time, at.Bound) {
			return list[j], nil
		}
	}
	return WarmSession{}, problem.New(problem.WarmClosed, "wallet %q is warm, and no session of it for %s is open; 'strongroom warm open' asks for one", id, asset)
}

func sessionOf(list []WarmSession, asset custody.AssetID) int {
	return slices.IndexFunc(list, func(x WarmSession) bool { return x.Asset == asset })
}

// warmCost is what a permit takes from a session: the amount, and the fee too where it is paid in the session's asset.
func warmCost(asset custody.AssetID, amount, fee custody.Uint256) (cost custody.Uint256, fits bool) {
	if asset != asset.Chain().Native() {
		return amount, true
	}
	return amount.Add(fee)
}

// takeWarm gives what takes an amount and a fee out of the session of a warm wallet, for ever. A hot wallet needs none.
func (s *State) takeWarm(wallet int, asset custody.AssetID, amount, fee custody.Uint256, at Moment) (func(), error) {
	list, warm := s.warm[uint32(wallet)]
	if !warm {
		return func() {}, nil
	}
	id := s.walletList[wallet].ID
	x, err := s.WarmSession(id, asset, at)
	if err != nil {
		return nil, err
	}
	cost, ok := warmCost(asset, amount, fee)
	rest, enough := x.Remaining.Sub(cost)
	if !ok || !enough {
		return nil, problem.New(problem.WarmClosed, "the session of wallet %q for %s (entry %d) has %s left, and this takes %s with its fee; 'strongroom warm open' asks for another one",
			id, asset, x.Seq, x.Remaining, cost)
	}
	return func() {
		left := slices.Clone(list)
		left[sessionOf(left, asset)].Remaining = rest
		s.warm[uint32(wallet)] = left
	}, nil
}

// warmChange is what an operation on a wallet's temperature does.
type warmChange struct {
	wallet entry.Wallet
	effect entry.Warm
	apply  func(seq uint64)
}

// changeWarm says what an operation on the temperature of a wallet does in the state as it is.
func (s *State) changeWarm(o request.WarmBody, at Moment) (c warmChange, err error) {
	if c.wallet, _, err = s.wallet(o.Of()); err != nil {
		return c, err
	}
	n := uint32(s.walletIndex[c.wallet.ID])
	list, warm := s.warm[n]
	c.effect.Wallet = c.wallet.ID
	if _, away := s.cold.away[n]; away {
		return c, problem.New(problem.Conflict, "wallet %q is cold: a wallet_move brings it back, hot or warm", c.wallet.ID)
	}
	switch o := o.(type) {
	case *request.WalletTemperatureBody:
		err = s.changeTemperature(&c, n, o, list, warm)
	case *request.WarmOpenBody:
		err = s.openWarm(&c, n, o, list, warm, at)
	case *request.WarmCloseBody:
		if len(list) == 0 {
			return c, problem.New(problem.Conflict, "wallet %q has no session to close", o.Wallet)
		}
		c.effect.Closed = assetsOf(list)
		c.apply = func(uint64) { s.setSessions(n, nil) }
	default:
		err = fmt.Errorf("body of type %T is not about a temperature", o)
	}
	return c, err
}

func (s *State) changeTemperature(c *warmChange, n uint32, o *request.WalletTemperatureBody, list []WarmSession, warm bool) error {
	if warm == (o.To == request.Warm) {
		return problem.New(problem.Conflict, "wallet %q is %s already", o.Wallet, o.To)
	}
	if o.To == request.Warm {
		if err := maySetWarm(c.wallet); err != nil {
			return err
		}
	}
	if u := s.seedUses[s.keyIndex[c.wallet.Key]]; o.To == request.Warm && u.count != 1 {
		return problem.New(problem.Conflict, "wallet %q can't be warm: %d other wallets have its seed, which opens for them too; make a warm wallet with a new seed and pay into that", o.Wallet, u.count-1)
	}
	c.effect.To, c.effect.Closed = o.To, assetsOf(list)
	c.apply = func(uint64) {
		s.setSessions(n, nil)
		if o.To == request.Hot {
			delete(s.warm, n)
		}
	}
	return nil
}

func (s *State) openWarm(c *warmChange, n uint32, o *request.WarmOpenBody, list []WarmSession, warm bool, at Moment) error {
	old := sessionOf(list, o.Asset)
	switch {
	case o.Asset.Chain() != c.wallet.Chain:
		return problem.New(problem.WrongNetwork, "wallet %q is on %s; the asset is on %s", o.Wallet, c.wallet.Chain, o.Asset.Chain())
	case !warm:
		return problem.New(problem.Conflict, "wallet %q is hot: its transfers need no session", o.Wallet)
	case Expired(o.NotAfter, at.Time, at.Bound):
		return problem.New(problem.Expired, "the end of the session is past")
	case o.NotAfter*1e9 > at.Time+at.Bound+request.MaxWarm*1e9:
		return problem.New(problem.Malformed, "a session ends within %d seconds from now", request.MaxWarm)
	case old < 0 && s.warmCount >= MaxWarmSessions:
		return problem.New(problem.Busy, "%d sessions of warm wallets are open already", MaxWarmSessions)
	}
	c.effect.Opened = &entry.WarmSession{Asset: o.Asset, Amount: o.Amount, NotAfter: o.NotAfter}
	if old >= 0 {
		c.effect.Closed = []custody.AssetID{o.Asset}
	}
	c.apply = func(seq uint64) {
		kept := slices.DeleteFunc(slices.Clone(list), func(x WarmSession) bool { return x.Asset == o.Asset })
		kept = append(kept, WarmSession{Asset: o.Asset, Amount: o.Amount, Remaining: o.Amount, NotAfter: o.NotAfter, Seq: seq})
		slices.SortFunc(kept, func(a, b WarmSession) int { return cmp.Compare(a.Asset, b.Asset) })
		s.setSessions(n, kept)
		s.expiry.push(deadline{at: o.NotAfter, seq: seq, warm: true, wallet: n})
	}
	return nil
}

// setSessions sets the sessions of a warm wallet, or of one that becomes warm.
func (s *State) setSessions(n uint32, list []WarmSession) {
	s.warmCount += len(list) - len(s.warm[n])
	s.warm[n] = list
}

// endWarm ends the session that an entry opened, if it is still there.
func (s *State) endWarm(d deadline) {
	if !d.warm {
		return
	}
	list := s.warm[d.wallet]
	if i := slices.IndexFunc(list, func(x WarmSession) bool { return x.Seq == d.seq }); i >= 0 {
		s.setSessions(d.wallet, slices.Delete(slices.Clone(list), i, i+1))
	}
}

func assetsOf(list []WarmSession) (out []custody.AssetID) {
	for _, x := range list {
		out = append(out, x.Asset)
	}
	return out
}

func (s *State) applyWarm(l entry.Leaf, o request.WarmBody, b *entry.Effect) (func(), error) {
	c, err := s.changeWarm(o, Moment{l.Time, l.Bound})
	if err != nil {
		return nil, err
	}
	if b.Document != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Life != nil || !slices.Equal(canon.Encode(b.Warm), canon.Encode(&c.effect)) {
		return nil, errors.New("the effect is not what the request does to the wallet's temperature and sessions")
	}
	return func() { c.apply(l.Seq) }, nil
}

// warmImage lists the warm wallets for the image.
func (s *State) warmImage() (out []warmRecord) {
	for _, n := range slices.Sorted(maps.Keys(s.warm)) {
		out = append(out, warmRecord{n, s.warm[n]})
	}
	return out
}

// restoreWarm takes the warm wallets of an image. The wallets are there already.
func (s *State) restoreWarm(m Image) error {
	for i, r := range m.Warm {
		if int(r.Wallet) >= len(s.walletList) || i > 0 && m.Warm[i-1].Wallet >= r.Wallet {
			return errors.New("warm wallets are out of order, or don't exist")
		}
		for j, x := range r.Sessions {
			if j > 0 && r.Sessions[j-1].Asset >= x.Asset || x.Remaining.Cmp(x.Amount) > 0 {
				return errors.New("sessions of a warm wallet are out of order, or hold more than they were opened for")
			}
			s.expiry.push(deadline{at: x.NotAfter, seq: x.Seq, warm: true, wallet: r.Wallet})
		}
		s.setSessions(r.Wallet, r.Sessions)
	}
	return nil
}
