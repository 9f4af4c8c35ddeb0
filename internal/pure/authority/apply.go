// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"fmt"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
)

// DecodeBody reads the first body of an entry of a kind and version.
func DecodeBody(kind entry.Kind, version uint, b []byte) (any, error) {
	if version != 1 {
		return nil, fmt.Errorf("entry kind %q version %d is not known", kind, version)
	}
	var v any
	switch kind {
	case entry.KindGenesis:
		v = &entry.Genesis{}
	case entry.KindRequest:
		v = &entry.Request{}
	case entry.KindApproval:
		v = &entry.Approval{}
	case entry.KindPermit:
		v = &entry.Permit{}
	case entry.KindResult:
		v = &entry.Result{}
	case entry.KindRefusal:
		v = &entry.Refusal{}
	case entry.KindEffect:
		v = &entry.Effect{}
	case entry.KindSession:
		v = &entry.Session{}
	case entry.KindSnapshot:
		v = &entry.Snapshot{}
	case entry.KindWriter:
		v = &entry.Writer{}
	case entry.KindReencipher:
		v = &entry.Reencipher{}
	case entry.KindErased:
		v = &entry.Erased{}
	case entry.KindTamper:
		v = &entry.Tamper{}
	case entry.KindReanchor:
		v = &entry.Reanchor{}
	case entry.KindGap:
		v = &entry.Gap{}
	case entry.KindUses:
		v = &entry.Uses{}
	case entry.KindOffline:
		v = &entry.Offline{}
	case entry.KindQuotes:
		v = &entry.Quotes{}
	case entry.KindVerdicts:
		v = &entry.Verdicts{}
	default:
		return nil, fmt.Errorf("entry kind %q is not known", kind)
	}
	if err := canon.Decode(b, v); err != nil {
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return v, nil
}

// Apply takes the next entry: the leaf, its hash, and its first body as [DecodeBody] gives it. It validates first and then
// commits, in place; after an error s is as before.
func (s *State) Apply(l entry.Leaf, hash [32]byte, body any) error {
	if err := s.checkLeaf(l); err != nil {
		return fmt.Errorf("entry %d: %w", l.Seq, err)
	}
	if k := kindOf(body); k != l.Kind {
		return fmt.Errorf("entry %d: kind %q came with a body of kind %q", l.Seq, l.Kind, k)
	}
	if g, ok := body.(*entry.Genesis); ok != (l.Seq == 0) {
		return fmt.Errorf("entry %d: genesis is the first entry and no other", l.Seq)
	} else if ok {
		if err := s.applyGenesis(g, hash); err != nil {
			return fmt.Errorf("entry 0: %w", err)
		}
		s.Writer = l.Writer
		s.book.begin(s.Doc, l)
		s.commit(l, hash)
		return nil
	}
	if err := s.aliveFor(body); err != nil {
		return fmt.Errorf("entry %d: %s: %w", l.Seq, l.Kind, err)
	}
	if err := s.takesEntry(body, Moment{l.Time, l.Bound}); err != nil {
		return fmt.Errorf("entry %d: %s: %w", l.Seq, l.Kind, err)
	}
	var err error
	apply := func() {}
	switch b := body.(type) {
	case *entry.Request:
		apply, err = s.applyRequest(l, hash, b)
	case *entry.Approval:
		apply, err = s.applyApproval(l, b)
	case *entry.Permit:
		apply, err = s.applyPermit(l, hash, b)
	case *entry.Result:
		apply, err = s.applyResult(l, b)
	case *entry.Refusal:
		apply, err = s.applyRefusal(l, b)
	case *entry.Effect:
		apply, err = s.applyEffect(l, b)
	case *entry.Session:
		apply, err = s.applySession(l, b)
	case *entry.Snapshot:
		if root := s.StateRoot(); root != b.Root {
			err = fmt.Errorf("snapshot commits root %x, the state has %x", b.Root[:8], root[:8])
		}
	case *entry.Writer:
		if b.Epoch != l.Writer || b.Epoch <= s.Writer {
			err = fmt.Errorf("writer entry names epoch %d after %d", b.Epoch, s.Writer)
		}
		apply = func() { s.Writer = b.Epoch }
	case *entry.Reencipher:
		apply, err = s.applyReencipher(b)
	case *entry.Erased:
		apply, err = s.applyErased(b)
	case *entry.Tamper:
		apply, err = s.applyTamper(b)
	case *entry.Reanchor:
		apply, err = s.applyReanchor(l, hash, b)
	case *entry.Gap:
		apply, err = s.applyGap(l, b)
	case *entry.Uses:
		apply, err = s.applyUses(l, b)
	case *entry.Offline:
		apply, err = s.applyOffline(l, b)
	case *entry.Quotes:
		apply, err = s.applyQuotes(l, b)
	case *entry.Verdicts:
		apply, err = s.applyVerdicts(l, b)
	default:
		err = fmt.Errorf("body of type %T is not known", body)
	}
	if err != nil {
		return fmt.Errorf("entry %d: %s: %w", l.Seq, l.Kind, err)
	}
	apply()
	s.commit(l, hash)
	s.expire(l)
	return nil
}

// kindOf gives the kind that a body is of, or the empty one.
func kindOf(body any) entry.Kind {
	switch body.(type) {
	case *entry.Genesis:
		return entry.KindGenesis
	case *entry.Request:
		return entry.KindRequest
	case *entry.Approval:
		return entry.KindApproval
	case *entry.Permit:
		return entry.KindPermit
	case *entry.Result:
		return entry.KindResult
	case *entry.Refusal:
		return entry.KindRefusal
	case *entry.Effect:
		return entry.KindEffect
	case *entry.Session:
		return entry.KindSession
	case *entry.Snapshot:
		return entry.KindSnapshot
	case *entry.Writer:
		return entry.KindWriter
	case *entry.Reencipher:
		return entry.KindReencipher
	case *entry.Erased:
		return entry.KindErased
	case *entry.Tamper:
		return entry.KindTamper
	case *entry.Reanchor:
		return entry.KindReanchor
	case *entry.Gap:
		return entry.KindGap
	case *entry.Uses:
		return entry.KindUses
	case *entry.Offline:
		return entry.KindOffline
	case *entry.Quotes:
		return entry.KindQuotes
	case *entry.Verdicts:
		return entry.KindVerdicts
	default:
		return ""
	}
}

func (s *State) checkLeaf(l entry.Leaf) error {
	switch {
	case l.Seq != s.Next:
		return fmt.Errorf("out of order: entry %d comes next", s.Next)
	case l.Prev != s.Last:
		return errors.New("does not follow the entry before it: the previous hash differs")
	case l.Authority != s.Authority || l.Domain != s.Domain:
		return errors.New("belongs to another authority or domain")
	case l.Time < s.Time:
		return errors.New("time runs back")
	case l.Seq == 0 && l.Writer != 1:
		return errors.New("genesis is written under epoch 1")
	case l.Seq > 0 && l.Kind != entry.KindWriter && l.Kind != entry.KindReanchor && l.Writer != s.Writer:
		return fmt.Errorf("was written under epoch %d; the writer's is %d", l.Writer, s.Writer)
	case l.KindVersion != 1:
		return fmt.Errorf("kind %q version %d is not known", l.Kind, l.KindVersion)
	case l.Engine != entry.Engine1:
		return fmt.Errorf("engine %q is not known", l.Engine)
	case len(l.Bodies) == 0:
		return errors.New("has no body")
	}
	return nil
}

func (s *State) commit(l entry.Leaf, hash [32]byte) {
	s.Next, s.Last, s.Time = l.Seq+1, hash, l.Time
}

func (s *State) applyGenesis(g *entry.Genesis, hash [32]byte) error {
	switch {
	case g.V != 1:
		return fmt.Errorf("genesis version %d is not known", g.V)
	case len(g.LogKey) != 32 || len(g.Identity) != 32:
		return errors.New("genesis must name a log key and an identity key of 32 bytes")
	case g.Root == "" || g.Anchor == "" || g.Epoch != 1 || len(g.Pattern) != 16 || len(g.Nonce) != 16:
		return errors.New("genesis must name root, anchor, epoch 1, a verification pattern of 16 bytes and a nonce of 16 bytes")
	}
	if err := g.Profile.Check(); err != nil {
		return err
	}
	life, err := firstLife(g)
	if err != nil {
		return err
	}
	if _, err := LogWitnesses(g); err != nil {
		return err
	}
	doc, err := policy.DecodeDocument(g.Document)
	if err != nil {
		return err
	}
	if doc.Version != 1 || doc.PrevHash != [32]byte{} {
		return errors.New("the first rule document has version 1 and no predecessor")
	}
	if err := doc.Check(g.Profile); err != nil {
		return err
	}
	if err := checkGenesisSigners(g, doc); err != nil {
		return err
	}
	rules, err := policy.Compile(doc)
	if err != nil {
		return err
	}
	s.Authority, s.Domain = custody.AuthorityID(hash), custody.DomainID(hash)
	s.Profile, s.Root, s.Anchor = g.Profile, g.Root, g.Anchor
	s.LogKey, s.Identity = [32]byte(g.LogKey), [32]byte(g.Identity)
	s.Epoch, s.Pattern = g.Epoch, g.Pattern
	s.Doc, s.Rules, s.docs = doc, rules, []uint64{0}
	s.life = life
	return nil
}

// checkGenesisSigners says whether every principal of the first document signed, with a key of theirs. A person alone is
// allowed in the evaluation profile only (the document's own check enforces the quorum sizes of production).
func checkGenesisSigners(g *entry.Genesis, doc policy.Document) error {
	if len(g.Signatures) != len(doc.Principals) {
		return fmt.Errorf("genesis has %d signatures for %d principals; each signs once", len(g.Signatures), len(doc.Principals))
	}
	for i, sig := range g.Signatures {
		if sig.Person != doc.Principals[i].ID {
			return fmt.Errorf("signature %d is by %s; the document's order says %s", i, sig.Person, doc.Principals[i].ID)
		}
	}
	return nil
}

// GenesisMessage is what each first person signs.
func GenesisMessage(g entry.Genesis) []byte {
	g.Signatures = nil
	return canon.Message(canon.TagGenesis, g)
}
