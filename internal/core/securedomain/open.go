// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/core/algorithm"
	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	coreep11 "strongroom/internal/core/ep11"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/core/keyring"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// ErrNoDomain says that the log is empty: there is no domain here yet.
var ErrNoDomain = errors.New("there is no domain here yet; 'strongroom domain create' makes one")

// Config is what a domain runs on. All fields are required but what says otherwise. Open takes ownership of nothing: the caller
// closes store, anchor and root after the domain.
type Config struct {
	Arena     *secret.Arena
	Root      hsm.Root
	Store     auditlog.Store
	Anchor    auditlog.Anchor
	Blobs     keystore.Blobs
	Snapshots Snapshots
	Clock     timeguard.Clock
	Logger    *slog.Logger

	// Era says which incarnation of the log the pin is of; [EraOf] reads it. Zero: the first one.
	Era Era

	// ConfirmTime, if not nil, is asked before a time is accepted that is more than five minutes past what the last entry, given in Unix
	// nanoseconds, and the time since boot explain. It holds up all decisions while it answers.
	ConfirmTime func(last int64, now timeguard.Reading) error

	TakeOver      bool          // take the log over from a writer that may still live
	Tiles         string        // folder for tiles, or empty
	SnapshotEvery uint64        // entries between snapshots; 0: 65,536
	CacheKeys     int           // addresses kept unsealed, and accounts; each pair takes [keyring.EntryMemory] of the arena; 0: 65,536, or what fits
	CacheIdle     time.Duration // after which an unused key is wiped; 0: 15 minutes
	Lease         time.Duration // longest pause between handing an entry over and acting on it; 0: 30 seconds
	RecheckEvery  time.Duration // between full re-checks in the background; 0: none
	Linger        time.Duration // how long a batch waits for company; 0: not at all
	Notes         []string      // for status: what the operator should know
	Waits         func() string // for status: what the anchor waits for, or nothing; optional

	Engine Engine    // does calls on keys for applications; nil: there are none
	Pair   PairMaker // makes RSA pairs for it beforehand; nil: none are
	Pairs  int       // how many of each size are kept ready; 0: 8

	// Fill fills b with randomness for a new seed, or fails, and then no key is made. nil: the system's.
	Fill func(ctx context.Context, b []byte) error

	writer uint64 // epoch under which this process writes
}

// Defaults.
const (
	DefaultSnapshotEvery = 1 << 16
	DefaultCacheKeys     = 1 << 16
	DefaultCacheIdle     = 15 * time.Minute
	DefaultLease         = 30 * time.Second
	cachedAddresses      = 1 << 18

	// Of the arena: identity, working key, sessions, keys in use; keys for applications that are kept open.
	roomBesideKeys = 256<<10 + coreep11.OpenedMost*coreep11.OpenedMemory
)

