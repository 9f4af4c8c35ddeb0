// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"cmp"
	"container/heap"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// deadline is when something open ends: a request, or a session.
type deadline struct {
	at      int64 // Unix seconds
	seq     uint64
	request custody.RequestID
	session [16]byte
	warm    bool   // a session of a warm wallet,
	wallet  uint32 // of this one
	grant   bool   // a grant to an application
	meter   meterKey
}

// expiryQueue is a heap of deadlines by time, then entry. It holds deadlines of things that have ended meanwhile, which are
// skipped when they come up.
type expiryQueue []deadline

func (q *expiryQueue) push(d deadline) { heap.Push((*deadlines)(q), d) }

type deadlines expiryQueue

func (d deadlines) Len() int      { return len(d) }
func (d deadlines) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d deadlines) Less(i, j int) bool {
	if d[i].at != d[j].at {
		return d[i].at < d[j].at
	}
	return d[i].seq < d[j].seq
}
func (d *deadlines) Push(x any) { *d = append(*d, x.(deadline)) }
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}

// past says whether a time limit in Unix seconds is past for certain: before the entry's time less its bound.
func past(notAfter int64, l entry.Leaf) bool { return notAfter < (l.Time-l.Bound)/1e9 }

// expire ends what is past its time for certain, but for permits whose bytes may still be signed. What is decided uses time plus bound
// (see [Expired]), so that nothing is used after it may have ended nor forgotten before it must have.
func (s *State) expire(l entry.Leaf) {
	for len(s.expiry) > 0 && past(s.expiry[0].at, l) {
		d := heap.Pop((*deadlines)(&s.expiry)).(deadline)
		if x, ok := s.sessions[d.session]; ok && x.Seq == d.seq {
			delete(s.sessions, d.session)
		}
		s.endWarm(d)
		s.endUses(d, l)
		if d.grant {
			s.endGrant(s.grantOf(d.seq))
		}
		if p, ok := s.pending[d.request]; ok && p.Seq == d.seq {
			s.unwait(p)
			s.finish(p.ID, Outcome{BodyHash: p.BodyHash, Seq: p.Seq, Own: p.Own(), End: EndExpired}, l.Time)
		}
		if g, ok := s.signed[d.request]; ok && g.Seq == d.seq && g.Result != 0 {
			delete(s.signed, d.request)
			s.finish(g.ID, Outcome{BodyHash: g.BodyHash, Seq: g.Result, Own: g.Own(), End: EndSigned}, l.Time)
		}
	}
	s.expireVerdicts(l)
	for len(s.done.full) > 0 && s.done.full[0].last < l.Time-l.Bound {
		// A chunk's records were checked when it was filled or restored.
		_ = records(s.done.dropFront(), func(b []byte) error {
			id, _, err := decodeDone(b)
			delete(s.doneIndex, id)
			return err
		})
	}
}

// Expired says whether a time limit in Unix seconds may have passed at a time with a bound, in nanoseconds.
func Expired(notAfter, now, bound int64) bool { return now+bound > notAfter*1e9 }

// doneSize is the size of an outcome in the chain without the entries of the request: id, body hash, deciding entry, end. The entries follow.
// Numbers have 8 bytes, big-endian.
const doneSize = 32 + 32 + 8 + 1

func encodeDone(id custody.RequestID, o Outcome) []byte {
	b := make([]byte, 0, doneSize+8*len(o.Own))
	b = append(b, id[:]...)
	b = append(b, o.BodyHash[:]...)
	b = binary.BigEndian.AppendUint64(b, o.Seq)
	b = append(b, byte(o.End))
	for _, seq := range o.Own {
		b = binary.BigEndian.AppendUint64(b, seq)
	}
	return b
}

func decodeDone(b []byte) (id custody.RequestID, o Outcome, err error) {
	if len(b) < doneSize+8 || (len(b)-doneSize)%8 != 0 {
		return id, o, fmt.Errorf("an outcome can't have %d bytes", len(b))
	}
	copy(id[:], b)
	copy(o.BodyHash[:], b[32:])
	o.Seq, o.End = binary.BigEndian.Uint64(b[64:]), End(b[72])
	for rest := b[doneSize:]; len(rest) > 0; rest = rest[8:] {
		o.Own = append(o.Own, binary.BigEndian.Uint64(rest))
	}
	return id, o, nil
}

// encodeSpent is an input as the chain keeps it: transaction id, index (4 bytes big-endian).
func encodeSpent(in entry.Input) []byte {
	return binary.BigEndian.AppendUint32(append(make([]byte, 0, 36), in.TxID[:]...), in.Index)
}

func decodeSpent(b []byte) (in entry.Input, err error) {
	if len(b) != 36 {
		return in, fmt.Errorf("input has %d bytes, not 36", len(b))
	}
	copy(in.TxID[:], b)
	in.Index = binary.BigEndian.Uint32(b[32:])
	return in, nil
}

// finish keeps an outcome for 90 days from at, in Unix nanoseconds.
func (s *State) finish(id custody.RequestID, o Outcome, at int64) {
	s.doneIndex[id] = s.done.add(encodeDone(id, o), at+request.OutcomeKept*1e9)
}

// end takes a pending request out and keeps how it ended.
func (s *State) end(p *Pending, l entry.Leaf, e End) {
	s.unwait(p)
	s.finish(p.ID, Outcome{BodyHash: p.BodyHash, Seq: l.Seq, Own: append(p.Own(), l.Seq), End: e}, l.Time)
}

func sortedPending(m map[custody.RequestID]*Pending) []*Pending {
	out := make([]*Pending, 0, len(m))
	for _, p := range m {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *Pending) int { return cmp.Compare(a.Seq, b.Seq) })
	return out
}
