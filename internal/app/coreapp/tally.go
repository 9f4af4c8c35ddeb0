// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/gate/tally"
	"strongroom/internal/pure/problem"
)

// events says which event a line of the core's log tells of. Messages of log lines are constant; a test looks for each warning and error of the
// core's sources here.
var events = map[string]message.Event{
	"a call of an application failed":                          message.EventAppCallFailed,
	"door cannot accept":                                       message.EventDoorFailed,
	"door handler panicked":                                    message.EventDoorFailed,
	"door connection cut":                                      message.EventDoorViolation,
	"door handshake failed":                                    message.EventDoorViolation,
	"door connection broken off":                               message.EventDoorViolation,
	"door connection turned away":                              message.EventDoorViolation,
	"door peer unknown":                                        message.EventPeerRefused,
	"door peer refused":                                        message.EventPeerRefused,
	"work on the domain's epochs stands still":                 message.EventEpochsStuck,
	"unsealed keys wiped":                                      message.EventKeysWiped,
	"the anchor does not mark this: today's marks are used up": message.EventMarksUsedUp,
	"the re-check found a fault":                               message.EventRecheckFault,
	"snapshot not recorded":                                    message.EventSnapshotFailed,
	"snapshot not written":                                     message.EventSnapshotFailed,
	"snapshot not usable":                                      message.EventSnapshotFailed,
	"snapshot does not lead to the pin":                        message.EventSnapshotFailed,
	"tampering: the working keys are destroyed":                message.EventTampering,
	"tampering: the working keys are destroyed before the domain opens; remove the file before a restore": message.EventTampering,
	"tampering: not all could be done; the core ends and goes on at its next start":                       message.EventTampering,
	"time source does not answer":                  message.EventTimeSilent,
	"time is not certain":                          message.EventTimeUncertain,
	"nothing is decided until the time is certain": message.EventTimeUncertain,
	"the note of a key's birth was altered and is removed; the key, if it is there, stays in the token": message.EventTokenTrouble,
	"what the status says of keys in the token is of before":                                            message.EventTokenTrouble,
	"not every log witness confirmed the log":                                                           message.EventWitnessMissing,
	"the last entries were not cosigned before the end; the next start finishes them":                   message.EventWitnessMissing,
	"a log witness refuses the log":                                                                     message.EventWitnessRefuses,
	"working key can't be loaded":                                                                       message.EventWorkingKeyAway,
	"the log does not take what zeroized the domain; the working keys are destroyed before it does":     message.EventZeroizeNotNoted,
	"blob of a seed that did not come back stays":                                                       message.EventCoreWarning,
	"sealed seed of a move that did not happen stays":                                                   message.EventCoreWarning,
	"blob of an unused key stays":                                                                       message.EventCoreWarning,
	"a working key that nothing names stays until the next load":                                        message.EventCoreWarning,
	"the note of a key's birth stays until the next birth or start":                                     message.EventCoreWarning,
	"no RSA pair is made beforehand":                                                                    message.EventCoreWarning,
	"the re-anchoring is over":                                                                          message.EventCoreWarning,
	"door request failed":                                                                               message.EventCoreError,
}

// clockCauses refine the event of a time that is not certain by what the line says of why.
var clockCauses = []struct {
	word string
	is   message.Event
}{{"was suspended", message.EventClockSuspended}, {"was stepped", message.EventClockStepped}, {"went apart", message.EventClockStepped}, {"ran back", message.EventClockStepped}}

// counts says what happens in a core. It sees what the core logs and what the door refuses; methods are safe for concurrent use.
type counts struct {
	started time.Time
	lines   *tally.Lines[message.Event]

	mu      sync.Mutex // guards all below
	refused map[refusedCall]uint64
	backup  time.Time
}

type refusedCall struct {
	method string
	kind   problem.Kind
}

func newCounts(now time.Time) *counts {
	return &counts{started: now, lines: tally.New(eventOf), refused: map[refusedCall]uint64{}}
}

// eventOf says which event a line tells of, if any.
func eventOf(r slog.Record) (message.Event, bool) {
	e, known := events[r.Message]
	switch {
	case r.Level < slog.LevelWarn && e != message.EventKeysWiped: // for instance the ordinary end of a connection
		return "", false
	case known:
	case r.Level >= slog.LevelError:
		e = message.EventCoreError
	default:
		e = message.EventCoreWarning
	}
	if e == message.EventTimeUncertain {
		r.Attrs(func(a slog.Attr) bool {
			for _, w := range clockCauses {
				if a.Key == "why" && strings.Contains(a.Value.String(), w.word) {
					e = w.is
				}
			}
			return true
		})
	}
	return e, true
}

// called counts how a call at the door ended. known says that there is such a method.
func (t *counts) called(method string, known bool, err error) {
	if !known {
		method = message.UnknownMethod
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err != nil:
		t.refused[refusedCall{method, problem.KindOf(err)}]++
	case method == message.MethodBackupClose:
		t.backup = time.Now()
	}
}

// meters gives the counts.
func (t *counts) meters(use *message.Pressure) message.Meters {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := message.Meters{Started: t.started.UnixNano(), Use: use}
	if !t.backup.IsZero() {
		out.Backup = t.backup.UnixNano()
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.refused), func(a, b refusedCall) int {
		return cmp.Or(cmp.Compare(a.method, b.method), cmp.Compare(a.kind, b.kind))
	}) {
		out.Refused = append(out.Refused, message.RefusedCall{Method: k.method, Kind: k.kind, Count: t.refused[k]})
	}
	lines := t.lines.Counts()
	for _, e := range message.Events() {
		out.Events = append(out.Events, message.EventCount{Event: e, Count: lines[e]})
	}
	return out
}

// serve adds the method that tells the counts. pressure may be nil.
func (t *counts) serve(m *gate.Mux, pressure func() *message.Pressure) {
	gate.Handle(m, message.MethodMeters, func(context.Context, gate.Caller, message.Empty) (message.Meters, error) {
		if pressure == nil {
			return t.meters(nil), nil
		}
		return t.meters(pressure()), nil
	})
}
