// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// Operators is how many different people confirm before an offline domain signs.
const Operators = 2

// Confirmed is a permit of the authority that operators confirm.
type Confirmed struct {
	Entry   uint64   `cbor:"1,keyasint"` // in the authority's log
	Payload [32]byte `cbor:"2,keyasint"` // hash of the payload
}

// Confirmation is what two operators of an offline domain sign before it does: these permits, from this bundle, now, by its clock.
type Confirmation struct {
	V         uint                `cbor:"1,keyasint"` // 1
	Authority custody.AuthorityID `cbor:"2,keyasint"`
	Domain    custody.DomainID    `cbor:"3,keyasint"` // the offline domain
	Bundle    [32]byte            `cbor:"4,keyasint"` // [Bundle.Hash]
	Permits   []Confirmed         `cbor:"5,keyasint"` // by entry, ascending
	Time      int64               `cbor:"6,keyasint"` // Unix nanoseconds, by the domain's clock

	SetBack *SetBack `cbor:"7,keyasint,omitempty"` // instead of permits: that the domain was set back, and what it takes back from the bundle
}

// Encode gives the canonical encoding.
func (c Confirmation) Encode() []byte { return canon.Encode(c) }

// Message is what an operator signs.
func (c Confirmation) Message() []byte { return canon.Message(canon.TagOfflineConfirm, c) }

// DecodeConfirmation reads a confirmation.
func DecodeConfirmation(b []byte) (Confirmation, error) {
	var c Confirmation
	if err := canon.Decode(b, &c); err != nil {
		return c, fmt.Errorf("confirmation: %w", err)
	}
	switch {
	case c.V != 1:
		return c, fmt.Errorf("confirmation: version %d is not known", c.V)
	case c.SetBack != nil && len(c.Permits) > 0:
		return c, errors.New("confirmation: of a domain that was set back, and of permits")
	case c.SetBack == nil && len(c.Permits) == 0 || len(c.Permits) > MaxPermits:
		return c, fmt.Errorf("confirmation: %d permits, not 1 to %d", len(c.Permits), MaxPermits)
	}
	for i := 1; i < len(c.Permits); i++ {
		if c.Permits[i].Entry <= c.Permits[i-1].Entry {
			return c, errors.New("confirmation: its permits are not in order")
		}
	}
	return c, nil
}

// CheckSignatures says whether two different operators confirmed: active people in a group that the rules' signature plan names, with key files
// of theirs. A passkey is no operator's key: a browser shows what its site wants to be seen.
func CheckSignatures(rules *policy.Rules, c Confirmation, sigs []Signature) error {
	if !distinct(sigs) {
		return fmt.Errorf("%d signatures; %d different operators confirm", len(sigs), Operators)
	}
	for _, x := range sigs {
		if err := CheckSignature(rules, c, x); err != nil {
			return err
		}
	}
	return nil
}

// CheckSignature says whether one operator confirmed.
func CheckSignature(rules *policy.Rules, c Confirmation, x Signature) error {
	who, key, ok := rules.Key(x.Key)
	switch {
	case !ok || who.ID != x.Person || !who.Active:
		return fmt.Errorf("key %s is not an active key of %s", x.Key, x.Person)
	case !rules.Administrator(who.ID):
		return fmt.Errorf("%s is in no group that the signature plan names, and confirms nothing", who.ID)
	case key.Passkey():
		return fmt.Errorf("key %s is a passkey; operators confirm with key files", x.Key)
	case !key.Verify(c.Message(), x.Sig):
		return fmt.Errorf("the confirmation of %s does not verify", who.ID)
	}
	return nil
}
