// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// afar is a world with an offline domain.
type afar struct {
	*world
	box *box
}

func newAfar(t tester) afar {
	w := newWorld(t)
	a := afar{w, newBox(t, w.s.Authority, "box")}
	a.does(t, request.PointsSet, request.PointsSetBody{Counter: 1, Allow: points.Make(points.MoveIn, points.MoveOut)})
	a.does(t, request.OfflineAdd, a.box.adds(2))
	return a
}

func (a afar) does(t tester, op request.Operation, body any) *entry.Effect {
	t.Helper()
	e := a.effect(t, a.approved(t, op, body, "bob", "carol"))
	a.must(t, e)
	return e
}

func (a afar) goes(wallet custody.WalletID) request.WalletMoveBody {
	return request.WalletMoveBody{Wallet: wallet, To: a.box.id[:], Temperature: request.Cold}
}

func (a afar) comes(wallet custody.WalletID, as request.Temperature) request.WalletMoveBody {
	return request.WalletMoveBody{Wallet: wallet, To: a.s.Domain[:], Temperature: as}
}

// movedIn is what the offline domain writes when it took a wallet's key in.
func (a afar) movedIn(t tester, wallet custody.WalletID) *offline.MovedIn {
	t.Helper()
	x, ok := a.s.Away(wallet)
	w, _, _ := a.s.Wallet(wallet)
	if !ok {
		t.Fatalf("wallet %s is not away", wallet)
	}
	return &offline.MovedIn{Wallet: wallet, Key: w.Key, Blob: [32]byte{1}, Entry: x.Move, Used: x.Import, Next: importKey("after " + string(wallet))}
}

func (a afar) movedOut(t tester, wallet custody.WalletID) *offline.MovedOut {
	t.Helper()
	x, _ := a.s.Away(wallet)
	w, _, _ := a.s.Wallet(wallet)
	return &offline.MovedOut{Wallet: wallet, Key: w.Key, Entry: x.Move, Copy: [32]byte{1}}
}

// tells writes to the offline domain's log and brings the result.
func (a afar) tells(t tester, taken []entry.TakenKey, bodies ...any) *entry.Offline {
	t.Helper()
	known, _ := a.s.OfflineDomain(a.box.id)
	a.box.back(int(known.Size()))
	for _, b := range bodies {
		a.box.write(t, a.s.Authority, b)
	}
	e := a.box.result(t, a.s)
	e.Taken = taken
	return e
}

func (a afar) erases(t tester) {
	t.Helper()
	a.must(t, &entry.Erased{Blobs: entry.ListOf(a.s.blobs.Doomed)})
}

// away moves a wallet to the offline domain, all the way.
func (a afar) away(t tester, wallet custody.WalletID) {
	t.Helper()
	a.does(t, request.WalletMove, a.goes(wallet))
	a.erases(t)
	a.must(t, a.tells(t, nil, a.movedIn(t, wallet)))
	a.erases(t)
}

func (a afar) seed(wallet custody.WalletID) entry.NewKey {
	w, _, _ := a.s.Wallet(wallet)
	k, _ := a.s.Key(w.Key)
	return k
}

func (a afar) kind(t tester, op request.Operation, body any) problem.Kind {
	t.Helper()
	return vault{a.world}.kind(t, op, body)
}

