// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// ReanchorConfig is what re-anchoring needs of a domain that does not run. All fields but Tiles are required. The caller closes what it gave.
type ReanchorConfig struct {
	Arena *secret.Arena
	Root  hsm.Root // with the identity
	Store auditlog.Store
	Local auditlog.Anchor // the pin file, without what stands on it
	Clock timeguard.Clock
	Tiles string // folder of the published tiles; only makes proofs quicker
}

// Remains is what is left of a log: every entry that is in the store, folded from the first. No pin is believed, because that is what is to be replaced;
// each entry must follow the one before, have its bodies, and fit the state. docs/spec/reanchor.md.
type Remains struct {
	cfg    ReanchorConfig
	ids    *domainkeys.Identity
	state  *authority.State
	tree   tlog.Frontier
	before tlog.Frontier // and before the last entry
	first  *entry.Genesis
	again  *entry.Reanchor // the last entry, if it is one
	known  known
	forked string // what shows another history of entries that are left, in words; empty: nothing
}

// known is the largest checkpoint of the log that was found.
type known struct {
	tlog.Checkpoint
	incarnation uint64
	signed      []byte // empty: none was
	from        string // in words
}

// Remain folds what is left. The log must not change meanwhile.
func Remain(ctx context.Context, cfg ReanchorConfig) (*Remains, error) {
	if cfg.Arena == nil || cfg.Root == nil || cfg.Store == nil || cfg.Local == nil || cfg.Clock == nil {
		return nil, errors.New("re-anchor: arena, root, store, local anchor and clock are required")
	}
	ids, err := domainkeys.LoadIdentity(ctx, cfg.Arena, cfg.Root)
	if err != nil {
		return nil, fmt.Errorf("re-anchor: %w", err)
	}
	r := &Remains{cfg: cfg, ids: ids, state: authority.New()}
	if err := r.fold(ctx); err != nil {
		r.Close()
		return nil, fmt.Errorf("re-anchor: %w", err)
	}
	return r, nil
}

// Close wipes the domain's keys.
func (r *Remains) Close() { r.ids.Wipe() }

// foldBatch is how many entries are read at a time.
const foldBatch = 1024

func (r *Remains) fold(ctx context.Context) error {
	size, _, err := r.cfg.Store.Head(ctx)
	if err != nil {
		return err
	}
	for r.tree.Size() < size {
		recs, err := r.cfg.Store.Read(ctx, r.tree.Size(), foldBatch)
		if err == nil && len(recs) == 0 {
			err = errors.New("the store gives no entries")
		}
		if err != nil {
			return err
		}
		for _, rec := range recs {
			if err := r.take(rec); err != nil {
				return &auditlog.CorruptError{Seq: r.tree.Size(), Where: r.cfg.Store.Where(r.tree.Size()), Reason: "it does not go on with the log", Err: err}
			}
		}
	}
	switch {
	case size == 0:
		return ErrNoDomain
	case r.state.LogKey != r.ids.LogKey() || r.state.Identity != r.ids.IdentityKey():
		return errors.New("the root of trust holds the keys of another domain than the log")
	}
	return nil
}

func (r *Remains) take(rec auditlog.Record) error {
	o, err := openRecord(r.ids, rec)
	if err != nil {
		return err
	}
	body, err := authority.DecodeBody(o.leaf.Kind, o.leaf.KindVersion, o.bodies[0].Body)
	if err != nil {
		return err
	}
	b, is := body.(*entry.Reanchor)
	if is && b.Root != r.tree.Root() {
		return errors.New("it re-anchors a log with another tree than this one")
	}
	if g, ok := body.(*entry.Genesis); ok {
		r.first = g
	}
	hash := entry.Hash(rec.Leaf)
	if err := r.state.Apply(o.leaf, hash, body); err != nil {
		return err
	}
	r.again, r.before = b, r.tree
	r.tree.Append(hash)
	return nil
}

