// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/counts"
	"strongroom/internal/pure/policy"
	"strongroom/internal/svc/monitor"
)

const (
	rulesFile = "../../../deploy/monitoring/alerts.yml"
	root      = "../../.."
)

// rule is an alert of the file.
type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) (out []rule) {
	t.Helper()
	b, err := os.ReadFile(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	var f struct {
		Groups []struct {
			Name  string
			Rules []rule
		}
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	for _, g := range f.Groups {
		out = append(out, g.Rules...)
	}
	if len(out) < 70 {
		t.Fatalf("%d alerts", len(out))
	}
	return out
}

var (
	metricName = regexp.MustCompile(`strongroom_[a-z0-9_]+`)
	matched    = regexp.MustCompile(`(strongroom_\w+)\{(?:event|kind)=~?"([^"]+)"\}`)
)

// ordinary are events of the log that happen all day and alarm nobody.
var ordinary = []string{"addresses_made", "app_uses", "approved", "asked", "blobs_erased", "domain_began", "keys_enciphered", "permitted", "prices_told", "reanchored_whole", "session_opened", "signed", "snapshot", "verdicts_told"}

// TestAlertsAreOfMetricsThatThereAre: no alert names a metric or an event that nothing exports, and no event is without an alert.
func TestAlertsAreOfMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	have := map[string]bool{}
	for series := range quiet(t).text() {
		name, labels, _ := strings.Cut(series, "{")
		have[name] = true
		for _, m := range regexp.MustCompile(`(?:event|kind)="([^"]+)"`).FindAllStringSubmatch(labels, -1) {
			have[name+" "+m[1]] = true
		}
	}
	told := map[string]bool{}
	for _, r := range rules(t) {
		for _, m := range metricName.FindAllString(r.Expr, -1) {
			if !have[m] {
				t.Errorf("%s: nothing exports %s", r.Alert, m)
			}
		}
		for _, m := range matched.FindAllStringSubmatch(r.Expr, -1) {
			for e := range strings.SplitSeq(m[2], "|") {
				if told[m[1]+" "+e] = true; !have[m[1]+" "+e] {
					t.Errorf("%s: nothing exports %s of %s", r.Alert, e, m[1])
				}
			}
		}
	}
	for s := range have {
		name, event, ok := strings.Cut(s, " ")
		if ok && strings.HasSuffix(name, "_events_total") && !told[s] && !slices.Contains(ordinary, event) {
			t.Errorf("%s: no alert tells of %s, and it is not among the ordinary events", name, event)
		}
	}
}

func TestGatewayMetricsAreThere(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("../../edge/grep11/meter.go")
	if err != nil {
		t.Fatal(err)
	}
	for series := range quiet(t).gateway {
		if name, _, _ := strings.Cut(series, "{"); !bytes.Contains(b, []byte(`head("`+name+`"`)) {
			t.Errorf("the gateway exports no %s", name)
		}
	}
}

// TestMetricsOfOthersAreThere: log witness and log store export what alerts are made of, under these names and outcomes.
func TestMetricsOfOthersAreThere(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for program, file := range map[string]string{"witness": "../witnessapp/witnessapp.go", "logstore": "../logstoreapp/server.go"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		named := regexp.MustCompile(`counts\.New\("` + program + `", now, (.+)\)`).FindSubmatch(b)
		if named == nil {
			t.Fatalf("%s counts nothing under its name", file)
		}
		var outcomes []string
		for o := range strings.SplitSeq(string(named[1]), ", ") {
			outcomes = append(outcomes, strings.Trim(o, `"`))
		}
		c, err := counts.New(program, time.Now, outcomes...)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Write(&text); err != nil {
			t.Fatal(err)
		}
	}
	for series := range quiet(t).others {
		if !strings.Contains(text.String(), "\n"+series+" ") {
			t.Errorf("nothing exports %s", series)
		}
	}
}

// TestAlertsHaveRunbooks: each alert has a severity, a sentence and a section that says what to do; no section is of no alert.
func TestAlertsHaveRunbooks(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(filepath.Join(root, "docs", "runbooks", "alerts.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^## (\w+)$`).FindAllSubmatch(b, -1) {
		sections[string(m[1])] = true
	}
	for _, r := range rules(t) {
		if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) || r.Annotations["summary"] == "" {
			t.Errorf("%s: severity %q, summary %q", r.Alert, r.Labels["severity"], r.Annotations["summary"])
		}
		if want := "docs/runbooks/alerts.md#" + strings.ToLower(r.Alert); r.Annotations["runbook"] != want || !sections[r.Alert] {
			t.Errorf("%s: runbook %q, section %v", r.Alert, r.Annotations["runbook"], sections[r.Alert])
		}
		delete(sections, r.Alert)
	}
	if len(sections) > 0 {
		t.Errorf("sections of no alert: %v", slices.Sorted(maps.Keys(sections)))
	}
}

// check is a test of promtool.
type check struct {
	Interval    string              `yaml:"interval"`
	Series      []map[string]string `yaml:"input_series"`
	Expressions []expression        `yaml:"promql_expr_test"`
}

type expression struct {
	Expr    string           `yaml:"expr"`
	At      string           `yaml:"eval_time"`
	Samples []map[string]any `yaml:"exp_samples"`
}

// quietFor is how many samples a world is quiet for before the event.
const quietFor = 60

// step is between two samples and evaluations of an alert that must wait so long, in minutes.
func step(wait time.Duration) int {
	if wait > 2*time.Hour {
		return 10
	}
	return 1
}

// waitOf gives how long an alert waits until it fires.
func waitOf(t *testing.T, r rule) time.Duration {
	t.Helper()
	s := r.For
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil {
			t.Fatal(err)
		}
		s = fmt.Sprintf("%dh", 24*n)
	}
	if s == "" {
		return 0
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// checkOf makes the test of one alert: while the world is quiet it does not fire, and after the event it does.
func checkOf(t *testing.T, r rule, before map[string]string, w *world) check {
	t.Helper()
	after, wait := w.text(), waitOf(t, r)+w.later
	minutes := step(wait)
	left := int(wait.Minutes())/minutes + 5
	c := check{Interval: fmt.Sprintf("%dm", minutes)}
	names := metricName.FindAllString(r.Expr, -1)
	for _, series := range slices.Sorted(maps.Keys(before)) {
		name, _, _ := strings.Cut(series, "{")
		if !slices.Contains(names, name) {
			continue
		}
		values := fmt.Sprintf("%s+0x%d", before[series], quietFor-1)
		switch later, there := after[series]; {
		case name == "strongroom_collected_timestamp_seconds" && w.stopped:
			values = fmt.Sprintf("0+%dx%d %d+0x%d", 60*minutes, quietFor-1, 60*minutes*(quietFor-1), left)
		case name == "strongroom_collected_timestamp_seconds":
			values = fmt.Sprintf("0+%dx%d", 60*minutes, quietFor+left)
		case there:
			values += fmt.Sprintf(" %s+0x%d", later, left)
		}
		c.Series = append(c.Series, map[string]string{"series": series, "values": values})
	}
	at := func(n int) string { return fmt.Sprintf("%dm", n*minutes) }
	c.Expressions = []expression{{fmt.Sprintf("ALERTS{alertname=%q}", r.Alert), at(quietFor - 1), nil},
		{fmt.Sprintf("count(ALERTS{alertname=%q,alertstate=\"firing\"}) > bool 0", r.Alert), at(quietFor + left - 2), []map[string]any{{"labels": "{}", "value": 1}}}}
	return c
}

// promtool runs the checks.
func promtool(t *testing.T, tool, file string, minutes int, checks []check) {
	t.Helper()
	b, err := yaml.Marshal(map[string]any{"rule_files": []string{file}, "evaluation_interval": fmt.Sprintf("%dm", minutes), "tests": checks})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "alerts.test.yml")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"check", "rules", file}, {"test", "rules", path}} {
		if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", args[0], err, out)
		}
	}
}

