// SPDX-License-Identifier: Apache-2.0

package request_test

import (
	"bytes"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/request"
)

// TestReplayOfAChange: a change of the rules may name its replay; one without is the same bytes as before there were replays.
func TestReplayOfAChange(t *testing.T) {
	t.Parallel()
	hash := bytes.Repeat([]byte{7}, 32)
	parse := func(r *request.Replay) (*request.Parsed, error) {
		q := oversightRequest(request.PolicyChange, nil)
		q.Body = canon.Encode(&request.PolicyChangeBody{Document: []byte{1}, Replay: r})
		return request.Parse(q.Encode())
	}
	p, err := parse(&request.Replay{From: 1, Size: 9, Report: hash})
	if err != nil {
		t.Fatal(err)
	}
	if b, ok := p.Decoded.(*request.PolicyChangeBody); !ok || b.Replay == nil || b.Replay.Size != 9 || !bytes.Equal(b.Replay.Report, hash) {
		t.Errorf("%+v", p.Decoded)
	}
	if p, err = parse(nil); err != nil || !bytes.Equal(p.Body, []byte{0xa1, 0x01, 0x41, 0x01}) {
		t.Errorf("%x, %v", p.Body, err)
	}
	for name, r := range map[string]request.Replay{"no hash": {From: 1, Size: 9}, "a long hash": {From: 1, Size: 9, Report: append(hash, 1)}, "of nothing": {From: 9, Size: 9, Report: hash}} {
		if _, err := parse(&r); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
}
