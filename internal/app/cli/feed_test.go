// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"testing"
	"time"
)

// A feed runs for years: it tells a failure once, not in each round, and then that it is over.
func TestFeedTellsAFailureOnce(t *testing.T) {
	t.Parallel()
	f, was := feeding{Every: 5 * time.Second}, ""
	for i, x := range []struct {
		err  error
		want string
	}{
		{nil, ""},
		{errors.New("old file"), "old file; trying again every 5s"},
		{errors.New("old file"), ""},
		{errors.New("no serve"), "no serve; trying again every 5s"},
		{nil, "goes on"},
		{nil, ""},
	} {
		now, got := f.news(was, x.err)
		if got != x.want {
			t.Errorf("round %d: got %q, want %q", i, got, x.want)
		}
		was = now
	}
}
