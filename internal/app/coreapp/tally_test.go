// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/problem"
)

// logged gives the constant messages of the warnings and errors that the sources of the core's process write.
func logged(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	levels := []string{"Warn", "WarnContext", "Error", "ErrorContext", "Log", "LogAttrs"}
	for _, root := range []string{"../../core", "../../gate", "."} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(f, func(n ast.Node) bool {
				c, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := c.Fun.(*ast.SelectorExpr)
				if !ok || !slices.Contains(levels, sel.Sel.Name) || !strings.HasSuffix(strings.ToLower(nameOf(sel.X)), "log") {
					return true
				}
				quiet := slices.ContainsFunc(c.Args, func(a ast.Expr) bool {
					s, ok := a.(*ast.SelectorExpr)
					return ok && (s.Sel.Name == "LevelInfo" || s.Sel.Name == "LevelDebug")
				})
				for _, a := range c.Args[:min(3, len(c.Args))] {
					if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING && !quiet {
						s, _ := strconv.Unquote(lit.Value)
						out[s] = path
						break
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(out) < 25 {
		t.Fatalf("found %d lines of the log: %v", len(out), out)
	}
	return out
}

// nameOf gives the last name of what a method is called on.
func nameOf(x ast.Expr) string {
	switch x := x.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return x.Sel.Name
	default:
		return ""
	}
}

// TestEveryWarningIsAnEvent: no warning or error of the core is without an event, and no event waits for a line that nobody writes.
func TestEveryWarningIsAnEvent(t *testing.T) {
	t.Parallel()
	lines := logged(t)
	for s, where := range lines {
		if _, ok := events[s]; !ok {
			t.Errorf("%s logs %q: say in tally.go which event that is", where, s)
		}
	}
	lines["unsealed keys wiped"] = "" // an information
	for s := range events {
		if _, ok := lines[s]; !ok {
			t.Errorf("the event %s waits for the line %q, which nothing writes", events[s], s)
		}
	}
	for _, e := range message.Events() {
		found := slices.ContainsFunc(clockCauses, func(w struct {
			word string
			is   message.Event
		}) bool {
			return w.is == e
		})
		for _, x := range events {
			found = found || x == e
		}
		if !found {
			t.Errorf("nothing makes the event %s", e)
		}
	}
}

func countsOf(m message.Meters) map[message.Event]uint64 {
	out := map[message.Event]uint64{}
	for _, e := range m.Events {
		if e.Count > 0 {
			out[e.Event] = e.Count
		}
	}
	return out
}

func TestTallyCountsLines(t *testing.T) {
	t.Parallel()
	var written bytes.Buffer
	ta := newCounts(time.Unix(5, 0))
	log := ta.lines.Logger(slog.New(slog.NewTextHandler(&written, &slog.HandlerOptions{Level: slog.LevelError}))).With("a", 1).WithGroup("g")
	log.Warn("a log witness refuses the log")
	log.Info("unsealed keys wiped")
	log.Info("anything else")
	log.Debug("door connection cut")
	log.Warn("door connection cut")
	log.Warn("of a later version")
	log.Error("worse, of a later version")
	log.Warn("time is not certain", slog.String("why", "the machine was suspended for 3s; the time sources are asked again"))
	log.Warn("time is not certain", slog.String("why", "the machine's clock was stepped by 3s"))
	log.Warn("time is not certain", slog.String("why", "2 of 3 time sources disagree"))
	m := ta.meters(nil)
	want := map[message.Event]uint64{message.EventWitnessRefuses: 1, message.EventKeysWiped: 1, message.EventDoorViolation: 1, message.EventCoreWarning: 1,
		message.EventCoreError: 1, message.EventClockSuspended: 1, message.EventClockStepped: 1, message.EventTimeUncertain: 1}
	if got := countsOf(m); len(got) != len(want) || m.Started != 5e9 {
		t.Errorf("got %v", got)
	}
	for e, n := range want {
		if countsOf(m)[e] != n {
			t.Errorf("%s: %d", e, countsOf(m)[e])
		}
	}
	if s := written.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "worse") {
		t.Errorf("what is below the level was written, or what is above was not: %s", s)
	}
}

// refuser is a domain that refuses.
type refuser struct{ domain }

func (r refuser) Serve(m *gate.Mux) {
	r.domain.Serve(m)
	gate.Handle(m, message.MethodApprove, func(context.Context, gate.Caller, message.Empty) (message.Empty, error) {
		return message.Empty{}, problem.New(problem.Unauthenticated, "the signature does not verify")
	})
	gate.Handle(m, message.MethodSign, func(context.Context, gate.Caller, message.Empty) (message.Empty, error) {
		return message.Empty{}, errors.New("broken")
	})
	gate.Handle(m, message.MethodBackupClose, func(context.Context, gate.Caller, message.Empty) (message.Empty, error) { return message.Empty{}, nil })
}

func (refuser) Pressure() *message.Pressure {
	return &message.Pressure{Limits: []message.LimitUse{{Limit: "daily", PerMille: 900}}}
}

func TestTallyCountsCallsAtTheDoor(t *testing.T) {
	t.Parallel()
	q := relay.New()
	defer q.Close()
	h := newHouse(q, "", func() string { return "" }, newCounts(time.Now()))
	d := doorOf{h}
	ask := func() message.Meters {
		t.Helper()
		m, err := gate.Call[message.Empty, message.Meters](t.Context(), d, message.MethodMeters, message.Empty{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	_, _ = d.Call(t.Context(), "anything", nil)
	if m := ask(); len(m.Refused) != 1 || m.Refused[0] != (message.RefusedCall{Method: message.UnknownMethod, Kind: problem.Starting, Count: 1}) || m.Use != nil || m.Backup != 0 {
		t.Errorf("before it is open: %+v", m)
	}
	h.opened(refuser{})
	for range 3 {
		_, _ = gate.Call[message.Empty, message.Empty](t.Context(), d, message.MethodApprove, message.Empty{})
	}
	for _, method := range []string{message.MethodSign, message.MethodBackupClose, message.MethodPing} {
		_, _ = gate.Call[message.Empty, message.Empty](t.Context(), d, method, message.Empty{})
	}
	for _, made := range []string{"up", "made", "methods"} {
		_, _ = d.Call(t.Context(), made, nil)
	}
	m := ask()
	want := []message.RefusedCall{{Method: message.MethodApprove, Kind: problem.Unauthenticated, Count: 3}, {Method: message.MethodSign, Kind: problem.Internal, Count: 1},
		{Method: message.UnknownMethod, Kind: problem.Starting, Count: 1}, {Method: message.UnknownMethod, Kind: problem.Unsupported, Count: 3}}
	if !slices.Equal(m.Refused, want) || m.Backup == 0 || m.Use == nil || len(m.Use.Limits) != 1 {
		t.Errorf("got %+v", m)
	}
}
