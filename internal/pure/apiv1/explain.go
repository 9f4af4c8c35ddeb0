// SPDX-License-Identifier: Apache-2.0

package apiv1

import (
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
)

// SimulationIn asks what would be decided about a request. Nobody signs it, and it has no idempotency key.
type SimulationIn struct {
	Request  Request             `json:"request"`
	Evidence policy.EvidenceKind `json:"evidence,omitempty" doc:"signature or session; absent: session where a service asks, else signature"`
}

// Explanation says why the rules say what they say of a request.
type Explanation struct {
	Request       string    `json:"request,omitempty" doc:"absent of what was only simulated"`
	State         string    `json:"state,omitempty"`
	Seq           uint64    `json:"seq,omitempty"`
	PolicyVersion uint64    `json:"policyVersion" doc:"of the rule document of now"`
	PolicyHash    string    `json:"policyHash"`
	Recorded      *Decision `json:"recorded,omitempty" doc:"on acceptance"`
	Approvals     []Vote    `json:"approvals"`
	Missing       *Lack     `json:"missing,omitempty" doc:"what it waits for, or why it was refused, or would be"`
	Unfit         *Lack     `json:"unfit,omitempty" doc:"why the rules can't be asked now: it can't be done as things are"`
	Uncertain     bool      `json:"timeUncertain,omitempty" doc:"the clock is not certain: nothing would be decided now"`
	Now           *RulesNow `json:"now,omitempty"`
}

// RulesNow is what the rules say of a request now.
type RulesNow struct {
	Facts    Facts               `json:"facts"`
	Effects  request.Effects     `json:"effects"`
	Bounds   request.Bounds      `json:"bounds"`
	Decision Decision            `json:"decision"`
	Rules    []policy.Considered `json:"rules" doc:"how each rule of the document sees it"`
	Limits   []LimitUse          `json:"limits" doc:"what it takes from limits that match"`
	Plans    []policy.Progress   `json:"plans" doc:"how far approvals have come"`
	Then     []policy.Progress   `json:"plansOnAcceptance,omitempty" doc:"must be met too"`
}

// Facts is what the rules see of a request.
type Facts struct {
	Operation    request.Operation   `json:"operation"`
	Initiator    custody.PersonID    `json:"initiator"`
	Evidence     policy.EvidenceKind `json:"evidence"`
	Wallet       custody.WalletID    `json:"wallet,omitempty"`
	Class        request.Class       `json:"class,omitempty"`
	Chain        custody.ChainID     `json:"chain,omitempty"`
	Asset        custody.AssetID     `json:"asset,omitempty"`
	Destinations []DestinationFacts  `json:"destinations,omitempty"`
	Total        custody.Uint256     `json:"total"`
	FeeCap       custody.Uint256     `json:"feeCap"`
	Count        uint32              `json:"count,omitempty"`
	Mode         policy.Mode         `json:"mode,omitempty" doc:"operational state; absent: normal"`
	Earliest     string              `json:"earliest,omitempty" doc:"the true time is not before; only where rules ask for the time"`
	Latest       string              `json:"latest,omitempty"`
	Temperature  request.Temperature `json:"temperature,omitempty" doc:"of the wallet; only where rules ask for it"`

	Simulation *simulation.Report `json:"simulation,omitempty" doc:"the word of serve, which only obligations look at"`
	Screening  []Screened         `json:"screening,omitempty" doc:"what sources say of whom it gives something; only where rules ask for it"`
}

// DestinationFacts is what the rules see of one output.
type DestinationFacts struct {
	Address string                 `json:"address"`
	Amount  custody.Uint256        `json:"amount"`
	Kind    policy.DestinationKind `json:"kind"`
	Book    string                 `json:"book,omitempty" doc:"id in the address book"`
}

// FactsOf gives the JSON form.
func FactsOf(f policy.Facts) Facts {
	out := Facts{Operation: f.Operation, Initiator: f.Initiator, Evidence: f.Evidence, Wallet: f.Wallet, Class: f.Class, Chain: f.Chain, Asset: f.Asset,
		Total: f.Total, FeeCap: f.FeeCap, Count: f.Count, Simulation: f.Simulation, Screening: ScreenedOf(f.Screening)}
	for _, d := range f.Destinations {
		out.Destinations = append(out.Destinations, DestinationFacts{d.Address, d.Amount, d.Kind, d.Book})
	}
	if f.Context != nil {
		out.Mode = f.Context.Mode
	}
	if a := f.Around; a != nil {
		out.Temperature = a.Temperature
		if a.Latest != 0 {
			out.Earliest, out.Latest = Time(a.Earliest*1e9), Time(a.Latest*1e9)
		}
	}
	return out
}

// Meter is what a limit has counted.
type Meter struct {
	Limit    string          `json:"limit"`
	Title    string          `json:"title,omitempty"`
	Measure  policy.Measure  `json:"measure,omitempty"`
	Currency string          `json:"currency,omitempty" doc:"of the measure fiat, whose amounts are in its minor units"`
	Window   *Window         `json:"window,omitempty"`
	GroupBy  []policy.Aspect `json:"groupBy,omitempty"`
	Group    []string        `json:"group,omitempty" doc:"values of groupBy, in its order; absent although the limit has some: counts in each group"`
	Max      custody.Uint256 `json:"max"`
	Used     custody.Uint256 `json:"used"`
	Reserved custody.Uint256 `json:"reserved" doc:"by requests that wait"`
	Left     custody.Uint256 `json:"left"`
	Frees    string          `json:"frees,omitempty" doc:"when the oldest use counts no more; absent: nothing is used, or never"`
}

// LimitUse is what a request takes from a limit.
type LimitUse struct {
	Meter  Meter           `json:"meter"`
	Takes  custody.Uint256 `json:"takes"`
	Passed bool            `json:"passed" doc:"there is not so much left"`
	Effect policy.Effect   `json:"onExceed"`
}

// MeterList is a page of what limits have counted.
type MeterList struct {
	Meters []Meter `json:"meters"`
	Next   string  `json:"next,omitempty" doc:"cursor of the next page"`
}
