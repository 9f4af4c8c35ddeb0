// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/pure/policy"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   []float64
		want spread
	}{
		{"none", nil, spread{}},
		{"one", []float64{3}, spread{3, 3, 3}},
		{"odd", []float64{9, 1, 4}, spread{4, 1, 9}},
		{"even: the mean of the two in the middle", []float64{8, 1, 2, 4}, spread{3, 1, 8}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			in := slices.Clone(tt.in)
			if got := spreadOf(in); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if !slices.Equal(in, tt.in) {
				t.Errorf("the values were changed: %v", in)
			}
		})
	}
}

func TestSpreadIsOrdered(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.Float64Range(0, 1e9), 1, 20).Draw(t, "values")
		s := spreadOf(v)
		below := len(slices.DeleteFunc(slices.Clone(v), func(x float64) bool { return x > s.Mid }))
		if s.Least > s.Mid || s.Mid > s.Most || s.Least != slices.Min(v) || s.Most != slices.Max(v) || 2*below < len(v) {
			t.Fatalf("%v of %v", s, v)
		}
	})
}

// reportOf makes a report of samples by row.
func reportOf(c config, rows map[string][]sample) *report {
	r := newReport(c)
	for row, list := range rows {
		r.Rows = append(r.Rows, row)
		r.Samples[row] = list
	}
	slices.Sort(r.Rows)
	r.finish()
	return r
}

func TestRatiosAreFormedWithinARound(t *testing.T) {
	t.Parallel()
	// The machine was twice as fast in the second round; the ratio was the same in both.
	r := reportOf(config{}, map[string][]sample{"a": {{Rate: 10}, {Rate: 20}, {Rate: 5}}, "b": {{Rate: 20}, {Rate: 40}}, "zero": {{Rate: 0}, {Rate: 0}}})
	if got, ok := r.within("a", rate, "b", rate); !ok || got != (spread{0.5, 0.5, 0.5}) {
		t.Errorf("got %v %v", got, ok)
	}
	for _, b := range []string{"zero", "missing"} {
		if _, ok := r.within("a", rate, b, rate); ok {
			t.Errorf("a ratio over %s", b)
		}
	}
}

// aims runs a report and gives the ratios that have an aim, by name.
func aims(r *report) map[string]aim {
	out := map[string]aim{}
	for _, x := range r.Ratios {
		if x.Aim != nil {
			out[x.Name] = *x.Aim
		}
	}
	return out
}

func TestAims(t *testing.T) {
	t.Parallel()
	rows := func(door, rest, core, others float64) map[string][]sample {
		return map[string][]sample{
			bareRow:      {{Rate: 1000, Client: 100, Others: others}},
			doorRow(256): {{Rate: door, Core: core, Others: others}},
			restRow(32):  {{Rate: rest, Core: core, Others: others}},
			walletRow(1): {{Rate: 120, P99: 10, Others: others}},
			walletRow(9): {{Rate: 100, P99: 12, Others: others}},
			durable:      {{Rate: 7, Others: others}},
			inMemory:     {{Rate: 10, Others: others}},
		}
	}
	c := config{Callers: []int{32, 256}, Wallets: []int{1, 9}}
	const (
		doorRate = "rate, governed through the door, 256 callers / bare secp256k1 sign+verify"
		doorCPU  = "core CPU, governed through the door, 256 callers / bare secp256k1 sign+verify"
		restRate = "rate, governed through REST, 32 callers / bare secp256k1 sign+verify"
		restCPU  = "core CPU, governed through REST, 32 callers / bare secp256k1 sign+verify"
	)
	always := []string{"rate, 9 wallets, Zipf(1.0), 8 callers / 1 wallets, Zipf(1.0), 8 callers", "p99, 9 wallets, Zipf(1.0), 8 callers / 1 wallets, Zipf(1.0), 8 callers",
		"rate, durable log, 32 callers / log in memory, 32 callers"}
	for _, tt := range []struct {
		name             string
		door, rest, core float64
		met              map[string]bool
	}{
		{"exactly", 500, 300, 220, map[string]bool{doorRate: true, doorCPU: true, restRate: true, restCPU: true}},
		{"slow", 499, 299, 220, map[string]bool{doorRate: false, doorCPU: true, restRate: false, restCPU: true}},
		{"dear", 500, 300, 221, map[string]bool{doorRate: true, doorCPU: false, restRate: true, restCPU: false}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := aims(reportOf(c, rows(tt.door, tt.rest, tt.core, 0.1)))
			for name, want := range tt.met {
				if a, ok := got[name]; !ok || a.Met != want || a.Doubt {
					t.Errorf("%s: %v %v, want %v", name, a, ok, want)
				}
			}
			for _, name := range always {
				if a, ok := got[name]; !ok || !a.Met {
					t.Errorf("%s: %v %v", name, a, ok)
				}
			}
			if len(got) != len(tt.met)+len(always) {
				t.Errorf("aims: %v", got)
			}
		})
	}
	t.Run("noise beside other rows spoils nothing", func(t *testing.T) {
		t.Parallel()
		all := rows(500, 300, 220, 0)
		all[durable][0].Others = 0.4
		for name, a := range aims(reportOf(c, all)) {
			if a.Doubt != strings.Contains(name, durable) {
				t.Errorf("%s: %v", name, a)
			}
		}
	})
	t.Run("noise takes the verdict from rates and latencies, not from CPU", func(t *testing.T) {
		t.Parallel()
		for name, a := range aims(reportOf(c, rows(500, 300, 220, 0.4))) {
			if a.Doubt == strings.HasPrefix(name, "core CPU") {
				t.Errorf("%s: %v", name, a)
			}
		}
	})
}

