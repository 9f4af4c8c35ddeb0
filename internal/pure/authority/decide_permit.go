// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

func sha256Sum(b []byte) [32]byte { return sha256.Sum256(b) }

// Asked is a request as the log records it, for the acts that come after it.
type Asked struct {
	Request *request.Parsed
	Effects request.Effects
	Bounds  request.Bounds
	Kind    policy.EvidenceKind

	Simulation *simulation.Report // that came with it; nil: none
}

// Asked gives a request that waits as it was asked.
func (p *Pending) Asked() (Asked, error) {
	r, err := p.Parse()
	return Asked{Request: r, Effects: p.Effects, Bounds: p.Bounds, Kind: p.Evidence, Simulation: p.Simulation}, err
}

// DecidePermit says whether a payload may be signed for a request now: the entry to record. The payload is decoded here, built
// again from what was decoded and compared; then it must do what was approved and nothing else, within the bounds. A request
// that has a permit gets another one only for the same slot, with a higher fee.
func (s *State) DecidePermit(id custody.RequestID, asked Asked, payload []byte, at Moment, derive Deriver) (*entry.Permit, error) {
	if !asked.Effects.Operation.Signs() {
		return nil, problem.New(problem.Conflict, "a %s is executed, not signed", asked.Effects.Operation)
	}
	w, next, ok := s.Wallet(asked.Effects.Wallet)
	if !ok {
		return nil, problem.New(problem.NotFound, "wallet %q does not exist", asked.Effects.Wallet)
	}
	if err := s.free(s.walletIndex[w.ID]); err != nil {
		return nil, err
	}
	if err := s.MayPermit(w.ID); err != nil {
		return nil, err
	}
	out, err := CheckPayload(w, next[1]+ChangeGap, asked, payload, derive)
	if err != nil {
		return nil, err
	}
	out.Request, out.Attempt = id, 1
	if g, ok := s.signed[id]; ok {
		return out, s.decideReplacement(g, asked, out, at, derive)
	}
	p, ok := s.pending[id]
	if !ok {
		return nil, problem.New(problem.Conflict, "request %s does not wait to be signed", id)
	}
	d, err := s.decideNow(p, asked.Request, &out.Fee, at, derive)
	if err != nil {
		return nil, err
	}
	out.Decision, out.Approvals = d.decision, d.used
	if most := FeeCap(p.Bounds, p.Decision, out.Decision); out.Fee.Cmp(most) > 0 {
		return nil, problem.New(problem.OutsideBounds, "the payload may cost %s in fee; the cap is %s", out.Fee, most)
	}
	out.Trail = slices.Clone(p.Trail)
	if asked.Bounds.Slot == request.NoSlot {
		return out, s.warmMessage(w.ID)
	}
	if err := s.slotFree(w, out); err != nil {
		return nil, err
	}
	_, err = s.takeWarm(s.walletIndex[w.ID], asked.Effects.Asset, asked.Effects.Total, out.Fee, at)
	return out, err
}

// CheckPayload decodes a payload and says whether it does what was asked of a wallet and nothing else: the permit's payload, slot,
// keys, fee and change. Change addresses have indexes below changeEnd.
func CheckPayload(w entry.Wallet, changeEnd uint32, asked Asked, payload []byte, derive Deriver) (*entry.Permit, error) {
	switch o := asked.Request.Decoded.(type) {
	case *request.ContractCallBody:
		return callPayload(w, asked, o, payload)
	case *request.MessageSignBody:
		return messagePayload(w, asked, o, payload)
	}
	t, ok := asked.Request.Decoded.(*request.TransferBody)
	if !ok || len(asked.Effects.Outputs) == 0 {
		return nil, problem.New(problem.Conflict, "a %s has no payload", asked.Request.Operation)
	}
	out := &entry.Permit{Payload: payload, PayloadHash: canon.HashBytes(canon.TagPayload, payload), Wallet: w.ID}
	if w.Scheme == request.SchemeEVM {
		return out, ethereumPayload(w, asked, t.Source, out)
	}
	return out, bitcoinPayload(w, changeEnd, asked, out, derive)
}