// There and back: the key's blob goes first, then the key; what waits is signed there; the key comes back with a new blob, and the addresses stay.
func TestColdThereAndBack(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	was, _, _ := a.s.Wallet("hot")
	blob := a.seed("hot").Blob
	e := a.does(t, request.WalletMove, a.goes("hot"))
	if a.s.Temperature("hot") != request.Cold || a.seed("hot").Blob != [32]byte{} || !slices.Contains(a.s.Doomed(), entry.Blob{Key: was.Key, Hash: blob}) || e.Move.Doomed.Count != 1 {
		t.Fatalf("%+v", a.s.Doomed())
	}
	a.refused(t, "arrived before the blob was erased", a.tells(t, nil, a.movedIn(t, "hot")))
	a.erases(t)
	if x, _ := a.s.Away("hot"); x.Way != Leaving || !x.Erased {
		t.Fatalf("%+v", x)
	}
	a.must(t, a.tells(t, nil, &offline.Import{Number: 1, Size: a.s.Next, Time: 1}, a.movedIn(t, "hot")))
	if x, _ := a.s.Away("hot"); x.Way != Held || x.Copy != nil || !slices.Equal(a.s.Doomed(), []entry.Blob{{Key: SealedCopies, Hash: [32]byte(e.Move.Copy)}}) {
		t.Fatalf("%+v", x)
	}
	if d, _ := a.s.OfflineDomain(a.box.id); d.Knows != a.s.Next-1 || d.Taken != 0 || d.Import.ID != importKey("after hot").ID {
		t.Fatalf("%+v", d)
	}
	a.erases(t)
	id := a.approved(t, request.Transfer, payEVM(100), "bob", "carol")
	a.must(t, a.permit(t, id, "cold", account0(0), 10))
	if d, ok := a.s.Exported(id); !ok || d != a.box.id || len(a.s.ExportedTo(a.box.id)) != 1 {
		t.Fatal("the permit does not wait for the offline domain")
	}
	a.must(t, a.result(id))
	if _, ok := a.s.Exported(id); ok {
		t.Fatal("a permit with its result waits")
	}
	a.does(t, request.WalletMove, a.comes("hot", request.Warm))
	late := a.approved(t, request.Transfer, payEVM(100), "bob", "carol")
	a.refused(t, "a permit while the key is on its way back", a.permit(t, late, "late", account0(1), 10))
	back := entry.TakenKey{Key: was.Key, Epoch: a.s.Epoch, Blob: [32]byte{9}}
	a.refused(t, "no blob is named", a.tells(t, nil, a.movedOut(t, "hot")))
	a.must(t, a.tells(t, []entry.TakenKey{back}, a.movedOut(t, "hot")))
	if now, _, _ := a.s.Wallet("hot"); string(canon.Encode(now)) != string(canon.Encode(was)) || a.seed("hot").Blob != back.Blob || a.s.Temperature("hot") != request.Warm {
		t.Error("the wallet is not what it was, or its key not back")
	}
	if a.s.DoomedCount() != 1 { // the import key
		t.Errorf("%+v", a.s.Doomed())
	}
}

