// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

const day = 24 * 3600

// ledgerDocument has settings: an hour of cool-off, 100 a day until the second day, review every ten days; alice, bob and carol decide.
func ledgerDocument() policy.Document {
	d := firstDocument()
	d.Guards = nil
	d.Counterparties = []policy.Counterparty{{ID: "acme"}, {ID: "bourse"}}
	d.Whitelist = &policy.Whitelist{Plan: d.ChangePlan, CoolOff: 3600, ReviewAfter: 10 * day,
		Ramp: []policy.RampStep{{After: 0, Caps: []policy.RampCap{{Asset: evm.Native(), Max: custody.U64(100)}}}, {After: 2 * day}}}
	return d
}

// addressOf gives address number n; those whose numbers agree modulo 16 look alike.
func addressOf(n int) string {
	var a eth.Address
	a[0], a[1], a[2], a[3] = byte(n%16), 0xaa, byte(n/16), 1
	a[18], a[19] = byte(n%16), 0xbb
	return a.String()
}

// carries asks as alice, has bob and carol approve where that is needed, and gives the effect's error.
func (w *world) carries(t tester, op request.Operation, body any) error {
	t.Helper()
	r := w.request(who("alice"), op, body)
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	e, err := w.s.DecideRequest(p, policy.BySignature, w.at(), Derive)
	if err != nil {
		return err
	}
	e.Evidence = evidence(who("alice"), p)
	w.must(t, e)
	if err := Refused(e.Decision); err != nil {
		return err
	}
	for _, name := range []string{"bob", "carol"} {
		if !e.Decision.Auto {
			w.must(t, w.approval(t, r.ID(), who(name), request.Approve))
		}
	}
	pending, ok := w.s.Pending(r.ID())
	if !ok {
		t.Fatal("the request does not wait")
	}
	x, _, err := w.s.DecideEffect(pending, w.at(), Derive)
	if err != nil {
		return err
	}
	w.must(t, x)
	return nil
}

func (w *world) add(t tester, id string, n int, change func(*request.WhitelistAddBody)) error {
	t.Helper()
	b := request.WhitelistAddBody{ID: id, Chain: evm, Address: addressOf(n)}
	if change != nil {
		change(&b)
	}
	return w.carries(t, request.WhitelistAdd, b)
}

func (w *world) to(address string) policy.Destination { return w.s.destination(evm, address, w.at()) }

// audited decides every entry of the log again, in the state before it.
func (w *world) audited(t tester) {
	t.Helper()
	s := New()
	history := func(seq uint64) (any, error) { return w.log[seq].body, nil }
	for _, x := range w.log {
		if x.leaf.Seq > 0 {
			switch b := x.body.(type) {
			case *entry.Effect:
				if b.Wallet != nil { // the tests make wallets up
					break
				}
				if err := s.Audit(x.leaf, x.body, Derive, history); err != nil {
					t.Fatal(err)
				}
			case *entry.Request, *entry.Approval:
				if err := s.Audit(x.leaf, x.body, Derive, history); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := s.Apply(x.leaf, x.hash, x.body); err != nil {
			t.Fatal(err)
		}
	}
	if s.StateRoot() != w.s.StateRoot() {
		t.Fatal("folding again gives another state")
	}
}

// naive is the address book as plainly as it can be: a list of facts with times, searched from its beginning.
type naive struct {
	entries []naiveEntry
	paid    []string
}

type naiveEntry struct {
	id, address, party string
	since, seen        int64
	expires            int64
	halted             bool
}

func (m *naive) find(f func(naiveEntry) bool) *naiveEntry {
	if i := slices.IndexFunc(m.entries, f); i >= 0 {
		return &m.entries[i]
	}
	return nil
}

func looks(a, b string) bool { return a != b && a[2:6] == b[2:6] && a[38:] == b[38:] }

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + 32
		}
	}
	return string(b)
}

