// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"errors"
	"fmt"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/backup"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/tlog"
	"strongroom/internal/secret"
)

// replica folds a backup from its first entry to its last, and believes nothing of it: each entry must follow the one before, have its bodies,
// and fit the state; each blob must have the hash that the log names, and open where its working key is at hand.
type replica struct {
	arena    *secret.Arena
	ids      *domainkeys.Identity
	manifest *backup.Manifest
	working  func(epoch uint64) (*domainkeys.DWK, error)
	at       func(tree *tlog.Frontier) error // called after each entry; optional

	state  *authority.State
	tree   tlog.Frontier
	blobs  map[keystore.Ref]bool // whether it was opened
	opened uint64
}

func newReplica(arena *secret.Arena, ids *domainkeys.Identity, m *backup.Manifest, working func(uint64) (*domainkeys.DWK, error)) *replica {
	return &replica{arena: arena, ids: ids, manifest: m, working: working, at: func(*tlog.Frontier) error { return nil },
		state: authority.New(), blobs: map[keystore.Ref]bool{}}
}

// take takes the next pack.
func (r *replica) take(p format.Pack, file []byte) error {
	c, err := backup.Open(r.ids, r.manifest.Domain, p, file)
	if err != nil {
		return err
	}
	for _, rec := range c.Records {
		if err := r.entry(auditlog.Record(rec)); err != nil {
			return fmt.Errorf("%s: entry %d: %w", p.Name(), r.tree.Size(), err)
		}
	}
	for _, b := range c.Blobs {
		if err := r.blob(b); err != nil {
			return fmt.Errorf("%s: blob of key %s: %w", p.Name(), b.Key, err)
		}
	}
	return nil
}

func (r *replica) entry(rec auditlog.Record) error {
	if err := rec.Check(); err != nil {
		return err
	}
	o, err := openRecord(r.ids, rec)
	if err != nil {
		return err
	}
	body, err := authority.DecodeBody(o.leaf.Kind, o.leaf.KindVersion, o.bodies[0].Body)
	if err != nil {
		return err
	}
	hash := entry.Hash(rec.Leaf)
	if r.tree.Size() == 0 && custody.DomainID(hash) != r.manifest.Domain {
		return fmt.Errorf("it begins domain %x, not %s", hash, r.manifest.Domain)
	}
	if b, ok := body.(*entry.Reanchor); ok && b.Root != r.tree.Root() {
		return errors.New("it re-anchors a log with another tree than this one")
	}
	if err := r.state.Apply(o.leaf, hash, body); err != nil { // it must name the entry before
		return err
	}
	r.tree.Append(hash)
	return r.at(&r.tree)
}

func (r *replica) blob(b format.Blob) error {
	ref := keystore.Ref{Key: b.Key, Hash: keystore.Hash(b.Blob)}
	if _, ok := r.blobs[ref]; ok {
		return errors.New("it is there twice")
	}
	if b.Key == authority.SealedCopies { // a seed on its way to an offline domain: only that opens it
		r.blobs[ref] = false
		return nil
	}
	h, err := keystore.ReadHeader(b.Blob)
	if err != nil {
		return err
	}
	k, ok := r.state.Key(b.Key)
	if !ok {
		return errors.New("the log names no such key")
	}
	under, err := r.working(h.Epoch)
	if err != nil { // its working key was destroyed since, or is not here yet
		r.blobs[ref] = false
		return nil
	}
	want := keystore.Want{Authority: r.manifest.Authority, Domain: r.manifest.Domain, Epoch: h.Epoch, Pattern: under.Pattern, Key: b.Key,
		Purpose: keystore.Purpose(k.Purpose), Session: h.Session, Now: 1} // it is not used
	seed, h, err := keystore.Open(r.arena, b.Blob, ref.Hash, want, under.Key())
	defer seed.Wipe()
	if err == nil && k.Kind == entry.KindTokenKey {
		err = h.CheckToken(seed)
	}
	switch {
	case errors.Is(err, secret.ErrWiped): // destroyed meanwhile
		r.blobs[ref] = false
		return nil
	case err != nil:
		return err
	}
	r.blobs[ref] = true
	r.opened++
	return nil
}

// inUse lists the blobs that a state needs: of each key that is here the current one, and the one under the next epoch; of each that is on its
// way to an offline domain the sealed copy.
func inUse(s *authority.State) []keystore.Ref {
	keys := s.Keys()
	out := make([]keystore.Ref, 0, len(keys))
	for _, hash := range s.Leaving() {
		out = append(out, keystore.Ref{Key: authority.SealedCopies, Hash: hash})
	}
	for _, k := range keys {
		if !authority.Here(k) {
			continue
		}
		out = append(out, keystore.Ref{Key: k.ID, Hash: k.Blob})
		if next, ok := s.NextBlob(k.ID); ok {
			out = append(out, keystore.Ref{Key: k.ID, Hash: next})
		}
	}
	return out
}

// keysHere counts the keys that have a blob in the domain.
func (r *replica) keysHere() (n int) {
	for _, k := range r.state.Keys() {
		if authority.Here(k) {
			n++
		}
	}
	return n
}

// end says whether all of the domain is there. needOpen asks that each current blob has been opened.
func (r *replica) end(needOpen bool) error {
	m := r.manifest
	want, err := m.Tree()
	if err != nil {
		return err
	}
	s := r.state
	switch {
	case r.tree != want || s.Last != m.Last:
		return errors.New("the entries of the packs do not lead to the manifest's checkpoint")
	case s.Authority != m.Authority || string(s.Identity[:]) != string(m.Identity) || string(s.LogKey[:]) != string(m.LogKey):
		return errors.New("the entries are of another domain than the manifest")
	case s.Anchoring().Incarnation != m.Incarnation:
		return fmt.Errorf("the entries are of incarnation %d of the log, the manifest of incarnation %d", s.Anchoring().Incarnation, m.Incarnation)
	case s.Epoch != m.Epoch || string(s.Pattern) != string(m.Pattern) || m.Zeroized != (s.Life().Phase == authority.Zeroized):
		return errors.New("the manifest names another working key or phase than the log")
	}
	for _, ref := range inUse(s) {
		opened, ok := r.blobs[ref]
		if !ok {
			return fmt.Errorf("the blob %x of key %s is in none of the packs", ref.Hash, ref.Key)
		}
		if k, _ := s.Key(ref.Key); needOpen && !opened && k.Blob == ref.Hash {
			return fmt.Errorf("the blob of key %s was not opened: the working key of epoch %d is not at hand", ref.Key, k.Epoch)
		}
	}
	return nil
}
