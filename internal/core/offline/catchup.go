// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
)

// A backup that is behind what the online domain knows of this domain's log is completed from the online domain's own log, which has the entries
// of every result that was handed in, as this domain's log key signed them. So the log goes on as the one that is known, and nothing that is known
// is forgotten: docs/spec/cold.md, section 10.

// CatchUp is what a restore needs besides, to complete a backup that is behind. All fields are required but Fill.
type CatchUp struct {
	Bundle io.Reader      // sealed; a full one
	Follow auditlog.Store // for the authority's entries; what is in it is dropped
	Clock  timeguard.Clock
	By     Keepers
	Fill   func(ctx context.Context, b []byte) error // as in [Config]
}

// Keepers are the people at the machine of a domain that was set back.
type Keepers interface {
	// SetBack shows what is lost, and gives nil once that was accepted. Nothing is written before.
	SetBack(ctx context.Context, l Loss) error
	// Confirm gives the signatures of two operators over [pure.Confirmation.Message].
	Confirm(ctx context.Context, c pure.Confirmation) ([]pure.Signature, error)
}

// Loss is what it means that a domain was set back.
type Loss struct {
	Domain     custody.DomainID    `json:"-"`
	Name       string              `json:"-"`
	Authority  custody.AuthorityID `json:"-"`
	Number     uint64              `json:"bundle"`     // number of the bundle
	Checkpoint int64               `json:"checkpoint"` // its time, Unix seconds
	Now        authority.Moment    `json:"-"`

	From    uint64             `json:"from"`    // own entries of the backup that are kept
	To      uint64             `json:"to"`      // own entries that the online domain knows
	Dropped uint64             `json:"dropped"` // of the backup's, that the online domain knows otherwise
	Signed  []Signed           `json:"signed,omitempty"`
	Came    []custody.WalletID `json:"came,omitempty"` // by entries that were given back
	Left    []custody.WalletID `json:"left,omitempty"`

	Undone   []Signed           `json:"undone,omitempty"`   // signed by entries that are dropped, and not by those that were given back
	Missing  []custody.WalletID `json:"missing,omitempty"`  // whose seeds are nowhere
	Import   bool               `json:"importKeyLost"`      // the private half of the import key is nowhere: another one is made
	Stranded custody.WalletID   `json:"stranded,omitempty"` // whose seed is on its way, sealed to that key
	Maybe    []LostPermit       `json:"maybe,omitempty"`    // that wait, and that entries which nobody has may have signed
	Gap      uint64             `json:"gap,omitempty"`      // entry by which the authority's log lost entries after the last result; 0: none
}

// given are the own entries that the authority's log has.
type given struct {
	domain  custody.DomainID
	own     []auditlog.Record // of the backup
	common  uint64            // of these, how many are the same
	differs bool
	size    uint64
	records []entry.OfflineRecord // behind what is common
}

// take follows a result.
func (g *given) take(b *entry.Offline) {
	if b.Domain != g.domain {
		return
	}
	for _, r := range b.Records {
		switch {
		case g.differs || g.size >= uint64(len(g.own)):
			g.records = append(g.records, r)
		case entry.Hash(g.own[g.size].Leaf) == entry.Hash(r.Leaf):
			g.common++
		default:
			g.differs = true
			g.records = append(g.records, r)
		}
		g.size++
	}
}

// catchUp completes what the backup has from the bundle, if it is behind: first it is known what is lost, then people accept it.
func (r *restoring) catchUp(ctx context.Context) error {
	c := r.cfg.CatchUp
	if c.Bundle == nil || c.Follow == nil || c.Clock == nil || c.By == nil {
		return errors.New("catch up: bundle, follow, clock and people are required")
	}
	r.d.cfg.Clock, r.d.cfg.Fill = c.Clock, c.Fill
	g := &given{domain: r.d.state.Domain, own: r.recs, common: 1, size: 1}
	w, err := r.follow(ctx, g)
	if err != nil {
		return fmt.Errorf("the bundle is refused: %w", err)
	}
	if len(g.records) == 0 {
		return nil // the backup has all that is known
	}
	before := r.d.state
	if err := r.extend(ctx, w.follow, g); err != nil {
		return fmt.Errorf("take back the own entries from the authority's log: %w", err)
	}
	if w.bundle.Number <= r.d.state.Import.Number {
		return fmt.Errorf("the bundle has number %d; this domain had taken bundle %d: export a new one", w.bundle.Number, r.d.state.Import.Number)
	}
	return r.settle(ctx, w, g, before)
}

// follow reads and verifies the bundle as every bundle is, but for what it knows of the own log: that is what g learns from it.
func (r *restoring) follow(ctx context.Context, g *given) (*work, error) {
	none := pure.New() // nothing was imported: what a restore that was cut off left is dropped
	f, err := openFollower(ctx, r.cfg.CatchUp.Follow, r.d.ids, none)
	if err != nil {
		return nil, err
	}
	f.own, f.results = r.d.state, g.take
	r.d.follow = f
	w := &work{Domain: r.d, behind: true, copies: map[[32]byte][]byte{}, incarnation: r.d.state.Incarnation()}
	if err := w.take(ctx, r.cfg.CatchUp.Bundle); err != nil {
		return nil, err
	}
	d, _ := f.state.OfflineDomain(g.domain)
	if d.Size() != g.size || w.bundle.Known > g.size {
		return nil, fmt.Errorf("it knows %d entries of this domain's log, and brings %d", max(d.Size(), w.bundle.Known), g.size)
	}
	return w, f.flush(ctx)
}

