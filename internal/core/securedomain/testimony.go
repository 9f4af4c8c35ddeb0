// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"slices"
	"time"

	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/testimony"
)

// statementsEvery is how often an entry takes quotes, and how often one takes verdicts, at most, so that a feed does not flood the log.
const statementsEvery = time.Second

// intake is what the core needs to take one sort of statements of sources. What it is given is done under mu, but for verify.
type intake[S testimony.Statement] struct {
	what   string // in the plural
	most   int    // of one entry
	at     *lastTaken
	verify func(*policy.Document, testimony.Signed[S]) error
	// order is that of an entry; those alike are of one signer on one thing.
	order func(a, b testimony.Signed[S]) int
	asOf  func(S) int64
	// fits says whether the state takes one; taken are those before it.
	fits func(x testimony.Signed[S], at authority.Moment, taken []testimony.Signed[S]) error
	// same says whether one says what the signer's last one says, which still counts for half of its time.
	same func(testimony.Signed[S]) bool
	// soon says whether the signer's last one is so young that another is not recorded yet; nil: it never is.
	soon   func(testimony.Signed[S]) bool
	record func(at authority.Moment, taken []testimony.Signed[S]) (recorded, error)
}

// lastTaken is when statements were taken last. Guarded by the domain's mu.
type lastTaken struct {
	any bool  // some were taken since the start,
	at  int64 // at this time since boot
}

// given is a statement with its place in what was handed in.
type given[S testimony.Statement] struct {
	testimony.Signed[S]
	place int
}

// take takes what may be taken, in one entry. The others are named with the reason. Signatures are verified outside of the sequencer's lock.
func take[S testimony.Statement](ctx context.Context, d *Domain, k intake[S], list []testimony.Signed[S]) (message.StatementsTaken, error) {
	var out message.StatementsTaken
	if n := len(list); n == 0 || n > k.most {
		return out, problem.New(problem.Malformed, "%d %s; want 1 to %d", n, k.what, k.most)
	}
	refuse := func(place int, err error) {
		q := &problem.Error{Kind: problem.Malformed, Detail: err.Error()}
		_ = errors.As(err, &q)
		out.Refused = append(out.Refused, message.StatementRefused{Place: uint64(place), Kind: q.Kind, Detail: clipTo(q.Detail, 200)})
	}
	rules, err := mayTake(d, k)
	if err != nil {
		return out, err
	}
	doc := rules.Document()
	var verified []given[S]
	for i, x := range list {
		if err := k.verify(&doc, x); err != nil {
			refuse(i, err)
			continue
		}
		verified = append(verified, given[S]{x, i})
	}
	// Of several by one signer on one thing the newest comes first, and the others are then older than what is known.
	slices.SortStableFunc(verified, func(a, b given[S]) int {
		if c := k.order(a.Signed, b.Signed); c != 0 {
			return c
		}
		return int(min(max(k.asOf(b.Said)-k.asOf(a.Said), -1), 1))
	})
	rec, err := recordTaken(d, k, rules, verified, &out, refuse)
	slices.SortFunc(out.Refused, func(a, b message.StatementRefused) int { return int(a.Place) - int(b.Place) })
	if err != nil || rec == nil {
		return out, err
	}
	return out, d.durable(ctx, *rec)
}

// mayTake says whether an entry may take statements now, and gives the rules that say whose.
func mayTake[S testimony.Statement](d *Domain, k intake[S]) (*policy.Rules, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.now(); err != nil {
		return nil, err
	}
	return d.state.Rules, takesNow(d, k)
}

// takesNow says whether an entry may take statements at the time that was read last. The caller holds mu.
func takesNow[S testimony.Statement](d *Domain, k intake[S]) error {
	if err := d.state.TakesStatements(); err != nil {
		return err
	}
	if k.at.any && d.readAt-k.at.at < int64(statementsEvery) {
		return problem.New(problem.Busy, "%s were taken less than %s ago; hand them in together, and later", k.what, statementsEvery)
	}
	return nil
}

// recordTaken records those of verified statements, in order, that the state takes; nil if there are none.
func recordTaken[S testimony.Statement](d *Domain, k intake[S], rules *policy.Rules, verified []given[S], out *message.StatementsTaken, refuse func(int, error)) (*recorded, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now()
	if err != nil {
		return nil, err
	}
	if err := takesNow(d, k); err != nil {
		return nil, err // somebody else was quicker
	}
	if d.state.Rules != rules {
		return nil, problem.New(problem.Busy, "the rules changed meanwhile; hand the %s in again", k.what)
	}
	var taken []testimony.Signed[S]
	for _, x := range verified {
		err := k.fits(x.Signed, at, taken)
		if n := len(taken); err == nil && n > 0 && k.order(taken[n-1], x.Signed) == 0 {
			err = problem.New(problem.AlreadyDone, "a newer one of this signer is in the same list")
		}
		switch {
		case err != nil:
			refuse(x.place, err)
		case k.same(x.Signed):
			out.Same++
		case k.soon != nil && k.soon(x.Signed):
			refuse(x.place, problem.New(problem.Busy, "the signer's last one on this is so young that another is not recorded yet"))
		default:
			taken = append(taken, x.Signed)
		}
	}
	if len(taken) == 0 {
		return nil, nil
	}
	rec, err := k.record(at, taken)
	if err != nil {
		return nil, err
	}
	*k.at = lastTaken{true, d.readAt}
	out.Entry, out.Taken = rec.seq, uint64(len(taken))
	return &rec, nil
}
