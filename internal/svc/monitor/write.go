// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// ContentType is of what [Write] writes: the text format of Prometheus.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// writer writes metrics in the text format.
type writer struct{ *bufio.Writer }

func (w writer) head(name, kind, help string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (w writer) gauge(name, help string, v float64) {
	w.head(name, "gauge", help)
	fmt.Fprintf(w, "%s %s\n", name, number(v))
}

func (w writer) flag(name, help string, v bool) {
	n := 0.0
	if v {
		n = 1
	}
	w.gauge(name, help, n)
}

// sample writes a sample with labels: name, value, name, value, …
func (w writer) sample(name string, v float64, labels ...string) {
	var parts []string
	for i := 0; i < len(labels); i += 2 {
		parts = append(parts, labels[i]+`="`+escape(labels[i+1])+`"`)
	}
	fmt.Fprintf(w, "%s{%s} %s\n", name, strings.Join(parts, ","), number(v))
}

func escape(s string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(s) }

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// Write writes the metrics of what is known. A gauge whose value is not known is left out.
func Write(to io.Writer, f Facts) error {
	w := writer{bufio.NewWriter(to)}
	w.gauge("strongroom_collected_timestamp_seconds", "When this was collected, Unix time.", seconds(f.At))
	open := f.Status != nil && f.Status.Starting == ""
	w.flag("strongroom_core_answers", "Whether the core answers at its door.", f.Status != nil)
	w.flag("strongroom_core_up", "Whether the core answers, is open and decides.", open && f.Status.Failed == "")
	if open {
		w.core(f.Status)
		w.domain(f.Status)
	}
	if f.Meters != nil {
		w.meters(f.Meters)
	}
	if f.Log != nil {
		w.log(f.Log)
	}
	w.serve(f)
	return w.Flush()
}

func (w writer) core(s *message.Status) {
	w.flag("strongroom_core_failed", "Whether the core is open but decides nothing any more.", s.Failed != "")
	w.flag("strongroom_core_memory_locked", "Whether memory that holds keys is locked.", s.MemoryLocked)
	w.flag("strongroom_core_time_certain", "Whether the core is sure of the time.", s.TimeCertain)
	w.gauge("strongroom_core_time_bound_seconds", "The true time is within this of the core's.", time.Duration(s.Bound).Seconds())
	w.gauge("strongroom_core_time_sources", "Sources that an authenticated time rests on.", float64(len(s.TimeSources)))
	w.gauge("strongroom_core_keys_unlocked", "Keys open in memory.", float64(s.KeysUnlocked))
	w.gauge("strongroom_core_sessions", "Sessions of services.", float64(s.Sessions))
	w.gauge("strongroom_core_writer_epoch", "Writer epoch of the log.", float64(s.Writer))
	w.gauge("strongroom_log_entries", "Entries of the log.", float64(s.Size))
	w.gauge("strongroom_log_pinned_entries", "Entries below the pin.", float64(s.Pinned))
	w.flag("strongroom_recheck_fault", "Whether the last full re-check found something false.", s.Check.Fault != "")
	w.gauge("strongroom_requests_pending", "Requests that wait.", float64(s.Pending))
}

func (w writer) domain(s *message.Status) {
	w.flag("strongroom_domain_zeroized", "Whether the domain is zeroized.", s.Life.Phase == authority.Zeroized.String())
	w.flag("strongroom_rotation_open", "Whether a rotation of the working key is not over.", s.Life.Next != nil || s.Life.Previous != nil)
	w.flag("strongroom_rotation_stuck", "Whether enciphering or erasing stands still.", s.Life.Fault != "")
	w.gauge("strongroom_blobs_doomed", "Blobs that are being erased.", float64(s.Life.Doomed))
	w.gauge("strongroom_log_incarnation", "Incarnation of the log.", float64(max(s.Incarnation, 1)))
	w.flag("strongroom_reanchoring", "Whether a re-anchoring is under way or was cancelled.", s.Reanchoring != nil)
	w.gauge("strongroom_wallets_held", "Wallets that sign nothing before they are reconciled.", float64(s.Held))
	w.gauge("strongroom_token_keys_missing", "Keys of wallets that are not in the token.", float64(s.MissingKeys))
	w.testimony(s)
	w.gauge("strongroom_warm_sessions", "Open sessions of warm wallets.", float64(s.WarmSessions))
}

// testimony writes how what sources outside tell is. Sources are named by the rule document, which has at most 16 of them.
func (w writer) testimony(s *message.Status) {
	w.gauge("strongroom_prices_missing", "Pairs of the rules that have no value.", float64(s.NoPrices))
	w.gauge("strongroom_price_age_seconds", "Age of the oldest quote in use.", float64(s.PriceAge))
	kept, silent, newest := uint64(0), 0, "strongroom_screening_newest_timestamp_seconds"
	w.head(newest, "gauge", "Time of what a source of screening said last, Unix time; 0: nothing yet.")
	if s.Screening != nil {
		kept = s.Screening.Kept
		for _, x := range s.Screening.Sources {
			if x.Silent {
				silent++
			}
			w.sample(newest, float64(x.Newest), "source", x.ID)
		}
	}
	w.gauge("strongroom_verdicts_kept", "Verdicts of screening that are kept.", float64(kept))
	w.gauge("strongroom_screening_silent", "Sources of screening that have said nothing for so long that none of their verdicts counts.", float64(silent))
}

func (w writer) meters(m *message.Meters) {
	w.gauge("strongroom_core_start_time_seconds", "When the core started, Unix time.", seconds(time.Unix(0, m.Started)))
	const refused = "strongroom_core_refused_total"
	w.head(refused, "counter", "Calls at the door that ended with a problem, by kind.")
	kinds := map[problem.Kind]uint64{}
	for _, r := range m.Refused {
		kinds[r.Kind] += r.Count
	}
	for _, k := range problem.Kinds() {
		w.sample(refused, float64(kinds[k]), "kind", string(k))
	}
	const events = "strongroom_core_events_total"
	w.head(events, "counter", "What the core's log tells of, by event.")
	for _, e := range m.Events {
		w.sample(events, float64(e.Count), "event", string(e.Event))
	}
	if m.Backup > 0 {
		w.gauge("strongroom_backup_timestamp_seconds", "When the last backup was finished since the core's start, Unix time.", seconds(time.Unix(0, m.Backup)))
	}
	u := m.Use
	if u == nil {
		return
	}
	const limit = "strongroom_limit_used_ratio"
	w.head(limit, "gauge", "Part of a limit that is used or reserved, in the group that is nearest its end.")
	for _, l := range u.Limits {
		w.sample(limit, float64(l.PerMille)/1000, "limit", l.Limit)
	}
	w.gauge("strongroom_app_grants_near_end", "Grants to applications that end within a week, or have less than a fifth of their uses left.", float64(u.GrantsNear))
	w.gauge("strongroom_warm_sessions_end_seconds", "When the last open session of a warm wallet ends, Unix time; 0: none is open.", float64(u.LongestOpen))
}

func (w writer) log(l *Log) {
	c := l.copy()
	w.gauge("strongroom_monitor_entries", "Entries of the log that were counted.", float64(c.Next))
	const events = "strongroom_log_events_total"
	w.head(events, "counter", "Entries of the log since its beginning, by what they tell of.")
	for _, e := range logEvents {
		w.sample(events, float64(c.Events[e]), "event", string(e))
	}
	const requests = "strongroom_requests_total"
	w.head(requests, "counter", "Requests since the log's beginning, by operation and by what the rules said at once.")
	for _, op := range request.Operations() {
		for _, o := range []policy.Outcome{policy.Allowed, policy.Denied, policy.Held} {
			w.sample(requests, float64(c.Operations[string(op)+" "+string(o)]), "operation", string(op), "outcome", string(o))
		}
	}
	const rules = "strongroom_requests_refused_total"
	w.head(rules, "counter", "Requests that were refused or held at once, by rule.")
	for _, r := range slices.Sorted(maps.Keys(c.Rules)) {
		w.sample(rules, float64(c.Rules[r]), "rule", r)
	}
}

func (w writer) serve(f Facts) {
	const problems = "strongroom_serve_problems_total"
	w.head(problems, "counter", "Calls of the API and of the pages that ended with a problem, by kind.")
	for _, k := range problem.Kinds() {
		w.sample(problems, float64(f.Refused[k]), "kind", string(k))
	}
	const events = "strongroom_serve_events_total"
	w.head(events, "counter", "What serve's log tells of, by event.")
	for _, e := range serveEvents {
		w.sample(events, float64(f.Lines[e]), "event", string(e))
	}
	const up, behind, peers = "strongroom_node_up", "strongroom_node_behind_blocks", "strongroom_node_peers"
	w.head(up, "gauge", "Whether a chain's node answers.")
	for _, c := range f.Chains {
		v := 0.0
		if c.Error == "" {
			v = 1
		}
		w.sample(up, v, "chain", string(c.Chain))
	}
	w.head(behind, "gauge", "Blocks that a node has still to fetch.")
	for _, c := range f.Chains {
		w.sample(behind, float64(c.Behind), "chain", string(c.Chain))
	}
	w.head(peers, "gauge", "Peers of a node.")
	for _, c := range f.Chains {
		w.sample(peers, float64(c.Peers), "chain", string(c.Chain))
	}
	const free, end = "strongroom_disk_free_ratio", "strongroom_certificate_end_seconds"
	w.head(free, "gauge", "Part of a folder's file system that is free.")
	for _, d := range f.Folders {
		w.sample(free, d.Free, "folder", d.Name)
	}
	w.head(end, "gauge", "When a certificate ends, Unix time.")
	for _, e := range f.Ends {
		w.sample(end, seconds(e.At), "certificate", e.Name)
	}
}
