// SPDX-License-Identifier: Apache-2.0

package secondopinion

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"

	"github.com/ethereum/go-ethereum/accounts/abi"
	"github.com/ethereum/go-ethereum/common"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	ethabi "strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/request"
)

// callStatement compares a contract call with what its statement says: arguments are decoded again with go-ethereum's ABI, by the
// functions that the statement names, and so are the calls within it that standard functions make.
func callStatement(b *request.ContractCallBody, s request.Statement, wallet *entry.Wallet) (Effects, error) {
	e := Effects{Chain: s.Effects.Chain, Asset: s.Effects.Chain.Native(), Fee: b.FeeCap, Outputs: []request.Output{{Address: b.Contract, Amount: b.Value}}}
	c := s.Effects.Calls
	if c == nil || len(c.Calls) == 0 {
		return Effects{}, &Alarm{About: "contract call", First: "what it does", Second: "nothing is said of it"}
	}
	hash := sum(b.Data)
	if err := first(
		ethereumAddress(b.Contract),
		same("wallet", b.Wallet, s.Effects.Wallet),
		same("asset", e.Asset, s.Effects.Asset),
		same("value", b.Value, s.Effects.Total),
		same("fee cap", b.FeeCap, s.Bounds.FeeCap),
		same("asset of the fee", e.Asset, s.Bounds.FeeAsset),
		same("change rule", request.NoChange, s.Bounds.Change),
		same("slot policy", request.AccountNonce, s.Bounds.Slot),
		same("hash of the call data", hex.EncodeToString(hash[:]), hex.EncodeToString(c.DataHash)),
		sameSigner(b.Wallet, b.Source, s.Effects.Source, wallet),
	); err != nil {
		return Effects{}, err
	}
	if c.Undecoded != "" {
		return e, first(same("calls", 1, len(c.Calls)), same("selector", selector(b.Data), c.Calls[0].Selector), same("contract", b.Contract, c.Calls[0].Contract))
	}
	w := walk{stated: c.Calls}
	if err := w.call(made{contract: common.HexToAddress(b.Contract), value: new(big.Int).SetBytes(b.Value[:]), data: b.Data}); err != nil {
		return Effects{}, err
	}
	return e, first(same("calls, number", w.at, len(c.Calls)), sameApprovals(w.approvals, c.Approvals))
}

func selector(data []byte) string {
	if len(data) < 4 {
		return ""
	}
	return "0x" + hex.EncodeToString(data[:4])
}

// sameSigner checks the address that pays or signs.
func sameSigner(id custody.WalletID, index uint32, source string, wallet *entry.Wallet) error {
	if err := ethereumAddress(source); err != nil || wallet == nil {
		return err
	}
	a, err := accountOf(*wallet)
	if err != nil {
		return err
	}
	return a.sameAt(id, index, source)
}

// made is a call that is made.
type made struct {
	depth    int
	contract common.Address
	value    *big.Int
	data     []byte
	delegate bool
}

// walk goes through the stated calls in the order in which they are made.
type walk struct {
	stated    []request.CallNode
	at        int
	approvals []string
}

func (w *walk) next(about string) (request.CallNode, error) {
	if w.at == len(w.stated) {
		return request.CallNode{}, &Alarm{About: about, First: "a call", Second: "it is not said"}
	}
	w.at++
	return w.stated[w.at-1], nil
}

// call compares a call with the next one that is stated, and goes on with those within it.
func (w *walk) call(m made) error {
	about := fmt.Sprintf("call %d", w.at)
	n, err := w.next(about)
	if err != nil {
		return err
	}
	if err := first(
		same(about+", depth", m.depth, n.Depth),
		same(about+", contract", m.contract.Hex(), n.Contract),
		same(about+", value", m.value, n.Value),
		same(about+", selector", selector(m.data), n.Selector),
		same(about+", delegatecall", m.delegate, n.Delegate),
	); err != nil {
		return err
	}
	if n.Function == "" && len(m.data) == 0 {
		return nil
	}
	method, err := methodOf(n.Function)
	if err != nil {
		return refused(about+", function "+n.Function, err)
	}
	if err := same(about+", selector of "+n.Function, selector(method.ID), n.Selector); err != nil {
		return err
	}
	values, err := unpack(method.Inputs, m.data[4:])
	if err != nil {
		return refused(about, err)
	}
	if err := sameArgs(about, method.Inputs, values, n.Args); err != nil {
		return err
	}
	return w.within(m, n, values)
}

