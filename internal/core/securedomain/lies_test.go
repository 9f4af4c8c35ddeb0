// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"

	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/proof"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
	"strongroom/verify"
)

// shown is an entry of a proof, open for changes.
type shown struct {
	leaf entry.Leaf
	body any
	salt []byte
}

// lyingCore writes proofs about a log of its own making, under the domain's log key.
type lyingCore struct {
	t *testing.T
	h *domaintest.Harness
}

func (c lyingCore) read(file []byte) []shown {
	c.t.Helper()
	f, err := proof.Decode(file)
	if err != nil {
		c.t.Fatal(err)
	}
	var out []shown
	for _, e := range f.Entries {
		l, err := entry.DecodeLeaf(e.Leaf)
		if err != nil {
			c.t.Fatal(err)
		}
		b, err := authority.DecodeBody(l.Kind, l.KindVersion, e.Bodies[0].Body)
		if err != nil {
			c.t.Fatal(err)
		}
		out = append(out, shown{l, b, e.Bodies[0].Salt})
	}
	return out
}

// write makes the proof file of a log that holds these entries, and anything between them.
func (c lyingCore) write(id custody.RequestID, entries []shown) []byte {
	c.t.Helper()
	f := proof.File{V: 1, Request: id}
	leaves := map[uint64][32]byte{}
	size := uint64(0)
	for _, x := range entries {
		b := canon.Encode(x.body)
		if x.leaf.Seq > 0 { // genesis stays: its hash is the domain's id
			x.leaf.Bodies = []entry.BodyRef{entry.Ref(x.leaf.Bodies[0].Class, [16]byte(x.salt), b)}
		}
		raw := x.leaf.Encode()
		leaves[x.leaf.Seq] = entry.Hash(raw)
		size = max(size, x.leaf.Seq+1)
		f.Entries = append(f.Entries, proof.Entry{Leaf: raw, Bodies: []proof.Body{{Salt: x.salt, Body: b}}})
	}
	hashes := make([][32]byte, size)
	for i := range hashes {
		hashes[i] = sha256.Sum256([]byte{byte(i)})
		if h, ok := leaves[uint64(i)]; ok {
			hashes[i] = h
		}
	}
	for i, x := range entries {
		f.Entries[i].Path = path(hashes, int(x.leaf.Seq))
	}
	key, err := tlog.NewKey(entry.Origin(c.h.D.ID(), 1), ed25519.PublicKey(c.h.Genesis.LogKey))
	if err != nil {
		c.t.Fatal(err)
	}
	f.Checkpoint, err = tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: size, Root: root(hashes)}, key, func(m []byte) ([]byte, error) { return c.h.D.SignLog(m), nil })
	if err != nil {
		c.t.Fatal(err)
	}
	f.Word = proof.Word{Size: size, State: stateOf(id, entries)}
	claim := proof.Claim{Authority: c.h.D.Authority(), Domain: c.h.D.ID(), Request: id, Size: size, State: f.Word.State}
	for _, x := range entries {
		claim.Entries = append(claim.Entries, x.leaf.Seq)
	}
	f.Word.Sig = c.h.D.SignIdentity(claim.Message())
	return f.Encode()
}

// stateOf gives the state that the entries of a request lead to.
func stateOf(id custody.RequestID, entries []shown) string {
	state := "pending"
	for _, x := range entries {
		switch b := x.body.(type) {
		case *entry.Request:
			if b.Decision.Outcome != policy.Allowed {
				state = "refused"
			}
		case *entry.Permit, *entry.Result:
			state = "signed"
		case *entry.Effect:
			if b.Request == id {
				state = "executed"
			}
		case *entry.Refusal:
			if b.Final {
				state = "refused"
			}
		case *entry.Approval:
			switch b.Approval.Decision {
			case request.Cancel:
				state = "cancelled"
			case request.Reject:
				state = "rejected"
			}
		}
	}
	return state
}

// split gives the largest power of two below n (RFC 6962 section 2.1).
func split(n int) int {
	k := 1
	for k*2 < n {
		k *= 2
	}
	return k
}

func root(h [][32]byte) [32]byte {
	if len(h) == 1 {
		return h[0]
	}
	k := split(len(h))
	l, r := root(h[:k]), root(h[k:])
	return sha256.Sum256(slices.Concat([]byte{1}, l[:], r[:]))
}

func path(h [][32]byte, i int) [][32]byte {
	if len(h) == 1 {
		return [][32]byte{}
	}
	if k := split(len(h)); i < k {
		return append(path(h[:k], i), root(h[k:]))
	} else {
		return append(path(h[k:], i-k), root(h[:k]))
	}
}

