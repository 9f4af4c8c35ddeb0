// SPDX-License-Identifier: Apache-2.0

package wallet

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/svc/chain"
)

// maxUnconfirmed is how many unconfirmed transactions of ours may stand in a row. Nodes accept 25 (policy); the rest is left
// for a replacement that somebody may want to chain on.
const maxUnconfirmed = 20

// ErrNotWatched says that a scanner does not know a wallet.
var ErrNotWatched = errors.New("wallet is not watched")

// Rules say when a coin may be spent.
type Rules struct {
	Deposit           uint64 // confirmations of a coin on a receiving address, at least 1
	Change            uint64 // confirmations of a coin on a change address, at least 1
	UnconfirmedChange bool   // spend own change at once, where it can't be replaced
}

// Check says whether r makes sense.
func (r Rules) Check() error {
	if r.Deposit == 0 || r.Change == 0 {
		return errors.New("rules for spending: deposits and change need at least 1 confirmation; own change is let go earlier by UnconfirmedChange")
	}
	return nil
}

// FundState says whether a coin may be spent.
type FundState uint8

// The states.
const (
	Spendable   FundState = iota + 1
	Confirming            // too few confirmations
	Immature              // coinbase that is not buried deep enough
	Reserved              // an unsettled attempt spends it
	Unconfirmed           // own change that is not in a block, and may not be spent yet
)

// Fund is a coin and whether it may be spent.
type Fund struct {
	Coin
	Depth uint64 // confirmations: 1 in the last scanned block, 0 for own unconfirmed change
	State FundState
}

// Funds are the coins of a wallet as of a block.
type Funds struct {
	Wallet  entry.Wallet
	Scanned chain.Block
	Coins   []Fund
}

// Balance is what funds sum up to, in satoshi.
type Balance struct {
	Confirmed   btc.Sat // all coins in blocks, reserved ones too
	Spendable   btc.Sat
	Confirming  btc.Sat
	Immature    btc.Sat
	Reserved    btc.Sat
	Unconfirmed btc.Sat // change of unsettled attempts that may not be spent yet; spendable change counts as Spendable
}

// Balance sums up.
func (f Funds) Balance() Balance {
	var b Balance
	for _, c := range f.Coins {
		if c.Depth > 0 {
			b.Confirmed += c.Output.Value
		}
		switch c.State {
		case Spendable:
			b.Spendable += c.Output.Value
		case Confirming:
			b.Confirming += c.Output.Value
		case Immature:
			b.Immature += c.Output.Value
		case Reserved:
			b.Reserved += c.Output.Value
		case Unconfirmed:
			b.Unconfirmed += c.Output.Value
		}
	}
	return b
}

// Funds gives the coins of a watched wallet, those in blocks and the change of unsettled attempts, and says which may be spent.
// Who builds payloads from it does so one after the other for each wallet, and records the attempt before the next one:
// between the two nothing here keeps a coin from being chosen twice. (The core would refuse the second.)
func (s *Scanner) Funds(ctx context.Context, id custody.WalletID, attempts Attempts, r Rules) (Funds, error) {
	if err := r.Check(); err != nil {
		return Funds{}, err
	}
	w, ok := s.scripts.wallet(id)
	if !ok {
		return Funds{}, fmt.Errorf("wallet %s: %w", id, ErrNotWatched)
	}
	f := Funds{Wallet: w}
	// The attempts are read first: one that is settled between the two reads has spent its coins in the store by then.
	unsettled, err := attempts.Attempts(ctx, id)
	if err != nil {
		return Funds{}, err
	}
	blocks, err := s.cfg.Store.Blocks(ctx, s.cfg.Chain)
	if err != nil {
		return Funds{}, err
	}
	if len(blocks) > 0 {
		f.Scanned = blocks[len(blocks)-1]
	}
	coins, err := s.cfg.Store.Coins(ctx, id)
	if err != nil {
		return Funds{}, err
	}
	p, err := readAttempts(unsettled)
	if err != nil {
		return Funds{}, fmt.Errorf("wallet %s: %w", id, err)
	}
	for _, c := range coins {
		f.Coins = append(f.Coins, f.fund(c, p, r))
	}
	f.Coins = append(f.Coins, s.change(w, p, f.Coins, r)...)
	return f, nil
}

