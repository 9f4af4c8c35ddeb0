// SPDX-License-Identifier: Apache-2.0

// Package securedomain runs one domain inside the core: it checks who asks, decides by the rules, records, and only then uses
// keys. It refuses whatever it can't decode, decide or make durable; nothing outside can make it sign what its log does not
// permit.
//
// One mutex is the sequencer: under it an entry is decided, applied to the state and handed to the log, in that order. Waiting
// for the disk, verifying signatures and signing happen outside. An act takes effect only after [auditlog.Log.Wait] says that
// its entry is durable and pinned.
package securedomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/core/keyring"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/readkey"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// Domain is an open domain. Its methods are safe for concurrent use.
type Domain struct {
	cfg     Config
	log     *auditlog.Log
	ids     *domainkeys.Identity
	curve   *curve.Backend
	hd      *hd.Deriver
	keys    *keyring.Ring
	working workingKeys
	parents appParents
	apps    applications
	derive  authority.Deriver
	slog    *slog.Logger

	mu         sync.Mutex // the sequencer: guards the following and the order of log.Append
	state      *authority.State
	last       auditlog.Handle                 // of the last entry
	grown      chan struct{}                   // closed with the next entry; nil if nobody waits
	lacks      map[custody.RequestID]readiness // see ready
	waiters    int                             // callers who wait for an entry
	ending     bool                            // nobody waits for entries any more
	frontier   tlog.Frontier                   // of the tree over all entries, for snapshots
	readAt     int64                           // time since boot of the last reading of the clock
	timed      bool                            // a time was accepted, see explain
	offset     int64                           // of that time from the time since boot
	recent     recent                          // the last entries in clear; has its own lock
	unproved   bool                            // state is of a snapshot whose root was not yet compared with the entry that commits it
	snapshotAt uint64                          // entry of the last snapshot

	seeds       keystore.Attributes // of new seeds: [seedAttributes]; tests have others
	switches    switchesOf          // copy of the state's life cycle, for who uses keys
	life        lifeWork
	tokens      tokenKeys
	newDocument atomic.Bool // the rule document changed, and the anchor hasn't marked that yet

	failed   chan struct{} // closed by fail
	failOnce sync.Once
	cause    atomic.Pointer[error]

	sessionMu sync.Mutex // guards sessions and numbers
	sessions  map[[16]byte]secret.Bytes
	numbers   map[[16]byte]*callNumbers // of sessions that calls of applications came with

	checks   checker
	backups  backups
	parcels  parcels
	batches  sync.Mutex // guards nothing: one batch of addresses is derived at a time, so that they don't take every processor
	snapshot snapshotter
	pressure pressure
	quoted   lastTaken      // of quotes; guarded by mu, as the next
	screened lastTaken      // of verdicts
	closing  sync.RWMutex   // held for reading while ids is used, for writing while Close wipes it
	work     sync.WaitGroup // background goroutines; Close waits for them
	stop     context.CancelFunc
	ctx      context.Context // ends with Close; for background work and key loads
}

// Authority gives the authority's id, which never changes.
func (d *Domain) Authority() custody.AuthorityID { return d.state.Authority }

// ID gives the domain's id, which never changes.
func (d *Domain) ID() custody.DomainID { return d.state.Domain }

// Failed closes when the domain can't go on; the process must end then.
func (d *Domain) Failed() <-chan struct{} { return d.failed }

// Cause says why the domain failed, or nil.
func (d *Domain) Cause() error {
	if err := d.cause.Load(); err != nil {
		return *err
	}
	return d.log.Err()
}

// fail latches the error state and ends the domain: nothing is decided any more, and the process must end.
func (d *Domain) fail(err error) {
	d.latch(err)
	d.failOnce.Do(func() { close(d.failed) })
}

// latch sets the error state: nothing is decided or signed any more, but status and the log can still be read.
func (d *Domain) latch(err error) {
	d.cause.CompareAndSwap(nil, &err)
	d.forget("the domain has failed")
}

