// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"context"
	"errors"
)

// Errors of anchors.
var (
	// ErrNoPin says that nothing was ever pinned. A pin that is there but can't be read is another error.
	ErrNoPin = errors.New("nothing is pinned yet")
	// ErrPinMoved says that the anchor holds another pin than the caller believes: another process uses it.
	ErrPinMoved = errors.New("the pin was moved by another process")
)

// MaxPin is the largest pin, in bytes: checkpoint and frontier together.
const MaxPin = 12 << 10

// Pin is the head of a log as it was last acknowledged.
type Pin struct {
	Checkpoint []byte // signed checkpoint (C2SP tlog-checkpoint)
	Frontier   []byte // frontier of the same size, canonical
	Since      uint64 // entry that began the log's incarnation, whose origin the checkpoint has; 0: it is the first
}

// Anchor remembers the head of the log outside the log, so that a log that was cut or replaced by an older copy is found out. What is at
// or below the pin can't be dropped any more; what lies beyond was never acknowledged.
//
// Methods may be called concurrently.
type Anchor interface {
	// Read gives the newest pin, or ErrNoPin. If that one can't be read or trusted it is an error; an older pin is given only where
	// a Pin call did not return.
	Read(ctx context.Context) (Pin, error)

	// Pin replaces the pin, durably when it returns nil. It is refused without effect with ErrPinMoved unless the pin that it replaces is the
	// one that this Anchor read or wrote last (or there is none, and Read said so). Pinning the same pin again claims the anchor: other
	// processes that read it before are refused from then on. After any other error it is not known which pin is held, and the
	// Anchor refuses to pin (ErrFatal).
	Pin(ctx context.Context, p Pin) error
}
