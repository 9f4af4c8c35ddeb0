// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/testimony"
	"strongroom/internal/pure/verdict"
)

// MaxVerdicts is how many verdicts the state keeps. One more is refused until some have ended.
const MaxVerdicts = 100_000

// verdicts is what signers of the rule document's sources of screening said last of each subject. docs/spec/screening.md.
type verdicts struct {
	of    map[verdictKey]*keptVerdict
	order []*keptVerdict // by entry, then as in it; nil where another took its place or it ended
	gone  int            // nils in order
	ends  verdictEnds
	kept  map[voice]int          // how many there are of each
	told  map[string]sourceTimes // by source, while it is in the rule document
}

// voice is a signer of a source.
type voice struct{ source, signer string }

func (r VerdictRecord) voice() voice { return voice{r.Verdict.Source, r.Signer} }

// sourceTimes is what the state keeps of a source of screening besides verdicts, in Unix seconds.
type sourceTimes struct {
	newest int64 // greatest asOf of what it said and was taken
	from   int64 // what it said before is not taken: of what was forgotten then, an older one could come again
}

func newVerdicts() verdicts {
	return verdicts{of: map[verdictKey]*keptVerdict{}, kept: map[voice]int{}, told: map[string]sourceTimes{}}
}

// verdictKey names the latest verdict of a signer.
type verdictKey struct {
	source  string
	subject verdict.Key
	signer  string
}

// keptVerdict is a verdict with its place. Its encoding is kept too: a snapshot of many is written without encoding each again.
type keptVerdict struct {
	VerdictRecord
	raw   canon.Raw
	place int // in order
}

// VerdictRecord is the latest verdict of a signer on a subject, as the state keeps it.
type VerdictRecord struct {
	Verdict verdict.Verdict `cbor:"1,keyasint"`
	Signer  string          `cbor:"2,keyasint"`
	Seq     uint64          `cbor:"3,keyasint"` // entry that took it
}

func (r VerdictRecord) key() verdictKey {
	return verdictKey{r.Verdict.Source, r.Verdict.Subject.Key(), r.Signer}
}

// verdictEnds is a heap of when verdicts end. It holds some that are gone, which are skipped.
type verdictEnds []verdictEnd

type verdictEnd struct {
	at int64 // Unix seconds
	of *keptVerdict
}

// Len, Less, Swap, Push and Pop are those of a heap.
func (v verdictEnds) Len() int           { return len(v) }
func (v verdictEnds) Less(i, j int) bool { return v[i].at < v[j].at }
func (v verdictEnds) Swap(i, j int)      { v[i], v[j] = v[j], v[i] }
func (v *verdictEnds) Push(x any)        { *v = append(*v, x.(verdictEnd)) }
func (v *verdictEnds) Pop() any {
	last := len(*v) - 1
	x := (*v)[last]
	(*v)[last] = verdictEnd{}
	*v = (*v)[:last]
	return x
}

// CompareVerdicts orders signed verdicts as an entry has them.
func CompareVerdicts(a, b verdict.Signed) int {
	return cmp.Or(cmp.Compare(a.Said.Source, b.Said.Source), a.Said.Subject.Compare(b.Said.Subject), cmp.Compare(a.Signer, b.Signer))
}

// add keeps a verdict in the place of the one before: until its source lets none count that is as old, which is after its own end. Else an older one with a later
// end could come again.
func (v *verdicts) add(r VerdictRecord, maxAge int64) {
	v.drop(v.of[r.key()])
	k := &keptVerdict{VerdictRecord: r, raw: canon.Encode(&r), place: len(v.order)}
	v.order = append(v.order, k)
	v.of[r.key()] = k
	v.kept[r.voice()]++
	heap.Push(&v.ends, verdictEnd{r.Verdict.AsOf + maxAge, k})
}

