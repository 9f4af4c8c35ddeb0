// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// modelWarm is a warm wallet as the model keeps it: every permit that a session paid for is written down, and what is left is reckoned anew
// each time.
type modelWarm struct {
	wallet   int
	sessions []modelSession
}

type modelSession struct {
	WarmSession
	taken []custody.Uint256
}

func (m model) cloneWarm() (out []modelWarm) {
	for _, w := range m.warm {
		w.sessions = slices.Clone(w.sessions)
		for i := range w.sessions {
			w.sessions[i].taken = slices.Clone(w.sessions[i].taken)
		}
		out = append(out, w)
	}
	return out
}

// left is what a session has not paid yet.
func (x modelSession) left() custody.Uint256 {
	rest := x.Amount
	for _, t := range x.taken {
		rest, _ = rest.Sub(t)
	}
	return rest
}

func (m model) warmImage() (out []warmRecord) {
	for _, w := range m.warm {
		r := warmRecord{Wallet: uint32(w.wallet)}
		for _, x := range w.sessions {
			x.Remaining = x.left()
			r.Sessions = append(r.Sessions, x.WarmSession)
		}
		slices.SortFunc(r.Sessions, func(a, b WarmSession) int { return cmp.Compare(a.Asset, b.Asset) })
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b warmRecord) int { return cmp.Compare(a.Wallet, b.Wallet) })
	return out
}

func (m *model) warmOf(wallet int) *modelWarm {
	for i := range m.warm {
		if m.warm[i].wallet == wallet {
			return &m.warm[i]
		}
	}
	return nil
}

// pay takes an amount, and a fee, from a session of a wallet, if it is warm.
func (m *model) pay(wallet int, asset custody.AssetID, amount, fee custody.Uint256, at Moment) error {
	w := m.warmOf(wallet)
	if w == nil {
		return nil
	}
	for i := range w.sessions {
		x := &w.sessions[i]
		if x.Asset != asset || at.Time+at.Bound > x.NotAfter*1e9 {
			continue
		}
		all := []custody.Uint256{amount}
		if asset == m.wallets[wallet].Chain.Native() {
			all = append(all, fee)
		}
		x.taken = append(x.taken, all...)
		sum := custody.Uint256{}
		for _, t := range x.taken {
			sum, _ = sum.Add(t)
		}
		return ensure(sum.Cmp(x.Amount) <= 0)
	}
	return errModel
}

func (m *model) warmEffect(l entry.Leaf, at Moment, o request.WarmBody, b *entry.Effect) error {
	n := m.walletNumber(o.Of())
	if n < 0 || m.awayOf(n) != nil || b.Life != nil || b.Wallet != nil || b.Key != nil || b.Addresses != nil || b.Document != nil || b.Warm == nil {
		return errModel
	}
	want := entry.Warm{Wallet: o.Of()}
	w := m.warmOf(n)
	if w != nil {
		for _, x := range m.warmImage() {
			for _, s := range x.Sessions {
				if open, is := o.(*request.WarmOpenBody); int(x.Wallet) == n && (!is || open.Asset == s.Asset) {
					want.Closed = append(want.Closed, s.Asset)
				}
			}
		}
	}
	switch o := o.(type) {
	case *request.WalletTemperatureBody:
		want.To = o.To
		if o.To == request.Hot {
			if w == nil {
				return errModel
			}
			m.warm = slices.DeleteFunc(m.warm, func(x modelWarm) bool { return x.wallet == n })
			break
		}
		same := 0
		for _, x := range m.wallets {
			if x.Key == m.wallets[n].Key {
				same++
			}
		}
		if w != nil || same != 1 {
			return errModel
		}
		m.warm = append(m.warm, modelWarm{wallet: n})
	case *request.WarmOpenBody:
		if w == nil || o.Asset.Chain() != m.wallets[n].Chain || at.Time+at.Bound > o.NotAfter*1e9 || o.NotAfter*1e9 > at.Time+at.Bound+7*24*3600*1e9 {
			return errModel
		}
		want.Opened = &entry.WarmSession{Asset: o.Asset, Amount: o.Amount, NotAfter: o.NotAfter}
		w.sessions = slices.DeleteFunc(w.sessions, func(x modelSession) bool { return x.Asset == o.Asset })
		w.sessions = append(w.sessions, modelSession{WarmSession: WarmSession{Asset: o.Asset, Amount: o.Amount, NotAfter: o.NotAfter, Seq: l.Seq}})
	case *request.WarmCloseBody:
		if w == nil || len(w.sessions) == 0 {
			return errModel
		}
		w.sessions = nil
	}
	return ensure(bytes.Equal(canon.Encode(want), canon.Encode(b.Warm)))
}

