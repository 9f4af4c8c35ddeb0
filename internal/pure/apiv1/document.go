// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"encoding/hex"
	"fmt"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
)

// Document is policy.Document in JSON, for people and tools. Only the canonical encoding is signed; [Document.Canonical] and
// [DocumentOf] go between the two without loss.
type Document struct {
	Schema      uint        `json:"schema" doc:"1"`
	Version     uint64      `json:"version"`
	PrevHash    string      `json:"prevHash" doc:"64 hex digits; zeros at genesis"`
	Principals  []Principal `json:"principals"`
	Groups      []Group     `json:"groups"`
	AddressBook []BookEntry `json:"addressBook"`
	Floor       Floor       `json:"floor"`
	Guards      []Guard     `json:"guards"`
	Routes      []Route     `json:"routes"`
	ChangePlan  []Branch    `json:"changePlan" doc:"any one branch is enough"`

	Domain *DomainPlans `json:"domain,omitempty" doc:"plans of the domain's life cycle; absent: the change plan stands for each"`

	Calendars []Calendar `json:"calendars,omitempty"`
	Limits    []Limit    `json:"limits,omitempty"`

	Counterparties []Counterparty    `json:"counterparties,omitempty"`
	Whitelist      *Whitelist        `json:"whitelist,omitempty" doc:"settings of the address ledger; absent: there is none"`
	Blacklist      []Blocked         `json:"blacklist,omitempty"`
	Contracts      []policy.Contract `json:"contracts,omitempty" doc:"contracts that calls of can be decoded"`
}

// Calendar says what a day is somewhere.
type Calendar struct {
	ID      string   `json:"id"`
	Zone    string   `json:"zone,omitempty" doc:"name in the IANA time zone database, for people"`
	Offsets []Offset `json:"offsets" doc:"of local time from UTC, by rising time"`
}

// Offset is local time less UTC from a time on.
type Offset struct {
	From    int64 `json:"from" doc:"Unix seconds"`
	Seconds int64 `json:"seconds"`
}

// Limit bounds what requests take together.
type Limit struct {
	ID       string          `json:"id"`
	Title    string          `json:"title,omitempty"`
	When     Match           `json:"when"`
	Measure  policy.Measure  `json:"measure" doc:"amount, fee, count or newDestinations"`
	Max      custody.Uint256 `json:"max"`
	Window   Window          `json:"window"`
	GroupBy  []policy.Aspect `json:"groupBy,omitempty" doc:"initiator, source, chain, asset, destination, counterparty"`
	Exceeded policy.Effect   `json:"onExceed"`
}

// Window is the time that a limit looks back on; empty: all time.
type Window struct {
	Rolling  int64       `json:"rolling,omitempty" doc:"seconds"`
	Unit     policy.Unit `json:"calendar,omitempty" doc:"day, week or month"`
	Calendar string      `json:"in,omitempty" doc:"id of the calendar"`
}

// DomainPlans are the reserved plans of the domain's life cycle.
type DomainPlans struct {
	Signature  []Branch `json:"signature" doc:"its people are the administrators"`
	Revocation []Branch `json:"revocation"`
	Recovery   []Branch `json:"recovery"`

	ReanchorDelay *int64 `json:"reanchorDelay,omitempty" doc:"seconds between re-anchoring and its effect; absent: 259200"`
}

// Principal is a person or service.
type Principal struct {
	ID     custody.PersonID     `json:"id"`
	Kind   policy.PrincipalKind `json:"kind"`
	Keys   []Key                `json:"keys"`
	Active bool                 `json:"active"`
}

// Key is a public key of a principal. Ref follows from the others; it may be left out.
type Key struct {
	Alg    request.Algorithm `json:"alg"`
	Pub    custody.HexBytes  `json:"pub"`
	RP     string            `json:"rp,omitempty"`     // passkeys: relying party id
	Origin string            `json:"origin,omitempty"` // passkeys: origin of the pages where it is used
	Ref    request.KeyRef    `json:"ref,omitempty"`
}

// Group is a named set of principals.
type Group struct {
	ID      custody.GroupID    `json:"id"`
	Members []custody.PersonID `json:"members"`
}

// BookEntry is a destination that rules may call whitelisted.
type BookEntry struct {
	ID      string          `json:"id"`
	Chain   custody.ChainID `json:"chain"`
	Address string          `json:"address"`

	Counterparty string            `json:"counterparty,omitempty"`
	Proof        request.ProofKind `json:"proof,omitempty" doc:"signed_msg, satoshi_test or attested"`
	Expires      int64             `json:"expires,omitempty" doc:"Unix seconds"`
	Suspended    bool              `json:"suspended,omitempty"`
	Kind         request.EntryKind `json:"kind,omitempty"`
	Tags         []string          `json:"tags,omitempty"`
}

