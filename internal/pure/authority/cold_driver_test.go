// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/tlog"
)

// box is an offline domain of the tests: its log, written without asking whether an entry makes sense.
type box struct {
	name    string
	id      custody.DomainID
	key     ed25519.PrivateKey // of its log
	first   offline.Record
	tail    offline.Tail
	records []entry.OfflineRecord // all of them
	imports offline.ImportKey
	n       int
}

// importKey makes up an import key.
func importKey(name string) offline.ImportKey {
	h := sha256.Sum256([]byte("import key " + name))
	return offline.ImportKey{ID: custody.KeyID(hex.EncodeToString(h[:16])), Public: bytes.Repeat(h[:], offline.PublicSize/32), Blob: h}
}

func newBox(t tester, a custody.AuthorityID, name string) *box {
	t.Helper()
	p := person("box " + name)
	b := &box{name: name, key: p.key, imports: importKey(name)}
	g := &offline.Genesis{V: 1, Profile: custody.Evaluation, Authority: a, LogKey: p.pub.Pub, Identity: p.pub.Pub, Root: "soft", Anchor: "file", Epoch: 1, Pattern: make([]byte, 16),
		Import: b.imports, Transport: make([]byte, offline.PublicSize), Name: name, Nonce: make([]byte, 16)}
	b.write(t, a, g)
	b.id = custody.DomainID(b.tail.Last)
	b.first = offline.Record(b.records[0])
	return b
}

// write appends an entry to its log.
func (b *box) write(t tester, a custody.AuthorityID, body any) {
	t.Helper()
	enc, kind := canon.Encode(body), offline.KindOf(body)
	salt := [entry.SaltSize]byte{byte(b.n)}
	l := entry.Leaf{V: 1, Authority: a, Domain: b.id, Seq: b.tail.Frontier.Size(), Prev: b.tail.Last, Kind: kind, KindVersion: 1, Engine: entry.Engine1, Writer: 1, Time: start + int64(b.n),
		Bodies: []entry.BodyRef{entry.Ref(offline.ClassOf(kind), salt, enc)}}
	r := entry.OfflineRecord{Leaf: l.Encode(), Salt: salt[:], Body: enc}
	if _, _, err := b.tail.Next(offline.Record(r)); err != nil {
		t.Fatal(err)
	}
	b.records = append(b.records, r)
	b.n++
}

// back forgets the entries from a size on, as if they had never been written.
func (b *box) back(size int) {
	b.records = b.records[:size:size]
	b.tail = offline.Tail{}
	for _, r := range b.records {
		b.tail.Last = entry.Hash(r.Leaf)
		b.tail.Frontier.Append(b.tail.Last)
	}
}

func (b *box) adds(counter uint64) request.OfflineAddBody {
	return request.OfflineAddBody{Counter: counter, Name: b.name, Leaf: b.first.Leaf, Salt: b.first.Salt, Body: b.first.Body}
}

// result gives the entry that takes all that the state does not know yet.
func (b *box) result(t tester, s *State) *entry.Offline {
	t.Helper()
	d, ok := s.OfflineDomain(b.id)
	if !ok {
		t.Fatalf("the offline domain %s was not added", b.name)
	}
	key, err := tlog.NewKey(entry.Origin(b.id, 1), b.key.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: key.Origin(), Size: b.tail.Frontier.Size(), Root: b.tail.Frontier.Root()}, key,
		func(m []byte) ([]byte, error) { return ed25519.Sign(b.key, m), nil })
	if err != nil {
		t.Fatal(err)
	}
	return &entry.Offline{Domain: b.id, Records: slices.Clone(b.records[d.Size():]), Checkpoint: signed}
}

// madeMove fills in what the core makes for a move.
func (w *world) madeMove(e *entry.Effect) {
	if e.Move.To != w.s.Domain {
		h := sha256.Sum256(fmt.Appendf(nil, "seed of %s, sealed at entry %d", e.Move.Wallet, w.s.Next))
		e.Move.Copy = h[:]
		return
	}
	k := importKey(fmt.Sprint("of entry ", w.s.Next))
	e.Key = &entry.NewKey{ID: k.ID, Purpose: "import", Kind: "generic-secret", Epoch: w.s.Epoch, Blob: k.Blob}
	if n := w.s.life.Next; n != nil && n.Committed {
		next := sha256.Sum256([]byte("next blob of " + k.ID))
		e.Key.Next = next[:]
	}
	e.Move.Import, e.Move.Public = k.ID, k.Public
}

