// SPDX-License-Identifier: Apache-2.0

package ceremony

import "strongroom/internal/core/sharing"

// WithShareOf gives o with the share of another: what a custodian has who was given, or made up, a wrong one.
func WithShareOf(o, other *Opened) *Opened {
	forged := *o
	forged.share = other.share
	return &forged
}

// ShareOf gives the share itself.
func ShareOf(o *Opened) sharing.Share { return o.share }
