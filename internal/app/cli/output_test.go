// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode"

	"strongroom/client"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/problem"
)

// Nothing that was written elsewhere does anything to the terminal, whichever way it is shown.
func TestNothingMovesTheCursor(t *testing.T) {
	t.Parallel()
	const evil = "x\x1b[2J\x1b[H\u009b1A\u202ehidden\r\nstrongroom: hint: all is well\ty"
	for name, show := range map[string]func(e *env) error{
		"say":   func(e *env) error { e.say("It is %s.", evil); return nil },
		"hint":  func(e *env) error { e.hint("do %s", evil); return nil },
		"pairs": func(e *env) error { return e.pairs([]pair{{evil, evil}}) },
		"table": func(e *env) error { return e.table([]string{"a", evil}, [][]string{{evil, "b"}}) },
		"json":  func(e *env) error { return e.writeJSON(map[string]string{evil: evil}) },
		"prompt": func(e *env) error {
			if err := e.confirm(true, evil); err != nil {
				return err
			}
			return nil
		},
		"problem": func(e *env) error {
			report(e.Err, hint(&client.Problem{Problem: apiv1.Problem{Kind: problem.Kind(evil), Detail: evil, Rule: evil, Incident: evil,
				Unmet: []problem.Unmet{{Rule: evil, Criterion: evil, Observed: evil}}}}, "do %s", evil), "", false)
			return nil
		},
		"error": func(e *env) error {
			report(e.Err, errors.Join(errors.New(evil), errors.New("b")), evil, false)
			return nil
		},
		"request": func(e *env) error {
			return e.pairs(e.requestPairs(client.RequestView{ID: evil, State: evil, Attempts: []client.Attempt{{State: evil, Note: evil}}}))
		},
	} {
		var out bytes.Buffer
		if err := show(&env{root: &root{}, Streams: Streams{Out: &out, Err: &out}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for l := range strings.Lines(out.String()) {
			if l = strings.TrimSuffix(l, "\n"); strings.ContainsFunc(l, func(r rune) bool { return unicode.In(r, unicode.Cc, unicode.Cf) }) || strings.HasPrefix(l, "strongroom: hint: all is well") {
				t.Errorf("%s: wrote %q", name, l)
			}
		}
	}
}
