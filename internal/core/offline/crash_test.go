// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
)

// crashOps are the calls at which the offline domain is killed.
func crashOps() []domaintest.Op {
	return []domaintest.Op{domaintest.StoreAppend, domaintest.StoreCut, domaintest.StoreTake, domaintest.AnchorPin, domaintest.BlobPut, domaintest.BlobDelete, domaintest.RootSeal, domaintest.RootDestroy,
		domaintest.StoreRead, domaintest.BlobGet, domaintest.RootUnseal}
}

// clone copies a closed vault.
func (v *vault) clone(t testing.TB, f *domaintest.Faults) *vault {
	t.Helper()
	v.close()
	c := &vault{t: t, dir: t.TempDir(), clock: v.clock, faults: f}
	t.Cleanup(c.close)
	domaintest.CopyFolder(t, v.dir, c.dir)
	return c
}

// crash ends the process as kill -9 does.
func (v *vault) crash() {
	v.t.Helper()
	v.faults.Crash()
	v.close()
	v.faults.Restart()
}

// done is what must be the same however often the process was killed.
func (v *vault) done(after *vault) {
	v.t.Helper()
	for _, x := range []*vault{v, after} {
		x.reopen()
	}
	a, b := v.d.state, after.d.state
	if len(a.Wallets()) != len(b.Wallets()) || len(a.Permits()) != len(b.Permits()) || len(a.Outs()) != len(b.Outs()) || a.Import != b.Import || a.Zeroized != b.Zeroized {
		v.t.Errorf("after a crash the domain has another state: %+v, %+v", v.d.Status(background), after.d.Status(background))
	}
	slots := map[string][32]byte{}
	for _, p := range b.Permits() {
		if p.Result == nil {
			v.t.Errorf("permit %d was not signed", p.Entry)
		}
		at := fmt.Sprint(p.Request, p.Attempt, p.Slot)
		if was, ok := slots[at]; ok && was != p.Payload {
			v.t.Error("two payloads for one slot")
		}
		slots[at] = p.Payload
	}
	list, err := after.d.cfg.List(background)
	if err != nil {
		v.t.Fatal(err)
	}
	keys, known := 0, map[custody.KeyID]bool{b.Key.ID: true}
	for _, h := range b.Wallets() {
		known[h.Key] = true
	}
	for _, x := range b.Doomed() {
		known[x.Key] = true
	}
	for _, ref := range list {
		if known[ref.Key] { // an import key of no entry may be left
			keys++
		}
	}
	if want := len(b.Wallets()) + 1; keys != want { // the import key
		v.t.Errorf("%d blobs of keys are left, want %d", keys, want)
	}
}

// sweep kills a vault at every call of some work, before and after its effect, and does the work again.
func (v *vault) sweep(t *testing.T, work func(*vault) error) {
	t.Helper()
	straight := v.clone(t, nil)
	if err := work(straight); err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, op := range crashOps() {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			if when == domaintest.After && !op.Changes() {
				continue
			}
			for n := 1; ; n++ {
				f := &domaintest.Faults{}
				c := v.clone(t, f)
				f.FailAt(op, n, when, true)
				err := work(c)
				if !f.Struck() {
					if err != nil {
						t.Fatalf("%s %d: %v", op, n, err)
					}
					c.close()
					break
				}
				tried++
				if err == nil && when == domaintest.Before && op.Changes() && op != domaintest.BlobDelete {
					t.Errorf("%s %s %d: nobody noticed", op, when, n)
				}
				c.crash()
				recorded := map[uint64][32]byte{}
				if c.open() == nil {
					for _, p := range c.d.state.Permits() {
						recorded[p.Entry] = p.Hash
					}
				}
				if err := work(c); err != nil {
					t.Fatalf("%s %s %d, again: %v", op, when, n, err)
				}
				c.faults = nil
				for _, p := range c.d.state.Permits() {
					if hash, ok := recorded[p.Entry]; ok && hash != p.Hash {
						t.Errorf("%s %s %d: a permit that was recorded got another entry", op, when, n)
					}
				}
				straight.done(c)
				c.close()
			}
		}
	}
	if tried < 10 {
		t.Errorf("only %d places", tried)
	}
}

