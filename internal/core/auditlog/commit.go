// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"strongroom/internal/pure/tlog"
)

// commitLoop makes batches durable, one after the other, until the log is closed or fails. Close waits for it.
func (l *Log) commitLoop(ctx context.Context) {
	defer close(l.ended)
	for {
		quitting := false
		select {
		case <-l.wake:
		case <-l.failed:
			return
		case <-l.quit:
			quitting = true
		}
		if !quitting {
			l.linger()
			// Let who is ready to run append first. It costs nothing while the machine is idle; while it is busy, a flush, a signature and a pin
			// are shared by several times as many entries.
			runtime.Gosched()
		}
		b := l.take()
		if b == nil {
			if quitting {
				return
			}
			continue
		}
		if err := l.commit(ctx, b); err != nil {
			l.stop(err)
			b.err = l.Err()
			close(b.done)
			return
		}
		close(b.done)
		l.tiles.follow()
		if quitting {
			return // nothing was appended since: Close forbade it first
		}
	}
}

// linger waits for a batch to gather.
func (l *Log) linger() {
	if l.cfg.Linger == 0 {
		return
	}
	t := time.NewTimer(l.cfg.Linger)
	defer t.Stop()
	select {
	case <-t.C:
	case <-l.full:
	case <-l.quit:
	case <-l.failed:
	}
}

// take takes what is pending, or nil if that is nothing.
func (l *Log) take() *batch {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.pending
	if len(b.recs) == 0 {
		return nil
	}
	l.pending = newBatch(l.next)
	close(b.taken)
	select {
	case <-l.full: // it was about this batch
	default:
	}
	return b
}

// sealed is the head after a batch.
type sealed struct {
	head *Head
	err  error
}

// commit makes b durable and pins the head that includes it.
func (l *Log) commit(ctx context.Context, b *batch) error {
	start := l.cfg.Elapsed()
	// The signature is made while the disk works. It leaves this process only after the append has succeeded.
	seal := make(chan sealed, 1)
	go func() {
		began := l.cfg.Elapsed()
		h, err := l.seal(b)
		l.stats.sign.Add(int64(l.cfg.Elapsed() - began))
		seal <- sealed{h, err}
	}()
	err := l.cfg.Store.Append(ctx, l.cfg.Writer, b.first, b.recs)
	appended := l.cfg.Elapsed()
	s := <-seal
	if err != nil {
		return err
	}
	if s.err != nil {
		return s.err
	}
	pinning := l.cfg.Elapsed()
	if l.prover != nil {
		l.prover.window.add(l.head.Load().Frontier, b.hashes)
	}
	if s.head.Signed, err = PinOn(ctx, l.cfg.Anchor, s.head.pin(l.cfg.Since)); err != nil {
		return err
	}
	end := l.cfg.Elapsed()
	l.head.Store(s.head)
	l.stats.entries.Add(uint64(len(b.recs)))
	l.stats.bytes.Add(uint64(b.bytes))
	l.stats.batches.Add(1)
	l.stats.pins.Add(1)
	l.stats.append.Add(int64(appended - start))
	l.stats.pin.Add(int64(end - pinning))
	l.stats.commit.Add(int64(end - start))
	return nil
}

// seal extends the tree by a batch and signs its head.
func (l *Log) seal(b *batch) (*Head, error) {
	h := &Head{Frontier: l.head.Load().Frontier}
	if h.Frontier.Size() != b.first {
		return nil, fmt.Errorf("batch of entry %d after a tree of %d", b.first, h.Frontier.Size())
	}
	for _, hash := range b.hashes {
		h.Frontier.Append(hash)
	}
	return h, h.sign(l.cfg.Key, l.cfg.Sign)
}

// sign fills in checkpoint and signature from the frontier.
func (h *Head) sign(key tlog.Key, sign func([]byte) ([]byte, error)) error {
	h.Checkpoint = tlog.Checkpoint{Origin: key.Origin(), Size: h.Frontier.Size(), Root: h.Frontier.Root()}
	var err error
	h.Signed, err = tlog.SignCheckpoint(h.Checkpoint, key, sign)
	return err
}

func (h *Head) pin(since uint64) Pin {
	return Pin{Checkpoint: h.Signed, Frontier: h.Frontier.Marshal(), Since: since}
}
