// SPDX-License-Identifier: Apache-2.0

// Package segment is the log store on plain files: append-only, preallocated segments, one flush an append, and a writer epoch that is
// checked under a lock at each append. Opening reads the last segment only; the others are read, checked and indexed when first asked for.
//
// It refuses to guess: a record whose checksum, number or length is wrong is named with file and offset, and after a failed write or
// flush nothing is done any more. What follows the last good record in the last segment may be an append that was cut off, so
// it ends the log there; whether that is an end or a damage is for the pin to say.
//
// Format: docs/spec/log-store.md, "Segment file" and "Writer file".
package segment

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
)

// DefaultSegmentSize is the size of a segment file, in bytes.
const DefaultSegmentSize = 64 << 20

// Bounds of the segment size: offsets in memory have 32 bits, and an append is one segment's at most.
const (
	minSegmentSize = 512
	maxSegmentSize = 1 << 30
)

// readLimit is about how many bytes one Read gives.
const readLimit = 4 << 20

// Names of the files beside the segments.
const (
	lockName   = "lock"
	writerName = "writer"
	tempName   = "segment.new"
)

// writerStride is the size of a copy in the writer file, in bytes.
const writerStride = 512

// maxEpoch is the largest epoch: lock numbers are file offsets.
const maxEpoch = 1 << 62

// Options of a store. The zero value takes the defaults.
type Options struct {
	SegmentSize int64 // bytes to preallocate; 0: DefaultSegmentSize
}

// Store is an [auditlog.Store] in a folder. It is safe for concurrent use, also by several processes on one machine.
type Store struct {
	dir  disk.Dir
	size int64 // of a new segment

	turn  chan struct{} // one token: the right to use what follows
	lock  disk.File     // lock 0: held during a change; lock 1+e: held by the process that writes with epoch e, as long as it lives
	slots *disk.Slots   // writer epoch
	buf   []byte        // frames of an append, reused
	wiped bool          // the last segment is zero behind its records
	mine  uint64        // epoch that this handle writes with, or 0

	mu    sync.RWMutex // guards the rest
	segs  []*segment   // by first record; all but the last are whole
	count uint64       // records
	fatal error        // set once; nothing is done afterwards
}

// Open uses the folder dir, which may be empty. A folder without its first segment or with a damaged header in its last one is a
// *[auditlog.CorruptError].
func Open(dir disk.Dir, o Options) (*Store, error) {
	if o.SegmentSize == 0 {
		o.SegmentSize = DefaultSegmentSize
	}
	if o.SegmentSize < minSegmentSize || o.SegmentSize > maxSegmentSize {
		return nil, fmt.Errorf("open log store: segment size %d is not between %d and %d bytes", o.SegmentSize, minSegmentSize, maxSegmentSize)
	}
	slots, err := disk.OpenSlots(dir, writerName, writerStride)
	if err != nil {
		return nil, fmt.Errorf("open log store: %w", err)
	}
	lock, err := dir.Open(lockName, true)
	if err != nil {
		return nil, fmt.Errorf("open log store: %w", err)
	}
	s := &Store{dir: dir, size: o.SegmentSize, turn: make(chan struct{}, 1), lock: lock, slots: slots}
	s.turn <- struct{}{}
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("open log store: %w", errors.Join(err, s.Close()))
	}
	return s, nil
}

