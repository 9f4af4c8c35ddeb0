// SPDX-License-Identifier: Apache-2.0

package tally_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"strongroom/internal/gate/tally"
)

type event string

func TestLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	lines := tally.New(func(r slog.Record) (event, bool) { return event(r.Message), r.Message != "quiet" })
	log := lines.Logger(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelError}))).With("a", 1).WithGroup("g")
	log.Debug("one")
	log.Error("one")
	log.Error("two")
	log.Info("quiet")
	got := lines.Counts()
	if len(got) != 2 || got["one"] != 2 || got["two"] != 1 {
		t.Errorf("got %v", got)
	}
	got["one"] = 9
	if lines.Counts()["one"] != 2 {
		t.Error("the counts were changed from outside")
	}
	if s := out.String(); strings.Count(s, "\n") != 2 || !strings.Contains(s, "a=1") {
		t.Errorf("wrote %q", s)
	}
}
