// SPDX-License-Identifier: Apache-2.0

// Package witness is the protocol between a log and a log witness, C2SP tlog-witness: the request and the answers of add-checkpoint in their
// wire form, and the witness's judgement. It has no I/O, so that the witness program, the log's side and the tests share it.
//
// It refuses requests and answers that are not spelt in the one way the protocol has. sign-subtree, which is optional, is not here.
package witness

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"strongroom/internal/pure/tlog"
)

// MaxProof is the most lines of a consistency proof.
const MaxProof = 63

// MaxRequest is the longest request, in bytes: the first line, the proof and a checkpoint with its signatures.
const MaxRequest = 32 + MaxProof*45 + 1 + MaxNote

// MaxNote is the longest checkpoint that a witness takes, in bytes with its signature lines. It is a limit of our own: the log's signature, some
// of other keys, extension lines. A witness keeps the checkpoint in its state.
const MaxNote = 8 << 10

// Types of answers (HTTP content types).
const (
	TypeSize = "text/x.tlog.size" // of a 409: the size that the witness knows
	TypeText = "text/plain; charset=utf-8"
)

// Status codes of answers to add-checkpoint.
const (
	StatusCosigned      = 200
	StatusMalformed     = 400 // the request can't be read, or the old size is above the checkpoint's
	StatusUnsigned      = 403 // no trusted key of the log signed the checkpoint, or a signature of one is false
	StatusUnknownLog    = 404
	StatusConflict      = 409 // the old size is not that of the witness; the body says which is
	StatusInconsistent  = 422 // the proof does not hold, or the root is another
	StatusWitnessFailed = 500 // ours: the witness can't keep its state
)

// Errors of what can't be read.
var (
	ErrRequest = errors.New("malformed request to a log witness")
	ErrAnswer  = errors.New("malformed answer of a log witness")
)

// Request asks a witness to cosign a checkpoint.
type Request struct {
	Old        uint64     // size that the witness is believed to know
	Proof      [][32]byte // RFC 6962 consistency proof from Old to the checkpoint's size; none from 0 and to the same size
	Checkpoint []byte     // signed checkpoint
}

// Encode gives the wire form.
func (r Request) Encode() []byte {
	b := strconv.AppendUint([]byte("old "), r.Old, 10)
	b = append(b, '\n')
	for _, h := range r.Proof {
		b = append(base64.StdEncoding.AppendEncode(b, h[:]), '\n')
	}
	b = append(b, '\n')
	return append(b, r.Checkpoint...)
}

// ParseRequest reads the wire form. The checkpoint is not read here: a signed note, which may be by anybody.
func ParseRequest(b []byte) (Request, error) {
	if len(b) > MaxRequest {
		return Request{}, fmt.Errorf("%w: %d bytes, more than %d", ErrRequest, len(b), MaxRequest)
	}
	head, checkpoint, ok := bytes.Cut(b, []byte("\n\n"))
	if !ok {
		return Request{}, fmt.Errorf("%w: no empty line before a checkpoint", ErrRequest)
	}
	if len(checkpoint) > MaxNote {
		return Request{}, fmt.Errorf("%w: a checkpoint of %d bytes, more than %d", ErrRequest, len(checkpoint), MaxNote)
	}
	lines := strings.Split(string(head), "\n")
	number, ok := strings.CutPrefix(lines[0], "old ")
	old, err := parseSize(number)
	if !ok || err != nil {
		return Request{}, fmt.Errorf("%w: the first line is no \"old\" and a size", ErrRequest)
	}
	if len(lines)-1 > MaxProof {
		return Request{}, fmt.Errorf("%w: a proof of %d lines, more than %d", ErrRequest, len(lines)-1, MaxProof)
	}
	r := Request{Old: old, Checkpoint: checkpoint}
	for _, l := range lines[1:] {
		h, err := base64.StdEncoding.Strict().DecodeString(l)
		if err != nil || len(h) != tlog.HashSize || base64.StdEncoding.EncodeToString(h) != l {
			return Request{}, fmt.Errorf("%w: a line of the proof is no hash in base64", ErrRequest)
		}
		r.Proof = append(r.Proof, [32]byte(h))
	}
	return r, nil
}

// parseSize reads a size in decimal without leading zeros.
func parseSize(s string) (uint64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || strconv.FormatUint(n, 10) != s {
		return 0, errors.New("not a size")
	}
	return n, nil
}

// EncodeSize gives the body of a 409.
func EncodeSize(n uint64) []byte { return append(strconv.AppendUint(nil, n, 10), '\n') }

// ParseSize reads the body of a 409.
func ParseSize(b []byte) (uint64, error) {
	s, ok := bytes.CutSuffix(b, []byte("\n"))
	n, err := parseSize(string(s))
	if !ok || err != nil || n > tlog.MaxSize {
		return 0, fmt.Errorf("%w: no size on a line", ErrAnswer)
	}
	return n, nil
}
