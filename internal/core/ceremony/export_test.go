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

// WithRecovery gives o with meta data that name another recovery key.
func WithRecovery(o *Opened, hash [32]byte) *Opened {
	other := *o
	other.Meta.Recovery = hash
	return &other
}
