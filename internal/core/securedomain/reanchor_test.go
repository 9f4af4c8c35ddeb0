// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
	"strongroom/verify"
)

// setBack is a domain whose log was put back behind its pin: the transfer paid after that is lost, and open waits since before.
type setBack struct {
	*domaintest.Harness
	log, anchor *disktest.Mem
	open        custody.RequestID
	newer       *disktest.Mem // the log with all
}

// newSetBack pays once before the copy of the log's disk is made, and once after.
func newSetBack(t testing.TB, delay int64) *setBack {
	t.Helper()
	s := &setBack{log: disktest.New(), anchor: disktest.New()}
	s.Harness = domaintest.New(t, domaintest.Options{Log: s.log, Anchor: s.anchor, Memory: domaintest.NewMemory(), Document: func(d *policy.Document) {
		plans := d.Plans()
		plans.ReanchorDelay = &delay
		d.Domain = &plans
	}})
	s.Wallet("hot", domaintest.Chain, request.SchemeEVM)
	s.pay(0)
	v, err := s.Submit(s.Alice, s.Request(s.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "open", Chain: domaintest.Chain, Scheme: request.SchemeEVM}), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.open = v.ID
	s.Close()
	earlier := s.log.Clone()
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	s.pay(1)
	s.Close()
	s.newer, s.log = s.log, earlier
	s.Options.Log = s.log
	return s
}

// pay has the service pay on its automatic route.
func (s *setBack) pay(nonce uint64) {
	s.T.Helper()
	v, err := s.transfer(nonce)
	if err != nil || v.State != message.StateSigned {
		s.T.Fatalf("%+v, %v", v, err)
	}
}

func (s *setBack) transfer(nonce uint64) (message.Request, error) {
	body := request.TransferBody{Wallet: "hot", Asset: domaintest.Chain.Native(), Outputs: []request.Output{{Address: domaintest.Whitelisted, Amount: custody.U64(7)}}, FeeCap: custody.U64(1 << 50)}
	return s.Submit(s.Service, s.Request(s.Service, request.Transfer, body), ethPayload(s.T, 7, nonce, 10))
}

// settles waits until the core has written the gap.
func (s *setBack) settles() {
	s.T.Helper()
	for range 10_000 {
		if s.D.Status().Reanchoring == nil {
			return
		}
		time.Sleep(time.Millisecond)
	}
	s.T.Fatal("the gap does not come")
}

// A log behind its pin is refused, and both heads are named. Re-anchored by the recovery plan, it does nothing before the time-lock has passed; then what was open is void, and
// nothing is signed before the recovery plan has said what the chain shows.
func TestReanchorBehindPin(t *testing.T) {
	t.Parallel()
	s := newSetBack(t, 3600)
	var behind *auditlog.BehindError
	if err := s.Open(); !errors.As(err, &behind) || behind.Have >= behind.Pinned || !strings.Contains(err.Error(), fmt.Sprint(behind.Pinned)) || !strings.Contains(err.Error(), fmt.Sprint(behind.Have)) {
		t.Fatalf("a log behind its pin: %v", err)
	}
	for who, doc := range map[string]*entry.Reanchor{"nobody": s.Draft(), "one": s.Draft(s.Bob), "a service": s.Draft(s.Bob, s.Service)} {
		if err := s.Apply(doc); err == nil {
			t.Errorf("signed by %s: it was applied", who)
		}
	}
	doc := s.Draft(s.Bob, s.Carol)
	if doc.Incarnation != 2 || doc.Size != behind.Have || doc.Whole {
		t.Fatalf("%+v", doc)
	}
	if err := s.Apply(doc); err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(doc); err != nil {
		t.Errorf("applied again: %v", err)
	}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	st := s.D.Status()
	if r := st.Reanchoring; st.Incarnation != 2 || r == nil || r.From != behind.Have || r.To != behind.Pinned || !strings.HasSuffix(st.Origin, "/2") || !strings.HasPrefix(string(st.Checkpoint), st.Origin+"\n") {
		t.Fatalf("%+v, %+v", st, st.Reanchoring)
	}
	if _, err := s.transfer(1); problem.KindOf(err) != problem.Reanchoring {
		t.Errorf("a transfer while the time-lock runs: %v", err)
	}
	s.Clock.Advance(time.Hour)
	s.Reopen()
	if s.D.Status().Reanchoring == nil {
		t.Error("the time-lock passed before it surely had: the clock's bound was not heeded")
	}
	s.Clock.Advance(time.Second)
	s.Reopen()
	s.settles()
	if v, err := s.D.Request(context.Background(), s.open); err != nil || v.State != message.StateVoid {
		t.Errorf("the open request is %s, %v", v.State, err)
	}
	if st := s.D.Status(); st.Held != 1 || st.GapAt == 0 {
		t.Errorf("%d wallets held, gap at %d", st.Held, st.GapAt)
	}
	if v, err := s.transfer(1); problem.KindOf(err) != problem.Reanchoring && (v.Missing == nil || v.Missing.Kind != problem.Reanchoring) {
		t.Errorf("a transfer from a held wallet: %+v, %v", v, err)
	}
	s.reconciled(2)
	s.pay(2)
	s.Check()
	s.proves()
}

