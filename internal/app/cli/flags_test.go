// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"testing"
	"time"
)

func TestIdempotencyKeyFlag(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{"payout-7": true, "a": true, "": false, "with space": false} {
		var k idempotencyKey
		if err := k.UnmarshalText([]byte(in)); (err == nil) != ok || ok && string(k) != in {
			t.Errorf("%q: got %q, error %v", in, k, err)
		}
	}
}

func TestLifetimeFlag(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{"36h": 36 * time.Hour, "90m": 90 * time.Minute, "7d": 7 * 24 * time.Hour, "1s": time.Second,
		"0": 0, "0s": 0, "0d": 0, "-1h": 0, "7": 0, "1.5d": 0, "-7d": 0, "9999d": 0, "d": 0, "": 0, "soon": 0} {
		var l lifetime
		if err := l.UnmarshalText([]byte(in)); (err == nil) != (want != 0) || err == nil && time.Duration(l) != want {
			t.Errorf("%q: got %s, error %v", in, time.Duration(l), err)
		}
	}
}
