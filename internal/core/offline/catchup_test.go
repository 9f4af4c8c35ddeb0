// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/backup"
	"strongroom/internal/core/keystore"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// setBack is a house whose offline domain has a backup that is behind what the online domain knows.
type setBack struct {
	*house
	files folder
	old   *backup.Manifest
	known *pure.State // of the log as it was, up to what the online domain knows
	lost  []uint64    // permits that were signed behind the backup
}

// newSetBack makes one: the backup has wallet "savings"; behind it two transfers were signed and, with later, wallet "later" came.
func newSetBack(t testing.TB, later bool, options ...onlineOption) *setBack {
	t.Helper()
	h := newHouse(t, append(options, func(o *online) { o.custody = true })...)
	h.cold("savings")
	x := &setBack{house: h, files: folder{}}
	h.v.reopen()
	var err error
	if x.old, err = h.v.backup(x.files, nil); err != nil {
		t.Fatal(err)
	}
	x.lost = append(x.lost, h.transfer("savings", 5, 0))
	h.carry()
	if later {
		h.cold("later")
	}
	x.lost = append(x.lost, h.transfer("savings", 6, 1))
	h.carry()
	h.v.reopen()
	x.known = h.v.d.state
	return x
}

// catchUp restores the backup into a new folder, and completes it from a bundle.
func (x *setBack) catchUp(bundle []byte, keep ...string) (*vault, *Restored, error) {
	x.t.Helper()
	n := x.v.fresh(append(keep, "root")...)
	r, err := n.restoreFrom(x.files, x.old, false, &CatchUp{Bundle: bytes.NewReader(bundle), By: x.ops})
	return n, r, err
}

// full gives a full bundle for what the online domain knows now.
func (x *setBack) full() *parts {
	x.t.Helper()
	x.wait(time.Minute)
	x.v.reopen()
	return x.parts(x.v.d, 0)
}

// A backup that is behind is completed from the online domain's log: what that knows is the same as before, entry by entry, and the domain goes on.
func TestCatchUp(t *testing.T) {
	t.Parallel()
	for name, slim := range map[string]bool{"whole": false, "without bodies": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newSetBack(t, false, func(o *online) { o.slim = slim })
			waits := x.transfer("savings", 7, 2)
			bundle := x.seal(x.full())
			n, r, err := x.catchUp(bundle)
			if err != nil {
				t.Fatal(err)
			}
			l := r.Loss
			if l == nil || l.From != x.old.End() || l.To != x.known.Next || l.Dropped != 0 || len(l.Signed) != 2 || len(l.Missing) != 0 || l.Import || len(l.Maybe) != 1 || l.Maybe[0].Entry != waits {
				t.Fatalf("%+v", l)
			}
			if err := n.open(); err != nil {
				t.Fatal(err)
			}
			x.alike(n.d)
			st := n.d.Status(background)
			if st.Gap == nil || st.Gap.To != x.known.Next || len(st.Maybe) != 1 || st.SetBack != "" || len(st.Missing) > 0 {
				t.Errorf("%+v", st)
			}
			x.v = n
			res, report := x.carry()
			if len(report.Signed) != 1 || report.Signed[0].Entry != waits {
				t.Fatalf("%+v", report)
			}
			if !slices.ContainsFunc(res.acts, func(a authority.OfflineAct) bool { return a.CaughtUp != nil }) {
				t.Error("the online domain was not told")
			}
			d, _ := x.s.OfflineDomain(n.d.ID())
			if d.Gap == 0 || d.Size() != n.d.state.Next || d.Import.ID != x.known.Key.ID {
				t.Errorf("%+v", d)
			}
			n.reopen() // what was taken back is read again from the own log
			x.alike(n.d)
			if len(n.d.state.Maybe()) > 0 {
				t.Error("what was signed may not have been signed")
			}
			m, err := n.backup(x.files, nil)
			if err != nil {
				t.Fatal(err)
			}
			again := n.fresh("root")
			if _, err := again.restoreFrom(x.files, m, false, nil); err != nil {
				t.Errorf("a backup of it: %v", err)
			}
		})
	}
}

// alike requires that a domain knows what the lost one did.
func (x *setBack) alike(d *Domain) {
	x.t.Helper()
	for _, p := range x.known.Permits() {
		got, ok := d.state.Permitted(p.Entry)
		if !ok || got.Hash != p.Hash || got.Leaf != p.Leaf || got.Payload != p.Payload || got.Request != p.Request || got.Attempt != p.Attempt || got.Result == nil || got.Result.TxID != p.Result.TxID {
			x.t.Errorf("permit %d: %+v", p.Entry, got)
		}
		if err := d.state.CheckSlot(custody.RequestID{9}, 1, p.Slot); err == nil {
			x.t.Errorf("the slot of permit %d is free", p.Entry)
		}
	}
	for _, at := range x.lost {
		if p, ok := d.state.Permitted(at); !ok || p.Result == nil {
			x.t.Errorf("permit %d is not known as signed", at)
		}
	}
	recs, err := d.records(background, 0, x.known.Next)
	if err != nil {
		x.t.Fatal(err)
	}
	var tail pure.Tail
	for _, r := range recs {
		l, err := entry.DecodeLeaf(r.Leaf)
		if err != nil || l.Seq != tail.Frontier.Size() || l.Prev != tail.Last {
			x.t.Fatal(err)
		}
		tail.Last = entry.Hash(r.Leaf)
		tail.Frontier.Append(tail.Last)
	}
	if tail.Frontier != x.known.Frontier || tail.Last != x.known.Last {
		x.t.Error("the log is another one than the one that is known")
	}
}