// decideReplacement checks a further attempt. It rides on the approvals of the first, but not past a rule that denies now.
func (s *State) decideReplacement(g *Signed, asked Asked, out *entry.Permit, at Moment, derive Deriver) error {
	switch {
	case Expired(g.NotAfter, at.Time, at.Bound):
		return problem.New(problem.Expired, "the request is past its notAfter")
	case SlotHash(out.Wallet, out.Slot) != g.Slot:
		return problem.New(problem.OutsideBounds, "a replacement must use the slot of the first attempt (the same nonce, or the same inputs in the same order)")
	case out.PayloadHash == g.Payload:
		return problem.New(problem.AlreadyDone, "this payload has its permit already, entry %d", g.Permit)
	case out.Fee.Cmp(g.Fee) <= 0:
		return problem.New(problem.OutsideBounds, "a replacement must pay more fee than %s", g.Fee)
	}
	x, err := s.describe(asked.Request, asked.Kind, asked.Simulation, at, derive)
	if err != nil {
		return err
	}
	more, _ := out.Fee.Sub(g.Fee)
	c := s.Rules.Case(x.facts)
	out.Decision = s.limited(c, Charge(c, Judge(c, x.document), more, true), nil, at)
	if l, asks := s.asksPlan(out.Decision); asks { // a replacement has no approvals of its own
		return &problem.Error{Kind: problem.RefusedByRule, Detail: fmt.Sprintf("limit %q asks for a plan; ask anew for what the higher fee takes", l), Rule: l}
	}
	if out.Decision.Outcome != policy.Allowed {
		return refusal(out.Decision)
	}
	if most := FeeCap(request.Bounds{FeeCap: g.FeeCap}, out.Decision); out.Fee.Cmp(most) > 0 {
		return problem.New(problem.OutsideBounds, "the payload may cost %s in fee; the cap is %s", out.Fee, most)
	}
	if len(g.Trail) >= MaxTrail-1 {
		return problem.New(problem.TooLarge, "request %s has been replaced too often", g.ID)
	}
	out.Attempt, out.Trail = g.Attempt+1, slices.Clone(g.Trail)
	_, err = s.takeWarm(s.walletIndex[out.Wallet], g.Asset, custody.Uint256{}, more, at)
	return err
}

func (s *State) slotFree(w entry.Wallet, p *entry.Permit) error {
	if w.Scheme == request.SchemeEVM {
		if n := s.NextNonce(w.ID, p.Keys[0].Index); p.Slot.Nonce < n {
			return problem.New(problem.OutsideBounds, "nonce %d is taken by an earlier permit; the least free one is %d", p.Slot.Nonce, n)
		} else if p.Slot.Nonce > n {
			return problem.New(problem.OutsideBounds, "nonce %d would leave a gap that nothing could fill; the least free one is %d", p.Slot.Nonce, n)
		}
		return nil
	}
	for i, in := range p.Slot.Inputs {
		if s.Spent(in) {
			return problem.New(problem.OutsideBounds, "input %d is taken by an earlier permit", i)
		}
	}
	return nil
}

// ethereumPayload decodes an unsigned EIP-1559 transaction and compares it with what was asked.
func ethereumPayload(w entry.Wallet, asked Asked, source uint32, out *entry.Permit) error {
	tx, err := unsigned(w, out.Payload)
	if err != nil {
		return err
	}
	contract, token := asked.Effects.Asset.ERC20()
	e, err := eth.Effects(tx, func(a eth.Address) bool { return token && a.String() == contract })
	if err != nil {
		return problem.New(problem.OutsideBounds, "payload: %v", err)
	}
	want := asked.Effects.Outputs[0]
	switch {
	case token != (e.Kind == eth.ERC20Transfer):
		return problem.New(problem.OutsideBounds, "payload moves another asset than %s", asked.Effects.Asset)
	case token && e.Contract.String() != contract:
		return problem.New(problem.OutsideBounds, "payload calls contract %s, not %s", e.Contract, contract)
	case e.To.String() != want.Address:
		return problem.New(problem.OutsideBounds, "payload pays %s; %s was asked for", e.To, want.Address)
	case custody.Uint256(e.Amount) != want.Amount:
		return problem.New(problem.OutsideBounds, "payload pays %s; %s was asked for", e.Amount, want.Amount)
	}
	return accountSlot(asked, tx, source, out)
}

// unsigned decodes an unsigned transaction of a wallet's chain, builds it again and compares.
func unsigned(w entry.Wallet, payload []byte) (eth.Tx1559, error) {
	tx, err := eth.DecodeUnsigned(payload)
	if err != nil {
		return tx, problem.New(problem.Malformed, "payload: %v", err)
	}
	if again, err := tx.Encode(); err != nil || !bytes.Equal(again, payload) {
		return tx, problem.New(problem.Malformed, "payload is not what it decodes to")
	}
	if id, _ := w.Chain.EVM(); tx.ChainID != id {
		return tx, problem.New(problem.WrongNetwork, "payload is for chain id %d; the wallet is on %d", tx.ChainID, id)
	}
	return tx, nil
}

// accountSlot fills in fee, nonce and key of an account's transaction.
func accountSlot(asked Asked, tx eth.Tx1559, source uint32, out *entry.Permit) error {
	fee, err := tx.MaxFee()
	if err != nil {
		return problem.New(problem.OutsideBounds, "payload: %v", err)
	}
	out.Fee = custody.Uint256(fee)
	out.Slot = entry.Slot{Account: asked.Effects.Source, Nonce: tx.Nonce}
	out.Keys = []entry.KeyPath{{Index: source}}
	return nil
}

