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

	Obligations    []Obligation      `json:"obligations,omitempty"`
	BreakGlass     *BreakGlass       `json:"breakGlass,omitempty" doc:"what people may do in a crisis"`
	Oversight      *Oversight        `json:"oversight,omitempty" doc:"who holds and releases requests"`
	Counterparties []Counterparty    `json:"counterparties,omitempty"`
	Whitelist      *Whitelist        `json:"whitelist,omitempty" doc:"settings of the address ledger; absent: there is none"`
	Blacklist      []Blocked         `json:"blacklist,omitempty"`
	Contracts      []policy.Contract `json:"contracts,omitempty" doc:"contracts that calls of can be decoded"`

	ReplayRequired bool `json:"replayRequired,omitempty" doc:"a document that takes this one's place comes with a replay of the log"`

	PriceSources []PriceSource `json:"priceSources,omitempty" doc:"who tells what assets are worth"`

	ScreeningSources []ScreeningSource `json:"screeningSources,omitempty" doc:"who tells how risky it is to pay somebody"`
}

// Obligation adds to what requests that it matches need.
type Obligation struct {
	ID    string   `json:"id"`
	Title string   `json:"title,omitempty"`
	When  Match    `json:"when"`
	Add   Addition `json:"add"`
}

// Addition is what an obligation adds.
type Addition struct {
	Plan      *[]Branch `json:"plan,omitempty" doc:"that must be met besides"`
	Delay     int64     `json:"delay,omitempty" doc:"seconds after acceptance"`
	MinGroups uint32    `json:"minDistinctGroups,omitempty"`
}

// Hours is a part of some days of the week, in local time.
type Hours struct {
	Days []uint `json:"days" doc:"1 is Monday, 7 Sunday"`
	From int64  `json:"from" doc:"minutes from midnight"`
	To   int64  `json:"to" doc:"minutes from midnight, exclusive"`
}

// Special is a day that is not as the week says.
type Special struct {
	Day  int64 `json:"day" doc:"days from 1 January 1970"`
	From int64 `json:"from,omitempty" doc:"minutes from midnight"`
	To   int64 `json:"to,omitempty" doc:"0: shut all day"`
}

// TimeMatch names a calendar.
type TimeMatch struct {
	Inside  string `json:"inside,omitempty"`
	Outside string `json:"outside,omitempty"`
}

// Calendar says what a day is somewhere.
type Calendar struct {
	ID      string   `json:"id"`
	Zone    string   `json:"zone,omitempty" doc:"name in the IANA time zone database, for people"`
	Offsets []Offset `json:"offsets" doc:"of local time from UTC, by rising time"`

	Weekly   []Hours   `json:"weekly,omitempty" doc:"what counts as inside"`
	Holidays []Special `json:"holidays,omitempty" doc:"days that are otherwise"`
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
	Measure  policy.Measure  `json:"measure" doc:"amount, fee, count, newDestinations or fiat"`
	Max      custody.Uint256 `json:"max"`
	Window   Window          `json:"window"`
	GroupBy  []policy.Aspect `json:"groupBy,omitempty" doc:"initiator, source, chain, asset, destination, counterparty"`
	Exceeded policy.Effect   `json:"onExceed" doc:"deny, hold or plan"`

	Plan *[]Branch `json:"plan,omitempty" doc:"that it needs besides, where onExceed is plan"`

	Currency string `json:"currency,omitempty" doc:"of the measure fiat"`
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

	Line  uint8          `json:"line,omitempty" doc:"line of defence: 1 operates, 2 watches over risk, 3 audits"`
	Roles []request.Role `json:"roles,omitempty" doc:"absent: those of the line, and without a line all"`
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

	Line uint8 `json:"line,omitempty" doc:"line of defence of every member"`
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

	MinDistinctGroups uint32 `json:"minDistinctGroups,omitempty"`
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

	Time           *TimeMatch            `json:"time,omitempty"`
	Temperatures   []request.Temperature `json:"temperatures,omitempty"`
	FeeOver        *custody.Uint256      `json:"feeOver,omitempty"`
	Classes        []request.Class       `json:"classes,omitempty" doc:"of the wallet's key: core, token"`
	InitiatorRoles []request.Role        `json:"initiatorRoles,omitempty"`
	Counterparties []string              `json:"counterparties,omitempty"`
	MinAge         int64                 `json:"minAge,omitempty" doc:"seconds"`
	YoungerThan    int64                 `json:"youngerThan,omitempty" doc:"seconds"`
	FirstUse       bool                  `json:"firstUse,omitempty"`
	Lookalike      bool                  `json:"lookalike,omitempty"`
	Call           *policy.CallMatch     `json:"call,omitempty"`
	Typed          *policy.TypedMatch    `json:"typedData,omitempty"`
	Message        []request.MessageKind `json:"message,omitempty"`
	FiatMax        *policy.Fiat          `json:"fiatMax,omitempty" doc:"minor units of a currency"`
	FiatOver       *policy.Fiat          `json:"fiatOver,omitempty" doc:"minor units of a currency"`

	Simulation *policy.SimulationMatch `json:"simulation,omitempty" doc:"true if any of it is so; in obligations only"`
	Screening  *policy.ScreeningMatch  `json:"screening,omitempty" doc:"what sources of screening say of whom it gives something"`
}

