// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/tlog"
)

// Cosigning is an [Anchor] that has others sign its pins, which then also bear their signatures. An anchor that wraps another one forwards
// both methods with [BindAnchor] and [PinOn].
type Cosigning interface {
	Anchor

	// Bind tells whose pins they are and how the log proves that it grew. [Open] calls it before anything else.
	Bind(b Binding)

	// PinCosigned is Pin; it gives the checkpoint of p with the signatures of others behind the log's own.
	PinCosigned(ctx context.Context, p Pin) (signed []byte, err error)
}

// Binding is what a [Cosigning] anchor is told of its log.
type Binding struct {
	Key  tlog.Key   // the log's
	Keys []tlog.Key // further keys that may have signed a pin
	Sign func(msg []byte) ([]byte, error)
	// Prove gives the consistency proof (RFC 6962 section 2.1.2) from old entries, at least 1, to size, which are in the store: at most those that
	// were handed to Pin or given by Read. It is verified against root before it is returned. Safe for concurrent use.
	Prove func(ctx context.Context, old, size uint64, root [32]byte) ([][32]byte, error)
}

// BindAnchor binds an anchor, if it wants that. It is for anchors that wrap another.
func BindAnchor(a Anchor, b Binding) {
	if c, ok := a.(Cosigning); ok {
		c.Bind(b)
	}
}

// PinOn pins on an anchor and gives the checkpoint with what signatures the anchor has for it.
func PinOn(ctx context.Context, a Anchor, p Pin) (signed []byte, err error) {
	if c, ok := a.(Cosigning); ok {
		return c.PinCosigned(ctx, p)
	}
	return p.Checkpoint, a.Pin(ctx, p)
}

// prover proves consistency to an anchor: from memory between recent pins, else from tiles and entries.
type prover struct {
	window window
	nodes  func() *nodeReader
}

// bind binds the anchor to the log that is being opened; nil if it asks for no proofs.
func bind(cfg Config) *prover {
	c, ok := cfg.Anchor.(Cosigning)
	if !ok {
		return nil
	}
	p := &prover{nodes: func() *nodeReader { return nodesOf(cfg.Store, cfg.Tiles.Dir) }}
	c.Bind(Binding{Key: cfg.Key, Keys: cfg.Keys, Sign: cfg.Sign, Prove: p.prove})
	return p
}

// Prover gives [Binding.Prove] for a log that is not open: from its store, and its folder of tiles, if it has one. The store must not change.
func Prover(store Store, tiles string) func(ctx context.Context, old, size uint64, root [32]byte) ([][32]byte, error) {
	p := &prover{nodes: func() *nodeReader { return nodesOf(store, tiles) }}
	return p.prove
}

// RootAt gives the root of the tree over the first entries of a log that is not open. It reads all of them.
func RootAt(ctx context.Context, store Store, size uint64) ([32]byte, error) {
	return tlog.RootAt(nodesOf(store, "").reader(ctx), size)
}

func nodesOf(store Store, tiles string) *nodeReader {
	return &nodeReader{dir: tiles, edge: (*publisher)(nil).edgeOf, store: store, tiles: map[tlog.Tile][][32]byte{}}
}

// prove is Binding.Prove.
func (p *prover) prove(ctx context.Context, old, size uint64, root [32]byte) ([][32]byte, error) {
	if path, err := proofOf(p.window.reader(), old, size, root); err == nil || !errors.Is(err, errOutside) {
		return path, err
	}
	return proofOf(p.nodes().reader(ctx), old, size, root)
}

// proofOf makes a proof and verifies it against the root of size.
func proofOf(r tlog.HashReader, old, size uint64, root [32]byte) ([][32]byte, error) {
	path, err := tlog.ProveConsistency(r, old, size)
	if err != nil {
		return nil, err
	}
	before, err := tlog.RootAt(r, old)
	if err != nil {
		return nil, err
	}
	if err := tlog.VerifyConsistency(path, old, size, before, root); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTiles, err)
	}
	return path, nil
}
