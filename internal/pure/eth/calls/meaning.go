// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/request"
)

// meaning is a decoded call, of which is said what it does.
type meaning struct {
	u    *unfolding
	n    node
	node request.CallNode
	args []abi.Value
	nft  bool
}

// The words of an argument.
func (m meaning) address(i int) eth.Address    { return eth.Address(m.args[i].Word[12:]) }
func (m meaning) number(i int) custody.Uint256 { return m.args[i].Word }
func (m meaning) nest(contract eth.Address, value custody.Uint256, data []byte, delegate bool) error {
	return m.u.visit(node{depth: m.n.depth + 1, contract: contract, value: value, data: data, delegate: delegate})
}

// apply adds what the standard functions do, and decodes the calls within them. A function of another name does nothing that is known
// here; its arguments are for the rules and for people.
func (m meaning) apply() error {
	switch m.node.Function {
	case fnTransfer:
		if m.n.depth == 0 {
			return ErrTransfer
		}
		m.token(m.n.contract, m.n.contract.String(), m.address(0), m.number(1))
	case fnTransferFrom:
		if m.nft {
			return nil
		}
		if m.n.depth == 0 && m.address(0).String() == m.u.call.Source {
			return ErrTransfer
		}
		m.token(m.n.contract, m.address(0).String(), m.address(1), m.number(2))
	case fnApprove, fnIncrease:
		m.approve(m.n.contract, m.node.ID, m.address(0), m.number(1), !m.nft && Unlimited(m.number(1)))
	case fnPermit:
		m.approve(m.n.contract, m.node.ID, m.address(1), m.number(2), Unlimited(m.number(2)))
	case fnPermit2Approve:
		id := ""
		if f, known, _ := m.u.reg(m.address(0), eth.Selector{}); known {
			id = f.ID
		}
		m.approve(m.address(0), id, m.address(1), m.number(2), Unlimited(m.number(2)))
	case fnApproveAll:
		if m.args[1].Word[31] == 1 {
			m.u.out.Approvals = append(m.u.out.Approvals, request.TokenApproval{Contract: m.n.contract.String(), Spender: m.address(0).String(), All: true, ID: m.node.ID})
		}
	case fnMulticall, fnMulticallUntil:
		return m.selfCalls(m.args[len(m.args)-1].Items)
	case fnAggregate3, fnAggregate3Value:
		return m.aggregate()
	case fnExecTransaction:
		return m.execTransaction()
	case fnExecute, fnExecuteUntil:
		return m.execute()
	}
	return nil
}

// Unlimited says whether an amount stands for any: the largest number of 96 bits, which some tokens take for that, or 2^128 and more,
// which no token has.
func Unlimited(u custody.Uint256) bool {
	for _, b := range u[:16] {
		if b != 0 {
			return true
		}
	}
	for i, b := range u[16:] {
		if want := byte(0xff); i < 4 && b != 0 || i >= 4 && b != want {
			return false
		}
	}
	return true
}

func (m meaning) approve(token eth.Address, id string, spender eth.Address, amount custody.Uint256, unlimited bool) {
	m.u.out.Approvals = append(m.u.out.Approvals, request.TokenApproval{Contract: token.String(), Spender: spender.String(), Amount: amount, Unlimited: unlimited, ID: id})
}

// token says that tokens are moved.
func (m meaning) token(token eth.Address, from string, to eth.Address, amount custody.Uint256) {
	m.move(custody.AssetID(string(m.u.call.Chain)+"/erc20:"+token.String()), from, to, amount)
}

func (m meaning) move(asset custody.AssetID, from string, to eth.Address, amount custody.Uint256) {
	if !amount.IsZero() {
		m.u.out.Movements = append(m.u.out.Movements, request.Movement{Asset: asset, From: from, To: to.String(), Amount: amount})
	}
}

// selfCalls are calls that a contract makes of itself, with the caller's powers over it.
func (m meaning) selfCalls(list []abi.Value) error {
	for _, v := range list {
		if len(v.Bytes) == 0 {
			return m.u.fail(m.n, errors.New("a call within it is empty"))
		}
		if err := m.nest(m.n.contract, custody.Uint256{}, v.Bytes, false); err != nil {
			return err
		}
	}
	return nil
}

