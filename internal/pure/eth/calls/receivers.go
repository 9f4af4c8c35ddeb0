// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"slices"

	"strongroom/internal/pure/request"
)

// receiving says which argument of a function or command is the address that gets something, beside what movements tell: tokens of ERC-721 and ERC-1155 are no
// movements, and neither is what a router pays out of what it has.
var receiving = map[string]string{
	fnTransferFrom: "1", fnSafeTransfer: "1", fnSafeTransferData: "1", fnSafeTransfer1155: "1", fnSafeTransferBatch: "1",

	commands[0x00].signature(): "0", commands[0x01].signature(): "0", commands[0x08].signature(): "0", commands[0x09].signature(): "0", // swaps
	commands[0x04].signature(): "1", commands[0x05].signature(): "1", commands[0x06].signature(): "1",
	commands[0x0b].signature(): "0", commands[0x0c].signature(): "0",
}

// A router's words for two addresses: who calls it, and itself. Uniswap's Universal Router, Constants.sol.
const (
	routersCaller = "0x0000000000000000000000000000000000000001"
	routerItself  = "0x0000000000000000000000000000000000000002"
)

// Receivers lists the addresses that get something by calls within a call, sorted and distinct, whether a movement tells of it or not. A call that can't be decoded
// has none that are known.
func Receivers(c *request.CallEffects) (out []string) {
	for _, n := range c.Calls {
		path, ok := receiving[n.Function]
		if !ok {
			continue
		}
		for _, a := range n.Args {
			if a.Path == path && a.Value != routersCaller && a.Value != routerItself {
				out = append(out, a.Value)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
