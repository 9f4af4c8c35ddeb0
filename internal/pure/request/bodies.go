// SPDX-License-Identifier: Apache-2.0

package request

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// Scheme says how a wallet's addresses follow from its key.
type Scheme string

// The schemes.
const (
	SchemeEVM    Scheme = "evm"    // BIP-44 m/44'/60'/account'/0/i, one Ethereum account an address
	SchemeP2WPKH Scheme = "p2wpkh" // BIP-84 m/84'/coin'/account'/change/i
	SchemeP2TR   Scheme = "p2tr"   // BIP-86 m/86'/coin'/account'/change/i, key path only
)

// Output pays an amount to an address, in base units of the transfer's asset.
type Output struct {
	Address string          `cbor:"1,keyasint" json:"address"` // canonical spelling: EIP-55, or lower-case bech32, or base58check
	Amount  custody.Uint256 `cbor:"2,keyasint" json:"amount"`
}

// TransferBody asks to pay. Ethereum takes exactly one output, from one address of the wallet.
type TransferBody struct {
	Wallet  custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	Asset   custody.AssetID  `cbor:"2,keyasint" json:"asset"`
	Source  uint32           `cbor:"3,keyasint" json:"source"` // index of the paying address (Ethereum); 0 for Bitcoin
	Outputs []Output         `cbor:"4,keyasint" json:"outputs"`
	FeeCap  custody.Uint256  `cbor:"5,keyasint" json:"feeCap"` // most that may be paid as fee in all, base units of the chain's own coin
}

// WalletCreateBody asks for a wallet with a seed of its own, born in the core, or with one key that is born in the token and stays there.
type WalletCreateBody struct {
	Wallet  custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	Chain   custody.ChainID  `cbor:"2,keyasint" json:"chain"`
	Scheme  Scheme           `cbor:"3,keyasint" json:"scheme"`
	Seed    custody.KeyID    `cbor:"4,keyasint,omitempty" json:"seed,omitempty"`    // an existing seed, or empty for a new one
	Account uint32           `cbor:"5,keyasint,omitempty" json:"account,omitempty"` // BIP-44 account; 0 with a new seed

	Temperature Temperature `cbor:"6,keyasint,omitempty" json:"temperature,omitempty"` // "warm", or empty for a hot wallet
	Class       Class       `cbor:"7,keyasint,omitempty" json:"class,omitempty"`       // "token", or empty for a seed in the core
}

// AddressCreateBody asks for the next Count receiving addresses of a wallet.
type AddressCreateBody struct {
	Wallet custody.WalletID `cbor:"1,keyasint" json:"wallet"`
	Count  uint32           `cbor:"2,keyasint" json:"count"`
}

// PolicyChangeBody asks for a new rule document in place of the current one.
type PolicyChangeBody struct {
	Document []byte `cbor:"1,keyasint" json:"document"` // canonical document; its version is the current one plus 1

	Replay *Replay `cbor:"2,keyasint,omitempty" json:"replay,omitempty"` // what it would have decided otherwise; nil: nobody looked
}

// PersonEnrolBody asks for a new person or service. Possession is the new key's signature over the body without it, under
// [canon.TagEnrol]: nobody can enrol another's key.
type PersonEnrolBody struct {
	Person     custody.PersonID  `cbor:"1,keyasint" json:"person"`
	Kind       string            `cbor:"2,keyasint" json:"kind"` // human or service
	Key        PublicKey         `cbor:"3,keyasint" json:"key"`
	Groups     []custody.GroupID `cbor:"4,keyasint,omitempty" json:"groups,omitempty"` // groups that the person joins
	Possession []byte            `cbor:"5,keyasint,omitempty" json:"possession,omitempty"`

	Line  uint8  `cbor:"6,keyasint,omitempty" json:"line,omitempty"`  // line of defence, 1 to 3; 0: none
	Roles []Role `cbor:"7,keyasint,omitempty" json:"roles,omitempty"` // sorted, distinct; none: those of the line
}

// PersonRevokeBody asks to end a person: no approval, evidence or session of theirs counts from then on.
type PersonRevokeBody struct {
	Person custody.PersonID `cbor:"1,keyasint" json:"person"`
}

// GroupSetBody asks to set a group's members.
type GroupSetBody struct {
	Group   custody.GroupID    `cbor:"1,keyasint" json:"group"`
	Members []custody.PersonID `cbor:"2,keyasint" json:"members"` // sorted, distinct
}