func find[T any](t *testing.T, entries []shown, n int) (*shown, T) {
	t.Helper()
	for i := range entries {
		if b, ok := entries[i].body.(T); ok {
			if n == 0 {
				return &entries[i], b
			}
			n--
		}
	}
	var none T
	t.Fatalf("no %T in the proof", none)
	return nil, none
}

func drop(entries []shown, x *shown) []shown {
	return slices.DeleteFunc(slices.Clone(entries), func(y shown) bool { return y.leaf.Seq == x.leaf.Seq })
}

// signedStory is a transfer with a refusal, two attempts and their results.
func signedStory(t *testing.T, h *domaintest.Harness) custody.RequestID {
	t.Helper()
	v := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 1000)), h.Bob, h.Carol)
	if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Stranger, 1000, 0, 10)); err == nil {
		t.Fatal("paid a stranger")
	}
	for _, price := range []uint64{10, 20} {
		if _, err := h.D.Sign(context.Background(), v.ID, payload(t, domaintest.Whitelisted, 1000, 0, price)); err != nil {
			t.Fatal(err)
		}
	}
	lastEntry(t, h)
	return v.ID
}

// A core that lies, with the log key in its hands, can't show a payment that people did not approve, nor hide what it tells elsewhere.
func TestProofsOfALyingCore(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	c := lyingCore{t, h}
	id := signedStory(t, h)
	other := approvals(t, h, submitted(t, h, h.Alice, pay(h, h.Alice, domaintest.Whitelisted, 9)), h.Bob)
	honest, err := h.D.Proof(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	otherFile, err := h.D.Proof(context.Background(), other.ID)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := find[*entry.Approval](t, c.read(otherFile), 0)
	if _, err := verify.Proof(c.write(id, c.read(honest)), h.Genesis.LogKey); err != nil {
		t.Fatalf("the same entries in another tree: %v", err)
	}
	for name, lie := range map[string]func([]shown) []shown{
		"no approvals": func(e []shown) []shown { _, p := find[*entry.Permit](t, e, 0); p.Approvals = nil; return e },
		"approvals consumed by nobody are left out": func(e []shown) []shown {
			a, _ := find[*entry.Approval](t, e, 1)
			_, p := find[*entry.Permit](t, e, 0)
			p.Approvals = p.Approvals[:1]
			return drop(e, a)
		},
		"one approval twice": func(e []shown) []shown {
			_, p := find[*entry.Permit](t, e, 0)
			p.Approvals[1] = p.Approvals[0]
			return e
		},
		"another request's approval": func(e []shown) []shown {
			a, _ := find[*entry.Approval](t, e, 1)
			a.body = foreign.body
			return e
		},
		"a forged approval": func(e []shown) []shown { _, a := find[*entry.Approval](t, e, 0); a.Approval.Sig[5] ^= 1; return e },
		"a reject as approval": func(e []shown) []shown {
			_, a := find[*entry.Approval](t, e, 0)
			a.Approval.Decision = request.Reject
			return e
		},
		"an approval after the permit": func(e []shown) []shown {
			a, _ := find[*entry.Approval](t, e, 1)
			_, p := find[*entry.Permit](t, e, 0)
			late := e[len(e)-1].leaf.Seq + 1
			a.leaf.Seq, p.Approvals[1] = late, late
			slices.SortFunc(e, func(x, y shown) int { return int(x.leaf.Seq) - int(y.leaf.Seq) })
			return e
		},
		"an automatic decision": func(e []shown) []shown {
			_, p := find[*entry.Permit](t, e, 0)
			p.Decision.Auto, p.Decision.Plan = true, policy.Plan{}
			return e
		},
		"another destination": func(e []shown) []shown {
			_, p := find[*entry.Permit](t, e, 0)
			p.Payload = payload(t, domaintest.Stranger, 1000, 0, 10)
			p.PayloadHash = canon.HashBytes(canon.TagPayload, p.Payload)
			return e
		},
		"another payload hash": func(e []shown) []shown { _, p := find[*entry.Permit](t, e, 0); p.PayloadHash[0] ^= 1; return e },
		"a fee above the cap": func(e []shown) []shown {
			_, p := find[*entry.Permit](t, e, 1)
			p.Payload = payload(t, domaintest.Whitelisted, 1000, 0, 101)
			p.PayloadHash, p.Fee = canon.HashBytes(canon.TagPayload, p.Payload), custody.U64(21000*101)
			return e
		},
		"a replacement in another slot": func(e []shown) []shown {
			_, p := find[*entry.Permit](t, e, 1)
			p.Payload, p.Slot.Nonce = payload(t, domaintest.Whitelisted, 1000, 1, 20), 1
			p.PayloadHash = canon.HashBytes(canon.TagPayload, p.Payload)
			return e
		},
		"a replacement that pays less": func(e []shown) []shown {
			_, p := find[*entry.Permit](t, e, 1)
			p.Payload = payload(t, domaintest.Whitelisted, 1000, 0, 5)
			p.PayloadHash, p.Fee = canon.HashBytes(canon.TagPayload, p.Payload), custody.U64(21000*5)
			return e
		},
		"the first attempt twice":    func(e []shown) []shown { _, p := find[*entry.Permit](t, e, 1); p.Attempt = 1; return e },
		"the first attempt left out": func(e []shown) []shown { x, _ := find[*entry.Permit](t, e, 0); return drop(e, x) },
		"the refusal left out":       func(e []shown) []shown { x, _ := find[*entry.Refusal](t, e, 0); return drop(e, x) },
		"an approval left out":       func(e []shown) []shown { x, _ := find[*entry.Approval](t, e, 0); return drop(e, x) },
		"the wallet left out":        func(e []shown) []shown { x, _ := find[*entry.Effect](t, e, 0); return drop(e, x) },
		"the request left out":       func(e []shown) []shown { x, _ := find[*entry.Request](t, e, 0); return drop(e, x) },
		"genesis left out":           func(e []shown) []shown { return e[1:] },
		"entries swapped":            func(e []shown) []shown { e[2], e[3] = e[3], e[2]; return e },
		"an entry twice":             func(e []shown) []shown { return slices.Insert(e, 3, e[2]) },
		"a permit after the end":     func(e []shown) []shown { x, _ := find[*entry.Permit](t, e, 0); x.leaf.Time += 3600 * 1e9; return e },
		"an approval after the end":  func(e []shown) []shown { x, _ := find[*entry.Approval](t, e, 0); x.leaf.Time += 3600 * 1e9; return e },
		"another engine": func(e []shown) []shown {
			x, _ := find[*entry.Permit](t, e, 0)
			x.leaf.Engine = "strongroom/9"
			return e
		},
		"another domain's entry": func(e []shown) []shown { x, _ := find[*entry.Permit](t, e, 0); x.leaf.Domain[0] ^= 1; return e },
		"other effects": func(e []shown) []shown {
			_, r := find[*entry.Request](t, e, 0)
			r.Effects.Outputs[0].Amount = custody.U64(1)
			return e
		},
		"wider bounds": func(e []shown) []shown {
			_, r := find[*entry.Request](t, e, 0)
			r.Bounds.FeeCap = custody.U64(1 << 60)
			return e
		},
		"another slot policy": func(e []shown) []shown {
			_, r := find[*entry.Request](t, e, 0)
			r.Bounds.Slot = request.NoSlot
			return e
		},
		"other facts": func(e []shown) []shown {
			_, r := find[*entry.Request](t, e, 0)
			r.Facts.Destinations[0].Kind = policy.OneTime
			return e
		},
		"another decision": func(e []shown) []shown {
			_, r := find[*entry.Request](t, e, 0)
			r.Decision.Rule = "small-by-service"
			return e
		},
		"another evidence": func(e []shown) []shown { _, r := find[*entry.Request](t, e, 0); r.Evidence.Sig[0] ^= 1; return e },
		"a session instead": func(e []shown) []shown {
			_, r := find[*entry.Request](t, e, 0)
			r.Evidence = request.Evidence{Session: make([]byte, 16), MAC: make([]byte, 32)}
			return e
		},
		"another signature":          func(e []shown) []shown { _, r := find[*entry.Result](t, e, 0); r.Signatures[0][7] ^= 1; return e },
		"no signature":               func(e []shown) []shown { _, r := find[*entry.Result](t, e, 0); r.Signatures = nil; return e },
		"another transaction id":     func(e []shown) []shown { _, r := find[*entry.Result](t, e, 0); r.TxID = "0x00"; return e },
		"a result before its permit": func(e []shown) []shown { _, r := find[*entry.Result](t, e, 0); r.Permit++; return e },
		"a rule document of its own": func(e []shown) []shown {
			_, g := find[*entry.Genesis](t, e, 0)
			d, err := policy.DecodeDocument(g.Document)
			if err != nil {
				t.Fatal(err)
			}
			d.Routes[1].Plan.AnyOf[0].Steps[0].Min = 1
			g.Document = d.Encode()
			return e
		},
	} {
		file := c.write(id, lie(c.read(honest)))
		if _, err := verify.Proof(file, h.Genesis.LogKey); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("%s: the proof holds (%v)", name, err)
		}
	}
}