// waitProblem says why waiting for an entry ended without it.
func waitProblem(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return problem.Wrap(problem.Busy, err, "gave up waiting; the act may still happen: ask again with the same idempotency key")
	}
	return problem.Wrap(problem.Stopped, err, "the log has failed; the core is ending")
}

// waitFor waits until an entry that was recorded earlier is durable and pinned.
func (d *Domain) waitFor(ctx context.Context, seq uint64) error {
	if d.log.Head().Size > seq {
		return nil
	}
	d.mu.Lock()
	h := d.last
	d.mu.Unlock()
	if h.Seq < seq {
		return problem.New(problem.NotFound, "entry %d does not exist yet", seq)
	}
	if err := h.Wait(ctx); err != nil {
		return waitProblem(ctx, err)
	}
	return nil
}

// maxBehind is how far the clock may be behind the last entry: two machines' clocks differ, and system clocks are slowed down.
const maxBehind = 5 * time.Minute

// now reads the clock. Nothing is decided while it is not certain. The caller holds mu.
func (d *Domain) now() (authority.Moment, error) {
	r := d.cfg.Clock.Now()
	if !r.Certain {
		d.forget("the clock is not certain")
		return authority.Moment{}, problem.New(problem.TimeUncertain, "the clock is not certain: %s", r.Why)
	}
	if behind := time.Duration(d.state.Time - r.Time); behind > maxBehind {
		d.forget("the clock is behind the log")
		return authority.Moment{}, problem.New(problem.TimeUncertain, "the clock is %v behind the last entry of the log; set it", behind.Round(time.Second))
	}
	if err := d.explain(r); err != nil {
		return authority.Moment{}, err
	}
	return d.moment(r), nil
}

// maxAhead is how far the clock may be ahead of what the last entry and the time since boot explain, before somebody must confirm it.
const maxAhead = 5 * time.Minute

// explain asks for a forward jump to be confirmed, where the configuration says by whom. At start the last entry is all that is known; once
// a time was accepted, the time since boot explains the later ones. The caller holds mu.
func (d *Domain) explain(r timeguard.Reading) error {
	if ahead := time.Duration(r.Time - d.expected(r)); ahead > maxAhead && d.cfg.ConfirmTime != nil {
		if err := d.cfg.ConfirmTime(d.state.Time, r); err != nil {
			return problem.Wrap(problem.TimeUncertain, err, "the clock is %v past the last entry of the log, and nobody confirms it", ahead.Round(time.Second))
		}
	}
	d.timed, d.offset = true, r.Time-r.Boot
	return nil
}

// expected gives the time that the last entry and, once a time was accepted, the time since boot lead one to expect. The caller holds mu.
func (d *Domain) expected(r timeguard.Reading) int64 {
	if d.timed {
		return max(d.state.Time, r.Boot+d.offset)
	}
	return d.state.Time
}

// nowFor is now for an operation that one person does alone. Zeroize, freeze, hold, and taking an address away take power away only: who can make the clock
// uncertain, as serve can by carrying no answers of time servers, must not be able to stop them. The counter of zeroize keeps an old request from being used,
// whatever time it is. The caller holds mu.
func (d *Domain) nowFor(o request.Operation) (authority.Moment, error) {
	if o.TakesAway() {
		return d.guess(), nil
	}
	return d.now()
}

// nowToDo is now for an effect: of what people approved, and so have approvals an age and delays a beginning, the clock is certain. The caller holds mu.
func (d *Domain) nowToDo(p *authority.Pending) (authority.Moment, error) {
	if p.Decision.Auto {
		return d.nowFor(p.Effects.Operation)
	}
	return d.now()
}

// guess is the moment of what is recorded because it happened, whether or not the clock is certain. Where it isn't, it is not looked at: log
// time never runs back, so one entry of a clock that was set to a far future would stop the domain until then. The time is then what the
// last entry and the time since boot lead one to expect. The caller holds mu.
func (d *Domain) guess() authority.Moment {
	at, err := d.now()
	if err == nil {
		return at
	}
	r := d.cfg.Clock.Now()
	r.Time = d.expected(r)
	return d.moment(r)
}