// What can't be asked for, and why.
func TestColdRefusals(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	a.must(t, a.effect(t, a.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "lone", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	a.away(t, "lone")
	a.must(t, a.effect(t, a.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "twin", Chain: evm, Scheme: request.SchemeEVM, Seed: a.seed("hot").ID, Account: 1}, "bob")))
	other := newBox(t, a.s.Authority, "other")
	sameName := newBox(t, a.s.Authority, "box2").adds(a.s.life.Counter + 1)
	sameName.Name = "box"
	n := a.s.life.Counter + 1
	spoiled := other.adds(n)
	spoiled.Body = slices.Clone(spoiled.Body)
	spoiled.Body[20] ^= 1
	for name, x := range map[string]struct {
		op   request.Operation
		body any
		want problem.Kind
	}{
		"unknown wallet":           {request.WalletMove, a.goes("nobody"), problem.NotFound},
		"unknown domain":           {request.WalletMove, request.WalletMoveBody{Wallet: "cold", To: make32(1), Temperature: request.Cold}, problem.NotFound},
		"seed of two wallets":      {request.WalletMove, a.goes("hot"), problem.Conflict},
		"cold already":             {request.WalletMove, a.goes("lone"), problem.Conflict},
		"hot, there":               {request.WalletMove, request.WalletMoveBody{Wallet: "cold", To: a.box.id[:], Temperature: request.Hot}, problem.Malformed},
		"cold, here":               {request.WalletMove, a.comes("lone", request.Cold), problem.Malformed},
		"back what never left":     {request.WalletMove, a.comes("cold", request.Hot), problem.Conflict},
		"out":                      {request.WalletMove, a.goes("cold"), ""},
		"back":                     {request.WalletMove, a.comes("lone", request.Warm), ""},
		"temperature of a cold":    {request.WalletTemperature, request.WalletTemperatureBody{Wallet: "lone", To: request.Warm}, problem.Conflict},
		"session of a cold":        {request.WarmOpen, request.WarmOpenBody{Wallet: "lone", Asset: evm.Native(), Amount: custody.U64(1), NotAfter: a.now/1e9 + 60}, problem.Conflict},
		"seed of a cold":           {request.WalletCreate, request.WalletCreateBody{Wallet: "new", Chain: evm, Scheme: request.SchemeEVM, Seed: a.seed("lone").ID, Account: 1}, problem.KeyAway},
		"remove what holds":        {request.OfflineRemove, request.OfflineRemoveBody{Counter: n, Domain: a.box.id[:]}, problem.Conflict},
		"remove the unknown":       {request.OfflineRemove, request.OfflineRemoveBody{Counter: n, Domain: make32(1)}, problem.NotFound},
		"add twice":                {request.OfflineAdd, a.box.adds(n), problem.Conflict},
		"add another":              {request.OfflineAdd, other.adds(n), ""},
		"add the name of another":  {request.OfflineAdd, sameName, problem.Conflict},
		"add an altered one":       {request.OfflineAdd, spoiled, problem.Malformed},
		"add of another authority": {request.OfflineAdd, newBox(t, custody.AuthorityID{7}, "stray").adds(n), problem.Malformed},
		"add out of turn":          {request.OfflineAdd, other.adds(n + 1), problem.Conflict},
	} {
		if got := a.kind(t, x.op, x.body); got != x.want {
			t.Errorf("%s: %q, want %q", name, got, x.want)
		}
	}
	a.does(t, request.WalletMove, a.goes("cold"))
	if got := a.kind(t, request.WalletMove, a.comes("cold", request.Hot)); got != problem.Conflict {
		t.Errorf("back before it arrived: %q", got)
	}
	a.must(t, a.effect(t, a.approved(t, request.WalletCreate, request.WalletCreateBody{Wallet: "third", Chain: evm, Scheme: request.SchemeEVM}, "bob")))
	if got := a.kind(t, request.WalletMove, a.goes("third")); got != problem.Conflict {
		t.Errorf("a second key to the same import key: %q", got)
	}
	a.does(t, request.PointsSet, request.PointsSetBody{Counter: n, Deny: points.Make(points.MoveOut, points.MoveIn)})
	for name, body := range map[string]request.WalletMoveBody{"out": a.goes("third"), "in": a.comes("lone", request.Hot)} {
		if got := a.kind(t, request.WalletMove, body); got != problem.Forbidden {
			t.Errorf("%s is switched off: %q", name, got)
		}
	}
}

func make32(b byte) custody.HexBytes { return append(make([]byte, 31), b) }

