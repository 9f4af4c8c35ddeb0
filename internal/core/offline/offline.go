// SPDX-License-Identifier: Apache-2.0

// Package offline is the core of an offline domain: it takes the log of the authority that it follows in, entry by entry, decides all of it
// again, and signs what that log permits for the wallets whose seeds are here, after two operators have confirmed. It has no door, no
// requests and no rules of its own; one process opens it, works, and ends. docs/spec/cold.md.
//
// It refuses bundles of another authority or for another domain, old ones, altered ones, ones that leave entries out or lack cosignatures, any
// entry that does not audit, and permits that the rules as they are now would not allow any more. Nothing of a bundle that is refused stays.
//
// The order of effects is that of every domain: what is decided is an entry, durable and pinned, before a key is used; a permit that was
// recorded is signed with the same bytes whenever its bundle is given again.
//
// Copies outside the arena: those that packages domainkeys, recovery, parcel and keyring name; none besides.
package offline

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/internal/curve"
	"strongroom/internal/core/internal/hd"
	"strongroom/internal/core/keyring"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// ErrNone says that the log is empty: there is no offline domain here yet.
var ErrNone = errors.New("there is no offline domain here yet; 'strongroom cold create' makes one")

// Config is what an offline domain runs on. All fields are required but what says otherwise. The caller closes store, anchor, follow and root
// after the domain.
type Config struct {
	Arena  *secret.Arena
	Root   hsm.Root
	Store  auditlog.Store // of its own log
	Anchor auditlog.Anchor
	Blobs  keystore.Blobs
	List   func(ctx context.Context) ([]keystore.Ref, error) // lists Blobs
	Follow auditlog.Store                                    // of the authority's entries that were imported; not trusted, and may be lost: a full bundle brings it back
	Clock  timeguard.Clock
	Logger *slog.Logger

	// Fill fills b with randomness for a new key, or fails, and then no key is made. nil: the system's.
	Fill func(ctx context.Context, b []byte) error
}

func (c *Config) check() error {
	if c.Arena == nil || c.Root == nil || c.Store == nil || c.Anchor == nil || c.Blobs == nil || c.List == nil || c.Follow == nil || c.Clock == nil || c.Logger == nil {
		return errors.New("offline domain: arena, root, store, anchor, blobs and their list, follow, clock and logger are required")
	}
	return nil
}

// fill gives randomness for a new key.
func (c *Config) fill(ctx context.Context) domainkeys.Fill {
	if c.Fill == nil {
		return nil
	}
	return func(b []byte) error { return c.Fill(ctx, b) }
}

const (
	epoch       = 1               // of the working key; an offline domain has no other
	maxBehind   = 5 * time.Minute // how far the clock may be behind the last entry
	openKeys    = 64              // addresses and accounts that are open during one run
	keysIdle    = time.Minute
	chunk       = 256 // entries read at a time
	ownBody     = 0   // body index of own bodies
	followsBody = 1   // body index under which the authority's are sealed, so that the two can't be exchanged
	toldBody    = 2   // body index of what stands for own bodies that are nowhere any more
)

// Domain is an open offline domain. It is not safe for concurrent use.
type Domain struct {
	cfg     Config
	ids     *domainkeys.Identity
	working *domainkeys.DWK // nil while zeroized, or if the root has it no more
	curve   *curve.Backend
	hd      *hd.Deriver
	keys    *keyring.Ring
	log     *auditlog.Log
	state   *pure.State
	writer  uint64
	follow  *follower
	most    int   // bytes of an answer, as the online domain records it, above which no further permit is begun: mostAnswer but in tests
	broken  error // why nothing more is done until the domain is opened again
}

// Open opens the offline domain whose log is in the store, and folds what it imported. What a crash left half done is finished.
func Open(ctx context.Context, cfg Config) (*Domain, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	ids, err := domainkeys.LoadIdentity(ctx, cfg.Arena, cfg.Root)
	if errors.Is(err, hsm.ErrNotFound) {
		return nil, ErrNone
	}
	if err != nil {
		return nil, fmt.Errorf("open offline domain: %w", err)
	}
	d, err := open(ctx, cfg, ids)
	if err != nil {
		ids.Wipe()
		return nil, fmt.Errorf("open offline domain: %w", err)
	}
	return d, nil
}

func open(ctx context.Context, cfg Config, ids *domainkeys.Identity) (*Domain, error) {
	d := &Domain{cfg: cfg, ids: ids, state: pure.New(), most: mostAnswer}
	if err := d.derives(); err != nil {
		return nil, err
	}
	var err error
	if d.keys, err = keyring.New(keyring.Config{HD: d.hd, Entries: openKeys, Idle: keysIdle}); err != nil {
		return nil, err
	}
	if err := d.openLog(ctx); err != nil {
		return nil, err
	}
	if err := d.settle(ctx); err != nil {
		d.wipe()
		return nil, errors.Join(err, d.log.Close())
	}
	return d, nil
}

// derives makes what derives keys from seeds.
func (d *Domain) derives() (err error) {
	if d.curve, err = curve.New(); err != nil {
		return err
	}
	d.hd, err = hd.New(hd.Config{Arena: d.cfg.Arena, Curve: d.curve})
	return err
}

