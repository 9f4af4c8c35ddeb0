// SPDX-License-Identifier: Apache-2.0

// Package rulefile is the rule document as people write and read it: a YAML file, with the names of docs/spec/rule-document.md.
//
// It refuses whatever has two readings: unknown or repeated keys, anchors, aliases, tags, more than one document, numbers with
// sign, exponent or fraction, an empty list where it could be taken for "anything". An error names line and column. Lists of a
// file are in any order; the document that comes out is sorted. Whether it may be used is for [policy.Document.Check] to say.
package rulefile

import (
	"cmp"
	"encoding/hex"
	"slices"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/rulefile/strictyaml"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// MaxSize is the largest file that is read, in bytes.
const MaxSize = strictyaml.MaxSize

// Error says what is wrong with a rule file, where, and what to do.
type Error = strictyaml.Error

// what is what errors call the file.
const what = "rule file"

// reader reads the values of rule files.
type reader struct {
	strictyaml.Reader
	obliging bool // an obligation is read
}

// Parse reads a rule file. Every error is an [*Error].
func Parse(b []byte) (policy.Document, error) {
	root, err := strictyaml.Parse(what, "examples/rules/two-of-three.yaml", b)
	if err != nil {
		return policy.Document{}, err
	}
	r := &reader{Reader: strictyaml.Reader{What: what}}
	d := r.document(root)
	if r.Err != nil {
		return policy.Document{}, r.Err
	}
	return d, nil
}

func (r *reader) document(n *yaml.Node) policy.Document {
	var d policy.Document
	r.Mapping(n, "", strictyaml.Fields{
		"schema": func(n *yaml.Node, path string) {
			if d.V = uint(r.Number(n, path, 32)); d.V != 1 {
				r.Fail(n, path, "schema %d is not known; this version reads 1", d.V)
			}
		},
		"version":     func(n *yaml.Node, path string) { d.Version = r.Number(n, path, 64) },
		"prevHash":    func(n *yaml.Node, path string) { d.PrevHash = r.hash(n, path) },
		"principals":  func(n *yaml.Node, path string) { d.Principals = items(r, n, path, r.principal, byPerson) },
		"groups":      func(n *yaml.Node, path string) { d.Groups = items(r, n, path, r.group, byGroup) },
		"addressBook": func(n *yaml.Node, path string) { d.AddressBook = items(r, n, path, r.entry, byEntry) },
		"floor":       func(n *yaml.Node, path string) { d.Floor = r.floor(n, path) },
		"guards":      func(n *yaml.Node, path string) { d.Guards = items(r, n, path, r.guard, byGuard) },
		"routes":      func(n *yaml.Node, path string) { d.Routes = items(r, n, path, r.route, byPriority) },
		"calendars":   func(n *yaml.Node, path string) { d.Calendars = items(r, n, path, r.calendar, byCalendar) },
		"limits":      func(n *yaml.Node, path string) { d.Limits = items(r, n, path, r.limit, byLimit) },
		"obligations": func(n *yaml.Node, path string) { d.Obligations = items(r, n, path, r.obligation, byObligation) },
		"contracts":   func(n *yaml.Node, path string) { d.Contracts = items(r, n, path, r.contract, byContract) },
		"changePlan":  func(n *yaml.Node, path string) { d.ChangePlan = r.plan(n, path) },
		"domain":      func(n *yaml.Node, path string) { d.Domain = r.domain(n, path) },
		"breakGlass":  func(n *yaml.Node, path string) { d.BreakGlass = r.breakGlass(n, path) },
		"oversight":   func(n *yaml.Node, path string) { d.Oversight = r.oversight(n, path) },

		"counterparties": func(n *yaml.Node, path string) { d.Counterparties = items(r, n, path, r.counterparty, byParty) },
		"whitelist":      func(n *yaml.Node, path string) { d.Whitelist = r.whitelist(n, path) },
		"blacklist":      func(n *yaml.Node, path string) { d.Blacklist = items(r, n, path, r.blocked, byAddress) },
		"replayRequired": func(n *yaml.Node, path string) { d.ReplayRequired = r.Boolean(n, path) },
		"priceSources":   func(n *yaml.Node, path string) { d.PriceSources = items(r, n, path, r.priceSource, byPriceSource) },

		"screeningSources": func(n *yaml.Node, path string) {
			d.ScreeningSources = items(r, n, path, r.screeningSource, byScreeningSource)
		},
	}, "schema", "version", "principals", "floor", "changePlan")
	return d
}

// domain reads the plans of the life cycle: all three, so that none is forgotten, and the time-lock of re-anchoring.
func (r *reader) domain(n *yaml.Node, path string) *policy.DomainPlans {
	var p policy.DomainPlans
	r.Mapping(n, path, strictyaml.Fields{
		"signature":  func(n *yaml.Node, path string) { p.Signature = r.plan(n, path) },
		"revocation": func(n *yaml.Node, path string) { p.Revocation = r.plan(n, path) },
		"recovery":   func(n *yaml.Node, path string) { p.Recovery = r.plan(n, path) },
		"reanchorDelay": func(n *yaml.Node, path string) {
			d := r.delay(n, path)
			p.ReanchorDelay = &d
		},
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
	r.Sequence(n, path, func(n *yaml.Node, path string) {
		v := read(n, path)
		i, taken := slices.BinarySearchFunc(out, v, order)
		if taken {
			r.Fail(n, path, "another item has the same id or priority; give each its own")
			return
		}
		out = slices.Insert(out, i, v)
	})
	return out
}

func (r *reader) hash(n *yaml.Node, path string) (h [32]byte) {
	s := r.Text(n, path)
	b, err := hex.DecodeString(s)
	if r.Err == nil && (err != nil || len(b) != 32 || hex.EncodeToString(b) != s) {
		r.Fail(n, path, "want 64 lower-case hex digits, as 'strongroom policy show' prints them")
		return h
	}
	copy(h[:], b)
	return h
}

func (r *reader) principal(n *yaml.Node, path string) policy.Principal {
	p := policy.Principal{Active: true}
	r.Mapping(n, path, strictyaml.Fields{
		"id":     func(n *yaml.Node, path string) { p.ID = custody.PersonID(r.Text(n, path)) },
		"kind":   func(n *yaml.Node, path string) { p.Kind = policy.PrincipalKind(r.Text(n, path)) },
		"active": func(n *yaml.Node, path string) { p.Active = r.Boolean(n, path) },
		"keys": func(n *yaml.Node, path string) {
			r.Sequence(n, path, func(n *yaml.Node, path string) { p.Keys = append(p.Keys, r.key(n, path)) })
		},
		"line":  func(n *yaml.Node, path string) { p.Line = r.line(n, path) },
		"roles": func(n *yaml.Node, path string) { p.Roles = r.roles(n, path) },
	}, "id", "kind", "keys")
	return p
}

func (r *reader) key(n *yaml.Node, path string) (k request.PublicKey) {
	r.Mapping(n, path, strictyaml.Fields{
		"alg": func(n *yaml.Node, path string) { k.Alg = request.Algorithm(r.Text(n, path)) },
		"pub": func(n *yaml.Node, path string) {
			s := r.Text(n, path)
			b, err := hex.DecodeString(s)
			if err != nil || hex.EncodeToString(b) != s {
				r.Fail(n, path, "want the public key in lower-case hex, as 'strongroom person show' prints it; quote it if it has no letters")
				return
			}
			k.Pub = b
		},
		"rp":     func(n *yaml.Node, path string) { k.RP = r.Text(n, path) },
		"origin": func(n *yaml.Node, path string) { k.Origin = r.Text(n, path) },
	}, "alg", "pub")
	if r.Err == nil {
		if err := k.Check(); err != nil {
			r.Fail(n, path, "%v", err)
		}
	}
	return k
}

func (r *reader) group(n *yaml.Node, path string) (g policy.Group) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":      func(n *yaml.Node, path string) { g.ID = custody.GroupID(r.Text(n, path)) },
		"members": func(n *yaml.Node, path string) { g.Members = members[custody.PersonID](r, n, path) },
		"line":    func(n *yaml.Node, path string) { g.Line = r.line(n, path) },
	}, "id", "members")
	return g
}

