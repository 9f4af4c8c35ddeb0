// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Genesis is the first entry of an offline domain; its leaf hash is the domain's id. It names the authority that the domain follows.
type Genesis struct {
	V         uint                `cbor:"1,keyasint"` // 1
	Profile   custody.Profile     `cbor:"2,keyasint"`
	Authority custody.AuthorityID `cbor:"3,keyasint"`
	LogKey    []byte              `cbor:"4,keyasint"` // Ed25519, signs its checkpoints
	Identity  []byte              `cbor:"5,keyasint"` // Ed25519, signs its results
	Root      string              `cbor:"6,keyasint"` // root of trust: "soft", "pkcs11", "tpm2"
	Anchor    string              `cbor:"7,keyasint"` // "file" or "tpm"
	Epoch     uint64              `cbor:"8,keyasint"` // of its working key: 1, and no other
	Pattern   []byte              `cbor:"9,keyasint"` // its verification pattern, 16 bytes
	Import    ImportKey           `cbor:"10,keyasint"`
	Transport []byte              `cbor:"11,keyasint"` // public key that bundles are sealed to
	Name      string              `cbor:"12,keyasint"` // for people: a slug
	Nonce     []byte              `cbor:"13,keyasint"` // 16 random bytes
}

// ImportKey is a public key that one seed may be sealed to.
type ImportKey struct {
	ID     custody.KeyID `cbor:"1,keyasint"`
	Public []byte        `cbor:"2,keyasint"`
	Blob   [32]byte      `cbor:"3,keyasint"` // hash of its sealed private half, which the offline domain keeps until it was used
}

// Check says whether k is well-formed.
func (k ImportKey) Check() error {
	if len(k.Public) != PublicSize {
		return fmt.Errorf("import key of %d bytes, not %d", len(k.Public), PublicSize)
	}
	return k.ID.Check()
}

// Import records that the entries of the authority up to a size were verified and audited.
type Import struct {
	Number uint64   `cbor:"1,keyasint"` // of the bundle; greater than any before
	Size   uint64   `cbor:"2,keyasint"`
	Root   [32]byte `cbor:"3,keyasint"`
	Leaf   [32]byte `cbor:"4,keyasint"` // leaf hash of entry Size−1
	Time   int64    `cbor:"5,keyasint"` // of the checkpoint, Unix seconds: the clock was not behind it
	Bundle [32]byte `cbor:"6,keyasint"` // [Bundle.Hash]

	Again *Reanchored `cbor:"7,keyasint,omitempty"` // nil: the authority's log was not re-anchored since the import before
}

// Reanchored says how the authority's log goes on since the import before: in a new incarnation, perhaps without entries that were imported.
type Reanchored struct {
	Kept    uint64     `cbor:"1,keyasint"` // entries that had been imported and that the log still has; those behind them are lost
	Entries []Anchored `cbor:"2,keyasint"` // that began an incarnation, in the log's order
}

// Anchored is an entry of the authority that began an incarnation of its log.
type Anchored struct {
	Incarnation uint64   `cbor:"1,keyasint"`
	Entry       uint64   `cbor:"2,keyasint"`
	Leaf        [32]byte `cbor:"3,keyasint"` // its leaf hash
}

// Recovery names the copies of the identity and the working key that are sealed to the authority's recovery key.
type Recovery struct {
	Public     [32]byte `cbor:"1,keyasint"` // SHA-256 of the recovery public key
	WorkingKey [32]byte `cbor:"2,keyasint"` // [CopyHash]
	Identity   [32]byte `cbor:"3,keyasint"`
}

// Permit records that one permit of the authority will be signed. It is durable and pinned before the key is used.
type Permit struct {
	Entry      uint64            `cbor:"1,keyasint"` // of the permit in the authority's log
	Leaf       [32]byte          `cbor:"2,keyasint"` // its leaf hash
	Payload    [32]byte          `cbor:"3,keyasint"` // hash of its payload, under canon.TagPayload
	Signatures []Signature       `cbor:"4,keyasint"` // of the operators, over Statement
	Statement  []byte            `cbor:"5,keyasint"` // canonical Confirmation, which names this permit
	Request    custody.RequestID `cbor:"6,keyasint"`
	Attempt    uint32            `cbor:"7,keyasint"`
	Wallet     custody.WalletID  `cbor:"8,keyasint"`
	Slot       entry.Slot        `cbor:"9,keyasint"`
}

// Result records what the signing of a permit released.
type Result struct {
	Entry      uint64   `cbor:"1,keyasint"` // of the permit in the authority's log
	Signatures [][]byte `cbor:"2,keyasint"` // as in entry.Result
	TxID       string   `cbor:"3,keyasint"`
	Signed     [32]byte `cbor:"4,keyasint"`           // SHA-256 of the signed transaction
	Leaf       []byte   `cbor:"5,keyasint,omitempty"` // leaf hash of the permit: after a re-anchoring another entry may have its number
}

// MovedIn records that a wallet's seed was taken in.
type MovedIn struct {
	Wallet custody.WalletID `cbor:"1,keyasint"`
	Key    custody.KeyID    `cbor:"2,keyasint"`
	Blob   [32]byte         `cbor:"3,keyasint"`
	Entry  uint64           `cbor:"4,keyasint"` // effect of the wallet_move, in the authority's log
	Used   custody.KeyID    `cbor:"5,keyasint"` // import key, which is destroyed
	Next   ImportKey        `cbor:"6,keyasint"` // the one from now on
}

