// SPDX-License-Identifier: Apache-2.0

package ritual

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"

	custodian "strongroom/internal/core/ceremony"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/share"
)

// call asks the core for something. That it made nothing, or has ended, is errLost.
func call[Req, Rep any](ctx context.Context, r *run, method string, ask Req) (Rep, error) {
	var none Rep
	c, err := r.running(ctx)
	if err != nil {
		return none, err
	}
	out, err := gate.Call[Req, Rep](ctx, c, method, ask)
	var p *problem.Error
	switch {
	case errors.As(err, &p) && p.Kind == problem.NotFound:
		return none, fmt.Errorf("%w: %s", errLost, p.Detail)
	case errors.As(err, &p):
		return none, errors.New(p.Detail)
	case errors.Is(err, gate.ErrClosed):
		return none, fmt.Errorf("the core has ended: %w; nothing secret is left, and --resume goes on", errors.Join(err, r.stop()))
	}
	return out, err
}

func (r *run) ask() message.CeremonyAsk { return message.CeremonyAsk{Transcript: r.t.Encode()} }

// coreStep has the core do its step, and gives the record's body.
func (r *run) coreStep(ctx context.Context, s ceremony.Step) (any, error) {
	switch s.Kind {
	case ceremony.StepCommit:
		return call[message.CeremonyAsk, ceremony.Commit](ctx, r, message.MethodCeremonyCommit, r.ask())
	case ceremony.StepMix:
		return r.mix(ctx)
	case ceremony.StepMake:
		return r.make(ctx)
	case ceremony.StepImport:
		i, err := call[message.CeremonyAsk, ceremony.Import](ctx, r, message.MethodCeremonyImport, r.ask())
		if err != nil {
			return nil, err
		}
		key, err := share.DecodeImporter(i.Key)
		if err != nil {
			return nil, err
		}
		if key.Load != r.Script.Hash() {
			return nil, errors.New("the core made a key for another load")
		}
		return i, r.write(ImporterFile, i.Key)
	case ceremony.StepCombine:
		c, err := call[message.CeremonyAsk, message.CeremonyCombined](ctx, r, message.MethodCeremonyCombine, r.ask())
		if err == nil {
			r.Say("The shares fit: together they give the recovery key that the record names.")
		}
		for _, l := range c.Labels {
			r.Say("Put into the root of trust: %s.", l)
		}
		return c.Combined, err
	default:
		return nil, fmt.Errorf("step %s is not known", s.ID())
	}
}

