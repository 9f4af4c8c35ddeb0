// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"io"
	"testing"

	"strongroom/client"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// TestAnotherReportIsAnAlarm: whatever differs in a report that is made again ends with the exit status of an alarm.
func TestAnotherReportIsAnAlarm(t *testing.T) {
	t.Parallel()
	r := client.ReplayReport{V: 1, From: 1, Size: 9, Decisions: 4, Differ: []client.ReplayDifference{{Seq: 3, Would: policy.Decision{Outcome: policy.Denied}}}}
	hash := r.Hash()
	named := request.Replay{From: 1, Size: 9, Report: hash[:]}
	if err := sameReport(r, named); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*client.ReplayReport){
		"one difference less": func(r *client.ReplayReport) { r.Differ = nil },
		"another outcome": func(r *client.ReplayReport) {
			r.Differ = []client.ReplayDifference{{Seq: 3, Would: policy.Decision{Outcome: policy.Held}}}
		},
		"another log":   func(r *client.ReplayReport) { r.Root[0] = 1 },
		"other rules":   func(r *client.ReplayReport) { r.Document[0] = 1 },
		"another range": func(r *client.ReplayReport) { r.From = 2 },
	} {
		here := r
		change(&here)
		var h *hinted
		if err := sameReport(here, named); !errors.As(err, &h) || h.code != exitAlarm {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestEntriesOfAnotherLog: entries that a checkpoint does not cover are an alarm; too few are an error.
func TestEntriesOfAnotherLog(t *testing.T) {
	t.Parallel()
	cp := tlog.Checkpoint{Size: 9, Root: [32]byte{1}}
	for name, x := range map[string]struct {
		r    client.ReplayReport
		code int
	}{
		"these":    {client.ReplayReport{Size: 9, Root: [32]byte{1}}, exitOK},
		"others":   {client.ReplayReport{Size: 9, Root: [32]byte{2}}, exitAlarm},
		"too few":  {client.ReplayReport{Size: 8, Root: [32]byte{1}}, exitError},
		"too many": {client.ReplayReport{Size: 10, Root: [32]byte{1}}, exitAlarm},
	} {
		if code := report(io.Discard, coveredBy(x.r, cp, "entries.json"), "", false); code != x.code {
			t.Errorf("%s: status %d, want %d", name, code, x.code)
		}
	}
}
