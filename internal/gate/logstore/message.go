// SPDX-License-Identifier: Apache-2.0

// Package logstore is what crosses the door between a core and the keyless process that keeps its log elsewhere, `strongroom logstore`: one
// request and one reply a method, in canonical CBOR, and the core's side of it. docs/spec/log-store-process.md lists the methods.
//
// Nothing that the other side says is trusted for integrity: the log compares what it reads with its pin. This package bounds sizes and
// refuses replies of another shape, no more. It repeats reads whose answer was lost, and never a write.
package logstore

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
)

// The methods.
const (
	MethodOpen     = "log.open"     // [Open] → [Opened]
	MethodHead     = "log.head"     // [HeadOf] → [Head]
	MethodRead     = "log.read"     // [Read] → [Page]
	MethodPart     = "log.part"     // [ReadPart] → [Part]
	MethodStage    = "log.stage"    // [Stage] → [Result]
	MethodAppend   = "log.append"   // [Append] → [Result]
	MethodTruncate = "log.truncate" // [Truncate] → [Result]
	MethodTake     = "log.take"     // [Take] → [Result]
	MethodClose    = "log.close"    // [Close] → [Result]
)

// Limits. A frame of the door holds less than a batch or a large record, so those go in parts.
const (
	PartSize  = 8 << 20  // bytes of a batch or record in one message
	MaxBatch  = 64 << 20 // bytes of an encoded batch; one record of 40 MiB fits
	PageBytes = 4 << 20  // about how many bytes of records a page holds
	MaxPage   = 8192     // records of a page
)

// Handle names the use of a log by one core: its writes are fenced against those of other handles. It is random and no secret.
type Handle [16]byte

// Record is an entry as it is kept: a leaf and its bodies, opaque here.
type Record struct {
	Leaf   []byte   `cbor:"1,keyasint"`
	Bodies [][]byte `cbor:"2,keyasint"`
}

// Batch is what an append carries, in its canonical encoding and in parts.
type Batch struct {
	Records []Record `cbor:"1,keyasint"`
}

// ErrBatch says that the bytes of an append are no batch.
var ErrBatch = errors.New("the bytes are no batch of records")

// DecodeBatch reads an encoded batch of at most MaxBatch bytes.
func DecodeBatch(b []byte) (Batch, error) {
	var batch Batch
	if len(b) > MaxBatch {
		return Batch{}, fmt.Errorf("%w: %d bytes, more than %d", ErrBatch, len(b), MaxBatch)
	}
	if err := canon.DecodeLarge(b, &batch); err != nil {
		return Batch{}, fmt.Errorf("%w: %w", ErrBatch, err)
	}
	return batch, nil
}

// Open asks for a handle.
type Open struct{}

// Opened is a new handle. Place names for people where the log is kept.
type Opened struct {
	Handle Handle `cbor:"1,keyasint"`
	Place  string `cbor:"2,keyasint"`
}

// HeadOf asks for the head.
type HeadOf struct{}

// Head is the number of records and the current epoch.
type Head struct {
	Size   uint64 `cbor:"1,keyasint"`
	Writer uint64 `cbor:"2,keyasint"`
}

// Read asks for records From, From+1, …, Max at most.
type Read struct {
	From uint64 `cbor:"1,keyasint"`
	Max  uint64 `cbor:"2,keyasint"`
}

// Page is a run of records. It is empty at or beyond the end, or with Large, the length of the encoding of record From when that record does
// not fit into a message, or with Damaged, what is wrong with record From.
type Page struct {
	Records []Record `cbor:"1,keyasint"`
	Large   uint64   `cbor:"2,keyasint,omitempty"`
	Damaged string   `cbor:"3,keyasint,omitempty"`
}

// ReadPart asks for bytes of the encoding of one record, PartSize at most.
type ReadPart struct {
	Seq    uint64 `cbor:"1,keyasint"`
	Offset uint64 `cbor:"2,keyasint"`
}

// Part is the reply. Total and Sum are the same in all parts of a record, unless it was replaced meanwhile: then the reader begins again.
// All are zero if the record is not there.
type Part struct {
	Bytes []byte   `cbor:"1,keyasint"`
	Total uint64   `cbor:"2,keyasint"` // bytes of the encoding
	Sum   [32]byte `cbor:"3,keyasint"` // its SHA-256
}

// Stage hands over a part of a batch that an Append will complete. Offset 0 begins a new one; any other must be what is staged already.
type Stage struct {
	Handle Handle `cbor:"1,keyasint"`
	Offset uint64 `cbor:"2,keyasint"`
	Bytes  []byte `cbor:"3,keyasint"`
}

// Append adds a batch as records First, First+1, … in one transaction: what is staged, which must be Staged bytes long, and Bytes after it.
type Append struct {
	Handle Handle `cbor:"1,keyasint"`
	Writer uint64 `cbor:"2,keyasint"`
	First  uint64 `cbor:"3,keyasint"`
	Staged uint64 `cbor:"4,keyasint,omitempty"`
	Bytes  []byte `cbor:"5,keyasint"`
}

// Truncate drops the records from Size on.
type Truncate struct {
	Handle Handle `cbor:"1,keyasint"`
	Writer uint64 `cbor:"2,keyasint"`
	Size   uint64 `cbor:"3,keyasint"`
}

// Take makes To the epoch if From is.
type Take struct {
	Handle Handle `cbor:"1,keyasint"`
	From   uint64 `cbor:"2,keyasint"`
	To     uint64 `cbor:"3,keyasint"`
}

// Close gives a handle back.
type Close struct {
	Handle Handle `cbor:"1,keyasint"`
}

// Outcome is what became of a write. Anything but Done had no effect; what is not known is a failure, not an outcome. Wire format.
type Outcome uint8

// The outcomes.
const (
	Done       Outcome = 1 // durable
	LostWriter Outcome = 2 // the epoch is another one, or another handle writes with it
	HeadMoved  Outcome = 3 // the head is not where the writer believes
)

// Result is an outcome with its reason.
type Result struct {
	Outcome Outcome `cbor:"1,keyasint"`
	Detail  string  `cbor:"2,keyasint,omitempty"`
}

// Refused makes a result that had no effect.
func Refused(o Outcome, format string, args ...any) Result {
	return Result{Outcome: o, Detail: fmt.Sprintf(format, args...)}
}
