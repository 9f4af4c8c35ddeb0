// SPDX-License-Identifier: Apache-2.0

package payload

import (
	"errors"
	"slices"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/wallet"
)

// sequence of every input: replaceable (BIP-125), no relative lock time. The core requires it.
const sequence = 0xfffffffd

// raiseDivisor says how much more a replacement pays at least, beside what nodes ask for relaying it: a twentieth. Nodes
// compare rates by the size of the signatures that came out, which this package knows only within a percent.
const raiseDivisor = 20

// BitcoinInput is what a Bitcoin transaction is built from.
type BitcoinInput struct {
	Asked
	Funds      wallet.Funds
	NextChange uint32                // least change index that no permit has paid
	Rate       chain.FeeRate         // of the moment
	Taken      map[btc.OutPoint]bool // inputs that the core says an earlier permit took; nil for none
	Derive     authority.Deriver
}

// Bitcoin builds the PSBT: inputs that are worth the outputs and the fee, exactly the outputs that were asked for, in their
// order, and at most one more, the change, to the wallet's next change address. It spends confirmed coins where they are
// enough. Its refusals are insufficient-funds with what is there and needed, outside-bounds with the fee cap that would be
// enough, malformed for an output that no node relays, and too-large.
func Bitcoin(in BitcoinInput) ([]byte, error) {
	outs, err := in.outputs()
	if err != nil {
		return nil, err
	}
	w := in.Funds.Wallet
	change, err := in.Derive(w, entry.KeyPath{Branch: 1, Index: in.NextChange})
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "derive the change address of wallet %q", w.ID)
	}
	s, err := newSizing(in.Rate.Clamp(), outs, change.Script)
	if err != nil {
		return nil, tooLarge(err)
	}
	p, err := in.pick(s)
	if err != nil {
		return nil, err
	}
	if err := in.underCap(custody.U64(uint64(p.fee))); err != nil {
		return nil, err
	}
	slices.SortFunc(p.coins, func(a, b wallet.Fund) int { return compareOutPoints(a.OutPoint, b.OutPoint) })
	tx := btc.UnsignedTx{Version: 2, Outputs: outs}
	prevouts := make([]btc.TxOut, len(p.coins))
	for i, c := range p.coins {
		tx.Inputs = append(tx.Inputs, btc.TxIn{OutPoint: c.OutPoint, Sequence: sequence})
		prevouts[i] = c.Output
	}
	if p.change > 0 {
		tx.Outputs = append(slices.Clip(outs), btc.TxOut{Value: p.change, Script: change.Script})
	}
	if _, err := tx.MaxSignedWeight(prevouts); err != nil {
		return nil, tooLarge(err)
	}
	psbt, err := btc.NewPSBT(tx, prevouts)
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "build the payload")
	}
	for i, c := range p.coins {
		if psbt.Inputs[i].PSBTKeys, err = in.keys(w, c.Key, c.Output.Script); err != nil {
			return nil, err
		}
		psbt.Inputs[i].NonWitnessUTXO = c.PrevTx
	}
	if p.change > 0 {
		key := entry.KeyPath{Branch: 1, Index: in.NextChange}
		if psbt.Outputs[len(outs)].PSBTKeys, err = in.keys(w, key, change.Script); err != nil {
			return nil, err
		}
	}
	b, err := psbt.Encode()
	if err != nil {
		return nil, tooLarge(err)
	}
	return b, nil
}