// A seed that came behind the backup is nowhere; with it the import key. Both are named, the next seed is sealed to a new key, and nothing is begun
// with what is missing.
func TestCatchUpWithoutSeeds(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, true)
	held, _ := x.known.Holds("later")
	blob, err := x.v.d.cfg.Blobs.Get(background, keystore.Ref{Key: held.Key, Hash: held.Blob})
	if err != nil {
		t.Fatal(err)
	}
	x.transfer("later", 3, 0)
	bundle := x.seal(x.full())
	n, r, err := x.catchUp(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if l := r.Loss; len(l.Missing) != 1 || l.Missing[0] != "later" || !l.Import || l.Stranded != "" || !slices.Equal(l.Came, []custody.WalletID{"later"}) {
		t.Fatalf("%+v", l)
	}
	x.v = n
	_, report := x.carry()
	if len(report.Refused) != 1 || report.Refused[0].Kind != problem.Conflict || !strings.Contains(report.Refused[0].Detail, "not on this machine") {
		t.Fatalf("%+v", report)
	}
	n.reopen()
	d, _ := x.s.OfflineDomain(n.d.ID())
	if a, ok := x.s.Away("later"); !ok || !a.Missing || d.Import.ID != n.d.state.Key.ID || d.Import.ID == x.known.Key.ID || d.Taken != 0 {
		t.Fatalf("%+v, %+v", a, d)
	}
	if a, _ := x.s.Away("savings"); a.Missing {
		t.Error("a seed that is there is missing")
	}
	if _, err := n.backup(x.files, nil); err != nil {
		t.Errorf("a backup without the seed: %v", err)
	}
	home := x.s.Domain
	x.do(request.WalletMove, request.WalletMoveBody{Wallet: "later", To: home[:], Temperature: request.Hot})
	if _, r := x.carry(); len(r.MovedOut) > 0 || len(r.Refused) == 0 {
		t.Errorf("%+v", r)
	}
	x.cold("third") // another seed comes, to the new key
	// A newer copy of the folder turns up: its blob is put in its place, and the move goes on.
	n.reopen()
	if err := n.d.cfg.Blobs.Put(background, keystore.Ref{Key: held.Key, Hash: held.Blob}, blob); err != nil {
		t.Fatal(err)
	}
	res, report := x.carry()
	if len(report.MovedOut) != 1 || len(res.copies) != 1 {
		t.Errorf("%+v", report)
	}
	if _, away := x.s.Away("later"); away {
		t.Error("the wallet did not come back")
	}
}

// A seed that was on its way when its import key was lost opens nowhere; the next one goes to another key.
func TestCatchUpStranded(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, true)
	x.do(request.WalletCreate, walletBody("stranded"))
	x.moveOut("stranded", x.v.d.ID())
	bundle := x.seal(x.full())
	n, r, err := x.catchUp(bundle)
	if err != nil || r.Loss.Stranded != "stranded" {
		t.Fatalf("%+v, %v", r, err)
	}
	x.v = n
	_, report := x.carry()
	if len(report.MovedIn) > 0 || len(report.Refused) != 1 {
		t.Errorf("%+v", report)
	}
	if a, _ := x.s.Away("stranded"); a == nil || !a.Missing || a.Way != authority.Leaving {
		t.Errorf("%+v", a)
	}
	x.cold("third")
}

// A domain that was restored without looking, found out and went on: what it wrote is dropped, and told.
func TestCatchUpDrops(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, false)
	waits := x.transfer("savings", 7, 2)
	n, err := x.v.restore(x.files, x.old, true)
	if err != nil {
		t.Fatal(err)
	}
	x.wait(time.Minute)
	bundle := x.export(x.v.mustOpen(), 0)
	for range 2 {
		if _, _, err := n.work(bundle, x.ops); err == nil || !strings.Contains(err.Error(), "set back") || !strings.Contains(err.Error(), "cold restore --bundle") {
			t.Fatalf("behind the online domain: %v", err)
		}
	}
	n.reopen()
	if st := n.d.Status(background); !strings.Contains(st.SetBack, "set back") {
		t.Errorf("%+v", st)
	}
	size := n.d.state.Next
	if size != x.old.End()+2 { // the writer, and what was refused, once
		t.Errorf("%d entries, the backup has %d", size, x.old.End())
	}
	// An older bundle, still good, was taken before anybody knew: the same payload was signed once more.
	fork, err := n.backup(x.files, x.old)
	if err != nil {
		t.Fatal(err)
	}
	bundle = x.seal(x.full())
	m := n.fresh("root")
	r, err := m.restoreFrom(x.files, fork, false, &CatchUp{Bundle: bytes.NewReader(bundle), By: x.ops})
	if err != nil || r.Loss.Dropped != 2 || r.Loss.From != x.old.End() {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := m.open(); err != nil {
		t.Fatal(err)
	}
	x.alike(m.d)
	if m.d.state.Writer <= 2 {
		t.Errorf("writer %d is one that the dropped entries had", m.d.state.Writer)
	}
	x.v = m
	if _, report := x.carry(); len(report.Signed) != 1 || report.Signed[0].Entry != waits {
		t.Errorf("%+v", report)
	}
}

