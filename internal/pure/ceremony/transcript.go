// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// ErrTranscript is wrapped by every error about a transcript that does not hold.
var ErrTranscript = errors.New("ceremony transcript")

// Limits of a transcript.
const (
	MaxTranscript = 4 << 20 // bytes of the file
	MaxRecords    = 1024
	MaxBody       = 256 << 10 // bytes of a record's body
)

// Record is one step that was done. Its hash is the chain.
type Record struct {
	Seq   uint64           `cbor:"1,keyasint"` // from 0
	Prev  [32]byte         `cbor:"2,keyasint"` // hash of the record before; of the first, the hash of the script
	Kind  StepKind         `cbor:"3,keyasint"`
	Actor string           `cbor:"4,keyasint"`
	Time  int64            `cbor:"5,keyasint"`           // Unix nanoseconds; never less than the record before
	Body  []byte           `cbor:"6,keyasint"`           // canonical encoding of the kind's type
	Sig   custody.HexBytes `cbor:"7,keyasint,omitempty"` // of the actor over [Record.Message]; the core's records have none, the closing signatures cover them
}

// Message is what the actor signs.
func (r Record) Message() []byte {
	r.Sig = nil
	return canon.Message(canon.TagRecord, r)
}

// Hash names the record, its signature included.
func (r Record) Hash() [32]byte { return canon.Hash(canon.TagRecord, r) }

// Closing is a participant's signature over the whole: that they saw it happen so.
type Closing struct {
	Name string           `cbor:"1,keyasint"`
	Sig  custody.HexBytes `cbor:"2,keyasint"` // over [Transcript.Message]
}

// Transcript is what a ceremony leaves behind for everybody.
type Transcript struct {
	V        uint      `cbor:"1,keyasint"` // 1
	Script   Script    `cbor:"2,keyasint"`
	Records  []Record  `cbor:"3,keyasint"`
	Closings []Closing `cbor:"4,keyasint"` // one of each participant, in the order of the script; none while the ceremony goes on
}

// Head is the hash of the last record, or of the script before the first.
func (t Transcript) Head() [32]byte {
	if len(t.Records) == 0 {
		return t.Script.Hash()
	}
	return t.Records[len(t.Records)-1].Hash()
}

// closing is what a participant signs at the end.
type closing struct {
	Script [32]byte `cbor:"1,keyasint"`
	Head   [32]byte `cbor:"2,keyasint"`
	Count  uint64   `cbor:"3,keyasint"`
	Name   string   `cbor:"4,keyasint"`
}

// Message is what a participant signs at the end.
func (t Transcript) Message(name string) []byte {
	return canon.Message(canon.TagClose, closing{t.Script.Hash(), t.Head(), uint64(len(t.Records)), name})
}

// Encode gives the file.
func (t Transcript) Encode() []byte { return canon.Encode(t) }

// Decode reads a file, strictly, and checks it as far as it goes: complete or not.
func Decode(b []byte) (Transcript, error) {
	var t Transcript
	if len(b) > MaxTranscript {
		return t, fmt.Errorf("%w: %d bytes, more than %d", ErrTranscript, len(b), MaxTranscript)
	}
	if err := canon.Decode(b, &t); err != nil {
		return t, fmt.Errorf("%w: %w", ErrTranscript, err)
	}
	return t, t.Check()
}

// Open begins the transcript of a script.
func Open(s Script) (Transcript, error) {
	if err := s.Check(); err != nil {
		return Transcript{}, err
	}
	return Transcript{V: 1, Script: s}, nil
}

// Next gives the step that comes next, or false when all are done. It counts the records that are no notes.
func (t Transcript) Next() (Step, bool) {
	done := 0
	for _, r := range t.Records {
		if r.Kind != StepNote {
			done++
		}
	}
	if steps := t.Script.Steps(); done < len(steps) {
		return steps[done], true
	}
	return Step{}, false
}

// Draft makes the record of a step without its signature. The caller signs [Record.Message] with the actor's key, unless it is the core's.
func (t Transcript) Draft(s Step, at int64, body any) Record {
	if n := len(t.Records); n > 0 {
		at = max(at, t.Records[n-1].Time)
	}
	return Record{Seq: uint64(len(t.Records)), Prev: t.Head(), Kind: s.Kind, Actor: s.Actor, Time: at, Body: canon.Encode(body)}
}

