// SPDX-License-Identifier: Apache-2.0

// Package hd derives private keys as BIP-32 says: the master key from a seed, hardened and normal children, and the extended public key that
// hands a branch to the watching side. All scalar work goes through package curve; seeds, scalars, chain codes and HMAC inputs lie in a
// secret.Arena.
//
// It refuses seeds that are not 16 to 64 bytes, paths deeper than 255, and the indexes at which no key exists (BIP-32 tells to take the next
// one, which is for the caller to decide and to record). It reads and writes no extended private keys: seeds are sealed, nodes are derived.
//
// What stays behind: HMAC-SHA512 runs over buffers in the arena and SHA-512 keeps its state on the stack, in secret.Do, which erases it.
// Nothing secret is put on the Go heap. Processor registers are erased only in a build with GOEXPERIMENT=runtimesecret.
package hd

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/core/internal/curve"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// Sizes of a seed in bytes, BIP-32 "Master key generation".
const (
	MinSeedSize = 16
	MaxSeedSize = 64
)

var (
	// ErrSeed says that a seed has the wrong size, or, with a probability below 1 in 2^127, that no master key comes out of it.
	ErrSeed = errors.New("hd: seed gives no master key; use 16 to 64 random bytes")
	// ErrNormal says that the path to an account has an index that is not hardened.
	ErrNormal = errors.New("hd: the path to an account must be hardened throughout")
)

// Config says what a [Deriver] works with. Both are required.
type Config struct {
	Arena *secret.Arena // holds nodes and the working memory of derivations, under 1 KiB each
	Curve *curve.Backend
}

// Deriver makes nodes. Its methods are safe for concurrent use.
type Deriver struct {
	arena *secret.Arena
	curve *curve.Backend
}

// New checks cfg and makes a deriver.
func New(cfg Config) (*Deriver, error) {
	if cfg.Arena == nil || cfg.Curve == nil {
		return nil, errors.New("hd: config needs an arena and a curve backend")
	}
	return &Deriver{arena: cfg.Arena, curve: cfg.Curve}, nil
}

// Node is an extended private key. Its methods are safe for concurrent use. After [Node.Wipe] those that need the secret return
// [secret.ErrWiped].
type Node struct {
	deriver *Deriver
	key     secret.Bytes // scalar, then chain code
	pub     secp.PublicKey
	depth   uint8
	parent  [4]byte // fingerprint
	number  uint32
}

// NodeSize is the length of a node's secret in bytes: the scalar, then the chain code.
const NodeSize = curve.ScalarSize + chainSize

// Master makes the master node of a seed, which stays with the caller.
func (d *Deriver) Master(seed secret.Bytes) (*Node, error) {
	var n *Node
	err := d.masterWork(seed, func(w *work) error {
		var err error
		n, err = d.finish(w, Node{})
		if errors.Is(err, curve.ErrScalar) {
			return ErrSeed
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("hd: master key: %w", err)
	}
	return n, nil
}

// Account derives the node at path below the master key of a seed, which stays with the caller: that of [Deriver.Master] and [Node.Derive], as the
// [NodeSize] bytes of scalar and chain code, without the public keys and fingerprints that a signer has no need of. They cost more than everything
// else. Every index must be hardened, as those down to an account are (BIP-44): a normal one takes the parent's public key, see [Deriver.Below].
func (d *Deriver) Account(seed secret.Bytes, path secp.Path) (secret.Bytes, error) {
	if len(path) > secp.MaxDepth {
		return secret.Bytes{}, fmt.Errorf("hd: derive %v: %w", path, secp.ErrTooDeep)
	}
	var out secret.Bytes
	err := d.masterWork(seed, func(w *work) error {
		if d.curve.TweakAdd(w.scalar(), make([]byte, curve.ScalarSize), w.scalar()) != nil { // adding zero refuses what is no scalar
			return ErrSeed
		}
		at := Node{}
		for _, index := range path {
			if index&secp.HardenedBit == 0 {
				return ErrNormal
			}
			if err := d.step(w, &at, index, false); err != nil {
				return err
			}
		}
		var err error
		out, err = d.keep(w.node)
		return err
	})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("hd: derive %v: %w", path, err)
	}
	return out, nil
}

// Level is one normal step down from a node: the node's compressed public key, and the child's index.
type Level struct {
	Parent [curve.PublicKeySize]byte
	Index  uint32
}

// Below derives a scalar below a node of [NodeSize] bytes, as [Deriver.Account] gives one: CKDpriv of BIP-32 for each level in turn. The public
// keys on the way are the caller's, who has them from the public side and saves their cost here. They only go into the HMAC: a wrong one
// gives another scalar, whose signatures don't verify under the address's key and are withheld ([curve.ErrFault]).
func (d *Deriver) Below(node []byte, levels ...Level) (secret.Bytes, error) {
	if len(node) != NodeSize {
		return secret.Bytes{}, fmt.Errorf("hd: a node has %d bytes; this one has %d", NodeSize, len(node))
	}
	var out secret.Bytes
	err := d.work(func(w *work) error {
		copy(w.node, node)
		for _, l := range levels {
			if l.Index&secp.HardenedBit != 0 {
				return secp.ErrHardened
			}
			if err := d.child(w, l.Parent, l.Index); err != nil {
				return err
			}
		}
		var err error
		out, err = d.keep(w.scalar())
		return err
	})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("hd: derive below a node: %w", err)
	}
	return out, nil
}

// keep copies b, of working memory, into a secret of its own.
func (d *Deriver) keep(b []byte) (secret.Bytes, error) {
	return secret.New(d.arena, len(b), func(out []byte) error {
		copy(out, b)
		return nil
	})
}