// unpack decodes arguments, and requires that they encode to the same bytes again.
func unpack(in abi.Arguments, data []byte) ([]any, error) {
	values, err := in.Unpack(data)
	if err != nil {
		return nil, err
	}
	again, err := in.Pack(values...)
	if err == nil && !bytes.Equal(again, data) {
		err = errors.New("the arguments do not encode to the call's data again")
	}
	return values, err
}

// within goes on with the calls that standard functions make, and notes the approvals that they are.
func (w *walk) within(m made, n request.CallNode, v []any) error {
	deeper := func(to common.Address, value *big.Int, data []byte, delegate bool) error {
		return w.call(made{m.depth + 1, to, value, data, delegate})
	}
	grant := func(token common.Address, spender any, amount any) {
		w.approvals = append(w.approvals, fmt.Sprintf("%s %s %v", token.Hex(), spender.(common.Address).Hex(), amount))
	}
	switch name, _, _ := strings.Cut(n.Function, "("); n.Function {
	case "approve(address,uint256)", "increaseAllowance(address,uint256)":
		grant(m.contract, v[0], v[1])
	case "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)":
		grant(m.contract, v[1], v[2])
	case "approve(address,address,uint160,uint48)":
		grant(v[0].(common.Address), v[1], v[2])
	case "setApprovalForAll(address,bool)":
		if v[1].(bool) {
			grant(m.contract, v[0], "all")
		}
	case "multicall(bytes[])", "multicall(uint256,bytes[])":
		for _, data := range v[len(v)-1].([][]byte) {
			if err := deeper(m.contract, new(big.Int), data, false); err != nil {
				return err
			}
		}
	case "aggregate3((address,bool,bytes)[])", "aggregate3Value((address,bool,uint256,bytes)[])":
		list := reflect.ValueOf(v[0])
		for i := range list.Len() {
			x := list.Index(i)
			value := new(big.Int)
			if name == "aggregate3Value" {
				value = x.Field(2).Interface().(*big.Int)
			}
			if err := deeper(x.Field(0).Interface().(common.Address), value, x.Field(x.NumField()-1).Bytes(), false); err != nil {
				return err
			}
		}
	case "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)":
		return deeper(v[0].(common.Address), v[1].(*big.Int), v[2].([]byte), v[3].(uint8) == 1)
	case "execute(bytes,bytes[])", "execute(bytes,bytes[],uint256)":
		return w.commands(m, v[0].([]byte), v[1].([][]byte))
	}
	return nil
}

// commands compares the commands of a router: each is stated by a name and the types of its input.
func (w *walk) commands(m made, list []byte, inputs [][]byte) error {
	if err := same("commands of a router", len(list), len(inputs)); err != nil {
		return err
	}
	for i := range list {
		about := fmt.Sprintf("call %d, command %#02x", w.at, list[i])
		n, err := w.next(about)
		if err != nil {
			return err
		}
		method, err := methodOf(n.Function)
		if err != nil {
			return refused(about, err)
		}
		values, err := unpack(method.Inputs, inputs[i])
		if err != nil {
			return refused(about, err)
		}
		if err := first(same(about+", depth", m.depth+1, n.Depth), same(about+", contract", m.contract.Hex(), n.Contract), same(about, commandNames[list[i]&0x7f], method.RawName),
			sameArgs(about, method.Inputs, values, n.Args)); err != nil {
			return err
		}
	}
	return nil
}

// commandNames are the commands of Uniswap's Universal Router, by Commands.sol.
var commandNames = map[byte]string{0x00: "V3_SWAP_EXACT_IN", 0x01: "V3_SWAP_EXACT_OUT", 0x02: "PERMIT2_TRANSFER_FROM", 0x04: "SWEEP", 0x05: "TRANSFER", 0x06: "PAY_PORTION",
	0x08: "V2_SWAP_EXACT_IN", 0x09: "V2_SWAP_EXACT_OUT", 0x0b: "WRAP_ETH", 0x0c: "UNWRAP_WETH"}

