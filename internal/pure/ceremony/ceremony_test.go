// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/ristretto"
	"strongroom/internal/pure/share"
)

// keyOf is a participant's private key.
func keyOf(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func person(r Role, name string) Participant {
	p := Participant{Role: r, Name: name, Key: request.PublicKey{Alg: request.Ed25519, Pub: []byte(keyOf(name).Public().(ed25519.PublicKey))}}
	if r == Custodian {
		p.Recipient, p.Bag, p.Safe = "age1"+name, "bag of "+name, "safe of "+name
	}
	return p
}

func sum(s string) custody.HexBytes { h := sha256.Sum256([]byte(s)); return h[:] }

// script is a script of a purpose that fits the production profile.
func script(p Purpose) Script {
	s := Script{V: 1, ID: "first-2026", Title: "First ceremony", Purpose: p, Profile: custody.Production, Threshold: 2, Program: sum("program"),
		Participants: []Participant{person(Administrator, "ada"), person(Custodian, "carl"), person(Custodian, "cleo"), person(Custodian, "cora"),
			person(Witness, "will"), person(Witness, "wanda"), person(Auditor, "anna")}}
	switch p {
	case Create:
		s.Entropy = Entropy{Sources: []string{"rdseed", "root"}, Dice: []string{"carl", "cora"}, Rolls: 60}
		on := points.Evaluation()
		s.Points = &on
		s.Document, s.Root, s.Anchor = sum("document"), "pkcs11", "witness+tpm"
		s.Witnesses, s.Quorum = []LogWitness{{"a", "a+1+x"}, {"b", "b+1+x"}, {"c", "c+1+x"}}, 2
	case Restore:
		s.Domain, s.Record, s.Identity, s.Root = sum("domain"), sum("record"), sum("identity"), "pkcs11"
	case Refresh:
		s.Domain, s.Record = sum("domain"), sum("record")
		s.Participants = append(s.Participants, person(Custodian, "chen"))
		s.Leaving, s.Joining = []string{"carl"}, []string{"chen"}
	case Drill:
		s.Domain, s.Record = sum("domain"), sum("record")
	}
	return s
}

// bodyOf is a right body for a step.
func bodyOf(t Transcript, s Step) any {
	h := func(x string) [32]byte { return sha256.Sum256([]byte(x)) }
	commit := func(names ...string) Commit {
		var c Commit
		for _, n := range names {
			c.List = append(c.List, Commitment{n, bytes.Repeat([]byte{1}, 64)})
		}
		return c
	}
	switch s.Kind {
	case StepOpen:
		return Opening{t.Script.Hash(), h("program"), "strongroom-core 1"}
	case StepAttend:
		return Attend{t.Script.Hash()}
	case StepProgram:
		return Program{h("program")}
	case StepCommit:
		return commit("system", "rdseed", "root")
	case StepDice:
		return commit(DiceSource(s.Actor))
	case StepMix:
		return Mix{[]string{"system", "rdseed", "root", "dice/carl", "dice/cora"}}
	case StepMake:
		m := Made{Recovery: recovery(1), Commitments: commitments()}
		for i, p := range t.Script.Receivers() {
			m.Shares = append(m.Shares, Share{uint32(i + 1), p.Name, h("share" + p.Name)})
		}
		if t.Script.Purpose == Create {
			m.WorkingKey, m.Identity, m.Genesis = h("dwk"), h("identity"), h("genesis")
		}
		return m
	case StepReceipt:
		m, _ := t.Made()
		r, err := t.Receipt(m, s.Actor)
		if err != nil {
			panic(err)
		}
		return Receipt{r, ed25519.Sign(keyOf(s.Actor), r.Message())}
	case StepStore:
		return Stored{"bag of " + s.Actor, "safe of " + s.Actor}
	case StepImport:
		return Import{[]byte("importer")}
	case StepPart:
		i := slices.IndexFunc(t.Script.Bringers(), func(p Participant) bool { return p.Name == s.Actor })
		return Part{uint32(i + 1), h("part" + s.Actor)}
	default:
		return Combined{[]uint32{1, 2}, recovery(1)}
	}
}

func recovery(b byte) []byte { return bytes.Repeat([]byte{b}, RecoveryKeySize) }

func commitments() []byte {
	g, h := ristretto.Generator().Encode(), share.Generator().Encode()
	return append(g[:], h[:]...)
}

func sign(r Record) Record {
	if r.Actor != CoreActor {
		r.Sig = ed25519.Sign(keyOf(r.Actor), r.Message())
	}
	return r
}

func closings(t Transcript) []Closing {
	var out []Closing
	for _, p := range t.Script.Participants {
		out = append(out, Closing{p.Name, ed25519.Sign(keyOf(p.Name), t.Message(p.Name))})
	}
	return out
}

// run makes the whole transcript of a script, with a note in the middle.
func run(tb testing.TB, s Script) Transcript {
	tb.Helper()
	t, err := Open(s)
	if err != nil {
		tb.Fatal(err)
	}
	for n := 0; ; n++ {
		next, more := t.Next()
		if !more {
			break
		}
		if n == 5 {
			if err := t.Add(sign(t.Draft(Step{Kind: StepNote, Actor: "will"}, int64(n), Note{"the door was open"}))); err != nil {
				tb.Fatal(err)
			}
		}
		if err := t.Add(sign(t.Draft(next, int64(n), bodyOf(t, next)))); err != nil {
			tb.Fatal(err)
		}
	}
	if err := t.Close(closings(t)); err != nil {
		tb.Fatal(err)
	}
	return t
}

func TestWholeCeremonies(t *testing.T) {
	t.Parallel()
	for _, p := range []Purpose{Create, Restore, Refresh, Drill} {
		tr := run(t, script(p))
		got, err := Decode(tr.Encode())
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if err := got.Complete(); err != nil || !bytes.Equal(got.Encode(), tr.Encode()) {
			t.Errorf("%s: complete: %v", p, err)
		}
		if err := got.Add(sign(got.Draft(Step{Kind: StepNote, Actor: "will"}, 99, Note{"late"}))); !errors.Is(err, ErrTranscript) {
			t.Errorf("%s: a closed transcript took a record: %v", p, err)
		}
	}
}

// TestEveryStepIsNeeded leaves out, doubles, exchanges and alters each record of a whole transcript.
func TestEveryStepIsNeeded(t *testing.T) {
	t.Parallel()
	for _, p := range []Purpose{Create, Restore, Refresh, Drill} {
		whole := run(t, script(p))
		for i := range whole.Records {
			for what, list := range map[string][]Record{
				"left out": slices.Delete(slices.Clone(whole.Records), i, i+1),
				"doubled":  slices.Insert(slices.Clone(whole.Records), i, whole.Records[i]),
				"cut off":  whole.Records[:i],
			} {
				broken := Transcript{V: 1, Script: whole.Script, Records: list, Closings: whole.Closings}
				if err := broken.Complete(); !errors.Is(err, ErrTranscript) {
					t.Errorf("%s: record %d %s: got error %v", p, i, what, err)
				}
			}
			for at := 0; at < len(whole.Records[i].Body); at += 7 {
				broken := whole
				broken.Records = slices.Clone(whole.Records)
				broken.Records[i].Body = bytes.Clone(broken.Records[i].Body)
				broken.Records[i].Body[at] ^= 1
				if broken.Complete() == nil {
					t.Fatalf("%s: byte %d of record %d was altered unseen", p, at, i)
				}
			}
		}
		for i := range whole.Closings {
			broken := whole
			broken.Closings = slices.Delete(slices.Clone(whole.Closings), i, i+1)
			if err := broken.Complete(); !errors.Is(err, ErrTranscript) {
				t.Errorf("%s: without the signature of %s: got error %v", p, whole.Closings[i].Name, err)
			}
		}
	}
}

// TestAnybodyElse has each step done by everybody else, with that person's own good signature.
func TestAnybodyElse(t *testing.T) {
	t.Parallel()
	s := script(Create)
	tr, err := Open(s)
	if err != nil {
		t.Fatal(err)
	}
	for {
		next, more := tr.Next()
		if !more {
			break
		}
		for _, p := range append(s.Participants, Participant{Name: CoreActor}) {
			if p.Name == next.Actor {
				continue
			}
			wrong := tr.Draft(Step{Kind: next.Kind, Actor: p.Name}, 1, bodyOf(tr, next))
			if err := tr.Add(sign(wrong)); err == nil {
				t.Fatalf("%s did step %s", p.Name, next.ID())
			}
			forged := tr.Draft(next, 1, bodyOf(tr, next))
			if p.Name != CoreActor {
				forged.Sig = ed25519.Sign(keyOf(p.Name), forged.Message())
				if err := tr.Add(forged); err == nil {
					t.Fatalf("%s signed step %s of %s", p.Name, next.ID(), next.Actor)
				}
			}
		}
		if err := tr.Add(sign(tr.Draft(next, 1, bodyOf(tr, next)))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSaysWhatItMust has records whose place and signature are right, and what they say is not.
func TestSaysWhatItMust(t *testing.T) {
	t.Parallel()
	h := sha256.Sum256([]byte("other"))
	tests := []struct {
		purpose Purpose
		step    string
		body    func(right any) any
	}{
		{Create, "open/ada", func(b any) any { o := b.(Opening); o.Script = h; return o }},
		{Create, "open/ada", func(b any) any { o := b.(Opening); o.Program = h; return o }},
		{Create, "open/ada", func(b any) any { o := b.(Opening); o.Build = "two\nlines"; return o }},
		{Create, "attend/cleo", func(any) any { return Attend{h} }},
		{Create, "program/will", func(any) any { return Program{h} }},
		{Create, "commit/core", func(b any) any { return Commit{b.(Commit).List[:2]} }},
		{Create, "commit/core", func(b any) any { c := b.(Commit); slices.Reverse(c.List); return c }},
		{Create, "dice/carl", func(b any) any { c := b.(Commit); c.List[0].Source = DiceSource("cora"); return c }},
		{Create, "dice/carl", func(b any) any { c := b.(Commit); c.List[0].Hash = c.List[0].Hash[:63]; return c }},
		{Create, "mix/core", func(b any) any { return Mix{b.(Mix).Sources[:4]} }},
		{Create, "make/core", func(b any) any { m := b.(Made); m.Commitments = m.Commitments[:32]; return m }},
		{Create, "make/core", func(b any) any { m := b.(Made); m.Shares = m.Shares[:2]; return m }},
		{Create, "make/core", func(b any) any { m := b.(Made); m.Shares[1].Sealed = m.Shares[0].Sealed; return m }},
		{Create, "make/core", func(b any) any { m := b.(Made); m.Shares[1].Index = 1; return m }},
		{Create, "make/core", func(b any) any { m := b.(Made); m.Genesis = [32]byte{}; return m }},
		{Create, "make/core", func(b any) any { m := b.(Made); m.Recovery = nil; return m }},
		{Create, "receipt/cora", func(b any) any { r := b.(Receipt); r.Sig = bytes.Repeat([]byte{1}, 64); return r }},
		{Create, "receipt/cora", func(b any) any { r := b.(Receipt); r.Share.Index = 1; return r }},
		{Create, "receipt/cora", func(b any) any { r := b.(Receipt); r.Share.Sharing = h; return r }},
		{Create, "receipt/cora", func(b any) any { r := b.(Receipt); r.Share.Transcript = h; return r }},
		{Create, "store/cora", func(b any) any { s := b.(Stored); s.Bag = "another"; return s }},
		{Create, "store/cora", func(any) any { return Stored{} }},
		{Restore, "import/core", func(any) any { return Import{} }},
		{Restore, "part/cleo", func(b any) any { p := b.(Part); p.Index = 1; return p }},
		{Restore, "part/cleo", func(b any) any { p := b.(Part); p.Index = 0; return p }},
		{Restore, "combine/core", func(b any) any { c := b.(Combined); c.Indexes = []uint32{1, 4}; return c }},
		{Restore, "combine/core", func(b any) any { c := b.(Combined); c.Indexes = []uint32{1}; return c }},
		{Restore, "combine/core", func(b any) any { c := b.(Combined); c.Indexes = []uint32{2, 1}; return c }},
		{Restore, "combine/core", func(b any) any { c := b.(Combined); c.Indexes = []uint32{1, 1}; return c }},
		{Restore, "combine/core", func(b any) any { c := b.(Combined); c.Recovery = nil; return c }},
		{Refresh, "make/core", func(b any) any { m := b.(Made); m.Recovery = recovery(2); return m }},
		{Refresh, "make/core", func(b any) any { m := b.(Made); m.WorkingKey = h; return m }},
	}
	for _, tt := range tests {
		tr, err := Open(script(tt.purpose))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for {
			next, more := tr.Next()
			if !more {
				break
			}
			if next.ID() == tt.step {
				found = true
				before := tr.Head()
				if err := tr.Add(sign(tr.Draft(next, 1, tt.body(bodyOf(tr, next))))); !errors.Is(err, ErrTranscript) || tr.Head() != before {
					t.Errorf("%s %s: got error %v", tt.purpose, tt.step, err)
				}
				break
			}
			if err := tr.Add(sign(tr.Draft(next, 1, bodyOf(tr, next)))); err != nil {
				t.Fatal(err)
			}
		}
		if !found {
			t.Errorf("%s has no step %s", tt.purpose, tt.step)
		}
	}
}

func TestScripts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		purpose Purpose
		change  func(*Script)
		want    string // "" is good
	}{
		{"as it is", Create, func(*Script) {}, ""},
		{"version", Create, func(s *Script) { s.V = 2 }, "version"},
		{"id", Create, func(s *Script) { s.ID = "No Slug" }, "id"},
		{"purpose", Create, func(s *Script) { s.Purpose = "party" }, "purpose"},
		{"profile", Create, func(s *Script) { s.Profile = "test" }, "profile"},
		{"title", Create, func(s *Script) { s.Title = "a\x1b[2J" }, "title"},
		{"unattended in production", Create, func(s *Script) { s.Unattended = true }, "never unattended"},
		{"two roles by name", Create, func(s *Script) { s.Participants[6].Name = "will" }, "two roles"},
		{"two roles by key", Create, func(s *Script) { s.Participants[6].Key = s.Participants[0].Key }, "two roles"},
		{"called core", Create, func(s *Script) { s.Participants[6].Name = CoreActor }, "core"},
		{"bad key", Create, func(s *Script) { s.Participants[6].Key.Pub = nil }, "anna"},
		{"a role that is none", Create, func(s *Script) { s.Participants[6].Role = "guest" }, "role"},
		{"one witness in production", Create, func(s *Script) { s.Participants = slices.Delete(s.Participants, 4, 5) }, "witness"},
		{"no auditor in production", Create, func(s *Script) { s.Participants = s.Participants[:6] }, "auditor"},
		{"two administrators", Create, func(s *Script) { s.Participants[6].Role = Administrator; s.Profile = custody.Evaluation }, "administrator"},
		{"auditor with a bag", Create, func(s *Script) { s.Participants[6].Bag = "7" }, "no custodian"},
		{"threshold 1 in production", Create, func(s *Script) { s.Threshold = 1 }, "single person"},
		{"threshold 0", Create, func(s *Script) { s.Threshold = 0 }, "threshold"},
		{"all shares needed", Create, func(s *Script) { s.Threshold = 3 }, "loses the key"},
		{"more than all shares needed", Create, func(s *Script) { s.Threshold = 4 }, "needed"},
		{"no recipient", Create, func(s *Script) { s.Participants[1].Recipient = "" }, "recipient"},
		{"two shares to one recipient", Create, func(s *Script) { s.Participants[2].Recipient = strings.ToUpper(s.Participants[1].Recipient) }, "two shares"},
		{"unknown source", Create, func(s *Script) { s.Entropy.Sources = []string{"lava"} }, "lava"},
		{"source twice", Create, func(s *Script) { s.Entropy.Sources = []string{"root", "root"} }, "root"},
		{"one rolls dice", Create, func(s *Script) { s.Entropy.Dice, s.Entropy.Rolls = []string{"carl"}, 200 }, "two custodians"},
		{"dice of a witness", Create, func(s *Script) { s.Entropy.Dice[0] = "will" }, "will"},
		{"few rolls", Create, func(s *Script) { s.Entropy.Rolls = 20 }, "rolls"},
		{"no program", Create, func(s *Script) { s.Program = nil }, "program"},
		{"no document", Create, func(s *Script) { s.Document = nil }, "document"},
		{"a domain before it exists", Create, func(s *Script) { s.Domain = sum("x") }, "domain"},
		{"no root", Create, func(s *Script) { s.Root = "" }, "root"},
		{"no anchor", Create, func(s *Script) { s.Anchor = "" }, "anchor"},
		{"half of the witnesses", Create, func(s *Script) { s.Witnesses, s.Quorum = s.Witnesses[:2], 1 }, "majority"},
		{"joining a first ceremony", Create, func(s *Script) { s.Joining = []string{"carl"} }, "refresh"},
		{"restore", Restore, func(*Script) {}, ""},
		{"restore without domain", Restore, func(s *Script) { s.Domain = nil }, "domain"},
		{"restore with too few", Restore, func(s *Script) { s.Participants = slices.Delete(s.Participants, 1, 3) }, "needs 2"},
		{"restore with dice", Restore, func(s *Script) { s.Entropy.Rolls = 50 }, "entropy"},
		{"restore without record", Restore, func(s *Script) { s.Record = nil }, "record must"},
		{"create with record", Create, func(s *Script) { s.Record = sum("record") }, "record must"},
		{"restore without identity", Restore, func(s *Script) { s.Identity = nil }, "identity must"},
		{"drill with identity", Drill, func(s *Script) { s.Identity = sum("identity") }, "identity must"},
		{"production without points", Create, func(s *Script) { s.Points = nil }, "points must"},
		{"drill with points", Drill, func(s *Script) { s.Points = new(points.Set) }, "points must"},
		{"points that nobody knows", Create, func(s *Script) { on := points.Evaluation().With(63); s.Points = &on }, "points"},
		{"restore with an anchor", Restore, func(s *Script) { s.Anchor = "file" }, "anchor"},
		{"refresh", Refresh, func(*Script) {}, ""},
		{"refresh: a stranger leaves", Refresh, func(s *Script) { s.Leaving = []string{"bob"} }, "bob"},
		{"refresh: leaves and joins", Refresh, func(s *Script) { s.Leaving = []string{"chen"} }, "chen"},
		{"refresh without shares", Refresh, func(s *Script) { s.Joining, s.Leaving = []string{"carl", "cleo", "cora", "chen"}, nil }, "nobody"},
		{"drill", Drill, func(*Script) {}, ""},
		{"drill with a root", Drill, func(s *Script) { s.Root = "soft" }, "root"},
	}
	for _, tt := range tests {
		s := script(tt.purpose)
		tt.change(&s)
		err := s.Check()
		if (err == nil) != (tt.want == "") || err != nil && (!errors.Is(err, ErrScript) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: got error %v, want one with %q", tt.name, err, tt.want)
		}
		if _, openErr := Open(s); (openErr == nil) != (err == nil) {
			t.Errorf("%s: opened with error %v", tt.name, openErr)
		}
	}
}

func TestNotes(t *testing.T) {
	t.Parallel()
	tr, err := Open(script(Drill))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		actor, text string
		good        bool
	}{{"will", "x", true}, {"anna", "x", true}, {"ada", "x", false}, {"carl", "x", false}, {"core", "x", false}, {"will", "", false}, {"will", strings.Repeat("x", 4097), false}} {
		err := tr.Add(sign(tr.Draft(Step{Kind: StepNote, Actor: tt.actor}, 0, Note{tt.text})))
		if (err == nil) != tt.good {
			t.Errorf("note of %d bytes by %s: got error %v", len(tt.text), tt.actor, err)
		}
	}
}

// TestHashFollowsEverything: two scripts that differ anywhere have different hashes.
func TestHashFollowsEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		b := script(rapid.SampledFrom([]Purpose{Create, Restore, Refresh, Drill}).Draw(rt, "purpose")).Encode()
		at := rapid.IntRange(0, len(b)-1).Draw(rt, "at")
		other := bytes.Clone(b)
		other[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		var s, o Script
		if canon.Decode(b, &s) != nil || canon.Decode(other, &o) != nil {
			return
		}
		if s.Hash() == o.Hash() {
			rt.Fatalf("byte %d does not change the hash", at)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, p := range []Purpose{Create, Restore, Refresh, Drill} {
		whole := run(f, script(p))
		f.Add(whole.Encode())
		whole.Closings, whole.Records = nil, whole.Records[:len(whole.Records)/2]
		f.Add(whole.Encode())
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tr, err := Decode(b)
		if err != nil {
			return
		}
		if !bytes.Equal(tr.Encode(), b) {
			t.Fatal("read, and written otherwise")
		}
		for _, s := range tr.Script.Steps() {
			_ = fmt.Sprint(s.ID(), s.Title)
		}
	})
}
