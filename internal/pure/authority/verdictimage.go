// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/verdict"
)

// verdictSection is field 6 of section 23.
type verdictSection struct {
	Verdicts []canon.Raw    `cbor:"1,keyasint,omitempty"` // each a VerdictRecord: by entry, source, subject and signer
	Told     []sourceRecord `cbor:"2,keyasint,omitempty"` // by source
}

// sourceRecord is sourceTimes in the image.
type sourceRecord struct {
	Source string `cbor:"1,keyasint"`
	Newest int64  `cbor:"2,keyasint,omitempty"`
	From   int64  `cbor:"3,keyasint,omitempty"`
}

// image gives field 6 of section 23; nil while it says nothing.
func (v *verdicts) image(doc *policy.Document) *verdictSection {
	if len(v.told) == 0 {
		return nil
	}
	out := verdictSection{Verdicts: make([]canon.Raw, 0, len(v.of))}
	for _, k := range v.order {
		if k != nil {
			out.Verdicts = append(out.Verdicts, k.raw)
		}
	}
	for _, src := range doc.ScreeningSources {
		if t, ok := v.told[src.ID]; ok {
			out.Told = append(out.Told, sourceRecord{src.ID, t.newest, t.from})
		}
	}
	return &out
}

// restoreVerdicts takes field 6 of section 23. The rule document is there already.
func (s *State) restoreVerdicts(x *verdictSection) error {
	if x == nil {
		return nil
	}
	v := &s.gov.verdicts
	for i, t := range x.Told {
		if _, ok := s.Doc.ScreeningSource(t.Source); !ok || t.Newest < 0 || t.From < 0 || t.Newest+t.From == 0 || i > 0 && x.Told[i-1].Source >= t.Source {
			return fmt.Errorf("screening source %d is out of order, or not of the rule document", i)
		}
		v.told[t.Source] = sourceTimes{t.Newest, t.From}
	}
	if len(x.Told) == 0 || len(x.Verdicts) > MaxVerdicts {
		return errors.New("verdicts: nothing is there, which is left out, or too many are")
	}
	var last VerdictRecord
	for i, raw := range x.Verdicts {
		var r VerdictRecord
		if err := canon.Decode(raw, &r); err != nil {
			return fmt.Errorf("verdict %d: %w", i, err)
		}
		src, ok := s.Doc.ScreeningSource(r.Verdict.Source)
		if !ok || r.Verdict.Check() != nil || r.Verdict.AsOf > v.told[r.Verdict.Source].newest || r.Seq >= s.Next {
			return fmt.Errorf("verdict %d is none, or not of the rule document", i)
		}
		if _, known := src.Signer(r.Signer); !known {
			return fmt.Errorf("verdict %d is of no signer of its source", i)
		}
		if _, twice := v.of[r.key()]; twice || i > 0 && cmp.Or(cmp.Compare(last.Seq, r.Seq), CompareVerdicts(verdict.Signed{Said: last.Verdict, Signer: last.Signer}, verdict.Signed{Said: r.Verdict, Signer: r.Signer})) >= 0 {
			return fmt.Errorf("verdict %d is out of order", i)
		}
		v.add(r, src.MaxAge)
		last = r
	}
	return nil
}
