// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"sync"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/parcel"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

// parcels are the bundle and the result that are under way. Each has a lock of its own, held while it works; the domain goes on.
type parcels struct {
	outMu sync.Mutex // guards out
	out   *bundleRun

	inMu sync.Mutex // guards in
	in   *resultRun

	madeMu sync.Mutex // guards made
	made   map[parcelName][32]byte
}

// parcelName names a bundle.
type parcelName struct {
	to     custody.DomainID
	number uint64
}

// remember keeps the hash of a bundle that was made, for its result, as long as the core runs.
func (p *parcels) remember(to custody.DomainID, number uint64, hash [32]byte) {
	p.madeMu.Lock()
	defer p.madeMu.Unlock()
	if p.made == nil {
		p.made = map[parcelName][32]byte{}
	}
	p.made[parcelName{to, number}] = hash
	if number >= repliesKept {
		delete(p.made, parcelName{to, number - repliesKept})
	}
}

// answers says whether a result that names the hash of its bundle can be that bundle's.
func (p *parcels) answers(to custody.DomainID, number uint64, hash [32]byte) bool {
	p.madeMu.Lock()
	defer p.madeMu.Unlock()
	made, known := p.made[parcelName{to, number}]
	return !known || made == hash
}

// bundleRun is a bundle under way: its head, then entries, then sealed copies, sealed as they are written.
type bundleRun struct {
	id     [16]byte
	buf    bytes.Buffer // sealed, not given yet
	sealed *parcel.Writer
	items  *offline.Writer
	next   uint64 // entry
	end    uint64
	copies [][32]byte
	ended  bool
	offset uint64 // of the last part given
	part   []byte
}

// withExport says whether bundles may be written and results taken.
func (d *Domain) withExport() error {
	if err := d.withKeys(); err != nil {
		return err
	}
	if err := d.mayCarry(); err != nil {
		return err
	}
	if !d.switches.Load().allowed.Has(points.ExportCold) {
		return problem.New(problem.Forbidden, "switched off in this domain: %s", points.ExportCold)
	}
	return nil
}

// OfflineDomains lists the offline domains.
func (d *Domain) OfflineDomains() (out message.OfflineDomains) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, x := range d.state.OfflineDomains() {
		v := message.OfflineDomain{ID: x.ID, Name: x.Name, Size: x.Size(), Knows: x.Knows, Number: x.Number, Result: x.Result, Busy: x.Taken > 0, Zeroized: x.Zeroized,
			Open: uint64(len(d.state.ExportedTo(x.ID))), Gap: x.Gap}
		wallets, where := d.state.AwayIn(x.ID)
		for i, w := range wallets {
			v.Wallets = append(v.Wallets, message.AwayWallet{Wallet: w.ID, Way: where[i].Way.String(), Move: where[i].Move, Missing: where[i].Missing})
		}
		out.Domains = append(out.Domains, v)
	}
	return out
}

// offlineNamed gives an offline domain by name or id; the only one, if neither is given. The caller holds mu.
func (d *Domain) offlineNamed(name string) (authority.OfflineDomain, error) {
	all := d.state.OfflineDomains()
	if name == "" && len(all) == 1 {
		return all[0], nil
	}
	for _, x := range all {
		if x.Name == name || x.ID.String() == name {
			return x, nil
		}
	}
	if name == "" {
		return authority.OfflineDomain{}, problem.New(problem.NotFound, "there are %d offline domains; name one", len(all))
	}
	return authority.OfflineDomain{}, problem.New(problem.NotFound, "no offline domain is called %.80q", name)
}

// OfflineExport begins a bundle to an offline domain: it is numbered in the log first, and then has the log up to a checkpoint after that. What
// permits and moves stand in the log then is what it asks for.
func (d *Domain) OfflineExport(ctx context.Context, in message.OfflineExport) (out message.OfflineBundle, err error) {
	if err := d.withExport(); err != nil {
		return out, err
	}
	if _, err := d.eraseDoomed(ctx); err != nil { // of a key that leaves: before that its copy stays here
		return out, problem.Wrap(problem.Internal, err, "what a key that left has given up can't be erased, so that its sealed seed may not go yet")
	}
	to, rec, err := d.numberBundle(in.Domain)
	if err != nil {
		return out, err
	}
	if err := d.durable(ctx, rec); err != nil {
		return out, err
	}
	head, copies, err := d.bundleHead(ctx, to, in.Full)
	if err != nil {
		return out, err
	}
	r := &bundleRun{next: head.From, end: head.Size, copies: copies}
	rand.Read(r.id[:]) // never fails: crypto/rand ends the process when the system has no randomness
	if r.sealed, err = parcel.NewWriter(d.cfg.Arena, &r.buf, to.Transport, to.Identity, offline.BundleLabel(to.ID)); err == nil {
		r.items, err = offline.NewWriter(r.sealed, head.Encode())
	}
	if err != nil {
		return out, problem.Wrap(problem.Internal, err, "begin a bundle")
	}
	d.mu.Lock()
	open := len(d.state.ExportedTo(to.ID))
	d.mu.Unlock()
	d.parcels.outMu.Lock()
	defer d.parcels.outMu.Unlock()
	d.parcels.out = r
	return message.OfflineBundle{Run: r.id[:], Domain: to.ID, Name: to.Name, Number: head.Number, From: head.From, Size: head.Size, NotAfter: head.NotAfter,
		Permits: uint64(open), Copies: uint64(len(copies))}, nil
}

