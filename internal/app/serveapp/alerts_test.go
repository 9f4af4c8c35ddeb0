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

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
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

// memory is a store of counts.
type memory struct{ b []byte }

func (m *memory) Load() ([]byte, error) { return m.b, nil }
func (m *memory) Save(b []byte) error   { m.b = b; return nil }

// world is all that the metrics are made of.
type world struct {
	t       *testing.T
	facts   monitor.Facts
	gateway map[string]float64
	stopped bool          // nothing is collected any more
	later   time.Duration // that must pass until somebody minds
}

// quiet is a world where nothing is to be told.
func quiet(t *testing.T) *world {
	t.Helper()
	l, err := monitor.OpenLog(&memory{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, gateway: map[string]float64{`strongroom_grep11_refused_credentials_total`: 0, `strongroom_grep11_panics_total`: 0,
		`strongroom_grep11_calls_total{function="Sign",code="CKR_OK"}`: 0, `strongroom_grep11_calls_total{function="Sign",code="CKR_KEY_UNEXTRACTABLE"}`: 0}}
	m := &message.Meters{Backup: int64(time.Second), Use: &message.Pressure{Limits: []message.LimitUse{{Limit: "daily", PerMille: 500}}}}
	for _, e := range message.Events() {
		m.Events = append(m.Events, message.EventCount{Event: e})
	}
	w.facts = monitor.Facts{At: time.Unix(0, 0), Log: l, Meters: m, Refused: map[problem.Kind]uint64{}, Lines: map[monitor.ServeEvent]uint64{},
		Status: &message.Status{MemoryLocked: true, TimeCertain: true, Size: 3, Pinned: 3, TimeSources: []string{"a", "b", "c"}, Life: message.Life{Phase: "operational"}},
		Chains: []apiv1.Chain{{Chain: "eip155:1", Peers: 3}}, Folders: []monitor.Folder{{Name: "data", Free: 0.5}, {Name: "tiles", Free: 0.5}},
		Ends: []monitor.End{{Name: "authority", At: time.Unix(0, 0).AddDate(5, 0, 0)}}}
	w.entries(&entry.Genesis{}, &entry.Snapshot{}, &entry.Snapshot{})
	return w
}

// entries appends entries to the log, which is counted.
func (w *world) entries(bodies ...any) {
	w.t.Helper()
	c, err := w.facts.Log.Cursor(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, b := range bodies {
		e := feed.Entry{Leaf: entry.Leaf{Seq: c.Next, Kind: kindOf(b), KindVersion: 1}, Body: canon.Encode(b)}
		if err := w.facts.Log.Fold(w.t.Context(), []feed.Entry{e}); err != nil {
			w.t.Fatal(err)
		}
		c.Next++
	}
	w.facts.Status.Size, w.facts.Status.Pinned = c.Next, c.Next
}

func kindOf(body any) entry.Kind {
	return entry.Kind(strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", body), "*entry.")))
}

// event counts an event of the core.
func (w *world) event(e message.Event, n uint64) {
	i := slices.IndexFunc(w.facts.Meters.Events, func(c message.EventCount) bool { return c.Event == e })
	w.facts.Meters.Events[i].Count += n
}

// refused counts calls at the core's door.
func (w *world) refused(k problem.Kind, n uint64) {
	w.facts.Meters.Refused = append(w.facts.Meters.Refused, message.RefusedCall{Method: "submit", Kind: k, Count: n})
}

// text is what is scraped: samples by series.
func (w *world) text() map[string]string {
	w.t.Helper()
	var b bytes.Buffer
	if err := monitor.Write(&b, w.facts); err != nil {
		w.t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(b.String()) {
		if i := strings.LastIndexByte(line, ' '); !strings.HasPrefix(line, "#") {
			out[line[:i]] = strings.TrimSpace(line[i:])
		}
	}
	for k, v := range w.gateway {
		out[k] = fmt.Sprint(v)
	}
	return out
}

func asking(o policy.Outcome) *entry.Request {
	r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: request.PolicyChange, Body: canon.Encode(apiv1.NewBody(request.PolicyChange))}
	return &entry.Request{Request: r.Encode(), Decision: policy.Decision{Outcome: o, Rule: "no"}}
}

func voting(d request.Decision) *entry.Approval {
	return &entry.Approval{Approval: request.Approval{Decision: d, Sig: []byte{1}}}
}

// trips makes each alert's event happen. One that has none here fails the test.
func trips() map[string]func(*world) {
	out := map[string]func(*world){
		"RequestRefused":   func(w *world) { w.entries(asking(policy.Denied)) },
		"ActRefused":       func(w *world) { w.entries(&entry.Refusal{}) },
		"RequestRejected":  func(w *world) { w.entries(voting(request.Reject)) },
		"RulesChanged":     func(w *world) { w.entries(&entry.Effect{Document: []byte{1}}) },
		"WalletMade":       func(w *world) { w.entries(&entry.Effect{Wallet: &entry.Wallet{}}) },
		"KeyMoved":         func(w *world) { w.entries(&entry.Offline{}) },
		"WarmChanged":      func(w *world) { w.entries(&entry.Effect{Warm: &entry.Warm{}}) },
		"AppsChanged":      func(w *world) { w.entries(&entry.Effect{App: &entry.App{}}) },
		"LifeChanged":      func(w *world) { w.entries(&entry.Effect{Life: &entry.Life{}}) },
		"WalletReconciled": func(w *world) { w.entries(&entry.Effect{Slots: &entry.Slots{}}) },
		"Tampered":         func(w *world) { w.entries(&entry.Tamper{Cause: "lid"}) },
		"LogReanchored":    func(w *world) { w.entries(&entry.Gap{}) },
		"WriterChanged":    func(w *world) { w.entries(&entry.Writer{}) },
		"UnknownEntry":     func(w *world) { w.entries(&struct{}{}) },

		"CoreDown":         func(w *world) { w.facts.Status = nil },
		"CoreFailed":       func(w *world) { w.facts.Status.Failed = "append" },
		"CoreRestarted":    func(w *world) { w.facts.Meters.Started = 3600e9 },
		"MemoryNotLocked":  func(w *world) { w.facts.Status.MemoryLocked = false },
		"TokenKeysMissing": func(w *world) { w.facts.Status.MissingKeys = 1 },
		"Zeroized":         func(w *world) { w.facts.Status.Life.Phase = "zeroized" },
		"RotationOpen":     func(w *world) { w.facts.Status.Life.Next = &message.Register{} },
		"RotationStuck":    func(w *world) { w.facts.Status.Life.Fault = "disk" },
		"BlobsDoomed":      func(w *world) { w.facts.Status.Life.Doomed = 1 },
		"TimeUncertain":    func(w *world) { w.facts.Status.TimeCertain = false },
		"TimeSourceLost":   func(w *world) { w.facts.Status.TimeSources = []string{"a", "b"} },
		"RecheckFault":     func(w *world) { w.facts.Status.Check.Fault = "entry 7" },
		"AnchorBehind":     func(w *world) { w.facts.Status.Size++ },
		"Reanchoring":      func(w *world) { w.facts.Status.Reanchoring = &message.Reanchoring{} },
		"WalletsHeld":      func(w *world) { w.facts.Status.Held = 1 },

		"CoreInternal":          func(w *world) { w.refused(problem.Internal, 1) },
		"AuthenticationsFailed": func(w *world) { w.refused(problem.Unauthenticated, 6) },
		"Replays":               func(w *world) { w.refused(problem.AlreadyDone, 40) },
		"OutsideBounds":         func(w *world) { w.refused(problem.OutsideBounds, 1) },
		"LockedOut":             func(w *world) { w.refused(problem.Locked, 1) },

		"LimitNearEnd":      func(w *world) { w.facts.Meters.Use.Limits[0].PerMille = 801 },
		"GrantsNearEnd":     func(w *world) { w.facts.Meters.Use.GrantsNear = 1 },
		"WarmSessionOpen":   func(w *world) { w.facts.Status.WarmSessions = 1 },
		"WarmSessionLong":   func(w *world) { w.facts.Meters.Use.LongestOpen = 4 * 86400 },
		"BackupOld":         func(w *world) { w.later = 37 * time.Hour },
		"CertificateEnding": func(w *world) { w.facts.Ends[0].At = time.Unix(29*86400, 0) },
		"DiskFull":          func(w *world) { w.facts.Folders[0].Free = 0.09 },

		"MetricsOld":         func(w *world) { w.stopped = true },
		"LogNotFollowed":     func(w *world) { w.facts.Status.Pinned += 200; w.facts.Status.Size += 200 },
		"ClientsRefused":     func(w *world) { w.facts.Refused[problem.Unauthenticated] = 30 },
		"NodeDown":           func(w *world) { w.facts.Chains[0].Error = "gone" },
		"NodeBehind":         func(w *world) { w.facts.Chains[0].Behind = 11 },
		"NodeAlone":          func(w *world) { w.facts.Chains[0].Peers = 0 },
		"GatewayCredentials": func(w *world) { w.gateway[`strongroom_grep11_refused_credentials_total`] = 12 },
		"GatewayPanics":      func(w *world) { w.gateway[`strongroom_grep11_panics_total`] = 1 },
		"GatewayRefusals": func(w *world) {
			w.gateway[`strongroom_grep11_calls_total{function="Sign",code="CKR_KEY_UNEXTRACTABLE"}`] = 200
		},
	}
	for name, e := range map[string]message.Event{"CoreError": message.EventCoreError, "CoreWarning": message.EventCoreWarning, "KeysWiped": message.EventKeysWiped,
		"WorkingKeyMissing": message.EventWorkingKeyAway, "TokenTrouble": message.EventTokenTrouble, "Tampering": message.EventTampering, "EpochsStuck": message.EventEpochsStuck,
		"TimeDoubted": message.EventTimeUncertain, "ClockStepped": message.EventClockStepped, "TimeSourceSilent": message.EventTimeSilent, "DoorPeerRefused": message.EventPeerRefused,
		"DoorViolation": message.EventDoorViolation, "SnapshotFailed": message.EventSnapshotFailed, "RecheckFound": message.EventRecheckFault, "AppCallFailed": message.EventAppCallFailed,
		"WitnessMissing": message.EventWitnessMissing, "WitnessRefuses": message.EventWitnessRefuses, "MarksUsedUp": message.EventMarksUsedUp} {
		n := uint64(1)
		if e == message.EventTimeSilent {
			n = 5
		}
		out[name] = func(w *world) { w.event(e, n) }
	}
	for name, e := range map[string]monitor.ServeEvent{"LogUnread": "log_unread", "CacheMadeAnew": "cache_made_anew", "TransfersStopped": "transfers_stopped", "TransferWaits": "transfer_waits",
		"NonceGap": "nonce_gap", "ForeignReplacement": "foreign_replacement", "Reorg": "reorg", "ServeTrouble": "warning", "CallsFailed": "call_failed"} {
		out[name] = func(w *world) { w.facts.Lines[e] += 12 }
	}
	return out
}

var (
	metricName = regexp.MustCompile(`strongroom_[a-z0-9_]+`)
	matched    = regexp.MustCompile(`(strongroom_\w+)\{(?:event|kind)=~?"([^"]+)"\}`)
)

// ordinary are events of the log that happen all day and alarm nobody.
var ordinary = []string{"addresses_made", "app_uses", "approved", "asked", "blobs_erased", "domain_began", "keys_enciphered", "permitted", "reanchored_whole", "session_opened", "signed", "snapshot"}

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
