// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"strongroom/internal/core/ceremony"
	"strongroom/internal/core/domainkeys"
	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/keystore"
	"strongroom/internal/core/recovery"
	"strongroom/internal/core/securedomain"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	script "strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// refused gives an error of a step as one that may cross the door: what packages ceremony and sharing say names people and shares, no secrets.
func refused(err error) error {
	if p := (*problem.Error)(nil); err == nil || errors.As(err, &p) {
		return err
	}
	return problem.New(problem.Conflict, "%v", err)
}

// commit draws from the machine's sources, and commits to what they gave.
func (r *rite) commit(ctx context.Context, _ gate.Caller, ask message.CeremonyAsk) (script.Commit, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out script.Commit
	if had, err := filepath.Glob(filepath.Join(r.o.Data, madePattern)); err != nil || len(had) > 0 {
		return out, problem.New(problem.Conflict, "%s holds what a ceremony has made: go on with that one, or take another folder", r.o.Data)
	}
	t, _, err := r.read(ask.Transcript, script.StepCommit)
	if err != nil {
		return out, err
	}
	if r.draw != nil {
		return out, problem.New(problem.Conflict, "this core has committed already; start another one to begin again")
	}
	cfg := ceremony.Config{Arena: r.p.cfg.Arena, Ceremony: r.script.Hash(), Production: r.script.Profile == custody.Production, Sources: r.sources()}
	for _, name := range r.script.Entropy.Dice {
		cfg.Dice = append(cfg.Dice, script.DiceSource(name))
	}
	if r.draw, err = ceremony.Begin(ctx, cfg); err != nil {
		return out, refused(err)
	}
	for _, c := range r.draw.Commitments() {
		out.List = append(out.List, script.Commitment{Source: c.Source, Hash: c.Hash[:]})
	}
	r.say(t, script.StepCommit, out)
	return out, nil
}

// mix compares what people show with what they had committed to. The openings have passed through the door as bytes, whose copies on the heap are
// cleared as far as they are ours; they alone don't give the master secret, and the process ends with the ceremony.
func (r *rite) mix(_ context.Context, _ gate.Caller, ask message.CeremonyMix) (script.Mix, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out script.Mix
	defer func() {
		for _, o := range ask.Openings {
			clear(o.Value)
		}
	}()
	t, _, err := r.read(ask.Transcript, script.StepMix)
	if err != nil {
		return out, err
	}
	if r.draw == nil || r.mixed {
		return out, problem.New(problem.Conflict, "this core has not committed, or has mixed already")
	}
	for _, rec := range t.Records {
		var c script.Commit
		if rec.Kind != script.StepDice || canon.Decode(rec.Body, &c) != nil {
			continue
		}
		if err := r.draw.Promise(ceremony.Commitment{Source: c.List[0].Source, Hash: [ceremony.CommitSize]byte(c.List[0].Hash)}); err != nil && !errors.Is(err, ceremony.ErrOrder) {
			return out, refused(err)
		}
	}
	for _, o := range ask.Openings {
		value, err := secret.Take(r.p.cfg.Arena, o.Value)
		if err != nil {
			return out, err
		}
		err = r.draw.Reveal(o.Source, value)
		value.Wipe()
		if err != nil {
			return out, refused(err)
		}
	}
	if err := r.draw.Complete(); err != nil {
		return out, refused(err)
	}
	r.mixed, r.salt = true, t.Head()
	for _, c := range r.draw.Commitments() {
		out.Sources = append(out.Sources, c.Source)
	}
	r.say(t, script.StepMix, out)
	return out, nil
}

// make makes keys and shares. What it made is in a file before it answers; asked again at the same head, it answers from there.
func (r *rite) make(ctx context.Context, _ gate.Caller, ask message.CeremonyAsk) (message.CeremonyMade, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, _, err := r.read(ask.Transcript, script.StepMake)
	if err != nil {
		return message.CeremonyMade{}, err
	}
	if kept, err := r.kept(t); !errors.Is(err, fs.ErrNotExist) {
		return kept, refused(err)
	}
	var m *ceremony.Made
	switch {
	case r.script.Purpose == script.Create && r.mixed:
		m, err = r.draw.Make(r.salt, r.layout())
	case r.script.Purpose == script.Refresh && r.load != nil:
		m, err = r.load.Refresh(ctx, r.script.Hash(), t.Head(), r.sources(), r.layout(), r.script.Profile == custody.Production)
	default:
		return message.CeremonyMade{}, problem.New(problem.NotFound, "this core made nothing at this head: what it had was lost with an earlier process, and the ceremony goes back to before it")
	}
	if err != nil {
		return message.CeremonyMade{}, refused(err)
	}
	out, err := r.complete(ctx, t, m)
	if err != nil {
		return out, refused(err)
	}
	if err := durable.Add(durable.OS(), r.made(), canon.Encode(artefacts{V: 1, Script: r.script.Hash(), Head: t.Head(), Reply: out})); err != nil {
		return out, fmt.Errorf("keep what was made: %w", err)
	}
	return out, nil
}

