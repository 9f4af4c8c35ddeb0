// SPDX-License-Identifier: Apache-2.0

package rulefile_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"strongroom/internal/edge/rulefile"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
)

// TestCalls: contracts and matches of calls and messages are read, accepted, and written so that they read the same.
func TestCalls(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../../examples/rules/contracts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := rulefile.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Check(custody.Evaluation); err != nil {
		t.Fatal(err)
	}
	if len(d.Contracts) < 2 || len(d.Contracts[0].Addresses) == 0 {
		t.Fatalf("got %+v", d.Contracts)
	}
	again, err := rulefile.Render(d)
	if err != nil {
		t.Fatal(err)
	}
	back, err := rulefile.Parse(again)
	if err != nil || !bytes.Equal(canon.Encode(back), canon.Encode(d)) {
		t.Errorf("it reads as another: %v\n%s", err, again)
	}
	for was, want := range map[string]string{"kind: token": "kind", "op: le": "op", "depth: every": "depth", "primaryTypes: [Permit]": "primaryTypes"} {
		broken := strings.Replace(string(b), was, was+"x, "+want+": 1", 1)
		if broken == string(b) {
			t.Errorf("%q is not in the file", was)
		}
		if _, err := rulefile.Parse([]byte(broken)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%s twice: got %v", want, err)
		}
	}
}