// load forgets what is known of the segments and reads the last one.
func (s *Store) load() error {
	firsts, err := s.list()
	if err != nil {
		return err
	}
	segs := make([]*segment, len(firsts))
	for i, first := range firsts {
		segs[i] = newSegment(s.dir, first)
	}
	var count uint64
	if n := len(segs); n > 0 {
		if segs[0].first != 0 {
			return &auditlog.CorruptError{Seq: 0, Where: s.dir.Path(segmentName(0)), Reason: "the file is missing"}
		}
		if err := segs[n-1].find(^uint64(0)); err != nil {
			return err
		}
		found, _ := segs[n-1].extent()
		count = segs[n-1].first + found
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.segs
	s.segs, s.count = segs, count
	s.wiped = false
	return closeAll(old)
}

func closeAll(segs []*segment) error {
	var errs []error
	for _, g := range segs {
		errs = append(errs, g.close())
	}
	return errors.Join(errs...)
}

// list gives the first records of the segment files, in order.
func (s *Store) list() ([]uint64, error) {
	names, err := s.dir.List()
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var firsts []uint64
	for _, name := range names {
		if first, ok := parseName(name); ok {
			firsts = append(firsts, first)
		}
	}
	slices.Sort(firsts)
	return firsts, nil
}

// refresh lets a handle that does not write see what another one wrote since. The caller has the turn.
func (s *Store) refresh() error {
	if s.mine != 0 {
		return nil
	}
	firsts, err := s.list()
	if err != nil {
		return err
	}
	same := len(firsts) == len(s.segs) && len(firsts) > 0
	for i := 0; same && i < len(firsts); i++ {
		same = s.segs[i].first == firsts[i]
	}
	if same {
		last := s.segs[len(s.segs)-1]
		if found, _ := last.extent(); found > 0 {
			// The writer may have cut the segment and written it anew: is the last record that was seen still there?
			_, err := last.read(last.first+found-1, 1, 1)
			same = err == nil
		}
	}
	if !same {
		return s.load()
	}
	last := s.segs[len(s.segs)-1]
	if err := last.find(^uint64(0)); err != nil {
		return err
	}
	found, _ := last.extent()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count = last.first + found
	return nil
}

// Head gives the number of records and the epoch; see [auditlog.Store].
func (s *Store) Head(ctx context.Context) (size, writer uint64, err error) {
	if err := s.take(ctx); err != nil {
		return 0, 0, err
	}
	defer s.give()
	if writer, err = s.epoch(); err != nil {
		return 0, 0, err
	}
	if err := s.refresh(); err != nil {
		return 0, 0, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count, writer, nil
}

// Read gives records; see [auditlog.Store]. They alias a buffer of up to 1 MiB or one record: copy what is kept for long.
func (s *Store) Read(ctx context.Context, from uint64, max int) ([]auditlog.Record, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	recs, err := s.read(from, max)
	var bad *auditlog.CorruptError
	if err == nil && len(recs) > 0 || err != nil && !errors.As(err, &bad) {
		return recs, err
	}
	// Nothing there, or not what was expected: if another handle writes, look again.
	if err := s.take(ctx); err != nil {
		return nil, err
	}
	mine := s.mine
	if mine == 0 && bad != nil {
		err = s.load()
	} else if mine == 0 {
		err = s.refresh()
	}
	s.give()
	if mine != 0 || err != nil {
		return recs, err
	}
	return s.read(from, max)
}

func (s *Store) read(from uint64, max int) ([]auditlog.Record, error) {
	s.mu.RLock()
	if err := s.fatal; err != nil || from >= s.count || max <= 0 {
		s.mu.RUnlock()
		return nil, err
	}
	i := s.holder(from)
	g, next := s.segs[i], s.count
	if i+1 < len(s.segs) {
		next = s.segs[i+1].first
	}
	s.mu.RUnlock() // no append waits for this disk access
	if err := g.find(next - g.first); err != nil {
		return nil, err
	}
	return g.read(from, int(min(uint64(max), next-from)), readLimit)
}

// holder is the index of the segment that holds or would hold record seq. There is at least one segment. The caller holds mu.
func (s *Store) holder(seq uint64) int {
	return sort.Search(len(s.segs), func(i int) bool { return s.segs[i].first > seq }) - 1
}

// Where names file and offset of a record.
func (s *Store) Where(seq uint64) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.segs) == 0 {
		return s.dir.Path(segmentName(0)) + " is missing"
	}
	i := s.holder(seq)
	g := s.segs[i]
	if i+1 < len(s.segs) && g.find(s.segs[i+1].first-g.first) != nil {
		return s.dir.Path(g.name)
	}
	found, end := g.extent()
	if seq-g.first < found {
		off, err := g.offset(seq)
		if err != nil {
			return s.dir.Path(g.name)
		}
		return g.place(off)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.place(end) + ": " + g.stop
}

// Close closes the files and gives the locks back.
func (s *Store) Close() error {
	<-s.turn
	defer s.give()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fatal == nil {
		s.fatal = errors.New("log store is closed")
	}
	segs := s.segs
	s.segs, s.count = nil, 0
	return errors.Join(closeAll(segs), s.slots.Close(), s.lock.Close())
}

// take waits for the turn and refuses if the store has failed.
func (s *Store) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.fatal != nil {
		defer s.give()
		return s.fatal
	}
	return nil
}

func (s *Store) give() { s.turn <- struct{}{} }

// epoch reads the writer file. The caller has the turn.
func (s *Store) epoch() (uint64, error) {
	b, err := s.slots.Read()
	if errors.Is(err, disk.ErrAbsent) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	if len(b) != 8 {
		return 0, fmt.Errorf("%s: %w: the epoch has %d bytes", s.dir.Path(writerName), disk.ErrDamaged, len(b))
	}
	return binary.LittleEndian.Uint64(b), nil
}

// acquire waits for lock 0 as long as ctx allows: another process holds it during an append.
func (s *Store) acquire(ctx context.Context) error {
	if err := disk.Lock(ctx, s.lock, 0); err != nil {
		return fmt.Errorf("lock log store: %w", err)
	}
	return nil
}
