// SPDX-License-Identifier: Apache-2.0

package request

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/share"
)

// Sizes of what the life cycle of a domain names, in bytes. docs/spec/domain.md.
const (
	PatternSize     = 16   // verification pattern of a working key
	RecoveryKeySize = 1216 // public recovery key, MLKEM768X25519

	maxReceipt = 1024
)

// LifeBody is the body of an operation on the life cycle.
type LifeBody interface {
	Body
	// Number gives the number that the operation takes: the domain's counter and one more.
	Number() uint64
}

// PointsSetBody asks to switch control points on and off, and to freeze some for ever.
type PointsSetBody struct {
	Counter uint64     `cbor:"1,keyasint" json:"counter"`
	Allow   points.Set `cbor:"2,keyasint" json:"allow"`
	Deny    points.Set `cbor:"3,keyasint" json:"deny"`
	Freeze  points.Set `cbor:"4,keyasint" json:"freeze"`
}

// EpochLoadBody asks the core to make the working key of the next epoch. Recovery names new custodians; nil: they stay.
type EpochLoadBody struct {
	Counter  uint64    `cbor:"1,keyasint" json:"counter"`
	Epoch    uint64    `cbor:"2,keyasint" json:"epoch"`
	Recovery *Recovery `cbor:"3,keyasint,omitempty" json:"recovery,omitempty"`
}

// EpochCommitBody asks to make the loaded working key the next one. Receipts are those of all custodians, if they are new.
type EpochCommitBody struct {
	Counter  uint64           `cbor:"1,keyasint" json:"counter"`
	Epoch    uint64           `cbor:"2,keyasint" json:"epoch"`
	Pattern  custody.HexBytes `cbor:"3,keyasint" json:"pattern"`
	Receipts []ShareReceipt   `cbor:"4,keyasint,omitempty" json:"receipts,omitempty"`
}

// EpochActivateBody asks to make the next working key the current one.
type EpochActivateBody struct {
	Counter uint64           `cbor:"1,keyasint" json:"counter"`
	Epoch   uint64           `cbor:"2,keyasint" json:"epoch"`
	Pattern custody.HexBytes `cbor:"3,keyasint" json:"pattern"`
}

// EpochFinalizeBody asks to destroy the working key that was current before.
type EpochFinalizeBody struct {
	Counter uint64           `cbor:"1,keyasint" json:"counter"`
	Epoch   uint64           `cbor:"2,keyasint" json:"epoch"`
	Pattern custody.HexBytes `cbor:"3,keyasint" json:"pattern"`
}

// EpochCancelBody asks to destroy the next working key.
type EpochCancelBody struct {
	Counter uint64           `cbor:"1,keyasint" json:"counter"`
	Epoch   uint64           `cbor:"2,keyasint" json:"epoch"`
	Pattern custody.HexBytes `cbor:"3,keyasint" json:"pattern"`
}

// ZeroizeBody asks to destroy every working key. Phrase is [ZeroizePhrase] of the domain.
type ZeroizeBody struct {
	Counter uint64 `cbor:"1,keyasint" json:"counter"`
	Phrase  string `cbor:"2,keyasint" json:"phrase"`
}

// RestoreBody asks to take the current working key back after zeroize, from what a restore has put into the root of trust.
type RestoreBody struct {
	Counter uint64           `cbor:"1,keyasint" json:"counter"`
	Epoch   uint64           `cbor:"2,keyasint" json:"epoch"`
	Pattern custody.HexBytes `cbor:"3,keyasint" json:"pattern"`
}

// Number implements [LifeBody].
func (b *PointsSetBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *EpochLoadBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *EpochCommitBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *EpochActivateBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *EpochFinalizeBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *EpochCancelBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *ZeroizeBody) Number() uint64 { return b.Counter }

// Number implements [LifeBody].
func (b *RestoreBody) Number() uint64 { return b.Counter }