// moment gives a reading as the next entry records it: log time never runs back, so where the clock is behind the last entry, the
// bound grows by as much. What is decided and what is recorded is the same moment, or deciding again would give another result.
// The lease of what is recorded counts from the reading. The caller holds mu.
func (d *Domain) moment(r timeguard.Reading) authority.Moment {
	d.readAt = r.Boot
	t := max(r.Time, d.state.Time)
	return authority.Moment{Time: t, Bound: r.Bound + t - r.Time}
}

// recorded is an entry that was applied and handed to the log.
type recorded struct {
	seq    uint64
	hash   [32]byte
	leaf   entry.Leaf
	boot   int64 // clock since boot when its moment was read, a little before it was handed over
	handle auditlog.Handle
}

// record applies an entry and hands it to the log; more are further bodies, encoded, of the same class. The caller holds mu, and at is the reading
// of now or moment under it.
func (d *Domain) record(at authority.Moment, kind entry.Kind, class entry.Class, body any, more ...[]byte) (recorded, error) {
	if err := d.Cause(); err != nil {
		return recorded{}, problem.Wrap(problem.Stopped, err, "the core has failed and decides nothing any more")
	}
	s := d.state
	bodies := append([][]byte{canon.Encode(body)}, more...)
	plain, err := d.salted(s.Next, bodies)
	if err != nil {
		return recorded{}, err
	}
	l := entry.Leaf{V: 1, Authority: s.Authority, Domain: s.Domain, Seq: s.Next, Prev: s.Last, Kind: kind, KindVersion: 1, Engine: entry.Engine1,
		Writer: d.cfg.writer, Time: at.Time, Bound: at.Bound}
	for _, b := range plain {
		if len(b.Body) > entry.MaxBody {
			return recorded{}, problem.New(problem.TooLarge, "the entry would have %d bytes, more than %d", len(b.Body), entry.MaxBody) // nothing could read it
		}
		l.Bodies = append(l.Bodies, entry.Ref(class, [entry.SaltSize]byte(b.Salt), b.Body))
	}
	leaf := l.Encode()
	if len(leaf) > entry.MaxLeaf {
		return recorded{}, problem.New(problem.TooLarge, "the entry's leaf would have %d bytes, more than %d", len(leaf), entry.MaxLeaf)
	}
	hash := entry.Hash(leaf)
	stored, err := d.storedForms(l, plain)
	if err != nil {
		return recorded{}, err
	}
	if err := s.Apply(l, hash, body); err != nil {
		return recorded{}, problem.Wrap(problem.Internal, err, "the entry does not fit the state")
	}
	d.frontier.Append(hash)
	h, err := d.log.Append(d.ctx, auditlog.Record{Leaf: leaf, Bodies: stored})
	if err != nil {
		d.fail(fmt.Errorf("append entry %d: %w", l.Seq, err)) // the state is ahead of the log: the process ends
		return recorded{}, problem.Wrap(problem.Stopped, err, "the log takes no entries; the core is ending")
	}
	d.last = h
	d.recent.add(l.Seq, message.Entry{Leaf: leaf, Bodies: plain})
	if d.grown != nil {
		close(d.grown)
		d.grown = nil
	}
	rec := recorded{seq: l.Seq, hash: hash, leaf: l, boot: d.readAt, handle: h}
	if kind != entry.KindSnapshot {
		d.maybeSnapshot(at)
	}
	return rec, nil
}

// salted gives the bodies of an entry with their salts.
func (d *Domain) salted(seq uint64, bodies [][]byte) (out []message.Body, err error) {
	err = d.withIdentity(func() error {
		for i, b := range bodies {
			salt := d.ids.Salt(seq, uint32(i))
			out = append(out, message.Body{Salt: salt[:], Body: b})
		}
		return nil
	})
	return out, err
}

