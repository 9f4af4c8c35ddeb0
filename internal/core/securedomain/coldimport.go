// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"

	"strongroom/internal/core/parcel"
	"strongroom/internal/core/recovery"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/tlog"
)

// resultRun is a result that is being handed in.
type resultRun struct {
	id     [16]byte
	sealed []byte
	done   *message.OfflineImported
}

// OfflineImport takes a part of a result. With its last part the result is verified, all of it, and recorded: first what was signed, each
// against its permit, then what the offline domain did.
func (d *Domain) OfflineImport(ctx context.Context, in message.OfflineImport) (out message.OfflineImported, err error) {
	if err := d.withExport(); err != nil {
		return out, err
	}
	if len(in.Run) != 16 {
		return out, problem.New(problem.Malformed, "the run must have 16 bytes")
	}
	d.parcels.inMu.Lock()
	defer d.parcels.inMu.Unlock()
	r := d.parcels.in
	if in.Offset == 0 && (r == nil || string(r.id[:]) != string(in.Run)) {
		r = &resultRun{id: [16]byte(in.Run)}
		d.parcels.in = r
	}
	end := in.Offset + uint64(len(in.Bytes))
	switch {
	case r == nil || string(r.id[:]) != string(in.Run):
		return out, problem.New(problem.NotFound, "this result is not being handed in any more; begin again")
	case r.done != nil:
		return *r.done, nil
	case end == uint64(len(r.sealed)) && bytes.HasSuffix(r.sealed, in.Bytes): // again
	case in.Offset != uint64(len(r.sealed)):
		return out, problem.New(problem.Malformed, "byte %d is not what comes next", in.Offset)
	case end > message.MaxResult:
		return out, problem.New(problem.TooLarge, "the result has more than %d bytes", message.MaxResult)
	default:
		r.sealed = append(r.sealed, in.Bytes...)
	}
	if !in.Last {
		return out, nil
	}
	sealed := r.sealed
	d.parcels.in = nil // what is refused is handed in again as a whole
	if out, err = d.takeResult(ctx, sealed); err != nil {
		return message.OfflineImported{}, err
	}
	d.parcels.in = &resultRun{id: r.id, done: &out}
	return out, nil
}

// offlineResult is an opened result.
type offlineResult struct {
	from       authority.OfflineDomain
	number     uint64 // of the bundle
	answer     offline.Answer
	checkpoint tlog.Checkpoint
	records    []entry.OfflineRecord // behind those that are known
	copies     map[[32]byte][]byte
}

// takeResult opens, verifies and records a result.
func (d *Domain) takeResult(ctx context.Context, sealed []byte) (message.OfflineImported, error) {
	res, err := d.openResult(ctx, sealed)
	if err != nil {
		return message.OfflineImported{}, resultProblem(err)
	}
	for range maxPrepares {
		e, signed, err := d.checkResult(ctx, res)
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err != nil {
			return message.OfflineImported{}, resultProblem(err)
		}
		out, rec, err := d.recordResult(res, e, signed)
		if errors.Is(err, errOvertaken) {
			d.discardTaken(ctx, e)
			continue
		}
		if err != nil {
			if problem.KindOf(err) != problem.Stopped { // else it is open whether it stands in the log
				d.discardTaken(ctx, e)
			}
			return message.OfflineImported{}, resultProblem(err)
		}
		if err := d.durable(ctx, rec); err != nil {
			return message.OfflineImported{}, err
		}
		return out, nil
	}
	return message.OfflineImported{}, problem.New(problem.Busy, "others were quicker with the same wallets; hand the result in again")
}

// resultProblem says of a failure that has no kind that it is the result's.
func resultProblem(err error) error {
	if _, ok := errors.AsType[*problem.Error](err); ok {
		return err
	}
	return problem.New(problem.Malformed, "the result is refused: %v", err)
}

// repliesKept is how many bundles of an offline domain can be answered: the last ones.
const repliesKept = 16

