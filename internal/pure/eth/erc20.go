// SPDX-License-Identifier: Apache-2.0

package eth

import "fmt"

// TransferSize is the size in bytes of the call data of transfer(address,uint256): selector and two words.
const TransferSize = 4 + 32 + 32

// Selector is the first four bytes of the Keccak-256 of a function's signature; it opens call data (Solidity ABI).
type Selector [4]byte

// String returns the selector in hex with 0x.
func (s Selector) String() string { return fmt.Sprintf("0x%x", s[:]) }

// transferSelector opens transfer(address,uint256), the one call that is supported.
var transferSelector = Selector{0xa9, 0x05, 0x9c, 0xbb}

// TransferCall is a decoded ERC-20 transfer(address,uint256). Amount is in the token's base units.
type TransferCall struct {
	To     Address
	Amount Uint256
}

// DecodeCall reads call data that is exactly transfer(address,uint256): selector a9059cbb, 68 bytes, and twelve zero
// bytes before the address. Everything else is refused with an [*UnsupportedError] that names the function where this
// package knows it: approve and its kin hand spending power to somebody else and are never a transfer.
func DecodeCall(data []byte) (TransferCall, error) {
	if len(data) < len(Selector{}) {
		return TransferCall{}, &UnsupportedError{Reason: ReasonShortData, Size: len(data)}
	}
	sel := Selector(data)
	method := methodName(sel)
	if sel != transferSelector {
		return TransferCall{}, &UnsupportedError{Reason: ReasonMethod, Selector: sel, Method: method, Size: len(data)}
	}
	if len(data) != TransferSize {
		return TransferCall{}, &UnsupportedError{Reason: ReasonCallSize, Selector: sel, Method: method, Size: len(data)}
	}
	if [12]byte(data[4:]) != [12]byte{} {
		return TransferCall{}, &UnsupportedError{Reason: ReasonPadding, Selector: sel, Method: method, Size: len(data)}
	}
	return TransferCall{To: Address(data[16:36]), Amount: Uint256(data[36:])}, nil
}

// EncodeTransfer returns the call data of transfer(to, amount), which [DecodeCall] reads.
func EncodeTransfer(to Address, amount Uint256) []byte {
	b := make([]byte, 0, TransferSize)
	b = append(b, transferSelector[:]...)
	b = append(b, make([]byte, 12)...)
	b = append(b, to[:]...)
	return append(b, amount[:]...)
}

// methods are the functions a refusal names. All but the first are refused; those that let others spend come first.
var methods = []struct {
	selector  Selector
	signature string
}{
	{transferSelector, "transfer(address,uint256)"},
	{Selector{0x09, 0x5e, 0xa7, 0xb3}, "approve(address,uint256)"},
	{Selector{0x23, 0xb8, 0x72, 0xdd}, "transferFrom(address,address,uint256)"},
	{Selector{0x39, 0x50, 0x93, 0x51}, "increaseAllowance(address,uint256)"},
	{Selector{0xa4, 0x57, 0xc2, 0xd7}, "decreaseAllowance(address,uint256)"},
	{Selector{0xd5, 0x05, 0xac, 0xcf}, "permit(address,address,uint256,uint256,uint8,bytes32,bytes32)"},
	{Selector{0xa2, 0x2c, 0xb4, 0x65}, "setApprovalForAll(address,bool)"},
	{Selector{0x40, 0x00, 0xae, 0xa0}, "transferAndCall(address,uint256,bytes)"},
	{Selector{0x42, 0x84, 0x2e, 0x0e}, "safeTransferFrom(address,address,uint256)"},
	{Selector{0xf2, 0xfd, 0xe3, 0x8b}, "transferOwnership(address)"},
	{Selector{0x42, 0x96, 0x6c, 0x68}, "burn(uint256)"},
	{Selector{0xd0, 0xe3, 0x0d, 0xb0}, "deposit()"},
	{Selector{0x2e, 0x1a, 0x7d, 0x4d}, "withdraw(uint256)"},
	{Selector{0xac, 0x96, 0x50, 0xd8}, "multicall(bytes[])"},
}

// methodName returns the signature behind a selector, or "" when this package doesn't know it.
func methodName(s Selector) string {
	for _, m := range methods {
		if m.selector == s {
			return m.signature
		}
	}
	return ""
}
