// SPDX-License-Identifier: Apache-2.0

package wallet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/btc"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/chain"
)

// DefaultGap is how many addresses beyond the next ones are looked for: as far as the core lets a change address lie.
const DefaultGap = authority.ChangeGap

// overlapBlocks is how many blocks are read again for addresses that were out of sight: more than can have come between the
// making of an address and the call of [Scanner.Watch].
const overlapBlocks = 6

// maxTurns is how often one Sync begins anew because the chain turned under it.
const maxTurns = 10

// Errors of a scan that stands still until somebody acts.
var (
	// ErrDeepReorg says that none of the kept blocks is in the chain any more.
	ErrDeepReorg = fmt.Errorf("the chain was replaced by more than the %d blocks that are kept; look at the node, then rescan", KeepBlocks)
	// ErrRestless says that the source shows another chain at every look.
	ErrRestless = errors.New("the node shows another chain at every look; look at the node")
)

// Config of a scanner.
type Config struct {
	Chain  custody.ChainID
	Source Source
	Store  Store
	Start  uint64            // first block to look at when nothing was scanned yet, at least 1: no wallet is older
	Gap    uint32            // how many addresses beyond the next ones are looked for, at least [DefaultGap]
	Derive authority.Deriver // [authority.Derive], or one with a cache
}

// Scanner keeps the coins of all Bitcoin wallets of one chain. Watch the wallets first, then call [Scanner.Sync] again and
// again, for instance when there is a new block. One scanner a chain and store; its methods are safe for concurrent use.
type Scanner struct {
	cfg     Config
	scripts *scripts

	mu     sync.Mutex                  // held through a Sync; guards the fields below
	fresh  map[custody.WalletID]uint64 // wallets that the store does not know as watched, with the height to look from
	rescan uint64                      // height to go back to, or 0
	// overlap makes the next Sync read the last blocks again: so many addresses were made at once that some were out of sight.
	overlap bool
}

// New makes a scanner.
func New(cfg Config) (*Scanner, error) {
	switch {
	case !cfg.Chain.Bitcoin():
		return nil, fmt.Errorf("scanner: chain %q is not Bitcoin", cfg.Chain)
	case cfg.Source == nil || cfg.Store == nil || cfg.Derive == nil:
		return nil, errors.New("scanner: source, store and derive must be given")
	case cfg.Start == 0:
		return nil, errors.New("scanner: start must be at least 1; the first block of a chain can't be spent")
	case cfg.Gap < DefaultGap || cfg.Gap > 10_000:
		return nil, fmt.Errorf("scanner: gap %d is not within %d and 10000", cfg.Gap, DefaultGap)
	}
	return &Scanner{cfg: cfg, scripts: newScripts(cfg.Gap, cfg.Derive), fresh: map[custody.WalletID]uint64{}}, nil
}

