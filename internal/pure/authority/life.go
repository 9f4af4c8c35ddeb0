// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// Phase says where a domain is in its life. docs/spec/domain.md.
type Phase uint8

// The phases. They are wire format.
const (
	Operational Phase = 1
	Zeroized    Phase = 2 // the working keys are destroyed
)

// String gives the word that status shows.
func (p Phase) String() string {
	if p == Zeroized {
		return "zeroized"
	}
	return "operational"
}

// SealedCopies is the key id under which the blob store keeps sealed copies. No key has it.
const SealedCopies custody.KeyID = "00000000000000000000000000000000"

// Register is the epoch before or after the current one.
type Register struct {
	Epoch     uint64            `cbor:"1,keyasint"`
	Pattern   []byte            `cbor:"2,keyasint"`
	Committed bool              `cbor:"3,keyasint,omitempty"` // of next: keys are enciphered for it
	Sealed    []byte            `cbor:"4,keyasint,omitempty"` // hash of the sealed copy of the working key
	Identity  []byte            `cbor:"5,keyasint,omitempty"` // hash of a sealed copy of the identity that comes or goes with the epoch
	Recovery  *request.Recovery `cbor:"6,keyasint,omitempty"` // of next: the record that comes with it
}

// Life is where a domain stands in its life cycle. Who gets one must not change what it points to.
type Life struct {
	Phase    Phase             `cbor:"1,keyasint"`
	Counter  uint64            `cbor:"2,keyasint"`
	Allowed  points.Set        `cbor:"3,keyasint"`
	Frozen   points.Set        `cbor:"4,keyasint"`
	Used     uint64            `cbor:"5,keyasint"` // greatest epoch that ever had a working key
	Recovery *request.Recovery `cbor:"6,keyasint,omitempty"`
	Next     *Register         `cbor:"7,keyasint,omitempty"`
	Previous *Register         `cbor:"8,keyasint,omitempty"`
	Since    uint64            `cbor:"9,keyasint,omitempty"` // entry that zeroized the domain last
}

// lifeBlobs is what the registers know of blobs.
type lifeBlobs struct {
	Next     [][32]byte   `cbor:"1,keyasint"` // by key: hash of its blob under next, or zero; empty unless next is committed
	Previous []entry.Blob `cbor:"2,keyasint"` // blobs of the epoch before, by birth of their keys
	Doomed   []entry.Blob `cbor:"3,keyasint"` // given up, and not known to be erased
}

// Life gives where the domain stands.
func (s *State) Life() Life { return s.life }

// Lacking counts the keys that have no blob under the next epoch, while one is committed.
func (s *State) Lacking() int { return s.lacking }

// Unreenciphered lists at most n keys, in order of birth, that have no blob under the committed next epoch, from a position on. It gives
// the position to go on from.
func (s *State) Unreenciphered(from, n int) (out []entry.NewKey, next int) {
	for next = max(from, 0); next < len(s.blobs.Next) && len(out) < n; next++ {
		if s.blobs.Next[next] == [32]byte{} && Here(s.keys[next]) {
			out = append(out, s.keys[next])
		}
	}
	return out, next
}

// NextBlob gives the hash of a key's blob under the committed next epoch.
func (s *State) NextBlob(id custody.KeyID) ([32]byte, bool) {
	i, ok := s.keyIndex[id]
	if !ok || i >= len(s.blobs.Next) || s.blobs.Next[i] == [32]byte{} {
		return [32]byte{}, false
	}
	return s.blobs.Next[i], true
}

// Doomed lists the blobs that the log has given up and that are not known to be erased.
func (s *State) Doomed() []entry.Blob { return slices.Clone(s.blobs.Doomed) }

// DoomedCount counts them.
func (s *State) DoomedCount() int { return len(s.blobs.Doomed) }

// Registers lists the epochs that have a working key, ascending; none after zeroize.
func (s *State) Registers() []uint64 {
	if s.life.Phase == Zeroized {
		return nil
	}
	var out []uint64
	if p := s.life.Previous; p != nil {
		out = append(out, p.Epoch)
	}
	out = append(out, s.Epoch)
	if n := s.life.Next; n != nil {
		out = append(out, n.Epoch)
	}
	return out
}

// PatternOf gives the verification pattern of an epoch in a register.
func (s *State) PatternOf(epoch uint64) ([]byte, bool) {
	switch {
	case epoch == s.Epoch:
		return s.Pattern, true
	case s.life.Next != nil && s.life.Next.Epoch == epoch:
		return s.life.Next.Pattern, true
	case s.life.Previous != nil && s.life.Previous.Epoch == epoch:
		return s.life.Previous.Pattern, true
	default:
		return nil, false
	}
}

