// SPDX-License-Identifier: Apache-2.0

package monitor

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/svc/feed"
)

type memory struct {
	b    []byte
	fail error
}

func (m *memory) Load() ([]byte, error) { return m.b, nil }
func (m *memory) Save(b []byte) error {
	if m.fail == nil {
		m.b = b
	}
	return m.fail
}

func writers(from, to uint64) (out []feed.Entry) {
	for ; from < to; from++ {
		out = append(out, feed.Entry{Leaf: entry.Leaf{Seq: from, Kind: entry.KindWriter, KindVersion: 1}, Hash: [32]byte{byte(from)}, Body: canon.Encode(&entry.Writer{Epoch: from})})
	}
	return out
}

// Counts that were saved go on; such as were not, or can't be read, are made anew.
func TestCountsAreKept(t *testing.T) {
	t.Parallel()
	s := &memory{}
	for i := range uint64(3) {
		l, err := OpenLog(s)
		if err != nil {
			t.Fatal(err)
		}
		if c, _ := l.Cursor(t.Context()); c.Next != i*5 {
			t.Fatalf("it goes on at %d, want %d", c.Next, i*5)
		}
		if err := l.Fold(t.Context(), writers(i*5, i*5+5)); err != nil || l.copy().Events["writer_changed"] != i*5+5 {
			t.Fatalf("%v, %v", l.copy(), err)
		}
		s.fail = errors.New("disk full")
		if err := l.Fold(t.Context(), writers(i*5+5, i*5+6)); !errors.Is(err, s.fail) || l.copy().Next != i*5+5 {
			t.Fatalf("what could not be kept was counted: %v, %v", l.copy(), err)
		}
		s.fail = nil
	}
	for _, bad := range []string{"", "x", `{"v":2}`, `{"v":1,"events":null}`} {
		l, err := OpenLog(&memory{b: []byte(bad)})
		if err != nil || l.copy().Next != 0 || l.Fold(t.Context(), writers(0, 1)) != nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
	l, _ := OpenLog(s)
	if err := l.Reset(t.Context()); err != nil || l.copy().Next != 0 || len(l.copy().Events) != 0 {
		t.Errorf("reset: %v, %v", l.copy(), err)
	}
	if _, err := OpenLog(nil); err == nil {
		t.Error("no store was accepted")
	}
}

func TestRulesAreBounded(t *testing.T) {
	t.Parallel()
	c := none()
	for i := range 2 * maxRules {
		c.count(&entry.Request{Decision: policy.Decision{Outcome: policy.Denied, Rule: fmt.Sprintf("rule-%d", i)}})
	}
	if len(c.Rules) != maxRules+1 || c.Rules[otherRule] != maxRules || c.Events["refused"] != 2*maxRules {
		t.Errorf("%d names, %d others", len(c.Rules), c.Rules[otherRule])
	}
}

// TestEveryEntryIsAnEvent: each kind of entry, decision and effect has an event, which is listed; nothing that is listed never happens.
func TestEveryEntryIsAnEvent(t *testing.T) {
	t.Parallel()
	happens := map[LogEvent]bool{"unknown": true}
	bodies := []any{&entry.Genesis{}, &entry.Effect{Oversight: &entry.Oversight{Mode: policy.Frozen}}, &entry.Effect{Oversight: &entry.Oversight{Mode: policy.Draining}},
		&entry.Effect{Oversight: &entry.Oversight{Held: []byte{1}}}, &entry.Effect{Oversight: &entry.Oversight{Released: []byte{1}}}, &entry.Effect{}, &entry.Permit{}, &entry.Result{}, &entry.Refusal{}, &entry.Refusal{Final: true}, &entry.Session{}, &entry.Snapshot{}, &entry.Writer{},
		&entry.Reencipher{}, &entry.Erased{}, &entry.Tamper{}, &entry.Reanchor{}, &entry.Gap{}, &entry.Gap{Whole: true}, &entry.Uses{}, &entry.Offline{}, &entry.Quotes{}, &entry.Verdicts{}}
	for _, o := range []policy.Outcome{policy.Allowed, policy.Denied, policy.Held} {
		bodies = append(bodies, &entry.Request{Decision: policy.Decision{Outcome: o}})
	}
	for _, d := range []request.Decision{request.Approve, request.Reject, request.Cancel} {
		bodies = append(bodies, &entry.Approval{Approval: request.Approval{Decision: d}})
	}
	typ := reflect.TypeFor[entry.Effect]()
	for i := range typ.NumField() {
		f := typ.Field(i)
		if slices.Contains([]string{"Request", "Decision", "Approvals", "Key", "Trail"}, f.Name) {
			continue // say nothing alone
		}
		e := &entry.Effect{}
		if v := reflect.ValueOf(e).Elem().Field(i); f.Type.Kind() == reflect.Pointer {
			v.Set(reflect.New(f.Type.Elem()))
		} else {
			v.Set(reflect.MakeSlice(f.Type, 1, 1))
		}
		bodies = append(bodies, e)
	}
	seen := map[string]bool{}
	for _, b := range bodies {
		seen[strings.ToLower(strings.TrimPrefix(fmt.Sprintf("%T", b), "*entry."))] = true
		e := eventOf(b)
		if happens[e] = true; e == "unknown" || !slices.Contains(logEvents, e) {
			t.Errorf("%T %+v: give it an event in log.go", b, b)
		}
	}
	for _, e := range logEvents {
		if !happens[e] {
			t.Errorf("nothing makes the event %s", e)
		}
	}
	for _, k := range entryKinds(t) {
		if !seen[k] {
			t.Errorf("entries of kind %s: give them an event in log.go, say in security.go whether they are about security, and add one to this test", k)
		}
	}
}

// entryKinds reads the kinds from the sources of package entry.
func entryKinds(t *testing.T) (out []string) {
	t.Helper()
	line := regexp.MustCompile(`Kind\w+\s+(?:Kind\s+)?= "([a-z]+)"`)
	walk(t, "../../pure/entry", func(_ string, f *ast.File, src []byte) {
		for _, m := range line.FindAllSubmatch(src, -1) {
			if k := string(m[1]); k != entry.KindTokenKey && !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	})
	if len(out) < 17 {
		t.Fatalf("found %v", out)
	}
	return out
}

// walk calls visit for each source below a folder.
func walk(t *testing.T, root string, visit func(path string, f *ast.File, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, path, nil, 0)
		if err != nil {
			return err
		}
		src, err := os.ReadFile(path)
		visit(path, f, src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryLineOfServeIsAnEvent: no warning or error of serve's parts is without an event of its own.
func TestEveryLineOfServeIsAnEvent(t *testing.T) {
	t.Parallel()
	lines := map[string]string{}
	for _, root := range []string{"../feed", "../relay", "../transfer", "../wallet", "../roster", "../../edge/rest", "../../edge/pages", "../../edge/relay", "../../app/serveapp"} {
		walk(t, root, func(path string, f *ast.File, _ []byte) {
			ast.Inspect(f, func(n ast.Node) bool {
				c, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if sel, ok := c.Fun.(*ast.SelectorExpr); !ok || !slices.Contains([]string{"Warn", "WarnContext", "Error", "ErrorContext", "LogAttrs"}, sel.Sel.Name) {
					return true
				}
				for _, a := range c.Args[:min(3, len(c.Args))] {
					if lit, ok := a.(*ast.BasicLit); ok && lit.Kind == token.STRING {
						s, _ := strconv.Unquote(lit.Value)
						lines[s] = path
						break
					}
				}
				return true
			})
		})
	}
	for s, where := range lines {
		if _, ok := serveLines[s]; !ok {
			t.Errorf("%s logs %q: say in facts.go which event that is", where, s)
		}
	}
	for s, e := range serveLines {
		if lines[s] == "" || !slices.Contains(serveEvents, e) {
			t.Errorf("the event %s waits for the line %q", e, s)
		}
	}
	for level, want := range map[slog.Level]ServeEvent{slog.LevelInfo: "", slog.LevelWarn: "warning", slog.LevelError: "error"} {
		if e, ok := LineOf(slog.NewRecord(time.Time{}, level, "of a later version", 0)); e != want || ok != (want != "") {
			t.Errorf("%v: %s, %v", level, e, ok)
		}
	}
}

func TestSecurity(t *testing.T) {
	t.Parallel()
	ask := func(op request.Operation, o policy.Outcome) *entry.Request {
		r := request.Request{V: 1, Initiator: "p_aaaaaaaaaaaaaaaa", Key: "k", Operation: op}
		return entry.NewRequest(&request.Parsed{Request: r})
	}
	allowed := ask(request.Transfer, policy.Allowed)
	allowed.Decision.Outcome = policy.Allowed
	refused := ask(request.Transfer, policy.Denied)
	refused.Decision.Outcome = policy.Denied
	for _, op := range request.Operations() {
		b := ask(op, policy.Allowed)
		b.Decision.Outcome = policy.Allowed
		if got, want := Security(b), op != request.Transfer && op != request.AddressCreate; got != want {
			t.Errorf("a request for %s: %v", op, got)
		}
	}
	for _, b := range []any{refused, &entry.Refusal{}, &entry.Tamper{}, &entry.Writer{}, &entry.Gap{}, &entry.Reanchor{}, &entry.Effect{Document: []byte{1}}, nil, &struct{}{},
		&entry.Approval{Approval: request.Approval{Decision: request.Reject}}, &entry.Request{Request: []byte("x")}} {
		if !Security(b) {
			t.Errorf("%T is not about security", b)
		}
	}
	for _, b := range []any{allowed, &entry.Permit{}, &entry.Result{}, &entry.Snapshot{}, &entry.Uses{}, &entry.Quotes{}, &entry.Verdicts{}, &entry.Effect{Addresses: &entry.AddressBatch{}},
		&entry.Approval{Approval: request.Approval{Decision: request.Approve}}} {
		if Security(b) {
			t.Errorf("%T is about security", b)
		}
	}
}

func TestWriteEscapes(t *testing.T) {
	t.Parallel()
	l, _ := OpenLog(&memory{})
	l.at.Rules["a\"b\\c\nd"] = 2
	var b bytes.Buffer
	if err := Write(&b, Facts{At: time.Unix(7, 500e6), Log: l}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{`strongroom_requests_refused_total{rule="a\"b\\c\nd"} 2`, "strongroom_core_up 0", "strongroom_collected_timestamp_seconds 7.5"} {
		if !strings.Contains(b.String(), s+"\n") {
			t.Errorf("no %s in:\n%s", s, b.String())
		}
	}
}