func (r *reader) entry(n *yaml.Node, path string) (e policy.BookEntry) {
	r.Mapping(n, path, r.entryFields(&e, strictyaml.Fields{
		"id":      func(n *yaml.Node, path string) { e.ID = r.Text(n, path) },
		"chain":   func(n *yaml.Node, path string) { e.Chain = custody.ChainID(r.Text(n, path)) },
		"address": func(n *yaml.Node, path string) { e.Address = r.Text(n, path) },
	}), "id", "chain", "address")
	return e
}

func (r *reader) floor(n *yaml.Node, path string) (f policy.Floor) {
	r.Mapping(n, path, strictyaml.Fields{
		"minDistinctUsers":   func(n *yaml.Node, path string) { f.MinDistinctUsers = uint32(r.Number(n, path, 32)) },
		"forbidSelfApproval": func(n *yaml.Node, path string) { f.ForbidSelfApproval = r.Boolean(n, path) },
		"requestTTL":         func(n *yaml.Node, path string) { f.RequestTTL = r.duration(n, path) },
		"maxApprovalAge":     func(n *yaml.Node, path string) { f.MaxApprovalAge = r.duration(n, path) },
		"minDistinctGroups":  func(n *yaml.Node, path string) { f.MinDistinctGroups = uint32(r.Number(n, path, 32)) },
	}, "minDistinctUsers", "forbidSelfApproval", "requestTTL", "maxApprovalAge")
	return f
}

