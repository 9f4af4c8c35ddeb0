// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// loaded is a working key that was made for a load, with its sealed copies. Nothing names them until the effect is recorded.
type loaded struct {
	key    *domainkeys.DWK
	copies []keystore.Ref
	effect entry.Life // pattern and hashes
}

// makeEpoch makes the working key of the next epoch: in the root, and sealed for recovery in the blob store. The caller holds loads.
func (d *Domain) makeEpoch(ctx context.Context, o *request.EpochLoadBody) (*loaded, error) {
	d.mu.Lock()
	used, record := d.state.Life().Used, d.state.Life().Recovery
	d.mu.Unlock()
	if o.Epoch != used+1 {
		return nil, problem.New(problem.Conflict, "the next epoch is %d, not %d", used+1, o.Epoch)
	}
	if o.Recovery != nil {
		record = o.Recovery
	}
	// A load that was cut off may have left a key of this number, which no entry names.
	if err := domainkeys.DestroyDWK(ctx, d.cfg.Root, o.Epoch); err != nil {
		return nil, problem.Wrap(problem.Internal, err, "clear the place of the next working key")
	}
	key, err := domainkeys.GenerateDWK(d.cfg.Arena, d.ids.IdentityKey(), o.Epoch, func(b []byte) error { return d.cfg.Fill(ctx, b) })
	if err != nil {
		return nil, problem.Wrap(problem.Internal, err, "make the next working key")
	}
	m := &loaded{key: key, effect: entry.Life{Epoch: o.Epoch, Pattern: key.Pattern[:]}}
	if err = key.Save(ctx, d.cfg.Root); err == nil && record != nil {
		if m.effect.Sealed, err = d.sealCopy(ctx, m, record, key.ForRecovery); err == nil && o.Recovery != nil {
			m.effect.Identity, err = d.sealCopy(ctx, m, record, d.identityForRecovery)
		}
	}
	if err != nil {
		d.discardLoad(ctx, m)
		return nil, problem.Wrap(problem.Internal, err, "keep the next working key")
	}
	return m, nil
}

// activates loads the next working key from the root, before the effect that makes it the current one: an effect without it would leave a
// domain that can't start. It gives the key if it was not loaded yet.
func (d *Domain) activates(ctx context.Context, o *request.EpochActivateBody) (*domainkeys.DWK, error) {
	k, err := domainkeys.LoadDWK(ctx, d.cfg.Root, d.ids.IdentityKey(), o.Epoch)
	if err != nil {
		return nil, problem.Wrap(problem.Locked, err, "the root of trust does not give the working key of epoch %d; ask again, and if that does not help cancel the rotation", o.Epoch)
	}
	if string(k.Pattern[:]) != string(o.Pattern) {
		k.Wipe()
		return nil, problem.New(problem.Locked, "the working key of epoch %d in the root of trust has another pattern than %x; cancel the rotation", o.Epoch, []byte(o.Pattern))
	}
	if _, err := d.working.get(o.Epoch); err == nil {
		k.Wipe()
		return nil, nil
	}
	return k, nil
}

// recoveryCopies names the sealed copies of the current epoch. The caller holds mu.
func recoveryCopies(s *authority.State) (out []keystore.Ref) {
	if r := s.Life().Recovery; r != nil {
		for _, h := range []custody.HexBytes{r.WorkingKey, r.Identity} {
			out = append(out, keystore.Ref{Key: authority.SealedCopies, Hash: [32]byte(h)})
		}
	}
	return out
}