// aggregate: (target, allowFailure, [value,] data) each.
func (m meaning) aggregate() error {
	for _, v := range m.args[0].Items {
		var value custody.Uint256
		if len(v.Items) == 4 {
			value = v.Items[2].Word
		}
		to := eth.Address(v.Items[0].Word[12:])
		m.move(m.u.call.Chain.Native(), m.n.contract.String(), to, value)
		if err := m.nest(to, value, v.Items[len(v.Items)-1].Bytes, false); err != nil {
			return err
		}
	}
	return nil
}

// execTransaction: to, value, data, operation (0: call, 1: delegatecall), and what pays for it.
func (m meaning) execTransaction() error {
	operation, ok := eth.Uint256(m.number(3)).Uint64()
	if !ok || operation > 1 {
		return m.u.fail(m.n, fmt.Errorf("a Safe's operation is 0 or 1, not %d", operation))
	}
	if price := m.number(6); !price.IsZero() {
		return m.u.fail(m.n, errors.New("a Safe's refund of gas is not supported: it pays out of the Safe"))
	}
	m.move(m.u.call.Chain.Native(), m.n.contract.String(), m.address(0), m.number(1))
	return m.nest(m.address(0), m.number(1), m.args[2].Bytes, operation == 1)
}

// execute: commands, an input each, perhaps a deadline.
func (m meaning) execute() error {
	list, inputs := m.args[0].Bytes, m.args[1].Items
	if len(list) != len(inputs) {
		return m.u.fail(m.n, fmt.Errorf("%d commands and %d inputs", len(list), len(inputs)))
	}
	for i, b := range list {
		if err := m.command(b, inputs[i].Bytes); err != nil {
			return err
		}
	}
	return nil
}

// command decodes a command of a router. The high bit says that it may fail.
func (m meaning) command(b byte, input []byte) error {
	c, ok := commands[b&0x7f]
	if !ok {
		return m.u.fail(m.n, fmt.Errorf("the router's command %#02x is not known", b))
	}
	inputs, err := abi.ParseType(c.inputs)
	if err != nil {
		return m.u.fail(m.n, err)
	}
	args, err := abi.Decode(inputs.Fields, input)
	if err != nil {
		return m.u.fail(m.n, fmt.Errorf("command %s: %w", c.name, err))
	}
	if m.n.depth+1 > MaxDepth || len(m.u.out.Calls) == MaxCalls {
		return m.u.fail(m.n, errBounds)
	}
	x := m
	x.args = args
	x.node = request.CallNode{Depth: m.node.Depth + 1, Contract: m.node.Contract, ID: m.node.ID, Kind: m.node.Kind, Function: c.signature()}
	if x.node.Args, err = m.u.show(args); err != nil {
		return m.u.fail(m.n, err)
	}
	m.u.out.Calls = append(m.u.out.Calls, x.node)
	return x.commandMoves(b & 0x7f)
}

// commandMoves adds what a command takes from the caller.
func (m meaning) commandMoves(b byte) error {
	var token eth.Address
	amount := 1
	switch b {
	case 0x02:
		m.token(m.address(0), m.u.call.Source, m.recipient(1), m.number(2))
		return nil
	case 0x00, 0x01:
		path := m.args[3].Bytes // token, fee, token, fee, …, token; of an exact output the other way round
		if len(path) < 2*eth.AddressSize+3 || (len(path)-eth.AddressSize)%(eth.AddressSize+3) != 0 {
			return m.u.fail(m.n, errors.New("the path of a swap is malformed"))
		}
		if token = eth.Address(path); b == 0x01 {
			token, amount = eth.Address(path[len(path)-eth.AddressSize:]), 2
		}
	case 0x08, 0x09:
		path := m.args[3].Items
		if len(path) < 2 {
			return m.u.fail(m.n, errors.New("the path of a swap is malformed"))
		}
		if token = eth.Address(path[0].Word[12:]); b == 0x09 {
			amount = 2
		}
	default:
		return nil // what the router has already
	}
	if m.args[4].Word[31] == 1 { // the caller pays
		m.token(token, m.u.call.Source, m.recipient(0), m.number(amount))
	}
	return nil
}

// recipient reads an address of a command: 1 stands for the caller, 2 for the router.
func (m meaning) recipient(i int) eth.Address {
	switch a := m.address(i); a {
	case eth.Address{19: 1}:
		if s, err := eth.ParseAddress(m.u.call.Source); err == nil {
			return s
		}
		return a
	case eth.Address{19: 2}:
		return m.n.contract
	default:
		return a
	}
}
