// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"fmt"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/verdict"
)

// Verdicts takes verdicts of screening: all that may be taken, in one entry.
func (d *Domain) Verdicts(ctx context.Context, in message.Verdicts) (message.StatementsTaken, error) {
	return take(ctx, d, intake[verdict.Verdict]{what: "verdicts", most: entry.MaxVerdicts, at: &d.screened, verify: authority.VerifyVerdict, order: authority.CompareVerdicts,
		asOf: func(v verdict.Verdict) int64 { return v.AsOf },
		fits: func(v verdict.Signed, at authority.Moment, taken []verdict.Signed) error {
			more := 0
			for _, x := range taken {
				if _, ok := d.state.LatestVerdict(x); !ok {
					more++
				}
			}
			return d.state.FitsVerdict(v, at, more)
		},
		same: func(v verdict.Signed) bool {
			was, ok := d.state.LatestVerdict(v)
			src, known := d.state.Doc.ScreeningSource(v.Said.Source)
			return ok && known && was.Verdict.Same(v.Said) && v.Said.AsOf-was.Verdict.AsOf < (was.Verdict.Ends(src.MaxAge)-was.Verdict.AsOf)/2
		},
		record: func(at authority.Moment, taken []verdict.Signed) (recorded, error) {
			return d.record(at, entry.KindVerdicts, entry.Confidential, &entry.Verdicts{Verdicts: taken})
		}}, in.Verdicts)
}

// Screening tells what is known of sources, and the verdicts that are asked for.
func (d *Domain) Screening(in message.ScreeningAsk) (message.Screening, error) {
	var on verdict.Key
	if in.Subject != nil {
		if err := in.Subject.Check(); err != nil {
			return message.Screening{}, problem.New(problem.Malformed, "%v", err)
		}
		on = in.Subject.Key()
	}
	most := in.Most
	if most == 0 || most > message.MaxVerdictsShown {
		most = message.MaxVerdictsShown
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.moment(d.cfg.Clock.Now())
	out := message.Screening{Sources: d.sources(at), Verdicts: []message.Verdict{}, Time: at.Time}
	for _, r := range d.state.VerdictRecords(in.Source, on, int(most)) {
		v := message.Verdict{Verdict: r.Verdict, Signer: r.Signer, Entry: r.Seq}
		if src, ok := d.state.Doc.ScreeningSource(r.Verdict.Source); ok {
			v.Fresh = !authority.Expired(r.Verdict.Ends(src.MaxAge), at.Time, at.Bound)
		}
		out.Verdicts = append(out.Verdicts, v)
	}
	if in.Subject != nil {
		ask := d.state.VerdictsAt(at)
		for _, src := range d.state.Doc.ScreeningSources {
			if in.Source == "" || in.Source == src.ID {
				x := ask(src.ID, *in.Subject)
				x.Source, x.Address = src.ID, in.Subject.Address
				out.Says = append(out.Says, x)
			}
		}
	}
	return out, nil
}

// sources lists the sources of screening. The caller holds mu.
func (d *Domain) sources(at authority.Moment) []message.ScreeningSource {
	out := []message.ScreeningSource{}
	for _, x := range d.state.SourceStates() {
		out = append(out, message.ScreeningSource{ID: x.Source, Kept: uint64(x.Kept), Newest: x.Newest, MaxAge: x.MaxAge, Silent: x.Silent(at)})
	}
	return out
}

// screeningStatus says how the sources of screening are, and in words what is held because one is silent. The caller holds mu.
func (d *Domain) screeningStatus() (*message.ScreeningStatus, []string) {
	at := d.moment(d.cfg.Clock.Now())
	out := &message.ScreeningStatus{Sources: d.sources(at)}
	if len(out.Sources) == 0 {
		return nil, nil
	}
	var words []string
	for _, x := range out.Sources {
		if out.Kept += x.Kept; !x.Silent {
			continue
		}
		since := "has said nothing yet"
		if x.Newest > 0 {
			since = "is silent since " + time.Unix(x.Newest, 0).UTC().Format(time.RFC3339)
		}
		words = append(words, fmt.Sprintf("screening: source %s %s; what needs its verdicts is held, all else goes on", x.ID, since))
	}
	return out, words
}
