// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/keystore"
	"strongroom/internal/core/recovery"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	pure "strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// gives works a bundle of all that is new through, and requires one refusal and nothing else.
func (h *house) declines(kind problem.Kind, detail string) {
	h.t.Helper()
	_, r, err := h.v.work(h.seal(h.newParts()), h.ops)
	if err != nil || len(r.Refused) != 1 || r.Refused[0].Kind != kind || !strings.Contains(r.Refused[0].Detail, detail) || len(r.MovedIn)+len(r.MovedOut)+len(r.Signed) > 0 {
		h.t.Errorf("%+v, %v; want %s: %s", r, err, kind, detail)
	}
	h.v.reopen()
	if n := len(h.v.d.state.Permits()); n > 0 {
		h.t.Errorf("%d permits are recorded", n)
	}
}

// A seed that does not fit its wallet, is not there, was sealed for something else, or may still be in the online domain, is not taken.
func TestMoveInRefused(t *testing.T) {
	t.Parallel()
	reseal := func(h *house, change func(*pure.Move), seed string) {
		w, _, _ := h.s.Wallet("savings")
		d, _ := h.s.OfflineDomain(h.v.d.ID())
		m := pure.Move{Authority: h.s.Authority, From: h.s.Domain, To: d.ID, Wallet: w.ID, Key: w.Key, Import: d.Import.ID}
		change(&m)
		s := h.seeds["savings"]
		if seed != "" {
			s = h.secret(seed)
		}
		sealed, err := recovery.Seal(d.Import.Public, d.Identity, m.SealLabel(), s)
		if err != nil {
			h.t.Fatal(err)
		}
		h.copies = [][]byte{sealed}
	}
	for name, x := range map[string]struct {
		before func(*house) // before the move is recorded
		erase  bool
		after  func(*house)
		detail string
	}{
		"not erased":          {nil, false, nil, "erased"},
		"no copy":             {nil, true, func(h *house) { h.copies = nil }, "not in the bundle"},
		"another seed":        {func(h *house) { reseal(h, func(*pure.Move) {}, "another") }, true, nil, "another account key"},
		"for another wallet":  {func(h *house) { reseal(h, func(m *pure.Move) { m.Wallet = "other" }, "") }, true, nil, "does not open"},
		"from another domain": {func(h *house) { reseal(h, func(m *pure.Move) { m.From[0] ^= 1 }, "") }, true, nil, "does not open"},
		"under another import": {func(h *house) {
			reseal(h, func(m *pure.Move) { m.Import = custody.KeyID(strings.Repeat("1", 32)) }, "")
		}, true, nil, "does not open"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.do(request.WalletCreate, walletBody("savings"))
			to := h.v.d.ID()
			if x.before != nil {
				h.resealed = func(e *entry.Effect) {
					x.before(h)
					hash := keystore.Hash(h.copies[0])
					e.Move.Copy = hash[:]
				}
			}
			h.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: to[:], Temperature: request.Cold})
			if x.erase {
				h.erase()
			}
			if x.after != nil {
				x.after(h)
			}
			h.declines(problem.Conflict, x.detail)
			if st := h.v.d.Status(background); len(st.Wallets) > 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A move that had to wait is done with the next bundle.
func TestMoveInLater(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.do(request.WalletCreate, walletBody("savings"))
	to := h.v.d.ID()
	h.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: to[:], Temperature: request.Cold})
	p := h.transfer("savings", 5, 0) // waits with it
	h.declines(problem.Conflict, "erased")
	h.erase()
	if _, r := h.carry(); len(r.MovedIn) != 1 || len(r.Signed) != 1 || r.Signed[0].Entry != p {
		t.Errorf("%+v", r)
	}
}

// Neither another authority's log, nor another past of the same, is taken in as the first.
func TestOtherPasts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g, err := h.v.d.Genesis(background)
	if err != nil {
		t.Fatal(err)
	}
	other := newHouse(t, withBank)
	forged := other.parts(h.v.d, 0)
	forged.head.Authority, forged.head.Online, forged.head.Known, forged.head.KnownLast = h.s.Authority, h.s.Domain, 1, entry.Hash(g.Leaf)
	h.refuses(h.seal(forged), "begins authority")
	h.do(request.WalletCreate, walletBody("one"))
	h.carry()
	twin := newHouse(t) // the same genesis, and then other entries
	twin.add(g, "another-name")
	for _, w := range []custody.WalletID{"one", "two", "three"} {
		twin.do(request.WalletCreate, walletBody(w))
	}
	for twin.number <= h.number {
		twin.announce(h.v.d)
	}
	h.v.close()
	h.v.lose("authority")
	h.v.reopen()
	p := twin.parts(h.v.d, 0)
	h.v.close()
	_, _, err = h.v.work(twin.seal(p), h.ops)
	if err == nil || !strings.Contains(err.Error(), "are not those that were imported before") {
		t.Errorf("another past: %v", err)
	}
}

