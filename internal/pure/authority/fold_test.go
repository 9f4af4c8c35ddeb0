// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// driver writes random entries, most of them fitting, to a state and to the model beside it.
type driver struct {
	*world
	m        model
	ids      []custody.RequestID
	sessions [][]byte
	slots    map[string]custody.RequestID // by slot: the request whose payloads use it
	effects  map[request.Operation]int
	boxes    []*box
}

func newDriver(t tester) *driver {
	d := &driver{world: furnished(t, worldOf(t, overseenDocument())), slots: map[string]custody.RequestID{}, effects: map[request.Operation]int{}}
	d.must(t, d.effect(t, d.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "vault", Chain: evm, Scheme: request.SchemeEVM, Temperature: request.Warm}, "bob")))
	d.s.life.Allowed = d.s.life.Allowed.Or(appPoints).Or(callPoints).With(points.TokenKeys)
	d.m = modelOf(d.s)
	for id := range d.s.doneIndex {
		o, _ := d.s.Done(id)
		d.m.own[id] = o.Own
		d.m.done = append(d.m.done, ended{id, o})
	}
	slices.SortFunc(d.m.done, func(a, b ended) int { return int(a.o.Seq) - int(b.o.Seq) })
	if d.m.root() != d.s.StateRoot() {
		t.Fatal("the model does not begin as the state does")
	}
	return d
}

func (d *driver) anyone(t *rapid.T) someone { return rapid.SampledFrom(people()).Draw(t, "who") }

func (d *driver) anyID(t *rapid.T) custody.RequestID {
	if len(d.ids) == 0 || rapid.IntRange(0, 20).Draw(t, "unknown") == 0 {
		return custody.RequestID{9}
	}
	open := d.s.PendingList()
	if n := rapid.IntRange(0, 9).Draw(t, "which"); n < 6 && len(open) > 0 {
		return rapid.SampledFrom(open[max(0, len(open)-4):]).Draw(t, "pending").ID
	} else if n < 9 {
		var ids []custody.RequestID
		for _, g := range d.s.Image().Signed {
			ids = append(ids, g.ID)
		}
		if len(ids) > 0 {
			return rapid.SampledFrom(ids).Draw(t, "signed")
		}
	}
	return rapid.SampledFrom(d.ids[max(0, len(d.ids)-12):]).Draw(t, "id")
}

// seldom is true now and then: then something is made wrong.
func seldom(t *rapid.T, what string) bool { return rapid.IntRange(0, 19).Draw(t, what) == 0 }

func (d *driver) newRequest(t *rapid.T) any {
	by := rapid.SampledFrom([]someone{who("alice"), who("alice"), who("service"), who("bob"), who("dave")}).Draw(t, "initiator")
	var op request.Operation
	var body any
	if rapid.IntRange(0, 5).Draw(t, "life") == 0 {
		op, body = d.lifeRequest(t)
	}
	switch n := rapid.IntRange(0, 11).Draw(t, "operation"); {
	case op != "":
	case n > 9:
		op, body = drawCall(t)
	case n == 0 && rapid.Bool().Draw(t, "warm"):
		op, body = d.warmRequest(t)
	default:
		op, body = d.walletRequest(t, n)
	}
	return d.asks(t, by, op, body)
}