// masterWork calls f with the master node of a seed in working memory; its scalar is not checked yet.
func (d *Deriver) masterWork(seed secret.Bytes, f func(*work) error) error {
	return seed.Use(func(seed []byte) error {
		if len(seed) < MinSeedSize || len(seed) > MaxSeedSize {
			return fmt.Errorf("%w: it has %d", ErrSeed, len(seed))
		}
		return d.work(func(w *work) error {
			w.hmac([]byte("Bitcoin seed"), copy(w.message, seed))
			copy(w.node, w.sum)
			return f(w)
		})
	})
}

// Derive makes the descendant of n at path, which is relative to n. n stays as it is; with the empty path the result is a copy of it.
// Errors are [secp.ErrTooDeep] and, with a probability below 1 in 2^127 a level, [secp.ErrNoChild].
func (n *Node) Derive(path secp.Path) (*Node, error) {
	if int(n.depth)+len(path) > secp.MaxDepth {
		return nil, fmt.Errorf("hd: derive %v below depth %d: %w", path, n.depth, secp.ErrTooDeep)
	}
	var child *Node
	err := n.key.Use(func(key []byte) error {
		return n.deriver.work(func(w *work) error {
			copy(w.node, key)
			at := Node{pub: n.pub, depth: n.depth, parent: n.parent, number: n.number}
			for i, index := range path {
				if err := n.deriver.step(w, &at, index, i == len(path)-1); err != nil {
					return err
				}
			}
			var err error
			child, err = n.deriver.finish(w, at)
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("hd: derive %v: %w", path, err)
	}
	return child, nil
}

// step replaces the node in w, described by at, by its child: CKDpriv of BIP-32. A public key costs more than the rest of a step, so that of
// the parent is computed only where it is needed: for a normal child, and for the fingerprint in the last one.
func (d *Deriver) step(w *work, at *Node, index uint32, last bool) error {
	hardened := index&secp.HardenedBit != 0
	if at.pub.IsZero() && (last || !hardened) {
		pub, err := d.publicKey(w)
		if err != nil {
			return err
		}
		at.pub = pub
	}
	var err error
	if hardened {
		w.message[0] = 0
		copy(w.message[1:33], w.scalar())
		err = d.mixed(w, index)
	} else {
		err = d.child(w, at.pub.Compressed(), index)
	}
	if err != nil {
		return err
	}
	if last {
		at.parent = at.pub.Fingerprint()
	}
	at.pub = secp.PublicKey{}
	at.depth++
	at.number = index
	return nil
}

// child replaces the node in w by its normal child; pub is the node's public key.
func (d *Deriver) child(w *work, pub [curve.PublicKeySize]byte, index uint32) error {
	copy(w.message[:33], pub[:])
	return d.mixed(w, index)
}

// mixed replaces the node in w by its child, when the message holds what goes before the index.
func (d *Deriver) mixed(w *work, index uint32) error {
	binary.BigEndian.PutUint32(w.message[33:], index)
	w.hmac(w.chain(), 37)
	return d.apply(w)
}

// apply makes the child of the node in w from I, the result of the HMAC: the scalar is I_L + k mod n, the chain code I_R.
func (d *Deriver) apply(w *work) error {
	err := d.curve.TweakAdd(w.scalar(), w.sum[:32], w.scalar())
	if errors.Is(err, curve.ErrScalar) {
		return secp.ErrNoChild
	}
	copy(w.chain(), w.sum[32:])
	return err
}

// finish moves the node in w into a secret of its own and completes its description.
func (d *Deriver) finish(w *work, at Node) (*Node, error) {
	if at.pub.IsZero() {
		pub, err := d.publicKey(w)
		if err != nil {
			return nil, err
		}
		at.pub = pub
	}
	key, err := d.keep(w.node)
	if err != nil {
		return nil, err
	}
	return &Node{deriver: d, key: key, pub: at.pub, depth: at.depth, parent: at.parent, number: at.number}, nil
}

func (d *Deriver) publicKey(w *work) (secp.PublicKey, error) {
	raw, err := d.curve.PublicKey(w.scalar())
	if err != nil {
		return secp.PublicKey{}, err
	}
	return secp.ParsePublicKey(raw[:])
}

// Use calls f with the 32-byte secret scalar; the rules of [secret.Bytes.Use] hold.
func (n *Node) Use(f func(sk []byte) error) error {
	return n.key.Use(func(key []byte) error { return f(key[:curve.ScalarSize:curve.ScalarSize]) })
}

// PublicKey returns the public key.
func (n *Node) PublicKey() secp.PublicKey { return n.pub }

// Neuter returns the extended public key: N of BIP-32. It is not secret, but shows every address of the branch, and together with one
// normal child's scalar it gives this node's.
func (n *Node) Neuter() (secp.ExtendedKey, error) {
	public := secp.ExtendedKey{Depth: n.depth, ParentFingerprint: n.parent, ChildNumber: n.number, PublicKey: n.pub}
	err := n.key.Use(func(key []byte) error {
		copy(public.ChainCode[:], key[curve.ScalarSize:])
		return nil
	})
	if err != nil {
		return secp.ExtendedKey{}, fmt.Errorf("hd: neuter: %w", err)
	}
	return public, nil
}

// Mask hides the node at rest, as [secret.Bytes.Mask] does.
func (n *Node) Mask() error { return n.key.Mask() }

// Wipe zeroes scalar and chain code, as [secret.Bytes.Wipe] does.
func (n *Node) Wipe() { n.key.Wipe() }
