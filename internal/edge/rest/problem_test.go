// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"testing"

	"strongroom/internal/pure/problem"
)

// TestStatusIsTotal shows that every kind has a status of its own choice, and that no other has.
func TestStatusIsTotal(t *testing.T) {
	t.Parallel()
	for _, k := range problem.Kinds() {
		if s, ok := statusOf(k); !ok || s < 400 || s > 599 {
			t.Errorf("kind %s has status %d", k, s)
		}
	}
	if s, ok := statusOf("newer"); ok || s != 500 {
		t.Errorf("an unknown kind has status %d", s)
	}
}
