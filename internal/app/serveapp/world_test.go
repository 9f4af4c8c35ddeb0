// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

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

// memory is a store of counts.
type memory struct{ b []byte }

func (m *memory) Load() ([]byte, error) { return m.b, nil }
func (m *memory) Save(b []byte) error   { m.b = b; return nil }

// world is all that the metrics are made of.
type world struct {
	t       *testing.T
	facts   monitor.Facts
	gateway map[string]float64
	others  map[string]float64 // of log witness and log store
	stopped bool               // nothing is collected any more
	later   time.Duration      // that must pass until somebody minds
}

// quiet is a world where nothing is to be told.
func quiet(t *testing.T) *world {
	t.Helper()
	l, err := monitor.OpenLog(&memory{})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, gateway: map[string]float64{`strongroom_grep11_refused_credentials_total`: 0, `strongroom_grep11_panics_total`: 0,
		`strongroom_grep11_calls_total{function="Sign",code="CKR_OK"}`: 0, `strongroom_grep11_calls_total{function="Sign",code="CKR_KEY_UNEXTRACTABLE"}`: 0, `strongroom_grep11_since_success_seconds`: 5},
		others: map[string]float64{`strongroom_witness_since_success_seconds`: 5, `strongroom_witness_requests_total{outcome="failed"}`: 0,
			`strongroom_witness_requests_total{outcome="inconsistent"}`: 0, `strongroom_logstore_requests_total{outcome="failed"}`: 0, `strongroom_logstore_requests_total{outcome="refused"}`: 0}}
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
	for _, more := range []map[string]float64{w.gateway, w.others} {
		for k, v := range more {
			out[k] = fmt.Sprint(v)
		}
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
		"Frozen":           func(w *world) { w.entries(&entry.Effect{Oversight: &entry.Oversight{Mode: policy.Frozen}}) },
		"Resumed":          func(w *world) { w.entries(&entry.Effect{Oversight: &entry.Oversight{Mode: policy.Normal}}) },
		"RequestHeld":      func(w *world) { w.entries(&entry.Effect{Oversight: &entry.Oversight{Held: []byte{1}}}) },
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
		"PricesMissing":    func(w *world) { w.facts.Status.NoPrices = 1 },
		"ScreeningSilent": func(w *world) {
			w.facts.Status.Screening = &message.ScreeningStatus{Sources: []message.ScreeningSource{{ID: "screen", Silent: true}}}
		},
		"VerdictsFull": func(w *world) { w.facts.Status.Screening = &message.ScreeningStatus{Kept: 80_001} },

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
		"GatewayStuck": func(w *world) {
			w.gateway[`strongroom_grep11_since_success_seconds`] = 901
			w.gateway[`strongroom_grep11_calls_total{function="Sign",code="CKR_KEY_UNEXTRACTABLE"}`] = 3
		},
		"OwnWitnessFailed":       func(w *world) { w.others[`strongroom_witness_requests_total{outcome="failed"}`] = 1 },
		"OwnWitnessInconsistent": func(w *world) { w.others[`strongroom_witness_requests_total{outcome="inconsistent"}`] = 1 },
		"OwnWitnessQuiet":        func(w *world) { w.others[`strongroom_witness_since_success_seconds`] = 86401 },
		"LogStoreFailed":         func(w *world) { w.others[`strongroom_logstore_requests_total{outcome="failed"}`] = 1 },
		"LogStoreRefuses":        func(w *world) { w.others[`strongroom_logstore_requests_total{outcome="refused"}`] = 6 },
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
