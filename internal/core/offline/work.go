// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"context"
	"errors"
	"fmt"
	"io"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/parcel"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

// ErrUnattended says that nobody is at the machine who could confirm: everything else of a bundle is done, permits wait.
var ErrUnattended = errors.New("no operators are there: permits wait for them")

// Operators are the people at the machine.
type Operators interface {
	// Review shows permits, and gives the entries of those that are to be signed. [ErrUnattended] leaves them for another run; any other error
	// ends the work, and what was imported stays.
	Review(ctx context.Context, r Review) ([]uint64, error)
	// Reanchored tells that the authority's log was re-anchored, and gives nil once that was confirmed. Any error ends the work, and nothing of the
	// bundle stays; [ErrUnattended] says that nobody was there to confirm.
	Reanchored(ctx context.Context, r Reanchoring) error
	// Confirm gives the signatures of two operators over [pure.Confirmation.Message].
	Confirm(ctx context.Context, c pure.Confirmation) ([]pure.Signature, error)
}

// Report says what came of a bundle.
type Report struct {
	Domain   custody.HexBytes   `json:"domain"`
	Number   uint64             `json:"number"`  // of the bundle
	Entries  uint64             `json:"entries"` // of the authority that are known now
	Again    bool               `json:"again,omitempty"`
	MovedIn  []custody.WalletID `json:"movedIn,omitempty"`
	MovedOut []custody.WalletID `json:"movedOut,omitempty"`
	Signed   []Signed           `json:"signed,omitempty"`
	Refused  []Refused          `json:"refused,omitempty"`
	Waiting  int                `json:"waiting,omitempty"` // permits that nobody was there to confirm
	Size     uint64             `json:"size"`              // entries of the own log

	Reanchored *Reanchoring `json:"reanchored,omitempty"` // that the operators agreed to; nil: none
}

// Signed is a permit that has its result.
type Signed struct {
	Entry   uint64           `json:"entry"` // of the permit, in the authority's log
	Request custody.HexBytes `json:"request"`
	TxID    string           `json:"txid"`
}

// Refused is something that was not done.
type Refused struct {
	Entry  uint64       `json:"entry"`
	Kind   problem.Kind `json:"kind"`
	Detail string       `json:"detail"`
}

// work is one bundle on its way.
type work struct {
	*Domain
	bundle     pure.Bundle
	hash       [32]byte
	again      bool  // it was imported before: what it began is finished
	stale      bool  // its time was up meanwhile: nothing new is begun
	checkpoint int64 // its time, Unix seconds
	root       tlog.Checkpoint
	copies     map[[32]byte][]byte
	report     Report

	incarnation uint64           // of the authority's log, that was known before
	behind      bool             // of a restore: what the bundle knows of the own log is what is wanted of it
	unlike      error            // why what the head says of the own log can't be
	before      *follower        // of the log as it was, where this one goes on without entries that were imported; else nil
	renews      *pure.Reanchored // what re-anchored the log since the last import; nil: nothing
}

// Work takes a sealed bundle in, does what it brings, and writes a sealed answer. The same bundle may be given again, after whatever happened:
// it goes on where it was, and permits that were recorded get the same bytes.
func (d *Domain) Work(ctx context.Context, bundle io.Reader, answer io.Writer, by Operators) (Report, error) {
	if d.broken != nil {
		return Report{}, d.broken
	}
	if d.state.Zeroized || d.working == nil {
		return Report{}, problem.New(problem.Zeroized, "the working key of this domain was destroyed; custodians bring it back")
	}
	w := &work{Domain: d, copies: map[[32]byte][]byte{}, incarnation: max(d.state.Incarnation(), d.follow.state.Anchoring().Incarnation)}
	err := w.take(ctx, bundle)
	if err == nil && w.renews != nil && d.state.Import.Number > 0 {
		err = w.agreed(ctx, by)
	}
	if err != nil {
		err = errors.Join(err, w.noteSetBack(ctx, err))
		d.broken = errors.Join(errors.New("a bundle was refused; open the domain again"), err) // what was folded of it is not the authority's log
		return Report{}, fmt.Errorf("the bundle is refused: %w", err)
	}
	if err := w.act(ctx, by); err != nil {
		return w.report, err
	}
	return w.report, w.answer(answer)
}

// act does what the bundle brings, in order.
func (w *work) act(ctx context.Context, by Operators) error {
	id := w.ID()
	w.report = Report{Domain: id[:], Number: w.bundle.Number, Entries: w.follow.size(), Again: w.again, Reanchored: w.report.Reanchored}
	if !w.again {
		if err := w.settleLost(ctx); err != nil {
			return err
		}
		if err := w.follow.flush(ctx); err != nil {
			return err
		}
		at, err := w.now(w.checkpoint * 1e9)
		if err != nil {
			return err
		}
		if err := w.record(ctx, at, &pure.Import{Number: w.bundle.Number, Size: w.root.Size, Root: w.root.Root, Leaf: w.follow.tail.Last,
			Time: w.checkpoint, Bundle: w.hash, Again: w.renews}); err != nil {
			return err
		}
	}
	if err := w.unfrozen(); err != nil {
		return err
	}
	if err := w.settlePermits(ctx); err != nil { // those that were recorded and not signed
		return err
	}
	if w.stale {
		return nil
	}
	if err := w.keepRecovery(ctx); err != nil {
		return err
	}
	if err := w.moveSeeds(ctx); err != nil {
		return err
	}
	return w.permits(ctx, by)
}

