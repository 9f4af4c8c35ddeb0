// SPDX-License-Identifier: Apache-2.0

// Package coldtalk is what the core of an offline domain and the program of its operators say to each other through two pipes while a bundle
// is worked on: the core asks which permits are wanted and for signatures, the other one has the operators' keys. What is asked for, the core
// itself has shown on the terminal before. Each message is its length (4 bytes, big-endian) and canonical CBOR.
//
// It refuses messages that are too long or not canonical. docs/spec/cold.md.
package coldtalk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/offline"
)

// maxMessage is the longest message, in bytes.
const maxMessage = 1 << 20

// Question is what the core asks: which of some permits are wanted; with a statement, for the operators' signatures; with an incarnation, whether
// the operators take it that the authority's log was re-anchored so; with a number of entries, whether they take it that the domain was set back
// and gets that many of its own entries back.
type Question struct {
	Permits     []uint64 `cbor:"1,keyasint,omitempty"` // entries in the authority's log, of what was shown
	Statement   []byte   `cbor:"2,keyasint,omitempty"` // canonical offline.Confirmation
	Incarnation uint64   `cbor:"3,keyasint,omitempty"`
	SetBack     uint64   `cbor:"4,keyasint,omitempty"` // entries of its own log that the online domain knows
}

// Reply answers a question.
type Reply struct {
	Permits    []uint64            `cbor:"1,keyasint,omitempty"` // those that are wanted
	Signatures []offline.Signature `cbor:"2,keyasint,omitempty"`
	Refused    string              `cbor:"3,keyasint,omitempty"` // why there is no answer
	Nobody     bool                `cbor:"4,keyasint,omitempty"` // no operators are there
	Agreed     uint64              `cbor:"5,keyasint,omitempty"` // incarnation, or number of entries, that the operators take
}

// Ask sends a question and reads the reply.
func Ask(w io.Writer, r io.Reader, q Question) (Reply, error) {
	var out Reply
	if err := send(w, q); err != nil {
		return out, err
	}
	if err := receive(r, &out); err != nil {
		return out, fmt.Errorf("the operators' program does not answer: %w", err)
	}
	if out.Refused != "" {
		return out, errors.New(out.Refused)
	}
	return out, nil
}

// Serve answers questions until the other end closes.
func Serve(w io.Writer, r io.Reader, answer func(Question) (Reply, error)) error {
	for {
		var q Question
		if err := receive(r, &q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		a, err := answer(q)
		if err != nil {
			a = Reply{Refused: err.Error()}
		}
		if err := send(w, a); err != nil {
			return err
		}
	}
}

func send(w io.Writer, v any) error {
	b := canon.Encode(v)
	if len(b) > maxMessage {
		return fmt.Errorf("a message of %d bytes", len(b))
	}
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func receive(r io.Reader, v any) error {
	var h [4]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(h[:])
	if n > maxMessage {
		return fmt.Errorf("a message of %d bytes", n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return err
	}
	return canon.Decode(b, v)
}
