// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
)

// fault is the wire form of a [problem.Error]: everything but the cause, and the incident id under which the cause was logged.
// Numbers are never reused; a new field is optional and comes with a new protocol version.
type fault struct {
	Kind     problem.Kind    `cbor:"1,keyasint"`
	Detail   string          `cbor:"2,keyasint"`
	Rule     string          `cbor:"3,keyasint,omitempty"`
	Unmet    []problem.Unmet `cbor:"4,keyasint,omitempty"`
	Incident string          `cbor:"5,keyasint,omitempty"`
}

// Incident is an id in the core's log. A problem that crossed the door has one as its cause when the core logged a cause:
// errors.As finds it. It says nothing about what happened and may be shown.
type Incident string

// Error says where to look.
func (i Incident) Error() string { return "incident " + string(i) + " in the log of the core" }

// decode reads the canonical encoding of a fault.
func (f *fault) decode(b []byte) error {
	if len(b) > MinFrame {
		return fmt.Errorf("%d bytes, more than %d", len(b), MinFrame)
	}
	return canon.Decode(b, f)
}

// faultOf gives the wire form of p. Texts are cut to what a frame of [MinFrame] bytes holds, and made valid UTF-8.
func faultOf(p *problem.Error, incident Incident) *fault {
	f := &fault{Kind: p.Kind, Detail: clip(p.Detail, maxDetail), Rule: clip(p.Rule, maxText), Incident: string(incident)}
	if more := len(p.Unmet) - maxUnmet; more > 0 {
		f.Detail = clip(p.Detail, maxDetail-maxText) + fmt.Sprintf(" (%d more criteria are unmet than are shown)", more)
	}
	for _, u := range p.Unmet[:min(len(p.Unmet), maxUnmet)] {
		f.Unmet = append(f.Unmet, problem.Unmet{
			Rule: clip(u.Rule, maxText), Criterion: clip(u.Criterion, maxText), Observed: clip(u.Observed, maxText)})
	}
	return f
}

// clip gives s as valid UTF-8 of at most n bytes.
func clip(s string, n int) string {
	const cut = "…"
	long := len(s) > n
	if long {
		s = s[:n]
	}
	s = strings.ToValidUTF8(s, "\uFFFD") // may make it longer, and half a rune at the end another one
	if !long && len(s) <= n {
		return s
	}
	end := min(len(s), n-len(cut))
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + cut
}

// problem gives what the wire form stands for. A kind this program does not know, of a newer core, becomes internal: callers branch on kinds.
func (f *fault) problem() *problem.Error {
	p := &problem.Error{Kind: f.Kind, Detail: f.Detail, Rule: f.Rule, Unmet: f.Unmet}
	if !known(f.Kind) {
		p.Kind, p.Detail = problem.Internal, fmt.Sprintf("%s (of kind %q, which this version does not know)", f.Detail, f.Kind)
	}
	if f.Incident != "" {
		p.Err = Incident(f.Incident)
	}
	return p
}

func known(k problem.Kind) bool { return slices.Contains(problem.Kinds(), k) }

// problemOf finds the problem that err is or wraps, nil if it has none that may cross: no problem, or one of a kind that does not exist.
func problemOf(err error) *problem.Error {
	var p *problem.Error
	if !errors.As(err, &p) || p == nil || !known(p.Kind) {
		return nil
	}
	return p
}
