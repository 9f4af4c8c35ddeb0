// SPDX-License-Identifier: Apache-2.0

package simulate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/svc/chain"
)

// Topics of the events that are read.
var (
	topicTransfer       = topic("Transfer(address,address,uint256)")                              // ERC-20 and ERC-721
	topicSingle         = topic("TransferSingle(address,address,address,uint256,uint256)")        // ERC-1155
	topicBatch          = topic("TransferBatch(address,address,address,uint256[],uint256[])")     // ERC-1155
	topicApproval       = topic("Approval(address,address,uint256)")                              // ERC-20 and ERC-721
	topicApprovalForAll = topic("ApprovalForAll(address,address,bool)")                           // ERC-721 and ERC-1155
	topicPermit2        = topic("Approval(address,address,address,uint160,uint48)")               // Permit2: owner, token, spender
	topicDeposit        = topic("Deposit(address,uint256)")                                       // WETH9, which makes tokens without a transfer
	topicWithdrawal     = topic("Withdrawal(address,uint256)")                                    // and takes them
	coinAddress         = eth.Address{0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, // ERC-7528
		0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee, 0xee}
)

func topic(event string) [32]byte { return eth.Keccak256([]byte(event)) }

// errEvent says that an event has the name of one of the standards and not its form. What it moves can't be told, and so not what the transaction does.
var errEvent = errors.New("simulate: an event is none of the standards")

// flow is what is given and got of one thing.
type flow struct{ out, in custody.Uint256 }

// numbered names one token of a contract that numbers them.
type numbered struct {
	asset simulation.Asset
	id    custody.Uint256
}

// power names one approval: what it says last holds. from is the contract that says it; no other can take it back.
type power struct {
	from, contract, spender eth.Address
	all                     bool
}

// single names one token, over which one address at a time has the power.
type single struct {
	contract eth.Address
	id       custody.Uint256
}

// tally adds up what events say of an address.
type tally struct {
	on       custody.ChainID
	of       eth.Address
	plain    map[simulation.Asset]flow
	numbered map[numbered]flow
	powers   map[power]custody.Uint256
	singles  map[single]eth.Address
}

func newTally(on custody.ChainID, of string) (*tally, error) {
	a, err := eth.ParseAddress(of)
	if err != nil {
		return nil, err
	}
	return &tally{on: on, of: a, plain: map[simulation.Asset]flow{}, numbered: map[numbered]flow{}, powers: map[power]custody.Uint256{}, singles: map[single]eth.Address{}}, nil
}