// What the authority has switched off, or destroyed, is not signed here either; nor what only the online core vouches for.
func TestSwitchedOff(t *testing.T) {
	t.Parallel()
	t.Run("control point", func(t *testing.T) {
		t.Parallel()
		h, _ := ready(t)
		h.do(request.PointsSet, request.PointsSetBody{Counter: h.s.Life().Counter + 1, Deny: points.Make(points.SignECDSASecp256k1)})
		h.declines(problem.Forbidden, "switched off")
	})
	t.Run("session", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		h.cold("savings")
		id := h.askInSession("savings", 5)
		h.permit(id, 5, 0, 10)
		h.declines(problem.Unauthenticated, "session")
	})
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t)
		id := h.v.d.ID()
		h.announce(h.v.d)
		h.do(request.OfflineRemove, request.OfflineRemoveBody{Counter: h.s.Life().Counter + 1, Domain: id[:]})
		p := h.newParts()
		g, err := h.v.d.Genesis(background)
		if err != nil {
			t.Fatal(err)
		}
		p.head.Known, p.head.KnownLast = 1, entry.Hash(g.Leaf)
		h.refuses(h.seal(p), "does not belong")
	})
}

// askInSession asks for a transfer as the service, in a session.
func (o *online) askInSession(w custody.WalletID, amount uint64) custody.RequestID {
	o.t.Helper()
	service := o.people[3]
	opening := request.SessionOpening{V: 1, Authority: o.s.Authority, Domain: o.s.Domain, Service: service.ID, Ephemeral: make([]byte, 32), NotAfter: o.clock.Wall.Load()/1e9 + 3600}
	opening.Ephemeral[0] = 9
	raw := canon.Encode(opening)
	id := sha256.Sum256(raw)
	o.must(&entry.Session{Opening: raw, Key: service.Pub.Ref(), Sig: ed25519.Sign(service.Key, canon.TagBytes(canon.TagSession, raw)), Session: id[:16], Ephemeral: opening.Ephemeral})
	r := o.transferRequest(service, w, amount)
	p, err := request.Parse(r.Encode())
	if err != nil {
		o.t.Fatal(err)
	}
	e, err := o.s.DecideRequest(p, policy.BySession, o.moment(), deriver)
	if err != nil {
		o.t.Fatal(err)
	}
	e.Evidence = request.Evidence{Session: id[:16], MAC: make([]byte, 32)}
	o.at[p.Ident] = o.must(e)
	return p.Ident
}

// forgetful is a blob store that says that it keeps sealed copies, and does not.
type forgetful struct{ keystore.Blobs }

func (f forgetful) Put(ctx context.Context, ref keystore.Ref, b []byte) error {
	if ref.Key == authority.SealedCopies {
		return nil
	}
	return f.Blobs.Put(ctx, ref, b)
}

// A seed that is asked back is not destroyed while its copy can't be read back.
func TestCopyIsReadBackBeforeTheSeedGoes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.cold("savings")
	home := h.s.Domain
	h.do(request.WalletMove, request.WalletMoveBody{Wallet: "savings", To: home[:], Temperature: request.Hot})
	h.wait(time.Second)
	h.v.reopen()
	bundle := h.export(h.v.d, h.v.d.follow.size())
	h.v.d.cfg.Blobs = forgetful{h.v.d.cfg.Blobs}
	if _, err := h.v.d.Work(background, bytes.NewReader(bundle), io.Discard, h.ops); !errors.Is(err, keystore.ErrNotFound) {
		t.Fatalf("got %v", err)
	}
	h.v.reopen()
	seed, err := h.v.d.seedOf(background, "savings")
	if err != nil {
		t.Fatalf("the seed is gone, and no copy is kept: %v", err)
	}
	seed.Wipe()
	if _, r := h.carry(); len(r.MovedOut) != 1 {
		t.Errorf("%+v", r)
	}
}