// mix shows the core the dice. The copies on their way are cleared.
func (r *run) mix(ctx context.Context) (any, error) {
	m := message.CeremonyMix{Transcript: r.t.Encode()}
	defer func() {
		for _, o := range m.Openings {
			clear(o.Value)
		}
	}()
	for _, name := range r.Script.Entropy.Dice {
		source := ceremony.DiceSource(name)
		o, ok := r.openings[source]
		if !ok {
			return nil, errLost
		}
		err := o.Use(func(b []byte) error {
			m.Openings = append(m.Openings, message.CeremonyOpening{Source: source, Value: bytes.Clone(b)})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return call[message.CeremonyMix, ceremony.Mix](ctx, r, message.MethodCeremonyMix, m)
}

// make has the core make everything, checks that it fits, and keeps it before the record says so.
func (r *run) make(ctx context.Context) (any, error) {
	m, err := call[message.CeremonyAsk, message.CeremonyMade](ctx, r, message.MethodCeremonyMake, r.ask())
	if err != nil {
		return nil, err
	}
	if err := r.fits(m); err != nil {
		return nil, fmt.Errorf("what the core made does not fit: %w", err)
	}
	for i, s := range m.Made.Shares {
		if err := r.write(shareFile(s), m.Shares[i]); err != nil {
			return nil, err
		}
	}
	files := map[string][]byte{RecordFile: m.Record}
	if r.Script.Purpose == ceremony.Create {
		files[GenesisFile], files[IdentityFile], files[WorkingKeyFile] = m.Genesis, m.Identity, m.WorkingKey
	}
	for name, b := range files {
		if err := r.write(name, b); err != nil {
			return nil, err
		}
	}
	if err := r.stop(); err != nil { // nothing secret is in its memory but what its root needs, and that is not needed
		return nil, err
	}
	return m.Made, nil
}

// shareFile names the file of a sealed share.
func shareFile(s ceremony.Share) string {
	return filepath.Join(SharesDir, fmt.Sprintf("%d-%s.share", s.Index, s.Custodian))
}

// fits says whether what the core made is what its hashes name and what the script asks for.
func (r *run) fits(m message.CeremonyMade) error {
	if len(m.Shares) != len(m.Made.Shares) {
		return fmt.Errorf("%d shares, %d named", len(m.Shares), len(m.Made.Shares))
	}
	for i, s := range m.Made.Shares {
		if sha256.Sum256(m.Shares[i]) != s.Sealed {
			return fmt.Errorf("share %d is not the one that is named", s.Index)
		}
		if _, meta, _, err := share.DecodeSealed(m.Shares[i]); err != nil || meta.Custodian != s.Custodian || uint32(meta.Index) != s.Index || meta.Ceremony != r.Script.Hash() {
			return errors.Join(fmt.Errorf("share %d is another one", s.Index), err)
		}
	}
	var rec request.Recovery
	if err := canon.Decode(m.Record, &rec); err != nil {
		return err
	}
	if !bytes.Equal(rec.Public, m.Made.Recovery) || !bytes.Equal(rec.Commitments, m.Made.Commitments) || rec.Threshold != r.Script.Threshold {
		return errors.New("the recovery record is another one")
	}
	if r.Script.Purpose != ceremony.Create {
		return nil
	}
	if sha256.Sum256(m.Identity) != m.Made.Identity || sha256.Sum256(m.WorkingKey) != m.Made.WorkingKey || sha256.Sum256(m.Genesis) != m.Made.Genesis {
		return errors.New("the genesis or a sealed copy is not the one that is named")
	}
	var g entry.Genesis
	if err := canon.Decode(m.Genesis, &g); err != nil {
		return err
	}
	d, err := policy.DecodeDocument(g.Document)
	if err != nil {
		return err
	}
	if h := d.Hash(); !bytes.Equal(h[:], r.Script.Document) || g.Profile != r.Script.Profile || g.Root != r.Script.Root || g.Anchor != r.Script.Anchor || g.Recovery == nil || g.Recovery.Hash() != rec.Hash() {
		return errors.New("the genesis is not the one that the script describes")
	}
	return nil
}

// part has a custodian hand in their share.
func (r *run) part(ctx context.Context, s ceremony.Step) (ceremony.Part, error) {
	b, err := r.sealedPart(ctx, s.Actor)
	if err != nil {
		return ceremony.Part{}, err
	}
	if _, m, _, err := share.DecodePart(b); err != nil {
		return ceremony.Part{}, err
	} else if m.Custodian != s.Actor {
		return ceremony.Part{}, fmt.Errorf("%s hands in share %d, of %s: everybody brings their own", s.Actor, m.Index, m.Custodian)
	}
	return call[message.CeremonyPart, ceremony.Part](ctx, r, message.MethodCeremonyPart, message.CeremonyPart{Transcript: r.t.Encode(), Part: b})
}

// sealedPart gives a custodian's share, encrypted to the core.
func (r *run) sealedPart(ctx context.Context, name string) ([]byte, error) {
	imported, err := r.importer()
	if err != nil {
		return nil, err
	}
	key, err := share.DecodeImporter(imported)
	if err != nil {
		return nil, err
	}
	if err := r.Hands.Compare(ctx, name, "the key of this load", key.Fingerprint()); err != nil {
		return nil, err
	}
	o, err := r.Hands.Share(ctx, r.Arena, name)
	if err != nil {
		return nil, err
	}
	if o != nil {
		defer o.Wipe()
		return o.HandIn(imported)
	}
	path := r.path(filepath.Join(PartsDir, name+".part"))
	if err := r.Hands.Await(ctx, name, fmt.Sprintf("strongroom custodian hand-in SHARE --identity-file IDENTITY --importer %s --out %s", ImporterFile, name+".part"), path); err != nil {
		return nil, err
	}
	return readSome(path)
}

// importer gives the key of this load, as the transcript has it.
func (r *run) importer() ([]byte, error) {
	for _, rec := range r.t.Records {
		var i ceremony.Import
		if rec.Kind == ceremony.StepImport {
			if err := canon.Decode(rec.Body, &i); err != nil {
				return nil, err
			}
			return i.Key, nil
		}
	}
	return nil, errors.New("there is no key of this load yet")
}

// openedShare gives a custodian's new share, opened here; nil: they open it elsewhere.
func (r *run) openedShare(ctx context.Context, name string) (*custodian.Opened, error) {
	m, _ := r.t.Made()
	for _, s := range m.Shares {
		if s.Custodian != name {
			continue
		}
		opener, here, err := r.Hands.Opener(ctx, r.Arena, name)
		if err != nil || !here {
			return nil, err
		}
		b, err := readSome(r.path(shareFile(s)))
		if err != nil {
			return nil, err
		}
		if sha256.Sum256(b) != s.Sealed {
			return nil, fmt.Errorf("%s is not the share that the core made", shareFile(s))
		}
		return custodian.OpenShare(r.Arena, b, opener)
	}
	return nil, fmt.Errorf("no share was made for %s", name)
}