// Domain gives the domain's id.
func (r *Remains) Domain() custody.DomainID { return r.state.Domain }

// Profile gives its profile.
func (r *Remains) Profile() custody.Profile { return r.state.Profile }

// Keys gives the public log key and identity key.
func (r *Remains) Keys() (log, identity [32]byte) { return r.state.LogKey, r.state.Identity }

// Repin replaces the local anchor, by one that was opened anew.
func (r *Remains) Repin(local auditlog.Anchor) { r.cfg.Local = local }

// Root gives the kind of its root of trust.
func (r *Remains) Root() string { return r.state.Root }

// Head gives the tree head of what is left, under the origin of its incarnation.
func (r *Remains) Head() tlog.Checkpoint {
	return tlog.Checkpoint{Origin: entry.Origin(r.state.Domain, r.state.Anchoring().Incarnation), Size: r.tree.Size(), Root: r.tree.Root()}
}

// Anchor gives kind and log witnesses as the log has them so far.
func (r *Remains) Anchor() (kind string, witnesses []entry.LogWitness, quorum uint64) {
	if a := r.state.Anchoring(); a.Since > 0 {
		return r.state.Anchor, a.Witnesses, a.Quorum
	}
	return r.state.Anchor, r.first.Witnesses, r.first.Quorum
}

// Witnesses gives the log witnesses so far.
func (r *Remains) Witnesses() (tlog.Witnesses, error) { return authority.AnchorWitnesses(r.Anchor()) }

// Binding lets an anchor ask the log witnesses so far about what is left.
func (r *Remains) Binding() (auditlog.Binding, error) {
	pub := r.ids.LogKey()
	key, err := tlog.NewKey(r.Head().Origin, pub[:])
	if err != nil {
		return auditlog.Binding{}, err
	}
	return auditlog.Binding{Key: key, Sign: func(m []byte) ([]byte, error) { return r.ids.SignLog(m), nil }, Prove: auditlog.Prover(r.cfg.Store, r.cfg.Tiles)}, nil
}

// Consider takes a signed checkpoint that was found somewhere, which from says. It is refused unless the log's own key signed it, and kept if it is the
// largest so far, of the latest incarnation. One of entries that are left, with another root, shows that the log's key signed two histories.
func (r *Remains) Consider(ctx context.Context, signed []byte, from string) (tlog.Checkpoint, error) {
	c, k, err := openOwn(signed, r.state.Domain, r.state.LogKey[:])
	if err != nil {
		return c, fmt.Errorf("%s: %w", from, err)
	}
	if k == r.state.Anchoring().Incarnation && c.Size > 0 && c.Size <= r.tree.Size() {
		root, err := r.rootAt(ctx, c.Size)
		if err != nil {
			return c, err
		}
		if root != c.Root {
			r.forked = fmt.Sprintf("%s shows another history of the first %d entries: the log was forked", from, c.Size)
		}
	}
	if cmp.Or(cmp.Compare(k, r.known.incarnation), cmp.Compare(c.Size, r.known.Size)) > 0 {
		r.known = known{c, k, signed, from}
	}
	return c, nil
}

func (r *Remains) rootAt(ctx context.Context, size uint64) ([32]byte, error) {
	if size == r.tree.Size() {
		return r.tree.Root(), nil
	}
	return auditlog.RootAt(ctx, r.cfg.Store, size) // not from tiles: they may be of the other history
}

// Forked says what shows another history of entries that are left, in words, or nothing.
func (r *Remains) Forked() string { return r.forked }

// ConsiderPin considers the local pin. One that can't be read, or is of another domain, says nothing; words say what it said.
func (r *Remains) ConsiderPin(ctx context.Context) (words string, err error) {
	p, err := r.cfg.Local.Read(ctx)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	var c tlog.Checkpoint
	if err == nil {
		c, err = r.Consider(ctx, p.Checkpoint, "the local pin")
	}
	if err != nil {
		return fmt.Sprintf("the local pin says nothing: %v", err), nil
	}
	return fmt.Sprintf("the local pin has %d entries of %s", c.Size, c.Origin), nil
}