func TestAimsAreSpelt(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]aim{
		"aim 0.50: met":         {Bound: 0.5, Least: true, Met: true},
		"aim 0.30: missed":      {Bound: 0.3, Least: true},
		"aim 2.20 at most: met": {Bound: 2.2, Met: true},
		"aim 1.20 at most: missed (noisy: no verdict)": {Bound: 1.2, Doubt: true},
	} {
		if got := a.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, tt := range []struct {
		row     string
		seconds float64
		want    string
	}{
		{startRow(10_000_000, "a kill"), 9.9, "; aim 10.00 at most: met"},
		{startRow(10_000_000, "a kill"), 10.1, "; aim 10.00 at most: missed"},
		{startRow(100_000, "a kill"), 11, ""},
	} {
		if got := startAim(tt.row, tt.seconds); got != tt.want {
			t.Errorf("%s, %v s: got %q, want %q", tt.row, tt.seconds, got, tt.want)
		}
	}
}

func TestThePeersWorkIsNoNoise(t *testing.T) {
	t.Parallel()
	r := reportOf(config{}, map[string][]sample{openBaoRow: {{Rate: 1, Others: 1.5}, {Rate: 1, Others: 1.5}}, bareP256: {{Rate: 4, Others: 0.1}, {Rate: 4, Others: 0.1}}})
	if r.Others.Mid != 0.1 {
		t.Errorf("others %v", r.Others)
	}
	if len(r.Ratios) != 1 || r.Ratios[0].Spread.Mid != 0.25 {
		t.Errorf("ratios %v", r.Ratios)
	}
}