// MatchOf gives the JSON form.
func MatchOf(m policy.Match) Match {
	return Match{m.Operations, m.Initiators, m.InitiatorIn, m.InitiatorKind, m.Wallets, m.Chains, m.Assets, m.Destination, m.DestNot, m.Books, m.AmountMax, m.AmountOver, m.Expr,
		(*TimeMatch)(m.Time), m.Temperatures, m.FeeOver, m.Classes, m.InitiatorRoles,
		m.Counterparties, m.MinAge, m.YoungerThan, m.FirstUse, m.Lookalike, m.Call, m.Typed, m.Message, m.FiatMax, m.FiatOver, m.Simulation, m.Screening}
}

func matchFrom(m Match) policy.Match {
	return policy.Match{Operations: m.Operations, Initiators: m.Initiators, InitiatorIn: m.InitiatorIn, InitiatorKind: m.InitiatorKind, Wallets: m.Wallets, Chains: m.Chains, Assets: m.Assets,
		Destination: m.Destination, DestNot: m.DestNot, Books: m.Books, AmountMax: m.AmountMax, AmountOver: m.AmountOver, Expr: m.Expr,
		Time: (*policy.TimeMatch)(m.Time), Temperatures: m.Temperatures, FeeOver: m.FeeOver, Classes: m.Classes, InitiatorRoles: m.InitiatorRoles,
		Counterparties: m.Counterparties, MinAge: m.MinAge, YoungerThan: m.YoungerThan, FirstUse: m.FirstUse, Lookalike: m.Lookalike, Call: m.Call, Typed: m.Typed, Message: m.Message, FiatMax: m.FiatMax, FiatOver: m.FiatOver, Screening: m.Screening, Simulation: m.Simulation}
}

// DocumentOf gives the JSON form.
func DocumentOf(d policy.Document) Document {
	out := Document{Schema: d.V, Version: d.Version, PrevHash: Hex(d.PrevHash[:]), Floor: Floor(d.Floor), ChangePlan: append([]Branch{}, PlanOf(d.ChangePlan)...),
		Principals: []Principal{}, Groups: []Group{}, AddressBook: []BookEntry{}, Guards: []Guard{}, Routes: []Route{}}
	if p := d.Domain; p != nil {
		out.Domain = &DomainPlans{Signature: append([]Branch{}, PlanOf(p.Signature)...), Revocation: append([]Branch{}, PlanOf(p.Revocation)...), Recovery: append([]Branch{}, PlanOf(p.Recovery)...),
			ReanchorDelay: p.ReanchorDelay}
	}
	out.BreakGlass, out.Oversight = breakGlassOf(d.BreakGlass), oversightOf(d.Oversight)
	out.ReplayRequired = d.ReplayRequired
	out.PriceSources, out.ScreeningSources = priceSourcesOf(d.PriceSources), screeningSourcesOf(d.ScreeningSources)
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
		out.Guards = append(out.Guards, Guard{g.ID, g.Title, MatchOf(g.When), g.Effect, g.Reason})
	}
	for _, r := range d.Routes {
		out.Routes = append(out.Routes, Route{r.ID, r.Priority, MatchOf(r.When), PlanOf(r.Plan), r.Auto, r.FeeCap})
	}
	for _, c := range d.Calendars {
		x := Calendar{ID: c.ID, Zone: c.Zone, Offsets: []Offset{}}
		for _, o := range c.Offsets {
			x.Offsets = append(x.Offsets, Offset(o))
		}
		for _, h := range c.Weekly {
			x.Weekly = append(x.Weekly, Hours{Days: append([]uint{}, h.Days...), From: h.From, To: h.To})
		}
		for _, h := range c.Holidays {
			x.Holidays = append(x.Holidays, Special(h))
		}
		out.Calendars = append(out.Calendars, x)
	}
	for _, l := range d.Limits {
		x := Limit{l.ID, l.Title, MatchOf(l.When), l.Measure, l.Max, Window(l.Window), l.GroupBy, l.Exceeded, nil, l.Currency}
		if l.Plan != nil {
			x.Plan = branches(*l.Plan)
		}
		out.Limits = append(out.Limits, x)
	}
	for _, o := range d.Obligations {
		x := Obligation{o.ID, o.Title, MatchOf(o.When), Addition{nil, o.Add.Delay, o.Add.MinGroups}}
		if o.Add.Plan != nil {
			x.Add.Plan = branches(*o.Add.Plan)
		}
		out.Obligations = append(out.Obligations, x)
	}
	out.Counterparties, out.Whitelist, out.Blacklist = d.Counterparties, whitelistOf(d.Whitelist), d.Blacklist
	out.Contracts = d.Contracts
	return out
}

