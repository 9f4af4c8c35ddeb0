// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// describe says what a request does in the state as it is. A failure means that it can't be done there: it names what does not
// exist, or exists already, or does not fit the rule document. told is the report that came with the request.
func (s *State) describe(r *request.Parsed, kind policy.EvidenceKind, told *simulation.Report, at Moment, derive Deriver) (x described, err error) {
	if err := s.alive(r.Operation); err != nil {
		return x, err
	}
	var w entry.Wallet
	var next [2]uint32
	switch o := r.Decoded.(type) {
	case *request.TransferBody:
		w, next, err = s.wallet(o.Wallet)
	case *request.AddressCreateBody:
		if w, next, err = s.wallet(o.Wallet); err == nil {
			err = severalAddresses(w)
		}
	case *request.WalletCreateBody:
		err = s.mayCreate(o)
	case request.WarmBody:
		var c warmChange
		c, err = s.changeWarm(o, at)
		w, x.warm = c.wallet, c.effect
	case request.AppBody:
		var c appChange
		if err = knownMechanisms(o); err == nil {
			c, err = s.changeApps(o, at)
		}
		x.app = c.effect
	case *request.ContractCallBody:
		w, next, err = s.signing(o.Wallet)
	case *request.MessageSignBody:
		w, next, err = s.signing(o.Wallet)
	case *request.WalletMoveBody:
		var c moveChange
		c, err = s.changeMove(o)
		w, x.move = c.wallet, c.effect
	default:
		// A document takes long to check: only people may make the core do so.
		if p, ok := s.Rules.Principal(r.Initiator); !ok || p.Kind != policy.Human {
			err = problem.New(problem.Forbidden, "services can't ask for changes of people, groups, address book, rules or the domain's life cycle")
			break
		}
		if r.Operation.LifeCycle() {
			var c lifeChange
			c, err = s.changeLife(r)
			x.life = c.effect
			break
		}
		if r.Operation.Oversight() {
			var c overseeing
			c, err = s.changeOversight(r, at)
			x.oversight = c.effect
			break
		}
		if b, ok := o.(*request.SlotReconcileBody); ok {
			var c reconcileChange
			c, err = s.changeSlots(b)
			x.slots = c.effect
			break
		}
		if b, ok := o.(request.ListBody); ok && !s.Doc.Edits(r.Operation) {
			err = s.checkList(r, b, at)
			break
		}
		var doc policy.Document
		doc, err = s.editDocument(r)
		x.document = &doc
	}
	if err == nil {
		err = s.on(needs(r.Decoded, w))
	}
	if err != nil {
		return described{}, err
	}
	view := s.View(at)
	view.Simulation = told
	if w.ID != "" {
		view.Temperature = s.Temperature(w.ID)
	}
	x.facts, x.effects, x.bounds, err = Describe(s.judging(), view, w, next[0], r, kind, derive)
	if err == nil {
		err = s.warmCall(w, x.effects)
	}
	return x, err
}

// described is what a request does in a state.
type described struct {
	facts    policy.Facts
	effects  request.Effects
	bounds   request.Bounds
	document *policy.Document // that it makes, if it makes one
	life     entry.Life       // of an operation on the life cycle, but for what the core makes
	warm     entry.Warm       // of an operation on a wallet's temperature
	slots    entry.Slots      // of a reconciliation
	app      entry.App        // of an operation on applications
	move     entry.Move       // of a wallet's key, but for what the core makes

	oversight entry.Oversight // of an operation of oversight
}

func (s *State) wallet(id custody.WalletID) (entry.Wallet, [2]uint32, error) {
	w, next, ok := s.Wallet(id)
	if !ok {
		return w, next, problem.New(problem.NotFound, "wallet %q does not exist", id)
	}
	return w, next, nil
}