// drop forgets a verdict, if there is one. Room is made where more is gone than there.
func (v *verdicts) drop(k *keptVerdict) {
	if k == nil || v.of[k.key()] != k {
		return
	}
	delete(v.of, k.key())
	v.kept[k.voice()]--
	v.order[k.place] = nil
	if v.gone++; v.gone <= len(v.of)+64 {
		return
	}
	kept := v.order[:0]
	for _, x := range v.order {
		if x != nil {
			x.place = len(kept)
			kept = append(kept, x)
		}
	}
	clear(v.order[len(kept):])
	v.order, v.gone = kept, 0
}

// expireVerdicts forgets what is too old for certain.
func (s *State) expireVerdicts(l entry.Leaf) {
	v := &s.gov.verdicts
	for len(v.ends) > 0 && past(v.ends[0].at, l) {
		v.drop(heap.Pop(&v.ends).(verdictEnd).of)
	}
	if len(v.ends) > 2*len(v.of)+1024 { // mostly of what was replaced
		s.settleEnds()
	}
}

// settleEnds makes the heap anew, by the rule document as it is.
func (s *State) settleEnds() {
	v := &s.gov.verdicts
	v.ends = v.ends[:0]
	for _, k := range v.order {
		if k == nil {
			continue
		}
		if src, ok := s.Doc.ScreeningSource(k.Verdict.Source); ok {
			v.ends = append(v.ends, verdictEnd{k.Verdict.AsOf + src.MaxAge, k})
		}
	}
	heap.Init(&v.ends)
}

// LatestVerdict gives the verdict of a signer that the state has on a subject.
func (s *State) LatestVerdict(q verdict.Signed) (VerdictRecord, bool) {
	k, ok := s.gov.verdicts.of[VerdictRecord{Verdict: q.Said, Signer: q.Signer}.key()]
	if !ok {
		return VerdictRecord{}, false
	}
	return k.VerdictRecord, true
}

// FitsVerdict says whether a verdict may be taken at a moment, but for its signature ([VerifyVerdict]): it is of a signer of a source of the rule document, made
// for this authority, fresh, newer than the one that the signer gave before on the subject, and there is room. more is how many are taken with it on subjects
// that the state has none of this signer on.
func (s *State) FitsVerdict(q verdict.Signed, at Moment, more int) error {
	if err := q.Check(); err != nil {
		return problem.New(problem.Malformed, "%v", err)
	}
	src, ok := s.Doc.ScreeningSource(q.Said.Source)
	if !ok {
		return problem.New(problem.Forbidden, "screening source %q is not in the rule document", q.Said.Source)
	}
	_, known := src.Signer(q.Signer)
	was, has := s.LatestVerdict(q)
	x := statement{"verdict", q.Said.Authority, src.ID, q.Said.AsOf, q.Said.Ends(src.MaxAge), q.Signer, known}
	if err := s.fits(x, at, func() (int64, uint64, bool) { return was.Verdict.AsOf, was.Seq, has }); err != nil {
		return err
	}
	if from := s.gov.verdicts.told[src.ID].from; q.Said.AsOf < from {
		return problem.New(problem.Expired, "the verdict is from before the rules took source %s as it is, at %d", src.ID, from)
	}
	if has {
		return nil
	}
	return s.roomForVerdict(voice{src.ID, q.Signer}, more)
}

// roomForVerdict says whether one more may be kept of a signer. While fewer than half of the places are taken everybody has room; the others are shared, so that who
// has the key of one signer can't silence all others.
func (s *State) roomForVerdict(by voice, more int) error {
	const shared = MaxVerdicts / 2
	signers := 0
	for _, src := range s.Doc.ScreeningSources {
		signers += len(src.Signers)
	}
	switch v := &s.gov.verdicts; {
	case len(v.of)+more >= MaxVerdicts:
		return problem.New(problem.Busy, "%d verdicts are kept already; hand this one in when some have ended, or let sources give theirs a shorter life", MaxVerdicts)
	case len(v.of)+more >= shared && v.kept[by]+more >= shared/signers:
		return problem.New(problem.Busy, "%d verdicts are kept already, %d of this signer; hand this one in when some have ended, or let the source give its own a shorter life", len(v.of), v.kept[by])
	}
	return nil
}