// coldStory is a piece of the life of cold wallets, most of the time as it should be.
func (d *driver) coldStory(t *rapid.T) {
	if need := points.Make(points.MoveIn, points.MoveOut, points.ExportCold).Minus(d.s.life.Allowed); !need.IsZero() && rapid.IntRange(0, 5).Draw(t, "switched off") > 0 {
		d.through(t, request.PointsSet, request.PointsSetBody{Counter: d.s.life.Counter + 1, Allow: need})
	}
	b := d.box(t)
	if b == nil {
		return
	}
	if len(d.s.blobs.Doomed) > 0 && rapid.IntRange(0, 3).Draw(t, "erase") > 0 {
		d.submit(t, &entry.Erased{Blobs: entry.ListOf(d.s.blobs.Doomed)})
	}
	held, where := d.s.AwayIn(b.id)
	var op request.Operation
	var body any
	switch n := rapid.IntRange(0, 12).Draw(t, "cold"); {
	case n == 0:
		op, body = request.OfflineRemove, request.OfflineRemoveBody{Counter: d.s.life.Counter + 1, Domain: b.id[:]}
	case n < 4:
		op, body = request.WalletMove, request.WalletMoveBody{Wallet: rapid.SampledFrom([]custody.WalletID{"hot", "cold", "vault"}).Draw(t, "goes"), To: b.id[:], Temperature: request.Cold}
	case n < 6 && len(held) > 0:
		i := rapid.IntRange(0, len(held)-1).Draw(t, "comes")
		if where[i].Way == Leaving && rapid.IntRange(0, 3).Draw(t, "arrives first") > 0 {
			d.boxActs(t, b)
		}
		op, body = request.WalletMove, request.WalletMoveBody{Wallet: held[i].ID, To: d.s.Domain[:], Temperature: rapid.SampledFrom([]request.Temperature{request.Hot, request.Warm}).Draw(t, "back")}
	default:
		d.boxActs(t, b)
		return
	}
	if seldom(t, "another temperature") {
		if m, ok := body.(request.WalletMoveBody); ok {
			m.Temperature = rapid.SampledFrom([]request.Temperature{request.Hot, request.Cold}).Draw(t, "temperature")
			body = m
		}
	}
	d.through(t, op, body)
}

// box gives an offline domain, mostly one that belongs to the authority.
func (d *driver) box(t *rapid.T) *box {
	var known []*box
	for _, b := range d.boxes {
		if _, ok := d.s.OfflineDomain(b.id); ok {
			known = append(known, b)
		}
	}
	if len(known) == 0 || len(known) < 3 && rapid.IntRange(0, 9).Draw(t, "another box") == 0 {
		b := newBox(t, d.s.Authority, fmt.Sprintf("box-%d", len(d.boxes)))
		d.through(t, request.OfflineAdd, b.adds(d.s.life.Counter+1))
		if _, ok := d.s.OfflineDomain(b.id); !ok {
			return nil
		}
		d.boxes = append(d.boxes, b)
		known = append(known, b)
	}
	return rapid.SampledFrom(known).Draw(t, "box")
}