func (c *Config) check() error {
	if c.Arena == nil || c.Root == nil || c.Store == nil || c.Anchor == nil || c.Blobs == nil || c.Snapshots == nil || c.Clock == nil || c.Logger == nil {
		return errors.New("open domain: arena, root, store, anchor, blobs, snapshots, clock and logger are required")
	}
	if c.CacheKeys < 0 || c.Pairs < 0 || c.CacheIdle < 0 || c.Lease < 0 || c.Linger < 0 {
		return errors.New("open domain: sizes and durations must not be negative")
	}
	if c.Fill == nil {
		c.Fill = algorithm.System{}.Fill
	}
	setDefault(&c.Pairs, DefaultPairs)
	setDefault(&c.SnapshotEvery, DefaultSnapshotEvery)
	setDefault(&c.CacheIdle, DefaultCacheIdle)
	setDefault(&c.Lease, DefaultLease)
	size := c.Arena.Usage().Size
	most := max(1, (size-roomBesideKeys)/keyring.EntryMemory)
	if setDefault(&c.CacheKeys, min(DefaultCacheKeys, most)); c.CacheKeys > most {
		return fmt.Errorf("open domain: %d bytes of memory for keys hold %d unsealed ones, not %d: give more, or keep fewer", size, most, c.CacheKeys)
	}
	return nil
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Open opens the domain whose log is in the store: it verifies snapshot and tail against the pin, and refuses to start where the
// log is behind its pin or altered. Nothing that was never acknowledged is used.
func Open(ctx context.Context, cfg Config) (*Domain, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	id, err := firstLeaf(ctx, cfg)
	if err != nil {
		return nil, err
	}
	ids, err := domainkeys.LoadIdentity(ctx, cfg.Arena, cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("open domain: %w", err)
	}
	d, err := open(ctx, cfg, id, ids)
	if err != nil {
		ids.Wipe()
		return nil, fmt.Errorf("open domain: %w", err)
	}
	return d, nil
}

// firstLeaf gives the id of the domain that the store seems to hold. It is not trusted: the pin is signed under that id.
func firstLeaf(ctx context.Context, cfg Config) (custody.DomainID, error) {
	recs, err := cfg.Store.Read(ctx, 0, 1)
	if err != nil {
		return custody.DomainID{}, fmt.Errorf("open domain: %w", err)
	}
	if len(recs) == 0 {
		return custody.DomainID{}, noLeaf(ctx, cfg)
	}
	return custody.DomainID(entry.Hash(recs[0].Leaf)), nil
}

// noLeaf says why the store has no entry 0: there is no domain yet, or what was acknowledged is gone.
func noLeaf(ctx context.Context, cfg Config) error {
	p, err := cfg.Anchor.Read(ctx)
	if errors.Is(err, auditlog.ErrNoPin) {
		return ErrNoDomain
	}
	if err != nil {
		return fmt.Errorf("open domain: %w", err)
	}
	tree, err := tlog.UnmarshalFrontier(p.Frontier)
	if err != nil {
		return fmt.Errorf("open domain: pin: %w", err)
	}
	if tree.Size() == 0 { // a new log pins the empty tree first
		return ErrNoDomain
	}
	return fmt.Errorf("open domain: %w", &auditlog.BehindError{Have: 0, Pinned: tree.Size(), Where: cfg.Store.Where(0)})
}

func open(ctx context.Context, cfg Config, id custody.DomainID, ids *domainkeys.Identity) (*Domain, error) {
	d, err := newDomain(cfg, ids)
	if err != nil {
		return nil, err
	}
	if err := d.openLog(ctx, id); err != nil {
		d.stop()
		return nil, err
	}
	if err := d.settle(ctx); err != nil {
		d.stop()
		d.work.Wait()
		d.keepKeys(nil)
		return nil, errors.Join(err, d.log.Close())
	}
	return d, nil
}

// newDomain makes a domain without state and log.
func newDomain(cfg Config, ids *domainkeys.Identity) (*Domain, error) {
	c, err := curve.New()
	if err != nil {
		return nil, err
	}
	h, err := hd.New(hd.Config{Arena: cfg.Arena, Curve: c})
	if err != nil {
		return nil, err
	}
	keys, err := keyring.New(keyring.Config{HD: h, Entries: cfg.CacheKeys, Idle: cfg.CacheIdle})
	if err != nil {
		return nil, err
	}
	opened, err := coreep11.NewOpened(cfg.CacheIdle)
	if err != nil {
		return nil, err
	}
	d := &Domain{cfg: cfg, ids: ids, curve: c, hd: h, keys: keys, derive: newAddressCache(cachedAddresses).derive, slog: cfg.Logger,
		sessions: map[[16]byte]secret.Bytes{}, numbers: map[[16]byte]*callNumbers{}, apps: newApplications(cfg.Engine, opened), failed: make(chan struct{}), seeds: seedAttributes, life: lifeWork{wake: make(chan struct{}, 1), patience: patience}}
	d.ctx, d.stop = context.WithCancel(context.Background())
	return d, nil
}

// openLog folds the log: from the newest snapshot that leads to the pin, else from the beginning.
func (d *Domain) openLog(ctx context.Context, id custody.DomainID) error {
	_, writer, err := d.cfg.Store.Head(ctx)
	if err != nil {
		return err
	}
	if d.cfg.TakeOver {
		writer++
	}
	list, err := d.cfg.Snapshots.List(ctx)
	if err != nil {
		return err
	}
	for i := len(list) - 1; i >= -1; i-- {
		start := fold{state: authority.New()}
		if i >= 0 {
			if start, err = d.loadSnapshot(ctx, list[i]); err != nil {
				d.slog.WarnContext(ctx, "snapshot not usable", slog.Uint64("seq", list[i]), slog.Any("error", err))
				continue
			}
		}
		if d.log, err = d.tryOpen(ctx, id, writer, start); err == nil {
			return nil
		}
		if i < 0 || !errors.Is(err, auditlog.ErrStart) && !errors.Is(err, errSnapshot) {
			return err
		}
		d.slog.WarnContext(ctx, "snapshot does not lead to the pin", slog.Uint64("seq", list[i]), slog.Any("error", err))
	}
	return err
}

// fold is a state with the tree over its entries.
type fold struct {
	state    *authority.State
	frontier tlog.Frontier
}

// tryOpen opens the log from a start; the state is the fold of what it was given.
func (d *Domain) tryOpen(ctx context.Context, id custody.DomainID, writer uint64, from fold) (*auditlog.Log, error) {
	pub := d.ids.LogKey()
	key, err := tlog.NewKey(entry.Origin(id, d.cfg.Era.Incarnation), pub[:])
	if err != nil {
		return nil, err
	}
	d.state, d.frontier, d.snapshotAt = from.state, from.frontier, from.state.Next
	d.unproved = from.state.Next > 0
	log, err := auditlog.Open(ctx, auditlog.Config{
		Store: d.cfg.Store, Anchor: d.cfg.Anchor, Key: key, Writer: writer, Since: d.cfg.Era.Since, TakeOver: d.cfg.TakeOver, Linger: d.cfg.Linger,
		Sign:    func(m []byte) ([]byte, error) { return d.ids.SignLog(m), nil },
		Entries: logEntries(d.ids),
		Start:   from.frontier,
		Tiles:   auditlog.Tiles{Dir: d.cfg.Tiles},
		Tail:    d.foldTail,
		Elapsed: func() time.Duration { return time.Duration(d.cfg.Clock.Boot()) },
	})
	if err == nil && d.unproved {
		return nil, errors.Join(fmt.Errorf("%w: no entry follows it", errSnapshot), log.Close())
	}
	return log, err
}

// logEntries tells the log how to read leaves and bodies.
func logEntries(ids *domainkeys.Identity) auditlog.Entries {
	return auditlog.Entries{
		PrevOf: entry.PrevOf,
		CheckBodies: func(leaf []byte, bodies [][]byte) error {
			_, err := openRecord(ids, auditlog.Record{Leaf: leaf, Bodies: bodies})
			return err
		},
	}
}

// foldTail applies an entry read at start.
func (d *Domain) foldTail(seq uint64, hash [32]byte, rec auditlog.Record) error {
	o, err := openRecord(d.ids, rec)
	if err != nil {
		return err
	}
	body, err := authority.DecodeBody(o.leaf.Kind, o.leaf.KindVersion, o.bodies[0].Body)
	if err != nil {
		return err
	}
	// The root of the tree says nothing about a snapshot's state: only the entry behind it does.
	if r, ok := body.(*entry.Reanchor); ok && r.Root != d.frontier.Root() {
		return fmt.Errorf("entry %d re-anchors a log with another tree than this one", seq)
	}
	if d.unproved && o.leaf.Kind != entry.KindSnapshot {
		return fmt.Errorf("%w: entry %d is a %s", errSnapshot, seq, o.leaf.Kind)
	}
	if err := d.state.Apply(o.leaf, hash, body); err != nil {
		if d.unproved {
			return fmt.Errorf("%w: %w", errSnapshot, err)
		}
		return err
	}
	d.unproved = false
	d.frontier.Append(hash)
	if o.leaf.Kind == entry.KindSnapshot {
		d.snapshotAt = seq
	}
	return nil
}

// settle checks keys against the log, becomes the writer on record, and starts background work.
func (d *Domain) settle(ctx context.Context) error {
	if d.state.Next == 0 {
		return ErrNoDomain // its genesis was never acknowledged
	}
	if d.state.LogKey != d.ids.LogKey() || d.state.Identity != d.ids.IdentityKey() {
		return errors.New("the root of trust holds the keys of another domain than the log")
	}
	if err := d.cfg.Era.is(d.state); err != nil {
		return err
	}
	d.setSwitches()
	d.confineAll()
	_, writer, err := d.cfg.Store.Head(ctx)
	if err != nil {
		return err
	}
	d.cfg.writer = writer
	d.work.Add(2)
	go d.watch()
	go d.tend()
	if d.cfg.RecheckEvery > 0 {
		d.work.Add(1)
		go d.checkNowAndThen(d.cfg.RecheckEvery)
	}
	mark := auditlog.MarkStart
	if d.state.Writer != writer {
		mark = auditlog.MarkWriter
		rec, err := d.recordWriter(writer)
		if err == nil {
			err = d.durable(ctx, rec)
		}
		if err != nil {
			return err
		}
	}
	if err := d.resumeTamper(ctx); err != nil {
		return err
	}
	if err := d.openKeys(ctx); err != nil {
		return err
	}
	if err := d.mark(ctx, mark); err != nil {
		return err
	}
	d.work.Add(2)
	go d.runLife()
	d.life.rouse()
	go d.runUses()
	if m := d.cfg.Pair; m != nil {
		d.work.Add(1)
		go d.fillPairs(m)
		d.apps.pairs.rouse()
	}
	return nil
}

func (d *Domain) recordWriter(epoch uint64) (recorded, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now()
	if err != nil {
		return recorded{}, err
	}
	return d.record(at, entry.KindWriter, entry.Public, &entry.Writer{Epoch: epoch})
}

// watch latches the domain's error state when the log's does.
func (d *Domain) watch() {
	defer d.work.Done()
	select {
	case <-d.log.Failed():
		d.fail(d.log.Err())
	case <-d.ctx.Done():
	}
}

// Close ends background work, commits what is queued, and wipes every key.
func (d *Domain) Close() error {
	d.stop()
	d.work.Wait()
	err := d.closeLog()
	d.forget("the domain is closed")
	d.sessionMu.Lock()
	for id, key := range d.sessions {
		key.Wipe()
		delete(d.sessions, id)
	}
	d.sessionMu.Unlock()
	d.keepKeys(nil)
	d.closing.Lock()
	defer d.closing.Unlock()
	d.ids.Wipe()
	return err
}
