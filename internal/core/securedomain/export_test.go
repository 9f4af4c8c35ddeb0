// SPDX-License-Identifier: Apache-2.0

package securedomain

import (
	"errors"
	"runtime"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/backup"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/authority"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/secret"
)

// WrapStore puts something between an open domain and its store's reads, as whoever holds the disk can.
func (d *Domain) WrapStore(f func(auditlog.Store) auditlog.Store) { d.cfg.Store = f(d.cfg.Store) }

// ForgetKeys wipes the keys that are kept unsealed, as an idle hour does.
func (d *Domain) ForgetKeys() { d.keys.Forget() }

// Unsealed counts the keys that are kept unsealed.
func (d *Domain) Unsealed() (addresses, accounts int) {
	s := d.keys.Stats()
	return s.Addresses.Entries, s.Accounts.Entries
}

// OpenKey opens the key of a wallet's first address, as a signature does that has found nothing amiss so far.
func (d *Domain) OpenKey(id custody.WalletID) error {
	d.mu.Lock()
	w, _, _ := d.state.Wallet(id)
	d.mu.Unlock()
	pub, err := d.derive(w, entry.KeyPath{})
	if err != nil {
		return err
	}
	return d.withKey(w, entry.KeyPath{}, pub, func([]byte) error { return nil })
}

// LiveSecrets counts what lives in the arena.
func (d *Domain) LiveSecrets() int { return d.cfg.Arena.Usage().Live }

// TendOnce is one round of the domain's timer.
func (d *Domain) TendOnce() { d.tendOnce() }

// Latch sets the error state, as a re-check that finds a fault does.
func (d *Domain) Latch(err error) { d.latch(err) }

// OpenSessionKeys counts the sessions whose key is held.
func (d *Domain) OpenSessionKeys() int {
	d.sessionMu.Lock()
	defer d.sessionMu.Unlock()
	return len(d.sessions)
}

// AwaitWaiters returns when so many callers wait for an entry.
func (d *Domain) AwaitWaiters(n int) {
	for {
		d.mu.Lock()
		have := d.waiters
		d.mu.Unlock()
		if have == n {
			return
		}
		runtime.Gosched()
	}
}

// ErrSnapshot says that a snapshot is not the one that the log commits.
var ErrSnapshot = errSnapshot

// SealSnapshot seals a snapshot as the domain does, so that a test can forge one as if the seal were broken.
func (d *Domain) SealSnapshot(seq uint64, data []byte) ([]byte, error) {
	return sealFile(d.ids, seq, data)
}

// SignLog signs with the domain's log key, so that a test can be a core that lies.
func (d *Domain) SignLog(m []byte) []byte { return d.ids.SignLog(m) }

// SignIdentity signs with the domain identity key, likewise.
func (d *Domain) SignIdentity(m []byte) []byte { return d.ids.SignIdentity(m) }

// WrapRoot puts something between an open domain and its root of trust, as whoever holds the disk can.
func (d *Domain) WrapRoot(f func(hsm.Root) hsm.Root) { d.cfg.Root = f(d.cfg.Root) }

// Hurry makes the domain wait less for what zeroizes it to be durable.
func (d *Domain) Hurry(patience time.Duration) { d.life.patience = patience }

// BearSeeds sets what new seeds may do.
func (d *Domain) BearSeeds(a keystore.Attributes) { d.seeds = a }

// ForgePack opens a pack, changes it, and seals it again as the domain would.
func (d *Domain) ForgePack(p format.Pack, file []byte, change func(*format.Content)) ([]byte, format.Pack, error) {
	c, err := backup.Open(d.ids, d.state.Domain, p, file)
	if err != nil {
		return nil, p, err
	}
	change(&c)
	return backup.Seal(d.ids, d.state.Domain, p.First, p.End, c)
}

// Forget wipes every key that is kept unsealed, as many events do.
func (d *Domain) Forget() { d.forget("a test asks for it") }

// QueuedUses counts the calls whose uses wait for an entry.
func (d *Domain) QueuedUses() int {
	d.apps.uses.mu.Lock()
	defer d.apps.uses.mu.Unlock()
	return len(d.apps.uses.asks)
}

// AppKeys gives the parent key of applications and the working key, both of the current epoch.
func (d *Domain) AppKeys() (parent, working secret.Bytes, err error) {
	w, err := d.working.get(d.state.Epoch)
	if err != nil {
		return parent, working, err
	}
	parent, err = d.appParent(d.state.Epoch)
	return parent, w.Key(), err
}

// Opens says whether an envelope opens under a tag and a key.
func (d *Domain) Opens(tag canon.Tag, key secret.Bytes, sealed []byte) bool {
	b, _, err := seal.Open(d.cfg.Arena, tag, key, sealed)
	b.Wipe()
	return err == nil
}

// OpenAppKeys counts the keys of applications that are kept open.
func (d *Domain) OpenAppKeys() int { return d.apps.opened.Kept() }

// Replace puts another state in the place of the domain's, at the same entry of the log, and returns when a snapshot entry commits it and its file is kept.
// Nothing in the log leads there: a full re-check finds a fault.
func (d *Domain) Replace(change func(*authority.State) (*authority.State, error)) error {
	d.mu.Lock()
	s, err := change(d.state)
	if err != nil {
		d.mu.Unlock()
		return err
	}
	at, err := d.now()
	if err == nil {
		seq := d.state.Next
		d.state, d.snapshotAt, d.cfg.SnapshotEvery = s, 0, 1
		if d.maybeSnapshot(at); d.state.Next == seq {
			err = errors.New("no snapshot was recorded")
		}
	}
	d.mu.Unlock()
	d.snapshot.busy.Lock() // its file is written
	defer d.snapshot.busy.Unlock()
	return err
}
