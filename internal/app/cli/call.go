// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"strongroom/client"
	"strongroom/internal/app/words"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/eth/abi"
	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/eth/eip712"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// callCmd is about calls of contracts.
type callCmd struct {
	Create callCreate `cmd:"" help:"Ask to call a contract. The domain decodes what it does; what it can't decode is refused."`
	Decode callDecode `cmd:"" help:"Show what a call would do, with the contracts of the rule document, and ask for nothing."`
}

// calling are the flags that say which call.
type calling struct {
	Wallet   string `required:"" help:"Wallet that calls, one of an Ethereum chain."`
	Contract string `required:"" placeholder:"ADDRESS" help:"Contract, with its EIP-55 checksum."`
	Function string `placeholder:"SIGNATURE" help:"Function, for instance approve(address,uint256)."`
	Args     string `default:"[]" placeholder:"JSON" help:"Its arguments as a JSON array: numbers in base units, addresses and bytes as 0x…, lists and tuples as arrays."`
	Data     string `placeholder:"HEX" help:"Call data as 0x and hex digits, in the place of --function and --args."`
	Value    string `default:"0" placeholder:"AMOUNT" help:"Coins that go along: whole base units or a number with a unit (0.5eth)."`
	Source   uint32 `placeholder:"N" help:"Number of the calling address."`
}

// body builds the request's body. The wallet's chain matters only for the unit of the value.
func (c calling) body(feeCap string) (*client.ContractCall, error) {
	if _, err := eth.ParseAddress(c.Contract); err != nil {
		return nil, usage("--contract: %w", err)
	}
	data, err := c.data()
	if err != nil {
		return nil, err
	}
	b := &client.ContractCall{Wallet: client.WalletID(c.Wallet), Source: c.Source, Contract: c.Contract, Data: data}
	coin := custody.EVMChain(1).Native()
	if b.Value, err = amountOf(coin, c.Value); err != nil {
		return nil, err
	}
	b.FeeCap, err = amountOf(coin, feeCap)
	return b, err
}

func (c calling) data() ([]byte, error) {
	if (c.Function == "") == (c.Data == "") {
		return nil, usage("give --function with --args, or --data")
	}
	if c.Data != "" {
		b, err := hex.DecodeString(strings.TrimPrefix(c.Data, "0x"))
		if err != nil {
			return nil, usage("--data: %w", err)
		}
		return b, nil
	}
	f, err := abi.ParseFunction(c.Function)
	if err != nil {
		return nil, usage("--function: %w", err)
	}
	args, err := abi.FromJSON(f.Inputs, []byte(c.Args))
	if err != nil {
		return nil, usage("--args: %w", err)
	}
	return f.EncodeCall(args), nil
}

type callCreate struct {
	calling
	FeeCap string `required:"" placeholder:"AMOUNT" help:"Most that may be paid as fee, in the chain's own coin."`
	asking
}

// Run asks.
func (c *callCreate) Run(e *env) error {
	b, err := c.body(c.FeeCap)
	if err != nil {
		return err
	}
	return c.ask(e, b)
}

type callDecode struct{ calling }

// Run shows what the call would do.
func (c *callDecode) Run(e *env) error {
	b, err := c.body("1")
	if err != nil {
		return err
	}
	cl, err := e.client()
	if err != nil {
		return err
	}
	w, err := cl.Wallet(e.ctx, b.Wallet)
	if err != nil {
		return hint(err, "'strongroom wallet list' shows the wallets")
	}
	x, err := decodeHere(e, cl, w, b)
	if errors.Is(err, calls.ErrTransfer) {
		return hint(err, "'strongroom request transfer' asks for one")
	}
	if err != nil {
		return err
	}
	return e.show(x, func() error {
		for _, l := range words.Signing(request.Effects{Chain: w.Chain, Calls: &x}) {
			if _, err := fmt.Fprintln(e.Out, l); err != nil {
				return err
			}
		}
		return nil
	})
}

// decodeHere decodes a call with the rules that serve tells.
func decodeHere(e *env, cl *client.Client, w client.Wallet, b *client.ContractCall) (client.CallEffects, error) {
	var none client.CallEffects
	at, err := walletEntry(w)
	if err != nil {
		return none, err
	}
	source, err := authority.Derive(at, entry.KeyPath{Index: b.Source})
	if err != nil {
		return none, err
	}
	p, err := cl.Policy(e.ctx)
	if err != nil {
		return none, err
	}
	d, err := policy.DecodeDocument(p.Canonical)
	if err != nil {
		return none, err
	}
	rules, err := policy.Compile(d)
	if err != nil {
		return none, err
	}
	contract, err := eth.ParseAddress(b.Contract)
	if err != nil {
		return none, err
	}
	return calls.Decode(calls.Call{Chain: w.Chain, Source: source.Address, Contract: contract, Value: b.Value, Data: b.Data}, rules.Registry(w.Chain))
}

// messageCmd is about messages.
type messageCmd struct {
	Sign messageSign `cmd:"" help:"Ask for a signature over typed data (EIP-712) or a plain text (EIP-191)."`
}

type messageSign struct {
	Wallet string `required:"" help:"Wallet that signs, one of an Ethereum chain."`
	Typed  string `placeholder:"FILE" help:"Typed data in JSON, with types, primaryType, domain and message; - for standard input. It is rewritten to its canonical form, which says the same."`
	Text   string `placeholder:"TEXT" help:"Plain text to sign, in the place of --typed."`
	Source uint32 `placeholder:"N" help:"Number of the signing address."`
	asking
}

// Run asks.
func (c *messageSign) Run(e *env) error {
	b := &client.MessageSign{Wallet: client.WalletID(c.Wallet), Source: c.Source, Kind: request.PersonalMessage, Content: c.Text}
	switch {
	case (c.Typed == "") == (c.Text == ""):
		return usage("give --typed FILE or --text TEXT")
	case c.Typed != "":
		text, err := e.readInput(c.Typed)
		if err != nil {
			return err
		}
		canonical, err := eip712.Canonical(text)
		if err != nil {
			return usage("%s is no typed data that can be signed: %w", c.Typed, err)
		}
		b.Kind, b.Content = request.TypedMessage, string(canonical)
	}
	return c.ask(e, b)
}
