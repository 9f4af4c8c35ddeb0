// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"strongroom/internal/pure/custody"
)

// MessageSign asks for a signature over a message that is no transaction; body [MessageSignBody]. docs/spec/calls.md.
const MessageSign Operation = "message_sign"

// MessageKind says what sort of message it is. Raw hashes are none.
type MessageKind string

// The kinds. They are wire format.
const (
	TypedMessage    MessageKind = "typed"    // EIP-712 typed data; the content is its JSON in canonical form
	PersonalMessage MessageKind = "personal" // EIP-191 version 0x45; the content is the text itself
)

// Bounds on messages, in bytes.
const (
	MaxTyped    = 32 << 10
	MaxPersonal = 4 << 10
)

// MessageSignBody asks for a signature over a message by one address of a wallet.
type MessageSignBody struct {
	Wallet  custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	Source  uint32           `cbor:"2,keyasint" json:"source"` // index of the signing address
	Kind    MessageKind      `cbor:"3,keyasint" json:"kind"`
	Content string           `cbor:"4,keyasint" json:"content"`
}

func (b *MessageSignBody) check() error {
	if err := b.Wallet.Check(); err != nil {
		return err
	}
	switch b.Kind {
	case TypedMessage:
		if len(b.Content) == 0 || len(b.Content) > MaxTyped {
			return fmt.Errorf("typed data has %d bytes; want 1 to %d", len(b.Content), MaxTyped)
		}
		return nil
	case PersonalMessage:
		return checkPersonal(b.Content)
	default:
		return fmt.Errorf("kind %q is neither %q nor %q; hashes and raw bytes are never signed", string(b.Kind), TypedMessage, PersonalMessage)
	}
}

// checkPersonal says whether people can read all of a text: printable characters, spaces and new lines.
func checkPersonal(s string) error {
	hidden := func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }
	switch {
	case len(s) == 0 || len(s) > MaxPersonal:
		return fmt.Errorf("the text has %d bytes; want 1 to %d", len(s), MaxPersonal)
	case !utf8.ValidString(s) || strings.ContainsFunc(s, hidden):
		return errors.New("the text has characters that can't be seen; only printable text is signed")
	case strings.HasPrefix(s, "0x") && !strings.ContainsFunc(s[2:], func(r rune) bool { return !strings.ContainsRune("0123456789abcdefABCDEF", r) }):
		return errors.New("the text is hex digits, which nobody can read; hashes and raw bytes are never signed")
	}
	return nil
}

// MessageEffects is what a message says, as it was decoded.
type MessageEffects struct {
	Kind      MessageKind      `cbor:"1,keyasint" json:"kind"`
	Text      string           `cbor:"2,keyasint,omitempty" json:"text,omitempty"`              // personal: all of it
	Name      string           `cbor:"3,keyasint,omitempty" json:"domainName,omitempty"`        // typed: of its domain
	Version   string           `cbor:"4,keyasint,omitempty" json:"domainVersion,omitempty"`     //
	ChainID   string           `cbor:"5,keyasint,omitempty" json:"chainId,omitempty"`           // decimal digits
	Contract  string           `cbor:"6,keyasint,omitempty" json:"verifyingContract,omitempty"` // EIP-55
	ID        string           `cbor:"7,keyasint,omitempty" json:"contractId,omitempty"`        // of that contract in the rule document
	Salt      string           `cbor:"8,keyasint,omitempty" json:"salt,omitempty"`              //
	Primary   string           `cbor:"9,keyasint,omitempty" json:"primaryType,omitempty"`       //
	Fields    []CallArg        `cbor:"10,keyasint,omitempty" json:"fields,omitempty"`           // of the message, paths by name: "details.amount", "ids.0"
	Approvals []TokenApproval  `cbor:"11,keyasint,omitempty" json:"approvals,omitempty"`        // power over tokens that the signature gives
	Deadline  string           `cbor:"12,keyasint,omitempty" json:"deadline,omitempty"`         // of the approvals: the last moment they can be used or taken up, Unix seconds in decimal digits
	Exact     custody.HexBytes `cbor:"13,keyasint" json:"exact"`                                // the bytes whose Keccak-256 is signed
}
