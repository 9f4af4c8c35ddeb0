// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"slices"

	"strongroom/internal/core/internal/kdf"
	"strongroom/internal/core/sharing"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// Sizes in bytes.
const (
	DrawSize   = 64 // drawn from each of the machine's sources
	SaltSize   = 32 // of a commitment's salt
	CommitSize = kdf.Size

	maxSources = 32
	mixSize    = 64 + sharing.SeedSize
)

// Source is one of the machine's sources of randomness. Read fills b or fails; b lies in the arena and must not be kept or copied.
type Source interface {
	Name() string
	Read(ctx context.Context, b []byte) error
}

// Commitment is what a source publishes before anybody's values are known:
// SHA-512(tag || 0x00 || ceremony || u16 length of name || name || salt || value).
type Commitment struct {
	Source string
	Hash   [CommitSize]byte
}

// Config says what a master secret is drawn from. The zero Config is refused.
type Config struct {
	Arena      *secret.Arena
	Ceremony   [32]byte // id: the hash of the script; not zero
	Production bool     // asks for dice of at least two custodians, MinRolls together, and a threshold of 2
	Sources    []Source // of the machine, in the order in which they are mixed; at least one
	Dice       []string // names of those who roll dice, in the order in which they are mixed
}

func (c Config) check() error {
	names := slices.Clone(c.Dice)
	for _, s := range c.Sources {
		names = append(names, s.Name())
	}
	switch {
	case c.Arena == nil || c.Ceremony == [32]byte{}:
		return fmt.Errorf("%w: arena or id of the ceremony is missing", ErrInput)
	case len(c.Sources) == 0 || len(names) > maxSources:
		return fmt.Errorf("%w: %d sources of the machine and %d people with dice; use at least one source and at most %d together", ErrInput, len(c.Sources), len(c.Dice), maxSources)
	case c.Production && len(c.Dice) < minRollers:
		return fmt.Errorf("%w: dice of %d custodians; in production at least %d roll", ErrInput, len(c.Dice), minRollers)
	}
	slices.Sort(names)
	for i, name := range names {
		if err := share.CheckName(name); err != nil {
			return fmt.Errorf("%w: source: %w", ErrInput, err)
		}
		if i > 0 && name == names[i-1] {
			return fmt.Errorf("%w: two sources are called %q", ErrInput, name)
		}
	}
	return nil
}

// Draw is a master secret in the making: what sources gave and people rolled. It is for one goroutine.
type Draw struct {
	cfg   Config
	parts []*part // sources, then dice, in the configured order
	ended bool
}

// part is what one source contributes.
type part struct {
	name  string
	dice  bool
	hash  *[CommitSize]byte // once promised
	value secret.Bytes      // salt and value; zero until it is there
	count int               // rolls
}

// Begin draws from each of the machine's sources, and commits to what they gave. Call [Draw.Close] at the end.
func Begin(ctx context.Context, cfg Config) (*Draw, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	d := &Draw{cfg: cfg}
	for _, s := range cfg.Sources {
		p, err := drawFrom(ctx, cfg.Arena, s)
		if err == nil {
			p.hash, err = commit(cfg.Ceremony, p.name, p.value)
			d.parts = append(d.parts, p)
		}
		if err == nil {
			err = d.distinct(p)
		}
		if err != nil {
			d.Close()
			return nil, err
		}
	}
	for _, name := range cfg.Dice {
		d.parts = append(d.parts, &part{name: name, dice: true})
	}
	return d, nil
}