// openResult finds the bundle that a result answers, opens it, and checks who signed it and that it continues what is known.
func (d *Domain) openResult(ctx context.Context, sealed []byte) (*offlineResult, error) {
	key, from, number, err := d.replyKey(sealed)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	clearly, err := parcel.Open(d.cfg.Arena, bytes.NewReader(sealed), key, d.ids.IdentityKey(), offline.ResultLabel(from.ID, number))
	if err != nil {
		return nil, err
	}
	in, err := offline.NewReader(clearly)
	if err != nil {
		return nil, err
	}
	res := &offlineResult{from: from, number: number, copies: map[[32]byte][]byte{}}
	if res.answer, err = offline.DecodeAnswer(in.Head); err != nil {
		return nil, err
	}
	origin, err := tlog.NewKey(entry.Origin(from.ID, 1), from.LogKey[:])
	if err != nil {
		return nil, err
	}
	if res.checkpoint, err = res.answer.Verify(from.Identity, origin); err != nil {
		return nil, err
	}
	switch a := res.answer; {
	case a.Authority != d.Authority() || a.Online != d.ID() || a.Offline != from.ID:
		return nil, errors.New("it is for another authority or domain")
	case !d.parcels.answers(from.ID, number, a.Bundle):
		return nil, problem.New(problem.Conflict, "it answers another bundle %d than the one that was made here", number)
	case a.From > from.Size():
		return nil, problem.New(problem.Conflict, "it begins with entry %d of the offline domain's log; %d are known", a.From, from.Size())
	case a.Size <= from.Size():
		return nil, problem.New(problem.AlreadyDone, "it has nothing new: %d entries of the offline domain's log are known already", from.Size())
	}
	return res, d.readResult(ctx, res, in)
}

// readResult reads records and sealed copies. Those that are known already must be the same.
func (d *Domain) readResult(_ context.Context, res *offlineResult, in *offline.Reader) error {
	known, seq, size := res.from.Size(), res.answer.From, 0
	for {
		rec, sealed, err := in.Next()
		switch {
		case err != nil:
			return err
		case rec != nil:
			if seq+1 == known && entry.Hash(rec.Leaf) != res.from.Last {
				return problem.New(problem.Conflict, "its entry %d of the offline domain's log is another than the one that is known: that domain was set back, and went on; docs/runbooks/cold.md says how it catches up", seq)
			}
			if seq >= known {
				res.records = append(res.records, entry.OfflineRecord(*rec))
				size += len(rec.Leaf) + len(rec.Body)
			}
			seq++
		case sealed != nil:
			res.copies[offline.CopyHash(sealed)] = sealed
		default:
			if seq != res.answer.Size {
				return errors.New("it has fewer entries than its checkpoint")
			}
			slim(res.records, size)
			return nil
		}
	}
}

// slim leaves out bodies that nothing follows from, if the entry that records them would be large.
func slim(records []entry.OfflineRecord, size int) {
	if size <= entry.MaxBody/2 {
		return
	}
	for i, r := range records {
		if l, err := entry.DecodeLeaf(r.Leaf); err == nil && authority.OfflineUnread(l.Kind) {
			records[i].Salt, records[i].Body = nil, nil
		}
	}
}

// replyKey finds the key that a result is sealed to: of one of the last bundles of some offline domain.
func (d *Domain) replyKey(sealed []byte) (*recovery.Key, authority.OfflineDomain, uint64, error) {
	want, err := parcel.KeyOf(sealed)
	if err != nil {
		return nil, authority.OfflineDomain{}, 0, err
	}
	d.mu.Lock()
	all, incarnation := d.state.OfflineDomains(), d.state.Anchoring().Incarnation
	d.mu.Unlock()
	for _, x := range all {
		for n := x.Number; n > 0 && n+repliesKept > x.Number; n-- {
			key, err := d.reply(x.ID, n, incarnation)
			if err != nil {
				return nil, x, 0, err
			}
			if sha256.Sum256(key.Public()) == want {
				return key, x, n, nil
			}
			key.Wipe()
		}
	}
	return nil, authority.OfflineDomain{}, 0, problem.New(problem.NotFound, "it answers none of the last %d bundles of an offline domain of this authority", repliesKept)
}

func (d *Domain) reply(id custody.DomainID, number, incarnation uint64) (key *recovery.Key, err error) {
	err = d.withIdentity(func() error {
		key, err = d.ids.Reply(id, number, incarnation)
		return err
	})
	return key, err
}