// VerifyVerdict says whether a verdict is signed by who it says, by the rule document.
func VerifyVerdict(d *policy.Document, q verdict.Signed) error {
	src, ok := d.ScreeningSource(q.Said.Source)
	return verifySaid("verdict", q.Said.Source, src, ok, q)
}

// applyVerdicts takes verdicts. Their signatures were checked when the entry was made, and are in Audit.
func (s *State) applyVerdicts(l entry.Leaf, b *entry.Verdicts) (func(), error) {
	if n := len(b.Verdicts); n == 0 || n > entry.MaxVerdicts {
		return nil, fmt.Errorf("has %d verdicts; want 1 to %d", n, entry.MaxVerdicts)
	}
	more := 0
	for i, q := range b.Verdicts {
		if i > 0 && CompareVerdicts(b.Verdicts[i-1], q) >= 0 {
			return nil, errors.New("verdicts are out of order")
		}
		if err := s.FitsVerdict(q, Moment{l.Time, l.Bound}, more); err != nil {
			return nil, fmt.Errorf("verdict %d: %w", i, err)
		}
		if _, ok := s.LatestVerdict(q); !ok {
			more++
		}
	}
	return func() {
		v := &s.gov.verdicts
		for _, q := range b.Verdicts {
			src, _ := s.Doc.ScreeningSource(q.Said.Source) // checked
			v.add(VerdictRecord{q.Said, q.Signer, l.Seq}, src.MaxAge)
			t := v.told[src.ID]
			t.newest = max(t.newest, q.Said.AsOf)
			v.told[src.ID] = t
		}
	}, nil
}

func (s *State) auditVerdicts(b *entry.Verdicts) error {
	for i, q := range b.Verdicts {
		if err := VerifyVerdict(&s.Doc, q); err != nil {
			return fmt.Errorf("verdict %d: %w", i, err)
		}
	}
	return nil
}

// VerdictsAt gives what sources say of subjects at a moment, or why that is not known.
func (s *State) VerdictsAt(at Moment) func(string, verdict.Subject) policy.Screened {
	doc := s.judging().Document()
	return func(source string, sub verdict.Subject) policy.Screened {
		src, ok := doc.ScreeningSource(source)
		if !ok {
			return policy.Screened{Lack: policy.NoQuotes}
		}
		return s.screened(src, sub, at)
	}
}

// VerdictsOf gives recorded verdicts again. Those on a request stand without an address.
func VerdictsOf(recorded []policy.Screened) func(string, verdict.Subject) policy.Screened {
	return func(source string, sub verdict.Subject) policy.Screened {
		for _, x := range recorded {
			if x.Source == source && x.Address == sub.Address {
				return x
			}
		}
		return policy.Screened{Lack: policy.Forgotten}
	}
}

// screened gives the worst of a source's fresh verdicts on a subject, if there are enough.
func (s *State) screened(src *policy.ScreeningSource, sub verdict.Subject, at Moment) policy.Screened {
	var fresh []verdict.Verdict
	var out policy.Screened
	told := false
	for _, x := range src.Signers {
		k, ok := s.gov.verdicts.of[verdictKey{src.ID, sub.Key(), x.ID}]
		if told = told || ok; !ok || Expired(k.Verdict.Ends(src.MaxAge), at.Time, at.Bound) {
			continue
		}
		fresh = append(fresh, k.Verdict)
		out.Verdicts = append(out.Verdicts, policy.UsedQuote{Signer: x.ID, Seq: k.Seq})
	}
	switch {
	case !told:
		return policy.Screened{Lack: policy.NoQuotes}
	case len(fresh) < int(src.MinSigners):
		return policy.Screened{Lack: policy.StaleNow}
	}
	w := verdict.Worst(fresh)
	out.Risk, out.Categories, out.Exposure, out.Status, out.AsOf = w.Risk, w.Categories, w.Exposure, w.Status, w.AsOf
	return out
}

