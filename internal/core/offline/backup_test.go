// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/backup"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/securedomain/domaintest"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// folder is a backup in memory.
type folder map[string][]byte

func (v *vault) backup(f folder, newest *backup.Manifest) (*backup.Manifest, error) {
	var before []byte
	if newest != nil {
		before = newest.Encode()
	}
	return v.d.Backup(background, before, func(name string, file []byte) error {
		if _, ok := f[name]; ok {
			return fmt.Errorf("%s is written twice", name)
		}
		f[name] = file
		return nil
	})
}

// restore makes a vault of a backup in a new folder: with the root that survived, or one that custodians have filled.
func (v *vault) restore(f folder, m *backup.Manifest, custodians bool, keep ...string) (*vault, error) {
	v.t.Helper()
	n := v.fresh(keep...)
	_, err := n.restoreFrom(f, m, custodians, nil)
	return n, err
}

// fresh makes a new folder with some of the old one's.
func (v *vault) fresh(keep ...string) *vault {
	v.t.Helper()
	v.close()
	n := &vault{t: v.t, dir: v.t.TempDir(), clock: v.clock}
	v.t.Cleanup(n.close)
	for _, name := range keep {
		domaintest.CopyFolder(v.t, v.dir+"/"+name, n.dir+"/"+name)
	}
	return n
}

// restoreFrom restores into the vault's folder.
func (v *vault) restoreFrom(f folder, m *backup.Manifest, custodians bool, catch *CatchUp) (*Restored, error) {
	v.t.Helper()
	defer v.close()
	c, err := v.config(custodians)
	if err != nil {
		return nil, err
	}
	if custodians {
		if err := v.recover(c, m); err != nil {
			return nil, err
		}
	}
	if catch != nil {
		catch.Follow, catch.Clock = c.Follow, c.Clock
	}
	return Restore(background, RestoreConfig{Arena: v.arena, Root: c.Root, Store: c.Store, Blobs: c.Blobs, Anchor: c.Anchor, Manifest: m.Encode(), CatchUp: catch,
		Pack: func(_ context.Context, p format.Pack) ([]byte, error) {
			b, ok := f[p.Name()]
			if !ok {
				return nil, fs.ErrNotExist
			}
			return b, nil
		}})
}

// recover is what a ceremony does: custodians open the sealed copies for a root of trust.
func (v *vault) recover(c Config, m *backup.Manifest) error {
	k := (&domaintest.Harness{T: v.t}).RecoveryKey(c.Arena, 1)
	defer k.Wipe()
	ids, err := domainkeys.RecoverIdentity(c.Arena, k, [32]byte(m.Identity), m.Copies.Identity)
	if err != nil {
		return err
	}
	defer ids.Wipe()
	dwk, err := domainkeys.RecoverDWK(c.Arena, k, [32]byte(m.Identity), m.Epoch, m.Copies.WorkingKey)
	if err != nil {
		return err
	}
	defer dwk.Wipe()
	return errors.Join(ids.Save(background, c.Root), dwk.SaveRestored(background, c.Root))
}

// A machine that is lost comes back from its backup, by custodians or with its root, and goes on signing after a full bundle.
func TestBackup(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *online) { o.custody = true })
	h.cold("savings")
	f := folder{}
	h.v.reopen()
	if !h.v.d.Status(background).Copies {
		t.Fatal("nothing is sealed to the custodians")
	}
	first, err := h.v.backup(f, nil)
	if err != nil || first.Recovery == nil || len(first.Copies.Identity) == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	if again, err := h.v.backup(f, first); err != nil || again.End() != first.End() || len(f) != 1 {
		t.Fatalf("a second backup: %v", err)
	}
	h.transfer("savings", 5, 0)
	h.carry()
	h.v.reopen()
	second, err := h.v.backup(f, first)
	if err != nil || len(second.Packs) != 2 {
		t.Fatalf("%v", err)
	}
	p := h.transfer("savings", 6, 1)
	for name, x := range map[string]struct {
		custodians bool
		keep       []string
	}{"custodians": {true, nil}, "the root and the anchor": {false, []string{"root", "anchor"}}, "the root": {false, []string{"root"}}} {
		n, err := h.v.restore(f, second, x.custodians, x.keep...)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := n.open(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if st := n.d.Status(background); !st.Full || len(st.Wallets) != 1 || len(st.Missing) > 0 || st.Locked || n.d.state.Writer != 2 {
			t.Errorf("%s: %+v", name, st)
		}
		h.wait(time.Minute)
		bundle := h.export(n.d, 0)
		_, r, err := n.work(bundle, h.ops)
		if err != nil || len(r.Signed) != 1 || r.Signed[0].Entry != p {
			t.Fatalf("%s: %+v, %v", name, r, err)
		}
		n.close()
	}
	// The first backup is behind what the anchor, and the online domain, know.
	if _, err := h.v.restore(f, first, false, "root", "anchor"); err == nil || !strings.Contains(err.Error(), "newer backup") {
		t.Errorf("behind the anchor: %v", err)
	}
	n, err := h.v.restore(f, first, true)
	if err != nil || n.open() != nil {
		t.Fatal(err)
	}
	if _, _, err := n.work(h.export(n.d, 0), h.ops); err == nil || !strings.Contains(err.Error(), "set back") {
		t.Errorf("behind the online domain: %v", err)
	}
	for name := range f {
		bad := maps.Clone(f)
		bad[name] = bytes.Clone(bad[name])
		bad[name][len(bad[name])/2] ^= 1
		if _, err := h.v.restore(bad, second, false, "root"); err == nil {
			t.Errorf("an altered %s is restored", name)
		}
		delete(bad, name)
		if _, err := h.v.restore(bad, second, false, "root"); err == nil {
			t.Errorf("without %s it is restored", name)
		}
	}
	other := newHouse(t)
	if _, err := other.v.restore(f, second, false, "root"); err == nil {
		t.Error("a backup is restored into another domain's root")
	}
	other.v.reopen()
	if _, err := other.v.backup(folder{}, second); err == nil {
		t.Error("another domain's backup is gone on with")
	}
}

