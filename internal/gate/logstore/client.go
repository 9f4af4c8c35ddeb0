// SPDX-License-Identifier: Apache-2.0

package logstore

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"strongroom/internal/gate"
	"strongroom/internal/pure/canon"
)

// Errors of a client.
var (
	// ErrTooLarge says that a batch is over [MaxBatch]. Nothing was sent.
	ErrTooLarge = errors.New("the batch is too large")
	// ErrUnknown says that it is not known whether a write happened: the answer was lost or made no sense.
	ErrUnknown = errors.New("it is not known whether the log store wrote")
	// ErrReply says that the log store answered a read with what can't be an answer.
	ErrReply = errors.New("the log store's answer makes no sense")
)

// DamagedError says that a record is there but can't be read as it was written.
type DamagedError struct{ Reason string }

// Error gives the reason.
func (e *DamagedError) Error() string { return "the log store reports a damaged record: " + e.Reason }

// Client is a handle on a log behind a socket. Its methods are safe for concurrent use; writes are ordered by the other side. It dials again
// when the connection is gone, but its handle ends with the process at the other end: writes fail then, reads go on.
type Client struct {
	door   *gate.Redialer
	handle Handle
	place  string
}

// maxText bounds what the other side says in words, in bytes.
const maxText = 512

func clip(s string) string { return s[:min(len(s), maxText)] }

// Dial connects to the socket of a log store process and asks for a handle.
func Dial(ctx context.Context, socket string) (*Client, error) {
	c := &Client{door: gate.NewRedialer(socket)}
	o, err := gate.Call[Open, Opened](ctx, c.door, MethodOpen, Open{})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log store: %w", err), c.door.Close())
	}
	c.handle, c.place = o.Handle, clip(o.Place)
	return c, nil
}

// Place names for people where the log is kept, as the other side says.
func (c *Client) Place() string { return c.place }

// Head gives the number of records and the epoch.
func (c *Client) Head(ctx context.Context) (Head, error) {
	return read[HeadOf, Head](ctx, c, MethodHead, HeadOf{})
}

// Read gives records from on, at least one below the size and max at most. A *[DamagedError] is about record from.
func (c *Client) Read(ctx context.Context, from uint64, max int) ([]Record, error) {
	if max <= 0 {
		return nil, nil
	}
	p, err := read[Read, Page](ctx, c, MethodRead, Read{From: from, Max: uint64(max)})
	switch {
	case err != nil:
		return nil, err
	case p.Damaged != "":
		return nil, &DamagedError{clip(p.Damaged)}
	case len(p.Records) > max:
		return nil, fmt.Errorf("%w: %d records, %d were asked for", ErrReply, len(p.Records), max)
	case p.Large == 0:
		return p.Records, nil
	}
	return c.large(ctx, from)
}

// tries is how often a large record is read anew because it was replaced between two parts.
const tries = 5

// large reads one record that does not fit into a message.
func (c *Client) large(ctx context.Context, seq uint64) ([]Record, error) {
	for range tries {
		recs, err := c.parts(ctx, seq)
		if !errors.Is(err, errReplaced) {
			return recs, err
		}
	}
	return nil, fmt.Errorf("%w: record %d changes while it is read", ErrReply, seq)
}

var errReplaced = errors.New("the record was replaced while it was read")

func (c *Client) parts(ctx context.Context, seq uint64) ([]Record, error) {
	var have []byte
	var first Part
	for {
		p, err := read[ReadPart, Part](ctx, c, MethodPart, ReadPart{Seq: seq, Offset: uint64(len(have))})
		if err != nil {
			return nil, err
		}
		if len(have) == 0 {
			first = p
		}
		switch {
		case p.Total != first.Total || p.Sum != first.Sum:
			return nil, errReplaced
		case p.Total == 0:
			return nil, nil
		case p.Total > MaxBatch || len(p.Bytes) == 0 || uint64(len(have)+len(p.Bytes)) > p.Total:
			return nil, fmt.Errorf("%w: %d of %d bytes at %d", ErrReply, len(p.Bytes), p.Total, len(have))
		}
		if have = append(have, p.Bytes...); uint64(len(have)) == p.Total {
			break
		}
	}
	if sha256.Sum256(have) != first.Sum {
		return nil, fmt.Errorf("%w: the parts of record %d do not add up", ErrReply, seq)
	}
	var r Record
	if err := canon.DecodeLarge(have, &r); err != nil {
		return nil, fmt.Errorf("%w: record %d: %w", ErrReply, seq, err)
	}
	return []Record{r}, nil
}

// Append adds records in one transaction. An error is [ErrTooLarge], or [ErrUnknown] for anything after which they may be stored.
func (c *Client) Append(ctx context.Context, writer, first uint64, recs []Record) (Result, error) {
	b := canon.Encode(Batch{recs})
	if len(b) > MaxBatch {
		return Result{}, fmt.Errorf("%w: %d records, %d bytes encoded, %d at most", ErrTooLarge, len(recs), len(b), MaxBatch)
	}
	staged := 0
	for len(b)-staged > PartSize {
		r, err := write(ctx, c, MethodStage, Stage{Handle: c.handle, Offset: uint64(staged), Bytes: b[staged : staged+PartSize]})
		if err != nil || r.Outcome != Done {
			return r, err
		}
		staged += PartSize
	}
	return write(ctx, c, MethodAppend, Append{Handle: c.handle, Writer: writer, First: first, Staged: uint64(staged), Bytes: b[staged:]})
}

// Truncate drops records from size on. Errors are [ErrUnknown].
func (c *Client) Truncate(ctx context.Context, writer, size uint64) (Result, error) {
	return write(ctx, c, MethodTruncate, Truncate{Handle: c.handle, Writer: writer, Size: size})
}

// TakeWriter makes to the epoch if from is. Errors are [ErrUnknown].
func (c *Client) TakeWriter(ctx context.Context, from, to uint64) (Result, error) {
	return write(ctx, c, MethodTake, Take{Handle: c.handle, From: from, To: to})
}

// Close gives the handle back, as far as the other side still hears it, and ends the connection.
func (c *Client) Close(ctx context.Context) error {
	_, err := write(ctx, c, MethodClose, Close{Handle: c.handle})
	return errors.Join(err, c.door.Close())
}

// read makes a call that changes nothing, and makes it again if the answer was lost with the connection.
func read[Req, Rep any](ctx context.Context, c *Client, method string, req Req) (Rep, error) {
	rep, err := gate.Call[Req, Rep](ctx, c.door, method, req)
	if closed, ok := errors.AsType[*gate.ClosedError](err); ok && closed.Sent {
		rep, err = gate.Call[Req, Rep](ctx, c.door, method, req)
	}
	if err != nil {
		return rep, fmt.Errorf("log store: %w", err)
	}
	return rep, nil
}

// write makes a call that may have an effect, once.
func write[Req any](ctx context.Context, c *Client, method string, req Req) (Result, error) {
	r, err := gate.Call[Req, Result](ctx, c.door, method, req)
	if err == nil && (r.Outcome < Done || r.Outcome > HeadMoved) {
		err = fmt.Errorf("outcome %d is unknown", r.Outcome)
	}
	if err != nil {
		return Result{}, fmt.Errorf("%w: %s: %w", ErrUnknown, method, err)
	}
	r.Detail = clip(r.Detail)
	return r, nil
}