// PrincipalOf gives the JSON form.
func PrincipalOf(p policy.Principal) Principal {
	out := Principal{ID: p.ID, Kind: p.Kind, Active: p.Active, Keys: []Key{}, Line: p.Line, Roles: p.Roles}
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
		x.Delay, x.ExpiresAfter, x.Deadline = b.Delay, b.ExpiresAfter, b.Deadline
		out = append(out, x)
	}
	return out
}

// branches is PlanOf of a plan that may be absent.
func branches(p policy.Plan) *[]Branch {
	out := append([]Branch{}, PlanOf(p)...)
	return &out
}

func planFrom(in []Branch) policy.Plan {
	var out policy.Plan
	for _, b := range in {
		x := policy.Branch{}
		for _, s := range b.Steps {
			x.Steps = append(x.Steps, policy.Step(s))
		}
		x.Delay, x.ExpiresAfter, x.Deadline = b.Delay, b.ExpiresAfter, b.Deadline
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
	out.BreakGlass, out.Oversight = d.BreakGlass.canonical(), d.Oversight.canonical()
	out.ReplayRequired = d.ReplayRequired
	out.PriceSources, out.ScreeningSources = priceSourcesFrom(d.PriceSources), screeningSourcesFrom(d.ScreeningSources)
	for _, p := range d.Principals {
		x := policy.Principal{ID: p.ID, Kind: p.Kind, Active: p.Active, Line: p.Line, Roles: p.Roles}
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
		out.Guards = append(out.Guards, policy.Guard{ID: g.ID, Title: g.Title, When: matchFrom(g.When), Effect: g.Effect, Reason: g.Reason})
	}
	for _, r := range d.Routes {
		out.Routes = append(out.Routes, policy.Route{ID: r.ID, Priority: r.Priority, When: matchFrom(r.When), Plan: planFrom(r.Plan), Auto: r.Auto, FeeCap: r.FeeCap})
	}
	for _, c := range d.Calendars {
		x := policy.Calendar{ID: c.ID, Zone: c.Zone}
		for _, o := range c.Offsets {
			x.Offsets = append(x.Offsets, policy.Offset(o))
		}
		for _, h := range c.Weekly {
			x.Weekly = append(x.Weekly, policy.Hours(h))
		}
		for _, h := range c.Holidays {
			x.Holidays = append(x.Holidays, policy.Special(h))
		}
		out.Calendars = append(out.Calendars, x)
	}
	for _, l := range d.Limits {
		x := policy.Limit{ID: l.ID, Title: l.Title, When: matchFrom(l.When), Measure: l.Measure, Max: l.Max, Window: policy.Window(l.Window), GroupBy: l.GroupBy, Exceeded: l.Exceeded, Currency: l.Currency}
		if l.Plan != nil {
			p := planFrom(*l.Plan)
			x.Plan = &p
		}
		out.Limits = append(out.Limits, x)
	}
	for _, o := range d.Obligations {
		x := policy.Obligation{ID: o.ID, Title: o.Title, When: matchFrom(o.When), Add: policy.Addition{Delay: o.Add.Delay, MinGroups: o.Add.MinGroups}}
		if o.Add.Plan != nil {
			p := planFrom(*o.Add.Plan)
			x.Add.Plan = &p
		}
		out.Obligations = append(out.Obligations, x)
	}
	out.Counterparties, out.Whitelist, out.Blacklist = d.Counterparties, d.Whitelist.canonical(), d.Blacklist
	out.Contracts = d.Contracts
	return out, nil
}
