// SPDX-License-Identifier: Apache-2.0

package rest

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"strongroom/internal/pure/apiv1"
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

// TestPagesNameTheStatus shows that the page of each kind names its status, and its example says whether the call may be repeated.
func TestPagesNameTheStatus(t *testing.T) {
	t.Parallel()
	for _, k := range problem.Kinds() {
		b, err := os.ReadFile("../../.." + apiv1.ProblemType(k) + ".md")
		if err != nil {
			t.Error(err)
			continue
		}
		status, _ := statusOf(k)
		if !strings.Contains(string(b), "\nHTTP status: "+strconv.Itoa(status)) {
			t.Errorf("the page of %s does not name status %d", k, status)
		}
		if strings.Contains(string(b), `"retryable": true`) != retryable(k) {
			t.Errorf("the page of %s does not say that retryable is %t", k, retryable(k))
		}
	}
}
