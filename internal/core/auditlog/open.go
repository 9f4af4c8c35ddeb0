// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/tlog"
)

// claims is how often Open tries to claim a pin that the writer before it still moves: that one can finish one batch at most.
const claims = 8

// Open reads the log from the start point to the pin, becomes its writer and drops what lies beyond the pin. An empty store without a pin
// is a new log. It refuses with
//
//   - *[BehindError] if entries are missing that were acknowledged, *[CorruptError] if they are damaged, [ErrStart] if the start point is wrong,
//   - [ErrNoPin] if there are entries but no pin, and errors of the anchor if the pin can't be read,
//   - [ErrLostWriter] if the store has another epoch than Config.Writer (and Config.TakeOver is not set), or another live process has it.
//
// A refusal drops nothing. After an error both store and anchor must be opened anew.
func Open(ctx context.Context, cfg Config) (*Log, error) {
	l, err := open(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return l, nil
}

func open(ctx context.Context, cfg Config) (*Log, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	prove := bind(cfg)
	o := opening{cfg: cfg, chain: chain{store: cfg.Store, entries: cfg.Entries, start: cfg.Start.Size(), tree: cfg.Start}}
	head, fresh, err := o.survey(ctx)
	if err != nil {
		return nil, err
	}
	if !fresh {
		if err := o.chain.begin(ctx, head.Checkpoint); err != nil {
			return nil, err
		}
		if err := o.chain.follow(ctx, head.Checkpoint, cfg.Tail); err != nil {
			return nil, err
		}
	}
	size, err := o.becomeWriter(ctx)
	if err != nil {
		return nil, err
	}
	if head, err = o.claim(ctx, fresh); err != nil {
		return nil, err
	}
	if size > head.Size {
		if err := cfg.Store.Truncate(ctx, cfg.Writer, head.Size); err != nil {
			return nil, err
		}
	}
	if prove != nil {
		prove.window.reset(head.Frontier)
	}
	return start(ctx, cfg, head, o.chain.last, prove)
}

// opening is the work of Open.
type opening struct {
	cfg   Config
	chain chain
}

// survey reads the pin and says whether the log is new. Nothing is changed.
func (o *opening) survey(ctx context.Context) (head *Head, fresh bool, err error) {
	head, err = o.readPin(ctx) // first: a writer that is still alive moves the store before the pin
	if err != nil && !errors.Is(err, ErrNoPin) {
		return nil, false, err
	}
	size, _, sizeErr := o.cfg.Store.Head(ctx)
	switch {
	case sizeErr != nil:
		return nil, false, sizeErr
	case errors.Is(err, ErrNoPin) && size > 0:
		return nil, false, fmt.Errorf("the store has %d entries, but %w: restore the anchor, or see the runbook on re-anchoring", size, ErrNoPin)
	case errors.Is(err, ErrNoPin) && o.cfg.Start.Size() > 0:
		return nil, false, fmt.Errorf("%w: the log is empty", ErrStart)
	case errors.Is(err, ErrNoPin):
		return nil, true, nil
	case size < head.Size:
		return nil, false, &BehindError{Have: size, Pinned: head.Size, Where: o.cfg.Store.Where(size)}
	}
	return head, false, nil
}

// readPin reads the pin and verifies it.
func (o *opening) readPin(ctx context.Context) (*Head, error) {
	p, err := o.cfg.Anchor.Read(ctx)
	if err != nil {
		return nil, err
	}
	if p.Since != o.cfg.Since {
		return nil, fmt.Errorf("pin: it is of an incarnation of the log that began with entry %d, not with entry %d", p.Since, o.cfg.Since)
	}
	h := &Head{Signed: p.Checkpoint}
	if h.Checkpoint, err = tlog.OpenCheckpoint(p.Checkpoint, append([]tlog.Key{o.cfg.Key}, o.cfg.Keys...)...); err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	if h.Frontier, err = tlog.UnmarshalFrontier(p.Frontier); err != nil {
		return nil, fmt.Errorf("pin: %w", err)
	}
	if h.Frontier.Size() != h.Size || h.Frontier.Root() != h.Root {
		return nil, errors.New("pin: the frontier is not that of the checkpoint")
	}
	return h, nil
}

// becomeWriter takes the epoch and gives the number of records in the store, which nobody else changes from then on. Truncating to that
// number changes nothing, but is refused if another live process writes with this epoch.
func (o *opening) becomeWriter(ctx context.Context) (uint64, error) {
	size, writer, err := o.cfg.Store.Head(ctx)
	if err != nil {
		return 0, err
	}
	switch {
	case writer == o.cfg.Writer:
	case writer < o.cfg.Writer && (o.cfg.TakeOver || writer == 0 && size == 0):
		if err := o.cfg.Store.TakeWriter(ctx, writer, o.cfg.Writer); err != nil {
			return 0, err
		}
		if size, _, err = o.cfg.Store.Head(ctx); err != nil {
			return 0, err
		}
	default:
		return 0, fmt.Errorf("the store's epoch is %d, not %d: %w", writer, o.cfg.Writer, ErrLostWriter)
	}
	return size, o.cfg.Store.Truncate(ctx, o.cfg.Writer, size)
}

// claim pins the pin once more, so that the writer before this one can't move it any more, and catches up with what that one
// acknowledged meanwhile. For a new log it pins the empty tree: from then on a missing pin is always a loss.
func (o *opening) claim(ctx context.Context, fresh bool) (*Head, error) {
	for range claims {
		head, err := o.readPin(ctx)
		if fresh && errors.Is(err, ErrNoPin) {
			head = &Head{}
			err = head.sign(o.cfg.Key, o.cfg.Sign)
		}
		if err != nil {
			return nil, err
		}
		if err := o.chain.follow(ctx, head.Checkpoint, o.cfg.Tail); err != nil {
			return nil, err
		}
		signed, err := PinOn(ctx, o.cfg.Anchor, head.pin(o.cfg.Since))
		if err == nil {
			head.Signed = signed
			return head, nil
		}
		if !errors.Is(err, ErrPinMoved) {
			return nil, err
		}
	}
	return nil, fmt.Errorf("another process goes on pinning: %w", ErrPinMoved)
}

// start begins to serve.
func start(ctx context.Context, cfg Config, head *Head, last [32]byte, prove *prover) (*Log, error) {
	l := &Log{
		cfg: cfg, prover: prove, next: head.Size, last: last, pending: newBatch(head.Size),
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), quit: make(chan struct{}), failed: make(chan struct{}), ended: make(chan struct{}),
	}
	l.cfg.Tail = nil // what it refers to need not stay
	l.head.Store(head)
	ctx = context.WithoutCancel(ctx) // the log lives until Close
	if cfg.Tiles.Dir != "" {
		l.tiles = newPublisher(l)
		go l.tiles.run(ctx)
		l.tiles.follow()
	}
	go l.commitLoop(ctx)
	return l, nil
}
