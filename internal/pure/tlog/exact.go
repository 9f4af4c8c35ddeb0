// SPDX-License-Identifier: Apache-2.0

package tlog

// OpenExact is [OpenCheckpoint] for a checkpoint of which every byte must count: each signature line is by one of keys, stands there once, and
// is spelt in the one way that base64 has (RFC 4648 section 3.5).
func OpenExact(signed []byte, keys ...Key) (Checkpoint, error) {
	c, _, err := OpenWitnessed(signed, Witnesses{}, keys...)
	return c, err
}