// A result is the offline domain's own, whole, in order, once; what it signed stands in the log before.
func TestOfflineResult(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	a.away(t, "hot")
	id := a.approved(t, request.Transfer, payEVM(100), "bob", "carol")
	a.must(t, a.permit(t, id, "cold", account0(0), 10))
	g, _ := a.s.Signed(id)
	signed := &offline.Result{Entry: g.Permit, Signatures: [][]byte{{1}}, TxID: "x"}
	good := func() *entry.Offline {
		return a.tells(t, nil, &offline.Import{Number: 2, Size: a.s.Next, Time: 1}, &offline.Permit{Entry: g.Permit}, signed)
	}
	a.refused(t, "its result is not in the log", good())
	acts, _, err := a.s.ReadOffline(a.box.id, good().Records)
	if err != nil {
		t.Fatal(err)
	}
	if open := a.s.Unsigned(acts); len(open) != 1 || open[0].Permit != g.Permit || open[0].Request != id {
		t.Fatalf("%+v", open)
	}
	a.must(t, a.result(id))
	if open := a.s.Unsigned(acts); len(open) != 0 {
		t.Fatalf("%+v", open)
	}
	for name, spoil := range map[string]func(*entry.Offline){
		"one left out":     func(e *entry.Offline) { e.Records = e.Records[1:] },
		"out of order":     func(e *entry.Offline) { slices.Reverse(e.Records) },
		"nothing":          func(e *entry.Offline) { e.Records = nil },
		"another domain":   func(e *entry.Offline) { e.Domain[0] ^= 1 },
		"no checkpoint":    func(e *entry.Offline) { e.Checkpoint = nil },
		"altered":          func(e *entry.Offline) { e.Records[2].Body = append([]byte(nil), e.Records[1].Body...) },
		"a body left out":  func(e *entry.Offline) { e.Records[2].Salt, e.Records[2].Body = nil, nil },
		"a key besides":    func(e *entry.Offline) { e.Taken = []entry.TakenKey{{Key: "x"}} },
		"knows the future": func(e *entry.Offline) { *e = *a.tells(t, nil, &offline.Import{Number: 2, Size: a.s.Next + 1}) },
		"a second birth": func(e *entry.Offline) {
			*e = *a.tells(t, nil, &offline.Genesis{V: 1})
		},
		"moved in unasked": func(e *entry.Offline) {
			*e = *a.tells(t, nil, &offline.MovedIn{Wallet: "hot", Key: a.seed("hot").ID, Next: importKey("z")})
		},
		"moved out unasked": func(e *entry.Offline) {
			*e = *a.tells(t, []entry.TakenKey{{Key: a.seed("hot").ID, Epoch: 1, Blob: [32]byte{1}}}, &offline.MovedOut{Wallet: "hot", Key: a.seed("hot").ID})
		},
	} {
		e := good()
		spoil(e)
		a.refused(t, name, e)
	}
	lean := good()
	lean.Records[1].Salt, lean.Records[1].Body = nil, nil // of a permit, which nothing follows from
	if err := a.s.Audit(a.leaf(lean), lean, Derive, nil); err != nil {
		t.Error(err)
	}
	a.must(t, lean)
	a.refused(t, "the same again", lean)
}

// The auditor checks the offline domain's signature over all that it is said to have done.
func TestAuditOffline(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	e := a.tells(t, nil, &offline.Refusal{Kind: "malformed", Detail: "no"})
	if err := a.s.Audit(a.leaf(e), e, Derive, nil); err != nil {
		t.Error(err)
	}
	other := newBox(t, a.s.Authority, "other")
	other.id, other.tail = a.box.id, a.box.tail
	x := *e
	x.Checkpoint = other.result(t, a.s).Checkpoint
	if a.s.Audit(a.leaf(&x), &x, Derive, nil) == nil {
		t.Error("another's checkpoint passed")
	}
	y := a.tells(t, nil, &offline.Refusal{Kind: "malformed", Detail: "yes"})
	y.Checkpoint = e.Checkpoint
	if a.s.Audit(a.leaf(y), y, Derive, nil) == nil {
		t.Error("the checkpoint of other entries passed")
	}
}