// reconciled says that the chain shows a nonce of the wallet's first address.
func (s *setBack) reconciled(next uint64) {
	s.T.Helper()
	v, err := s.Submit(s.Alice, s.Request(s.Alice, request.SlotReconcile, request.SlotReconcileBody{Wallet: "hot", Accounts: []request.WalletNonce{{Next: next}}}), nil)
	for _, p := range []domaintest.Person{s.Bob, s.Carol} {
		if err == nil {
			v, err = s.Decide(p, v, request.Approve)
		}
	}
	if err != nil || v.State != message.StateExecuted {
		s.T.Fatalf("reconcile: %+v, %v", v, err)
	}
}

// proves has a proof of the void request, which shows what became of the log.
func (s *setBack) proves() {
	s.T.Helper()
	file, err := s.D.Proof(context.Background(), s.open)
	if err != nil {
		s.T.Fatal(err)
	}
	r, err := verify.Proof(file, s.Genesis.LogKey)
	if err != nil || r.State != "void" || len(r.Reanchors) != 1 || r.Reanchors[0].Gap == 0 || r.Incarnation != 2 || len(r.Reanchors[0].Signers) != 2 {
		s.T.Errorf("%+v, %v", r, err)
	}
	if l := r.Reanchors[0].GapLost; l.From >= l.To || l.Whole {
		s.T.Errorf("lost %+v", l)
	}
}

// The old disk, with all its entries, is a branch that the pin does not lead to; a document for another head, or one that is past its time, is refused.
func TestReanchorRefusals(t *testing.T) {
	t.Parallel()
	s := newSetBack(t, 0)
	doc := s.Draft(s.Bob, s.Carol)
	late := *doc
	late.NotAfter = s.Clock.Wall.Load() / 1e9
	other := *doc
	other.Root[0] ^= 1
	unknown := *doc
	unknown.Known = nil
	for why, b := range map[string]*entry.Reanchor{"past its time": &late, "of another tree": &other, "that knows less than the pin": &unknown} {
		if err := s.Apply(domaintest.SignReanchor(b, s.Bob, s.Carol)); err == nil {
			t.Errorf("a document %s was applied", why)
		}
	}
	s.Clock.Unsure.Store(true)
	if err := s.Apply(doc); err == nil {
		t.Error("applied by a clock that is not certain")
	}
	s.Clock.Unsure.Store(false)
	if err := s.Apply(doc); err != nil {
		t.Fatal(err)
	}
	was := s.Options.Log
	s.Options.Log = s.newer
	if err := s.Open(); err == nil {
		t.Fatal("the old log opens under the pin of the new incarnation")
	}
	s.Options.Log = was
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Apply(doc); err == nil {
		// The first start wrote nothing, so that this is the same as an apply that was cut off.
		return
	} else if !strings.Contains(err.Error(), "entries") {
		t.Errorf("a document for an earlier head: %v", err)
	}
}

// A core that runs is not robbed of its log.
func TestReanchorBesideACore(t *testing.T) {
	t.Parallel()
	s := newSetBack(t, 0)
	s.Options.Log, s.log = s.newer, s.newer // the core that runs has all
	doc := s.Draft(s.Bob, s.Carol)
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	beside := s.Other(s.Options)
	if err := beside.Apply(doc); !errors.Is(err, auditlog.ErrInUse) {
		t.Errorf("beside a core: %v", err)
	}
	s.pay(2)
}

// Every change of the disks below log and pin fails while a document is applied, before, after or in the middle, and the power is cut. Then the core refuses as before,
// or opens in the new incarnation; and applying again does the rest.
func TestReanchorCutAtEveryChange(t *testing.T) {
	t.Parallel()
	base := newSetBack(t, 0)
	doc := base.Draft(base.Bob, base.Carol)
	for name, which := range map[string]func(*setBack) *disktest.Mem{"log": func(s *setBack) *disktest.Mem { return s.log }, "anchor": func(s *setBack) *disktest.Mem { return s.anchor }} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for n, struck := 1, true; struck; n++ {
				for _, when := range []disktest.When{disktest.Before, disktest.After, disktest.Half} {
					for _, keep := range []float64{0, 0.5, 1} {
						t.Run(fmt.Sprintf("%d %d keep %v", n, when, keep), func(t *testing.T) {
							s := base.on(t, base.log.Clone(), base.anchor.Clone())
							which(s).FailAt(n, when)
							err := s.Apply(doc)
							if was, _ := which(s).Struck(); !was {
								struck = false
								if err != nil {
									t.Fatal(err)
								}
								return
							}
							r := rand.New(rand.NewPCG(uint64(n), 7))
							s.cutOff(t, s.log.PowerCut(keep, r), s.anchor.PowerCut(keep, r), doc)
						})
					}
				}
			}
		})
	}
}

