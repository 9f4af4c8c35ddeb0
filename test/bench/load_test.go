// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"sync/atomic"
	"testing"
	"time"
)

func TestZipf(t *testing.T) {
	t.Parallel()
	const draws = 200_000
	for _, tt := range []struct {
		name string
		n    int
		s    float64
	}{{"uniform", 10, 0}, {"one", 1, 1}, {"ten", 10, 1}, {"thousand", 1000, 1}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			pick, r := zipfPick(tt.n, tt.s), rand.New(rand.NewPCG(1, 2))
			got := make([]float64, tt.n)
			for range draws {
				got[pick(r)]++
			}
			total := 0.0
			for i := range tt.n {
				total += math.Pow(float64(i+1), -tt.s)
			}
			for i := range min(tt.n, 10) {
				want := draws * math.Pow(float64(i+1), -tt.s) / total
				if math.Abs(got[i]-want) > 5*math.Sqrt(want)+1 { // five standard deviations
					t.Errorf("rank %d was drawn %.0f times, want about %.0f", i+1, got[i], want)
				}
			}
		})
	}
}

func TestAccountsAreTakenByOneAtATime(t *testing.T) {
	t.Parallel()
	acc, r := newAccounts(4, 1), rand.New(rand.NewPCG(1, 2))
	seen := map[*account]bool{}
	for range 4 {
		a := acc.take(r)
		if seen[a] {
			t.Fatalf("%s was taken twice", a.id)
		}
		seen[a] = true
	}
	for a := range seen {
		a.mu.Unlock()
	}
}

func TestMeasure(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	work := func(context.Context, int) error {
		calls.Add(1)
		time.Sleep(time.Millisecond)
		return nil
	}
	s, err := (load{callers: []caller{work, work}}).measure(t.Context(), 50*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	if int64(s.Ops) != calls.Load() || s.P50 < 1 || s.P99 < s.P50 || s.Rate <= 0 || s.Core != 0 || s.Serve != 0 {
		t.Errorf("%d calls: %+v", calls.Load(), s)
	}
	lost := errors.New("lost")
	fail := func(context.Context, int) error { return lost }
	if _, err := (load{callers: []caller{work, fail}}).measure(t.Context(), 50*time.Millisecond); !errors.Is(err, lost) {
		t.Errorf("a caller's failure: %v", err)
	}
	if _, err := (load{callers: nil}).measure(t.Context(), time.Millisecond); err == nil {
		t.Error("nothing was done, and that is no error")
	}
}

func TestProcessCPUAndMemory(t *testing.T) {
	t.Parallel()
	before := processCPU(os.Getpid())
	for start := time.Now(); time.Since(start) < 30*time.Millisecond; {
	}
	if used := processCPU(os.Getpid()) - before; used <= 0 {
		t.Errorf("%v microseconds after working", used)
	}
	if m := memory(os.Getpid()); m < 1 || m > 1<<20 {
		t.Errorf("%v MiB", m)
	}
	if processCPU(0) != 0 || machineCPU() <= 0 {
		t.Errorf("no process used %v, the machine %v", processCPU(0), machineCPU())
	}
}
