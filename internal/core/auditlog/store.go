// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
	"fmt"

	"strongroom/internal/pure/tlog"
)

// Limits of a record. Leaves go into entry bundles, whose lengths have 16 bits; a record is read and written whole.
const (
	MaxLeaf   = tlog.MaxLeaf // bytes
	MaxBodies = 64
	MaxRecord = 40 << 20 // bytes: leaf and bodies together
)

// Errors that callers branch on.
var (
	// ErrLostWriter says that another epoch, or another process with this epoch, writes to the store. The process must end.
	ErrLostWriter = errors.New("another writer has taken over the log")
	// ErrInUse says that another live process writes to the store with this epoch. It comes with ErrLostWriter.
	ErrInUse = errors.New("another process writes to the log")
	// ErrHeadMoved says that an append was for another sequence number than the next one.
	ErrHeadMoved = errors.New("the log's head is not where the writer left it")
	// ErrFatal says that a write or flush failed, so that what is on disk is not known. The store refuses everything afterwards:
	// after a failed flush the kernel may have dropped the data and call the next flush a success. The process must end.
	ErrFatal = errors.New("a write to the log failed; the process must end and read the log again")
	// ErrTooLarge says that a record is over the limits above.
	ErrTooLarge = errors.New("record is too large")
)

// Record is an entry of the log: the leaf, which goes into the tree, and the bodies, to which the leaf commits. All are opaque here.
// A record is not changed after it was handed over.
type Record struct {
	Leaf   []byte
	Bodies [][]byte
}

// Size is the number of content bytes of r.
func (r Record) Size() int {
	n := len(r.Leaf)
	for _, b := range r.Bodies {
		n += len(b)
	}
	return n
}

// Check says whether r is within the limits.
func (r Record) Check() error {
	if len(r.Leaf) > MaxLeaf || len(r.Bodies) > MaxBodies || r.Size() > MaxRecord {
		return fmt.Errorf("%w: leaf of %d bytes, %d bodies, %d bytes; at most %d, %d and %d", ErrTooLarge,
			len(r.Leaf), len(r.Bodies), r.Size(), MaxLeaf, MaxBodies, MaxRecord)
	}
	return nil
}

// Store keeps records by sequence number, 0, 1, 2, … without gaps, for one writer at a time. It is not trusted: the [Log] compares all
// that it reads with the pin.
//
// Writers are fenced by an epoch, a number that only grows. It is 0 in a new store, where nobody may write. A store with several
// handles (other processes, other machines) applies the rules below across all of them.
//
// Methods may be called concurrently, and each sees the effect of calls that returned before. A cancelled ctx makes a call return early
// with ctx's error only while it has had no effect.
type Store interface {
	// Head gives the number of records and the current epoch. It may count records that are not yet, or never will be, acknowledged.
	Head(ctx context.Context) (size, writer uint64, err error)

	// Append adds recs as records first, first+1, …: all are durable when it returns nil. It is refused without effect with
	// ErrLostWriter if writer is not the current epoch or is 0, with ErrHeadMoved if first is not the size, with ErrTooLarge if a record is
	// over the limits. After any other error it is not known how many of recs are stored; those that are form a beginning of
	// recs, and this handle refuses to write until it is opened again (ErrFatal).
	Append(ctx context.Context, writer, first uint64, recs []Record) error

	// Read gives records from, from+1, …: at least one if from is below the size, at most max, and fewer as the store likes. At or beyond
	// the size it gives none and no error. A record that is there but can't be read as it was written is a *CorruptError that
	// names it; those before it are given by a Read that asks for them alone.
	Read(ctx context.Context, from uint64, max int) ([]Record, error)

	// Truncate drops the records size, size+1, …, durably, and is refused without effect like Append, with ErrHeadMoved if there are fewer
	// than size records. Only Log calls it, for records that were never acknowledged.
	Truncate(ctx context.Context, writer, size uint64) error

	// TakeWriter makes to the current epoch if from is, durably; else ErrLostWriter. to must be greater than from. When it returns
	// nil, no Append or Truncate of an older epoch has an effect any more.
	TakeWriter(ctx context.Context, from, to uint64) error

	// Where names the place of a record for people: file and offset, table and row. It works for records that are missing or damaged.
	Where(seq uint64) string

	// Close ends the use of this handle; later calls fail.
	Close() error
}

// CorruptError says that an entry is not what was written: damaged, missing between others, or not leading to the pin.
type CorruptError struct {
	Seq    uint64 // the entry
	Where  string // where the store keeps it
	Reason string // what is wrong
	Err    error  // cause, or nil
}

// Error names the entry, the place and what is wrong.
func (e *CorruptError) Error() string {
	s := fmt.Sprintf("entry %d is damaged (%s): %s", e.Seq, e.Where, e.Reason)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *CorruptError) Unwrap() error { return e.Err }

// BehindError says that the store has fewer entries than were acknowledged: it was cut, or replaced by an older copy.
type BehindError struct {
	Have   uint64 // entries in the store; entry Have is the first that is missing
	Pinned uint64 // entries that the pin says exist
	Where  string // where entry Have should be
}

// Error names the first missing entry and its place.
func (e *BehindError) Error() string {
	return fmt.Sprintf("the log ends before entry %d (%s), but %d entries were acknowledged: restore the missing bytes, or see the runbook on re-anchoring",
		e.Have, e.Where, e.Pinned)
}
