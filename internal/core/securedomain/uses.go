// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
)

// useBatch is how many uses one entry accounts at most. It is built under the sequencer's lock.
const useBatch = 4096

// useAsk asks to account something of one call. All of it is, in one entry, or nothing.
type useAsk struct {
	grant   uint64
	on      points.Set // control points that the uses were made under
	records []entry.UseRecord
	login   *[32]byte // opens this session
	logout  bool      // closes all

	answer chan useAnswer // has room for the one
}

type useAnswer struct {
	recorded bool  // else there was nothing to record
	boot     int64 // clock since boot before that
	err      error
}

// useQueue gathers what calls have used. One goroutine, [Domain.runUses], writes it down: one entry at a time, so that while the log makes one
// durable the next one gathers. Whoever waits is woken once, when the entry is durable and pinned.
type useQueue struct {
	wake  chan struct{} // has room for one
	total atomic.Uint64 // accounted since start

	mu   sync.Mutex // guards asks
	asks []*useAsk
}

func (q *useQueue) put(a *useAsk) {
	q.mu.Lock()
	q.asks = append(q.asks, a)
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// take takes what fits into an entry: so many uses, and of each grant one login or logout at most.
func (q *useQueue) take() (out []*useAsk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	records := 0
	turned := map[uint64]bool{}
	for i, a := range q.asks {
		records += len(a.records)
		turns := a.login != nil || a.logout
		if records > useBatch && i > 0 || turns && turned[a.grant] {
			out, q.asks = q.asks[:i], slices.Clone(q.asks[i:])
			return out
		}
		turned[a.grant] = turned[a.grant] || turns
	}
	out, q.asks = q.asks, nil
	return out
}

// runUses writes down what is used until the domain closes. Who still waits then hears of it by the domain's context.
func (d *Domain) runUses() {
	defer d.work.Done()
	for {
		select {
		case <-d.apps.uses.wake:
		case <-d.ctx.Done():
			return
		}
		for {
			batch := d.apps.uses.take()
			if len(batch) == 0 {
				break
			}
			taken, rec := d.recordUses(batch)
			if len(taken) == 0 {
				continue
			}
			err := rec.handle.Wait(d.ctx)
			if err != nil {
				err = waitProblem(d.ctx, err)
			}
			answerAll(taken, useAnswer{true, rec.boot, err})
			if err != nil {
				break // the log has failed or the domain closes: nothing more is recorded
			}
		}
	}
}

// recordUses records what of a batch its grants still allow, and gives those whose entry that is: they are to be answered when it is durable. It
// answers all others.
func (d *Domain) recordUses(batch []*useAsk) (taken []*useAsk, rec recorded) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now()
	if err != nil {
		answerAll(batch, useAnswer{err: err})
		return nil, rec
	}
	var records []entry.UseRecord
	sums := map[uint64]uint64{}
	for _, a := range batch {
		if err := d.mayAccount(a, sums, at); err != nil || a.logout && !d.anyLogin(a.grant) {
			a.answer <- useAnswer{err: err}
			continue
		}
		sums[a.grant] += uint64(len(a.records))
		records, taken = append(records, a.records...), append(taken, a)
	}
	if len(taken) == 0 {
		return nil, rec
	}
	u := entry.Account(records)
	for _, a := range taken {
		switch {
		case a.login != nil:
			u.Logins = append(u.Logins, entry.Login{Grant: a.grant, Session: *a.login})
		case a.logout:
			u.Logouts = append(u.Logouts, a.grant)
		}
	}
	slices.SortFunc(u.Logins, func(a, b entry.Login) int { return cmp.Compare(a.Grant, b.Grant) })
	slices.Sort(u.Logouts)
	rec, err = d.record(at, entry.KindUses, entry.Confidential, &u, canon.Encode(entry.UseRecords{Records: records}))
	if err != nil {
		answerAll(taken, useAnswer{err: err})
		return nil, rec
	}
	d.apps.uses.total.Add(u.Number)
	if len(u.Logouts) > 0 {
		d.apps.opened.ForgetSessions()
	}
	return taken, rec
}