// ZeroizePhrase is what an administrator types to zeroize a domain: it names the domain, so that it isn't another one that was meant.
func ZeroizePhrase(d custody.DomainID) string { return "zeroize " + d.String()[:16] }

// Recovery says to which key what must survive zeroize is sealed, and who holds the shares of its secret.
type Recovery struct {
	Public      custody.HexBytes `cbor:"1,keyasint" json:"public"`
	Threshold   uint32           `cbor:"2,keyasint" json:"threshold"`
	Shares      uint32           `cbor:"3,keyasint" json:"shares"`
	Commitments custody.HexBytes `cbor:"4,keyasint" json:"commitments"`                    // to the shares (docs/spec/share.md), 32 bytes × Threshold
	Transcript  custody.HexBytes `cbor:"5,keyasint" json:"transcript"`                     // hash of the head of the ceremony's transcript
	WorkingKey  custody.HexBytes `cbor:"6,keyasint,omitempty" json:"workingKey,omitempty"` // hash of the sealed copy of the current working key
	Identity    custody.HexBytes `cbor:"7,keyasint,omitempty" json:"identity,omitempty"`   // hash of the sealed copy of the identity
	Custodians  []PublicKey      `cbor:"8,keyasint,omitempty" json:"custodians,omitempty"` // by share
}

// Hash names the record without its sealed copies.
func (r Recovery) Hash() [32]byte {
	r.WorkingKey, r.Identity = nil, nil
	return canon.Hash(canon.TagRecoveryRecord, r)
}

// Check says whether r is well-formed; sealed says whether it must name sealed copies, or must not.
func (r Recovery) Check(profile custody.Profile, sealed bool) error {
	least := uint32(1)
	if profile == custody.Production {
		least = 2
	}
	copies := 0
	if sealed {
		copies = 32
	}
	switch {
	case len(r.Public) != RecoveryKeySize:
		return fmt.Errorf("recovery: the public key has %d bytes, not %d", len(r.Public), RecoveryKeySize)
	case r.Threshold < least || r.Threshold > r.Shares || r.Shares > share.MaxShares:
		return fmt.Errorf("recovery: %d of %d shares; want at least %d of at most %d", r.Threshold, r.Shares, least, share.MaxShares)
	case len(r.Transcript) != 32:
		return errors.New("recovery: the transcript's hash must have 32 bytes")
	case len(r.WorkingKey) != copies || len(r.Identity) != copies:
		return fmt.Errorf("recovery: hashes of sealed copies must have %d bytes here", copies)
	case len(r.Custodians) != 0 && len(r.Custodians) != int(r.Shares):
		return fmt.Errorf("recovery: %d custodians' keys for %d shares", len(r.Custodians), r.Shares)
	}
	if _, err := r.sharing(); err != nil {
		return fmt.Errorf("recovery: %w", err)
	}
	seen := make(map[KeyRef]bool, len(r.Custodians))
	for i, k := range r.Custodians {
		if err := k.Check(); err != nil {
			return fmt.Errorf("recovery: custodian %d: %w", i+1, err)
		}
		if k.Passkey() {
			return fmt.Errorf("recovery: custodian %d has a passkey; receipts are signed with key files", i+1)
		}
		if seen[k.Ref()] {
			return fmt.Errorf("recovery: custodian %d has the key of another; nobody holds two shares", i+1)
		}
		seen[k.Ref()] = true
	}
	return nil
}

// ShareReceipt is a custodian's signed word that they have their share and that it fits the commitments, as the ceremony collected it.
type ShareReceipt struct {
	Receipt custody.HexBytes `cbor:"1,keyasint" json:"receipt"` // canonical share.Receipt
	Sig     []byte           `cbor:"2,keyasint" json:"signature"`
}