// While a domain is in the middle of a rotation, a key that goes takes all its blobs along, and one that comes is enciphered again.
func TestColdAndEpochs(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	n := a.s.life.Counter
	a.does(t, request.EpochLoad, request.EpochLoadBody{Counter: n + 1, Epoch: 2})
	a.does(t, request.EpochCommit, request.EpochCommitBody{Counter: n + 2, Epoch: 2, Pattern: a.s.life.Next.Pattern})
	if a.s.Lacking() != 2 {
		t.Fatalf("%d keys lack a blob", a.s.Lacking())
	}
	a.must(t, &entry.Reencipher{Epoch: 2, Blobs: []entry.Blob{{Key: a.seed("hot").ID, Hash: [32]byte{7}}}})
	e := a.does(t, request.WalletMove, a.goes("hot"))
	if e.Move.Doomed.Count != 2 || a.s.Lacking() != 1 {
		t.Fatalf("%+v, %d lack", e.Move.Doomed, a.s.Lacking())
	}
	a.refused(t, "a blob for a key that is away", &entry.Reencipher{Epoch: 2, Blobs: []entry.Blob{{Key: a.seed("hot").ID, Hash: [32]byte{8}}}})
	if keys, _ := a.s.Unreenciphered(0, 9); len(keys) != 1 || keys[0].ID != a.seed("cold").ID {
		t.Fatalf("%+v", keys)
	}
	a.erases(t)
	a.must(t, a.tells(t, nil, a.movedIn(t, "hot")))
	a.erases(t)
	a.must(t, &entry.Reencipher{Epoch: 2, Blobs: []entry.Blob{{Key: a.seed("cold").ID, Hash: [32]byte{8}}}})
	a.does(t, request.WalletMove, a.comes("hot", request.Hot)) // its import key has a blob under both
	if a.s.Lacking() != 0 {
		t.Fatalf("%d keys lack a blob", a.s.Lacking())
	}
	a.must(t, a.tells(t, []entry.TakenKey{{Key: a.seed("hot").ID, Epoch: 1, Blob: [32]byte{5}}}, a.movedOut(t, "hot")))
	if a.s.Lacking() != 1 || a.s.DoomedCount() != 2 {
		t.Fatalf("%d keys lack a blob, %d doomed", a.s.Lacking(), a.s.DoomedCount())
	}
	a.erases(t)
	a.must(t, &entry.Reencipher{Epoch: 2, Blobs: []entry.Blob{{Key: a.seed("hot").ID, Hash: [32]byte{6}}}})
	a.does(t, request.EpochActivate, request.EpochActivateBody{Counter: n + 3, Epoch: 2, Pattern: a.s.life.Next.Pattern})
	if a.seed("hot").Blob != [32]byte{6} || len(a.s.blobs.Previous) != 2 {
		t.Errorf("%+v", a.s.blobs)
	}
}

// Whatever happens, a key has a blob here exactly if its wallet is not cold, and none of its blobs is left in any register while it is away.
func TestColdKeysAreInOnePlace(t *testing.T) {
	t.Parallel()
	counts := lawtest.Counts{}
	lawtest.Check(t, counts.Want(1, "moved in", "moved out", "exported"), func(t *rapid.T) {
		d := newDriver(t)
		for range rapid.IntRange(20, 50).Draw(t, "steps") {
			switch n := rapid.IntRange(0, 9).Draw(t, "what"); {
			case n == 0:
				d.s = d.restored(t)
			case n < 3:
				d.story(t)
			case n < 4:
				d.lifeStory(t)
			default:
				d.coldStory(t)
			}
			if err := oneSeat(d.s); err != nil {
				t.Fatal(err)
			}
		}
		d.countCold(counts)
	})
	t.Log(counts)
}

// oneSeat says whether every key is where the state says, and nowhere else.
func oneSeat(s *State) error {
	for _, w := range s.walletList {
		_, away := s.Away(w.ID)
		k, _ := s.Key(w.Key)
		if away == Here(k) || away != (s.Temperature(w.ID) == request.Cold) {
			return errors.New("wallet " + string(w.ID) + " is here and away, or nowhere")
		}
		if n := len(s.blobsOf(s.keyIndex[w.Key])); away && n > 0 {
			return errors.New("a key that is away has blobs in a register")
		}
	}
	for id := range s.cold.open {
		if g, ok := s.signed[id]; !ok || g.Result != 0 {
			return errors.New("what is settled waits for an offline domain")
		}
	}
	return nil
}

// Rules see a move's wallet and chain; approvers see where it goes.
func TestColdEffects(t *testing.T) {
	t.Parallel()
	a := newAfar(t)
	r := a.request(who("alice"), request.WalletMove, a.goes("hot"))
	e := a.asked(t, who("alice"), r)
	if f := e.Facts; f.Wallet != "hot" || f.Chain != evm {
		t.Errorf("%+v", f)
	}
	if x := e.Effects; x.Wallet != "hot" || x.Temperature != request.Cold || string(x.Domain) != string(a.box.id[:]) {
		t.Errorf("%+v", x)
	}
	doc := firstDocument()
	doc.Routes = append(doc.Routes, policy.Route{ID: "fast", Priority: 9, Auto: true, When: policy.Match{Operations: []request.Operation{request.WalletMove}}})
	if err := doc.Check(custody.Evaluation); err == nil {
		t.Error("a key moves without anybody's approval")
	}
}
