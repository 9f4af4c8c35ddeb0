// SPDX-License-Identifier: Apache-2.0

package logstoreapp_test

import (
	"strings"
	"testing"

	"strongroom/internal/edge/counts/countstest"
)

// TestMetrics: what a core asks of the log store is counted, and shown on loopback only.
func TestMetrics(t *testing.T) {
	t.Parallel()
	cluster, database := start(t)
	o := options(t, cluster.DSN(database), "metrics")
	bad := o
	bad.Metrics = "0.0.0.0:0"
	mustNotServe(t, "metrics for everybody", bad)
	log, shown := countstest.Log()
	o.Metrics, o.Logger = "127.0.0.1:0", log
	s := open(t, serve(t, o))
	at := <-shown
	before := countstest.Read(t, at)
	if !strings.Contains(before, "strongroom_logstore_start_time_seconds ") || !strings.Contains(before, `strongroom_logstore_requests_total{outcome="failed"} 0`) {
		t.Errorf("at first:\n%s", before)
	}
	if _, err := s.Read(t.Context(), 0, 1); err != nil {
		t.Fatal(err)
	}
	if after := countstest.Read(t, at); after == before || strings.Contains(after, "last_success_timestamp_seconds 0\n") {
		t.Errorf("a read was not counted:\n%s", after)
	}
}
