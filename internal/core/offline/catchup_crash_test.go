// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
)

// again does what the program does when a restore was cut off: it goes on with what is whole, or begins anew.
func (x *setBack) again(n *vault, bundle []byte) error {
	if done, err := n.finished(); err != nil || done {
		return err
	}
	if err := os.RemoveAll(filepath.Join(n.dir, "log")); err != nil {
		return err
	}
	_, err := n.restoreFrom(x.files, x.old, false, &CatchUp{Bundle: bytes.NewReader(bundle), By: &crew{people: x.ops.people}})
	return err
}

func (v *vault) finished() (bool, error) {
	defer v.close()
	c, err := v.config(false)
	if err != nil {
		return false, err
	}
	return Finished(background, c.Store, c.Anchor)
}

// A restore that is cut off anywhere is begun again, or is whole; in the end the domain knows what was known, once.
func TestCrashCatchUp(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, true)
	x.transfer("savings", 7, 2)
	bundle := x.seal(x.full())
	base := x.v.fresh("root")
	tried, whole := 0, 0
	for _, op := range crashOps() {
		for _, when := range []domaintest.When{domaintest.Before, domaintest.After} {
			if when == domaintest.After && !op.Changes() {
				continue
			}
			for i := 1; ; i++ {
				f := &domaintest.Faults{}
				n := base.clone(t, f)
				f.FailAt(op, i, when, true)
				err := x.again(n, bundle)
				if !f.Struck() {
					if err != nil {
						t.Fatalf("%s %s %d: %v", op, when, i, err)
					}
					break
				}
				tried++
				n.crash()
				if done, err := n.finished(); err != nil {
					t.Fatal(err)
				} else if done {
					whole++
				}
				if err := x.again(n, bundle); err != nil {
					t.Fatalf("%s %s %d, again: %v", op, when, i, err)
				}
				n.faults = nil
				if err := n.open(); err != nil {
					t.Fatalf("%s %s %d: %v", op, when, i, err)
				}
				x.alike(n.d)
				if s := n.d.state; s.Gap() == nil || len(s.Maybe()) != 1 || !s.IsMissing("later") {
					t.Errorf("%s %s %d: %+v", op, when, i, n.d.Status(background))
				}
				n.close()
			}
		}
	}
	if tried < 10 || whole == 0 {
		t.Errorf("%d places, %d of them behind the pin", tried, whole)
	}
}

// An older bundle of the same day gives back less. The next newer one finds that out, and the backup is completed once more.
func TestCatchUpFromAnOlderBundle(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *online) { o.custody = true })
	h.cold("savings")
	x := &setBack{house: h, files: folder{}}
	h.v.reopen()
	var err error
	if x.old, err = h.v.backup(x.files, nil); err != nil {
		t.Fatal(err)
	}
	x.lost = append(x.lost, h.transfer("savings", 5, 0))
	h.carry()
	older := x.seal(x.full())
	x.lost = append(x.lost, h.transfer("savings", 6, 1))
	h.carry()
	h.v.reopen()
	x.known = h.v.d.state
	n, r, err := x.catchUp(older)
	if err != nil || r.Loss.To >= x.known.Next {
		t.Fatalf("%+v, %v", r, err)
	}
	x.wait(time.Minute)
	if _, _, err := n.work(x.export(n.mustOpen(), 0), x.ops); err == nil || !strings.Contains(err.Error(), "set back") {
		t.Fatal(err)
	}
	for _, p := range n.d.state.Permits() {
		if p.Payload != must(x.known.Permitted(p.Entry)).Payload {
			t.Error("two payloads for one permit")
		}
	}
	x.v = n
	m, _, err := x.catchUp(x.seal(x.full()))
	if err != nil || m.open() != nil {
		t.Fatal(err)
	}
	x.alike(m.d)
}

func must(p pure.Permitted, _ bool) pure.Permitted { return p }

// A permit that entries which nobody has may have signed keeps its slot, also where the authority's log loses it later: another payload is never
// signed there.
func TestCatchUpClosesSlots(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, false)
	base := x.s.Next
	maybe := x.transfer("savings", 7, 2) // it is signed, and the result never arrives
	x.wait(time.Second)
	if _, r, err := x.v.work(x.seal(x.newParts()), x.ops); err != nil || len(r.Signed) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	n, r, err := x.catchUp(x.seal(x.full()))
	if err != nil || len(r.Loss.Maybe) != 1 || r.Loss.Maybe[0].Entry != maybe {
		t.Fatalf("%+v, %v", r, err)
	}
	x.v = n
	n.reopen()
	slot := x.bodies[maybe].(*entry.Permit).Slot
	own := x.bodies[maybe].(*entry.Permit).Request
	if n.d.state.CheckSlot(own, 1, slot) != nil || n.d.state.CheckSlot(custody.RequestID{7}, 1, slot) == nil {
		t.Error("the slot is not that of the permit, or another request's")
	}
	x.ops.skip = map[uint64]bool{maybe: true} // they leave it out, as they know nothing of it
	if _, r, err := n.work(x.seal(x.full()), x.ops); err != nil || len(r.Refused) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	n.reopen()
	x.loses(base, 2)
	x.reconciled("savings", 2)
	x.ops.skip = nil
	x.transfer("savings", 9, 2) // another payment in the slot
	x.wait(time.Second)
	_, report, err := n.work(x.seal(x.knows()), x.ops)
	if err != nil || len(report.Signed) > 0 || len(report.Refused) != 1 || !strings.Contains(report.Refused[0].Detail, "slot is used") {
		t.Fatalf("%+v, %v", report, err)
	}
	n.reopen()
	if n.d.state.CheckSlot(own, 9, slot) == nil {
		t.Error("a replacement takes a slot of a lost permit that may be signed")
	}
}