func (m *naive) destination(address string, now, bound int64) policy.Destination {
	early, late := (now-bound)/1e9, (now+bound+999_999_999)/1e9
	out := policy.Destination{Kind: policy.OneTime, First: !slices.Contains(m.paid, address)}
	x := m.find(func(e naiveEntry) bool { return e.address == address })
	if x == nil {
		var alike []string
		for _, e := range m.entries {
			if looks(lower(e.address), lower(address)) {
				alike = append(alike, e.id)
			}
		}
		slices.Sort(alike)
		switch {
		case len(alike) > 0:
			out.Lookalike = alike[0]
		case out.First && slices.ContainsFunc(m.paid, func(p string) bool { return looks(lower(p), lower(address)) }):
			out.Lookalike = policy.PaidBefore
		}
		return out
	}
	out.Book, out.Counterparty, out.Kind = x.id, x.party, policy.Whitelisted
	out.Age = max(early-x.since, 0)
	switch {
	case x.halted:
		out.Kind = policy.Suspended
	case x.expires > 0 && late >= x.expires || late-x.seen >= 10*day:
		out.Kind = policy.Expired
	case out.Age < 3600:
		out.Kind = policy.Cooling
	}
	return out
}

// The ledger is what the naive list says, after any operations, and so is the state that is restored from an image of it.
func TestLedgerAgreesWithModel(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(1, "add", "remove", "suspend", "review", "resume", "pay"), func(t *rapid.T) {
		w := worldOf(t, ledgerDocument())
		w.must(t, w.effect(t, w.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "hot", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
		m := &naive{entries: []naiveEntry{{id: "bank", address: bank, seen: start/1e9 - 1}, {id: "exchange", address: known, seen: start/1e9 - 1}}}
		nonce := uint64(0)
		times := func() (late, early int64) {
			return (w.now + w.bound + 999_999_999) / 1e9, (w.now - w.bound) / 1e9
		}
		ids := []string{"exchange", "a", "b", "c", "d"}
		for range rapid.IntRange(1, 25).Draw(t, "steps") {
			w.advance(time.Duration(rapid.SampledFrom([]int64{1, 1800, 3600, day, 6 * day}).Draw(t, "later")) * time.Second)
			id, n := rapid.SampledFrom(ids).Draw(t, "id"), rapid.IntRange(0, 39).Draw(t, "address")
			x := m.find(func(e naiveEntry) bool { return e.id == id })
			late, early := times()
			switch what := rapid.SampledFrom([]string{"add", "add", "remove", "suspend", "review", "resume", "pay"}).Draw(t, "what"); what {
			case "add":
				before := m.destination(addressOf(n), w.now, w.bound)
				b := naiveEntry{id: id, address: addressOf(n), party: rapid.SampledFrom([]string{"", "acme", "nobody"}).Draw(t, "party"), since: late, seen: early}
				ack := rapid.SampledFrom([]string{"", before.Lookalike}).Draw(t, "acknowledged")
				if rapid.IntRange(0, 4).Draw(t, "ends") == 0 {
					b.expires = late + rapid.SampledFrom([]int64{0, 7200, 2 * day}).Draw(t, "end")
				}
				err := w.add(t, id, n, func(o *request.WhitelistAddBody) { o.Counterparty, o.Lookalike, o.Expires = b.party, ack, b.expires })
				fits := x == nil && before.Book == "" && b.party != "nobody" && ack == before.Lookalike && (b.expires == 0 || late < b.expires)
				if (err == nil) != fits {
					t.Fatalf("add %s: %v, the model says %t", id, err, fits)
				}
				if fits {
					m.entries = append(m.entries, b)
					seen[what]++
				}
			case "remove":
				err := w.carries(t, request.WhitelistRemove, request.WhitelistRemoveBody{ID: id})
				if fits := x != nil && id != "exchange"; (err == nil) != fits {
					t.Fatalf("remove %s: %v", id, err)
				} else if fits {
					m.entries = slices.DeleteFunc(m.entries, func(e naiveEntry) bool { return e.id == id })
					seen[what]++
				}
			case "suspend":
				err := w.carries(t, request.WhitelistSuspend, request.WhitelistSuspendBody{ID: id})
				if fits := x != nil && !x.halted; (err == nil) != fits {
					t.Fatalf("suspend %s: %v", id, err)
				} else if fits {
					x.halted = true
					seen[what]++
				}
			case "review", "resume":
				err := w.carries(t, request.WhitelistReview, request.WhitelistReviewBody{IDs: []string{id}, Resume: what == "resume"})
				if (err == nil) != (x != nil) {
					t.Fatalf("review %s: %v", id, err)
				} else if x != nil {
					if x.seen = early; what == "resume" && x.halted {
						x.halted, x.since = false, late
					}
					seen[what]++
				}
			case "pay":
				to := rapid.SampledFrom([]string{known, addressOf(n)}).Draw(t, "to")
				body := payEVM(1)
				body.Outputs[0].Address = to
				r := w.request(who("alice"), request.Transfer, body)
				e := w.asked(t, who("alice"), r)
				want := m.destination(to, w.now, w.bound)
				if got := e.Facts.Destinations[0]; got.Kind != want.Kind || got.Age != want.Age || got.First != want.First || got.Lookalike != want.Lookalike || got.Book != want.Book || got.Counterparty != want.Counterparty {
					t.Fatalf("got %+v, the model says %+v", got, want)
				}
				w.must(t, e)
				if allowed := want.Kind != policy.Suspended && want.Lookalike == ""; (e.Decision.Outcome == policy.Allowed) != allowed {
					t.Fatalf("%+v: %+v", want, e.Decision)
				} else if !allowed {
					continue
				}
				for _, name := range []string{"bob", "carol"} {
					w.must(t, w.approval(t, r.ID(), who(name), request.Approve))
				}
				w.must(t, w.permit(t, r.ID(), fmt.Sprint(nonce), account0(nonce), 1))
				nonce++
				if !slices.Contains(m.paid, to) {
					m.paid = append(m.paid, to)
				}
				seen[what]++
			}
			compareBooks(t, w.s, m, w.at())
		}
		again := restored(t, w.s)
		compareBooks(t, again, m, w.at())
		if again.StateRoot() != w.s.StateRoot() || !maps.EqualFunc(again.book.entries, w.s.book.entries, func(a, b *bookRecord) bool {
			return a.own == b.own && a.halted == b.halted && a.since == b.since && a.seen == b.seen && a.seq == b.seq && a.place == b.place && a.ID == b.ID
		}) || !slices.Equal(again.book.order, w.s.book.order) || !maps.Equal(again.book.parties, w.s.book.parties) || again.book.own != w.s.book.own {
			t.Fatal("the restored ledger is another")
		}
		w.audited(t)
	})
}

func compareBooks(t tester, s *State, m *naive, at Moment) {
	t.Helper()
	list, total := s.Book(0, 1000, at)
	if int(total) != len(m.entries) || len(list) != len(m.entries) {
		t.Fatalf("%d and %d entries, the model has %d", total, len(list), len(m.entries))
	}
	for _, address := range append([]string{known}, addressOf(0), addressOf(1), addressOf(16), addressOf(17), addressOf(32)) {
		got, want := s.destination(evm, address, at), m.destination(address, at.Time, at.Bound)
		if got != want {
			t.Fatalf("%s: got %+v, the model says %+v", address, got, want)
		}
	}
}

// restored takes a state through its image.
func restored(t tester, s *State) *State {
	t.Helper()
	var img Image
	raw, _ := s.Image().Encode()
	if err := canon.DecodeLarge(raw, &img); err != nil {
		t.Fatal(err)
	}
	chunks := s.Chunks()
	out, err := Restore(img, func(h [32]byte) ([]byte, error) { return chunks[h], nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func kindOfProblem(err error) problem.Kind {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Kind
	}
	return ""
}