// openLog folds the own log up to its pin.
func (d *Domain) openLog(ctx context.Context) error {
	first, err := d.cfg.Store.Read(ctx, 0, 1)
	if err != nil {
		return err
	}
	if len(first) == 0 {
		return noLog(ctx, d.cfg)
	}
	pub := d.ids.LogKey()
	key, err := tlog.NewKey(entry.Origin(custody.DomainID(entry.Hash(first[0].Leaf)), 1), pub[:])
	if err != nil {
		return err
	}
	if _, d.writer, err = d.cfg.Store.Head(ctx); err != nil {
		return err
	}
	d.log, err = auditlog.Open(ctx, auditlog.Config{Store: d.cfg.Store, Anchor: d.cfg.Anchor, Key: key, Writer: d.writer, Entries: logEntries(d.ids),
		Sign: func(m []byte) ([]byte, error) { return d.ids.SignLog(m), nil },
		Tail: func(_ uint64, hash [32]byte, rec auditlog.Record) error {
			e, err := openOwn(d.ids, rec)
			if err != nil {
				return err
			}
			return d.state.Apply(e.leaf, hash, e.body)
		}})
	return err
}

// noLog says why the store has no entry 0: there is no domain yet, or what was acknowledged is gone.
func noLog(ctx context.Context, cfg Config) error {
	p, err := cfg.Anchor.Read(ctx)
	if errors.Is(err, auditlog.ErrNoPin) {
		return ErrNone
	}
	if err != nil {
		return err
	}
	tree, err := tlog.UnmarshalFrontier(p.Frontier)
	if err != nil {
		return fmt.Errorf("pin: %w", err)
	}
	if tree.Size() == 0 {
		return ErrNone
	}
	return &auditlog.BehindError{Have: 0, Pinned: tree.Size(), Where: cfg.Store.Where(0)}
}

// settle checks keys against the log, becomes the writer on record, and finishes what a crash left half done.
func (d *Domain) settle(ctx context.Context) error {
	if d.state.Next == 0 {
		return ErrNone // its genesis was never acknowledged
	}
	if d.state.LogKey != d.ids.LogKey() || d.state.Identity != d.ids.IdentityKey() {
		return errors.New("the root of trust holds the keys of another domain than the log")
	}
	if err := d.mark(ctx, auditlog.MarkStart); err != nil {
		return err
	}
	if d.state.Writer != d.writer {
		if err := d.record(ctx, d.guess(), &entry.Writer{Epoch: d.writer}); err != nil {
			return err
		}
		if err := d.mark(ctx, auditlog.MarkWriter); err != nil {
			return err
		}
	}
	if err := d.loadWorking(ctx); err != nil {
		return err
	}
	if err := d.eraseDoomed(ctx); err != nil {
		return err
	}
	var err error
	d.follow, err = openFollower(ctx, d.cfg.Follow, d.ids, d.state)
	return err
}

// eraseDoomed erases what the log has given up, used import keys and seeds that were given back, and other blobs of keys that the log knows,
// which a crash left behind before their entry. What else is there stays: of a log that a backup brought back it may be the only copy of a seed.
// Sealed copies stay too: they open elsewhere only.
func (d *Domain) eraseDoomed(ctx context.Context) error {
	keep := map[keystore.Ref]bool{{Key: d.state.Key.ID, Hash: d.state.Key.Blob}: true}
	known := map[custody.KeyID]bool{d.state.Key.ID: true}
	for _, h := range d.state.Wallets() {
		keep[keystore.Ref{Key: h.Key, Hash: h.Blob}] = true
		known[h.Key] = true
	}
	list, err := d.cfg.List(ctx)
	if err != nil {
		return err
	}
	for _, b := range d.state.Doomed() { // also what the list leaves out
		list = append(list, keystore.Ref{Key: b.Key, Hash: b.Hash})
		known[b.Key] = true
	}
	for _, h := range d.state.Wallets() {
		if d.state.IsMissing(h.Wallet) { // another blob may be the only copy of its seed
			delete(known, h.Key)
		}
	}
	for _, ref := range list {
		if keep[ref] || !known[ref.Key] || ref.Key == authority.SealedCopies {
			continue
		}
		if err := d.cfg.Blobs.Delete(ctx, ref); err != nil {
			return fmt.Errorf("erase a blob of key %s: %w", ref.Key, err)
		}
	}
	return nil
}

// mark has the anchor mark an occasion, if it is one that marks.
func (d *Domain) mark(ctx context.Context, why auditlog.Occasion) error {
	m, ok := d.cfg.Anchor.(auditlog.Marker)
	if !ok {
		return nil
	}
	done, err := m.Mark(context.WithoutCancel(ctx), why)
	if err == nil && !done {
		d.cfg.Logger.WarnContext(ctx, "the anchor does not mark this: today's marks are used up", slog.String("occasion", string(why)))
	}
	return err
}

// Close ends the domain and wipes every key.
func (d *Domain) Close(ctx context.Context) error {
	err := d.log.Close()
	if err == nil && d.broken == nil {
		err = d.mark(ctx, auditlog.MarkStop)
	}
	d.wipe()
	d.ids.Wipe()
	return err
}

func (d *Domain) wipe() {
	d.keys.Forget()
	if d.working != nil {
		d.working.Wipe()
		d.working = nil
	}
}

// ID gives the domain's id.
func (d *Domain) ID() custody.DomainID { return d.state.Domain }

// Genesis gives the first entry, for the request that adds the domain to its authority.
func (d *Domain) Genesis(ctx context.Context) (pure.Record, error) {
	recs, err := d.records(ctx, 0, 1)
	if err != nil || len(recs) == 0 {
		return pure.Record{}, errors.Join(err, errors.New("the store has no entry 0"))
	}
	return recs[0], nil
}
