// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"crypto/sha256"
	"fmt"

	"strongroom/internal/core/recovery"
	"strongroom/internal/core/sharing"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// Custodian is somebody who gets a share.
type Custodian struct {
	Name      string // as the transcript calls them
	Recipient Recipient
}

// Layout says who gets shares and how many of them are needed. Share 1 goes to the first custodian, and so on.
type Layout struct {
	Threshold  uint8
	Custodians []Custodian
	OneUnsafe  bool // allows a threshold of 1, for evaluation; refused in production
}

func (l Layout) scheme(production bool) (share.Scheme, error) {
	if len(l.Custodians) > share.MaxShares {
		return share.Scheme{}, fmt.Errorf("%w: %d custodians, at most %d", ErrInput, len(l.Custodians), share.MaxShares)
	}
	s := share.Scheme{Threshold: l.Threshold, Shares: uint8(len(l.Custodians))}
	if err := s.Check(l.OneUnsafe && !production); err != nil {
		return share.Scheme{}, err
	}
	for i, c := range l.Custodians {
		if err := share.CheckName(c.Name); err != nil {
			return share.Scheme{}, err
		}
		if c.Recipient.seal == nil {
			return share.Scheme{}, fmt.Errorf("%w: %s has none", ErrRecipient, c.Name)
		}
		for _, o := range l.Custodians[:i] {
			if o.Name == c.Name {
				return share.Scheme{}, fmt.Errorf("%w: %s is there twice", ErrInput, c.Name)
			}
			if o.Recipient.text == c.Recipient.text {
				return share.Scheme{}, fmt.Errorf("%w: %s and %s have one recipient; each has their own", ErrRecipient, o.Name, c.Name)
			}
		}
	}
	return s, nil
}

// MadeShare is a custodian's share, sealed to them.
type MadeShare struct {
	Index     uint8
	Custodian string
	Sealed    []byte // share.Sealed, encoded
}

// Made is what a ceremony made. Nothing in it is secret.
type Made struct {
	Recovery    []byte // public recovery key
	Commitments share.Commitments
	Shares      []MadeShare // by index
}

// Make mixes the master secret from everything drawn, with the head of the transcript as salt, derives the recovery key, and seals the
// custodians' shares to them. The master secret, the shares and everything drawn are wiped when it returns; the draw has ended, whether it
// failed or not. It checks the layout, and that all is there, before: then nothing is lost.
func (d *Draw) Make(transcript [32]byte, l Layout) (*Made, error) {
	scheme, err := l.scheme(d.cfg.Production)
	if err != nil {
		return nil, err
	}
	if err := d.Complete(); err != nil {
		return nil, err
	}
	defer d.Close()
	a := d.cfg.Arena
	mixed, err := mix(a, transcript, d.parts)
	if err != nil {
		return nil, fmt.Errorf("ceremony: mix: %w", err)
	}
	defer mixed.Wipe()
	master, seed, err := divide(a, mixed)
	if err != nil {
		return nil, fmt.Errorf("ceremony: mix: %w", err)
	}
	defer master.Wipe()
	defer seed.Wipe()
	key, err := recovery.Derive(a, master)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	defer key.Wipe()
	c, list, err := sharing.Split(a, master, seed, scheme)
	if err != nil {
		return nil, fmt.Errorf("ceremony: %w", err)
	}
	defer sharing.WipeAll(list)
	return sealAll(a, d.cfg.Ceremony, key.Public(), c, list, l)
}

// sealAll seals each share to its custodian.
func sealAll(a *secret.Arena, ceremony [32]byte, public []byte, c share.Commitments, list []sharing.Share, l Layout) (*Made, error) {
	m := &Made{Recovery: public, Commitments: c}
	for i, s := range list {
		to := l.Custodians[i]
		meta := share.NewMeta(ceremony, c, s.Index(), to.Name, sha256.Sum256(public))
		plain, err := plaintext(a, s, meta)
		if err != nil {
			return nil, about(meta, err)
		}
		sealed, err := to.Recipient.sealShare(meta, plain)
		plain.Wipe()
		if err != nil {
			return nil, about(meta, err)
		}
		m.Shares = append(m.Shares, MadeShare{Index: s.Index(), Custodian: to.Name, Sealed: sealed})
	}
	return m, nil
}

// plaintext is what is sealed of a share: SHA-256 of the meta data, which has the index, then value and blinding.
func plaintext(a *secret.Arena, s sharing.Share, m share.Meta) (secret.Bytes, error) {
	encoded, err := s.Encode(a)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer encoded.Wipe()
	hash := sha256.Sum256(m.Encode())
	return secret.New(a, share.PlainSize, func(out []byte) error {
		return encoded.Use(func(b []byte) error {
			copy(out[copy(out, hash[:]):], b[1:])
			return nil
		})
	})
}

// parsePlain reads what was sealed, for these meta data, and checks the share against the commitments.
func parsePlain(a *secret.Arena, plain secret.Bytes, m share.Meta, c share.Commitments) (sharing.Share, error) {
	hash := sha256.Sum256(m.Encode())
	encoded, err := secret.New(a, sharing.ShareSize, func(out []byte) error {
		return plain.Use(func(b []byte) error {
			if len(b) != share.PlainSize || [sha256.Size]byte(b) != hash {
				return ErrOpen
			}
			out[0] = m.Index
			copy(out[1:], b[sha256.Size:])
			return nil
		})
	})
	if err != nil {
		return sharing.Share{}, err
	}
	defer encoded.Wipe()
	s, err := sharing.Parse(a, encoded)
	if err != nil {
		return sharing.Share{}, err
	}
	if err := sharing.Check(c, s); err != nil {
		s.Wipe()
		return sharing.Share{}, err
	}
	return s, nil
}
