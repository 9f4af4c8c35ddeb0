// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"slices"

	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
)

// Kind says what sort of contract it is, for the functions that it has without being told and for what they mean.
type Kind string

// The kinds. They are wire format.
const (
	Token     Kind = "token"     // ERC-20
	NFT       Kind = "nft"       // ERC-721 and ERC-1155
	Wrapped   Kind = "wrapped"   // ERC-20 with deposit and withdraw of the chain's own coin
	Router    Kind = "router"    // execute of commands, multicall
	Multicall Kind = "multicall" // Multicall3
	Safe      Kind = "safe"      // execTransaction
	Other     Kind = "other"     // none of its own
)

// Kinds lists the kinds.
func Kinds() []Kind { return []Kind{Multicall, NFT, Other, Router, Safe, Token, Wrapped} }

// The standard functions that mean something here.
const (
	fnTransfer          = "transfer(address,uint256)"
	fnTransferFrom      = "transferFrom(address,address,uint256)"
	fnApprove           = "approve(address,uint256)"
	fnIncrease          = "increaseAllowance(address,uint256)"
	fnDecrease          = "decreaseAllowance(address,uint256)"
	fnPermit            = "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"
	fnPermit2Approve    = "approve(address,address,uint160,uint48)"
	fnApproveAll        = "setApprovalForAll(address,bool)"
	fnSafeTransfer      = "safeTransferFrom(address,address,uint256)"
	fnSafeTransferData  = "safeTransferFrom(address,address,uint256,bytes)"
	fnSafeTransfer1155  = "safeTransferFrom(address,address,uint256,uint256,bytes)"
	fnSafeTransferBatch = "safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)"
	fnDeposit           = "deposit()"
	fnWithdraw          = "withdraw(uint256)"
	fnMulticall         = "multicall(bytes[])"
	fnMulticallUntil    = "multicall(uint256,bytes[])"
	fnAggregate3        = "aggregate3((address,bool,bytes)[])"
	fnAggregate3Value   = "aggregate3Value((address,bool,uint256,bytes)[])"
	fnExecTransaction   = "execTransaction(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address,bytes)"
	fnExecute           = "execute(bytes,bytes[])"
	fnExecuteUntil      = "execute(bytes,bytes[],uint256)"
)

// standards lists the functions that a contract of a kind has.
var standards = map[Kind][]string{
	Token:     {fnTransfer, fnTransferFrom, fnApprove, fnIncrease, fnDecrease, fnPermit},
	Wrapped:   {fnTransfer, fnTransferFrom, fnApprove, fnDeposit, fnWithdraw},
	NFT:       {fnApprove, fnApproveAll, fnTransferFrom, fnSafeTransfer, fnSafeTransferData, fnSafeTransfer1155, fnSafeTransferBatch},
	Router:    {fnExecute, fnExecuteUntil, fnMulticall, fnMulticallUntil},
	Multicall: {fnMulticall, fnAggregate3, fnAggregate3Value},
	Safe:      {fnExecTransaction},
}

// standardBySelector finds a standard function of any kind, standardOf one of a kind.
var standardBySelector, standardOf = index()

func index() (map[eth.Selector]abi.Function, map[Kind]map[eth.Selector]abi.Function) {
	all, of := map[eth.Selector]abi.Function{}, map[Kind]map[eth.Selector]abi.Function{}
	for kind, list := range standards {
		of[kind] = map[eth.Selector]abi.Function{}
		for _, s := range list {
			if f, err := abi.ParseFunction(s); err == nil { // all are good: TestStandards
				all[f.Selector()], of[kind][f.Selector()] = f, f
			}
		}
	}
	return all, of
}

// Standard finds a function that contracts of a kind have.
func Standard(k Kind, s eth.Selector) (abi.Function, bool) {
	f, ok := standardOf[k][s]
	return f, ok
}

// command is a command of a router's execute: what its input holds. Numbers and inputs as in Uniswap's Universal Router, Commands.sol
// and Dispatcher.sol.
type command struct{ name, inputs string }

// signature is how effects name a command.
func (c command) signature() string { return c.name + c.inputs }

// commands lists those that are known. A command that is not here makes the whole call undecodable.
var commands = map[byte]command{
	0x00: {"V3_SWAP_EXACT_IN", "(address,uint256,uint256,bytes,bool)"},
	0x01: {"V3_SWAP_EXACT_OUT", "(address,uint256,uint256,bytes,bool)"},
	0x02: {"PERMIT2_TRANSFER_FROM", "(address,address,uint160)"},
	0x04: {"SWEEP", "(address,address,uint256)"},
	0x05: {"TRANSFER", "(address,address,uint256)"},
	0x06: {"PAY_PORTION", "(address,address,uint256)"},
	0x08: {"V2_SWAP_EXACT_IN", "(address,uint256,uint256,address[],bool)"},
	0x09: {"V2_SWAP_EXACT_OUT", "(address,uint256,uint256,address[],bool)"},
	0x0b: {"WRAP_ETH", "(address,uint256)"},
	0x0c: {"UNWRAP_WETH", "(address,uint256)"},
}

// StandardsOf lists the signatures of the functions that contracts of a kind have.
func StandardsOf(k Kind) []string { return slices.Clone(standards[k]) }

// OfOneKind says whether a function of a contract of a kind moves tokens that are one of a kind, or gives power over one: what such a token is worth no price of an
// asset tells.
func OfOneKind(k Kind, function string) bool {
	switch function {
	case fnSafeTransfer, fnSafeTransferData, fnSafeTransfer1155, fnSafeTransferBatch:
		return true
	case fnApprove, fnTransferFrom:
		return k == NFT
	default:
		return false
	}
}
