// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/eth/calls"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/testimony"
	screen "strongroom/internal/pure/verdict" // the package has another verdict
)

// MaxScreeningSources is how many sources of screening a document has at most. Each has as many signers as a source of prices may have.
const MaxScreeningSources = 16

// CriterionScreening is the criterion by which a rule holds what it needs a verdict for, and has none.
const CriterionScreening = "screening"

// ScreeningSource says who tells how risky it is to pay somebody. Risks are from 0, harmless, to 100, the worst: scales of providers point both ways, and who
// signs converts. docs/spec/screening.md.
type ScreeningSource struct {
	ID         string             `cbor:"1,keyasint"`
	Signers    []testimony.Signer `cbor:"2,keyasint"` // sorted by id, each with a key of its own
	MinSigners uint32             `cbor:"3,keyasint"` // whose fresh verdicts on a subject count as one
	MaxAge     int64              `cbor:"4,keyasint"` // seconds that a verdict counts at most
}

// ScreeningMatch looks at verdicts. Those of RiskOver, Categories and Status that are present must be true of one verdict together: that of one source on one
// subject. The others are of all subjects.
type ScreeningMatch struct {
	Sources    []string        `cbor:"1,keyasint,omitempty" json:"sources,omitempty"`    // whose verdicts; sorted, distinct; none: all
	RiskOver   *uint32         `cbor:"2,keyasint,omitempty" json:"riskOver,omitempty"`   // some subject's risk is more than
	RiskMax    *uint32         `cbor:"3,keyasint,omitempty" json:"riskMax,omitempty"`    // every subject has fresh verdicts, and a risk of at most
	Categories []string        `cbor:"4,keyasint,omitempty" json:"categories,omitempty"` // some subject is of one of these; sorted, distinct
	Status     []screen.Status `cbor:"5,keyasint,omitempty" json:"status,omitempty"`     // some subject has one of these; sorted, distinct
	Missing    bool            `cbor:"6,keyasint,omitempty" json:"missing,omitempty"`    // some subject has no fresh verdict; goes with Sources alone
}

// Screened is what a decision knows of one subject from one source: the worst of the verdicts that it is of, or why there is none.
type Screened struct {
	Source     string          `cbor:"1,keyasint"`
	Address    string          `cbor:"2,keyasint,omitempty"` // on the chain of the facts; empty: the request itself, which is left out where there is no verdict on it
	Risk       uint32          `cbor:"3,keyasint,omitempty"` // the highest
	Categories []string        `cbor:"4,keyasint,omitempty"` // all
	Exposure   screen.Exposure `cbor:"5,keyasint,omitempty"` // the worst
	Status     screen.Status   `cbor:"6,keyasint,omitempty"` // the worst
	AsOf       int64           `cbor:"7,keyasint,omitempty"` // of the oldest verdict used, Unix seconds
	Verdicts   []UsedQuote     `cbor:"8,keyasint,omitempty"` // fresh ones, by signer
	Lack       Lack            `cbor:"9,keyasint,omitempty"` // none, stale or unknown; empty if there is one
}

// ScreeningSource finds a source of screening.
func (d *Document) ScreeningSource(id string) (*ScreeningSource, bool) {
	i, ok := slices.BinarySearchFunc(d.ScreeningSources, id, func(s ScreeningSource, id string) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return nil, false
	}
	return &d.ScreeningSources[i], true
}

// Signer gives the key of a signer.
func (s *ScreeningSource) Signer(id string) ([]byte, bool) { return signerIn(s.Signers, id) }

// signerIn gives the key of one of a source's signers.
func signerIn(list []testimony.Signer, id string) ([]byte, bool) {
	i, ok := slices.BinarySearchFunc(list, id, func(s testimony.Signer, id string) int { return cmp.Compare(s.ID, id) })
	if !ok {
		return nil, false
	}
	return list[i].Pub, true
}

// Screens lists the sources that the rules look at, sorted: facts of what gives somebody something have what each says.
func (r *Rules) Screens() []string { return r.screens }

