// SPDX-License-Identifier: Apache-2.0

package suite_test

import (
	"testing"

	"strongroom/internal/core/ep11/suite"
)

// TestNew: the families fit together: no mechanism and no kind of key belongs to two of them.
func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := suite.New(); err != nil {
		t.Fatal(err)
	}
}