// alive says whether an operation may be asked for, decided or done now: between a re-anchoring and its gap what takes power away only ([State.settled]),
// and after zeroize only the restore, and that somebody is revoked, because an administrator who zeroizes out of malice could else do so again after
// each restore.
func (s *State) alive(o request.Operation) error {
	if err := s.settled(o); err != nil {
		return err
	}
	return s.aliveZeroized(o)
}

// aliveZeroized is alive as far as zeroize says.
func (s *State) aliveZeroized(o request.Operation) error {
	if s.life.Phase != Zeroized || o == request.Restore || o == request.PersonRevoke || o == request.ReanchorCancel || o == request.Freeze {
		return nil
	}
	return problem.New(problem.Zeroized, "the domain was zeroized in entry %d; only a restore by its recovery plan can be asked for, and that a person is revoked", s.life.Since)
}

// aliveFor is alive for an entry. What records what happened is always taken.
func (s *State) aliveFor(body any) error {
	if s.life.Phase != Zeroized && s.anchoring == nil {
		return nil
	}
	var o request.Operation // of the request that the entry is about
	of := func(id custody.RequestID) {
		if p, ok := s.pending[id]; ok {
			o = p.Effects.Operation
		}
	}
	switch b := body.(type) {
	case *entry.Result, *entry.Snapshot, *entry.Writer, *entry.Erased, *entry.Reanchor, *entry.Gap:
		return nil
	case *entry.Tamper, *entry.Reencipher: // what happens to keys while a re-anchoring settles is not its business
		return s.aliveZeroized("")
	case *entry.Request:
		o = b.Effects.Operation
	case *entry.Approval:
		of(b.Approval.Request)
	case *entry.Refusal:
		of(b.Request)
	case *entry.Effect:
		of(b.Request)
	}
	return s.alive(o)
}

// on says whether control points are switched on.
func (s *State) on(need points.Set) error {
	if s.life.Allowed.HasAll(need) {
		return nil
	}
	return problem.New(problem.Forbidden, "switched off in this domain: %s; 'strongroom domain points show' lists the control points", need.Minus(s.life.Allowed))
}

// The control points of wallets.
var (
	needsSeed    = points.Make(points.WalletCreate, points.Derive)
	needsToken   = points.Make(points.WalletCreate, points.TokenKeys)
	needsDerive  = points.Make(points.Derive)
	needsECDSA   = points.Make(points.SignECDSASecp256k1)
	needsCall    = points.Make(points.SignECDSASecp256k1, points.ContractCall)
	needsMessage = points.Make(points.SignECDSASecp256k1, points.MessageSign)
	needsBIP340  = points.Make(points.SignBIP340)
	needsRotate  = points.Make(points.RotateEpoch)
	needsRestore = points.Make(points.Restore)
)

// SchemePoint gives the control point of the signatures of a scheme.
func SchemePoint(s request.Scheme) points.Point {
	if s == request.SchemeP2TR {
		return points.SignBIP340
	}
	return points.SignECDSASecp256k1
}

// needs gives the control points that a request of a wallet's life takes.
func needs(body request.Body, w entry.Wallet) points.Set {
	switch o := body.(type) {
	case *request.WalletCreateBody:
		if o.Class == request.ClassToken {
			return needsToken
		}
		if o.Seed == "" {
			return needsSeed
		}
		return needsDerive
	case *request.AddressCreateBody:
		return needsDerive
	case *request.ContractCallBody:
		return needsCall
	case *request.MessageSignBody:
		return needsMessage
	case *request.TransferBody:
		if w.Scheme == request.SchemeP2TR {
			return needsBIP340
		}
		return needsECDSA
	default:
		return points.Set{}
	}
}

// named says whether a register is the one that a body names.
func (r *Register) named(epoch uint64, pattern []byte) bool {
	return r != nil && r.Epoch == epoch && bytes.Equal(r.Pattern, pattern)
}

// sealed lists the sealed copies of a register as blobs.
func (r *Register) sealed() (out []entry.Blob) {
	if r == nil {
		return nil
	}
	return sealedCopies(r.Sealed, r.Identity)
}

// sealedCopies gives sealed copies as blobs.
func sealedCopies(hashes ...[]byte) (out []entry.Blob) {
	for _, h := range hashes {
		if len(h) == 32 {
			out = append(out, entry.Blob{Key: SealedCopies, Hash: [32]byte(h)})
		}
	}
	return out
}
