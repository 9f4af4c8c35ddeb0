// SPDX-License-Identifier: Apache-2.0

package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"
	"sync"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
)

// indexEvery is how many records share one offset in memory: 10^7 records need 625 KB.
const indexEvery = 64

// readChunk is how much is read at once while looking for records, in bytes.
const readChunk = 1 << 20

const suffix = ".seg"

func segmentName(first uint64) string { return fmt.Sprintf("%020d%s", first, suffix) }

// parseName gives the first sequence number of a segment file.
func parseName(name string) (first uint64, ok bool) {
	digits, isSegment := strings.CutSuffix(name, suffix)
	first, err := strconv.ParseUint(digits, 10, 64)
	return first, isSegment && err == nil && segmentName(first) == name
}

// segment is one file: records first, first+1, …
type segment struct {
	dir   disk.Dir
	name  string
	first uint64

	mu    sync.Mutex // guards the rest
	file  disk.File  // opened when first needed
	index []uint32   // offset of record first + i·indexEvery
	count uint64     // records found so far
	end   int64      // offset after the last record found
	stop  string     // why no record is found at end
}

func newSegment(dir disk.Dir, first uint64) *segment {
	return &segment{dir: dir, name: segmentName(first), first: first}
}

// corrupt names record seq of this segment at an offset.
func (s *segment) corrupt(seq uint64, off int64, reason string) error {
	return &auditlog.CorruptError{Seq: seq, Where: s.place(off), Reason: reason}
}

func (s *segment) place(off int64) string {
	return fmt.Sprintf("%s at byte %d", s.dir.Path(s.name), off)
}

// open opens the file and checks its header. The caller holds mu.
func (s *segment) open() error {
	if s.file != nil {
		return nil
	}
	f, err := s.dir.Open(s.name, false)
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	h := make([]byte, fileHeader)
	n, err := f.ReadAt(h, 0)
	if err == nil || errors.Is(err, io.EOF) {
		if bad := checkHeader(h[:n], s.first); bad != nil {
			err = s.corrupt(s.first, 0, bad.Error())
		} else {
			err = nil
		}
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.end = f, fileHeader
	return nil
}

// find looks for records until there are want of them in all or no more follow. It never fails because a record is damaged: it stops
// before it, and stop says why.
func (s *segment) find(want uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count >= want {
		return nil
	}
	if err := s.open(); err != nil {
		return err
	}
	chunk, err := s.chunk()
	if err != nil {
		return err
	}
	var have []byte // unread part of what was read, at s.end
	read := s.end   // offset up to which was read
	for s.count < want {
		n, need, err := nextFrame(have, s.first+s.count)
		switch {
		case err == nil:
			s.note(n)
			have = have[n:]
			continue
		case !errors.Is(err, errShort):
			s.stop = err.Error()
			return nil
		}
		if need > len(chunk) {
			chunk = make([]byte, need+readChunk)
		}
		kept := copy(chunk, have)
		got, err := s.file.ReadAt(chunk[kept:], read)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("read segment %s: %w", s.dir.Path(s.name), err)
		}
		if got == 0 {
			s.stop = "the file ends here"
			return nil
		}
		read += int64(got)
		have = chunk[:kept+got]
	}
	s.stop = errEnd.Error()
	return nil
}

// chunk makes a buffer to go through the file with: readChunk bytes, or less for a small file.
func (s *segment) chunk() ([]byte, error) {
	size, err := s.file.Size()
	if err != nil {
		return nil, fmt.Errorf("read segment %s: %w", s.dir.Path(s.name), err)
	}
	return make([]byte, min(readChunk, max(size, fileHeader))), nil
}

// note enters a record of n bytes at the end. The caller holds mu.
func (s *segment) note(n int) {
	if s.count%indexEvery == 0 {
		s.index = append(s.index, uint32(s.end))
	}
	s.count++
	s.end += int64(n)
}