// WhitelistAddBody asks to add a destination to the address book.
type WhitelistAddBody struct {
	ID      string          `cbor:"1,keyasint" json:"id"`
	Chain   custody.ChainID `cbor:"2,keyasint" json:"chain"`
	Address string          `cbor:"3,keyasint" json:"address"`

	Counterparty string     `cbor:"4,keyasint,omitempty" json:"counterparty,omitempty"`
	Proof        *Ownership `cbor:"5,keyasint,omitempty" json:"proof,omitempty"`
	Expires      int64      `cbor:"6,keyasint,omitempty" json:"expires,omitempty"` // Unix seconds
	Kind         EntryKind  `cbor:"7,keyasint,omitempty" json:"kind,omitempty"`
	Tags         []string   `cbor:"8,keyasint,omitempty" json:"tags,omitempty"`         // sorted, distinct
	Lookalike    string     `cbor:"9,keyasint,omitempty" json:"acknowledged,omitempty"` // what it looks like, where who asks has compared the two
}

// WhitelistRemoveBody asks to remove one.
type WhitelistRemoveBody struct {
	ID string `cbor:"1,keyasint" json:"id"`
}

// Body is the body of an operation: one of those above, [PersonKeyAddBody] or [PersonKeyRemoveBody].
type Body interface{ check() error }

// DecodeBody reads the operation's body and checks its form.
func (r Request) DecodeBody() (Body, error) {
	var b Body
	switch r.Operation {
	case Transfer:
		b = &TransferBody{}
	case WalletCreate:
		b = &WalletCreateBody{}
	case AddressCreate:
		b = &AddressCreateBody{}
	case PolicyChange:
		b = &PolicyChangeBody{}
	case PersonEnrol:
		b = &PersonEnrolBody{}
	case PersonRevoke:
		b = &PersonRevokeBody{}
	case GroupSet:
		b = &GroupSetBody{}
	case WhitelistAdd:
		b = &WhitelistAddBody{}
	case WhitelistRemove:
		b = &WhitelistRemoveBody{}
	case PointsSet:
		b = &PointsSetBody{}
	case EpochLoad:
		b = &EpochLoadBody{}
	case EpochCommit:
		b = &EpochCommitBody{}
	case EpochActivate:
		b = &EpochActivateBody{}
	case EpochFinalize:
		b = &EpochFinalizeBody{}
	case EpochCancel:
		b = &EpochCancelBody{}
	case Zeroize:
		b = &ZeroizeBody{}
	case Restore:
		b = &RestoreBody{}
	case PersonKeyAdd:
		b = &PersonKeyAddBody{}
	case PersonKeyRemove:
		b = &PersonKeyRemoveBody{}
	case WalletTemperature:
		b = &WalletTemperatureBody{}
	case WarmOpen:
		b = &WarmOpenBody{}
	case WarmClose:
		b = &WarmCloseBody{}
	case ReanchorCancel:
		b = &ReanchorCancelBody{}
	case SlotReconcile:
		b = &SlotReconcileBody{}
	case AppGrant:
		b = &AppGrantBody{}
	case AppRevoke:
		b = &AppRevokeBody{}
	case AppKeyRevoke:
		b = &AppKeyRevokeBody{}
	case OfflineAdd:
		b = &OfflineAddBody{}
	case OfflineRemove:
		b = &OfflineRemoveBody{}
	case WalletMove:
		b = &WalletMoveBody{}
	case Freeze:
		b = &FreezeBody{}
	case Unfreeze:
		b = &UnfreezeBody{}
	case Drain:
		b = &DrainBody{}
	case Resume:
		b = &ResumeBody{}
	case RequestHold:
		b = &RequestHoldBody{}
	case RequestRelease:
		b = &RequestReleaseBody{}
	case WhitelistSuspend:
		b = &WhitelistSuspendBody{}
	case WhitelistReview:
		b = &WhitelistReviewBody{}
	case BlacklistAdd:
		b = &BlacklistAddBody{}
	case BlacklistRemove:
		b = &BlacklistRemoveBody{}
	case ContractCall:
		b = &ContractCallBody{}
	case MessageSign:
		b = &MessageSignBody{}
	default:
		return nil, fmt.Errorf("operation %q is not known", string(r.Operation))
	}
	if err := canon.Decode(r.Body, b); err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return b, b.check()
}