// Known gives the largest checkpoint that was considered, with where it was found; of size 0 if there is none.
func (r *Remains) Known() (c tlog.Checkpoint, from string) { return r.known.Checkpoint, r.known.from }

// Plan is what a re-anchoring is to make.
type Plan struct {
	Reason    string
	Anchor    string
	Witnesses []entry.LogWitness
	Quorum    uint64
	Confirmed []byte // checkpoint of what is left that a quorum of the log witnesses so far has freshly cosigned, or none
	NotAfter  int64  // Unix seconds
}

// ReanchorLife is how long a document that is prepared is good for, in seconds.
const ReanchorLife = 14 * 24 * 3600

// Draft makes the document that people sign.
func (r *Remains) Draft(p Plan) (*entry.Reanchor, error) {
	now, err := r.now()
	if err != nil {
		return nil, err
	}
	a := r.state.Anchoring()
	b := &entry.Reanchor{V: 1, Authority: r.state.Authority, Domain: r.state.Domain, Incarnation: max(a.Incarnation, r.known.incarnation) + 1, Before: a.Incarnation, Since: a.Since, Size: r.tree.Size(), Root: r.tree.Root(),
		Last: r.state.Last, Known: r.known.signed, Reason: p.Reason, Anchor: p.Anchor, Witnesses: p.Witnesses, Quorum: p.Quorum, Delay: r.state.Doc.ReanchorDelay(), NotAfter: now.Time/1e9 + ReanchorLife, Nonce: make([]byte, 16)}
	rand.Read(b.Nonce)
	if len(p.Confirmed) > 0 && !r.beyond() {
		b.Known, b.Whole = p.Confirmed, true
	}
	if err := r.state.CheckReanchor(b, now); err != nil {
		return nil, fmt.Errorf("re-anchor: %w", err)
	}
	return b, nil
}

// beyond says whether something is known that is not left: more entries, a later incarnation, or another tree.
func (r *Remains) beyond() bool {
	a := r.state.Anchoring()
	return r.forked != "" || r.known.incarnation > a.Incarnation || r.known.incarnation == a.Incarnation && r.known.Size > r.tree.Size()
}

// now reads the clock; nothing is done while it is not certain, nor if it is far behind the log.
func (r *Remains) now() (authority.Moment, error) {
	t := r.cfg.Clock.Now()
	switch {
	case !t.Certain:
		return authority.Moment{}, fmt.Errorf("re-anchor: the clock is not certain: %s", t.Why)
	case r.state.Time-t.Time > int64(maxBehind):
		return authority.Moment{}, errors.New("re-anchor: the clock is behind the last entry of the log; set it")
	}
	at := max(t.Time, r.state.Time)
	return authority.Moment{Time: at, Bound: t.Bound + at - t.Time}, nil
}

// Applied says whether a document is the last entry already: an apply was cut off behind it.
func (r *Remains) Applied(b *entry.Reanchor) bool {
	return r.again != nil && bytes.Equal(canon.Encode(r.again), canon.Encode(b))
}

// Check says whether a signed document may be applied to what is left: it is for this head, its people meet the recovery plan, and nothing was found since
// that it does not know of.
func (r *Remains) Check(b *entry.Reanchor) error {
	if r.Applied(b) {
		return nil
	}
	now, err := r.now()
	if err != nil {
		return err
	}
	if err := r.state.CheckReanchor(b, now); err != nil {
		return err
	}
	if b.Root != r.tree.Root() {
		return errors.New("it is for a log with another tree than this one")
	}
	set, err := r.Witnesses()
	if err != nil {
		return err
	}
	if err := authority.AuditReanchor(r.state.Rules, r.state.LogKey, set, b); err != nil {
		return err
	}
	if b.Whole && r.forked != "" {
		return errors.New(r.forked)
	}
	if len(r.known.signed) == 0 {
		return nil
	}
	told, k := tlog.Checkpoint{}, uint64(0)
	if len(b.Known) > 0 {
		if told, k, err = openOwn(b.Known, r.state.Domain, r.state.LogKey[:]); err != nil {
			return err
		}
	}
	if b.Incarnation <= r.known.incarnation || cmp.Or(cmp.Compare(r.known.incarnation, k), cmp.Compare(r.known.Size, told.Size)) > 0 && r.beyond() {
		return fmt.Errorf("%s shows %d entries of %s, which the document does not know of; prepare it again", r.known.from, r.known.Size, r.known.Origin)
	}
	return nil
}