// Watch looks for the addresses of a wallet, up to its next indexes (receiving, change) and the gap beyond. Call it for every
// wallet after a start and again when a wallet's indexes grow. born is a height before which the wallet can't have been paid,
// for instance the head when it was made: when the store has not seen the wallet, the next Sync begins there.
func (s *Scanner) Watch(ctx context.Context, w entry.Wallet, next [2]uint32, born uint64) error {
	if w.Chain != s.cfg.Chain {
		return fmt.Errorf("watch wallet %s: it is on %s, this scanner on %s", w.ID, w.Chain, s.cfg.Chain)
	}
	if w.Scheme != request.SchemeP2WPKH && w.Scheme != request.SchemeP2TR {
		return fmt.Errorf("watch wallet %s: scheme %q is not one of Bitcoin", w.ID, w.Scheme)
	}
	missed, err := s.scripts.watch(w, next)
	if err != nil {
		return err
	}
	if missed {
		s.mu.Lock()
		s.overlap = true
		s.mu.Unlock()
	}
	known, err := s.cfg.Store.Watched(ctx, w.ID)
	if err != nil || known {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.fresh[w.ID]; !ok {
		s.fresh[w.ID] = max(born, s.cfg.Start)
	}
	return nil
}

// Rescan makes the next Sync read the chain again from a height on. Until it gets to the head, coins from there on are missing.
func (s *Scanner) Rescan(height uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rescan = max(height, 1)
}

// Progress is how far a scan is.
type Progress struct {
	Scanned chain.Block // last block whose coins are known; zero before the first
	Head    chain.Block // newest block of the source
}

// Done says whether the view is that of the source's newest block.
func (p Progress) Done() bool { return p.Scanned == p.Head }

// Sync reads blocks until the source's newest and follows a chain that turned. It can be stopped at any point, by ctx or the
// end of the process, and goes on where it was. The progress is right also when there is an error.
func (s *Scanner) Sync(ctx context.Context) (Progress, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var p Progress
	for range maxTurns {
		turned, err := s.run(ctx, &p)
		if err != nil || !turned {
			return p, err
		}
	}
	return p, ErrRestless
}

// run reads blocks up to the head, or until the chain turned.
func (s *Scanner) run(ctx context.Context, p *Progress) (turned bool, err error) {
	head, err := s.cfg.Source.Head(ctx)
	if err != nil {
		return false, err
	}
	p.Head = head.Block
	kept, err := s.cfg.Store.Blocks(ctx, s.cfg.Chain)
	if err != nil {
		return false, err
	}
	next, err := s.begin(ctx, kept)
	if err != nil {
		return false, err
	}
	if len(kept) > 0 {
		p.Scanned = kept[len(kept)-1]
	}
	var before chain.Block // next-1, if it is known
	for _, b := range kept {
		if b.Height+1 == next {
			before = b
		}
	}
	for ; next <= head.Height; next++ {
		b, err := s.cfg.Source.Block(ctx, next)
		if chain.ReasonOf(err) == chain.NotFound {
			return true, nil // the chain became shorter meanwhile
		}
		if err != nil {
			return false, err
		}
		if b.Height != next || (before.Hash != "" && b.Prev != before.Hash) {
			return true, nil
		}
		if err := s.apply(ctx, b); err != nil {
			return false, fmt.Errorf("scan block %d: %w", next, err)
		}
		before, p.Scanned = b.Block, b.Block
	}
	return false, nil
}

// begin finds the first block to read: the one after the last scanned, or further back if the chain turned, a wallet is new or
// somebody asked for it. After a turn the last common block is read again, so that what was above it is taken back even if
// nothing has come in its place.
func (s *Scanner) begin(ctx context.Context, kept []chain.Block) (uint64, error) {
	if len(kept) == 0 {
		return s.goBack(s.cfg.Start), nil
	}
	for i, b := range slices.Backward(kept) {
		hash, err := s.cfg.Source.BlockHash(ctx, b.Height)
		if err != nil && chain.ReasonOf(err) != chain.NotFound {
			return 0, err
		}
		if err == nil && hash == b.Hash {
			if i < len(kept)-1 {
				return s.goBack(b.Height), nil
			}
			return s.goBack(b.Height + 1), nil
		}
	}
	asked := s.rescan != 0 && s.rescan < kept[0].Height
	if !asked && kept[0].Height > s.cfg.Start {
		return 0, ErrDeepReorg
	}
	return s.goBack(kept[0].Height), nil // nothing below was ever scanned, or it will be read again
}

// goBack gives the height to read from when nothing else lay further back.
func (s *Scanner) goBack(next uint64) uint64 {
	if s.overlap && next > s.cfg.Start {
		next = max(next-min(next, overlapBlocks), s.cfg.Start)
	}
	for _, from := range s.fresh {
		next = min(next, from)
	}
	if s.rescan != 0 {
		next = min(next, s.rescan)
	}
	return next
}

// apply records what a block did. An address that was paid moves the gap; then the block is looked at again, because it may
// pay one of the new addresses too.
func (s *Scanner) apply(ctx context.Context, b chain.BitcoinBlock) error {
	var out Scanned
	for again := true; again; {
		var err error
		if out, again, err = s.read(b); err != nil {
			return err
		}
	}
	// A run begins below every new wallet's height, so from this block on all of them are looked for.
	out.Watched = slices.Sorted(maps.Keys(s.fresh))
	if err := s.cfg.Store.Apply(ctx, s.cfg.Chain, out); err != nil {
		return err
	}
	clear(s.fresh)
	s.rescan, s.overlap = 0, false
	return nil
}

// read finds what a block did to the watched wallets. It tells whether the gap moved, so that the block must be read again.
func (s *Scanner) read(b chain.BitcoinBlock) (out Scanned, again bool, err error) {
	out.Block = b.Block
	for _, tx := range b.Txs {
		if !tx.Coinbase {
			for _, in := range tx.Inputs {
				out.Spent = append(out.Spent, Spend{Coin: in, By: tx.ID})
			}
		}
		for i, o := range tx.Outputs {
			who, ok := s.scripts.find(o.Script)
			if !ok {
				continue
			}
			more, err := s.scripts.used(who)
			if err != nil {
				return out, false, err
			}
			again = again || more
			c := Coin{
				Wallet: who.wallet, OutPoint: btc.OutPoint{TxID: tx.ID, Index: uint32(i)}, Output: o, Key: who.key,
				Height: b.Height, Coinbase: tx.Coinbase,
			}
			if o.Script.Kind() == btc.KindP2WPKH {
				c.PrevTx = tx.Stripped
			}
			out.Made = append(out.Made, c)
		}
	}
	return out, again, nil
}