func (d Document) screens() (out []string) {
	of := func(m Match) {
		switch s := m.Screening; {
		case s == nil:
		case len(s.Sources) == 0:
			for _, x := range d.ScreeningSources {
				out = append(out, x.ID)
			}
		default:
			out = append(out, s.Sources...)
		}
	}
	for _, g := range d.Guards {
		of(g.When)
	}
	for _, r := range d.Routes {
		of(r.When)
	}
	for _, o := range d.Obligations {
		of(o.When)
	}
	for _, l := range d.Limits {
		of(l.When)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// subjects lists the addresses that get something, sorted, each once: outputs, contracts that are called, and whom a call or message gives tokens or power over
// them. open says that there may be more, which nobody could decode.
func (f *Facts) subjects() (out []string, open bool) {
	h := attributes(f.Operation)
	if h.destinations {
		for _, d := range f.Destinations {
			out = append(out, d.Address)
		}
	}
	var power []request.TokenApproval
	if h.call && f.Call != nil {
		for _, c := range f.Call.Calls {
			out = append(out, c.Contract)
		}
		for _, m := range f.Call.Movements {
			out = append(out, m.To)
		}
		out = append(out, calls.Receivers(f.Call)...)
		power, open = f.Call.Approvals, f.Call.Undecoded != ""
	}
	if h.message && f.Message != nil {
		out = append(out, f.Message.Contract)
		power = f.Message.Approvals
	}
	for _, a := range power {
		out = append(out, a.Spender)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(a string) bool { return a == "" }), open
}

// screened says whether an operation gives anybody anything, so that facts have verdicts.
func screened(o request.Operation) bool {
	h := attributes(o)
	return h.destinations || h.message
}

// Screened completes facts of a request with what the sources say that the rules look at: of each address that gets something, and of the request.
func (r *Rules) Screened(f *Facts, hash [32]byte, known func(source string, s screen.Subject) Screened) {
	if len(r.screens) == 0 || !screened(f.Operation) {
		return
	}
	addresses, _ := f.subjects()
	ask := func(source string, s screen.Subject) Screened {
		x := Screened{Lack: Forgotten}
		if known != nil {
			x = known(source, s)
		}
		x.Source, x.Address = source, s.Address
		return x
	}
	for _, src := range r.screens {
		for _, a := range addresses {
			f.Screening = append(f.Screening, ask(src, screen.OfAddress(f.Chain, a)))
		}
		if x := ask(src, screen.OfRequest(hash)); x.Lack == "" {
			f.Screening = append(f.Screening, x)
		}
	}
}

// completeScreening says whether the facts have a verdict, or why there is none, of each source that the rules look at on each subject, and nothing else.
func (r *Rules) completeScreening(f *Facts) (criterion, observed string) {
	if len(r.screens) == 0 && len(f.Screening) == 0 { // most documents
		return "", ""
	}
	wrong := func() (string, string) {
		return CriterionScreening, "the facts have not what each source says of each address"
	}
	rest := f.Screening
	next := func(source, address string) bool {
		if len(rest) == 0 || rest[0].Source != source || rest[0].Address != address || rest[0].check() != nil {
			return false
		}
		rest = rest[1:]
		return true
	}
	if screened(f.Operation) {
		addresses, _ := f.subjects()
		for _, src := range r.screens {
			for _, a := range addresses {
				if !next(src, a) {
					return wrong()
				}
			}
			if len(rest) > 0 && rest[0].Address == "" && (rest[0].Lack != "" || !next(src, "")) {
				return wrong()
			}
		}
	}
	if len(rest) > 0 {
		return wrong()
	}
	return "", ""
}

// check says whether x is a verdict, or why there is none, and not both.
func (x *Screened) check() error {
	has := len(x.Verdicts) > 0 && x.Risk <= screen.MaxRisk && slices.Contains(screen.Exposures(), x.Exposure) && slices.Contains(screen.Statuses(), x.Status) && slices.IsSorted(x.Categories)
	lacks := len(x.Verdicts) == 0 && x.Risk == 0 && len(x.Categories) == 0 && x.Exposure == "" && x.Status == "" && x.AsOf == 0
	if x.Lack == "" && !has || x.Lack != "" && !lacks {
		return errors.New("it is no verdict, and no reason for having none")
	}
	return nil
}

// NoVerdictError says that a rule needs a verdict, and why there is none.
type NoVerdictError struct {
	Source  string
	Address string // that has none; empty: nobody knows whom the request gives something
	Lack    Lack
}

func (e *NoVerdictError) Error() string {
	why := map[Lack]string{NoQuotes: "nobody has told it", StaleNow: "too few are fresh", Forgotten: "it is not known here", Undecoded: "whom the call gives something can't be decoded"}[e.Lack]
	if e.Address == "" {
		return fmt.Sprintf("no verdict of %s: %s", e.Source, why)
	}
	return fmt.Sprintf("no verdict of %s on %s: %s", e.Source, e.Address, why)
}

// about gives what the facts know of their own subjects from the sources of a match, and the first subject without a verdict. One on the request speaks for every
// address of it. Facts of a movement have one address.
func (m *ScreeningMatch) about(a *activation) (known []*Screened, lack *NoVerdictError) {
	sources := m.Sources
	if len(sources) == 0 {
		for _, s := range a.doc.ScreeningSources {
			sources = append(sources, s.ID)
		}
	}
	addresses, open := a.facts.subjects()
	for _, src := range sources {
		covered := false // by a verdict on the request
		var first *NoVerdictError
		for i := range a.facts.Screening {
			x := &a.facts.Screening[i]
			if x.Source != src {
				continue
			}
			_, mine := slices.BinarySearch(addresses, x.Address)
			switch {
			case x.Address == "":
				covered = true
				known = append(known, x)
			case mine && x.Lack == "":
				known = append(known, x)
			case mine && first == nil:
				first = &NoVerdictError{src, x.Address, x.Lack}
			}
		}
		if first == nil && open {
			first = &NoVerdictError{src, "", Undecoded}
		}
		if first == nil && len(addresses) > 0 && !slices.ContainsFunc(a.facts.Screening, func(x Screened) bool { return x.Source == src }) {
			first = &NoVerdictError{src, addresses[0], Forgotten}
		}
		if lack == nil && !covered {
			lack = first
		}
	}
	return known, lack
}

// some tries the fields that must be true of one verdict together. Where none is so, one that is not there might be.
func (m *ScreeningMatch) some(a *activation) (bool, error) {
	known, lack := m.about(a)
	for _, x := range known {
		if (m.RiskOver == nil || x.Risk > *m.RiskOver) && (len(m.Status) == 0 || slices.Contains(m.Status, x.Status)) &&
			(len(m.Categories) == 0 || slices.ContainsFunc(x.Categories, func(c string) bool { return slices.Contains(m.Categories, c) })) {
			return true, nil
		}
	}
	if lack != nil {
		return false, lack
	}
	return false, nil
}

// every tries RiskMax. What gives nobody anything, and has no verdict itself, is not screened.
func (m *ScreeningMatch) every(a *activation) (bool, error) {
	known, lack := m.about(a)
	if slices.ContainsFunc(known, func(x *Screened) bool { return x.Risk > *m.RiskMax }) {
		return false, nil
	}
	if lack != nil {
		return false, lack
	}
	return len(known) > 0, nil
}

// lacks tries Missing.
func (m *ScreeningMatch) lacks(a *activation) (bool, error) {
	_, lack := m.about(a)
	return lack != nil, nil
}

// field is the one that stands for those which must be true of one verdict together; noField if there are none.
func (m *ScreeningMatch) field() field {
	switch {
	case m == nil:
		return noField
	case m.RiskOver != nil:
		return fRiskOver
	case len(m.Categories) > 0:
		return fCategories
	case len(m.Status) > 0:
		return fStatus
	default:
		return noField
	}
}

// observed tells the worst that the sources say, and what is missing.
func (m *ScreeningMatch) observed(a *activation) string {
	known, lack := m.about(a)
	if lack != nil {
		return lack.Error()
	}
	if len(known) == 0 {
		return "nobody gets anything"
	}
	worst := slices.MaxFunc(known, func(x, y *Screened) int { return cmp.Compare(x.Risk, y.Risk) })
	if f := m.field(); f == fCategories || f == fStatus {
		for _, x := range known {
			if slices.Contains(m.Status, x.Status) || slices.ContainsFunc(x.Categories, func(c string) bool { return slices.Contains(m.Categories, c) }) {
				worst = x
			}
		}
	}
	return worst.String()
}

// String tells a verdict, or why there is none, in words.
func (x *Screened) String() string {
	who := x.Address
	if who == "" {
		who = "the request"
	}
	if x.Lack != "" {
		return fmt.Sprintf("%s: no verdict of %s (%s)", who, x.Source, x.Lack)
	}
	out := fmt.Sprintf("%s: risk %d, %s", who, x.Risk, x.Status)
	if len(x.Categories) > 0 {
		out += fmt.Sprintf(", %s exposure to %s", x.Exposure, joined(x.Categories, ", "))
	}
	return out + ", says " + x.Source
}
