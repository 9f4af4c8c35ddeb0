// SPDX-License-Identifier: Apache-2.0

package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"
)

// Errors of slots.
var (
	// ErrAbsent says that the file was never made.
	ErrAbsent = errors.New("file is absent")
	// ErrDamaged says that the file is there, but holds no value that can be believed.
	ErrDamaged = errors.New("file is damaged")
	// ErrMoved says that the file holds another value than this handle read or wrote last.
	ErrMoved = errors.New("value was changed by another process")
)

// slotHeader is the length of the header of a copy: CRC, length, generation.
const slotHeader = 16

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Slots is one small value in a preallocated file that a torn write can't lose: two slots, written in turn, each as two copies. The newest
// generation with a good copy is the value. The second copy is there because a damaged byte must not look like a torn write: with
// one copy a flipped bit in the newest slot would silently bring the older value back.
//
// The layout is specified in docs/spec/log-store.md, "Slot file". The caller holds a lock against other processes around Read and Write.
type Slots struct {
	dir    Dir
	name   string
	stride int64

	mu      sync.Mutex // guards the rest
	file    File       // nil until the file exists
	gen     uint64     // generation of the value last read or written; 0: none
	headers [4][slotHeader]byte
	dead    error // a write failed: the content is not known
	named   bool  // the file's name is durable
}

// OpenSlots prepares the file name in dir, which need not exist. Each copy takes stride bytes, of which 16 are header.
func OpenSlots(dir Dir, name string, stride int) (*Slots, error) {
	if stride < 512 || stride%512 != 0 {
		return nil, fmt.Errorf("slots %s: stride %d is not a multiple of 512", name, stride)
	}
	return &Slots{dir: dir, name: name, stride: int64(stride)}, nil
}

// Read gives the value, or ErrAbsent or ErrDamaged.
func (s *Slots) Read() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return nil, s.dead
	}
	if err := s.open(); err != nil {
		return nil, err
	}
	size, err := s.file.Size()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", s.dir.Path(s.name), err)
	}
	if size != 4*s.stride {
		return nil, fmt.Errorf("%s: %w: it has %d bytes, not %d", s.dir.Path(s.name), ErrDamaged, size, 4*s.stride)
	}
	all := make([]byte, size)
	if _, err := s.file.ReadAt(all, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", s.dir.Path(s.name), err)
	}
	var value []byte
	var best uint64
	for i := range 4 {
		c := all[int64(i)*s.stride : int64(i+1)*s.stride]
		copy(s.headers[i][:], c)
		gen, payload, ok := parseCopy(c)
		switch {
		case !ok || gen%2 != uint64(i/2):
			// torn or damaged: the other copy or the other slot counts
		case gen > best:
			best, value = gen, payload
		case gen == best && !bytes.Equal(value, payload):
			return nil, fmt.Errorf("%s: %w: two copies of generation %d differ", s.dir.Path(s.name), ErrDamaged, gen)
		}
	}
	if best == 0 {
		return nil, fmt.Errorf("%s: %w: no copy has a good checksum", s.dir.Path(s.name), ErrDamaged)
	}
	s.gen = best
	return value, nil
}

// Write replaces the value, durably when it returns nil. It is refused without effect with ErrMoved if the file is not as this
// handle read or wrote it last. After any other error the handle refuses to write or read: what is on disk is not known.
func (s *Slots) Write(value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead != nil {
		return s.dead
	}
	if int64(len(value)) > s.stride-slotHeader {
		return fmt.Errorf("%s: a value of %d bytes does not fit %d", s.dir.Path(s.name), len(value), s.stride-slotHeader)
	}
	err := s.write(value)
	if err != nil && !errors.Is(err, ErrMoved) {
		s.dead = fmt.Errorf("write %s: %w", s.dir.Path(s.name), err)
		return s.dead
	}
	return err
}

func (s *Slots) write(value []byte) error {
	switch err := s.open(); {
	case errors.Is(err, ErrAbsent):
		if s.gen != 0 {
			return ErrMoved // it was there
		}
		return s.create(value)
	case err != nil:
		return err
	case s.gen == 0:
		return ErrMoved // it is there, but this handle has not read a good value
	}
	for i := range 4 {
		var now [slotHeader]byte
		if _, err := s.file.ReadAt(now[:], int64(i)*s.stride); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if now != s.headers[i] {
			return ErrMoved
		}
	}
	if !s.named {
		// The process that made the file may have ended before its name was durable.
		if err := s.dir.Sync(); err != nil {
			return err
		}
		s.named = true
	}
	gen := s.gen + 1
	if err := s.put(s.file, gen, value); err != nil {
		return err
	}
	s.gen = gen
	return nil
}

// put writes both copies of a generation and flushes.
func (s *Slots) put(f File, gen uint64, value []byte) error {
	c := formatCopy(gen, value)
	first := 2 * int(gen%2)
	for _, i := range []int{first, first + 1} {
		if _, err := f.WriteAt(c, int64(i)*s.stride); err != nil {
			return err
		}
		copy(s.headers[i][:], c)
	}
	return f.Sync()
}

// create makes the file under another name, so that it is either absent or whole.
func (s *Slots) create(value []byte) error {
	temp := s.name + ".new"
	f, err := s.dir.Open(temp, true)
	if err != nil {
		return err
	}
	fill := func() error {
		if err := f.Truncate(0); err != nil {
			return err
		}
		// Zeros, not a reservation: later writes then change no metadata, and a flush is one write.
		if _, err := f.WriteAt(make([]byte, 4*s.stride), 0); err != nil {
			return err
		}
		if err := s.put(f, 1, value); err != nil {
			return err
		}
		if err := s.dir.Rename(temp, s.name); err != nil {
			return err
		}
		return s.dir.Sync()
	}
	if err := fill(); err != nil {
		return errors.Join(err, f.Close())
	}
	s.file, s.gen, s.named = f, 1, true
	return nil
}

func (s *Slots) open() error {
	if s.file != nil {
		return nil
	}
	f, err := s.dir.Open(s.name, false)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", s.dir.Path(s.name), ErrAbsent)
	}
	if err != nil {
		return err
	}
	s.file = f
	return nil
}

// Close closes the file.
func (s *Slots) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead == nil {
		s.dead = fs.ErrClosed
	}
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// formatCopy gives CRC32C of the rest, length, generation (all little-endian), value.
func formatCopy(gen uint64, value []byte) []byte {
	c := make([]byte, slotHeader, slotHeader+len(value))
	binary.LittleEndian.PutUint32(c[4:], uint32(len(value)))
	binary.LittleEndian.PutUint64(c[8:], gen)
	c = append(c, value...)
	binary.LittleEndian.PutUint32(c, crc32.Checksum(c[4:], castagnoli))
	return c
}

func parseCopy(c []byte) (gen uint64, value []byte, ok bool) {
	n := binary.LittleEndian.Uint32(c[4:])
	gen = binary.LittleEndian.Uint64(c[8:])
	if gen == 0 || uint64(n) > uint64(len(c)-slotHeader) {
		return 0, nil, false
	}
	end := slotHeader + int(n)
	if crc32.Checksum(c[4:end], castagnoli) != binary.LittleEndian.Uint32(c) {
		return 0, nil, false
	}
	return gen, c[slotHeader:end:end], true
}
