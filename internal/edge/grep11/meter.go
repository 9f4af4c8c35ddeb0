// SPDX-License-Identifier: Apache-2.0

package grep11

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/pure/ep11"
)

// bounds are the upper ends of the histogram's buckets; the last one is open.
var bounds = [...]time.Duration{time.Millisecond / 4, time.Millisecond, 4 * time.Millisecond, 16 * time.Millisecond, 64 * time.Millisecond,
	256 * time.Millisecond, time.Second, 4 * time.Second}

// meter counts what the gateway does. Names of callers are no labels: there may be any number of them.
type meter struct {
	functions [ep11.Functions + 1]functionMeter
	refused   atomic.Uint64 // bad tokens and API keys
	panics    atomic.Uint64
	started   time.Time
	last      atomic.Int64 // Unix seconds of the last call that ended with CKR_OK; 0: none

	mu    sync.Mutex // guards codes
	codes map[outcome]uint64
}

type outcome struct {
	fn   ep11.Function
	code ep11.Code
}

type functionMeter struct {
	buckets [len(bounds) + 1]atomic.Uint64
	total   atomic.Int64 // nanoseconds
}

func newMeter(now time.Time) *meter { return &meter{started: now, codes: map[outcome]uint64{}} }

// done counts a call that took so long and ended now with a code.
func (m *meter) done(fn ep11.Function, code ep11.Code, took time.Duration, now time.Time) {
	if code == ep11.CKR_OK {
		m.last.Store(now.Unix())
	}
	f := &m.functions[fn]
	i := 0
	for i < len(bounds) && took > bounds[i] {
		i++
	}
	f.buckets[i].Add(1)
	f.total.Add(int64(took))
	m.mu.Lock()
	m.codes[outcome{fn, code}]++
	m.mu.Unlock()
}

// Metrics writes counters in the text format of Prometheus. It is for a listener that only operators reach: it is not authenticated.
func (s *Server) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/metrics" || r.Method != http.MethodGet {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		s.writeMetrics(w)
	})
}

func (s *Server) writeMetrics(to io.Writer) {
	w := bufio.NewWriter(to)
	defer func() { _ = w.Flush() }() // who asked may be gone
	head := func(name, kind, help string) { fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	m := s.meter
	head("strongroom_grep11_calls_total", "counter", "Calls by function and return code.")
	m.mu.Lock()
	codes := maps.Clone(m.codes)
	m.mu.Unlock()
	for _, k := range slices.SortedFunc(maps.Keys(codes), func(a, b outcome) int {
		if a.fn != b.fn {
			return int(a.fn) - int(b.fn)
		}
		return int(int64(a.code) - int64(b.code))
	}) {
		fmt.Fprintf(w, "strongroom_grep11_calls_total{function=%q,code=%q} %d\n", k.fn, k.code.Error(), codes[k])
	}
	head("strongroom_grep11_call_seconds", "histogram", "How long calls take, by function.")
	for fn := range m.functions {
		m.functions[fn].write(w, ep11.Function(fn))
	}
	head("strongroom_grep11_operations", "gauge", "Calls that run.")
	fmt.Fprintf(w, "strongroom_grep11_operations %d\n", s.room.now())
	head("strongroom_grep11_refused_credentials_total", "counter", "Bad tokens and API keys.")
	fmt.Fprintf(w, "strongroom_grep11_refused_credentials_total %d\n", m.refused.Load())
	head("strongroom_grep11_panics_total", "counter", "Calls that the gateway failed on.")
	fmt.Fprintf(w, "strongroom_grep11_panics_total %d\n", m.panics.Load())
	head("strongroom_grep11_start_time_seconds", "gauge", "When the gateway was started.")
	fmt.Fprintf(w, "strongroom_grep11_start_time_seconds %d\n", m.started.Unix())
	head("strongroom_grep11_last_success_timestamp_seconds", "gauge", "When a call last went well; 0: never since the start.")
	fmt.Fprintf(w, "strongroom_grep11_last_success_timestamp_seconds %d\n", m.last.Load())
	head("strongroom_grep11_since_success_seconds", "gauge", "How long ago that was, or the start.")
	fmt.Fprintf(w, "strongroom_grep11_since_success_seconds %d\n", max(0, s.cfg.Now().Unix()-max(m.last.Load(), m.started.Unix())))
}

// write writes the histogram of a function that was called.
func (f *functionMeter) write(w io.Writer, fn ep11.Function) {
	var sum uint64
	var lines []uint64
	for i := range f.buckets {
		sum += f.buckets[i].Load()
		lines = append(lines, sum)
	}
	if sum == 0 {
		return
	}
	for i, n := range lines {
		end := "+Inf"
		if i < len(bounds) {
			end = fmt.Sprint(bounds[i].Seconds())
		}
		fmt.Fprintf(w, "strongroom_grep11_call_seconds_bucket{function=%q,le=%q} %d\n", fn, end, n)
	}
	fmt.Fprintf(w, "strongroom_grep11_call_seconds_sum{function=%q} %g\n", fn, time.Duration(f.total.Load()).Seconds())
	fmt.Fprintf(w, "strongroom_grep11_call_seconds_count{function=%q} %d\n", fn, sum)
}
