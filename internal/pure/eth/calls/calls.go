// SPDX-License-Identifier: Apache-2.0

// Package calls says what the call of a contract does: which function with which arguments, which calls it makes in turn (multicall,
// aggregate3, a Safe's execTransaction, the commands of a router), what power over tokens it gives and which coins and tokens it
// moves. Functions come from the contracts of the rule document and from a table of standards. docs/spec/calls.md.
//
// It refuses ([UndecodableError]) whatever it can't decode to the end: unknown functions, at any depth, data that is not the one encoding of
// its arguments, unknown commands, and trees beyond its bounds. A transfer of the caller's tokens that is the whole call is refused with
// [ErrTransfer]: it is asked for as a transfer.
//
// Specifications: Solidity ABI, ERC-20, ERC-721, ERC-1155, ERC-2612, Multicall3, Safe contracts 1.3 and later.
package calls

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/request"
)

// Bounds on a tree of calls.
const (
	MaxDepth = 5    // calls within calls
	MaxCalls = 100  // in all
	MaxArgs  = 2000 // in all

	longest = 128 // bytes of an argument that are shown; of longer ones their hash is
)

// ErrTransfer says that a call is a plain transfer of tokens.
var ErrTransfer = errors.New("the call only transfers tokens; ask for a transfer of the asset instead, which the rules about transfers govern")

// UndecodableError says which call can't be decoded, and why.
type UndecodableError struct {
	Depth    int
	Contract eth.Address
	Selector string // 0x and hex digits; empty: too short to have one
	Err      error
}

// Error tells it.
func (e *UndecodableError) Error() string {
	return fmt.Sprintf("call of %s on %s, depth %d: %v", e.Selector, e.Contract, e.Depth, e.Err)
}

// Unwrap gives the cause.
func (e *UndecodableError) Unwrap() error { return e.Err }

var (
	errUnknown = errors.New("the function is not known; add the contract with its functions to the rule document")
	errBounds  = fmt.Errorf("the call holds more than %d calls or %d arguments, or is nested more than %d deep", MaxCalls, MaxArgs, MaxDepth)
)

// Found is what a registry knows of a function of a contract.
type Found struct {
	ID       string // of the contract in the rule document
	Kind     Kind
	Function abi.Function
}

// Registry finds contracts. known says whether the contract is in it at all; f is zero where the function is not.
type Registry func(contract eth.Address, s eth.Selector) (f Found, known, has bool)

// Call is a call to be decoded.
type Call struct {
	Chain    custody.ChainID
	Source   string // who calls, EIP-55
	Contract eth.Address
	Value    custody.Uint256
	Data     []byte
}

// Decode says what a call does. What can't be decoded is in the result too: the call itself, without arguments, and why not. The error is
// [ErrTransfer] or nil.
func Decode(c Call, reg Registry) (request.CallEffects, error) {
	hash := sha256.Sum256(c.Data)
	u := &unfolding{call: c, reg: reg}
	err := u.visit(node{contract: c.Contract, value: c.Value, data: c.Data})
	if errors.Is(err, ErrTransfer) {
		return request.CallEffects{}, ErrTransfer
	}
	if err == nil {
		u.out.DataHash = hash[:]
		return u.out, nil
	}
	top := request.CallNode{Contract: c.Contract.String(), Selector: selectorOf(c.Data), Value: c.Value}
	if len(c.Data) >= 4 {
		f, known, _ := reg(c.Contract, eth.Selector(c.Data))
		if known {
			top.ID, top.Kind = f.ID, string(f.Kind)
		}
	}
	return request.CallEffects{Calls: []request.CallNode{top}, Undecoded: err.Error(), DataHash: hash[:]}, nil
}

func selectorOf(data []byte) string {
	if len(data) < 4 {
		return ""
	}
	return eth.Selector(data).String()
}

// node is a call that is yet to be decoded.
type node struct {
	depth    int
	contract eth.Address
	value    custody.Uint256
	data     []byte
	delegate bool
}

// unfolding collects what a call does.
type unfolding struct {
	call Call
	reg  Registry
	out  request.CallEffects
	args int
}

func (u *unfolding) fail(n node, err error) error {
	return &UndecodableError{Depth: n.depth, Contract: n.contract, Selector: selectorOf(n.data), Err: err}
}

// visit decodes a call and those within it.
func (u *unfolding) visit(n node) error {
	if n.depth > MaxDepth || len(u.out.Calls) == MaxCalls {
		return u.fail(n, errBounds)
	}
	out := request.CallNode{Depth: uint32(n.depth), Contract: n.contract.String(), Selector: selectorOf(n.data), Value: n.value, Delegate: n.delegate}
	if len(n.data) == 0 && n.depth > 0 { // a plain payment
		u.out.Calls = append(u.out.Calls, out)
		return nil
	}
	if len(n.data) < 4 {
		return u.fail(n, errUnknown)
	}
	f, known, has := u.reg(n.contract, eth.Selector(n.data))
	if known {
		out.ID, out.Kind = f.ID, string(f.Kind)
	}
	if !has && !known && n.depth > 0 {
		f.Function, has = standardBySelector[eth.Selector(n.data)]
	}
	if !has {
		return u.fail(n, errUnknown)
	}
	args, err := f.Function.DecodeCall(n.data)
	if err != nil {
		return u.fail(n, err)
	}
	out.Function = f.Function.String()
	if out.Args, err = u.show(args); err != nil {
		return u.fail(n, err)
	}
	u.out.Calls = append(u.out.Calls, out)
	m := meaning{u: u, n: n, node: out, args: args, nft: f.Kind == NFT}
	if err := m.apply(); err != nil {
		return err
	}
	return nil
}

// show writes arguments with their paths.
func (u *unfolding) show(vs []abi.Value) (out []request.CallArg, err error) {
	var walk func(prefix string, v abi.Value)
	add := func(path, typ, text string) {
		if u.args++; u.args > MaxArgs {
			err = errBounds
			return
		}
		if len(text) > 2*longest+2 {
			text = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
		}
		out = append(out, request.CallArg{Path: path, Type: typ, Value: text})
	}
	walk = func(path string, v abi.Value) {
		if err != nil {
			return
		}
		switch v.Type.Kind {
		case abi.Slice:
			add(path+".length", "uint256", strconv.Itoa(len(v.Items)))
		case abi.Array, abi.Tuple:
		case abi.Bytes:
			text := v.Text()
			if len(v.Bytes) > longest {
				text = fmt.Sprintf("sha256:%x", sha256.Sum256(v.Bytes))
			}
			add(path, v.Type.String(), text)
			return
		default:
			add(path, v.Type.String(), v.Text())
			return
		}
		for i, x := range v.Items {
			walk(path+"."+strconv.Itoa(i), x)
		}
	}
	for i, v := range vs {
		walk(strconv.Itoa(i), v)
	}
	return out, err
}