// walletRequest draws a request of a wallet or the rules.
func (d *driver) walletRequest(t *rapid.T, n int) (op request.Operation, body any) {
	switch n {
	case 0, 1, 2:
		op, body = request.Transfer, payEVM(rapid.Uint64Range(1, 2000).Draw(t, "amount"))
	case 3, 4:
		op, body = request.Transfer, payBTC(rapid.Uint64Range(1, 2000).Draw(t, "amount"))
	case 5:
		b := request.WalletCreateBody{Wallet: custody.WalletID(fmt.Sprintf("w-%d", rapid.IntRange(0, 6).Draw(t, "wallet"))), Chain: evm, Scheme: request.SchemeEVM}
		if rapid.Bool().Draw(t, "old seed") {
			b.Seed, b.Account = d.s.keys[0].ID, rapid.Uint32Range(0, 2).Draw(t, "account")
		} else if rapid.IntRange(0, 2).Draw(t, "in the token") == 0 {
			b.Class = request.ClassToken
		}
		op, body = request.WalletCreate, b
	case 6:
		w := rapid.SampledFrom([]custody.WalletID{"hot", "hot", "hot", "w-0"}).Draw(t, "of")
		op, body = request.AddressCreate, request.AddressCreateBody{Wallet: w, Count: rapid.Uint32Range(1, 3).Draw(t, "count")}
	case 7:
		doc := d.s.Doc
		doc.Version, doc.PrevHash = doc.Version+1, d.s.Doc.Hash()
		doc.Floor.MaxApprovalAge = rapid.SampledFrom([]int64{3600, 24 * 3600, 7 * 24 * 3600}).Draw(t, "age")
		doc.Routes = slices.Clone(doc.Routes)
		doc.Routes[0].FeeCap = amount(rapid.Uint64Range(1, 900).Draw(t, "cap"))
		op, body = request.PolicyChange, request.PolicyChangeBody{Document: doc.Encode()}
	case 8:
		members := rapid.SampledFrom([][]string{{"alice", "bob", "carol"}, {"bob", "carol", "dave"}, {"alice", "bob", "carol", "dave"}}).Draw(t, "members")
		g := request.GroupSetBody{Group: "officers"}
		for _, n := range members {
			g.Members = append(g.Members, who(n).id)
		}
		slices.Sort(g.Members)
		op, body = request.GroupSet, g
	default:
		op, body = request.PersonRevoke, request.PersonRevokeBody{Person: who(rapid.SampledFrom([]string{"dave", "service", "carol"}).Draw(t, "revoked")).id}
	}
	return op, body
}

// asks decides on a request, now and then made wrong.
func (d *driver) asks(t *rapid.T, by someone, op request.Operation, body any) any {
	r := d.request(by, op, body)
	r.NotAfter = d.now/1e9 + rapid.SampledFrom([]int64{3600, 48 * 3600, 20 * 24 * 3600}).Draw(t, "life")
	if seldom(t, "reuse") && d.n > 3 {
		r.Key = fmt.Sprintf("k-%d", d.n-2)
	}
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	kind := policy.BySignature
	if len(d.sessions) > 0 && by.id == who("service").id && rapid.Bool().Draw(t, "by session") {
		kind = policy.BySession
	} else if seldom(t, "by call") {
		kind = policy.ByCall
	}
	e, err := d.s.DecideRequest(p, kind, d.at(), Derive)
	if err != nil {
		return nil
	}
	e.Evidence = evidence(by, p)
	if kind == policy.BySession {
		e.Evidence = request.Evidence{Session: rapid.SampledFrom(d.sessions).Draw(t, "session"), MAC: make([]byte, 32)}
	}
	if kind == policy.ByCall { // what is in it is for Audit
		e.Evidence.HTTP = &request.HTTPCall{Base: []byte("base"), Body: []byte("{}")}
	}
	switch {
	case seldom(t, "wrong evidence"):
		e.Evidence = evidence(d.anyone(t), p)
	case seldom(t, "wrong document"):
		e.Decision.Version++
	case seldom(t, "wrong facts"):
		e.Facts.Initiator = d.anyone(t).id
	}
	d.ids = append(d.ids, p.Ident)
	return e
}

