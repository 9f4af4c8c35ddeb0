// SPDX-License-Identifier: Apache-2.0

package ep11

import (
	"context"
	"time"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/secret"
)

// Epoch is a working key's epoch as blobs see it. Parent is the application parent key, see [ParentKey].
type Epoch struct {
	Number  uint64
	Pattern [seal.PatternSize]byte
	Parent  secret.Bytes
}

// Sessions keeps which login sessions of a caller are open; ids are what [Engine.Do] makes. Methods are safe for concurrent use, and what they
// did is durable when they return.
type Sessions interface {
	Open(ctx context.Context, owner, id [32]byte) error // CKR_SESSION_COUNT when there are too many; opening an open one is no error
	Close(ctx context.Context, owner [32]byte) error    // all of the caller's
	Live(owner, id [32]byte) bool
}

// Access is a use of a mechanism, with or without a key, that the grant must allow.
type Access struct {
	Function  ep11.Function
	Mechanism uint64 // CKM; not set for functions without one
	Keyed     bool   // Key, Owner, Class and Type are set
	Key       [16]byte
	Owner     [32]byte // of the key; another than the caller's only where the grant names the key
	Class     uint64   // CKO
	Type      uint64   // CKK
	New       bool     // the key is about to be made
}

// Env is what a call works with. It belongs to one call; what it points to outlives it.
type Env struct {
	Arena    *secret.Arena
	Random   family.Source
	Pool     family.RSAPool // may be nil
	Domain   [32]byte
	Current  *Epoch // nil: the domain has no working key (CKR_IBM_WK_NOT_INITIALIZED)
	Previous *Epoch // while it is not finalized
	Next     *Epoch // once it is committed
	Points   points.Set
	Compat   bool         // the compatibility profile: the domain's point and the grant's
	Owner    [32]byte     // the caller: hash of its gateway and its name
	Grant    [32]byte     // under which keys are made; it stands in their header
	Now      int64        // Unix seconds; the latest that it may be
	Sessions Sessions     // nil: nobody logs in
	Opened   *Opened      // keys that are kept open; nil: none are
	Since    time.Time    // time since any fixed moment, for the idle times of Opened
	Login    secret.Bytes // 32 bytes that outlive epochs, from which the ids of sessions follow; the zero Bytes: nobody logs in

	// Allow decides on an access under the caller's grants: nil, or the refusal. It is asked before anything is computed: once for a mechanism
	// without a key, and for each key. A key of another owner is its to refuse. It must be set.
	Allow func(Access) error
}

// Use is one use of a secret key, or the making of one, which is to be accounted before the answer is released.
type Use struct {
	Key       [16]byte
	Function  ep11.Function
	Mechanism uint64
}
