// SPDX-License-Identifier: Apache-2.0

package hsm

import "context"

// Randomness is what a root offers whose hardware has a generator of its own. It is one source among others, never the only one.
// Random is safe for concurrent use.
type Randomness interface {
	// Random fills b with random bytes of the hardware, or fails; b is then not to be used.
	Random(ctx context.Context, b []byte) error
}