// screeningEffects gives what facts say of screening, as people see it.
func screeningEffects(f policy.Facts) (out []request.ScreeningEffect) {
	for _, x := range f.Screening {
		e := request.ScreeningEffect{Source: x.Source, Address: x.Address, Risk: x.Risk, Categories: x.Categories, Exposure: string(x.Exposure), Status: string(x.Status), Lack: string(x.Lack)}
		if x.Address != "" {
			e.Chain = f.Chain
		}
		out = append(out, e)
	}
	return out
}

// SourceState is what the state knows of a source of screening.
type SourceState struct {
	Source string
	Kept   int   // verdicts of it
	Newest int64 // asOf of what it said last, Unix seconds; 0: nothing yet
	MaxAge int64 // seconds
}

// Silent says whether a source has said nothing for so long that none of its verdicts counts.
func (x SourceState) Silent(at Moment) bool {
	return x.Newest == 0 || Expired(x.Newest+x.MaxAge, at.Time, at.Bound)
}

// SourceStates lists the sources of screening in the order of the rule document.
func (s *State) SourceStates() (out []SourceState) {
	for _, src := range s.Doc.ScreeningSources {
		kept := 0
		for _, x := range src.Signers {
			kept += s.gov.verdicts.kept[voice{src.ID, x.ID}]
		}
		out = append(out, SourceState{Source: src.ID, Kept: kept, Newest: s.gov.verdicts.told[src.ID].newest, MaxAge: src.MaxAge})
	}
	return out
}

// VerdictRecords lists at most n verdicts that are kept, the latest first: of a source where one is named, and on a subject where one is.
func (s *State) VerdictRecords(source string, on verdict.Key, n int) (out []VerdictRecord) {
	order := s.gov.verdicts.order
	for i := len(order) - 1; i >= 0 && len(out) < n; i-- {
		k := order[i]
		if k == nil || source != "" && k.Verdict.Source != source || on.Address != "" && k.Verdict.Subject.Key() != on || on.Request != "" && k.Verdict.Subject.Key() != on {
			continue
		}
		out = append(out, k.VerdictRecord)
	}
	return out
}

// rescreen forgets verdicts of signers that a new rule document does not have any more, and lets the others count as it says. A source that is new, has a new
// signer or lets verdicts count longer says everything anew from then on.
func (s *State) rescreen(old policy.Document, l entry.Leaf) {
	v := &s.gov.verdicts
	for _, k := range v.of {
		was, ok := old.ScreeningSource(k.Verdict.Source)
		is, still := s.Doc.ScreeningSource(k.Verdict.Source)
		if !ok || !still || !sameSigner(was, is, k.Signer) {
			v.drop(k)
		}
	}
	told := map[string]sourceTimes{}
	for i := range s.Doc.ScreeningSources {
		is := &s.Doc.ScreeningSources[i]
		t := v.told[is.ID]
		was, ok := old.ScreeningSource(is.ID)
		if !ok || is.MaxAge > was.MaxAge || slices.ContainsFunc(is.Signers, func(x testimony.Signer) bool { return !sameSigner(is, was, x.ID) }) {
			t.from = sayAnew(l)
		}
		if t != (sourceTimes{}) {
			told[is.ID] = t
		}
	}
	v.told = told
	s.settleEnds()
}

// screenAfterGap forgets all verdicts: among the entries that are lost may be worse ones. Sources say everything anew.
func (s *State) screenAfterGap(l entry.Leaf) {
	told := s.gov.verdicts.told
	s.gov.verdicts = newVerdicts()
	for _, src := range s.Doc.ScreeningSources {
		s.gov.verdicts.told[src.ID] = sourceTimes{newest: told[src.ID].newest, from: sayAnew(l)}
	}
}

// sayAnew is the time before which nothing is taken after an entry that begins anew.
func sayAnew(l entry.Leaf) int64 { return earliest(Moment{l.Time, l.Bound}) - SourceAhead }