func TestReportPrintsAndMarshals(t *testing.T) {
	t.Parallel()
	r := newReport(config{Rounds: 1, Callers: []int{32}, Delays: []time.Duration{time.Millisecond}})
	for _, row := range []string{bareRow, restRow(32)} {
		if err := r.take(0, row, func() (sample, error) { return sample{Rate: 100, Core: 50, Client: 25, Others: 1}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	lost := errors.New("lost")
	if err := r.take(2, durable, func() (sample, error) { return sample{}, lost }); !errors.Is(err, lost) || !strings.Contains(err.Error(), durable+", round 3") {
		t.Errorf("take: %v", err)
	}
	r.Starts[startRow(100, "a kill")] = 1.5
	r.Log["entries a second"] = []float64{1, 2, 3}
	r.Memory["10 wallets"] = 64
	r.finish()
	var out strings.Builder
	r.print(&out)
	for _, want := range []string{"aim 0.30: met (noisy: no verdict)", "aim 2.20 at most: met\n", "noisy: others used 1.00 cores (median of all)", "after a kill: 1.50 s\n", "entries a second, 32 callers: 2",
		"with 10 wallets: 64 MiB", "100 [100-100]", "flush delay 1ms"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") {
		t.Errorf("no number:\n%s", out.String())
	}
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var back report
	if err := json.Unmarshal(b, &back); err != nil || len(back.Ratios) != len(r.Ratios) || back.Ratios[0] != r.Ratios[0] && back.Ratios[0].Spread != r.Ratios[0].Spread {
		t.Errorf("%v: %s", err, b)
	}
}

func TestConfiguration(t *testing.T) {
	t.Setenv(openBaoVariable, "")
	def, err := parse([]string{"--core", "c", "--server", "s"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(def.Callers, []int{1, 32, 256}) || def.estimate() >= 7*time.Minute {
		t.Errorf("default: %+v takes %v", def, def.estimate())
	}
	full, err := parse([]string{"--core", "c", "--server", "s", "--full"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(full.Callers, []int{1, 8, 32, 64, 256}) || len(full.Delays) != 3 || slices.Max(full.Wallets) != 100_000 || slices.Max(full.Entries) != 10_000_000 ||
		full.estimate() < 10*time.Minute {
		t.Errorf("full: %+v takes %v", full, full.estimate())
	}
	for _, args := range [][]string{{}, {"--core", "c", "x"}, {"--core", "c", "--rounds", "0"}, {"--core", "c", "--length", "0s"}, {"--core", "c", "--flush-delay", "-1s"}, {"--what"}} {
		if _, err := parse(args); err == nil {
			t.Errorf("%v was accepted", args)
		}
	}
}

func TestPartsAndKeys(t *testing.T) {
	t.Parallel()
	of := func(args ...string) config {
		c, err := parse(append([]string{"--core", "x"}, args...))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	all, one, full := of(), of("--only", "anchors,life"), of("--full")
	if !slices.Equal(all.Parts, parts()) || !slices.Equal(one.Parts, []string{partAnchors, partLife}) || all.Keys != 1000 || full.Keys != 100_000 || of("--keys", "7").Keys != 7 {
		t.Errorf("%v %d, %v, %d", all.Parts, all.Keys, one.Parts, full.Keys)
	}
	sum := time.Duration(0)
	for _, p := range parts() {
		sum += of("--only", p).estimate()
	}
	if d := sum - all.estimate(); d > 5*time.Second || d < -5*time.Second {
		t.Errorf("the parts take %v, all %v", sum, all.estimate())
	}
	for _, bad := range [][]string{{"--only", "nonsense"}, {"--keys", "-1"}} {
		if _, err := parse(append([]string{"--core", "x"}, bad...)); err == nil {
			t.Errorf("%v was taken", bad)
		}
	}
}

// The rows of anchors count the witnesses' and the TPM's work as other load, so they say nothing about the machine.
func TestAnchorRowsAndFigures(t *testing.T) {
	t.Parallel()
	c := config{}
	r := reportOf(c, map[string][]sample{
		anchorRow(anchorFile, 1):    {{Rate: 100, P50: 2}},
		anchorRow(anchorWitness, 1): {{Rate: 50, P50: 5, Others: 0.9}},
	})
	if r.Others.Mid != 0 {
		t.Errorf("other load %v", r.Others)
	}
	got := map[string]float64{}
	for _, x := range r.Ratios {
		got[x.Name] = x.Spread.Mid
	}
	if got["rate, anchor witness, 1 callers / anchor file, 1 callers"] != 0.5 || got["p50, anchor witness, 1 callers / anchor file, 1 callers"] != 2.5 {
		t.Errorf("%v", got)
	}
	r.Config.Delays = []time.Duration{0}
	r.note(12.5, "restore of %d keys: seconds", 7)
	var out strings.Builder
	r.print(&out)
	if !strings.Contains(out.String(), "restore of 7 keys: seconds: 12.5\n") {
		t.Errorf("%s", out.String())
	}
}

// What a domain of the decisions part holds is in its document, with as many rules as it is named after.
func TestRuled(t *testing.T) {
	t.Parallel()
	for _, x := range ruledList() {
		d := domain{service: newPerson(), holds: x}
		for range 3 {
			d.officers = append(d.officers, newPerson())
		}
		doc := d.document()
		rules := len(doc.Routes) + len(doc.Guards) + len(doc.Limits)
		if _, err := policy.Compile(doc); err != nil || rules != x.rules || (doc.Whitelist != nil) != x.large() || (len(doc.Limits) == 5) != x.large() {
			t.Errorf("%v: %v, %d rules, %d of them limits", x, err, rules, len(doc.Limits))
		}
	}
}