// Floor holds for every request.
type Floor struct {
	MinDistinctUsers   uint32 `json:"minDistinctUsers"`
	ForbidSelfApproval bool   `json:"forbidSelfApproval"`
	RequestTTL         int64  `json:"requestTtl" doc:"seconds"`
	MaxApprovalAge     int64  `json:"maxApprovalAge" doc:"seconds"`
}

// Guard refuses or holds what it matches.
type Guard struct {
	ID     string        `json:"id"`
	Title  string        `json:"title,omitempty"`
	When   Match         `json:"when"`
	Effect policy.Effect `json:"effect"`
	Reason string        `json:"reason,omitempty"`
}

// Route says which approvals a request needs.
type Route struct {
	ID       string           `json:"id"`
	Priority uint32           `json:"priority"`
	When     Match            `json:"when"`
	Plan     []Branch         `json:"plan,omitempty"`
	Auto     bool             `json:"auto,omitempty"`
	FeeCap   *custody.Uint256 `json:"feeCap,omitempty"`
}

// Match is true when every field that is present is.
type Match struct {
	Operations    []request.Operation      `json:"operations,omitempty"`
	Initiators    []custody.PersonID       `json:"initiators,omitempty"`
	InitiatorIn   []custody.GroupID        `json:"initiatorIn,omitempty"`
	InitiatorKind []policy.PrincipalKind   `json:"initiatorKind,omitempty"`
	Wallets       []custody.WalletID       `json:"wallets,omitempty"`
	Chains        []custody.ChainID        `json:"chains,omitempty"`
	Assets        []custody.AssetID        `json:"assets,omitempty"`
	Destination   []policy.DestinationKind `json:"destination,omitempty"`
	DestNot       []policy.DestinationKind `json:"destinationNot,omitempty"`
	Books         []string                 `json:"books,omitempty"`
	AmountMax     *custody.Uint256         `json:"amountMax,omitempty"`
	AmountOver    *custody.Uint256         `json:"amountOver,omitempty"`
	Expr          string                   `json:"expr,omitempty" doc:"CEL"`

	Counterparties []string              `json:"counterparties,omitempty"`
	MinAge         int64                 `json:"minAge,omitempty" doc:"seconds"`
	YoungerThan    int64                 `json:"youngerThan,omitempty" doc:"seconds"`
	FirstUse       bool                  `json:"firstUse,omitempty"`
	Lookalike      bool                  `json:"lookalike,omitempty"`
	Call           *policy.CallMatch     `json:"call,omitempty"`
	Typed          *policy.TypedMatch    `json:"typedData,omitempty"`
	Message        []request.MessageKind `json:"message,omitempty"`
}

// DocumentOf gives the JSON form.
func DocumentOf(d policy.Document) Document {
	out := Document{Schema: d.V, Version: d.Version, PrevHash: Hex(d.PrevHash[:]), Floor: Floor(d.Floor), ChangePlan: append([]Branch{}, PlanOf(d.ChangePlan)...),
		Principals: []Principal{}, Groups: []Group{}, AddressBook: []BookEntry{}, Guards: []Guard{}, Routes: []Route{}}
	if p := d.Domain; p != nil {
		out.Domain = &DomainPlans{Signature: append([]Branch{}, PlanOf(p.Signature)...), Revocation: append([]Branch{}, PlanOf(p.Revocation)...), Recovery: append([]Branch{}, PlanOf(p.Recovery)...),
			ReanchorDelay: p.ReanchorDelay}
	}
	for _, p := range d.Principals {
		out.Principals = append(out.Principals, PrincipalOf(p))
	}
	for _, g := range d.Groups {
		x := Group(g)
		if x.Members == nil {
			x.Members = []custody.PersonID{}
		}
		out.Groups = append(out.Groups, x)
	}
	for _, b := range d.AddressBook {
		out.AddressBook = append(out.AddressBook, BookEntry(b))
	}
	for _, g := range d.Guards {
		out.Guards = append(out.Guards, Guard{g.ID, g.Title, Match(g.When), g.Effect, g.Reason})
	}
	for _, r := range d.Routes {
		out.Routes = append(out.Routes, Route{r.ID, r.Priority, Match(r.When), PlanOf(r.Plan), r.Auto, r.FeeCap})
	}
	for _, c := range d.Calendars {
		x := Calendar{ID: c.ID, Zone: c.Zone, Offsets: []Offset{}}
		for _, o := range c.Offsets {
			x.Offsets = append(x.Offsets, Offset(o))
		}
		out.Calendars = append(out.Calendars, x)
	}
	for _, l := range d.Limits {
		out.Limits = append(out.Limits, Limit{l.ID, l.Title, Match(l.When), l.Measure, l.Max, Window(l.Window), l.GroupBy, l.Exceeded})
	}
	out.Counterparties, out.Whitelist, out.Blacklist = d.Counterparties, whitelistOf(d.Whitelist), d.Blacklist
	out.Contracts = d.Contracts
	return out
}