// After zeroize nothing opens; custodians bring the working key back, and the domain goes on.
func TestZeroize(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *online) { o.custody = true })
	h.cold("savings")
	p := h.transfer("savings", 5, 0)
	h.v.reopen()
	b := h.export(h.v.d, h.v.d.follow.size())
	if err := h.v.d.Zeroize(background, "a test"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := h.v.work(b, h.ops); problem.KindOf(err) != problem.Zeroized {
			t.Errorf("after zeroize: %v", err)
		}
		if st := h.v.d.Status(background); !st.Zeroized || !st.Locked {
			t.Errorf("%+v", st)
		}
	}
	if _, err := h.v.d.seedOf(background, "savings"); err == nil {
		t.Error("a seed opens")
	}
	f := folder{}
	m, err := h.v.backup(f, nil)
	if err != nil || !m.Zeroized {
		t.Fatal(err)
	}
	n, err := h.v.restore(f, m, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.open(); err != nil {
		t.Fatal(err)
	}
	if st := n.d.Status(background); st.Zeroized || st.Locked {
		t.Fatalf("%+v", st)
	}
	_, r, err := n.work(h.export(n.d, 0), h.ops)
	if err != nil || len(r.Signed) != 1 || r.Signed[0].Entry != p {
		t.Fatalf("%+v, %v", r, err)
	}
	n.close()
}

// A wallet's own copy is destroyed when it leaves, and the copy that leaves opens for the online domain alone.
func TestOneCopy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cold("savings")
	h.v.reopen()
	held, _ := h.v.d.state.Holds("savings")
	home := h.s.Domain
	h.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: home[:], Temperature: request.Hot})
	h.carry()
	h.v.reopen()
	list, err := h.v.d.cfg.List(background)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range list {
		if ref.Key == held.Key {
			t.Error("the seed's blob is still there")
		}
	}
}

// A start, a restore, a zeroize and a start after it, all with the clock years ahead, leave nothing in the log that stops the domain once the
// clock is right.
func TestClockAheadAtStart(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *online) { o.custody = true })
	h.cold("savings")
	const ahead = 5 * 365 * 24 * time.Hour
	h.v.reopen()
	f, before := folder{}, h.v.d.state.Time
	m, err := h.v.backup(f, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.clock.Advance(ahead)
	if h.v, err = h.v.restore(f, m, false, "root"); err != nil {
		t.Fatal(err)
	}
	h.v.reopen() // writes the writer's entry
	if err := h.v.d.Zeroize(background, "test"); err != nil {
		t.Fatal(err)
	}
	if m, err = h.v.backup(f, m); err != nil {
		t.Fatal(err)
	}
	if h.v, err = h.v.restore(f, m, true); err != nil {
		t.Fatal(err)
	}
	h.v.reopen()
	if s := h.v.d.state; s.Writer != 3 || s.Zeroized || s.Time != before {
		t.Fatalf("writer %d, zeroized %v, the last entry is %v later", s.Writer, s.Zeroized, time.Duration(s.Time-before))
	}
	h.clock.Advance(-ahead)
	h.wait(time.Minute)
	h.transfer("savings", 5, 0)
	bundle := h.export(h.v.d, 0)
	h.signs(bundle)
}

// A log that an older backup brought back does not know the wallets that came since: their blobs are not erased for that. Orphans of keys that it
// knows are.
func TestUnknownBlobsStay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cold("savings")
	h.v.reopen()
	held, _ := h.v.d.state.Holds("savings")
	put := func(key custody.KeyID) keystore.Ref {
		b := []byte("a blob of " + key)
		ref := keystore.Ref{Key: key, Hash: keystore.Hash(b)}
		if err := h.v.d.cfg.Blobs.Put(background, ref, b); err != nil {
			t.Fatal(err)
		}
		return ref
	}
	orphan, unknown := put(held.Key), put("0123456789abcdef0123456789abcdef")
	h.v.reopen()
	if _, err := h.v.d.cfg.Blobs.Get(background, orphan); !errors.Is(err, keystore.ErrNotFound) {
		t.Errorf("the orphan: %v", err)
	}
	if _, err := h.v.d.cfg.Blobs.Get(background, unknown); err != nil {
		t.Errorf("a blob of a key that the log does not know: %v", err)
	}
	if _, err := h.v.d.cfg.Blobs.Get(background, keystore.Ref{Key: held.Key, Hash: held.Blob}); err != nil {
		t.Error(err)
	}
}