func (b *TransferBody) check() error {
	if err := b.Wallet.Check(); err != nil {
		return err
	}
	if err := b.Asset.Check(); err != nil {
		return err
	}
	if len(b.Outputs) == 0 || len(b.Outputs) > MaxOutputs {
		return fmt.Errorf("a transfer has 1 to %d outputs, not %d", MaxOutputs, len(b.Outputs))
	}
	for i, o := range b.Outputs {
		if o.Amount.IsZero() {
			return fmt.Errorf("output %d pays nothing", i)
		}
		if _, err := CanonicalAddress(b.Asset.Chain(), o.Address); err != nil {
			return fmt.Errorf("output %d: %w", i, err)
		}
	}
	_, evm := b.Asset.Chain().EVM()
	switch {
	case evm && len(b.Outputs) != 1:
		return errors.New("an Ethereum transfer has exactly one output")
	case !evm && b.Source != 0:
		return errors.New("source is for Ethereum; a Bitcoin wallet pays from all its addresses")
	case b.FeeCap.IsZero():
		return errors.New("feeCap must say how much fee may be paid at most")
	}
	return nil
}

func (b *WalletCreateBody) check() error {
	if err := b.Wallet.Check(); err != nil {
		return err
	}
	if err := b.Chain.Check(); err != nil {
		return err
	}
	if err := b.checkTemperature(); err != nil {
		return err
	}
	if err := b.checkClass(); err != nil {
		return err
	}
	_, evm := b.Chain.EVM()
	switch {
	case evm && b.Scheme != SchemeEVM:
		return fmt.Errorf("chain %s takes scheme %q, not %q", b.Chain, SchemeEVM, b.Scheme)
	case !evm && b.Scheme != SchemeP2WPKH && b.Scheme != SchemeP2TR:
		return fmt.Errorf("chain %s takes scheme %q or %q, not %q", b.Chain, SchemeP2WPKH, SchemeP2TR, b.Scheme)
	case b.Seed == "" && b.Account != 0:
		return errors.New("account is for an existing seed; a new seed begins with account 0")
	case b.Account >= 1<<31:
		return errors.New("account must be less than 2^31 (BIP-32)")
	}
	if b.Seed != "" {
		return b.Seed.Check()
	}
	return nil
}

func (b *AddressCreateBody) check() error {
	if b.Count < 1 || b.Count > MaxBatch {
		return fmt.Errorf("count must be 1 to %d", MaxBatch)
	}
	return b.Wallet.Check()
}

func (b *PolicyChangeBody) check() error {
	if len(b.Document) == 0 {
		return errors.New("document is empty")
	}
	return b.Replay.check()
}

// EnrolMessage is what the new key signs to show that its holder has it.
func (b PersonEnrolBody) EnrolMessage(a custody.AuthorityID) []byte {
	b.Possession = nil
	return canon.Message(canon.TagEnrol, struct {
		A custody.AuthorityID `cbor:"1,keyasint"`
		B PersonEnrolBody     `cbor:"2,keyasint"`
	}{a, b})
}

func (b *PersonEnrolBody) check() error {
	if err := b.Person.Check(); err != nil {
		return err
	}
	if b.Kind != "human" && b.Kind != "service" {
		return fmt.Errorf("kind %q is neither human nor service", b.Kind)
	}
	if err := b.Key.Check(); err != nil {
		return err
	}
	if err := CheckSig(b.Possession); err != nil {
		return fmt.Errorf("possession: %w; 'strongroom person prepare' makes the signature by the new key", err)
	}
	if err := checkLine(b.Line, b.Roles); err != nil {
		return err
	}
	return checkSorted("groups", b.Groups)
}

func (b *PersonRevokeBody) check() error { return b.Person.Check() }

func (b *GroupSetBody) check() error {
	if err := b.Group.Check(); err != nil {
		return err
	}
	return checkSorted("members", b.Members)
}

func (b *WhitelistAddBody) check() error {
	if err := CheckBookID(b.ID); err != nil {
		return err
	}
	if err := b.Chain.Check(); err != nil {
		return err
	}
	if _, err := CanonicalAddress(b.Chain, b.Address); err != nil {
		return err
	}
	if err := checkVisible("acknowledged", b.Lookalike, maxReason); err != nil {
		return err
	}
	if b.Proof != nil {
		if err := b.Proof.check(b.Chain); err != nil {
			return fmt.Errorf("proof: %w", err)
		}
	}
	return b.Details().Check()
}

func (b *WhitelistRemoveBody) check() error { return custody.CheckSlug("address-book id", b.ID) }

// checkSorted says whether ids are well-formed, sorted and distinct: a set has one encoding.
func checkSorted[T interface {
	~string
	Check() error
}](what string, ids []T) error {
	for i, id := range ids {
		if err := id.Check(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if i > 0 && ids[i-1] >= id {
			return fmt.Errorf("%s must be sorted and distinct", what)
		}
	}
	return nil
}
