// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
)

// refusal marks an error that had no effect, so that the store goes on.
type refusal struct{ error }

// Unwrap gives the reason.
func (r refusal) Unwrap() error { return r.error }

// change runs act with the turn, lock 0 and, unless writer is 0, as the writer of that epoch. An error other than a refusal ends the store.
func (s *Store) change(ctx context.Context, writer uint64, act func(epoch uint64) error) error {
	if err := s.take(ctx); err != nil {
		return err
	}
	defer s.give()
	if err := s.acquire(ctx); err != nil {
		return err
	}
	err := s.guarded(writer, act)
	if unlock := s.lock.Unlock(0); unlock != nil {
		err = errors.Join(err, fmt.Errorf("unlock log store: %w", unlock))
	}
	var no refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &no):
		return no.error
	}
	err = fmt.Errorf("%w: %w", auditlog.ErrFatal, err)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fatal = err
	return err
}

func (s *Store) guarded(writer uint64, act func(epoch uint64) error) error {
	epoch, err := s.epoch()
	if err != nil {
		return err
	}
	if writer != 0 {
		if writer != epoch {
			return refusal{fmt.Errorf("write with epoch %d, the current one is %d: %w", writer, epoch, auditlog.ErrLostWriter)}
		}
		if err := s.attach(epoch); err != nil {
			return err
		}
	}
	return act(epoch)
}

// attach makes this handle the one that writes with an epoch, and that epoch the current one.
func (s *Store) attach(epoch uint64) error {
	if s.mine == epoch {
		return nil
	}
	// Two processes that believe to have one epoch: the one that wrote first keeps it as long as it lives.
	if err := s.lock.TryLock(1 + int64(epoch)); errors.Is(err, disk.ErrLocked) {
		return refusal{fmt.Errorf("epoch %d: %w: stop it, or take over with the next epoch: %w", epoch, auditlog.ErrInUse, auditlog.ErrLostWriter)}
	} else if err != nil {
		return fmt.Errorf("lock epoch %d: %w", epoch, err)
	}
	// A process before this one may have ended with a failed flush: what it left is visible, but perhaps not on disk. That matters for
	// the epoch and for names. Records of a failed append were never acknowledged: the log drops them.
	if err := s.slots.Write(binary.LittleEndian.AppendUint64(nil, epoch)); err != nil {
		return err
	}
	if err := s.load(); err != nil {
		return err
	}
	s.mine = epoch
	return s.dir.Sync()
}

func (s *Store) last() *segment {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.segs) == 0 {
		return nil
	}
	return s.segs[len(s.segs)-1]
}

// wipe clears what an append that was cut off may have left behind the last record, so that it can't be taken for a record later.
func (s *Store) wipe() error {
	last := s.last()
	if s.wiped || last == nil {
		s.wiped = true
		return nil
	}
	_, end := last.extent()
	some, err := last.wipe(end)
	if err == nil && some {
		err = last.file.Sync()
	}
	s.wiped = err == nil
	return err
}

// TakeWriter changes the epoch; see [auditlog.Store].
func (s *Store) TakeWriter(ctx context.Context, from, to uint64) error {
	if to <= from || to > maxEpoch {
		return fmt.Errorf("take over from epoch %d to %d: epochs only grow, to 2^62 at most", from, to)
	}
	err := s.change(ctx, 0, func(epoch uint64) error {
		if epoch != from {
			return refusal{fmt.Errorf("the current epoch is %d: %w", epoch, auditlog.ErrLostWriter)}
		}
		return s.attach(to)
	})
	if err != nil {
		return fmt.Errorf("take over from epoch %d to %d: %w", from, to, err)
	}
	return nil
}

// Append adds records with one write and one flush; see [auditlog.Store].
func (s *Store) Append(ctx context.Context, writer, first uint64, recs []auditlog.Record) error {
	if writer == 0 {
		return fmt.Errorf("append with epoch 0: %w", auditlog.ErrLostWriter)
	}
	need := 0
	for i, r := range recs {
		if err := r.Check(); err != nil {
			return fmt.Errorf("append entry %d: %w", first+uint64(i), err)
		}
		need += frameSize(r)
	}
	if need > maxSegmentSize-fileHeader {
		return fmt.Errorf("append %d entries of %d bytes at once: %w", len(recs), need, auditlog.ErrTooLarge)
	}
	err := s.change(ctx, writer, func(uint64) error {
		if first != s.count {
			return refusal{fmt.Errorf("the log has %d entries: %w", s.count, auditlog.ErrHeadMoved)}
		}
		if len(recs) == 0 {
			return nil
		}
		return s.write(recs, int64(need))
	})
	if err != nil {
		return fmt.Errorf("append %d entries at %d: %w", len(recs), first, err)
	}
	return nil
}