// artefacts is the file of what a ceremony made. Nothing in it is secret.
type artefacts struct {
	V      uint                 `cbor:"1,keyasint"` // 1
	Script [32]byte             `cbor:"2,keyasint"`
	Head   [32]byte             `cbor:"3,keyasint"` // of the transcript before the step
	Reply  message.CeremonyMade `cbor:"4,keyasint"`
}

// maxArtefacts is more than 16 shares, a genesis and two sealed copies take, in bytes.
const maxArtefacts = 16 << 20

// kept gives what was made at a head before; fs.ErrNotExist: nothing was.
func (r *rite) kept(t script.Transcript) (message.CeremonyMade, error) {
	var a artefacts
	b, err := durable.OS().Read(r.made(), maxArtefacts)
	if err != nil {
		return a.Reply, err
	}
	if err := canon.Decode(b, &a); err != nil {
		return a.Reply, fmt.Errorf("%s: %w", r.made(), err)
	}
	if a.V != 1 || a.Script != r.script.Hash() || a.Head != t.Head() {
		return message.CeremonyMade{}, problem.New(problem.Conflict, "%s holds what another ceremony has made", r.o.Data)
	}
	return a.Reply, nil
}

// layout says who gets the shares.
func (r *rite) layout() ceremony.Layout {
	l := ceremony.Layout{Threshold: uint8(r.script.Threshold), OneUnsafe: r.script.Profile != custody.Production}
	for _, p := range r.script.Receivers() {
		to, err := ceremony.ParseRecipient(p.Recipient)
		if err != nil {
			to = ceremony.Recipient{} // refused by what uses the layout, with the custodian's name
		}
		l.Custodians = append(l.Custodians, ceremony.Custodian{Name: p.Name, Recipient: to})
	}
	return l
}

// complete makes the rest: the recovery record, and for a new domain its keys, their sealed copies and the genesis.
func (r *rite) complete(ctx context.Context, t script.Transcript, m *ceremony.Made) (message.CeremonyMade, error) {
	head := t.Head()
	rec := request.Recovery{Public: m.Recovery, Threshold: r.script.Threshold, Shares: uint32(len(m.Shares)), Commitments: m.Commitments.Encode(), Transcript: head[:]}
	out := message.CeremonyMade{Made: script.Made{Recovery: m.Recovery, Commitments: rec.Commitments}}
	for i, s := range m.Shares {
		out.Made.Shares = append(out.Made.Shares, script.Share{Index: uint32(s.Index), Custodian: s.Custodian, Sealed: sha256.Sum256(s.Sealed)})
		out.Shares = append(out.Shares, s.Sealed)
		rec.Custodians = append(rec.Custodians, r.script.Receivers()[i].Key)
	}
	if r.script.Purpose == script.Create {
		g, err := r.prepare(ctx, &rec)
		if err != nil {
			return out, err
		}
		rec, out.Genesis = *g.Recovery, canon.Encode(g)
		if out.WorkingKey, err = r.copyOf(ctx, rec.WorkingKey); err != nil {
			return out, err
		}
		if out.Identity, err = r.copyOf(ctx, rec.Identity); err != nil {
			return out, err
		}
		out.Made.WorkingKey, out.Made.Identity, out.Made.Genesis = sha256.Sum256(out.WorkingKey), sha256.Sum256(out.Identity), sha256.Sum256(out.Genesis)
	}
	out.Record = canon.Encode(rec)
	return out, nil
}

// prepare makes the keys of the new domain in the root, and its genesis.
func (r *rite) prepare(ctx context.Context, rec *request.Recovery) (entry.Genesis, error) {
	p := securedomain.Preparation{Arena: r.p.cfg.Arena, Root: r.p.cfg.Root, Profile: r.script.Profile, Document: r.document, RootKind: r.script.Root,
		AnchorKind: r.script.Anchor, Points: r.script.Points, Recovery: rec, Blobs: r.p.cfg.Blobs, Witnesses: r.logWitnesses(),
		Fill: r.p.health.entropy.Fill, Quorum: uint64(r.script.Quorum)}
	return securedomain.Prepare(ctx, p)
}

func (r *rite) copyOf(ctx context.Context, hash []byte) ([]byte, error) {
	return r.p.cfg.Blobs.Get(ctx, keystore.Ref{Key: authority.SealedCopies, Hash: [32]byte(hash)})
}

// importKey makes the key of this load.
func (r *rite) importKey(_ context.Context, _ gate.Caller, ask message.CeremonyAsk) (script.Import, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, _, err := r.read(ask.Transcript, script.StepImport)
	if err != nil {
		return script.Import{}, err
	}
	expect, err := r.expect()
	if err == nil && r.load == nil {
		r.load, err = ceremony.NewLoad(r.p.cfg.Arena, r.script.Hash(), expect)
	} else if err == nil {
		err = problem.New(problem.Conflict, "this core has made its key already; start another one to begin again")
	}
	if err != nil {
		return script.Import{}, refused(err)
	}
	out := script.Import{Key: r.load.Importer()}
	r.say(t, script.StepImport, out)
	return out, nil
}