func answerAll(batch []*useAsk, x useAnswer) {
	for _, a := range batch {
		a.answer <- x
	}
}

// mayAccount says whether an ask can go into the entry, besides what sums says of each grant already. The caller holds mu.
func (d *Domain) mayAccount(a *useAsk, sums map[uint64]uint64, at authority.Moment) error {
	if d.state.Life().Phase == authority.Zeroized {
		return problem.New(problem.Zeroized, "the domain was zeroized")
	}
	if !a.logout {
		if err := d.state.TakesApps(at); err != nil {
			return err
		}
	}
	if !d.state.Life().Allowed.HasAll(a.on) { // which of them a use needed only the engine knows; asked again it says so
		return &ep11.Failure{Code: ep11.CKR_DEVICE_ERROR, Detail: "a control point was switched off while the call was under way", Retry: true}
	}
	for i, r := range a.records {
		if err := d.state.MayUse(a.grant, sums[a.grant]+uint64(i), r.Key, r.Mechanism, at); err != nil {
			return err
		}
	}
	if a.login != nil {
		return d.state.MayLogin(a.grant, *a.login, at)
	}
	return nil
}

// anyLogin says whether the caller of a grant has a login session. The caller holds mu.
func (d *Domain) anyLogin(grant uint64) bool {
	g, ok := d.state.GrantAt(grant)
	return ok && len(g.Logins) > 0
}

// account hands something in and waits until it is durable and pinned.
func (d *Domain) account(ctx context.Context, a *useAsk) error {
	a.answer = make(chan useAnswer, 1)
	d.apps.uses.put(a)
	select {
	case x := <-a.answer:
		if x.err != nil || !x.recorded {
			return x.err
		}
		return d.inLease(x.boot)
	case <-ctx.Done():
		return problem.Wrap(problem.Busy, ctx.Err(), "gave up waiting; the use may be accounted")
	case <-d.ctx.Done():
		return problem.New(problem.Stopped, "the core is ending")
	}
}

// accountUses accounts the uses of a call. Nothing of it may be given out before that.
func (d *Domain) accountUses(ctx context.Context, a admission, uses []coreep11.Use) error {
	ask := &useAsk{grant: a.grant.Seq, on: a.on}
	for _, u := range uses {
		m := u.Mechanism
		if withoutMechanism(u.Function) {
			m = entry.NoMechanism
		}
		ask.records = append(ask.records, entry.UseRecord{Grant: a.grant.Seq, Key: u.Key, Function: uint8(u.Function), Mechanism: m, Call: a.hash})
	}
	return d.account(ctx, ask)
}

// logins are the login sessions of the caller of one call, as the engine asks for them.
type logins struct {
	d *Domain
	a admission
}

// Open opens a session.
func (l *logins) Open(ctx context.Context, owner, id [32]byte) error {
	if owner != l.a.owner {
		return ep11.CKR_ARGUMENTS_BAD
	}
	if l.Live(owner, id) {
		return nil
	}
	switch err := l.d.account(ctx, &useAsk{grant: l.a.grant.Seq, login: &id}); problem.KindOf(err) {
	case problem.AlreadyDone:
		return nil
	case problem.Busy:
		return ep11.Fail(ep11.CKR_SESSION_COUNT, "%d sessions are open, or the core is busy", authority.MaxLogins)
	default:
		return err
	}
}

// Close closes all sessions of the caller.
func (l *logins) Close(ctx context.Context, owner [32]byte) error {
	if owner != l.a.owner || len(l.open(owner)) == 0 {
		return nil
	}
	return l.d.account(ctx, &useAsk{grant: l.a.grant.Seq, logout: true})
}

// Live says whether a session is open.
func (l *logins) Live(owner, id [32]byte) bool { return slices.Contains(l.open(owner), id) }

// open lists the sessions of a caller; a key that the grant names may be bound to one of its owner's.
func (l *logins) open(owner [32]byte) [][32]byte {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	g, ok := l.d.state.GrantOwned(owner)
	if !ok {
		return nil
	}
	return g.Logins
}