// mustOpen gives the open domain.
func (v *vault) mustOpen() *Domain {
	v.t.Helper()
	v.reopen()
	return v.d
}

// A backup that is not behind is restored as it is: nobody is asked, whatever the courier brings.
func TestCatchUpNothing(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, false)
	x.v.reopen()
	newest, err := x.v.backup(x.files, x.old)
	if err != nil {
		t.Fatal(err)
	}
	x.transfer("savings", 7, 2)
	bundle := x.seal(x.full())
	n := x.v.fresh("root")
	r, err := n.restoreFrom(x.files, newest, false, &CatchUp{Bundle: bytes.NewReader(bundle), By: x.ops})
	if err != nil || r.Loss != nil || len(x.ops.losses) > 0 || r.Entries != newest.End() {
		t.Fatalf("%+v, %v", r, err)
	}
	if err := n.open(); err != nil || n.d.state.Gap() != nil {
		t.Errorf("%v", err)
	}
}

// What the courier, or one operator, can't do.
func TestCatchUpRefused(t *testing.T) {
	t.Parallel()
	x := newSetBack(t, false)
	x.v.reopen()
	part := x.parts(x.v.d, 5)
	good := x.full()
	sealed := x.seal(good)
	other := newHouse(t)
	clone := func(change func(*parts)) []byte {
		p := *good
		p.recs = slices.Clone(good.recs)
		change(&p)
		return x.seal(&p)
	}
	for name, y := range map[string]struct {
		bundle []byte
		before func()
		want   string
	}{
		"not a full one":       {x.seal(part), nil, "export with --full"},
		"cut":                  {sealed[:len(sealed)-40], nil, ""},
		"altered":              {altered(sealed), nil, ""},
		"another domain's":     {other.export(other.v.mustOpen(), 0), nil, ""},
		"another authority":    {clone(func(p *parts) { p.head.Authority[0] ^= 1 }), nil, "authority"},
		"not signed":           {clone(func(p *parts) { p.signer = x.alice.Key }), nil, "not signed"},
		"an entry left out":    {clone(func(p *parts) { p.recs = slices.Delete(p.recs, 7, 8) }), nil, "left out"},
		"the end left out":     {clone(func(p *parts) { p.recs = p.recs[:len(p.recs)-1] }), nil, "it ends at entry"},
		"says more is known":   {clone(func(p *parts) { p.head.Known += 5 }), nil, "it knows"},
		"a number of no one":   {clone(func(p *parts) { p.head.Number += 5 }), nil, "its number is"},
		"too old":              {sealed, func() { x.wait(25 * time.Hour) }, "time was up"},
		"they don't agree":     {sealed, func() { x.ops.agrees = errors.New("no, never") }, "no, never"},
		"one operator":         {sealed, func() { x.ops.people = x.ops.people[:1] }, "confirmation"},
		"one operator twice":   {sealed, func() { x.ops.people[1] = x.ops.people[0] }, "confirmation"},
		"a spoilt signature":   {sealed, func() { x.ops.spoil = func(_ *pure.Confirmation, s []pure.Signature) { s[1].Sig[3] ^= 1 } }, "does not verify"},
		"a service confirms":   {sealed, func() { x.ops.people[1] = x.people[3] }, "no group"},
		"they take too long":   {sealed, func() { x.ops.pause = func() { x.wait(25 * time.Hour) } }, "after the confirmation"},
		"an anchor knows more": {sealed, nil, "the anchor knows"},
	} {
		was, now := *x.ops, x.clock.Wall.Load()
		x.ops.people = slices.Clone(was.people)
		if y.before != nil {
			y.before()
		}
		keep := []string{}
		if name == "an anchor knows more" {
			x.v.reopen()
			x.v.must(x.v.d.record(background, x.v.d.guess(), &pure.Refusal{Entry: 1, Kind: "k", Detail: "nobody hears of it"}))
			keep = append(keep, "anchor")
		}
		n, _, err := x.catchUp(y.bundle, keep...)
		if err == nil || !strings.Contains(err.Error(), y.want) {
			t.Errorf("%s: %v; want %q", name, err, y.want)
		}
		if err := n.open(); err == nil {
			t.Errorf("%s: there is a domain now", name)
		}
		*x.ops = was
		x.clock.Wall.Store(now)
	}
}

func (v *vault) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func altered(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)/2] ^= 1
	return b
}