// part takes a custodian's share.
func (r *rite) part(_ context.Context, _ gate.Caller, ask message.CeremonyPart) (script.Part, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, next, err := r.read(ask.Transcript, script.StepPart)
	if err != nil {
		return script.Part{}, err
	}
	if r.load == nil {
		return script.Part{}, problem.New(problem.NotFound, "this core has made no key for this load: it goes back to before that")
	}
	if had, ok := r.parts[next.Actor]; ok {
		if had.Sealed == sha256.Sum256(ask.Part) {
			return had, nil
		}
		return script.Part{}, problem.New(problem.Conflict, "%s has handed in another share already", next.Actor)
	}
	if _, m, _, err := share.DecodePart(ask.Part); err != nil {
		return script.Part{}, problem.New(problem.Malformed, "%v", err)
	} else if m.Custodian != next.Actor {
		return script.Part{}, problem.New(problem.Conflict, "%s hands in share %d, of %s: everybody brings their own", next.Actor, m.Index, m.Custodian)
	}
	m, err := r.load.Add(ask.Part)
	if err != nil {
		return script.Part{}, refused(err)
	}
	out := script.Part{Index: uint32(m.Index), Sealed: sha256.Sum256(ask.Part)}
	r.parts[next.Actor] = out
	return out, nil
}

// combine joins the shares, compares what they give with the recovery record, and does what the script is for.
func (r *rite) combine(ctx context.Context, _ gate.Caller, ask message.CeremonyAsk) (message.CeremonyCombined, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out message.CeremonyCombined
	t, _, err := r.read(ask.Transcript, script.StepCombine)
	if err != nil {
		return out, err
	}
	if r.load == nil {
		return out, problem.New(problem.NotFound, "this core has made no key for this load: it goes back to before that")
	}
	for _, rec := range t.Records {
		var p script.Part
		if rec.Kind == script.StepPart && (canon.Decode(rec.Body, &p) != nil || r.parts[rec.Actor] != p) {
			return out, problem.New(problem.Conflict, "the transcript has another share of %s than was handed in", rec.Actor)
		}
	}
	for _, i := range r.load.Indexes() {
		out.Combined.Indexes = append(out.Combined.Indexes, uint32(i))
	}
	out.Combined.Recovery = r.record.Public
	if r.script.Purpose == script.Refresh {
		err = r.load.Try() // the shares are used, and wiped, by the next step
	} else {
		var key *recovery.Key
		if key, err = r.load.Restore(); err == nil {
			defer key.Wipe()
			if r.script.Purpose == script.Restore {
				out.Labels, err = r.restore(ctx, key)
			}
		}
	}
	if err != nil {
		return message.CeremonyCombined{}, refused(err)
	}
	r.say(t, script.StepCombine, out.Combined)
	return out, nil
}

// restore opens the sealed copies, and puts identity and working key into the root of trust.
func (r *rite) restore(ctx context.Context, key *recovery.Key) ([]string, error) {
	identity, err := r.readCopy(r.files.Identity, "identity", r.record.Identity)
	if err != nil {
		return nil, err
	}
	working, err := r.readCopy(r.files.WorkingKey, "working key", nil)
	if err != nil {
		return nil, err
	}
	a, root, epoch := r.p.cfg.Arena, r.p.cfg.Root, cmp.Or(r.files.Epoch, 1)
	public := [32]byte(r.script.Identity)
	ids, err := domainkeys.RecoverIdentity(a, key, public, identity)
	if err != nil {
		return nil, err
	}
	defer ids.Wipe()
	dwk, err := domainkeys.RecoverDWK(a, key, public, epoch, working)
	if err != nil {
		return nil, err
	}
	defer dwk.Wipe()
	switch have, err := domainkeys.LoadIdentity(ctx, a, root); {
	case errors.Is(err, hsm.ErrNotFound):
		if err := ids.Save(ctx, root); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		other := have.IdentityKey() != public
		have.Wipe()
		if other {
			return nil, problem.New(problem.Conflict, "the root of trust holds the identity of another domain")
		}
	}
	if err := dwk.SaveRestored(ctx, root); err != nil {
		return nil, err
	}
	return []string{domainkeys.IdentityLabel, domainkeys.RestoredLabel(epoch)}, nil
}

// readCopy reads something sealed for recovery; hash is what the record names, if it does.
func (r *rite) readCopy(path, what string, hash []byte) ([]byte, error) {
	b, err := durable.OS().Read(path, recovery.MaxSealed)
	if err != nil {
		return nil, fmt.Errorf("read the sealed copy of the %s: %w", what, err)
	}
	if h := keystore.Hash(b); len(hash) == 32 && h != [32]byte(hash) {
		return nil, problem.New(problem.Conflict, "the sealed copy of the %s is another one than the recovery record names", what)
	}
	return b, nil
}
