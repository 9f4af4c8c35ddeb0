// SPDX-License-Identifier: Apache-2.0

package counts_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"strongroom/internal/edge/counts"
)

// began gives counts of a program at a time that the test moves.
func began(t *testing.T) (*counts.Counts, *time.Time) {
	t.Helper()
	now := time.Unix(1_000, 0)
	c, err := counts.New("thing", func() time.Time { return now }, "done", "refused", "failed")
	if err != nil {
		t.Fatal(err)
	}
	return c, &now
}

func text(t *testing.T, c *counts.Counts) string {
	t.Helper()
	var b strings.Builder
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestCounts(t *testing.T) {
	t.Parallel()
	c, now := began(t)
	says := func(lines ...string) {
		t.Helper()
		for _, l := range lines {
			if !strings.Contains(text(t, c), "\nstrongroom_thing_"+l+"\n") {
				t.Errorf("no %q in\n%s", l, text(t, c))
			}
		}
	}
	*now = now.Add(10 * time.Second)
	c.Done("failed")
	says("start_time_seconds 1000", `requests_total{outcome="done"} 0`, `requests_total{outcome="failed"} 1`, "last_success_timestamp_seconds 0", "since_success_seconds 10")
	c.Done("done")
	c.Done("refused")
	*now = now.Add(7 * time.Second)
	c.Done("never named")
	says(`requests_total{outcome="done"} 1`, `requests_total{outcome="refused"} 1`, `requests_total{outcome="failed"} 2`, "last_success_timestamp_seconds 1010", "since_success_seconds 7")
	*now = now.Add(-time.Hour)
	says("since_success_seconds 0")
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("%v: scripts/setup installs the package prometheus, which has it", err)
	}
	check := exec.CommandContext(t.Context(), tool, "check", "metrics")
	check.Stdin = strings.NewReader(text(t, c))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	c, _ := began(t)
	l, err := counts.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- c.Serve(ctx, l, slog.New(slog.DiscardHandler)) }() // received below
	for path, want := range map[string]int{"/metrics": 200, "/": 404, "/metrics/x": 404} {
		r, err := http.Get("http://" + l.Addr().String() + path) //nolint:noctx // a test on loopback
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		if err != nil || r.StatusCode != want || (want == 200) != strings.Contains(string(b), "strongroom_thing_requests_total") {
			t.Errorf("%s: %d %s %v", path, r.StatusCode, b, err)
		}
		_ = r.Body.Close()
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	for _, a := range []string{"0.0.0.0:0", "[::]:0", ":0", "nowhere", "127.0.0.1:999999"} {
		if l, err := counts.Listen(t.Context(), a); err == nil {
			t.Errorf("%s: it listens on %s", a, l.Addr())
		}
	}
	if _, err := counts.New("thing", time.Now, "done"); err == nil {
		t.Error("one outcome")
	}
	if _, err := counts.New("", time.Now, "done", "failed"); err == nil {
		t.Error("no name")
	}
	if _, err := counts.New("thing", nil, "done", "failed"); err == nil {
		t.Error("no clock")
	}
}