// MovedOut records that a wallet's seed was given back: sealed to a key of the online domain, and destroyed here.
type MovedOut struct {
	Wallet custody.WalletID `cbor:"1,keyasint"`
	Key    custody.KeyID    `cbor:"2,keyasint"`
	Entry  uint64           `cbor:"3,keyasint"` // effect of the wallet_move, in the authority's log
	Copy   [32]byte         `cbor:"4,keyasint"` // [CopyHash]
}

// Refusal records that something that a bundle asked for was not done.
type Refusal struct {
	Entry  uint64       `cbor:"1,keyasint"` // of the authority's log; 0 is the bundle as a whole
	Kind   problem.Kind `cbor:"2,keyasint"`
	Detail string       `cbor:"3,keyasint"`
	Bundle [32]byte     `cbor:"4,keyasint"`
}

// Zeroized records that the working key and the import key were destroyed.
type Zeroized struct {
	Cause string `cbor:"1,keyasint"`
}

// Restored records that custodians put the working key of a zeroized domain back.
type Restored struct {
	Epoch uint64 `cbor:"1,keyasint"`
}

// Signature is an operator's, over [Confirmation.Message].
type Signature struct {
	Person custody.PersonID `cbor:"1,keyasint"`
	Key    request.KeyRef   `cbor:"2,keyasint"`
	Sig    []byte           `cbor:"3,keyasint"`
}

// DecodeBody reads the first body of an entry of a kind and version.
func DecodeBody(kind entry.Kind, version uint, b []byte) (any, error) {
	if version != 1 {
		return nil, fmt.Errorf("entry kind %q version %d is not known", kind, version)
	}
	var v any
	switch kind {
	case KindGenesis:
		v = &Genesis{}
	case KindImport:
		v = &Import{}
	case KindRecovery:
		v = &Recovery{}
	case KindPermit:
		v = &Permit{}
	case KindResult:
		v = &Result{}
	case KindMovedIn:
		v = &MovedIn{}
	case KindMovedOut:
		v = &MovedOut{}
	case KindRefusal:
		v = &Refusal{}
	case entry.KindWriter:
		v = &entry.Writer{}
	case KindZeroized:
		v = &Zeroized{}
	case KindRestored:
		v = &Restored{}
	case KindCaughtUp:
		v = &CaughtUp{}
	case KindClosed:
		v = &Closed{}
	default:
		return nil, fmt.Errorf("entry kind %q is not known in the log of an offline domain", kind)
	}
	if err := canon.Decode(b, v); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return v, nil
}

// KindOf gives the kind that a body is of, or the empty one.
func KindOf(body any) entry.Kind {
	switch b := body.(type) {
	case *Told:
		return b.Kind
	case *Genesis:
		return KindGenesis
	case *Import:
		return KindImport
	case *Recovery:
		return KindRecovery
	case *Permit:
		return KindPermit
	case *Result:
		return KindResult
	case *MovedIn:
		return KindMovedIn
	case *MovedOut:
		return KindMovedOut
	case *Refusal:
		return KindRefusal
	case *entry.Writer:
		return entry.KindWriter
	case *Zeroized:
		return KindZeroized
	case *Restored:
		return KindRestored
	case *CaughtUp:
		return KindCaughtUp
	case *Closed:
		return KindClosed
	default:
		return ""
	}
}

// ClassOf gives the class of the body of a kind.
func ClassOf(kind entry.Kind) entry.Class {
	switch kind {
	case KindGenesis, entry.KindWriter, KindZeroized:
		return entry.Public
	default:
		return entry.Confidential
	}
}

// Check says whether g is well-formed.
func (g *Genesis) Check() error {
	switch {
	case g.V != 1:
		return fmt.Errorf("genesis version %d is not known", g.V)
	case g.Authority.IsZero():
		return errors.New("genesis must name the authority that the domain follows")
	case len(g.LogKey) != keySize || len(g.Identity) != keySize:
		return errors.New("genesis must name a log key and an identity key of 32 bytes")
	case g.Root == "" || g.Anchor == "" || g.Epoch != 1 || len(g.Pattern) != patternSize || len(g.Nonce) != nonceSize:
		return errors.New("genesis must name root, anchor, epoch 1, a verification pattern of 16 bytes and a nonce of 16 bytes")
	case g.Anchor != "file" && g.Anchor != "tpm":
		return fmt.Errorf("anchor %q: an offline domain has %q or %q", g.Anchor, "file", "tpm")
	case len(g.Transport) != PublicSize:
		return fmt.Errorf("transport key of %d bytes, not %d", len(g.Transport), PublicSize)
	case g.Profile == custody.Production && (g.Root == "soft" || g.Anchor == "file"):
		return fmt.Errorf("root %q and anchor %q are for evaluation; production takes %q or %q, and anchor %q", g.Root, g.Anchor, "pkcs11", "tpm2", "tpm")
	}
	if err := g.Profile.Check(); err != nil {
		return err
	}
	if err := g.Import.Check(); err != nil {
		return err
	}
	return custody.CheckSlug("offline domain", g.Name)
}

func checkText(what, s string, most int) error {
	if s == "" || len(s) > most || !utf8.ValidString(s) {
		return fmt.Errorf("%s must be 1 to %d bytes of text", what, most)
	}
	return nil
}