// bitcoinPayload decodes a PSBT and compares it with what was asked: every input is the wallet's own, every output is one that
// was asked for, in order, or the one change output.
func bitcoinPayload(w entry.Wallet, changeEnd uint32, asked Asked, out *entry.Permit, derive Deriver) error {
	p, err := btc.DecodePSBT(out.Payload)
	if err != nil {
		return problem.New(problem.Malformed, "payload: %v", err)
	}
	if again, err := p.Encode(); err != nil || !bytes.Equal(again, out.Payload) {
		return problem.New(problem.Malformed, "payload is not what it decodes to")
	}
	if err := p.CheckPrevTxs(); err != nil {
		return problem.New(problem.Malformed, "payload: %v", err)
	}
	if p.Tx.Version != 2 || p.Tx.LockTime != 0 {
		return problem.New(problem.OutsideBounds, "payload must have version 2 and no lock time")
	}
	path, err := AccountPath(w)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "account path")
	}
	own := func(k btc.PSBTKeys, script btc.Script) (entry.KeyPath, bool) {
		kp, ok := keyPath(w, path, k)
		if !ok {
			return kp, false
		}
		d, err := derive(w, kp)
		return kp, err == nil && d.Script.Equal(script)
	}
	for i, in := range p.Inputs {
		kp, ok := own(in.PSBTKeys, in.WitnessUTXO.Script)
		if !ok || in.PartialSig != nil || in.TapKeySig != nil || in.FinalWitness != nil {
			return problem.New(problem.OutsideBounds, "input %d is not an unsigned output of wallet %q with its derivation", i, w.ID)
		}
		if q := p.Tx.Inputs[i].Sequence; q != 0xfffffffd {
			return problem.New(problem.OutsideBounds, "input %d has sequence %#x; payloads are replaceable, fffffffd (BIP-125)", i, q)
		}
		op := p.Tx.Inputs[i].OutPoint
		out.Keys = append(out.Keys, kp)
		out.Slot.Inputs = append(out.Slot.Inputs, entry.Input{TxID: op.TxID, Index: op.Index})
	}
	if err := bitcoinOutputs(w, changeEnd, asked, p, own, out); err != nil {
		return err
	}
	fee, err := p.Tx.Fee(p.Prevouts())
	if err != nil {
		return problem.New(problem.Malformed, "payload: %v", err)
	}
	out.Fee = custody.U64(uint64(fee))
	return nil
}

func bitcoinOutputs(w entry.Wallet, changeEnd uint32, asked Asked, p btc.PSBT, own func(btc.PSBTKeys, btc.Script) (entry.KeyPath, bool), out *entry.Permit) error {
	n, err := request.BitcoinNetwork(w.Chain)
	if err != nil {
		return problem.Wrap(problem.Internal, err, "network")
	}
	rest := asked.Effects.Outputs
	for i, o := range p.Tx.Outputs {
		if len(rest) > 0 {
			script, err := btc.ParseAddress(n, rest[0].Address)
			if v, ok := rest[0].Amount.Uint64(); err == nil && ok && script.Equal(o.Script) && btc.Sat(v) == o.Value {
				rest = rest[1:]
				continue
			}
		}
		kp, ok := own(p.Outputs[i].PSBTKeys, o.Script)
		switch {
		case !ok || kp.Branch != 1:
			return problem.New(problem.OutsideBounds, "output %d pays %d to what was not asked for and is no change address of wallet %q", i, o.Value, w.ID)
		case len(out.Change) > 0:
			return problem.New(problem.OutsideBounds, "output %d is a second change output", i)
		case kp.Index >= changeEnd:
			return problem.New(problem.OutsideBounds, "output %d: change index %d is more than %d beyond the last used one", i, kp.Index, ChangeGap)
		}
		out.Change = append(out.Change, kp)
	}
	if len(rest) > 0 {
		return problem.New(problem.OutsideBounds, "payload does not pay %s to %s", rest[0].Amount, rest[0].Address)
	}
	return nil
}

// keyPath reads where below the account a PSBT says that a key lies.
func keyPath(w entry.Wallet, account []uint32, k btc.PSBTKeys) (entry.KeyPath, bool) {
	o, ok := k.Origin()
	if !ok || o.Fingerprint != w.Master || len(o.Path) != len(account)+2 {
		return entry.KeyPath{}, false
	}
	for i, x := range account {
		if o.Path[i] != x {
			return entry.KeyPath{}, false
		}
	}
	return entry.KeyPath{Branch: o.Path[len(account)], Index: o.Path[len(account)+1]}, true
}