// The same for what is no transfer: an effect must be what was asked for, and allowed.
func TestProofsOfLyingEffects(t *testing.T) {
	t.Parallel()
	h := hotDomain(t, domaintest.Options{})
	c := lyingCore{t, h}
	addresses := submitted(t, h, h.Alice, h.Request(h.Alice, request.AddressCreate, request.AddressCreateBody{Wallet: "hot", Count: 3})).ID
	ask := h.Request(h.Alice, request.WhitelistRemove, request.WhitelistRemoveBody{ID: "exchange"})
	approvals(t, h, submitted(t, h, h.Alice, ask), h.Bob, h.Carol)
	wallet := h.Request(h.Alice, request.WalletCreate, request.WalletCreateBody{Wallet: "second", Chain: domaintest.Chain, Scheme: request.SchemeEVM})
	approvals(t, h, submitted(t, h, h.Alice, wallet), h.Bob)
	for name, x := range map[string]struct {
		id  custody.RequestID
		lie func(*entry.Effect)
	}{
		"other addresses":      {addresses, func(b *entry.Effect) { b.Addresses.Root[0] ^= 1 }},
		"more addresses":       {addresses, func(b *entry.Effect) { b.Addresses.Count++ }},
		"another wallet's":     {addresses, func(b *entry.Effect) { b.Addresses.Wallet = "cold" }},
		"a document with them": {addresses, func(b *entry.Effect) { b.Document = []byte{1} }},
		"another document": {ask.ID(), func(b *entry.Effect) {
			d, err := policy.DecodeDocument(b.Document)
			if err != nil {
				t.Fatal(err)
			}
			d.Guards = nil
			b.Document = d.Encode()
		}},
		"no approvals":        {ask.ID(), func(b *entry.Effect) { b.Approvals = nil }},
		"an automatic change": {ask.ID(), func(b *entry.Effect) { b.Decision.Auto = true }},
		"another wallet":      {wallet.ID(), func(b *entry.Effect) { b.Wallet.ID = "third" }},
		"another account":     {wallet.ID(), func(b *entry.Effect) { b.Wallet.Account++ }},
		"another key":         {wallet.ID(), func(b *entry.Effect) { b.Wallet.ChainCode[0] ^= 1 }},
		"an old seed":         {wallet.ID(), func(b *entry.Effect) { b.Key = nil }},
		"no address":          {wallet.ID(), func(b *entry.Effect) { b.Addresses = nil }},
		"no wallet":           {wallet.ID(), func(b *entry.Effect) { b.Wallet = nil }},
	} {
		file, err := h.D.Proof(context.Background(), x.id)
		if err != nil {
			t.Fatal(err)
		}
		e := c.read(file)
		if r, err := verify.Proof(c.write(x.id, e), h.Genesis.LogKey); err != nil || !r.Executed {
			t.Fatalf("%s: the honest proof: %v, %+v", name, err, r)
		}
		b, ok := e[len(e)-1].body.(*entry.Effect)
		if !ok {
			t.Fatalf("%s: the last entry is a %T", name, e[len(e)-1].body)
		}
		x.lie(b)
		if _, err := verify.Proof(c.write(x.id, e), h.Genesis.LogKey); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("%s: the proof holds (%v)", name, err)
		}
	}
}