func (d *driver) newPermit(t *rapid.T) any {
	id := d.anyID(t)
	var e *entry.Request
	for _, x := range d.log {
		if b, ok := x.body.(*entry.Request); ok {
			if r, _ := b.Parse(); r.Ident == id {
				e = b
			}
		}
	}
	if e == nil || !e.Effects.Operation.Signs() {
		return nil
	}
	if e.Effects.Message != nil {
		return d.messagePermit(t, e)
	}
	slot := inputs(byte(rapid.IntRange(0, 40).Draw(t, "input")), byte(rapid.IntRange(30, 60).Draw(t, "second input")))
	if w := e.Effects.Wallet; w != "cold" {
		slot = account0(d.s.NextNonce(w, 0))
		if seldom(t, "wrong nonce") {
			slot.Nonce += uint64(rapid.IntRange(-1, 1).Draw(t, "off by"))
		}
	}
	fee := rapid.Uint64Range(1, 600).Draw(t, "fee")
	if g, ok := d.s.Signed(id); ok && !seldom(t, "another slot") { // the slot of the attempt before
		for _, x := range d.log {
			if p, ok := x.body.(*entry.Permit); ok && x.leaf.Seq == g.Permit {
				slot = p.Slot
			}
		}
	}
	b := d.permit(t, id, fmt.Sprintf("payload %d", rapid.IntRange(0, 1000).Draw(t, "payload")), slot, fee)
	if e.Effects.Wallet == "cold" && rapid.Bool().Draw(t, "change") {
		b.Change = []entry.KeyPath{{Branch: 1, Index: rapid.Uint32Range(0, 30).Draw(t, "change index")}}
	}
	switch {
	case seldom(t, "wrong attempt"):
		b.Attempt++
	case seldom(t, "an approval left out") && len(b.Approvals) > 0:
		b.Approvals = b.Approvals[1:]
	case seldom(t, "an approval twice") && len(b.Approvals) > 0:
		b.Approvals = append(b.Approvals, b.Approvals[0])
	case seldom(t, "wrong trail"):
		b.Trail = append(b.Trail, 3)
	case seldom(t, "wrong wallet"):
		b.Wallet = "w-0"
	case seldom(t, "wrong payload hash"):
		b.PayloadHash[0] ^= 1
	}
	return b
}

func (d *driver) newEffect(t *rapid.T) any {
	p, ok := d.s.Pending(d.anyID(t))
	if !ok {
		return nil
	}
	e, body, err := d.s.DecideEffect(p, d.at(), Derive)
	if err != nil {
		r, perr := p.Parse()
		if perr != nil {
			t.Fatal(perr)
		}
		e, body = &entry.Effect{Request: p.ID, Decision: d.s.Rules.Evaluate(policy.Facts{Operation: r.Operation, Initiator: p.Initiator, Evidence: p.Evidence})}, r.Decoded
	}
	if o, ok := body.(*request.WalletCreateBody); ok {
		madeUp(t, d.s, o, e)
		if e.Key != nil && seldom(t, "another seed") {
			e.Key.ID, e.Wallet.Key = d.s.keys[0].ID, d.s.keys[0].ID
		}
		switch {
		case seldom(t, "another class"):
			e.Wallet.Class = map[request.Class]request.Class{"": request.ClassToken, request.ClassToken: ""}[e.Wallet.Class]
		case seldom(t, "another kind") && e.Key != nil:
			e.Key.Kind = map[string]string{entry.KindSeed: entry.KindTokenKey, entry.KindTokenKey: entry.KindSeed}[e.Key.Kind]
		case seldom(t, "a chain code"):
			e.Wallet.ChainCode[0] ^= 1
		}
	}
	if e.Life != nil {
		d.made(body, e)
		d.spoilLife(t, e.Life)
	}
	switch {
	case seldom(t, "wrong approvals"):
		e.Approvals = append(e.Approvals, 1)
	case seldom(t, "another document"):
		e.Document = d.s.Doc.Encode()
	case seldom(t, "other addresses") && e.Addresses != nil:
		e.Addresses.From++
	}
	return e
}