// Add appends a record that [Transcript.Draft] made and its actor signed. What does not fit is refused, and the transcript stays.
func (t *Transcript) Add(r Record) error {
	if len(t.Closings) > 0 {
		return fmt.Errorf("%w: it is closed", ErrTranscript)
	}
	if err := t.fits(len(t.Records), r); err != nil {
		return err
	}
	next := Transcript{V: t.V, Script: t.Script, Records: append(t.Records[:len(t.Records):len(t.Records)], r)}
	if err := next.sound(len(t.Records)); err != nil {
		return fmt.Errorf("%w: record %d (%s/%s): %w", ErrTranscript, r.Seq, r.Kind, r.Actor, err)
	}
	*t = next
	return nil
}

// Close adds the closing signatures, one of each participant, in order.
func (t *Transcript) Close(list []Closing) error {
	next := *t
	next.Closings = list
	if err := next.Complete(); err != nil {
		return err
	}
	*t = next
	return nil
}

// Check checks all that is there: script, chain, order of the steps, signatures, and that what the records say fits together.
func (t Transcript) Check() error {
	if t.V != 1 {
		return fmt.Errorf("%w: version %d is not known; this version reads 1", ErrTranscript, t.V)
	}
	if err := t.Script.Check(); err != nil {
		return err
	}
	if len(t.Records) > MaxRecords {
		return fmt.Errorf("%w: %d records, more than %d", ErrTranscript, len(t.Records), MaxRecords)
	}
	for i := range t.Records {
		upTo := Transcript{V: 1, Script: t.Script, Records: t.Records[:i]}
		if err := upTo.fits(i, t.Records[i]); err != nil {
			return err
		}
		upTo.Records = t.Records[:i+1]
		if err := upTo.sound(i); err != nil {
			return fmt.Errorf("%w: record %d (%s/%s): %w", ErrTranscript, i, t.Records[i].Kind, t.Records[i].Actor, err)
		}
	}
	if len(t.Closings) > 0 {
		return t.closed()
	}
	return nil
}

// Complete is [Transcript.Check] of a ceremony that is over: every step done, and everybody has signed.
func (t Transcript) Complete() error {
	if err := t.Check(); err != nil {
		return err
	}
	if next, more := t.Next(); more {
		return fmt.Errorf("%w: it ends before step %s", ErrTranscript, next.ID())
	}
	return t.closed()
}

func (t Transcript) closed() error {
	if next, more := t.Next(); more {
		return fmt.Errorf("%w: it is signed, and ends before step %s", ErrTranscript, next.ID())
	}
	if len(t.Closings) != len(t.Script.Participants) {
		return fmt.Errorf("%w: %d closing signatures of %d participants", ErrTranscript, len(t.Closings), len(t.Script.Participants))
	}
	for i, p := range t.Script.Participants {
		if c := t.Closings[i]; c.Name != p.Name || !p.Key.Verify(t.Message(p.Name), c.Sig) {
			return fmt.Errorf("%w: the closing signature of %s does not verify", ErrTranscript, p.Name)
		}
	}
	return nil
}

// fits says whether r may come as record i: its place in the chain, its step, its actor's signature.
func (t Transcript) fits(i int, r Record) error {
	fail := func(format string, args ...any) error {
		return fmt.Errorf("%w: record %d (%s/%s): %w", ErrTranscript, i, r.Kind, r.Actor, fmt.Errorf(format, args...))
	}
	if r.Seq != uint64(i) || i >= MaxRecords || len(r.Body) > MaxBody {
		return fail("it is numbered %d, or there are too many, or it is too long", r.Seq)
	}
	if r.Prev != t.Head() {
		return fail("it does not follow the record before: something was altered, added or left out")
	}
	if r.Time < 0 || i > 0 && r.Time < t.Records[i-1].Time {
		return fail("its time is before that of the record before")
	}
	if r.Kind == StepNote {
		if p, ok := t.Script.Participant(r.Actor); !ok || p.Role != Witness && p.Role != Auditor {
			return fail("only witnesses and auditors write notes")
		}
	} else if next, more := t.Next(); !more || next.Kind != r.Kind || next.Actor != r.Actor {
		return fail("the script has another step here: %s", next.ID())
	}
	if r.Actor == CoreActor {
		if len(r.Sig) != 0 {
			return fail("the core signs no records")
		}
		return nil
	}
	if p, ok := t.Script.Participant(r.Actor); !ok || !p.Key.Verify(r.Message(), r.Sig) {
		return fail("the signature of %s does not verify", r.Actor)
	}
	return nil
}