// take reads and verifies a bundle, and folds what is new of it. Nothing is recorded.
func (w *work) take(ctx context.Context, sealed io.Reader) error {
	key, err := w.ids.Transport()
	if err != nil {
		return err
	}
	defer key.Wipe()
	clearly, err := parcel.Open(w.cfg.Arena, sealed, key, w.ids.IdentityKey(), pure.BundleLabel(w.ID()))
	if err != nil {
		return err
	}
	in, err := pure.NewReader(clearly)
	if err != nil {
		return err
	}
	if w.bundle, err = pure.DecodeBundle(in.Head); err != nil {
		return err
	}
	w.hash = w.bundle.Hash()
	if err := w.admit(ctx); err != nil {
		return err
	}
	if err := w.fold(ctx, in); err != nil {
		return err
	}
	return w.verify(ctx)
}

// admit checks what a head says of itself, and its signature where the signer is known already.
func (w *work) admit(ctx context.Context) error {
	b, s := w.bundle, w.state
	k := b.Incarnation() // by its own word: the checkpoint must be of it
	w.again = b.Number == s.Import.Number && w.hash == s.Import.Bundle
	switch {
	case b.Authority != s.Authority:
		return fmt.Errorf("it is of authority %s; this domain follows %s", b.Authority, s.Authority)
	case b.Online != custody.DomainID(s.Authority):
		return fmt.Errorf("it is by domain %s; the authority's own is %s", b.Online, custody.DomainID(s.Authority))
	case b.Offline != s.Domain:
		return fmt.Errorf("it is for domain %s; this is %s", b.Offline, s.Domain)
	case k > 0 && k < w.incarnation:
		return fmt.Errorf("it is of incarnation %d of the authority's log; this domain follows incarnation %d", k, w.incarnation)
	case !w.again && k <= w.incarnation && b.Number <= s.Import.Number:
		return fmt.Errorf("it has number %d; bundle %d was taken before", b.Number, s.Import.Number)
	case b.From > w.follow.size():
		return fmt.Errorf("it begins with entry %d; %d are here: export with --full", b.From, w.follow.size())
	case k <= w.incarnation && b.Size < s.Import.Size:
		return fmt.Errorf("it has %d entries of the authority; %d were imported before", b.Size, s.Import.Size)
	}
	if !w.behind {
		w.unlike = w.ownEntry(ctx, b.Known, b.KnownLast) // the log itself says it once more, signed by this domain
	}
	if w.follow.size() > 0 {
		return b.Verify(w.follow.state.Identity)
	}
	return nil
}

// fold takes the entries and the sealed copies of a bundle.
func (w *work) fold(ctx context.Context, in *pure.Reader) error {
	next := w.bundle.From
	var wanted map[[32]byte]bool
	for {
		rec, sealed, err := in.Next()
		switch {
		case err != nil:
			return err
		case rec != nil:
			if err := w.entry(ctx, next, *rec); err != nil {
				return err
			}
			next++
		case sealed != nil:
			if wanted == nil {
				wanted = w.wanted()
			}
			if h := pure.CopyHash(sealed); wanted[h] {
				w.copies[h] = sealed
			}
		default:
			if next != w.bundle.Size {
				return fmt.Errorf("it ends at entry %d; its checkpoint is of %d", next, w.bundle.Size)
			}
			return nil
		}
	}
}

// entry takes the next entry of a bundle: one that is here already must be the same.
func (w *work) entry(ctx context.Context, seq uint64, r pure.Record) error {
	if seq >= w.bundle.Size {
		return errors.New("it has more entries than its checkpoint")
	}
	if seq < w.follow.size() {
		have, err := w.follow.record(ctx, seq)
		if err != nil {
			return err
		}
		if _, hash, err := r.Open(); err != nil || hash != entry.Hash(have.Leaf) {
			return w.branch(ctx, seq, r)
		}
		return nil
	}
	if err := w.follow.take(ctx, r); err != nil {
		return err
	}
	if seq == 0 { // now the signer is known
		return w.bundle.Verify(w.follow.state.Identity)
	}
	return nil
}