func (d *driver) newSession(t *rapid.T) any {
	by := who("service")
	if seldom(t, "by a person") {
		by = d.anyone(t)
	}
	id := sha256.Sum256([]byte(fmt.Sprint("session ", rapid.IntRange(0, 30).Draw(t, "session number"))))
	o := request.SessionOpening{V: 1, Authority: d.s.Authority, Domain: d.s.Domain, Service: by.id, Ephemeral: make([]byte, 32),
		NotAfter: d.now/1e9 + rapid.SampledFrom([]int64{0, 60, 3600, request.MaxSession, request.MaxSession + 100}).Draw(t, "session life")}
	d.sessions = append(d.sessions, id[:16])
	return &entry.Session{Opening: canon.Encode(o), Key: by.pub.Ref(), Sig: make([]byte, 64), Session: id[:16], Ephemeral: make([]byte, 32)}
}

func (d *driver) body(t *rapid.T) any {
	switch rapid.IntRange(0, 19).Draw(t, "kind") {
	case 0, 1, 2, 3:
		return d.newRequest(t)
	case 4, 5, 6, 7, 8:
		by, id := d.anyone(t), d.anyID(t)
		dec := rapid.SampledFrom([]request.Decision{request.Approve, request.Approve, request.Approve, request.Approve, request.Approve, request.Approve, request.Reject, request.Reject, request.Cancel}).Draw(t, "decision")
		if p, ok := d.s.Pending(id); ok && dec == request.Cancel && !seldom(t, "another's request") {
			by = people()[slices.IndexFunc(people(), func(x someone) bool { return x.id == p.Initiator })]
		}
		a := request.Approval{Request: id, Person: by.id, Decision: dec, Key: by.pub.Ref(), Sig: make([]byte, 64)}
		if seldom(t, "another's key") {
			a.Key = d.anyone(t).pub.Ref()
		}
		return &entry.Approval{Approval: a}
	case 9, 10, 11, 12:
		return d.newPermit(t)
	case 13:
		b := d.result(d.anyID(t))
		if seldom(t, "wrong permit") {
			b.Permit++
		}
		return b
	case 14:
		return &entry.Refusal{Request: d.anyID(t), Act: rapid.SampledFrom([]string{"approve", "permit", "execute", "dance"}).Draw(t, "act"), Kind: rapid.SampledFrom([]problem.Kind{problem.Unauthenticated, problem.RefusedByRule}).Draw(t, "refusal"), Final: seldom(t, "final")}
	case 15, 16, 17:
		return d.newEffect(t)
	case 18:
		return d.newSession(t)
	default:
		if rapid.IntRange(0, 2).Draw(t, "fact") == 0 {
			return d.lifeFact(t)
		}
		if rapid.Bool().Draw(t, "snapshot") {
			root := d.s.StateRoot()
			if seldom(t, "wrong root") {
				root[0] ^= 1
			}
			return &entry.Snapshot{Root: root}
		}
		return &entry.Writer{Epoch: d.s.Writer + rapid.Uint64Range(0, 2).Draw(t, "epoch")}
	}
}

// step lets some time pass and writes an entry, or a few.
func (d *driver) step(t *rapid.T) {
	d.advance(rapid.SampledFrom([]time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, time.Second, time.Second, time.Minute, time.Minute, time.Hour, 12 * time.Hour, 8 * 24 * time.Hour}).Draw(t, "later"))
	d.bound = int64(rapid.SampledFrom([]time.Duration{0, time.Millisecond, time.Second, time.Minute}).Draw(t, "bound"))
	if n := rapid.IntRange(0, 18).Draw(t, "story"); n < 2 {
		d.story(t)
	} else if n < 5 {
		d.lifeStory(t)
	} else if n == 5 {
		op, body := d.warmRequest(t)
		d.through(t, op, body)
	} else if n == 6 {
		d.vaultStory(t)
	} else if n == 7 && rapid.IntRange(0, 3).Draw(t, "lost") == 0 {
		d.reanchorStory(t)
	} else if n < 9 {
		d.appStory(t)
	} else if n == 9 {
		d.callStory(t)
	} else if n < 11 {
		d.coldStory(t)
	} else if n == 12 && rapid.Bool().Draw(t, "oversight") {
		d.overseeingStory(t)
	} else if n == 11 && seldom(t, "tampered with") {
		d.submit(t, &entry.Tamper{Cause: "the lid"})
	} else if body := d.body(t); body != nil {
		d.submit(t, body)
	}
}