func (r *reader) guard(n *yaml.Node, path string) (g policy.Guard) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":         func(n *yaml.Node, path string) { g.ID = r.Text(n, path) },
		"title":      func(n *yaml.Node, path string) { g.Title = r.Text(n, path) },
		"when":       func(n *yaml.Node, path string) { g.When = r.match(n, path) },
		"effect":     func(n *yaml.Node, path string) { g.Effect = policy.Effect(r.Text(n, path)) },
		"reasonCode": func(n *yaml.Node, path string) { g.Reason = r.Text(n, path) },
	}, "id", "when", "effect")
	return g
}

func (r *reader) route(n *yaml.Node, path string) (rt policy.Route) {
	r.Mapping(n, path, strictyaml.Fields{
		"id":       func(n *yaml.Node, path string) { rt.ID = r.Text(n, path) },
		"priority": func(n *yaml.Node, path string) { rt.Priority = uint32(r.Number(n, path, 32)) },
		"when":     func(n *yaml.Node, path string) { rt.When = r.match(n, path) },
		"plan":     func(n *yaml.Node, path string) { rt.Plan = r.plan(n, path) },
		"auto":     func(n *yaml.Node, path string) { rt.Auto = r.Boolean(n, path) },
		"feeCap":   func(n *yaml.Node, path string) { rt.FeeCap = r.amount(n, path) },
	}, "id", "priority", "when")
	return rt
}

func (r *reader) plan(n *yaml.Node, path string) (p policy.Plan) {
	step := func(n *yaml.Node, path string) (s policy.Step) {
		r.Mapping(n, path, strictyaml.Fields{
			"group": func(n *yaml.Node, path string) { s.Group = custody.GroupID(r.Text(n, path)) },
			"min":   func(n *yaml.Node, path string) { s.Min = uint32(r.Number(n, path, 32)) },

			"ordered":        func(n *yaml.Node, path string) { s.Ordered = r.Boolean(n, path) },
			"hardwareOnly":   func(n *yaml.Node, path string) { s.Hardware = r.Boolean(n, path) },
			"mustDifferFrom": func(n *yaml.Node, path string) { s.Differ = named[custody.GroupID](r, n, path) },
			"veto":           func(n *yaml.Node, path string) { s.Veto = named[custody.GroupID](r, n, path) },
		}, "group", "min")
		return s
	}
	branch := func(n *yaml.Node, path string) (b policy.Branch) {
		r.Mapping(n, path, strictyaml.Fields{
			"steps": func(n *yaml.Node, path string) {
				r.Sequence(n, path, func(n *yaml.Node, path string) { b.Steps = append(b.Steps, step(n, path)) })
			},
			"delay":        func(n *yaml.Node, path string) { b.Delay = r.duration(n, path) },
			"expiresAfter": func(n *yaml.Node, path string) { b.ExpiresAfter = r.duration(n, path) },
			"deadline":     func(n *yaml.Node, path string) { b.Deadline = r.duration(n, path) },
		}, "steps")
		return b
	}
	r.Mapping(n, path, strictyaml.Fields{"anyOf": func(n *yaml.Node, path string) {
		r.Sequence(n, path, func(n *yaml.Node, path string) { p.AnyOf = append(p.AnyOf, branch(n, path)) })
	}}, "anyOf")
	return p
}