// PrincipalOf gives the JSON form.
func PrincipalOf(p policy.Principal) Principal {
	out := Principal{ID: p.ID, Kind: p.Kind, Active: p.Active, Keys: []Key{}}
	for _, k := range p.Keys {
		out.Keys = append(out.Keys, Key{k.Alg, k.Pub, k.RP, k.Origin, k.Ref()})
	}
	return out
}

// PlanOf gives the JSON form.
func PlanOf(p policy.Plan) []Branch {
	var out []Branch
	for _, b := range p.AnyOf {
		x := Branch{Steps: []Step{}}
		for _, s := range b.Steps {
			x.Steps = append(x.Steps, Step(s))
		}
		out = append(out, x)
	}
	return out
}

func planFrom(in []Branch) policy.Plan {
	var out policy.Plan
	for _, b := range in {
		x := policy.Branch{}
		for _, s := range b.Steps {
			x.Steps = append(x.Steps, policy.Step(s))
		}
		out.AnyOf = append(out.AnyOf, x)
	}
	return out
}

// Canonical gives the document that the JSON stands for. Its form is checked where it is used (policy.Document.Check).
func (d Document) Canonical() (policy.Document, error) {
	out := policy.Document{V: d.Schema, Version: d.Version, Floor: policy.Floor(d.Floor), ChangePlan: planFrom(d.ChangePlan)}
	h, err := hex.DecodeString(d.PrevHash)
	if err != nil || len(h) != 32 {
		return out, fmt.Errorf("prevHash must be 64 hex digits")
	}
	out.PrevHash = [32]byte(h)
	if p := d.Domain; p != nil {
		out.Domain = &policy.DomainPlans{Signature: planFrom(p.Signature), Revocation: planFrom(p.Revocation), Recovery: planFrom(p.Recovery), ReanchorDelay: p.ReanchorDelay}
	}
	for _, p := range d.Principals {
		x := policy.Principal{ID: p.ID, Kind: p.Kind, Active: p.Active}
		for _, k := range p.Keys {
			key := request.PublicKey{Alg: k.Alg, Pub: k.Pub, RP: k.RP, Origin: k.Origin}
			if k.Ref != "" && k.Ref != key.Ref() {
				return out, fmt.Errorf("principal %s: key ref %s is not the key's, %s; leave ref out", p.ID, k.Ref, key.Ref())
			}
			x.Keys = append(x.Keys, key)
		}
		out.Principals = append(out.Principals, x)
	}
	for _, g := range d.Groups {
		out.Groups = append(out.Groups, policy.Group(g))
	}
	for _, b := range d.AddressBook {
		out.AddressBook = append(out.AddressBook, policy.BookEntry(b))
	}
	for _, g := range d.Guards {
		out.Guards = append(out.Guards, policy.Guard{ID: g.ID, Title: g.Title, When: policy.Match(g.When), Effect: g.Effect, Reason: g.Reason})
	}
	for _, r := range d.Routes {
		out.Routes = append(out.Routes, policy.Route{ID: r.ID, Priority: r.Priority, When: policy.Match(r.When), Plan: planFrom(r.Plan), Auto: r.Auto, FeeCap: r.FeeCap})
	}
	for _, c := range d.Calendars {
		x := policy.Calendar{ID: c.ID, Zone: c.Zone}
		for _, o := range c.Offsets {
			x.Offsets = append(x.Offsets, policy.Offset(o))
		}
		out.Calendars = append(out.Calendars, x)
	}
	for _, l := range d.Limits {
		out.Limits = append(out.Limits, policy.Limit{ID: l.ID, Title: l.Title, When: policy.Match(l.When), Measure: l.Measure, Max: l.Max, Window: policy.Window(l.Window), GroupBy: l.GroupBy, Exceeded: l.Exceeded})
	}
	out.Counterparties, out.Whitelist, out.Blacklist = d.Counterparties, d.Whitelist.canonical(), d.Blacklist
	out.Contracts = d.Contracts
	return out, nil
}