// story is a transfer as it should be: asked for, approved where that is needed, and permitted.
func (d *driver) story(t *rapid.T) {
	by := rapid.SampledFrom([]someone{who("alice"), who("service")}).Draw(t, "initiator")
	r := d.request(by, request.Transfer, rapid.SampledFrom([]request.TransferBody{payEVM(10), payBTC(20)}).Draw(t, "transfer"))
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	e := d.decided(t, by, r)
	if e == nil {
		return
	}
	d.submit(t, e)
	if _, ok := d.s.Pending(p.Ident); !ok {
		return
	}
	for _, n := range []string{"bob", "carol"} {
		d.submit(t, d.approval(t, p.Ident, who(n), request.Approve))
	}
	slot := inputs(byte(d.n))
	if e.Effects.Wallet == "hot" {
		slot = account0(d.s.NextNonce("hot", 0))
	}
	d.submit(t, d.permit(t, p.Ident, "story", slot, 1))
	if rapid.Bool().Draw(t, "settled") {
		d.submit(t, d.result(p.Ident))
	}
}

// decided gives the entry of a request, or nil if it can't be asked for now.
func (d *driver) decided(t *rapid.T, by someone, r request.Request) *entry.Request {
	p, err := request.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	e, err := d.s.DecideRequest(p, policy.BySignature, d.at(), Derive)
	if err != nil {
		return nil
	}
	e.Evidence = evidence(by, p)
	d.ids = append(d.ids, p.Ident)
	return e
}

// submit writes an entry to both.
func (d *driver) submit(t *rapid.T, body any) {
	l := d.leaf(body)
	if rapid.IntRange(0, 30).Draw(t, "bad leaf") == 0 {
		spoil := rapid.SampledFrom([]func(*entry.Leaf){func(l *entry.Leaf) { l.Seq++ }, func(l *entry.Leaf) { l.Prev[0] ^= 1 }, func(l *entry.Leaf) { l.Domain[0] ^= 1 }, func(l *entry.Leaf) { l.Authority[0] ^= 1 },
			func(l *entry.Leaf) { l.Time = d.s.Time - 1 }, func(l *entry.Leaf) { l.Writer++ }, func(l *entry.Leaf) { l.KindVersion = 2 }, func(l *entry.Leaf) { l.Engine = "other" },
			func(l *entry.Leaf) { l.Bodies = nil }, func(l *entry.Leaf) { l.Kind = entry.KindGenesis }}).Draw(t, "spoil")
		spoil(&l)
	}
	hash := entry.Hash(l.Encode())
	before := d.s.StateRoot()
	var op request.Operation // of an effect
	if e, ok := body.(*entry.Effect); ok {
		if p, ok := d.s.Pending(e.Request); ok {
			op = p.Effects.Operation
		}
	}
	next, modelErr := d.m.apply(l, hash, body)
	err := d.s.Apply(l, hash, body)
	if (err == nil) != (modelErr == nil) {
		t.Fatalf("%s: the state says %v, the model %v", l.Kind, err, modelErr)
	}
	root := d.s.StateRoot()
	if err != nil {
		if root != before {
			t.Fatalf("%s was refused (%v), and changed the state", l.Kind, err)
		}
		return
	}
	if d.m = next; root != d.m.root() {
		t.Fatalf("after %s the state's root is not the model's", l.Kind)
	}
	d.log = append(d.log, logged{l, hash, body})
	if op != "" {
		d.effects[op]++
	}
	if p, ok := body.(*entry.Permit); ok {
		if g, ok := d.s.Signed(p.Request); ok {
			d.effects[g.Operation]++
		}
		if !eth.IsMessage(p.Payload) {
			d.oneSlot(t, p)
		}
	}
}