// mayCreate says whether a wallet may be made: its id is free, its seed exists, and no wallet of the chain has its keys.
func (s *State) mayCreate(o *request.WalletCreateBody) error {
	if _, _, ok := s.Wallet(o.Wallet); ok {
		return problem.New(problem.Conflict, "wallet %q exists; choose another id", o.Wallet)
	}
	if o.Seed == "" {
		return nil
	}
	if k, ok := s.Key(o.Seed); !ok || !isSeed(k) {
		return problem.New(problem.NotFound, "seed %s does not exist", o.Seed)
	}
	if other, away := s.coldSeed(o.Seed); away {
		return problem.New(problem.KeyAway, "seed %s is of the wallet %q, which is cold: it is in an offline domain; take a new seed", o.Seed, other)
	}
	if other, warm := s.warmSeed(o.Seed); warm {
		return problem.New(problem.Conflict, "seed %s is of the wallet %q, which is warm: it opens for that wallet only; take a new seed", o.Seed, other)
	}
	if _, ok := s.walletKeys[walletKey{o.Seed, o.Chain, o.Scheme, o.Account}]; ok {
		return problem.New(problem.Conflict, "another wallet on %s has the keys of account %d of this seed; choose another account", o.Chain, o.Account)
	}
	return nil
}

// Describe says what a well-formed request does, as the rules and the approvers see it: in a wallet with a number of receiving addresses,
// where it names one, and with the address book of some rules; view is what else is known. It is the one place that does; whoever checks a record makes it again.
func Describe(rules *policy.Rules, view View, w entry.Wallet, receiving uint32, r *request.Parsed, kind policy.EvidenceKind, derive Deriver) (policy.Facts, request.Effects, request.Bounds, error) {
	f := policy.Facts{Operation: r.Operation, Initiator: r.Initiator, Evidence: kind, Around: view.around(rules, r), Class: w.Class, Context: view.context()}
	e := request.Effects{Operation: r.Operation, BodyHash: r.Digest, List: listEffects(rules, r.Operation, r.Decoded)}
	b := request.Bounds{Change: request.NoChange, Slot: request.NoSlot, NotAfter: r.NotAfter}
	var err error
	switch o := r.Decoded.(type) {
	case *request.TransferBody:
		if err = describeTransfer(rules, view, w, o, &f, &e, &b); err == nil && w.Scheme == request.SchemeEVM {
			err = describeSource(w, receiving, o, &e, derive)
		}
	case *request.WalletCreateBody:
		f.Wallet, f.Chain, f.Class = o.Wallet, o.Chain, o.Class
		e.Wallet, e.Chain, e.Temperature = o.Wallet, o.Chain, o.Temperature
	case *request.AddressCreateBody:
		f.Wallet, f.Chain, f.Count = o.Wallet, w.Chain, o.Count
		e.Wallet, e.Chain = o.Wallet, w.Chain
	case *request.ContractCallBody:
		err = describeCall(rules, view, w, receiving, o, &f, &e, &b, derive)
	case *request.MessageSignBody:
		err = describeMessage(rules, w, receiving, o, &f, &e, derive)
	case request.WarmBody:
		f.Wallet, f.Chain = o.Of(), w.Chain
		e.Wallet, e.Chain = o.Of(), w.Chain
		describeWarm(o, &f, &e)
	case request.AppBody:
		describeApp(o, &f, &e)
	case *request.WalletMoveBody:
		f.Wallet, f.Chain = o.Wallet, w.Chain
		e.Wallet, e.Chain, e.Temperature, e.Domain = o.Wallet, w.Chain, o.Temperature, o.To
	case *request.OfflineAddBody:
		id := o.ID()
		e.Domain = id[:]
	case *request.OfflineRemoveBody:
		e.Domain = o.Domain
	case request.OversightBody:
		e.Target, e.Since = request.OversightEffects(o)
	case *request.PolicyChangeBody:
		e.Replay = o.Replay
	}
	rules.Valued(&f, view.Prices)
	f.Simulation = view.simulated(f, e)
	rules.Screened(&f, r.Digest, view.Verdicts)
	e.Screening = screeningEffects(f)
	return f, e, b, err
}

// describeWarm adds what an operation on a wallet's temperature has besides the wallet.
func describeWarm(o request.WarmBody, f *policy.Facts, e *request.Effects) {
	switch o := o.(type) {
	case *request.WalletTemperatureBody:
		e.Temperature = o.To
	case *request.WarmOpenBody:
		f.Asset, f.Total = o.Asset, o.Amount
		e.Asset, e.Total, e.Until = o.Asset, o.Amount, o.NotAfter
	}
}

