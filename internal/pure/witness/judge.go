// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"strings"

	"strongroom/internal/pure/tlog"
)

// Record is what a witness remembers of a log: the latest checkpoint that it cosigned. The zero Record is of a log that it never saw.
type Record struct {
	Size uint64
	Root [32]byte // none where Size is 0
}

// RefusedError is a refusal as the protocol has it.
type RefusedError struct {
	Status int    // of HTTP
	Reason string // for people
	Size   uint64 // with StatusConflict: what the witness knows
}

// Error says why.
func (e *RefusedError) Error() string { return e.Reason }

func refuse(status int, format string, args ...any) error {
	return &RefusedError{Status: status, Reason: fmt.Sprintf(format, args...)}
}

// Submission is a request whose checkpoint a trusted key of a known log signed.
type Submission struct {
	Request
	tlog.Checkpoint
	Text string // what the log signed; what is cosigned
}

// Admit checks who a request is from: 400 if it can't be read, 404 for a log that is not known, 403 without the log's signature. The error is a
// *RefusedError.
func (logs Logs) Admit(body []byte) (Submission, error) {
	r, err := ParseRequest(body)
	if err != nil {
		return Submission{}, refuse(StatusMalformed, "%v", err)
	}
	text, _, ok := strings.Cut(string(r.Checkpoint), "\n\n")
	c, _, err := tlog.ParseExtended(text + "\n")
	if !ok || err != nil {
		return Submission{}, refuse(StatusMalformed, "the checkpoint can't be read")
	}
	keys, ok := logs[c.Origin]
	if !ok {
		return Submission{}, refuse(StatusUnknownLog, "this witness does not know a log of that origin")
	}
	s := Submission{Request: r}
	s.Checkpoint, s.Text, err = tlog.OpenExtended(r.Checkpoint, keys...)
	switch {
	case errors.Is(err, tlog.ErrUnsigned):
		return Submission{}, refuse(StatusUnsigned, "no key of the log that this witness trusts signed the checkpoint, or a signature is false")
	case err != nil:
		return Submission{}, refuse(StatusMalformed, "the checkpoint can't be read")
	case r.Old > s.Size:
		return Submission{}, refuse(StatusMalformed, "the old size is above that of the checkpoint")
	}
	return s, nil
}

// Judge says whether a witness that remembers have may cosign s, and what it remembers then: never a smaller size, never another root for one
// size, never a tree that does not extend the one before. The error is a *RefusedError. The next Record is durable before a cosignature
// leaves, and nothing else is judged for the log meanwhile.
func Judge(have Record, s Submission) (Record, error) {
	if s.Old != have.Size {
		return have, &RefusedError{Status: StatusConflict, Reason: fmt.Sprintf("the old size is not that of the latest checkpoint, %d", have.Size), Size: have.Size}
	}
	if s.Size == 0 && s.Root != tlog.EmptyRoot() {
		return have, refuse(StatusInconsistent, "the root of the empty tree is another")
	}
	switch {
	case s.Old == 0:
		if len(s.Proof) > 0 {
			return have, refuse(StatusInconsistent, "from the empty tree there is no proof")
		}
	case s.Old == s.Size && s.Root != have.Root:
		return have, refuse(StatusInconsistent, "this witness cosigned another root for that size")
	default:
		if err := tlog.VerifyConsistency(s.Proof, s.Old, s.Size, have.Root, s.Root); err != nil {
			return have, refuse(StatusInconsistent, "the consistency proof does not hold")
		}
	}
	if s.Size == 0 {
		return Record{}, nil
	}
	return Record{Size: s.Size, Root: s.Root}, nil
}
