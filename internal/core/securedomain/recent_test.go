// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"bytes"
	"testing"

	"strongroom/internal/gate/message"
)

// What is kept are the last entries, in order, of a bounded size; who asks for an older one is told so.
func TestRecent(t *testing.T) {
	t.Parallel()
	var r recent
	const size = 100 << 10
	first := uint64(7)
	for seq := first; seq < first+500; seq++ {
		r.add(seq, message.Entry{Leaf: []byte{byte(seq)}, Bodies: []message.Body{{Body: bytes.Repeat([]byte{byte(seq)}, size)}}})
		if r.bytes > recentBytes {
			t.Fatalf("%d bytes are kept", r.bytes)
		}
		last := r.from(seq, 10)
		if len(last) != 1 || last[0].Leaf[0] != byte(seq) {
			t.Fatalf("after %d the last is %+v", seq, last)
		}
	}
	kept := uint64(len(r.entries))
	if kept < recentBytes/size-2 {
		t.Errorf("%d entries are kept", kept)
	}
	from := first + 500 - kept
	if got := r.from(from, 3); len(got) != 3 || got[0].Leaf[0] != byte(from) || got[2].Leaf[0] != byte(from+2) {
		t.Errorf("from %d: %+v", from, got)
	}
	for _, seq := range []uint64{0, first, from - 1, first + 500, 1 << 62} {
		if got := r.from(seq, 3); got != nil {
			t.Errorf("from %d: %d entries", seq, len(got))
		}
	}
}
