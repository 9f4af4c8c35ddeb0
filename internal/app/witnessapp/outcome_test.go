// SPDX-License-Identifier: Apache-2.0

package witnessapp

import "testing"

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{200: "cosigned", 400: "refused", 403: "refused", 404: "refused", 409: "behind", 422: "inconsistent", 500: "failed"} {
		if got := outcome(status); got != want {
			t.Errorf("%d: %s, want %s", status, got, want)
		}
	}
}