// checkResult verifies what a result brings against the state as it is: chain, checkpoint, each signature against its permit, each seed that comes
// back against its wallet. It makes the blobs of these seeds. The results of permits come by entry.
func (d *Domain) checkResult(ctx context.Context, res *offlineResult) (*entry.Offline, map[uint64]entry.Result, error) {
	d.mu.Lock()
	acts, tail, err := d.state.ReadOffline(res.from.ID, res.records)
	if err == nil {
		err = d.state.CheckOffline(res.from.ID, tail, res.answer.Checkpoint)
	}
	var open []entry.Result
	if err == nil {
		open = d.state.Unsigned(acts)
	}
	d.mu.Unlock()
	if err != nil {
		return nil, nil, err
	}
	if err := d.sameHistory(ctx, res, acts); err != nil {
		return nil, nil, err
	}
	signed := map[uint64]entry.Result{}
	for _, r := range open {
		if err := d.checkSigned(ctx, r); err != nil {
			return nil, nil, err
		}
		signed[r.Permit] = r
	}
	e := &entry.Offline{Domain: res.from.ID, Records: res.records, Checkpoint: res.answer.Checkpoint}
	for _, a := range acts {
		if a.MovedOut == nil || a.Lost {
			continue
		}
		k, err := d.takeSeed(ctx, res, a.MovedOut)
		if err != nil {
			d.discardTaken(ctx, e)
			return nil, nil, err
		}
		e.Taken = append(e.Taken, k)
	}
	return e, signed, nil
}

// sameHistory says whether what an offline domain has imported are entries of this log, to the last of each bundle: after a log was set back, or
// anchored again without its end, the same numbers can be other entries. The last bundle must be the one that is answered.
func (d *Domain) sameHistory(ctx context.Context, res *offlineResult, acts []authority.OfflineAct) error {
	var last *offline.Import
	for _, a := range acts {
		b := a.Import
		if b == nil {
			continue
		}
		last = b
		if a.Lost {
			continue
		}
		another := problem.New(problem.Conflict, "the result is refused: the offline domain follows another history: entry %d of this log is not the one that it has imported", b.Size-1)
		d.mu.Lock()
		next := d.state.Next
		d.mu.Unlock()
		if b.Size == 0 || b.Size > next {
			return another
		}
		if err := d.waitFor(ctx, b.Size-1); err != nil {
			return err
		}
		recs, err := d.read(ctx, b.Size-1, 1)
		if err != nil {
			return readProblem(err, b.Size-1)
		}
		if len(recs) == 0 || entry.Hash(recs[0].Leaf) != b.Leaf {
			return another
		}
	}
	if last != nil && (last.Number != res.number || last.Bundle != res.answer.Bundle) {
		return problem.New(problem.Conflict, "the result is refused: it answers another bundle than the last one that the offline domain took")
	}
	return nil
}

// checkSigned says whether a permit's payload was signed by the wallet's keys.
func (d *Domain) checkSigned(ctx context.Context, r entry.Result) error {
	d.mu.Lock()
	g, ok := d.state.Signed(r.Request)
	var leaf [32]byte
	if ok {
		leaf = g.PermitLeaf
		ok = g.Permit == r.Permit
	}
	d.mu.Unlock()
	if !ok {
		return errOvertaken
	}
	_, body, err := d.readKnown(ctx, r.Permit, leaf)
	if err != nil {
		return err
	}
	p, ok := body.(*entry.Permit)
	if !ok {
		return problem.New(problem.Internal, "entry %d is not a permit", r.Permit)
	}
	d.mu.Lock()
	w, _, _ := d.state.Wallet(p.Wallet)
	d.mu.Unlock()
	if err := authority.CheckResult(w, p, &r, d.derive); err != nil {
		return problem.New(problem.Malformed, "the result is refused: what the offline domain signed for the permit of entry %d is not that: %v", r.Permit, err)
	}
	return nil
}