// on gives the domain on other disks.
func (s *setBack) on(t testing.TB, log, anchor *disktest.Mem) *setBack {
	t.Helper()
	o := s.Options
	o.Log, o.Anchor, o.Memory = log, anchor, s.Options.Memory.Clone()
	c := *s
	c.Harness, c.log, c.anchor = s.Clone(t, o), log, anchor
	return &c
}

// cutOff looks at a domain whose apply was cut off.
func (s *setBack) cutOff(t *testing.T, log, anchor *disktest.Mem, doc *entry.Reanchor) {
	t.Helper()
	started := s.on(t, log.Clone(), anchor.Clone())
	var behind *auditlog.BehindError
	err := started.Open()
	switch {
	case err == nil && started.D.Status().Incarnation != 2:
		t.Fatalf("it opens in incarnation %d", started.D.Status().Incarnation)
	case err != nil && !errors.As(err, &behind):
		t.Fatalf("it does not open: %v", err)
	}
	started.Close()
	again := s.on(t, log, anchor)
	if err := again.Apply(doc); err != nil {
		t.Fatalf("apply again: %v", err)
	}
	again.Clock.Advance(time.Second)
	if err := again.Open(); err != nil {
		t.Fatal(err)
	}
	again.settles()
	again.reconciled(2)
	again.pay(2)
	again.Close()
}

// What anybody shows counts if the log's own key signed it: the largest, of the latest incarnation. One that shows another history of what is left is a fork, and keeps the
// re-anchoring from being whole.
func TestReanchorKnows(t *testing.T) {
	t.Parallel()
	s := newSetBack(t, 0)
	r, err := s.Remain()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := r.Binding()
	if err != nil {
		t.Fatal(err)
	}
	h, ctx := r.Head(), context.Background()
	signed := func(incarnation, size uint64, root [32]byte, extensions ...string) []byte {
		pub, _ := r.Keys()
		key, err := tlog.NewKey(entry.Origin(r.Domain(), incarnation), pub[:])
		if err != nil {
			t.Fatal(err)
		}
		out, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: size, Root: root}, key, b.Sign, extensions...)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	altered := append([]byte(nil), signed(1, 99, [32]byte{1})...)
	altered[len(altered)-20] ^= 1
	for why, x := range map[string][]byte{"nothing": nil, "altered": altered, "of another domain": []byte("strongroom/domain/" + strings.Repeat("0", 64) + "\n1\nAAAA\n\n")} {
		if _, err := r.Consider(ctx, x, why); err == nil {
			t.Errorf("%s: it counts", why)
		}
	}
	draft := func(confirmed []byte) *entry.Reanchor {
		doc, err := r.Draft(securedomain.Plan{Reason: "x", Anchor: "file", Confirmed: confirmed})
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	pinned, _ := r.Known()
	fresh := signed(1, h.Size, h.Root, "strongroom/start/v1 x")
	if doc := draft(fresh); pinned.Size <= h.Size || doc.Whole || doc.Incarnation != 2 {
		t.Errorf("the pin has %d entries, %d are left, and the document says %+v", pinned.Size, h.Size, doc)
	}
	for _, x := range []struct {
		signed []byte
		size   uint64
		next   uint64
	}{{signed(1, pinned.Size+5, [32]byte{1}), pinned.Size + 5, 2}, {signed(1, pinned.Size+1, [32]byte{1}), pinned.Size + 5, 2}, {signed(4, 3, [32]byte{1}), 3, 5}} {
		if _, err := r.Consider(ctx, x.signed, "a test"); err != nil {
			t.Fatal(err)
		}
		if k, _ := r.Known(); k.Size != x.size || draft(nil).Incarnation != x.next {
			t.Errorf("known are %d entries, and the document begins incarnation %d; want %d and %d", k.Size, draft(nil).Incarnation, x.size, x.next)
		}
	}
	if r.Forked() != "" {
		t.Error(r.Forked())
	}
	if _, err := r.Consider(ctx, signed(1, 2, [32]byte{9}), "a test"); err != nil || r.Forked() == "" {
		t.Errorf("another history of two entries: %v, %q", err, r.Forked())
	}
}
