// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/pure/request"
)

// idempotencyKey is the value of --idempotency-key. One that is given and empty is refused: it is a variable that was not set, and a retry
// under a new key would pay twice.
type idempotencyKey string

// UnmarshalText reads it. It is called only where the flag was given.
func (k *idempotencyKey) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		return errors.New("the idempotency key is empty; is a variable not set? Leave the flag out for a new key")
	}
	if err := request.CheckIdempotencyKey(string(b)); err != nil {
		return err
	}
	*k = idempotencyKey(b)
	return nil
}

// lifetime is the value of --expires; 0: not given.
type lifetime time.Duration

// maxLifetime is far beyond what any rules allow.
const maxLifetime = 10 * 365 * 24 * time.Hour

// UnmarshalText reads a duration as Go writes it, or whole days, such as 7d.
func (l *lifetime) UnmarshalText(b []byte) error {
	var d time.Duration
	days, ok := strings.CutSuffix(string(b), "d")
	n, err := strconv.ParseUint(days, 10, 16)
	if ok && err == nil {
		d = time.Duration(n) * 24 * time.Hour
	} else if d, err = time.ParseDuration(string(b)); err != nil {
		return fmt.Errorf("%q is no duration: write minutes, hours or whole days, such as 90m, 36h or 7d", b)
	}
	if d < time.Second || d > maxLifetime {
		return fmt.Errorf("%s: a request lives a second at least and ten years at most", b)
	}
	*l = lifetime(d)
	return nil
}