// extent gives the number of records found and the offset after them.
func (s *segment) extent() (count uint64, end int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count, s.end
}

// read gives records from on, up to most of them and about limit bytes; at least one, or a *auditlog.CorruptError.
func (s *segment) read(from uint64, most, limit int) ([]auditlog.Record, error) {
	s.mu.Lock()
	i := from - s.first
	if i >= s.count {
		defer s.mu.Unlock()
		return nil, s.corrupt(s.first+s.count, s.end, s.stop)
	}
	seq, off := s.first+i/indexEvery*indexEvery, int64(s.index[i/indexEvery])
	most = int(min(uint64(most), s.count-i))
	last, f := s.end, s.file
	s.mu.Unlock()
	if f == nil {
		return nil, fmt.Errorf("read segment %s: %w", s.dir.Path(s.name), fs.ErrClosed)
	}

	size := int64(readChunk)
	if most <= indexEvery {
		size /= 16
	}
	var out []auditlog.Record
	for total := 0; len(out) < most && total < limit; {
		want := min(size, last-off)
		chunk := make([]byte, want)
		got, err := f.ReadAt(chunk, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read segment %s: %w", s.dir.Path(s.name), err)
		}
		used, need := 0, 0
		for err = nil; len(out) < most && total < limit; seq++ {
			var n int
			var rec auditlog.Record
			if n, need, err = nextFrame(chunk[used:got], seq); err != nil {
				break
			}
			if seq >= from {
				if rec, err = parseFrame(chunk[used : used+n]); err != nil {
					break
				}
				out = append(out, rec)
				total += n
			}
			used += n
		}
		off += int64(used)
		switch {
		case err == nil:
		case errors.Is(err, errShort) && int64(got) == want && off+int64(need) <= last:
			size = max(size, int64(need)) // the rest of the frame was not read yet
		case len(out) > 0:
			return out, nil // the next call names it
		default:
			return nil, s.corrupt(seq, off, err.Error())
		}
	}
	return out, nil
}

// offset gives the place of record seq, which is found or the next one after those found.
func (s *segment) offset(seq uint64) (int64, error) {
	s.mu.Lock()
	i := seq - s.first
	if i == s.count {
		defer s.mu.Unlock()
		return s.end, nil
	}
	at, off := s.first+i/indexEvery*indexEvery, int64(s.index[i/indexEvery])
	f := s.file
	s.mu.Unlock()
	if f == nil {
		return 0, fs.ErrClosed
	}
	var h [frameHeader]byte
	for ; at < seq; at++ {
		if _, err := f.ReadAt(h[:], off); err != nil {
			return 0, fmt.Errorf("read segment %s: %w", s.dir.Path(s.name), err)
		}
		off += frameHeader + int64(binary.LittleEndian.Uint32(h[:]))
	}
	return off, nil
}

// cut forgets records from the i-th on, which begins at off.
func (s *segment) cut(i uint64, off int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count, s.end = i, off
	s.index = s.index[:(i+indexEvery-1)/indexEvery]
	s.stop = errEnd.Error()
}

// wipe overwrites what is not zero from off to the end of the file with zeros, and says whether there was anything.
func (s *segment) wipe(off int64) (bool, error) {
	size, err := s.file.Size()
	if err != nil {
		return false, err
	}
	chunk, err := s.chunk()
	if err != nil {
		return false, err
	}
	zeros := make([]byte, len(chunk))
	wiped := false
	for off < size {
		n, err := s.file.ReadAt(chunk[:min(int64(len(chunk)), size-off)], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return wiped, err
		}
		if n == 0 {
			break
		}
		if !bytes.Equal(chunk[:n], zeros[:n]) {
			if _, err := s.file.WriteAt(zeros[:n], off); err != nil {
				return wiped, err
			}
			wiped = true
		}
		off += int64(n)
	}
	return wiped, nil
}

func (s *segment) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
