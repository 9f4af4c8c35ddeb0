// SPDX-License-Identifier: Apache-2.0

package passphrase

import (
	"errors"
	"fmt"

	"strongroom/internal/core/internal/argon2id"
	"strongroom/internal/secret"
)

// ErrCost says that the parameters of argon2id are outside the bounds.
var ErrCost = errors.New("passphrase: argon2id parameters are outside the bounds")

// Cost is the cost of argon2id (RFC 9106).
type Cost struct {
	Time   uint32 `cbor:"1,keyasint"` // passes
	Memory uint32 `cbor:"2,keyasint"` // KiB
	Lanes  uint32 `cbor:"3,keyasint"` // threads, part of the function's definition
}

// DefaultCost is 3 passes over 256 MiB in 4 lanes: about a second. RFC 9106 section 4 recommends 3 passes, 64 MiB, 4 lanes where memory is
// scarce; here it is four times that.
func DefaultCost() Cost { return Cost{Time: 3, Memory: 256 << 10, Lanes: 4} }

// The most that a file may ask for. A file that somebody altered shall not stop the machine.
const (
	maxTime   = 16
	maxMemory = 2 << 20 // KiB: 2 GiB
	maxLanes  = 16
)

// Check refuses costs that are undefined, too large, or, unless weak is allowed, below the default.
func (c Cost) Check(weak bool) error {
	d := DefaultCost()
	switch {
	case c.Time < 1 || c.Time > maxTime || c.Lanes < 1 || c.Lanes > maxLanes || c.Memory < 8*c.Lanes || c.Memory > maxMemory:
		return fmt.Errorf("%w: time %d, memory %d KiB, lanes %d; at most %d, %d and %d", ErrCost, c.Time, c.Memory, c.Lanes, maxTime, maxMemory, maxLanes)
	case !weak && (c.Time < d.Time || c.Memory < d.Memory || c.Lanes < d.Lanes):
		return fmt.Errorf("%w: time %d, memory %d KiB, lanes %d; at least %d, %d and %d", ErrCost, c.Time, c.Memory, c.Lanes, d.Time, d.Memory, d.Lanes)
	}
	return nil
}

// Stretch is argon2id of a passphrase, n bytes. The caller has checked the cost, before it computes.
//
// Nothing of the passphrase is left outside the arena; the result is taken from the Go heap, and cleared there.
func Stretch(a *secret.Arena, p secret.Bytes, salt []byte, c Cost, n int) (key secret.Bytes, err error) {
	err = p.Use(func(b []byte) error {
		out, err := argon2id.Key(a, b, salt, c.Time, c.Memory, c.Lanes, n)
		if err != nil {
			return err
		}
		key, err = secret.Take(a, out)
		return err
	})
	return key, err
}