// noWarmSeed refuses a wallet of a warm wallet's seed.
func (m *model) noWarmSeed(seed custody.KeyID) error {
	for _, w := range m.warm {
		if m.wallets[w.wallet].Key == seed {
			return errModel
		}
	}
	return nil
}

func (m *model) closeWarm(over func(WarmSession) bool) {
	for i := range m.warm {
		m.warm[i].sessions = slices.DeleteFunc(m.warm[i].sessions, func(x modelSession) bool { return over(x.WarmSession) })
	}
}

const token custody.AssetID = "eip155:1337/erc20:" + known

// warmRequest draws an operation on a temperature. Those of the wallet vault, which the driver makes warm, mostly fit.
func (d *driver) warmRequest(t *rapid.T) (request.Operation, any) {
	wallet := rapid.SampledFrom([]custody.WalletID{"vault", "vault", "vault", "vault", "hot", "cold", "w-1"}).Draw(t, "warm wallet")
	switch n := rapid.IntRange(0, 9).Draw(t, "warm operation"); {
	case n == 0 || n == 9:
		return request.WalletTemperature, request.WalletTemperatureBody{Wallet: wallet, To: rapid.SampledFrom([]request.Temperature{request.Hot, request.Warm}).Draw(t, "to")}
	case n <= 2:
		return request.WarmClose, request.WarmCloseBody{Wallet: wallet}
	case n == 3 && d.s.Temperature("vault") == request.Hot:
		return request.WalletTemperature, request.WalletTemperatureBody{Wallet: "vault", To: request.Warm}
	default:
		asset := rapid.SampledFrom([]custody.AssetID{evm.Native(), evm.Native(), token, regtest.Native()}).Draw(t, "session asset")
		ahead := rapid.SampledFrom([]int64{-1, 1, 60, 3600, 48 * 3600, 7 * 24 * 3600, 7*24*3600 + 61}).Draw(t, "session end")
		return request.WarmOpen, request.WarmOpenBody{Wallet: wallet, Asset: asset, Amount: custody.U64(rapid.Uint64Range(1, 800).Draw(t, "session amount")), NotAfter: d.now/1e9 + ahead}
	}
}

// payVault pays from the warm wallet.
func payVault(t *rapid.T) request.TransferBody {
	b := payEVM(rapid.Uint64Range(1, 300).Draw(t, "vault amount"))
	b.Wallet, b.Asset = "vault", rapid.SampledFrom([]custody.AssetID{evm.Native(), evm.Native(), token}).Draw(t, "vault asset")
	return b
}

// left counts the vault's sessions of an asset.
func (d *driver) left(asset custody.AssetID) (n int) {
	for _, x := range d.s.WarmSessions("vault") {
		if x.Asset == asset {
			n++
		}
	}
	return n
}

// vaultStory is a transfer of the warm wallet with a permit and perhaps replacements of it.
func (d *driver) vaultStory(t *rapid.T) {
	b := payVault(t)
	if d.left(b.Asset) == 0 && rapid.IntRange(0, 3).Draw(t, "without a session") > 0 {
		d.through(t, request.WarmOpen, request.WarmOpenBody{Wallet: "vault", Asset: b.Asset, Amount: custody.U64(rapid.Uint64Range(1, 800).Draw(t, "for")),
			NotAfter: d.now/1e9 + rapid.SampledFrom([]int64{1, 60, 3600}).Draw(t, "until")})
		if rapid.IntRange(0, 5).Draw(t, "close") == 0 {
			d.through(t, request.WarmClose, request.WarmCloseBody{Wallet: "vault"})
		}
	}
	r := d.request(who("alice"), request.Transfer, b)
	e := d.decided(t, who("alice"), r)
	if e == nil {
		return
	}
	d.submit(t, e)
	for _, n := range []string{"bob", "carol"} {
		d.submit(t, d.approval(t, r.ID(), who(n), request.Approve))
	}
	slot := account0(d.s.NextNonce("vault", 0))
	for i := range rapid.IntRange(1, 3).Draw(t, "attempts") {
		if _, waits := d.s.Pending(r.ID()); !waits && i == 0 {
			return
		}
		b := d.permit(t, r.ID(), fmt.Sprintf("vault %d", i), slot, uint64(1+i*rapid.IntRange(1, 200).Draw(t, "more fee")))
		b.Wallet = "vault"
		d.submit(t, b)
	}
}
