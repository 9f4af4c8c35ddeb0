// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"maps"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// noisy is how many cores others may use before rates and latencies say nothing; CPU an operation still does.
const noisy = 0.3

// report collects samples by row and round.
type report struct {
	Started time.Time            `json:"started"`
	Took    time.Duration        `json:"took_ns"`
	Go      string               `json:"go"`
	Cores   int                  `json:"cores"`
	Config  config               `json:"config"`
	Rows    []string             `json:"rows"`
	Samples map[string][]sample  `json:"samples"`
	Ratios  []ratio              `json:"ratios"`
	Others  spread               `json:"others"` // cores that everything else on the machine used
	Memory  map[string]float64   `json:"core_memory_mib"`
	Starts  map[string]float64   `json:"start_seconds"`
	Log     map[string][]float64 `json:"log"`     // of the durable log, by round
	Figures []figure             `json:"figures"` // of rotations and restores
}

// figure is something that was measured once.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
}

func newReport(c config) *report {
	return &report{Started: time.Now().UTC(), Go: runtime.Version(), Cores: runtime.NumCPU(), Config: c, Samples: map[string][]sample{},
		Memory: map[string]float64{}, Starts: map[string]float64{}, Log: map[string][]float64{}}
}

// take measures one cell of a round.
func (r *report) take(round int, row string, f func() (sample, error)) error {
	s, err := f()
	if err != nil {
		return fmt.Errorf("%s, round %d: %w", row, round+1, err)
	}
	if _, ok := r.Samples[row]; !ok {
		r.Rows = append(r.Rows, row)
	}
	r.Samples[row] = append(r.Samples[row], s)
	return nil
}

// note keeps a figure.
func (r *report) note(value float64, format string, args ...any) {
	r.Figures = append(r.Figures, figure{fmt.Sprintf(format, args...), value})
}

// spread is a median with least and greatest.
type spread struct {
	Mid   float64 `json:"median"`
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// spreadOf gives the spread of values; the median of an even number of them is the mean of the two in the middle.
func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	v = slices.Sorted(slices.Values(v))
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// measureOf picks one figure of a sample.
type measureOf func(sample) float64

func rate(s sample) float64      { return s.Rate }
func p50(s sample) float64       { return s.P50 }
func p99(s sample) float64       { return s.P99 }
func coreCPU(s sample) float64   { return s.Core }
func serveCPU(s sample) float64  { return s.Serve }
func clientCPU(s sample) float64 { return s.Client }
func allCPU(s sample) float64    { return s.Core + s.Serve + s.Client }
func others(s sample) float64    { return s.Others }

func (r *report) column(row string, f measureOf) spread {
	var v []float64
	for _, s := range r.Samples[row] {
		v = append(v, f(s))
	}
	return spreadOf(v)
}

// within forms a ratio within each round: figure fa of row a over figure fb of row b. False without a round that has both.
func (r *report) within(a string, fa measureOf, b string, fb measureOf) (spread, bool) {
	var v []float64
	for i, s := range r.Samples[a] {
		if i < len(r.Samples[b]) && fb(r.Samples[b][i]) > 0 {
			v = append(v, fa(s)/fb(r.Samples[b][i]))
		}
	}
	return spreadOf(v), len(v) > 0
}

// otherLoad is the spread of other load over all samples but the peer's, and those with log witnesses or a TPM, whose own work it would count.
func (r *report) otherLoad() spread {
	var v []float64
	for row, list := range r.Samples {
		for _, s := range list {
			if row != openBaoRow && !isAnchorRow(row) {
				v = append(v, s.Others)
			}
		}
	}
	return spreadOf(v)
}

// finish computes what follows from the samples.
func (r *report) finish() {
	r.Took = time.Since(r.Started)
	r.Others = r.otherLoad()
	r.Ratios = r.ratios()
}

// print writes the report; finish comes first.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %d cores, %s, %d rounds of %v in %v, flush delay %v; medians [least-greatest]\n\n", r.Go, r.Cores, r.Started.Format(time.RFC3339),
		r.Config.Rounds, r.Config.Length, r.Took.Round(time.Second), r.Config.Delays[0])
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "row\tper second\tp50 ms\tp99 ms\tCPU us: core\tserve\tclient\tother load")
	for _, row := range r.Rows {
		x := r.column(row, rate)
		fmt.Fprintf(t, "%s\t%.0f [%.0f-%.0f]\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\n", row, x.Mid, x.Least, x.Most, r.column(row, p50).Mid,
			r.column(row, p99).Mid, r.column(row, coreCPU).Mid, r.column(row, serveCPU).Mid, r.column(row, clientCPU).Mid,
			r.column(row, others).Mid)
	}
	t.Flush()
	fmt.Fprintln(w, "\nratios within a round, median [least-greatest]")
	for _, x := range r.Ratios {
		fmt.Fprintf(w, "  %s\n", x)
	}
	fmt.Fprintln(w)
	for _, k := range slices.Sorted(maps.Keys(r.Memory)) {
		fmt.Fprintf(w, "memory of the core with %s: %.0f MiB\n", k, r.Memory[k])
	}
	for _, k := range slices.Sorted(maps.Keys(r.Starts)) {
		fmt.Fprintf(w, "start %s: %.2f s%s\n", k, r.Starts[k], startAim(k, r.Starts[k]))
	}
	for _, k := range slices.Sorted(maps.Keys(r.Log)) {
		fmt.Fprintf(w, "%s, 32 callers: %.0f\n", k, spreadOf(r.Log[k]).Mid)
	}
	for _, f := range r.Figures {
		fmt.Fprintf(w, "%s: %.4g\n", f.Name, f.Value)
	}
	if line := r.grep11Headline(); line != "" {
		fmt.Fprintln(w, line)
	}
	if r.Others.Mid > noisy {
		fmt.Fprintf(w, "noisy: others used %.2f cores (median of all); no verdict on rates and latencies, CPU ratios still hold\n", r.Others.Mid)
	}
}