// sameApprovals compares what was found to be given with what is stated.
func sameApprovals(found []string, stated []request.TokenApproval) error {
	out := make([]string, len(stated))
	for i, a := range stated {
		amount := a.Amount.String()
		if a.All {
			amount = "all"
		}
		out[i] = fmt.Sprintf("%s %s %s", a.Contract, a.Spender, amount)
		number := new(big.Int).SetBytes(a.Amount[:])
		if a.Unlimited && number.Cmp(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 96), big.NewInt(1))) < 0 {
			return &Alarm{About: "approval", First: "unlimited", Second: amount}
		}
	}
	return same("approvals", strings.Join(found, "; "), strings.Join(out, "; "))
}

// methodOf makes go-ethereum's method of a signature.
func methodOf(signature string) (abi.Method, error) {
	f, err := ethabi.ParseFunction(signature)
	if err != nil {
		return abi.Method{}, err
	}
	var in abi.Arguments
	for _, t := range f.Inputs {
		name, parts := marshaling(t)
		g, err := abi.NewType(name, "", parts)
		if err != nil {
			return abi.Method{}, err
		}
		in = append(in, abi.Argument{Type: g})
	}
	return abi.NewMethod(f.Name, f.Name, abi.Function, "", false, false, in, nil), nil
}

// marshaling writes a type as go-ethereum wants it: tuples by name, their fields apart.
func marshaling(t ethabi.Type) (string, []abi.ArgumentMarshaling) {
	switch t.Kind {
	case ethabi.Tuple:
		var parts []abi.ArgumentMarshaling
		for i, f := range t.Fields {
			name, in := marshaling(f)
			parts = append(parts, abi.ArgumentMarshaling{Name: fmt.Sprintf("f%d", i), Type: name, Components: in})
		}
		return "tuple", parts
	case ethabi.Array, ethabi.Slice:
		name, parts := marshaling(*t.Elem)
		if t.Kind == ethabi.Slice {
			return name + "[]", parts
		}
		return fmt.Sprintf("%s[%d]", name, t.Size), parts
	default:
		return t.String(), nil
	}
}

// sameArgs compares arguments, part by part, with what is stated.
func sameArgs(about string, in abi.Arguments, values []any, stated []request.CallArg) error {
	var found []request.CallArg
	for i, v := range values {
		found = spell(found, fmt.Sprint(i), in[i].Type, reflect.ValueOf(v))
	}
	if err := same(about+", arguments", len(found), len(stated)); err != nil {
		return err
	}
	for i, f := range found {
		if err := same(about+", argument "+f.Path, f, stated[i]); err != nil {
			return err
		}
	}
	return nil
}

// longest is how many bytes of an argument are shown; of longer ones their hash is.
const longest = 128

// spell writes a value of go-ethereum's as the own decoder does.
func spell(out []request.CallArg, path string, t abi.Type, v reflect.Value) []request.CallArg {
	add := func(typ, text string) []request.CallArg {
		return append(out, request.CallArg{Path: path, Type: typ, Value: text})
	}
	switch t.T {
	case abi.TupleTy:
		for i, e := range t.TupleElems {
			out = spell(out, fmt.Sprintf("%s.%d", path, i), *e, v.Field(i))
		}
		return out
	case abi.SliceTy, abi.ArrayTy:
		if t.T == abi.SliceTy {
			out = append(out, request.CallArg{Path: path + ".length", Type: "uint256", Value: fmt.Sprint(v.Len())})
		}
		for i := range v.Len() {
			out = spell(out, fmt.Sprintf("%s.%d", path, i), *t.Elem, v.Index(i))
		}
		return out
	case abi.AddressTy:
		return add("address", v.Interface().(common.Address).Hex())
	case abi.FixedBytesTy:
		b := make([]byte, t.Size)
		reflect.Copy(reflect.ValueOf(b), v)
		return add(t.String(), "0x"+hex.EncodeToString(b))
	case abi.BytesTy:
		if b := v.Bytes(); len(b) > longest {
			return add("bytes", fmt.Sprintf("sha256:%x", sha256.Sum256(b)))
		}
		return add("bytes", "0x"+hex.EncodeToString(v.Bytes()))
	case abi.StringTy:
		if s := v.String(); len(s) > 2*longest+2 {
			return add("string", fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))))
		}
		return add("string", v.String())
	default:
		return add(t.String(), fmt.Sprint(v.Interface()))
	}
}
