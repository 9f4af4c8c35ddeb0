// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
)

// Kinds of item. What is carried is a row of items: kind (1 byte), length (4 bytes, big-endian), content.
const (
	itemHead   byte = 1 // canonical Bundle or Answer; the first item
	itemRecord byte = 2 // canonical Record
	itemCopy   byte = 3 // sealed copy; after all records
	itemEnd    byte = 4 // number of records (8 bytes, big-endian) and of copies (4); the last item
)

const (
	itemHeader = 5
	endSize    = 12
	maxRecord  = entry.MaxLeaf + entry.MaxBody + 64
	maxCopies  = 1 << 16
)

// Writer writes what is carried: a head, records, copies, end. It is not safe for concurrent use.
type Writer struct {
	w       io.Writer
	records uint64
	copies  uint32
	kind    byte // of the last item
}

// NewWriter begins with a head.
func NewWriter(w io.Writer, head []byte) (*Writer, error) {
	out := &Writer{w: w}
	return out, out.item(itemHead, head)
}

// Record adds an entry.
func (w *Writer) Record(r Record) error {
	if w.kind > itemRecord {
		return errors.New("offline: a record after a copy")
	}
	w.records++
	return w.item(itemRecord, canon.Encode(r))
}

// Copy adds a sealed copy.
func (w *Writer) Copy(sealed []byte) error {
	if len(sealed) == 0 || len(sealed) > MaxCopy || w.kind == itemEnd || w.copies == maxCopies {
		return fmt.Errorf("offline: a sealed copy of %d bytes, or too many, or after the end", len(sealed))
	}
	w.copies++
	return w.item(itemCopy, sealed)
}

// End says that this is all. The writer is not used any more.
func (w *Writer) End() error {
	b := binary.BigEndian.AppendUint64(nil, w.records)
	return w.item(itemEnd, binary.BigEndian.AppendUint32(b, w.copies))
}

func (w *Writer) item(kind byte, b []byte) error {
	w.kind = kind
	if _, err := w.w.Write(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(b)))); err != nil {
		return err
	}
	_, err := w.w.Write(b)
	return err
}

// Reader reads what a [Writer] wrote. It is not safe for concurrent use.
type Reader struct {
	r       io.Reader
	Head    []byte
	records uint64
	copies  uint32
	kind    byte
}

// NewReader reads the head.
func NewReader(r io.Reader) (*Reader, error) {
	in := &Reader{r: r}
	kind, b, err := in.item()
	if err != nil {
		return nil, err
	}
	if kind != itemHead {
		return nil, fmt.Errorf("%w: it does not begin with a head", ErrCourier)
	}
	in.Head = b
	return in, nil
}

// Next gives the next record or the next sealed copy, one of the two; neither at the end. What ends early is an error.
func (r *Reader) Next() (*Record, []byte, error) {
	if r.kind == itemEnd {
		return nil, nil, nil
	}
	was := r.kind
	kind, b, err := r.item()
	switch {
	case err != nil:
		return nil, nil, err
	case kind == itemRecord && was <= itemRecord:
		r.records++
		rec := &Record{}
		if err := canon.Decode(b, rec); err != nil {
			return nil, nil, fmt.Errorf("%w: record %d: %w", ErrCourier, r.records, err)
		}
		return rec, nil, nil
	case kind == itemCopy && was <= itemCopy && len(b) > 0 && r.copies < maxCopies:
		r.copies++
		return nil, b, nil
	case kind == itemEnd && binary.BigEndian.Uint64(b) == r.records && binary.BigEndian.Uint32(b[8:]) == r.copies:
		if n, err := r.r.Read(make([]byte, 1)); n != 0 || err == nil {
			return nil, nil, fmt.Errorf("%w: there is more after the end", ErrCourier)
		}
		return nil, nil, nil
	default:
		return nil, nil, fmt.Errorf("%w: an item of kind %d is not expected after %d records and %d copies", ErrCourier, kind, r.records, r.copies)
	}
}

func (r *Reader) item() (byte, []byte, error) {
	var h [itemHeader]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return 0, nil, fmt.Errorf("%w: it ends early: %w", ErrCourier, err)
	}
	n := binary.BigEndian.Uint32(h[1:])
	var most uint32
	switch h[0] {
	case itemHead:
		most = MaxHead
	case itemRecord:
		most = maxRecord
	case itemCopy:
		most = MaxCopy
	case itemEnd:
		most = endSize
	}
	if n > most || h[0] == itemEnd && n != endSize {
		return 0, nil, fmt.Errorf("%w: an item of kind %d with %d bytes", ErrCourier, h[0], n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r.r, b); err != nil {
		return 0, nil, fmt.Errorf("%w: it ends early: %w", ErrCourier, err)
	}
	r.kind = h[0]
	return h[0], b, nil
}
