// SPDX-License-Identifier: Apache-2.0

package request

// Limits of form. Times are in seconds.
const (
	MaxRequest     = 1 << 20         // bytes of one encoded request (a rule document is the largest)
	MaxCall        = 256 << 10       // bytes of the JSON of a signed call
	MaxOutputs     = 500             // outputs of one transfer
	MaxBatch       = 100_000         // addresses of one address_create
	MaxLifetime    = 30 * 24 * 3600  // a request expires within 30 days
	MaxSession     = 24 * 3600       // a service's session
	MaxWarm        = 7 * 24 * 3600   // a session of a warm wallet
	MaxGrant       = 400 * 24 * 3600 // a grant to an application
	OutcomeKept    = 90 * 24 * 3600  // how long an outcome answers retries
	MaxApprovalAge = 30 * 24 * 3600  // an approval counts no longer than its request lives

	maxTime = 1<<63/1_000_000_000 - 1<<32 // Unix seconds that still fit as nanoseconds, with room to add bounds
)