// boxActs lets an offline domain do some of what waits for it, and brings its result; now and then something is wrong.
func (d *driver) boxActs(t *rapid.T, b *box) {
	known, _ := d.s.OfflineDomain(b.id)
	if rapid.Bool().Draw(t, "bundle") {
		d.submit(t, &entry.Offline{Domain: b.id, Number: known.Number + 1 + rapid.SampledFrom([]uint64{0, 0, 0, 0, 1}).Draw(t, "number")})
	}
	b.back(int(known.Size())) // what was refused was never so
	next := known.Import
	b.write(t, d.s.Authority, &offline.Import{Number: uint64(b.n + 1), Size: d.s.Next - rapid.Uint64Range(0, 1).Draw(t, "knows"), Time: 1})
	var results []entry.Result
	for _, g := range d.s.ExportedTo(b.id) {
		if rapid.IntRange(0, 3).Draw(t, "signs") > 0 {
			b.write(t, d.s.Authority, &offline.Permit{Entry: g.Permit, Request: g.ID})
			b.write(t, d.s.Authority, &offline.Result{Entry: g.Permit, Signatures: [][]byte{{1}}, TxID: "x"})
			results = append(results, entry.Result{Request: g.ID, Permit: g.Permit, Signatures: [][]byte{{1}}, TxID: "x"})
		}
	}
	var taken []entry.TakenKey
	held, where := d.s.AwayIn(b.id)
	for i, a := range where {
		switch {
		case a.Way == Leaving && (a.Erased || seldom(t, "too early")):
			used := next.ID
			next = importKey(fmt.Sprint(b.name, b.n))
			b.write(t, d.s.Authority, &offline.MovedIn{Wallet: held[i].ID, Key: held[i].Key, Blob: [32]byte{1}, Entry: a.Move, Used: used, Next: next})
		case a.Way == Coming:
			b.write(t, d.s.Authority, &offline.MovedOut{Wallet: held[i].ID, Key: held[i].Key, Entry: a.Move, Copy: [32]byte{1}})
			taken = append(taken, entry.TakenKey{Key: held[i].Key, Epoch: d.s.Epoch, Blob: sha256.Sum256(fmt.Appendf(nil, "blob of %s at %d", held[i].Key, d.s.Next))})
		case seldom(t, "what was not asked"):
			b.write(t, d.s.Authority, &offline.MovedOut{Wallet: held[i].ID, Key: held[i].Key, Entry: a.Move})
		}
	}
	switch rapid.IntRange(0, 12).Draw(t, "besides") {
	case 0:
		b.write(t, d.s.Authority, &offline.Zeroized{Cause: "the lid"})
	case 1:
		b.write(t, d.s.Authority, &offline.Restored{Epoch: 1})
	case 2:
		b.write(t, d.s.Authority, &offline.Refusal{Kind: "malformed", Detail: "no"})
	case 3, 4:
		b.write(t, d.s.Authority, d.caughtUp(t, b, next))
		b.write(t, d.s.Authority, &offline.Closed{})
	}
	if !seldom(t, "results left out") {
		for _, r := range results {
			d.submit(t, &r)
		}
	}
	e := b.result(t, d.s)
	e.Taken = taken
	d.spoilResult(t, e)
	d.submit(t, e)
}

// caughtUp is what an offline domain tells that was set back.
func (d *driver) caughtUp(t *rapid.T, b *box, open offline.ImportKey) *offline.CaughtUp {
	known, _ := d.s.OfflineDomain(b.id)
	out := &offline.CaughtUp{Number: known.Number, Size: d.s.Next}
	held, _ := d.s.AwayIn(b.id)
	for _, w := range held {
		if rapid.Bool().Draw(t, "is missing") {
			out.Missing = append(out.Missing, offline.Missing{Wallet: w.ID, Key: w.Key})
		}
	}
	if rapid.Bool().Draw(t, "the import key too") {
		k := importKey(fmt.Sprint("new ", b.name, b.n))
		if seldom(t, "no new key") {
			k = open
		}
		out.Next = &k
	}
	if seldom(t, "of no bundle") {
		out.Number++
	}
	if seldom(t, "of no entries") {
		out.Size += 2
	}
	return out
}

func (d *driver) spoilResult(t *rapid.T, e *entry.Offline) {
	for i, r := range e.Records {
		if l, err := entry.DecodeLeaf(r.Leaf); err == nil && OfflineUnread(l.Kind) && rapid.Bool().Draw(t, "without its body") {
			e.Records[i].Salt, e.Records[i].Body = nil, nil
		}
	}
	if !seldom(t, "wrong result") {
		return
	}
	rapid.SampledFrom([]func(){
		func() { e.Domain[0] ^= 1 }, func() { e.Records = e.Records[1:] }, func() { e.Records = nil }, func() { e.Checkpoint = nil },
		func() { e.Records = append(e.Records, e.Records[0]) }, func() { e.Records[0].Body = append(slices.Clone(e.Records[0].Body), 0) },
		func() { e.Records[0].Salt, e.Records[0].Body = nil, nil }, func() { e.Taken = append(e.Taken, entry.TakenKey{Key: "x"}) },
		func() { e.Taken = nil },
	}).Draw(t, "spoil result")()
}

// countCold counts what came about.
func (d *driver) countCold(counts map[string]int) {
	for _, x := range d.log {
		switch b := x.body.(type) {
		case *entry.Offline:
			for _, r := range b.Records {
				l, _ := entry.DecodeLeaf(r.Leaf)
				switch l.Kind {
				case offline.KindMovedIn:
					counts["moved in"]++
				case offline.KindMovedOut:
					counts["moved out"]++
				case offline.KindResult:
					counts["exported"]++
				case offline.KindCaughtUp:
					counts["caught up"]++
				}
			}
		}
	}
}