// allThere reads every blob that is in use, before the effect that destroys the working key and the blobs of the epoch before: they are all
// that is left of a key whose blob somebody deleted or damaged, or of a domain whose sealed copy is gone.
func (d *Domain) allThere(ctx context.Context, refs []keystore.Ref) error {
	var lost atomic.Uint64
	firsts, errs := make([]error, reencipherWorkers), make([]error, reencipherWorkers)
	var wg sync.WaitGroup
	for w := range reencipherWorkers {
		wg.Go(func() {
			for i := w; i < len(refs) && errs[w] == nil; i += reencipherWorkers {
				b, err := d.cfg.Blobs.Get(ctx, refs[i])
				if err == nil && keystore.Hash(b) != refs[i].Hash {
					err = fmt.Errorf("blob of key %s: %w", refs[i].Key, keystore.ErrCorrupt)
				}
				switch {
				case err == nil:
				case errors.Is(err, keystore.ErrNotFound) || errors.Is(err, keystore.ErrCorrupt):
					lost.Add(1)
					if firsts[w] == nil {
						firsts[w] = err
					}
				default:
					errs[w] = err
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return problem.Wrap(problem.Internal, err, "read the blobs that are in use, before those of the epoch before are destroyed")
	}
	if n := lost.Load(); n > 0 {
		return problem.Wrap(problem.Internal, errors.Join(firsts...), "%d of %d blobs that are in use are missing in the store or damaged, and what they hold may be left in the epoch "+
			"before only: put the files back from a backup (the core's log names the first ones), and ask again", n, len(refs))
	}
	return nil
}

// identityForRecovery seals the identity, unless the domain is closing.
func (d *Domain) identityForRecovery(public []byte) (sealed []byte, err error) {
	err = d.withIdentity(func() error {
		sealed, err = d.ids.ForRecovery(public)
		return err
	})
	return sealed, err
}

// sealCopy keeps a sealed copy in the blob store and gives its hash.
func (d *Domain) sealCopy(ctx context.Context, m *loaded, r *request.Recovery, seal func(public []byte) ([]byte, error)) ([]byte, error) {
	ref, err := keepCopy(ctx, d.cfg.Blobs, r.Public, seal)
	if ref.Key != "" {
		m.copies = append(m.copies, ref)
	}
	return ref.Hash[:], err
}

// discardLoad destroys a working key that no entry names.
func (d *Domain) discardLoad(ctx context.Context, m *loaded) {
	m.key.Wipe()
	err := domainkeys.DestroyDWK(ctx, d.cfg.Root, m.key.Epoch)
	for _, ref := range m.copies {
		err = errors.Join(err, d.cfg.Blobs.Delete(ctx, ref))
	}
	if err != nil {
		d.slog.WarnContext(ctx, "a working key that nothing names stays until the next load", "epoch", m.key.Epoch, "error", err)
	}
}

// How a domain is enciphered for the next epoch: so many keys an entry, so many at a time.
const (
	reencipherBatch   = 256
	reencipherWorkers = 4
)

// reencipherSome enciphers a batch of keys for the next epoch, and records it. Blobs are durable before the entry that names them. Then it
// rests for as long as that took, so that signing has the machine at least half of the time.
func (d *Domain) reencipherSome(ctx context.Context) (busy bool, err error) {
	began := d.cfg.Clock.Boot()
	d.mu.Lock()
	next := d.state.Life().Next
	if next == nil || !next.Committed || d.state.Lacking() == 0 {
		d.mu.Unlock()
		return false, nil
	}
	keys, _ := d.state.Unreenciphered(d.life.position, reencipherBatch)
	if len(keys) == 0 {
		d.life.position = 0
		keys, _ = d.state.Unreenciphered(0, reencipherBatch)
	}
	d.mu.Unlock()
	to, err := d.working.get(next.Epoch)
	if err != nil {
		return false, err
	}
	blobs, err := d.reencipher(ctx, keys, to)
	if err != nil {
		return false, err
	}
	fits := func() bool {
		n := d.state.Life().Next
		return n != nil && n.Committed && n.Epoch == next.Epoch
	}
	rec, err := d.recordFact(entry.KindReencipher, entry.Confidential, &entry.Reencipher{Epoch: next.Epoch, Blobs: blobs}, fits)
	if rec == nil || err != nil { // cancelled meanwhile, or zeroized: nothing names these blobs
		for _, b := range blobs {
			err = errors.Join(err, d.cfg.Blobs.Delete(ctx, keystore.Ref{Key: b.Key, Hash: b.Hash}))
		}
		return err == nil, err
	}
	if err := rec.handle.Wait(ctx); err != nil {
		return false, err
	}
	d.rest(ctx, time.Duration(d.cfg.Clock.Boot()-began))
	return true, nil
}

// rest waits, at most a second, unless there is a step to take.
func (d *Domain) rest(ctx context.Context, long time.Duration) {
	if long = min(long, time.Second); long <= 0 {
		return
	}
	t := time.NewTimer(long)
	defer t.Stop()
	select {
	case <-t.C:
	case <-d.life.wake:
		d.life.rouse() // for the worker
	case <-ctx.Done():
	}
}

// reencipher makes the blobs of keys under another working key, durably, and reads each back.
func (d *Domain) reencipher(ctx context.Context, keys []entry.NewKey, to *domainkeys.DWK) ([]entry.Blob, error) {
	blobs, errs := make([]entry.Blob, len(keys)), make([]error, reencipherWorkers)
	var wg sync.WaitGroup
	for w := range reencipherWorkers {
		wg.Go(func() {
			for i := w; i < len(keys) && errs[w] == nil; i += reencipherWorkers {
				blobs[i], errs[w] = d.reencipherKey(ctx, keys[i], to)
			}
		})
	}
	wg.Wait()
	return blobs, errors.Join(errs...)
}

func (d *Domain) reencipherKey(ctx context.Context, k entry.NewKey, to *domainkeys.DWK) (b entry.Blob, err error) {
	from, err := d.working.get(k.Epoch)
	if err != nil {
		return b, err
	}
	blob, err := d.cfg.Blobs.Get(ctx, keystore.Ref{Key: k.ID, Hash: k.Blob})
	if err != nil {
		return b, err
	}
	next, hash, err := keystore.Reencipher(d.cfg.Arena, blob, k.Blob, d.want(k, from, authority.Moment{}), from.Key(), to.Key(), to.Epoch, to.Pattern)
	if err != nil {
		return b, err
	}
	ref := keystore.Ref{Key: k.ID, Hash: hash}
	if err := d.cfg.Blobs.Put(ctx, ref, next); err != nil {
		return b, err
	}
	if again, err := d.cfg.Blobs.Get(ctx, ref); err != nil || keystore.Hash(again) != hash {
		return b, fmt.Errorf("the new blob of key %s can't be read back: %w", k.ID, errors.Join(err, keystore.ErrCorrupt))
	}
	return entry.Blob{Key: k.ID, Hash: hash}, nil
}
