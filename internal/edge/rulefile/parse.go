// SPDX-License-Identifier: Apache-2.0

// Package rulefile is the rule document as people write and read it: a YAML file, with the names of docs/spec/rule-document.md.
//
// It refuses whatever has two readings: unknown or repeated keys, anchors, aliases, tags, more than one document, numbers with
// sign, exponent or fraction, an empty list where it could be taken for "anything". An error names line and column. Lists of a
// file are in any order; the document that comes out is sorted. Whether it may be used is for [policy.Document.Check] to say.
package rulefile

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = 4 << 20

// Parse reads a rule file. Every error is an [*Error].
func Parse(b []byte) (policy.Document, error) {
	if len(b) > MaxSize {
		return policy.Document{}, &Error{Detail: fmt.Sprintf("has %d bytes, more than %d", len(b), MaxSize)}
	}
	dec := yaml.NewDecoder(bytes.NewReader(b))
	var root, more yaml.Node
	switch err := dec.Decode(&root); {
	case errors.Is(err, io.EOF):
		return policy.Document{}, &Error{Detail: "the file is empty; start from examples/rules/two-of-three.yaml"}
	case err != nil:
		return policy.Document{}, syntax(b, err)
	}
	switch err := dec.Decode(&more); {
	case err == nil:
		return policy.Document{}, &Error{Line: more.Line, Column: more.Column, Detail: "a second document begins; a file has one"}
	case !errors.Is(err, io.EOF):
		return policy.Document{}, syntax(b, err)
	}
	r := &reader{}
	d := r.document(root.Content[0])
	if r.err != nil {
		return policy.Document{}, r.err
	}
	return d, nil
}

var (
	lineRE   = regexp.MustCompile(`^yaml: line ([0-9]+): (.*)$`)
	anchorRE = regexp.MustCompile(`^yaml: unknown anchor '(.*)' referenced$`)
)

// syntax gives the parser's error its place. The parser names a line, but not where an unknown anchor is used.
func syntax(b []byte, err error) *Error {
	msg := err.Error()
	if m := lineRE.FindStringSubmatch(msg); m != nil {
		if line, e := strconv.Atoi(m[1]); e == nil {
			return &Error{Line: line, Column: 1, Detail: "not YAML: " + m[2]}
		}
	}
	e := &Error{Detail: "not YAML: " + strings.TrimPrefix(msg, "yaml: ")}
	if m := anchorRE.FindStringSubmatch(msg); m != nil {
		if i := bytes.Index(b, []byte("*"+m[1])); i >= 0 {
			e.Line, e.Column = bytes.Count(b[:i], []byte("\n"))+1, i-bytes.LastIndexByte(b[:i], '\n')
		}
	}
	return e
}

func (r *reader) document(n *yaml.Node) policy.Document {
	var d policy.Document
	r.mapping(n, "", fields{
		"schema": func(n *yaml.Node, path string) {
			if d.V = uint(r.number(n, path, 32)); d.V != 1 {
				r.fail(n, path, "schema %d is not known; this version reads 1", d.V)
			}
		},
		"version":     func(n *yaml.Node, path string) { d.Version = r.number(n, path, 64) },
		"prevHash":    func(n *yaml.Node, path string) { d.PrevHash = r.hash(n, path) },
		"principals":  func(n *yaml.Node, path string) { d.Principals = items(r, n, path, r.principal, byPerson) },
		"groups":      func(n *yaml.Node, path string) { d.Groups = items(r, n, path, r.group, byGroup) },
		"addressBook": func(n *yaml.Node, path string) { d.AddressBook = items(r, n, path, r.entry, byEntry) },
		"floor":       func(n *yaml.Node, path string) { d.Floor = r.floor(n, path) },
		"guards":      func(n *yaml.Node, path string) { d.Guards = items(r, n, path, r.guard, byGuard) },
		"routes":      func(n *yaml.Node, path string) { d.Routes = items(r, n, path, r.route, byPriority) },
		"changePlan":  func(n *yaml.Node, path string) { d.ChangePlan = r.plan(n, path) },
		"domain":      func(n *yaml.Node, path string) { d.Domain = r.domain(n, path) },
	}, "schema", "version", "principals", "floor", "changePlan")
	return d
}

// domain reads the plans of the life cycle: all three, so that none is forgotten.
func (r *reader) domain(n *yaml.Node, path string) *policy.DomainPlans {
	var p policy.DomainPlans
	r.mapping(n, path, fields{
		"signature":  func(n *yaml.Node, path string) { p.Signature = r.plan(n, path) },
		"revocation": func(n *yaml.Node, path string) { p.Revocation = r.plan(n, path) },
		"recovery":   func(n *yaml.Node, path string) { p.Recovery = r.plan(n, path) },
	}, "signature", "revocation", "recovery")
	return &p
}