// give works a bundle through in a run of its own.
func give(bundle []byte, h *house) func(*vault) error {
	return func(v *vault) error {
		v.close()
		if err := v.open(); err != nil {
			return err
		}
		var out bytes.Buffer
		_, err := v.d.Work(background, bytes.NewReader(bundle), &out, &crew{people: h.ops.people})
		return err
	}
}

func TestCrashMoveIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(request.WalletCreate, walletBody("savings"))
	h.moveOut("savings", h.v.d.ID())
	b := h.seal(h.newParts())
	h.v.sweep(t, give(b, h))
}

func TestCrashSign(t *testing.T) {
	t.Parallel()
	h, _ := ready(t)
	h.transfer("savings", 2000, 1)
	b := h.seal(h.newParts())
	h.v.sweep(t, give(b, h))
}

func TestCrashMoveOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cold("savings")
	home := h.s.Domain
	h.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: home[:], Temperature: request.Hot})
	b := h.seal(h.newParts())
	h.v.sweep(t, give(b, h))
}

func TestCrashZeroize(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cold("savings")
	h.v.sweep(t, func(v *vault) error {
		v.close()
		if err := v.open(); err != nil {
			return err
		}
		err := v.d.Zeroize(background, "asked for")
		if err == nil && (v.d.working != nil || !v.d.state.Zeroized) {
			return errors.New("not zeroized")
		}
		return err
	})
}

// A creation that is cut off anywhere is begun again.
func TestCrashCreate(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := h.s.Authority
	for _, op := range crashOps() {
		for n := 1; ; n++ {
			f := &domaintest.Faults{}
			v := &vault{t: t, dir: t.TempDir(), clock: h.clock, faults: f}
			f.FailAt(op, n, domaintest.After, true)
			err := v.create(id)
			struck := f.Struck()
			v.crash()
			if !struck {
				if err != nil {
					t.Fatal(err)
				}
				break
			}
			err = v.open()
			if errors.Is(err, ErrNone) {
				err = v.create(id)
			}
			if err != nil {
				t.Fatalf("%s %d: %v", op, n, err)
			}
			v.faults = nil
			v.close()
		}
	}
}

// Killed between the permit and the signature, the same transaction comes out.
func TestSameBytes(t *testing.T) {
	t.Parallel()
	h, entry := ready(t)
	parts := h.newParts()
	b := h.seal(parts)
	bytesOf := func(v *vault) []byte {
		p, ok := v.d.state.Permitted(entry)
		if !ok || p.Result == nil {
			t.Fatal("not signed")
		}
		return canon.Encode(p.Result)
	}
	first := &domaintest.Faults{}
	v := h.v.clone(t, first)
	first.FailAt(domaintest.StoreAppend, 4, domaintest.Before, true) // the authority's entries, import, permit; then the result
	if err := give(b, h)(v); err == nil {
		t.Fatal("nothing failed")
	}
	v.crash()
	v.faults = nil
	if err := v.open(); err != nil {
		t.Fatal(err)
	}
	if p, ok := v.d.state.Permitted(entry); !ok || p.Result != nil {
		t.Fatalf("the fault was elsewhere: %+v", p)
	}
	again := v.clone(t, nil)
	h.wait(30 * 3600 * 1e9) // beyond the bundle's time: what was recorded is signed all the same
	for _, x := range []*vault{v, again} {
		if err := give(b, h)(x); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(bytesOf(v), bytesOf(again)) {
		t.Error("two runs signed differently")
	}
}

// The authority's entries may be lost: the next full bundle brings them back, and it must be the same log.
func TestFollowLost(t *testing.T) {
	t.Parallel()
	h, p := ready(t)
	h.v.close()
	h.v.lose("authority")
	h.v.reopen()
	if st := h.v.d.Status(background); !st.Full {
		t.Errorf("%+v", st)
	}
	part := h.parts(h.v.d, h.v.d.state.Import.Size)
	if _, _, err := h.v.work(h.seal(part), h.ops); err == nil || !strings.Contains(err.Error(), "export with --full") {
		t.Errorf("a part: %v", err)
	}
	h.v.reopen()
	bundle := h.export(h.v.d, 0)
	if r := h.signs(bundle); r.Signed[0].Entry != p {
		t.Errorf("%+v", r)
	}
	h.v.close()
	h.v.damage("authority")
	if err := h.v.open(); err == nil && !h.v.d.Status(background).Full {
		t.Error("damaged entries are folded")
	}
}
