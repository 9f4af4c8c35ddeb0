// SPDX-License-Identifier: Apache-2.0

package auditlog

import "context"

// Occasion is why an anchor is asked to mark.
type Occasion string

// The occasions.
const (
	MarkStart    Occasion = "start"
	MarkWriter   Occasion = "writer change"
	MarkDocument Occasion = "change of the rule document"
	MarkStop     Occasion = "clean stop"
)

// Marker is what an anchor offers that binds its pin to something that can't be set back and wears out, so that it can't be done for each pin.
type Marker interface {
	// Mark binds the pin as it is now, durably when it returns true. It gives false, without effect, where the marks of the day are used up; that
	// is never so for a start and a change of the writer. After an error it is not known whether it happened, and the anchor marks no more
	// (ErrFatal) until it is opened again.
	Mark(ctx context.Context, why Occasion) (bool, error)
}