func byPerson(a, b policy.Principal) int { return cmp.Compare(a.ID, b.ID) }
func byGroup(a, b policy.Group) int      { return cmp.Compare(a.ID, b.ID) }
func byEntry(a, b policy.BookEntry) int  { return cmp.Compare(a.ID, b.ID) }
func byGuard(a, b policy.Guard) int      { return cmp.Compare(a.ID, b.ID) }
func byPriority(a, b policy.Route) int   { return cmp.Compare(a.Priority, b.Priority) }

// items reads a list and sorts it; two items alike by order are refused.
func items[T any](r *reader, n *yaml.Node, path string, read func(*yaml.Node, string) T, order func(a, b T) int) []T {
	var out []T
	r.sequence(n, path, func(n *yaml.Node, path string) {
		v := read(n, path)
		i, taken := slices.BinarySearchFunc(out, v, order)
		if taken {
			r.fail(n, path, "another item has the same id or priority; give each its own")
			return
		}
		out = slices.Insert(out, i, v)
	})
	return out
}

func (r *reader) hash(n *yaml.Node, path string) (h [32]byte) {
	s := r.text(n, path)
	b, err := hex.DecodeString(s)
	if r.err == nil && (err != nil || len(b) != 32 || hex.EncodeToString(b) != s) {
		r.fail(n, path, "want 64 lower-case hex digits, as 'strongroom policy show' prints them")
		return h
	}
	copy(h[:], b)
	return h
}

func (r *reader) principal(n *yaml.Node, path string) policy.Principal {
	p := policy.Principal{Active: true}
	r.mapping(n, path, fields{
		"id":     func(n *yaml.Node, path string) { p.ID = custody.PersonID(r.text(n, path)) },
		"kind":   func(n *yaml.Node, path string) { p.Kind = policy.PrincipalKind(r.text(n, path)) },
		"active": func(n *yaml.Node, path string) { p.Active = r.boolean(n, path) },
		"keys": func(n *yaml.Node, path string) {
			r.sequence(n, path, func(n *yaml.Node, path string) { p.Keys = append(p.Keys, r.key(n, path)) })
		},
	}, "id", "kind", "keys")
	return p
}

func (r *reader) key(n *yaml.Node, path string) (k request.PublicKey) {
	r.mapping(n, path, fields{
		"alg": func(n *yaml.Node, path string) { k.Alg = request.Algorithm(r.text(n, path)) },
		"pub": func(n *yaml.Node, path string) {
			s := r.text(n, path)
			b, err := hex.DecodeString(s)
			if err != nil || hex.EncodeToString(b) != s {
				r.fail(n, path, "want the public key in lower-case hex, as 'strongroom person show' prints it; quote it if it has no letters")
				return
			}
			k.Pub = b
		},
		"rp":     func(n *yaml.Node, path string) { k.RP = r.text(n, path) },
		"origin": func(n *yaml.Node, path string) { k.Origin = r.text(n, path) },
	}, "alg", "pub")
	if r.err == nil {
		if err := k.Check(); err != nil {
			r.fail(n, path, "%v", err)
		}
	}
	return k
}

func (r *reader) group(n *yaml.Node, path string) (g policy.Group) {
	r.mapping(n, path, fields{
		"id":      func(n *yaml.Node, path string) { g.ID = custody.GroupID(r.text(n, path)) },
		"members": func(n *yaml.Node, path string) { g.Members = members[custody.PersonID](r, n, path) },
	}, "id", "members")
	return g
}

func (r *reader) entry(n *yaml.Node, path string) (e policy.BookEntry) {
	r.mapping(n, path, fields{
		"id":      func(n *yaml.Node, path string) { e.ID = r.text(n, path) },
		"chain":   func(n *yaml.Node, path string) { e.Chain = custody.ChainID(r.text(n, path)) },
		"address": func(n *yaml.Node, path string) { e.Address = r.text(n, path) },
	}, "id", "chain", "address")
	return e
}

func (r *reader) floor(n *yaml.Node, path string) (f policy.Floor) {
	r.mapping(n, path, fields{
		"minDistinctUsers":   func(n *yaml.Node, path string) { f.MinDistinctUsers = uint32(r.number(n, path, 32)) },
		"forbidSelfApproval": func(n *yaml.Node, path string) { f.ForbidSelfApproval = r.boolean(n, path) },
		"requestTTL":         func(n *yaml.Node, path string) { f.RequestTTL = r.duration(n, path) },
		"maxApprovalAge":     func(n *yaml.Node, path string) { f.MaxApprovalAge = r.duration(n, path) },
	}, "minDistinctUsers", "forbidSelfApproval", "requestTTL", "maxApprovalAge")
	return f
}