// outputs reads what was asked for.
func (in BitcoinInput) outputs() ([]btc.TxOut, error) {
	e := in.Effects
	if e.Operation != request.Transfer || len(e.Outputs) == 0 {
		return nil, problem.New(problem.Unsupported, "only a transfer with outputs becomes a Bitcoin transaction")
	}
	if e.Chain != in.Funds.Wallet.Chain || e.Asset != e.Chain.Native() || e.Wallet != in.Funds.Wallet.ID {
		return nil, problem.New(problem.WrongNetwork, "the funds are of wallet %q on %s; %s of wallet %q is asked for",
			in.Funds.Wallet.ID, in.Funds.Wallet.Chain, e.Asset, e.Wallet)
	}
	n, err := request.BitcoinNetwork(e.Chain)
	if err != nil {
		return nil, problem.New(problem.WrongNetwork, "%v", err)
	}
	var outs []btc.TxOut
	var sum btc.Sat
	for i, o := range e.Outputs {
		script, err := btc.ParseAddress(n, o.Address)
		if err != nil {
			return nil, problem.New(problem.Malformed, "output %d: %v", i, err)
		}
		v, ok := o.Amount.Uint64()
		if sum, err = sum.CheckedAdd(btc.Sat(v)); !ok || err != nil {
			return nil, problem.New(problem.Malformed, "output %d pays more than there is", i)
		}
		if least := script.DustLimit(); btc.Sat(v) < least {
			return nil, problem.New(problem.Malformed, "output %d pays %d satoshi; nodes relay no less than %d to such an address", i, v, least)
		}
		outs = append(outs, btc.TxOut{Value: btc.Sat(v), Script: script})
	}
	return outs, nil
}

// pick chooses inputs: from coins in blocks, and only if they are too few or too dear from unconfirmed change too.
func (in BitcoinInput) pick(s sizing) (pick, error) {
	var confirmed, all []wallet.Fund
	for _, c := range in.Funds.Coins {
		if c.State != wallet.Spendable || in.Taken[c.OutPoint] || c.Output.Value <= s.later() {
			continue // the last: spending it costs more than it brings
		}
		all = append(all, c)
		if c.Depth > 0 {
			confirmed = append(confirmed, c)
		}
	}
	p, ok := s.choose(confirmed)
	if (!ok || in.underCap(custody.U64(uint64(p.fee))) != nil) && len(all) > len(confirmed) {
		if q, enough := s.choose(all); enough && (!ok || q.fee < p.fee) {
			p, ok = q, true
		}
	}
	if ok {
		return p, nil
	}
	need := s.outs + s.fee(max(len(all), 1), false)
	b := in.Funds.Balance()
	why := "amount and fee"
	if waits := b.Confirming + b.Immature + b.Reserved + b.Unconfirmed; waits > 0 {
		why += "; another " + custody.U64(uint64(waits)).String() + " wait for confirmations or are reserved for other transfers"
	}
	return p, insufficient(in.Effects.Asset, custody.U64(uint64(sumOf(all))), custody.U64(uint64(need)), why)
}

// keys says whose key a script is and where it comes from, after deriving it.
func (in BitcoinInput) keys(w entry.Wallet, key entry.KeyPath, script btc.Script) (k btc.PSBTKeys, err error) {
	d, err := in.Derive(w, key)
	if err != nil {
		return k, problem.Wrap(problem.Internal, err, "derive %d/%d of wallet %q", key.Branch, key.Index, w.ID)
	}
	if !d.Script.Equal(script) {
		return k, problem.New(problem.Internal, "a coin of wallet %q does not pay its address %d/%d; scan the chain again", w.ID, key.Branch, key.Index)
	}
	path, err := authority.AccountPath(w)
	if err != nil {
		return k, problem.Wrap(problem.Internal, err, "account path of wallet %q", w.ID)
	}
	origin := btc.KeyOrigin{Fingerprint: w.Master, Path: append(slices.Clone(path), key.Branch, key.Index)}
	if w.Scheme == request.SchemeP2TR {
		x := d.Public.XOnly()
		k.TapInternalKey, k.TapDerivation = &x, &btc.TapDerivation{InternalKey: x, Origin: origin}
		return k, nil
	}
	k.Derivation = &btc.Derivation{Key: d.Public, Origin: origin}
	return k, nil
}

// tooLarge tells a transaction that is over a limit from other failures.
func tooLarge(err error) error {
	if errors.Is(err, btc.ErrTooLarge) {
		return problem.Wrap(problem.TooLarge, err, "the transaction would be too large: %v. Pay fewer outputs, or first pay yourself to join small coins", err)
	}
	return problem.Wrap(problem.Internal, err, "build the payload")
}