func (t *tally) read(logs []chain.Log) error {
	for i, l := range logs {
		if err := t.one(l); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	return nil
}

// one reads an event. What has the name of no standard says nothing of the address.
func (t *tally) one(l chain.Log) error {
	if len(l.Topics) == 0 {
		return nil
	}
	switch n, size := len(l.Topics), len(l.Data); l.Topics[0] {
	case topicTransfer:
		switch {
		case n == 3 && size == 32:
			return t.transfer(l)
		case n == 4 && size == 0:
			return t.token(simulation.ERC721(t.on, l.Address), l.Topics[1], l.Topics[2], l.Topics[3], custody.U64(1))
		}
		return errEvent
	case topicSingle:
		if n != 4 || size != 64 {
			return errEvent
		}
		return t.token(simulation.ERC1155(t.on, l.Address), l.Topics[2], l.Topics[3], [32]byte(l.Data[:32]), custody.Uint256(l.Data[32:]))
	case topicBatch:
		return t.batch(l)
	case topicApproval, topicApprovalForAll, topicPermit2:
		return t.approval(l)
	case topicDeposit, topicWithdrawal:
		if n == 2 && size == 32 { // else another contract's event, which means what it likes
			return t.wrapped(l)
		}
	}
	return nil
}

func address(topic [32]byte) (eth.Address, error) {
	if [12]byte(topic[:12]) != [12]byte{} {
		return eth.Address{}, errEvent
	}
	return eth.Address(topic[12:]), nil
}

// move adds what goes from one address to another.
func (t *tally) move(f flow, from, to [32]byte, amount custody.Uint256) (flow, error) {
	a, err := address(from)
	if err != nil {
		return f, err
	}
	b, err := address(to)
	if err != nil {
		return f, err
	}
	fits, more := true, true
	if a == t.of {
		f.out, fits = f.out.Add(amount)
	}
	if b == t.of {
		f.in, more = f.in.Add(amount)
	}
	if !fits || !more {
		return f, fmt.Errorf("%w: the sum does not fit in 256 bits", errEvent)
	}
	return f, nil
}

func (t *tally) transfer(l chain.Log) (err error) {
	asset := simulation.ERC20(t.on, l.Address)
	if l.Address == coinAddress {
		asset = simulation.Coin(t.on)
	}
	t.plain[asset], err = t.move(t.plain[asset], l.Topics[1], l.Topics[2], custody.Uint256(l.Data))
	return err
}

func (t *tally) token(asset simulation.Asset, from, to, id [32]byte, amount custody.Uint256) (err error) {
	n := numbered{asset, id}
	t.numbered[n], err = t.move(t.numbered[n], from, to, amount)
	return err
}

func (t *tally) batch(l chain.Log) error {
	numbers := abi.Type{Kind: abi.Slice, Elem: &abi.Type{Kind: abi.Uint, Size: 256}}
	vs, err := abi.Decode([]abi.Type{numbers, numbers}, l.Data)
	if err != nil || len(l.Topics) != 4 || len(vs[0].Items) != len(vs[1].Items) {
		return errEvent
	}
	for i, id := range vs[0].Items {
		if err := t.token(simulation.ERC1155(t.on, l.Address), l.Topics[2], l.Topics[3], id.Word, vs[1].Items[i].Word); err != nil {
			return err
		}
	}
	return nil
}

// wrapped reads what WETH9 says when tokens come to be or end.
func (t *tally) wrapped(l chain.Log) (err error) {
	asset, nobody := simulation.ERC20(t.on, l.Address), [32]byte{}
	from, to := nobody, l.Topics[1]
	if l.Topics[0] == topicWithdrawal {
		from, to = l.Topics[1], nobody
	}
	if _, err := address(l.Topics[1]); err != nil {
		return nil // no address: another contract's event
	}
	t.plain[asset], err = t.move(t.plain[asset], from, to, custody.Uint256(l.Data))
	return err
}

func (t *tally) approval(l chain.Log) error {
	n, size := len(l.Topics), len(l.Data)
	p := power{from: l.Address, contract: l.Address}
	var amount custody.Uint256
	var one bool
	spender := 2
	switch {
	case l.Topics[0] == topicApproval && n == 3 && size == 32:
		amount = custody.Uint256(l.Data)
	case l.Topics[0] == topicApproval && n == 4 && size == 0:
		one = true
	case l.Topics[0] == topicApprovalForAll && n == 3 && size == 32 && [31]byte(l.Data[:31]) == [31]byte{} && l.Data[31] <= 1:
		p.all, amount = true, custody.U64(uint64(l.Data[31]))
	case l.Topics[0] == topicPermit2 && n == 4 && size == 64 && [12]byte(l.Data[:12]) == [12]byte{}:
		amount, spender = custody.Uint256(l.Data[:32]), 3
	default:
		return errEvent
	}
	owner, err := address(l.Topics[1])
	if err != nil {
		return err
	}
	if p.spender, err = address(l.Topics[spender]); err != nil {
		return err
	}
	if spender == 3 {
		if p.contract, err = address(l.Topics[2]); err != nil {
			return err
		}
	}
	switch {
	case owner != t.of:
	case one:
		t.singles[single{l.Address, l.Topics[3]}] = p.spender
	default:
		t.powers[p] = amount
	}
	return nil
}

// total gives what comes of it on balance, as reports have it.
func (t *tally) total() (changes []simulation.Change, approvals []simulation.Approval, err error) {
	sum := map[simulation.Asset]flow{}
	for a, f := range t.plain {
		sum[a] = f.balance()
	}
	for n, f := range t.numbered {
		b, s := f.balance(), sum[n.asset]
		var fits, more bool
		s.out, fits = s.out.Add(b.out)
		s.in, more = s.in.Add(b.in)
		if sum[n.asset] = s; !fits || !more {
			return nil, nil, fmt.Errorf("%w: the sum does not fit in 256 bits", errEvent)
		}
	}
	for a, f := range sum {
		if f != (flow{}) {
			changes = append(changes, simulation.Change{Asset: a, Out: f.out, In: f.in})
		}
	}
	slices.SortFunc(changes, func(a, b simulation.Change) int { return strings.Compare(string(a.Asset), string(b.Asset)) })
	for p, amount := range t.powers {
		if amount.IsZero() { // taken back
			continue
		}
		if p.all {
			amount = custody.Uint256{}
		}
		approvals = append(approvals, simulation.Approval{Contract: p.contract.String(), Spender: p.spender.String(), Amount: amount, All: p.all})
	}
	for x, spender := range t.singles {
		if spender != (eth.Address{}) {
			approvals = append(approvals, simulation.Approval{Contract: x.contract.String(), Spender: spender.String(), Amount: x.id, Token: true})
		}
	}
	slices.SortFunc(approvals, simulation.Approval.Compare)
	return changes, slices.CompactFunc(approvals, func(a, b simulation.Approval) bool { return a.Compare(b) == 0 }), nil
}

// balance takes what is given from what is got, or the other way round.
func (f flow) balance() flow {
	if more, ok := f.out.Sub(f.in); ok {
		return flow{out: more}
	}
	more, _ := f.in.Sub(f.out)
	return flow{in: more}
}