// CheckReceipts says whether there is one receipt of each custodian of the record, in order, of one ceremony, and each verifies.
func (r Recovery) CheckReceipts(receipts []ShareReceipt) error {
	if len(receipts) != len(r.Custodians) || len(receipts) == 0 {
		return fmt.Errorf("%d receipts for %d custodians; each gives one", len(receipts), len(r.Custodians))
	}
	c, err := r.sharing()
	if err != nil {
		return err
	}
	var ceremony [32]byte
	for i, x := range receipts {
		got, err := share.DecodeReceipt(x.Receipt)
		if err != nil {
			return fmt.Errorf("the receipt of custodian %d: %w", i+1, err)
		}
		if i == 0 {
			ceremony = got.Ceremony
		}
		if int(got.Index) != i+1 || got.Sharing != c.Hash() || got.Recovery != sha256.Sum256(r.Public) || got.Ceremony != ceremony {
			return fmt.Errorf("the receipt of custodian %d is for another share, sharing or ceremony", i+1)
		}
		if !r.Custodians[i].Verify(got.Message(), x.Sig) {
			return fmt.Errorf("the receipt of custodian %d does not verify", i+1)
		}
	}
	return nil
}

// sharing reads the commitments.
func (r Recovery) sharing() (share.Commitments, error) {
	if r.Shares > share.MaxShares || r.Threshold > r.Shares {
		return share.Commitments{}, share.ErrScheme
	}
	return share.Parse(share.Scheme{Threshold: uint8(r.Threshold), Shares: uint8(r.Shares)}, r.Commitments)
}

func checkCounter(n uint64) error {
	if n == 0 {
		return errors.New("counter must be the domain's counter and one more, as 'strongroom domain status' shows it")
	}
	return nil
}

func (b *PointsSetBody) check() error {
	for _, s := range []points.Set{b.Allow, b.Deny, b.Freeze} {
		if err := s.Check(); err != nil {
			return err
		}
	}
	switch {
	case b.Allow.Or(b.Deny).Or(b.Freeze).IsZero():
		return errors.New("names no control point")
	case !b.Allow.And(b.Deny).IsZero():
		return fmt.Errorf("%s can't be switched on and off at once", b.Allow.And(b.Deny))
	}
	return checkCounter(b.Counter)
}

func (b *EpochLoadBody) check() error {
	if b.Epoch < 2 {
		return errors.New("epoch 1 begins with the domain; a load names a later one")
	}
	if b.Recovery != nil {
		if err := b.Recovery.Check(custody.Evaluation, false); err != nil {
			return err
		}
		if len(b.Recovery.Custodians) == 0 {
			return errors.New("recovery: new custodians must be named by their keys")
		}
	}
	return checkCounter(b.Counter)
}

func (b *EpochCommitBody) check() error {
	if len(b.Receipts) > share.MaxShares {
		return fmt.Errorf("%d receipts, more than %d", len(b.Receipts), share.MaxShares)
	}
	for i, r := range b.Receipts {
		if len(r.Sig) != 64 || len(r.Receipt) > maxReceipt {
			return fmt.Errorf("receipt %d has %d bytes and a signature of %d; want at most %d, and 64", i+1, len(r.Receipt), len(r.Sig), maxReceipt)
		}
	}
	return checkRegister(b.Counter, b.Epoch, b.Pattern)
}

func (b *EpochActivateBody) check() error { return checkRegister(b.Counter, b.Epoch, b.Pattern) }
func (b *EpochFinalizeBody) check() error { return checkRegister(b.Counter, b.Epoch, b.Pattern) }
func (b *EpochCancelBody) check() error   { return checkRegister(b.Counter, b.Epoch, b.Pattern) }
func (b *RestoreBody) check() error       { return checkRegister(b.Counter, b.Epoch, b.Pattern) }

func checkRegister(counter, epoch uint64, pattern []byte) error {
	if epoch == 0 || len(pattern) != PatternSize {
		return fmt.Errorf("must name an epoch and its verification pattern of %d bytes", PatternSize)
	}
	return checkCounter(counter)
}

func (b *ZeroizeBody) check() error {
	if len(b.Phrase) > 64 {
		return errors.New("the phrase is too long")
	}
	return checkCounter(b.Counter)
}