// extend folds what the backup and the authority's log have in common, and then what only the latter has.
func (r *restoring) extend(ctx context.Context, f *follower, g *given) error {
	d := r.d
	for _, rec := range r.recs {
		l, err := entry.DecodeLeaf(rec.Leaf)
		if err != nil {
			return err
		}
		r.writer = max(r.writer, l.Writer)
	}
	d.state, r.recs = pure.New(), r.recs[:g.common:g.common]
	for _, rec := range r.recs {
		if err := d.refold(rec); err != nil {
			return err
		}
	}
	t := &teller{d: d, f: f, results: untold(g.records)}
	for _, x := range g.records {
		rec, err := t.record(ctx, x)
		if err != nil {
			return err
		}
		if err := d.refold(rec); err != nil {
			return err
		}
		r.recs = append(r.recs, rec)
	}
	return sameImport(ctx, f, d.state.Import)
}

// sameImport says whether what was imported last are entries of the authority's log as the bundle has it.
func sameImport(ctx context.Context, f *follower, last pure.Import) error {
	if last.Number == 0 {
		return nil
	}
	rec, err := f.record(ctx, last.Size-1)
	if err != nil {
		return err
	}
	if entry.Hash(rec.Leaf) != last.Leaf {
		return fmt.Errorf("the authority's entry %d is another than the one that was imported", last.Size-1)
	}
	return nil
}

// settle finds out what is lost, has people accept that, and makes the entries that say so.
func (r *restoring) settle(ctx context.Context, w *work, g *given, before *pure.State) error {
	d := r.d
	sb := pure.SetBack{From: g.common, To: d.state.Next, Last: d.state.Last}
	missing, found, err := r.lack(ctx, w.follow)
	if err != nil {
		return err
	}
	noKey, err := r.lacks(ctx, keystore.Ref{Key: d.state.Key.ID, Hash: d.state.Key.Blob})
	if err != nil {
		return err
	}
	closed, maybe, err := waiting(ctx, w)
	if err != nil {
		return err
	}
	at, err := w.now(w.checkpoint * 1e9)
	if err != nil {
		return err
	}
	l := lossOf(w, before, sb)
	l.Now, l.Dropped, l.Maybe, l.Import = at, uint64(len(g.own))-g.common, maybe, noKey
	for _, m := range missing {
		l.Missing = append(l.Missing, m.Wallet)
	}
	if noKey {
		l.Stranded = onItsWay(w)
	}
	if err := r.cfg.CatchUp.By.SetBack(ctx, l); err != nil {
		return fmt.Errorf("this domain was set back: %w", err)
	}
	body := &pure.CaughtUp{SetBack: sb, Dropped: l.Dropped, Bundle: w.hash, Number: w.bundle.Number, Size: w.root.Size, Missing: missing, Found: found}
	if at, err = r.confirmed(ctx, w, body); err != nil {
		return err
	}
	if noKey {
		if body.Next, err = r.newKey(ctx); err != nil {
			return err
		}
	}
	r.loss = &l
	return r.write(at, body, closed)
}

// confirmed has two operators sign what is taken back.
func (r *restoring) confirmed(ctx context.Context, w *work, b *pure.CaughtUp) (authority.Moment, error) {
	at, err := w.now(w.checkpoint * 1e9)
	if err != nil {
		return at, err
	}
	c := pure.Confirmation{V: 1, Authority: w.state.Authority, Domain: w.ID(), Bundle: w.hash, Permits: []pure.Confirmed{}, Time: at.Time, SetBack: &b.SetBack}
	sigs, err := r.cfg.CatchUp.By.Confirm(ctx, c)
	if err != nil {
		return at, fmt.Errorf("confirmation: %w", err)
	}
	if err := pure.CheckSignatures(w.follow.state.Rules, c, sigs); err != nil {
		return at, problem.New(problem.Unauthenticated, "confirmation: %v", err)
	}
	if err := w.fresh(); err != nil {
		return at, fmt.Errorf("after the confirmation: %w", err)
	}
	b.Statement, b.Signatures = c.Encode(), sigs
	return w.now(w.checkpoint * 1e9)
}

// newKey makes an import key in the place of one whose private half is lost.
func (r *restoring) newKey(ctx context.Context) (*pure.ImportKey, error) {
	k, err := r.loadWorking(ctx)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, errors.New("the domain is zeroized, and its import key is lost: custodians have to bring the working key back first")
	}
	defer k.Wipe()
	next, err := newImportKey(ctx, Config{Arena: r.cfg.Arena, Blobs: r.cfg.Blobs, Fill: r.cfg.CatchUp.Fill}, k)
	return &next, err
}

// write adds the entries that say what is lost.
func (r *restoring) write(at authority.Moment, gap *pure.CaughtUp, closed []pure.ClosedSlot) error {
	bodies := []any{gap}
	for len(closed) > 0 {
		n := min(len(closed), pure.MaxClosed)
		bodies = append(bodies, &pure.Closed{Slots: closed[:n]})
		closed = closed[n:]
	}
	r.d.writer = r.d.state.Writer // the next start is the next writer
	for _, b := range bodies {
		l, rec, err := r.d.entryOf(at, b)
		if err != nil {
			return err
		}
		if err := r.d.state.Apply(l, entry.Hash(rec.Leaf), b); err != nil {
			return err
		}
		r.recs = append(r.recs, rec)
	}
	return nil
}