// Apply makes a signed document the next entry, under a new writer, and pins it in the new incarnation, locally. It checks it as [Remains.Check] does. Cut
// off anywhere, it is done again: where the entry is the last one already, only the pin is left to do.
func (r *Remains) Apply(ctx context.Context, b *entry.Reanchor) error {
	if err := r.Check(b); err != nil {
		return fmt.Errorf("re-anchor: %w", err)
	}
	if !r.Applied(b) {
		if err := r.append(ctx, b); err != nil {
			return fmt.Errorf("re-anchor: %w", err)
		}
	}
	return r.pin(ctx, b)
}

// append writes the entry under a new writer epoch. A core that still runs appends nothing from then on.
func (r *Remains) append(ctx context.Context, b *entry.Reanchor) error {
	at, err := r.now()
	if err != nil {
		return err
	}
	size, writer, err := r.cfg.Store.Head(ctx)
	if err != nil {
		return err
	}
	if writer > 0 {
		if err := r.cfg.Store.Truncate(ctx, writer, size); err != nil { // refused while a live process writes with it
			return err
		}
	}
	next := max(writer, r.state.Writer) + 1
	if err := r.cfg.Store.TakeWriter(ctx, writer, next); err != nil {
		return err
	}
	if after, _, err := r.cfg.Store.Head(ctx); err != nil || after != size || size != r.tree.Size() {
		return errors.Join(err, fmt.Errorf("the log has %d entries now, and had %d: something else writes it; stop it", after, r.tree.Size()))
	}
	s, body := r.state, canon.Encode(b)
	salt := r.ids.Salt(s.Next, 0)
	l := entry.Leaf{V: 1, Authority: s.Authority, Domain: s.Domain, Seq: s.Next, Prev: s.Last, Kind: entry.KindReanchor, KindVersion: 1, Engine: entry.Engine1, Writer: next, Time: at.Time, Bound: at.Bound,
		Bodies: []entry.BodyRef{entry.Ref(entry.Public, salt, body)}}
	rec := auditlog.Record{Leaf: l.Encode(), Bodies: [][]byte{append(salt[:], body...)}}
	if err := r.take(rec); err != nil { // in memory first: what doesn't fit is not written
		return err
	}
	return r.cfg.Store.Append(ctx, next, l.Seq, []auditlog.Record{rec})
}

// pin pins the tree with the entry under the origin of the new incarnation.
func (r *Remains) pin(ctx context.Context, b *entry.Reanchor) error {
	pub := r.ids.LogKey()
	key, err := tlog.NewKey(entry.Origin(r.state.Domain, b.Incarnation), pub[:])
	if err != nil {
		return err
	}
	if _, err := r.cfg.Local.Read(ctx); err != nil && !errors.Is(err, auditlog.ErrNoPin) {
		return fmt.Errorf("re-anchor: %w", err)
	}
	signed, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: r.tree.Size(), Root: r.tree.Root()}, key, func(m []byte) ([]byte, error) { return r.ids.SignLog(m), nil })
	if err != nil {
		return err
	}
	if err := r.cfg.Local.Pin(ctx, auditlog.Pin{Checkpoint: signed, Frontier: r.tree.Marshal(), Since: b.Size}); err != nil {
		return fmt.Errorf("re-anchor: %w", err)
	}
	return nil
}
