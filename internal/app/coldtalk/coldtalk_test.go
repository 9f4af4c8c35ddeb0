// SPDX-License-Identifier: Apache-2.0

package coldtalk

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/offline"
)

// Questions are answered in order, refusals too, and both ends stop when one goes.
func TestTalk(t *testing.T) {
	t.Parallel()
	qr, qw := io.Pipe()
	ar, aw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Serve(aw, qr, func(q Question) (Reply, error) {
			if len(q.Statement) > 0 {
				return Reply{}, errors.New("not today")
			}
			return Reply{Permits: q.Permits[:1], Signatures: []offline.Signature{{Person: "p"}}}, nil
		})
	}()
	a, err := Ask(qw, ar, Question{Permits: []uint64{7, 8}})
	if err != nil || !slices.Equal(a.Permits, []uint64{7}) || len(a.Signatures) != 1 {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := Ask(qw, ar, Question{Statement: []byte{1}}); err == nil || !strings.Contains(err.Error(), "not today") {
		t.Errorf("%v", err)
	}
	_ = qw.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = ar.Close()
	for name, b := range map[string][]byte{"long": {0xff, 0xff, 0xff, 0xff}, "cut": {0, 0, 0, 9, 1}, "not canonical": {0, 0, 0, 1, 0xff}, "empty": {}} {
		if _, err := Ask(io.Discard, bytes.NewReader(b), Question{}); err == nil {
			t.Errorf("%s: read", name)
		}
	}
}
