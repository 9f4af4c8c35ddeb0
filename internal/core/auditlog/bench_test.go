// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/disk"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/core/auditlog/segment"
)

// bigSegments is a store in memory without small segments.
func bigSegments(t testing.TB) auditlog.Store {
	t.Helper()
	s, err := segment.Open(disktest.New(), segment.Options{SegmentSize: 16 << 20})
	must(t, err)
	return s
}

// BenchmarkAppend measures acknowledged entries (leaf of 40 bytes and a body of 600) on the real disk, with the file anchor.
func BenchmarkAppend(b *testing.B) {
	for _, delay := range []time.Duration{0, 2 * time.Millisecond} {
		for _, waiters := range []int{1, 32, 256} {
			b.Run(fmt.Sprintf("delay=%v/waiters=%d", delay, waiters), func(b *testing.B) { benchmarkAppend(b, waiters, delay) })
		}
	}
}

func benchmarkAppend(b *testing.B, waiters int, delay time.Duration) {
	d, err := disk.OS(b.TempDir(), disk.Options{FlushDelay: delay})
	must(b, err)
	s, err := segment.Open(d, segment.Options{})
	must(b, err)
	a, err := file.Open(d)
	must(b, err)
	key, sign := newKey(b, 1)
	start := time.Now()
	l, err := auditlog.Open(b.Context(), auditlog.Config{Store: s, Anchor: a, Key: key, Sign: sign, Writer: 1,
		Entries: logtest.Entries(), Elapsed: func() time.Duration { return time.Since(start) }})
	must(b, err)
	body := make([]byte, 600)
	var sequencer sync.Mutex
	syncs := d.Syncs()
	b.ResetTimer()
	var wg sync.WaitGroup
	left := b.N
	for range waiters {
		wg.Go(func() {
			for {
				sequencer.Lock()
				if left == 0 {
					sequencer.Unlock()
					return
				}
				left--
				seq, prev := l.Next()
				h, err := l.Append(b.Context(), logtest.Record(prev, seq, body))
				sequencer.Unlock()
				if err == nil {
					err = h.Wait(b.Context())
				}
				if err != nil {
					b.Errorf("append: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	st := l.Stats()
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(st.Batches) }
	b.ReportMetric(float64(st.Entries)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(st.Entries)/float64(st.Batches), "entries/batch")
	b.ReportMetric(float64(d.Syncs()-syncs)/float64(st.Batches), "flushes/batch")
	b.ReportMetric(per(st.AppendTime), "append-µs")
	b.ReportMetric(per(st.PinTime), "pin-µs")
	b.ReportMetric(per(st.SignTime), "sign-µs")
	must(b, l.Close())
	must(b, s.Close())
	must(b, a.Close())
}