// drawFrom reads a source, and refuses what is obviously no randomness. (Health tests of noise sources are their own: package entropy.)
func drawFrom(ctx context.Context, a *secret.Arena, s Source) (*part, error) {
	value, err := secret.New(a, SaltSize+DrawSize, func(b []byte) error {
		rand.Read(b[:SaltSize]) // never fails: crypto/rand ends the process when the system has no randomness
		v := b[SaltSize:]
		if err := s.Read(ctx, v); err != nil {
			return fmt.Errorf("%w: %s: %w", ErrSource, s.Name(), err)
		}
		if bytes.Count(v, v[:1]) > DrawSize/4 || subtle.ConstantTimeCompare(v[:DrawSize/2], v[DrawSize/2:]) == 1 {
			return fmt.Errorf("%w: %s repeats itself", ErrSource, s.Name())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &part{name: s.Name(), value: value}, nil
}

// distinct refuses a value that another source gave as well: two sources are one then.
func (d *Draw) distinct(p *part) error {
	for _, o := range d.parts {
		if o == p || o.value.Len() != p.value.Len() || o.dice != p.dice {
			continue
		}
		same := false
		err := o.value.Use(func(x []byte) error {
			return p.value.Use(func(y []byte) error {
				same = subtle.ConstantTimeCompare(x[SaltSize:], y[SaltSize:]) == 1
				return nil
			})
		})
		if err != nil {
			return err
		}
		if same && p.dice {
			return fmt.Errorf("%w: %s and %s rolled the same; each rolls their own", ErrDice, o.name, p.name)
		}
		if same {
			return fmt.Errorf("%w: %s and %s gave the same", ErrSource, o.name, p.name)
		}
	}
	return nil
}

// commit computes a commitment. opening is salt and value.
func commit(ceremony [32]byte, name string, opening secret.Bytes) (*[CommitSize]byte, error) {
	head := append(canon.TagBytes(canon.TagSource, nil), ceremony[:]...)
	head = append(binary.BigEndian.AppendUint16(head, uint16(len(name))), name...)
	var out [CommitSize]byte
	err := opening.Use(func(b []byte) error {
		kdf.Sum(&out, head, b)
		return nil
	})
	return &out, err
}

// Commitments returns those made so far, in the order in which sources are mixed. They are public: they go to the transcript.
func (d *Draw) Commitments() []Commitment {
	var list []Commitment
	for _, p := range d.parts {
		if p.hash != nil {
			list = append(list, Commitment{Source: p.name, Hash: *p.hash})
		}
	}
	return list
}

// NewOpening makes the opening that a custodian keeps on a machine of their own until everybody has committed: a random salt and their
// rolls, and the commitment to it. The caller keeps and wipes rolls, and wipes the opening.
func NewOpening(a *secret.Arena, ceremony [32]byte, name string, rolls secret.Bytes) (secret.Bytes, Commitment, error) {
	opening, err := secret.New(a, SaltSize+max(rolls.Len(), 1), func(b []byte) error {
		rand.Read(b[:SaltSize]) // never fails: crypto/rand ends the process when the system has no randomness
		return rolls.Use(func(v []byte) error { copy(b[SaltSize:], v); return nil })
	})
	if err != nil {
		return secret.Bytes{}, Commitment{}, err
	}
	hash, err := commit(ceremony, name, opening)
	if err != nil {
		opening.Wipe()
		return secret.Bytes{}, Commitment{}, err
	}
	return opening, Commitment{Source: name, Hash: *hash}, nil
}

// Roll takes the dice that somebody typed at this machine, checks them, and commits to them. The caller keeps and wipes rolls: digits 1 to 6
// without anything between.
func (d *Draw) Roll(name string, rolls secret.Bytes) (Commitment, error) {
	p, err := d.roller(name)
	if err != nil {
		return Commitment{}, err
	}
	if p.hash != nil {
		return Commitment{}, fmt.Errorf("%w: %s has committed already", ErrOrder, name)
	}
	opening, c, err := NewOpening(d.cfg.Arena, d.cfg.Ceremony, name, rolls)
	if err != nil {
		return Commitment{}, err
	}
	if err := d.accept(p, opening); err != nil {
		return Commitment{}, err
	}
	p.hash = &c.Hash
	return c, nil
}

// Promise takes the commitment of somebody who rolls elsewhere. It can't be changed any more.
func (d *Draw) Promise(c Commitment) error {
	p, err := d.roller(c.Source)
	if err != nil {
		return err
	}
	if p.hash != nil {
		return fmt.Errorf("%w: %s has committed already", ErrOrder, c.Source)
	}
	p.hash = &c.Hash
	return nil
}

// Reveal takes an opening that was promised, when everybody has committed. The caller keeps and wipes it.
func (d *Draw) Reveal(name string, opening secret.Bytes) error {
	p, err := d.roller(name)
	if err != nil {
		return err
	}
	for _, o := range d.parts {
		if o.hash == nil {
			return fmt.Errorf("%w: %s has not committed yet; nobody shows anything before all have", ErrOrder, o.name)
		}
	}
	if p.value.Len() != 0 {
		return fmt.Errorf("%w: %s has shown their dice already", ErrOrder, name)
	}
	hash, err := commit(d.cfg.Ceremony, name, opening)
	if err != nil {
		return err
	}
	if *hash != *p.hash {
		return fmt.Errorf("%w: the dice of %s", ErrPromise, name)
	}
	kept, err := secret.New(d.cfg.Arena, opening.Len(), func(b []byte) error {
		return opening.Use(func(o []byte) error { copy(b, o); return nil })
	})
	if err != nil {
		return err
	}
	return d.accept(p, kept)
}

func (d *Draw) roller(name string) (*part, error) {
	if d.ended {
		return nil, fmt.Errorf("%w: this draw has ended", ErrOrder)
	}
	for _, p := range d.parts {
		if p.dice && p.name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%w: nobody called %q rolls dice here", ErrInput, name)
}

// accept checks dice and keeps them; opening is wiped if they are refused.
func (d *Draw) accept(p *part, opening secret.Bytes) error {
	err := opening.Use(func(b []byte) error {
		if len(b) < SaltSize {
			return fmt.Errorf("%w: an opening of %d bytes", ErrDice, len(b))
		}
		p.count = len(b) - SaltSize
		return CheckRolls(b[SaltSize:])
	})
	if err == nil {
		p.value = opening
		err = d.distinct(p)
	}
	if err != nil {
		p.value = secret.Bytes{}
		opening.Wipe()
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// Close wipes what was drawn. It may be called at any time, and again.
func (d *Draw) Close() {
	d.ended = true
	for _, p := range d.parts {
		p.value.Wipe()
	}
}

// Complete says whether all is there that the master secret is mixed from.
func (d *Draw) Complete() error {
	if d.ended {
		return fmt.Errorf("%w: this draw has ended", ErrOrder)
	}
	rolls := 0
	for _, p := range d.parts {
		if p.value.Len() == 0 {
			return fmt.Errorf("%w: %s has not rolled, or not shown what they rolled", ErrOrder, p.name)
		}
		rolls += p.count
	}
	if d.cfg.Production && rolls < MinRollsInAll {
		return fmt.Errorf("%w: %d rolls in all; production needs %d", ErrDice, rolls, MinRollsInAll)
	}
	return nil
}

// mix makes 128 bytes from all parts, as strong as the strongest of them:
// HKDF-SHA-512(key = all parts, salt = transcript, info = tag), each part being u16 length of name || name || u32 length || salt || value.
func mix(a *secret.Arena, transcript [32]byte, parts []*part) (secret.Bytes, error) {
	size := 0
	for _, p := range parts {
		size += 2 + len(p.name) + 4 + p.value.Len()
	}
	all, err := secret.New(a, size, func(b []byte) error {
		for _, p := range parts {
			binary.BigEndian.PutUint16(b, uint16(len(p.name)))
			b = b[2+copy(b[2:], p.name):]
			binary.BigEndian.PutUint32(b, uint32(p.value.Len()))
			b = b[4:]
			if err := p.value.Use(func(v []byte) error { b = b[copy(b, v):]; return nil }); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer all.Wipe()
	return secret.New(a, mixSize, func(out []byte) error {
		return all.Use(func(b []byte) error { return kdf.HKDF(kdf.SHA512, out, b, transcript[:], []byte(canon.TagMix)) })
	})
}

// divide gives the master secret and the seed of the split from what was mixed.
func divide(a *secret.Arena, mixed secret.Bytes) (master, seed secret.Bytes, err error) {
	err = mixed.Use(func(b []byte) error {
		var err error
		master, err = secret.New(a, sharing.MasterSize, func(out []byte) error { return sharing.Reduce(out, b[:64]) })
		if err != nil {
			return err
		}
		seed, err = secret.New(a, sharing.SeedSize, func(out []byte) error { copy(out, b[64:]); return nil })
		return err
	})
	if err != nil {
		master.Wipe()
	}
	return master, seed, err
}