// oneSlot: no slot is ever used by two requests, nor twice by one but for a replacement of the same slot.
func (d *driver) oneSlot(t *rapid.T, p *entry.Permit) {
	names := []string{fmt.Sprint(p.Wallet, p.Keys[0], p.Slot.Nonce)}
	if len(p.Slot.Inputs) > 0 {
		names = nil
		for _, in := range p.Slot.Inputs {
			names = append(names, fmt.Sprint(in))
		}
	}
	for _, n := range names {
		if was, ok := d.slots[n]; ok && (was != p.Request || p.Attempt == 1) {
			t.Fatalf("slot %s is of request %s, and was of %s", n, p.Request, was)
		}
		d.slots[n] = p.Request
	}
}

// rootBySpec makes an image's root as docs/spec/state.md words it, section by section.
func rootBySpec(m Image) [32]byte {
	var hashes [][32]byte
	for _, v := range m.sections() {
		hashes = append(hashes, canon.Hash(canon.TagSection, struct {
			N uint `cbor:"1,keyasint"`
			V any  `cbor:"2,keyasint"`
		}{uint(v.number), v.value}))
	}
	return canon.Hash(canon.TagStateRoot, hashes)
}

// restored gives the state as a start from a snapshot makes it.
func (d *driver) restored(t tester) *State {
	var img Image
	if err := canon.Decode(canon.Encode(d.s.Image()), &img); err != nil {
		t.Fatal(err)
	}
	chunks := d.s.Chunks()
	s, err := Restore(img, func(h [32]byte) ([]byte, error) { return chunks[h], nil })
	if err != nil {
		t.Fatal(err)
	}
	if enc, root := img.Encode(); !bytes.Equal(enc, canon.Encode(img)) || root != rootBySpec(img) {
		t.Fatal("the image's encoding or root is not what docs/spec/state.md says")
	}
	if s.StateRoot() != d.s.StateRoot() {
		t.Fatal("the restored state has another root")
	}
	return s
}

// The state and the model agree on every entry: accepted or refused, and the root after it; also after a start from a snapshot.
func TestFoldIsTheModel(t *testing.T) {
	t.Parallel()
	counts := lawtest.Counts{}
	names := []string{"request", "approval", "permit", "result", "refusal", "effect", "session", "snapshot", "writer", "reencipher", "erased", "tamper", "reanchor", "gap", "uses", "offline", "void", "executed", "signed", "refused", "rejected", "cancelled", "expired"}
	for _, op := range request.Operations() {
		if op.LifeCycle() || op.Oversight() || op == request.WalletCreate || op == request.AddressCreate || op == request.PolicyChange || op == request.PersonRevoke || op == request.GroupSet || op == request.WalletTemperature || op == request.WarmOpen || op == request.WarmClose || op == request.WalletMove || op == request.SlotReconcile || op == request.AppGrant || op == request.AppRevoke || op == request.AppKeyRevoke || op == request.ContractCall || op == request.MessageSign {
			names = append(names, string(op))
		}
	}
	lawtest.Check(t, counts.Want(1, names...), func(t *rapid.T) {
		d := newDriver(t)
		for range rapid.IntRange(50, 150).Draw(t, "steps") {
			if rapid.IntRange(0, 15).Draw(t, "restart") == 0 {
				d.s = d.restored(t)
			}
			d.step(t)
		}
		for _, x := range d.log {
			counts[string(x.leaf.Kind)]++
		}
		for id := range d.s.doneIndex {
			o, _ := d.s.Done(id)
			counts[o.End.String()]++
		}
		for op, n := range d.effects {
			counts[string(op)] += n
		}
		d.countCold(counts)
	})
	t.Log(counts)
}
