// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"strongroom/client"
)

// Where nobody looks, a request is named by its whole id.
func TestYesNeedsTheWholeID(t *testing.T) {
	t.Parallel()
	id := client.RequestID{0xab, 0xcd, 1}.String()
	for _, name := range []string{id[:8], id[:40], id[:63]} {
		c := deciding{ID: name, Yes: true}
		err := c.run(&env{root: &root{}}, client.Approve, "Approve this")
		if statusOf(err) != exitUsage || !strings.Contains(err.Error(), "--yes needs the whole id") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, c := range map[string]deciding{"the whole id": {ID: id, Yes: true}, "somebody looks": {ID: id[:8]}} {
		if err := c.run(&env{root: &root{}}, client.Approve, "Approve this"); err == nil || !strings.Contains(err.Error(), "--identity is required") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