func (s *Store) write(recs []auditlog.Record, need int64) error {
	if err := s.wipe(); err != nil {
		return err
	}
	g, err := s.room(need)
	if err != nil {
		return err
	}
	found, end := g.extent()
	s.buf = s.buf[:0]
	sizes := make([]int, len(recs))
	for i, r := range recs {
		before := len(s.buf)
		s.buf = appendFrame(s.buf, g.first+found+uint64(i), r)
		sizes[i] = len(s.buf) - before
	}
	if _, err := g.file.WriteAt(s.buf, end); err != nil {
		return err
	}
	if err := g.file.Sync(); err != nil {
		return err
	}
	if cap(s.buf) > 8*readChunk {
		s.buf = nil // a rare large batch must not hold its memory
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, n := range sizes {
		g.note(n)
	}
	s.count += uint64(len(recs))
	return nil
}

// room gives the last segment with room for need bytes, a new one if necessary.
func (s *Store) room(need int64) (*segment, error) {
	last := s.last()
	if last != nil {
		_, end := last.extent()
		size, err := last.file.Size()
		if err != nil {
			return nil, err
		}
		if end+need <= size {
			return last, nil
		}
		if last.first == s.count { // empty: a new one would have its name
			if err := last.file.Allocate(end + need); err != nil {
				return nil, err
			}
			return last, nil
		}
	}
	g, err := s.create(max(s.size, fileHeader+need))
	if err != nil {
		return nil, err
	}
	if last != nil {
		// Give the unused rest of the old one back. Nothing depends on it: its records are durable, and zeros behind them say nothing.
		_, end := last.extent()
		if err := last.file.Truncate(end); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segs = append(s.segs, g)
	return g, nil
}

// create makes the segment that begins at the head. It gets its name when it is whole and durable.
func (s *Store) create(size int64) (*segment, error) {
	f, err := s.dir.Open(tempName, true)
	if err != nil {
		return nil, err
	}
	g := newSegment(s.dir, s.count)
	fill := func() error {
		if err := f.Truncate(0); err != nil { // left over from a creation that was cut off
			return err
		}
		if err := f.Allocate(size); err != nil {
			return err
		}
		if _, err := f.WriteAt(formatHeader(g.first), 0); err != nil {
			return err
		}
		if err := f.Sync(); err != nil {
			return err
		}
		if err := s.dir.Rename(tempName, g.name); err != nil {
			return err
		}
		return s.dir.Sync()
	}
	if err := fill(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	g.file, g.end, g.stop = f, fileHeader, errEnd.Error()
	return g, nil
}

// Truncate drops records; see [auditlog.Store].
func (s *Store) Truncate(ctx context.Context, writer, size uint64) error {
	if writer == 0 {
		return fmt.Errorf("truncate with epoch 0: %w", auditlog.ErrLostWriter)
	}
	err := s.change(ctx, writer, func(uint64) error {
		if size > s.count {
			return refusal{fmt.Errorf("the log has %d entries: %w", s.count, auditlog.ErrHeadMoved)}
		}
		if size == s.count {
			return nil
		}
		return s.drop(size)
	})
	if err != nil {
		return fmt.Errorf("truncate the log to %d entries: %w", size, err)
	}
	return nil
}

func (s *Store) drop(size uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Last file first, each durably: what is left is always a beginning of the log.
	for len(s.segs) > 1 && s.segs[len(s.segs)-1].first > size {
		last := s.segs[len(s.segs)-1]
		if err := s.dir.Remove(last.name); err != nil {
			return err
		}
		if err := s.dir.Sync(); err != nil {
			return err
		}
		s.segs = s.segs[:len(s.segs)-1]
		s.count = last.first
		if err := last.close(); err != nil {
			return err
		}
	}
	g := s.segs[len(s.segs)-1]
	if err := g.find(s.count - g.first); err != nil {
		return err
	}
	if found, _ := g.extent(); found < size-g.first {
		return g.corrupt(g.first+found, g.end, g.stop)
	}
	off, err := g.offset(size)
	if err != nil {
		return err
	}
	g.cut(size-g.first, off)
	s.count, s.wiped = size, false
	some, err := g.wipe(off)
	if err != nil {
		return err
	}
	if some {
		err = g.file.Sync()
	}
	s.wiped = err == nil
	return err
}