// describeApp adds what an operation on applications has.
func describeApp(o request.AppBody, f *policy.Facts, e *request.Effects) {
	app, until := request.AppEffectsOf(o)
	e.App, e.Until = &app, until
	switch o := o.(type) {
	case *request.AppGrantBody:
		f.App = &policy.AppFacts{Grant: o.Grant, Caller: o.Caller, Gateway: o.Gateway, Functions: o.Functions, Mechanisms: o.Mechanisms, MaxUses: o.MaxUses, Import: o.Import, Compat: o.Compat}
	case *request.AppRevokeBody:
		f.App = &policy.AppFacts{Grant: o.Grant}
	}
}

func describeTransfer(rules *policy.Rules, view View, w entry.Wallet, o *request.TransferBody, f *policy.Facts, e *request.Effects, b *request.Bounds) error {
	if o.Asset.Chain() != w.Chain {
		return problem.New(problem.WrongNetwork, "wallet %q is on %s; the asset is on %s", o.Wallet, w.Chain, o.Asset.Chain())
	}
	f.Wallet, f.Chain, f.Asset, f.FeeCap = o.Wallet, w.Chain, o.Asset, o.FeeCap
	e.Wallet, e.Chain, e.Asset, e.Outputs = o.Wallet, w.Chain, o.Asset, o.Outputs
	remembers := rules.Remembers()
	for _, x := range o.Outputs {
		to := view.destination(rules, w.Chain, x)
		f.Destinations = append(f.Destinations, to)
		if remembers && to.Kind == policy.Whitelisted {
			e.Books = append(e.Books, to.Book)
		} else if remembers {
			e.Books = append(e.Books, "")
		}
		var fits bool
		if f.Total, fits = f.Total.Add(x.Amount); !fits {
			return problem.New(problem.Malformed, "the outputs' sum does not fit in 256 bits")
		}
	}
	e.Total = f.Total
	b.FeeCap, b.FeeAsset = o.FeeCap, w.Chain.Native()
	if w.Scheme == request.SchemeEVM {
		b.Slot = request.AccountNonce
		return nil
	}
	b.Change, b.Slot = request.OwnChange, request.InputSet
	return bitcoinAmounts(o)
}

// describeSource adds what an Ethereum transfer has: the paying address, and the call of a token.
func describeSource(w entry.Wallet, receiving uint32, o *request.TransferBody, e *request.Effects, derive Deriver) error {
	if err := source(w, receiving, o.Source, e, derive); err != nil {
		return err
	}
	c, ok := o.Asset.ERC20()
	if !ok {
		return nil
	}
	contract, err := eth.ParseAddress(c)
	if err != nil {
		return problem.New(problem.Malformed, "asset %s: %v", o.Asset, err)
	}
	to, err := eth.ParseAddress(o.Outputs[0].Address)
	if err != nil {
		return problem.New(problem.Malformed, "output 0: %v", err)
	}
	e.Call = erc20Call(contract, to, o.Outputs[0].Amount)
	return nil
}

// source adds the address that pays, calls or signs.
func source(w entry.Wallet, receiving, index uint32, e *request.Effects, derive Deriver) error {
	if index >= receiving {
		return problem.New(problem.NotFound, "wallet %q has no address number %d; it has %d", w.ID, index, receiving)
	}
	d, err := derive(w, entry.KeyPath{Index: index})
	if err != nil {
		return problem.Wrap(problem.Internal, err, "derive the paying address")
	}
	e.Source = d.Address
	return nil
}

func bitcoinAmounts(o *request.TransferBody) error {
	var total btc.Sat
	for i, x := range o.Outputs {
		v, ok := x.Amount.Uint64()
		if !ok || btc.Sat(v) > btc.MaxSat {
			return problem.New(problem.Malformed, "output %d pays more than 21 million bitcoin", i)
		}
		if total += btc.Sat(v); total > btc.MaxSat {
			return problem.New(problem.Malformed, "the outputs pay more than 21 million bitcoin")
		}
	}
	if v, ok := o.FeeCap.Uint64(); !ok || btc.Sat(v) > btc.MaxSat {
		return problem.New(problem.Malformed, "feeCap is more than 21 million bitcoin")
	}
	return nil
}

func erc20Call(contract, to eth.Address, amount custody.Uint256) *request.Call {
	return &request.Call{Contract: contract.String(), Selector: "transfer(address,uint256)", Args: []string{to.String(), amount.String()},
		DataHash: sha256Sum(eth.EncodeTransfer(to, eth.Uint256(amount)))}
}