// recordResult records what a result brings: what was signed first, so that nothing of it is lost if the end is cut off.
func (d *Domain) recordResult(res *offlineResult, e *entry.Offline, signed map[uint64]entry.Result) (out message.OfflineImported, rec recorded, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.now()
	if err != nil {
		return out, rec, err
	}
	acts, _, err := d.state.ReadOffline(res.from.ID, res.records)
	if err != nil {
		return out, rec, errOvertaken // another result was quicker
	}
	for _, k := range e.Taken {
		if k.Epoch != d.state.Epoch {
			return out, rec, errOvertaken
		}
	}
	open := d.state.Unsigned(acts)
	for _, r := range open {
		if _, ok := signed[r.Permit]; !ok {
			return out, rec, errOvertaken
		}
	}
	if err := d.state.FitsOffline(e); err != nil {
		return out, rec, problem.New(problem.Conflict, "the result does not fit what is known of the offline domain: %v", err)
	}
	if n := len(canon.Encode(e)); n > entry.MaxBody { // before the first of them: nothing is half recorded
		return out, rec, problem.New(problem.TooLarge, "the result is refused: its entry would have %d bytes, more than %d", n, entry.MaxBody)
	}
	for _, r := range open {
		if _, err := d.record(at, entry.KindResult, entry.Confidential, &r); err != nil {
			return out, rec, err
		}
		out.Signed = append(out.Signed, r.Request)
	}
	if rec, err = d.record(at, entry.KindOffline, entry.Confidential, e); err != nil {
		return out, rec, err
	}
	d.arrived(acts)
	out.Domain, out.Name, out.Entry, out.Size = res.from.ID, res.from.Name, rec.seq, res.checkpoint.Size
	tellActs(&out, acts)
	return out, rec, nil
}

func tellActs(out *message.OfflineImported, acts []authority.OfflineAct) {
	signed := map[uint64]int{} // lost permits by entry: what was lost before may have the number too, and the latest is meant
	for _, a := range acts {
		switch {
		case a.Lost && a.Permit != nil:
			b := a.Permit
			signed[b.Entry] = len(out.Lost)
			out.Lost = append(out.Lost, message.OfflineLost{Entry: b.Entry, Wallet: b.Wallet, Account: b.Slot.Account, Nonce: b.Slot.Nonce, Inputs: uint64(len(b.Slot.Inputs))})
		case a.Lost && a.Result != nil:
			i, ok := signed[a.Result.Entry]
			if !ok { // the permit was told of before, or left out
				i = len(out.Lost)
				out.Lost = append(out.Lost, message.OfflineLost{Entry: a.Result.Entry})
			}
			out.Lost[i].TxID = a.Result.TxID
		case a.Lost && a.MovedIn != nil:
			out.Lost = append(out.Lost, message.OfflineLost{Entry: a.MovedIn.Entry, Wallet: a.MovedIn.Wallet, Came: true})
		case a.Lost && a.MovedOut != nil:
			out.Lost = append(out.Lost, message.OfflineLost{Entry: a.MovedOut.Entry, Wallet: a.MovedOut.Wallet, Left: true})
		case a.Lost:
		case a.CaughtUp != nil:
			out.SetBack = setBack(a.CaughtUp)
		case a.MovedIn != nil:
			out.MovedIn = append(out.MovedIn, a.MovedIn.Wallet)
		case a.MovedOut != nil:
			out.MovedOut = append(out.MovedOut, a.MovedOut.Wallet)
		case a.Refusal != nil:
			out.Refused = append(out.Refused, message.OfflineRefusal{Entry: a.Refusal.Entry, Kind: a.Refusal.Kind, Detail: a.Refusal.Detail})
		}
	}
}

// setBack tells that the offline domain was set back.
func setBack(b *offline.CaughtUp) *message.OfflineSetBack {
	out := &message.OfflineSetBack{From: b.SetBack.From, To: b.SetBack.To, Dropped: b.Dropped, Key: b.Next != nil}
	for _, m := range b.Missing {
		out.Missing = append(out.Missing, m.Wallet)
	}
	return out
}

// openImport opens the key that a seed has come back to.
func (d *Domain) openImport(ctx context.Context, id custody.KeyID) (*recovery.Key, error) {
	d.mu.Lock()
	k, ok := d.state.Key(id)
	at, err := d.now()
	d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if !ok || !authority.Here(k) || k.Purpose != entry.PurposeImport {
		return nil, errOvertaken
	}
	master, err := d.openBlob(ctx, k, at)
	if err != nil {
		return nil, err
	}
	defer master.Wipe()
	return recovery.Derive(d.cfg.Arena, master)
}