// verify checks checkpoint, cosignatures and time once all entries are folded.
func (w *work) verify(ctx context.Context) error {
	key, err := w.follow.logKey()
	if err != nil {
		return err
	}
	set, err := w.follow.state.Witnesses(w.follow.genesis)
	if err != nil {
		return err
	}
	if w.root, w.checkpoint, err = w.bundle.Witnessed(set, key, w.follow.state.Time); err != nil {
		return fmt.Errorf("its checkpoint: %w", err)
	}
	if err := w.follow.tail.Reaches(w.root); err != nil {
		return err
	}
	if w.behind {
		if p := w.follow.state.Anchoring().Pending; p != nil {
			return pending(p.Entry)
		}
		return errors.Join(w.belongs(), w.fresh())
	}
	if w.renews, err = w.renewed(); err != nil {
		return err
	}
	if err := w.known(ctx); err != nil {
		return err
	}
	if err := w.fresh(); !w.again {
		return err
	} else if err != nil {
		w.stale = true
	}
	return nil
}

// known says whether the authority's log has taken this domain in, has the bundle's number, and knows the own log as it is.
func (w *work) known(ctx context.Context) error {
	if err := w.belongs(); err != nil {
		return err
	}
	d, _ := w.follow.state.OfflineDomain(w.ID())
	if err := w.ownEntry(ctx, d.Size(), d.Last); err != nil {
		return err
	}
	return w.unlike
}

// belongs says whether the authority's log has taken this domain in, and has the bundle's number.
func (w *work) belongs() error {
	d, ok := w.follow.state.OfflineDomain(w.ID())
	if !ok {
		return errors.New("this domain does not belong to the authority: it was not added, or was removed")
	}
	if d.Number < w.bundle.Number {
		return fmt.Errorf("its number is %d; the log knows of bundles up to %d", w.bundle.Number, d.Number)
	}
	return nil
}

// fresh says whether the bundle may be used now.
func (w *work) fresh() error {
	r := w.cfg.Clock.Now()
	if !r.Certain {
		return problem.New(problem.TimeUncertain, "the clock is not certain: %s", r.Why)
	}
	if err := w.bundle.Fresh(r.Time, r.Bound, w.checkpoint); err != nil {
		return err
	}
	_, err := w.now(w.checkpoint * 1e9)
	return err
}

// refuse records that something is not done, once a bundle.
func (w *work) refuse(ctx context.Context, at uint64, why error) error {
	r := Refused{Entry: at, Kind: problem.KindOf(why), Detail: why.Error()}
	var p *problem.Error
	if errors.As(why, &p) {
		r.Detail = p.Detail
	}
	if len(r.Detail) > pure.MaxDetail {
		r.Detail = r.Detail[:pure.MaxDetail]
	}
	w.report.Refused = append(w.report.Refused, r)
	if w.state.Refused(at) {
		return nil
	}
	m, err := w.now(0)
	if err != nil {
		return err
	}
	return w.record(ctx, m, &pure.Refusal{Entry: at, Kind: r.Kind, Detail: r.Detail, Bundle: w.hash})
}

// answer seals the own log since what the online domain has, and the copies of seeds that were given back.
func (w *work) answer(out io.Writer) error {
	ctx := context.Background() // everything is done: what is left is to say so
	key, err := tlog.NewKey(w.log.Head().Origin, w.state.LogKey[:])
	if err != nil {
		return err
	}
	head := pure.Answer{V: 1, Authority: w.state.Authority, Online: w.bundle.Online, Offline: w.ID(), Bundle: w.hash, From: w.bundle.Known, Size: w.state.Next}
	head.Checkpoint, err = tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: w.state.Next, Root: w.state.Frontier.Root()}, key,
		func(m []byte) ([]byte, error) { return w.ids.SignLog(m), nil })
	if err != nil {
		return err
	}
	head.Signature = w.ids.SignIdentity(head.Message())
	sealed, err := parcel.NewWriter(w.cfg.Arena, out, w.bundle.Reply, w.follow.state.Identity, pure.ResultLabel(w.ID(), w.bundle.Number))
	if err != nil {
		return err
	}
	items, err := pure.NewWriter(sealed, head.Encode())
	if err != nil {
		return err
	}
	for from := head.From; from < head.Size; from += chunk {
		recs, err := w.records(ctx, from, min(from+chunk, head.Size))
		if err != nil {
			return err
		}
		for _, r := range recs {
			if err := items.Record(r); err != nil {
				return err
			}
		}
	}
	for _, o := range w.state.Outs() {
		if o.Seq < head.From {
			continue // the online domain has it
		}
		b, err := w.cfg.Blobs.Get(ctx, sealedCopy(o.Copy))
		if errors.Is(err, keystore.ErrNotFound) && arrived(w.state, o) {
			continue
		}
		if err == nil {
			err = items.Copy(b)
		}
		if err != nil {
			return fmt.Errorf("sealed copy of wallet %s: %w", o.Wallet, err)
		}
	}
	w.report.Size = w.state.Next
	return errors.Join(items.End(), sealed.Close())
}