func (r *reader) guard(n *yaml.Node, path string) (g policy.Guard) {
	r.mapping(n, path, fields{
		"id":         func(n *yaml.Node, path string) { g.ID = r.text(n, path) },
		"title":      func(n *yaml.Node, path string) { g.Title = r.text(n, path) },
		"when":       func(n *yaml.Node, path string) { g.When = r.match(n, path) },
		"effect":     func(n *yaml.Node, path string) { g.Effect = policy.Effect(r.text(n, path)) },
		"reasonCode": func(n *yaml.Node, path string) { g.Reason = r.text(n, path) },
	}, "id", "when", "effect")
	return g
}

func (r *reader) route(n *yaml.Node, path string) (rt policy.Route) {
	r.mapping(n, path, fields{
		"id":       func(n *yaml.Node, path string) { rt.ID = r.text(n, path) },
		"priority": func(n *yaml.Node, path string) { rt.Priority = uint32(r.number(n, path, 32)) },
		"when":     func(n *yaml.Node, path string) { rt.When = r.match(n, path) },
		"plan":     func(n *yaml.Node, path string) { rt.Plan = r.plan(n, path) },
		"auto":     func(n *yaml.Node, path string) { rt.Auto = r.boolean(n, path) },
		"feeCap":   func(n *yaml.Node, path string) { rt.FeeCap = r.amount(n, path) },
	}, "id", "priority", "when")
	return rt
}

func (r *reader) plan(n *yaml.Node, path string) (p policy.Plan) {
	step := func(n *yaml.Node, path string) (s policy.Step) {
		r.mapping(n, path, fields{
			"group": func(n *yaml.Node, path string) { s.Group = custody.GroupID(r.text(n, path)) },
			"min":   func(n *yaml.Node, path string) { s.Min = uint32(r.number(n, path, 32)) },
		}, "group", "min")
		return s
	}
	branch := func(n *yaml.Node, path string) (b policy.Branch) {
		r.mapping(n, path, fields{"steps": func(n *yaml.Node, path string) {
			r.sequence(n, path, func(n *yaml.Node, path string) { b.Steps = append(b.Steps, step(n, path)) })
		}}, "steps")
		return b
	}
	r.mapping(n, path, fields{"anyOf": func(n *yaml.Node, path string) {
		r.sequence(n, path, func(n *yaml.Node, path string) { p.AnyOf = append(p.AnyOf, branch(n, path)) })
	}}, "anyOf")
	return p
}

func (r *reader) match(n *yaml.Node, path string) (m policy.Match) {
	group := func(fs fields) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			if r.mapping(n, path, fs); r.err == nil && len(n.Content) == 0 {
				r.fail(n, path, "is empty; leave the key out to match anything")
			}
		}
	}
	r.mapping(n, path, fields{
		"operation": func(n *yaml.Node, path string) { m.Operations = set[request.Operation](r, n, path) },
		"initiator": group(fields{
			"principals": func(n *yaml.Node, path string) { m.Initiators = set[custody.PersonID](r, n, path) },
			"groups":     func(n *yaml.Node, path string) { m.InitiatorIn = set[custody.GroupID](r, n, path) },
			"kind":       func(n *yaml.Node, path string) { m.InitiatorKind = set[policy.PrincipalKind](r, n, path) },
		}),
		"source": group(fields{
			"wallets": func(n *yaml.Node, path string) { m.Wallets = set[custody.WalletID](r, n, path) },
			"chains":  func(n *yaml.Node, path string) { m.Chains = set[custody.ChainID](r, n, path) },
		}),
		"destination": group(fields{
			"kind": func(n *yaml.Node, path string) { m.Destination = set[policy.DestinationKind](r, n, path) },
			"not":  func(n *yaml.Node, path string) { m.DestNot = set[policy.DestinationKind](r, n, path) },
			"ids":  func(n *yaml.Node, path string) { m.Books = set[string](r, n, path) },
		}),
		"asset": group(fields{
			"ids": func(n *yaml.Node, path string) { m.Assets = set[custody.AssetID](r, n, path) },
		}),
		"amount": group(fields{
			"max":  func(n *yaml.Node, path string) { m.AmountMax = r.amount(n, path) },
			"over": func(n *yaml.Node, path string) { m.AmountOver = r.amount(n, path) },
		}),
		"expr": func(n *yaml.Node, path string) {
			if m.Expr = r.text(n, path); r.err == nil && m.Expr == "" {
				r.fail(n, path, "is empty; leave the key out to match anything")
			}
		},
	})
	return m
}
