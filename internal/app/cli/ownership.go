// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"encoding/hex"
	"strings"

	"strongroom/client"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
)

type whitelistChallenge struct {
	Name    string `arg:"" help:"Name that the entry will have."`
	Address string `arg:"" help:"Address, as the chain spells it."`
	Chain   string `required:"" help:"Chain: a name such as bitcoin-regtest, or CAIP-2 such as eip155:1."`
}

// challengeView is what the owner of an address signs, or pays.
type challengeView struct {
	Message string `json:"message"`
	Satoshi uint64 `json:"satoshiTest"` // base units of the chain's coin
}

// Run writes the challenge.
func (c *whitelistChallenge) Run(e *env) error {
	chain, err := chainOf(c.Chain)
	if err != nil {
		return err
	}
	if err := request.CheckBookID(c.Name); err != nil {
		return usage("%w", err)
	}
	if _, err := request.CanonicalAddress(chain, c.Address); err != nil {
		return usage("%w", err)
	}
	a, err := e.authorityID()
	if err != nil {
		return err
	}
	v := challengeView{Message: request.Challenge(a, custody.DomainID(a), c.Name, chain, c.Address), Satoshi: request.SatoshiAmount(a, custody.DomainID(a), c.Name, chain, c.Address)}
	return e.show(v, func() error {
		e.say("The owner signs this text, exactly, with the key of the address (Ethereum: personal_sign; Bitcoin: BIP-322, or signmessage).")
		e.say("Or they pay %d base units from it to a receiving address of yours.", v.Satoshi)
		_, err := e.Out.Write([]byte(v.Message + "\n"))
		return err
	})
}

// authorityID gives the authority that this machine knows.
func (e *env) authorityID() (custody.AuthorityID, error) {
	d, err := e.domain()
	if err != nil {
		return custody.AuthorityID{}, err
	}
	a, err := custody.ParseAuthorityID(d.Authority)
	if err != nil {
		return a, usage("%w", err)
	}
	return a, nil
}

// readOwnership reads a proof and checks what can be checked of it here: a signature as wallets write it, or JSON.
func readOwnership(e *env, path string, b client.WhitelistAdd) (*client.Ownership, error) {
	raw, err := e.readInput(path)
	if err != nil {
		return nil, err
	}
	a, err := e.authorityID()
	if err != nil {
		return nil, err
	}
	raw = bytes.TrimSpace(raw)
	o := &client.Ownership{}
	if bytes.HasPrefix(raw, []byte("{")) {
		if err := strictjson.Decode(raw, o); err != nil {
			return nil, usage("--proof %s: %w", path, err)
		}
	} else if o, err = signedOwnership(string(raw), b.Chain); err != nil {
		return nil, usage("--proof %s: %w", path, err)
	}
	if o.Kind == request.SatoshiTest && o.Amount == 0 {
		o.Amount = request.SatoshiAmount(a, custody.DomainID(a), b.ID, b.Chain, b.Address)
	}
	b.Proof = o
	if err := (request.Request{Authority: a, Domain: custody.DomainID(a)}).CheckOwnership(&b); err != nil {
		return nil, hint(usage("--proof %s: %w", path, err), "'strongroom whitelist challenge %s %s' writes the text that is signed", b.ID, b.Address)
	}
	return o, nil
}

// signedOwnership reads a signature as wallets write it: hex for Ethereum, base64 for Bitcoin.
func signedOwnership(s string, chain custody.ChainID) (*client.Ownership, error) {
	if _, evm := chain.EVM(); evm {
		sig, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
		return &client.Ownership{Kind: request.SignedMessage, Scheme: request.EIP191, Sig: sig}, err
	}
	sig, legacy, err := btc.DecodeMessageSignature(s)
	o := &client.Ownership{Kind: request.SignedMessage, Scheme: request.BIP322, Sig: sig}
	if legacy {
		o.Scheme = request.BIP137
	}
	return o, err
}