// numberBundle takes the next number of an offline domain's bundles.
func (d *Domain) numberBundle(name string) (to authority.OfflineDomain, rec recorded, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if to, err = d.offlineNamed(name); err != nil {
		return to, rec, err
	}
	if p := d.state.Anchoring().Pending; p != nil {
		return to, rec, problem.New(problem.Reanchoring, "the log was re-anchored in entry %d; bundles go to offline domains again after its time-lock; see 'strongroom domain re-anchor status'", p.Entry)
	}
	at, err := d.now()
	if err != nil {
		return to, rec, err
	}
	to.Number++
	rec, err = d.record(at, entry.KindOffline, entry.Confidential, &entry.Offline{Domain: to.ID, Number: to.Number})
	return to, rec, err
}

// bundleHead makes the head of a bundle at the pinned end of the log, and lists the sealed copies that go with it.
func (d *Domain) bundleHead(ctx context.Context, to authority.OfflineDomain, full bool) (offline.Bundle, [][32]byte, error) {
	pinned := d.log.Head()
	b := offline.Bundle{V: 1, Authority: d.Authority(), Online: d.ID(), Offline: to.ID, Number: to.Number, Size: pinned.Size, Checkpoint: pinned.Signed, Known: to.Size(), KnownLast: to.Last}
	if !full {
		b.From = to.Knows
	}
	var copies [][32]byte
	d.mu.Lock()
	_, where := d.state.AwayIn(to.ID)
	for _, a := range where {
		if a.Way == authority.Leaving && a.Erased && a.Move < pinned.Size {
			copies = append(copies, [32]byte(a.Copy))
		}
	}
	logKey, incarnation := d.state.LogKey, d.state.Anchoring().Incarnation
	d.mu.Unlock()
	at, err := d.witnessed(ctx, b, logKey)
	if err != nil {
		return b, nil, err
	}
	b.NotAfter = at + offline.MaxAge
	err = d.withIdentity(func() error {
		reply, err := d.ids.Reply(to.ID, to.Number, incarnation)
		if err != nil {
			return err
		}
		b.Reply = reply.Public()
		reply.Wipe()
		b.Signature = d.ids.SignIdentity(b.Message())
		return nil
	})
	if err == nil {
		d.parcels.remember(to.ID, to.Number, b.Hash())
	}
	return b, copies, err
}

// witnessed gives the time of a bundle's checkpoint as the offline domain reckons it.
func (d *Domain) witnessed(ctx context.Context, b offline.Bundle, logKey [32]byte) (int64, error) {
	_, body, err := d.readEntry(ctx, 0)
	if err != nil {
		return 0, readProblem(err, 0)
	}
	g, ok := body.(*entry.Genesis)
	if !ok {
		return 0, problem.New(problem.Internal, "entry 0 is not a genesis")
	}
	d.mu.Lock()
	set, err := d.state.Witnesses(g)
	origin := d.state.Origin()
	d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	last, _, err := d.readEntry(ctx, b.Size-1)
	if err != nil {
		return 0, readProblem(err, b.Size-1)
	}
	key, err := tlog.NewKey(origin, logKey[:])
	if err != nil {
		return 0, err
	}
	_, at, err := b.Witnessed(set, key, last.Time)
	if err != nil {
		return 0, problem.Wrap(problem.Internal, err, "the pinned checkpoint")
	}
	return at, nil
}

// errNoBundle says that a bundle is not under way any more.
var errNoBundle = problem.New(problem.NotFound, "this bundle is not being written any more: another one was begun, or the core has started anew; export again")

// OfflineNext gives the next part of the bundle that is being written.
func (d *Domain) OfflineNext(ctx context.Context, in message.OfflineNext) (message.OfflinePart, error) {
	d.parcels.outMu.Lock()
	defer d.parcels.outMu.Unlock()
	r := d.parcels.out
	if r == nil || string(in.Run) != string(r.id[:]) {
		return message.OfflinePart{}, errNoBundle
	}
	switch {
	case in.Offset == r.offset && r.part != nil:
		return message.OfflinePart{Bytes: r.part}, nil // again
	case in.Offset != r.offset+uint64(len(r.part)):
		return message.OfflinePart{}, problem.New(problem.Malformed, "byte %d is not what comes next", in.Offset)
	}
	for r.buf.Len() < message.OfflineSlice && !r.ended {
		if err := d.writeBundle(ctx, r); err != nil {
			d.parcels.out = nil // what was written of it leads nowhere
			return message.OfflinePart{}, err
		}
	}
	r.offset, r.part = in.Offset, bytes.Clone(r.buf.Next(message.OfflineSlice))
	return message.OfflinePart{Bytes: r.part}, nil
}

// writeBundle writes some more of a bundle.
func (d *Domain) writeBundle(ctx context.Context, r *bundleRun) error {
	if r.next < r.end {
		list, err := d.clear(ctx, r.next, int(min(recheckBatch, r.end-r.next)))
		if err == nil && len(list) == 0 {
			err = errors.New("it is not in the store")
		}
		if err != nil {
			return readProblem(err, r.next)
		}
		for _, o := range list {
			if err := r.items.Record(offline.Record{Leaf: o.raw, Salt: o.bodies[0].Salt[:], Body: o.bodies[0].Body}); err != nil {
				return problem.Wrap(problem.Internal, err, "write a bundle")
			}
		}
		r.next += uint64(len(list))
		return nil
	}
	for _, hash := range r.copies {
		b, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: authority.SealedCopies, Hash: hash})
		if err == nil {
			err = r.items.Copy(b)
		}
		if err != nil {
			return problem.Wrap(problem.Internal, err, "a sealed seed that the log names can't be read")
		}
	}
	r.ended = true
	if err := errors.Join(r.items.End(), r.sealed.Close()); err != nil {
		return problem.Wrap(problem.Internal, err, "write a bundle")
	}
	return nil
}