func (r *reader) match(n *yaml.Node, path string) (m policy.Match) {
	group := func(fs strictyaml.Fields) func(*yaml.Node, string) {
		return func(n *yaml.Node, path string) {
			if r.Mapping(n, path, fs); r.Err == nil && len(n.Content) == 0 {
				r.Fail(n, path, "is empty; leave the key out to match anything")
			}
		}
	}
	r.Mapping(n, path, strictyaml.Fields{
		"operation": func(n *yaml.Node, path string) { m.Operations = set[request.Operation](r, n, path) },
		"initiator": group(strictyaml.Fields{
			"principals": func(n *yaml.Node, path string) { m.Initiators = set[custody.PersonID](r, n, path) },
			"groups":     func(n *yaml.Node, path string) { m.InitiatorIn = set[custody.GroupID](r, n, path) },
			"kind":       func(n *yaml.Node, path string) { m.InitiatorKind = set[policy.PrincipalKind](r, n, path) },
			"roles":      func(n *yaml.Node, path string) { m.InitiatorRoles = r.roles(n, path) },
		}),
		"source": group(strictyaml.Fields{
			"wallets": func(n *yaml.Node, path string) { m.Wallets = set[custody.WalletID](r, n, path) },
			"chains":  func(n *yaml.Node, path string) { m.Chains = set[custody.ChainID](r, n, path) },
			"class":   func(n *yaml.Node, path string) { m.Classes = set[request.Class](r, n, path) },

			"temperature": func(n *yaml.Node, path string) { m.Temperatures = set[request.Temperature](r, n, path) },
		}),
		"destination": group(r.destinationFields(&m, strictyaml.Fields{
			"kind": func(n *yaml.Node, path string) { m.Destination = set[policy.DestinationKind](r, n, path) },
			"not":  func(n *yaml.Node, path string) { m.DestNot = set[policy.DestinationKind](r, n, path) },
			"ids":  func(n *yaml.Node, path string) { m.Books = set[string](r, n, path) },
		})),
		"asset": group(strictyaml.Fields{
			"ids": func(n *yaml.Node, path string) { m.Assets = set[custody.AssetID](r, n, path) },
		}),
		"amount": group(strictyaml.Fields{
			"max":  func(n *yaml.Node, path string) { m.AmountMax = r.amount(n, path) },
			"over": func(n *yaml.Node, path string) { m.AmountOver = r.amount(n, path) },

			"fiatMax":  func(n *yaml.Node, path string) { m.FiatMax = r.fiat(n, path) },
			"fiatOver": func(n *yaml.Node, path string) { m.FiatOver = r.fiat(n, path) },
		}),
		"call":      func(n *yaml.Node, path string) { m.Call = r.call(n, path) },
		"typedData": func(n *yaml.Node, path string) { m.Typed = r.typed(n, path) },
		"screening": func(n *yaml.Node, path string) { m.Screening = r.screening(n, path) },
		"message":   func(n *yaml.Node, path string) { m.Message = set[policy.MessageKind](r, n, path) },

		"simulation": func(n *yaml.Node, path string) { m.Simulation = r.simulation(n, path) },
		"expr": func(n *yaml.Node, path string) {
			if m.Expr = r.Text(n, path); r.Err == nil && m.Expr == "" {
				r.Fail(n, path, "is empty; leave the key out to match anything")
			}
		},
		"time": func(n *yaml.Node, path string) { m.Time = r.time(n, path) },
		"fee": group(strictyaml.Fields{
			"over": func(n *yaml.Node, path string) { m.FeeOver = r.amount(n, path) },
		}),
	})
	return m
}