// A proof is of one domain, under one log key.
func TestProofOfAnotherDomain(t *testing.T) {
	t.Parallel()
	a, b := hotDomain(t, domaintest.Options{}), hotDomain(t, domaintest.Options{})
	id := signedStory(t, a)
	file, err := a.D.Proof(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify.Proof(file, a.Genesis.LogKey); err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]ed25519.PublicKey{"another domain's key": b.Genesis.LogKey, "the identity key": a.Genesis.Identity, "no key": nil, "half a key": a.Genesis.LogKey[:16]} {
		if _, err := verify.Proof(file, key); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("%s: the proof holds (%v)", name, err)
		}
	}
	// Entries of one domain under the other's checkpoint.
	f, err := proof.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	f.Checkpoint = b.D.Status().Checkpoint
	if _, err := verify.Proof(f.Encode(), b.Genesis.LogKey); !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("under another domain's checkpoint: %v", err)
	}
	f.Checkpoint = a.D.Status().Checkpoint
	f.Request[0] ^= 1
	if _, err := verify.Proof(f.Encode(), a.Genesis.LogKey); !errors.Is(err, verify.ErrInvalid) {
		t.Errorf("of another request: %v", err)
	}
	for _, bad := range [][]byte{nil, {0xa0}, file[:len(file)-1], append(slices.Clone(file), 0)} {
		if _, err := verify.Proof(bad, a.Genesis.LogKey); !errors.Is(err, verify.ErrInvalid) {
			t.Errorf("%d bytes: %v", len(bad), err)
		}
	}
}