// TestEachAlertFires: each event is made to happen, what is exported then is given to Prometheus, and its alert fires, and not before.
func TestEachAlertFires(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("%v: scripts/setup installs the package prometheus, which has it", err)
	}
	file, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	acts := trips()
	checks := map[int][]check{} // by step
	for _, r := range rules(t) {
		act, ok := acts[strings.TrimPrefix(r.Alert, "Strongroom")]
		if !ok {
			t.Errorf("%s: say in trips how it is made to fire", r.Alert)
			continue
		}
		delete(acts, strings.TrimPrefix(r.Alert, "Strongroom"))
		w := quiet(t)
		before := w.text()
		act(w)
		minutes := step(waitOf(t, r) + w.later)
		checks[minutes] = append(checks[minutes], checkOf(t, r, before, w))
	}
	if len(acts) > 0 {
		t.Errorf("trips of no alert: %v", slices.Sorted(maps.Keys(acts)))
	}
	for minutes, list := range checks {
		promtool(t, tool, file, minutes, list)
	}
}

// TestMetricsAreWellFormed: Prometheus's own check has nothing to say about what is exported.
func TestMetricsAreWellFormed(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatalf("%v: scripts/setup installs the package prometheus, which has it", err)
	}
	w := quiet(t)
	w.entries(asking(policy.Denied))
	var b bytes.Buffer
	if err := monitor.Write(&b, w.facts); err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), tool, "check", "metrics")
	c.Stdin = &b
	if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}
