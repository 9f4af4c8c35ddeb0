// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// noisy is how many cores others may use before rates say nothing; CPU an operation still does.
const noisy = 0.3

// report collects samples by row and round.
type report struct {
	Started time.Time            `json:"started"`
	Go      string               `json:"go"`
	Cores   int                  `json:"cores"`
	Config  config               `json:"config"`
	Rows    []string             `json:"rows"`
	Samples map[string][]sample  `json:"samples"`
	Memory  map[string]float64   `json:"core_memory_mib"`
	Starts  map[string]float64   `json:"start_seconds"`
	Log     map[string][]float64 `json:"log"` // of the durable log, by round
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

// spread is a median with least and greatest.
type spread struct{ mid, least, most float64 }

func spreadOf(v []float64) spread {
	if len(v) == 0 {
		return spread{}
	}
	v = slices.Sorted(slices.Values(v))
	return spread{v[len(v)/2], v[0], v[len(v)-1]}
}

func (r *report) column(row string, f func(sample) float64) spread {
	var v []float64
	for _, s := range r.Samples[row] {
		v = append(v, f(s))
	}
	return spreadOf(v)
}

// ratio forms a ratio within each round.
func (r *report) ratio(a, b string, f func(sample) float64) (spread, bool) {
	return r.ratio2(a, b, f, f)
}

func (r *report) ratio2(a, b string, fa, fb func(sample) float64) (spread, bool) {
	var v []float64
	for i, s := range r.Samples[a] {
		if i < len(r.Samples[b]) && fb(r.Samples[b][i]) > 0 {
			v = append(v, fa(s)/fb(r.Samples[b][i]))
		}
	}
	return spreadOf(v), len(v) > 0
}

func rate(s sample) float64   { return s.Rate }
func p99(s sample) float64    { return s.P99 }
func core(s sample) float64   { return s.Core }
func client(s sample) float64 { return s.Client }

func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %d cores, %s, %d rounds of %v; medians [least-greatest]\n\n", r.Go, r.Cores, r.Started.Format(time.RFC3339), r.Config.Rounds, r.Config.Length)
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "row\tper second\tp50 ms\tp99 ms\tCPU us: core\tserve\tclient\tother load")
	for _, row := range r.Rows {
		x := r.column(row, rate)
		fmt.Fprintf(t, "%s\t%.0f [%.0f-%.0f]\t%.2f\t%.2f\t%.0f\t%.0f\t%.0f\t%.2f\n", row, x.mid, x.least, x.most,
			r.column(row, func(s sample) float64 { return s.P50 }).mid, r.column(row, p99).mid, r.column(row, core).mid,
			r.column(row, func(s sample) float64 { return s.Serve }).mid, r.column(row, client).mid,
			r.column(row, func(s sample) float64 { return s.Others }).mid)
	}
	t.Flush()
	fmt.Fprintln(w, "\nratios within a round, median [least-greatest]")
	r.printRatios(w)
	for _, k := range sortedKeys(r.Memory) {
		fmt.Fprintf(w, "memory of the core with %s: %.0f MiB\n", k, r.Memory[k])
	}
	for _, k := range sortedKeys(r.Starts) {
		fmt.Fprintf(w, "start with %s: %.2f s\n", k, r.Starts[k])
	}
	for _, k := range sortedKeys(r.Log) {
		fmt.Fprintf(w, "%s, 32 callers: %.0f\n", k, spreadOf(r.Log[k]).mid)
	}
	var load []float64
	for _, list := range r.Samples {
		for _, s := range list {
			load = append(load, s.Others)
		}
	}
	if x := spreadOf(load); x.mid > noisy {
		fmt.Fprintf(w, "noisy: others used %.2f cores (median); no verdict on rates and latencies, CPU ratios still hold\n", x.mid)
	}
}

func (r *report) printRatios(w io.Writer) {
	const bareRow = "bare secp256k1 sign+verify"
	for _, n := range r.Config.Callers {
		row := fmt.Sprintf("governed through the door, %d callers", n)
		if x, ok := r.ratio(row, bareRow, rate); ok {
			fmt.Fprintf(w, "  rate, %s / %s on the same cores: %.2f [%.2f-%.2f]\n", row, bareRow, x.mid, x.least, x.most)
		}
		if x, ok := r.ratio2(row, bareRow, core, client); ok {
			fmt.Fprintf(w, "  core CPU, %s / %s: %.2f [%.2f-%.2f]\n", row, bareRow, x.mid, x.least, x.most)
		}
	}
	aa := "governed through the door, 32 callers"
	if x, ok := r.ratio(aa+" (A/A)", aa, rate); ok {
		fmt.Fprintf(w, "  rate, A/A control: %.2f [%.2f-%.2f]\n", x.mid, x.least, x.most)
	}
	if x, ok := r.ratio2(aa+" (A/A)", aa, core, core); ok {
		fmt.Fprintf(w, "  core CPU, A/A control: %.2f [%.2f-%.2f]\n", x.mid, x.least, x.most)
	}
	if len(r.Config.Wallets) > 1 {
		few, many := r.Config.Wallets[0], r.Config.Wallets[len(r.Config.Wallets)-1]
		a, b := fmt.Sprintf("%d wallets, Zipf(1.0), 8 callers", many), fmt.Sprintf("%d wallets, Zipf(1.0), 8 callers", few)
		if x, ok := r.ratio(a, b, rate); ok {
			fmt.Fprintf(w, "  rate, %d wallets / %d wallets: %.2f [%.2f-%.2f]\n", many, few, x.mid, x.least, x.most)
		}
		if x, ok := r.ratio(a, b, p99); ok {
			fmt.Fprintf(w, "  p99, %d wallets / %d wallets: %.2f [%.2f-%.2f]\n", many, few, x.mid, x.least, x.most)
		}
	}
	if x, ok := r.ratio("durable log, 32 callers", "log in memory, 32 callers", rate); ok {
		fmt.Fprintf(w, "  rate, durable log on / off (a file system in memory), 32 callers: %.2f [%.2f-%.2f]\n", x.mid, x.least, x.most)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
