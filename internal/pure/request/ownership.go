// SPDX-License-Identifier: Apache-2.0

package request

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
)

// ProofKind says how somebody showed that an address is theirs.
type ProofKind string

// The kinds of proof.
const (
	SignedMessage ProofKind = "signed_msg"   // the address' key signed the challenge; the core verifies it
	SatoshiTest   ProofKind = "satoshi_test" // the address paid a small amount to one of ours; who approves has looked
	Attested      ProofKind = "attested"     // the word of who asks and who approves
)

// Check says whether k is known.
func (k ProofKind) Check() error {
	if k != SignedMessage && k != SatoshiTest && k != Attested {
		return fmt.Errorf("proof %q is none of %q, %q, %q", string(k), SignedMessage, SatoshiTest, Attested)
	}
	return nil
}

// ProofScheme says how a message was signed.
type ProofScheme string

// The schemes.
const (
	EIP191 ProofScheme = "eip191"      // Ethereum personal_sign, 65 bytes r || s || v
	BIP322 ProofScheme = "bip322"      // Bitcoin, simple: the witness, for P2WPKH and P2TR by key path
	BIP137 ProofScheme = "signmessage" // Bitcoin, 65 bytes with a header, for P2PKH and P2WPKH
)

// Ownership is a proof as a whitelist_add brings it. docs/spec/address-book.md.
type Ownership struct {
	Kind   ProofKind        `cbor:"1,keyasint" json:"kind"`
	Scheme ProofScheme      `cbor:"2,keyasint,omitempty" json:"scheme,omitempty"`
	Sig    []byte           `cbor:"3,keyasint,omitempty" json:"signature,omitempty"`
	Wallet custody.WalletID `cbor:"4,keyasint,omitempty" json:"wallet,omitempty"` // satoshi_test: whose receiving address was paid
	Index  uint32           `cbor:"5,keyasint,omitempty" json:"index,omitempty"`  // and its number
	Amount uint64           `cbor:"6,keyasint,omitempty" json:"amount,omitempty"` // base units of the chain's coin
	TxID   string           `cbor:"7,keyasint,omitempty" json:"txid,omitempty"`
	Note   string           `cbor:"8,keyasint,omitempty" json:"note,omitempty"` // attested: what was looked at
}

const (
	maxProofSig  = 1024 // bytes
	maxTxID      = 100
	maxProofNote = 500
)

func (o *Ownership) check(c custody.ChainID) error {
	_, evm := c.EVM()
	if err := o.Kind.Check(); err != nil {
		return err
	}
	if err := checkVisible("note", o.Note, maxProofNote); err != nil {
		return err
	}
	signs, pays := o.Kind == SignedMessage, o.Kind == SatoshiTest
	switch {
	case signs != (len(o.Sig) > 0) || signs != (o.Scheme != "") || len(o.Sig) > maxProofSig:
		return fmt.Errorf("a proof %s has a scheme and a signature of at most %d bytes, and no other has them", SignedMessage, maxProofSig)
	case signs && (o.Scheme == EIP191) != evm, signs && !evm && o.Scheme != BIP322 && o.Scheme != BIP137:
		return fmt.Errorf("scheme %q is not for %s: Ethereum takes %q, Bitcoin %q or %q", o.Scheme, c, EIP191, BIP322, BIP137)
	case pays != (o.Wallet != "") || pays != (o.TxID != "") || pays != (o.Amount > 0) || !pays && o.Index != 0:
		return fmt.Errorf("a proof %s names wallet, amount and transaction, and no other does", SatoshiTest)
	case len(o.TxID) > maxTxID || strings.ContainsFunc(o.TxID, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("txid must be a transaction's name as explorers spell it")
	case o.Kind == Attested && o.Note == "":
		return errors.New("an attested proof says in its note what was looked at")
	}
	return nil
}

// challenge names what a proof is for.
type challenge struct {
	Authority custody.AuthorityID `cbor:"1,keyasint"`
	Domain    custody.DomainID    `cbor:"2,keyasint"`
	ID        string              `cbor:"3,keyasint"`
	Chain     custody.ChainID     `cbor:"4,keyasint"`
	Address   string              `cbor:"5,keyasint"`
}

// Challenge is what the owner of an address signs: text for people, with the hash of what it binds under [canon.TagAddressKey].
func Challenge(a custody.AuthorityID, d custody.DomainID, id string, c custody.ChainID, address string) string {
	h := canon.Hash(canon.TagAddressKey, challenge{a, d, id, c, address})
	return fmt.Sprintf("Strongroom: this address is mine, and may be paid.\nAuthority: %s\nDomain: %s\nName: %s\nChain: %s\nAddress: %s\nChallenge: %s",
		a, d, id, c, address, hex.EncodeToString(h[:]))
}

// SatoshiAmount is what a satoshi test pays, in base units of the chain's coin: 1,000 to 9,999, by what the proof is for.
func SatoshiAmount(a custody.AuthorityID, d custody.DomainID, id string, c custody.ChainID, address string) uint64 {
	h := canon.Hash(canon.TagAddressKey, challenge{a, d, id, c, address})
	return 1000 + (uint64(h[0])<<24|uint64(h[1])<<16|uint64(h[2])<<8|uint64(h[3]))%9000
}

// CheckOwnership verifies what a proof says of itself, without the chain and without the domain's wallets: the signature of the challenge, or
// that the amount is the one asked for. What is attested is not looked at.
func (r Request) CheckOwnership(b *WhitelistAddBody) error {
	o := b.Proof
	if o == nil {
		return nil
	}
	switch o.Kind {
	case SatoshiTest:
		if want := SatoshiAmount(r.Authority, r.Domain, b.ID, b.Chain, b.Address); o.Amount != want {
			return fmt.Errorf("the satoshi test of this address pays %d, not %d", want, o.Amount)
		}
		return nil
	case SignedMessage:
		text := Challenge(r.Authority, r.Domain, b.ID, b.Chain, b.Address)
		if err := verifyOwner(b.Chain, b.Address, o.Scheme, text, o.Sig); err != nil {
			return fmt.Errorf("the proof is no signature of %s over the challenge for %q: %w", b.Address, b.ID, err)
		}
	}
	return nil
}

func verifyOwner(c custody.ChainID, address string, scheme ProofScheme, text string, sig []byte) error {
	if scheme == EIP191 {
		got, err := eth.RecoverMessage([]byte(text), sig)
		if err == nil && got.String() != address {
			err = fmt.Errorf("it is of %s", got)
		}
		return err
	}
	n, err := BitcoinNetwork(c)
	if err != nil {
		return err
	}
	script, err := btc.ParseAddress(n, address)
	if err != nil {
		return err
	}
	if scheme == BIP137 {
		return btc.VerifyLegacyMessage(script, []byte(text), sig)
	}
	return btc.VerifyMessage(script, []byte(text), sig)
}

// checkVisible says whether people can read a text as it is.
func checkVisible(what, s string, most int) error {
	if len(s) > most || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return fmt.Errorf("%s must be at most %d bytes of visible text", what, most)
	}
	return nil
}