// fund says whether a coin in a block may be spent.
func (f Funds) fund(c Coin, p plans, r Rules) Fund {
	out := Fund{Coin: c, State: Spendable}
	if f.Scanned.Height >= c.Height { // the view may be a block older than the coin
		out.Depth = f.Scanned.Height - c.Height + 1
	}
	need := r.Deposit
	if c.Key.Branch == 1 {
		need = r.Change
	}
	switch {
	case len(p.spenders[c.OutPoint]) > 0:
		out.State = Reserved
	case c.Coinbase && out.Depth <= Maturity: // a block more than consensus asks: the next one may take this one's place
		out.State = Immature
	case out.Depth < need:
		out.State = Confirming
	}
	return out
}

// plans are unsettled attempts, decoded.
type plans struct {
	list     []plan
	spenders map[btc.OutPoint][]int // which of list spend an output
}

type plan struct {
	Attempt
	psbt btc.PSBT
	id   btc.TxID
}

func readAttempts(list []Attempt) (plans, error) {
	out := plans{spenders: map[btc.OutPoint][]int{}}
	for i, a := range list {
		p, err := btc.DecodePSBT(a.Payload)
		if err != nil {
			return plans{}, fmt.Errorf("unsettled attempt %d: %w", i, err)
		}
		out.list = append(out.list, plan{Attempt: a, psbt: p, id: p.Tx.TxID()})
		for _, in := range p.Tx.Inputs {
			out.spenders[in.OutPoint] = append(out.spenders[in.OutPoint], i)
		}
	}
	return out, nil
}

// change gives the change of attempts that no scanned block holds. It may be spent if the rules let it, its transaction was
// released and is its request's first, and no other attempt competes for an input of it or of an unconfirmed one before it: the loser's change never
// exists, and what spends it could never be mined.
func (s *Scanner) change(w entry.Wallet, p plans, confirmed []Fund, r Rules) []Fund {
	rows := map[btc.OutPoint]int{} // outputs that exist or will, with how many unconfirmed transactions stand behind
	safe := map[btc.OutPoint]bool{}
	for _, c := range confirmed {
		rows[c.OutPoint], safe[c.OutPoint] = 0, true
	}
	var out []Fund
	done := make([]bool, len(p.list))
	for progress := true; progress; { // attempts come in any order: go round until no parent is missing
		progress = false
		for i, a := range p.list {
			row, sure, ok := 0, a.Released && a.Number == 1, !done[i]
			for _, in := range a.psbt.Tx.Inputs {
				before, exists := rows[in.OutPoint]
				ok = ok && exists // an input that is gone: this attempt is in a block, or a rival is
				row = max(row, before)
				sure = sure && safe[in.OutPoint] && len(p.spenders[in.OutPoint]) == 1
			}
			if !ok {
				continue
			}
			done[i], progress = true, true
			for _, c := range s.ownOutputs(w, a) {
				rows[c.OutPoint], safe[c.OutPoint] = row+1, sure
				f := Fund{Coin: c, State: Unconfirmed}
				switch {
				case len(p.spenders[c.OutPoint]) > 0:
					f.State = Reserved
				case r.UnconfirmedChange && sure && row < maxUnconfirmed:
					f.State = Spendable
				}
				out = append(out, f)
			}
		}
	}
	return out
}

// ownOutputs gives the change outputs of an attempt as coins. The key origin in a payload is a claim, so the address is
// derived and compared.
func (s *Scanner) ownOutputs(w entry.Wallet, a plan) []Coin {
	var out []Coin
	for i, o := range a.psbt.Outputs {
		origin, ok := o.Origin()
		if !ok || len(origin.Path) < 2 {
			continue
		}
		n := len(origin.Path)
		key := entry.KeyPath{Branch: origin.Path[n-2], Index: origin.Path[n-1]}
		d, err := s.cfg.Derive(w, key)
		if err != nil || key.Branch != 1 || !d.Script.Equal(a.psbt.Tx.Outputs[i].Script) {
			continue
		}
		c := Coin{Wallet: w.ID, OutPoint: btc.OutPoint{TxID: a.id, Index: uint32(i)}, Output: a.psbt.Tx.Outputs[i], Key: key}
		if d.Script.Kind() == btc.KindP2WPKH {
			c.PrevTx = a.psbt.Tx.Encode()
		}
		out = append(out, c)
	}
	return out
}

// HasChild says whether an unsettled attempt spends an output of a transaction. Such a transaction must not be replaced: the
// child would become invalid, and its slot is used for ever. Raise the child's fee instead.
func HasChild(attempts []Attempt, id btc.TxID) (bool, error) {
	p, err := readAttempts(attempts)
	if err != nil {
		return false, err
	}
	for o := range p.spenders {
		if o.TxID == id {
			return true, nil
		}
	}
	return false, nil
}