// storedForms is how the bodies of an entry lie in the store: sealed under the period's read key, or in clear behind their salts.
func (d *Domain) storedForms(l entry.Leaf, bodies []message.Body) (out [][]byte, err error) {
	for i, b := range bodies {
		if l.Bodies[i].Class == entry.Public {
			out = append(out, slices.Concat(b.Salt, b.Body))
			continue
		}
		err = d.withIdentity(func() error {
			stored, err := d.ids.SealBody(readkey.Period(l.Time), l.Seq, uint32(i), [entry.SaltSize]byte(b.Salt), b.Body)
			out = append(out, stored)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// withIdentity calls f, which uses the domain's identity, unless Close has wiped it or is about to.
func (d *Domain) withIdentity(f func() error) error {
	d.closing.RLock()
	defer d.closing.RUnlock()
	if d.ctx.Err() != nil {
		return problem.New(problem.Stopped, "the core is ending")
	}
	return f()
}

// durable waits until an entry is on disk and pinned, and says whether this process may still act on it: not if it was stopped
// for longer than its lease, because a successor may have taken over meanwhile.
func (d *Domain) durable(ctx context.Context, r recorded) error {
	if err := r.handle.Wait(ctx); err != nil {
		return waitProblem(ctx, err)
	}
	return d.inLease(r.boot)
}

// inLease says whether this process may still act on what was recorded when the clock since boot showed so much.
func (d *Domain) inLease(boot int64) error {
	if d.cfg.Clock.Boot()-boot > int64(d.cfg.Lease) {
		d.forget("the process was stopped for longer than its lease")
		return problem.New(problem.Busy, "this process was stopped for longer than its lease; ask again with the same idempotency key")
	}
	return nil
}

// read reads entries as the store has them. A store that can't be read can't be written either, or soon can't: the domain fails, so that
// whoever asked can ask again when the core is back. Damage is not that: it is named where it is found.
func (d *Domain) read(ctx context.Context, from uint64, most int) ([]auditlog.Record, error) {
	recs, err := d.cfg.Store.Read(ctx, from, most)
	if _, damaged := errors.AsType[*auditlog.CorruptError](err); err == nil || damaged {
		return recs, err
	}
	if ctx.Err() == nil {
		d.fail(fmt.Errorf("read entry %d of the log: %w", from, err))
	}
	return nil, waitProblem(ctx, err)
}

// readProblem says of what could not be read whether to ask again, or that it is our fault.
func readProblem(err error, seq uint64) error {
	switch problem.KindOf(err) {
	case problem.Stopped, problem.Busy:
		return err
	default:
		return problem.Wrap(problem.Internal, err, "read entry %d", seq)
	}
}

// readEntry gives an entry of the log, its first body decoded.
func (d *Domain) readEntry(ctx context.Context, seq uint64) (entry.Leaf, any, error) {
	e, err := d.clear(ctx, seq, 1)
	if err != nil {
		return entry.Leaf{}, nil, err
	}
	if len(e) == 0 {
		return entry.Leaf{}, nil, fmt.Errorf("entry %d is not in the store", seq)
	}
	body, err := authority.DecodeBody(e[0].leaf.Kind, e[0].leaf.KindVersion, e[0].bodies[0].Body)
	return e[0].leaf, body, err
}

// readKnown gives an entry whose leaf hash is known, for acts that rest on it: the store is not trusted, and it may have changed since
// the log was opened. An altered entry stops the domain.
func (d *Domain) readKnown(ctx context.Context, seq uint64, leaf [32]byte) (entry.Leaf, any, error) {
	if err := d.waitFor(ctx, seq); err != nil {
		return entry.Leaf{}, nil, err
	}
	recs, err := d.read(ctx, seq, 1)
	if err != nil {
		return entry.Leaf{}, nil, readProblem(err, seq)
	}
	var o opened
	reason := "it is not in the store"
	if len(recs) > 0 {
		if entry.Hash(recs[0].Leaf) != leaf {
			reason = "it is not the entry that was recorded"
		} else if o, err = d.openRecord(recs[0]); problem.KindOf(err) == problem.Stopped {
			return entry.Leaf{}, nil, err
		} else if err != nil {
			reason = "its bodies are not those that the leaf names"
		} else {
			body, err := authority.DecodeBody(o.leaf.Kind, o.leaf.KindVersion, o.bodies[0].Body)
			return o.leaf, body, err
		}
	}
	err = &auditlog.CorruptError{Seq: seq, Where: d.cfg.Store.Where(seq), Reason: reason, Err: err}
	d.fail(err)
	return entry.Leaf{}, nil, problem.Wrap(problem.Stopped, err, "the log was altered; the core is ending")
}

// history is readEntry for decisions that look back.
func (d *Domain) history(ctx context.Context) authority.History {
	return func(seq uint64) (any, error) {
		_, body, err := d.readEntry(ctx, seq)
		return body, err
	}
}

// opened is an entry in clear.
type opened struct {
	raw    []byte
	leaf   entry.Leaf
	bodies []clearBody
}

type clearBody struct {
	Salt [entry.SaltSize]byte
	Body []byte
}

// clear reads entries from the store and opens their bodies, each checked against its leaf.
func (d *Domain) clear(ctx context.Context, from uint64, most int) ([]opened, error) {
	recs, err := d.read(ctx, from, most)
	if err != nil {
		return nil, err
	}
	out := make([]opened, 0, len(recs))
	for i, r := range recs {
		o, err := d.openRecord(r)
		if err != nil {
			return nil, fmt.Errorf("entry %d: %w", from+uint64(i), err)
		}
		if o.leaf.Seq != from+uint64(i) {
			return nil, fmt.Errorf("entry %d calls itself %d", from+uint64(i), o.leaf.Seq)
		}
		out = append(out, o)
	}
	return out, nil
}

// openRecord decodes a record and opens its bodies.
func (d *Domain) openRecord(r auditlog.Record) (o opened, err error) {
	err = d.withIdentity(func() error {
		o, err = openRecord(d.ids, r)
		return err
	})
	return o, err
}

func openRecord(ids *domainkeys.Identity, r auditlog.Record) (opened, error) {
	l, err := entry.DecodeLeaf(r.Leaf)
	if err != nil {
		return opened{}, err
	}
	o := opened{raw: r.Leaf, leaf: l}
	if len(r.Bodies) != len(l.Bodies) || len(l.Bodies) == 0 {
		return o, fmt.Errorf("has %d bodies; its leaf names %d", len(r.Bodies), len(l.Bodies))
	}
	for i, ref := range l.Bodies {
		b, err := openBody(ids, l, i, ref, r.Bodies[i])
		if err != nil {
			return o, fmt.Errorf("body %d: %w", i, err)
		}
		o.bodies = append(o.bodies, b)
	}
	return o, nil
}

func openBody(ids *domainkeys.Identity, l entry.Leaf, i int, ref entry.BodyRef, stored []byte) (b clearBody, err error) {
	switch ref.Class {
	case entry.Public:
		if len(stored) < entry.SaltSize {
			return b, errors.New("is shorter than its salt")
		}
		b.Salt, b.Body = [entry.SaltSize]byte(stored), stored[entry.SaltSize:]
	case entry.Confidential:
		if b.Salt, b.Body, err = ids.OpenBody(readkey.Period(l.Time), l.Seq, uint32(i), stored); err != nil {
			return b, err
		}
	default:
		return b, fmt.Errorf("class %d is not read here", ref.Class)
	}
	return b, entry.CheckBody(ref, b.Salt, b.Body)
}

// want says which blob a key's is, as the state tells, under the working key of its epoch.
func (d *Domain) want(k entry.NewKey, under *domainkeys.DWK, at authority.Moment) keystore.Want {
	return keystore.Want{Authority: d.state.Authority, Domain: d.state.Domain, Epoch: k.Epoch, Pattern: under.Pattern,
		Key: k.ID, Purpose: keystore.Purpose(k.Purpose), Now: (at.Time + at.Bound) / 1e9}
}
