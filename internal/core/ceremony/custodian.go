// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/core/internal/hybrid"
	"strongroom/internal/core/sharing"
	"strongroom/internal/core/slip39"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// wordsVersion is the first byte of what a share's words encode.
const wordsVersion = 1

// Opened is a custodian's share, opened and checked against the commitments that came with it. Whoever has the commitments from elsewhere, from
// the log or the transcript, compares: [Opened.Expect].
type Opened struct {
	Meta        share.Meta
	Commitments share.Commitments
	arena       *secret.Arena
	share       sharing.Share
}

// OpenShare opens a sealed share and checks it: that it is the one its meta data speak of, and that it fits the commitments, so that it and any
// other shares that fit bring back the committed secret. Wipe it after use.
func OpenShare(a *secret.Arena, sealed []byte, o Opener) (*Opened, error) {
	e, m, c, err := share.DecodeSealed(sealed)
	if err != nil {
		return nil, err
	}
	if o.open == nil {
		return nil, fmt.Errorf("%w: no key to open the share with", ErrInput)
	}
	plain, err := secret.New(a, share.PlainSize, func(out []byte) (err error) {
		secret.Do(func() { err = o.open(&e, out) })
		return err
	})
	if err != nil {
		return nil, about(m, err)
	}
	defer plain.Wipe()
	s, err := parsePlain(a, plain, m, c)
	if err != nil {
		return nil, about(m, err)
	}
	return &Opened{Meta: m, Commitments: c, arena: a, share: s}, nil
}

// Wipe forgets the share.
func (o *Opened) Wipe() { o.share.Wipe() }

// Expect is what is known of a sharing from elsewhere: the log's recovery record.
type Expect struct {
	Sharing  [32]byte // [share.Commitments.Hash]
	Recovery [32]byte // SHA-256 of the recovery public key
}

// Expect returns [ErrOther] when the share is of another sharing than the one known from elsewhere.
func (o *Opened) Expect(e Expect) error { return expected(o.Meta, o.Commitments, e) }

func expected(m share.Meta, c share.Commitments, e Expect) error {
	if c.Hash() != e.Sharing || m.Recovery != e.Recovery {
		return about(m, ErrOther)
	}
	return nil
}

// Receipt returns what the custodian signs with their enrolled key: that they opened this share and that it fits, when the transcript stood
// at this head.
func (o *Opened) Receipt(transcript [32]byte) share.Receipt {
	return share.NewReceipt(o.Meta, o.Commitments, transcript)
}

// Words writes the share as 60 words, for paper. Who has the words has the share. The caller wipes them.
func (o *Opened) Words() (secret.Bytes, error) {
	encoded, err := o.share.Encode(o.arena)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer encoded.Wipe()
	content, err := secret.New(o.arena, 1+sharing.ShareSize, func(out []byte) error {
		out[0] = wordsVersion
		return encoded.Use(func(b []byte) error { copy(out[1:], b); return nil })
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer content.Wipe()
	texts, err := slip39.Split(o.arena, content, secret.Bytes{}, slip39.Single(wordsID(o.Commitments)))
	if err != nil {
		return secret.Bytes{}, err
	}
	return texts[0][0], nil
}

// wordsID is the identifier of words: the first 15 bits of the commitments hash.
func wordsID(c share.Commitments) uint16 {
	h := c.Hash()
	return binary.BigEndian.Uint16(h[:]) >> 1
}

// FromWords reads a share from paper. meta says what it is of, except for the index, which the words have: ceremony, custodian and
// commitments stand in the log and the transcript. The caller keeps and wipes the words.
func FromWords(a *secret.Arena, meta share.Meta, words secret.Bytes) (*Opened, error) {
	h, err := slip39.Inspect(a, words)
	if err != nil {
		return nil, err
	}
	// Before the words are opened: the exponent says how long that takes, up to hours.
	if h.Exponent != 0 || !h.Extendable || h.GroupCount != 1 || h.Threshold != 1 || h.Index != 0 {
		return nil, fmt.Errorf("%w: the words are not those of a custodian's share", ErrInput)
	}
	content, err := slip39.Combine(a, []secret.Bytes{words}, secret.Bytes{})
	if err != nil {
		return nil, err
	}
	defer content.Wipe()
	encoded, err := secret.New(a, sharing.ShareSize, func(out []byte) error {
		return content.Use(func(b []byte) error {
			if len(b) != 1+sharing.ShareSize || b[0] != wordsVersion {
				return fmt.Errorf("%w: the words are not those of a custodian's share", ErrInput)
			}
			copy(out, b[1:])
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	defer encoded.Wipe()
	s, err := sharing.Parse(a, encoded)
	if err != nil {
		return nil, err
	}
	meta.Index = s.Index()
	c, err := meta.Commitments()
	if err == nil && h.ID != wordsID(c) {
		err = about(meta, ErrOther)
	}
	if err == nil {
		if err = sharing.Check(c, s); err != nil {
			err = about(meta, err)
		}
	}
	if err != nil {
		s.Wipe()
		return nil, err
	}
	return &Opened{Meta: meta, Commitments: c, arena: a, share: s}, nil
}

// HandIn seals the share to the one-time key of a load ([Load.Importer]), whose fingerprint the custodian has compared with what the core
// shows.
func (o *Opened) HandIn(importer []byte) ([]byte, error) {
	i, err := share.DecodeImporter(importer)
	if err != nil {
		return nil, err
	}
	plain, err := plaintext(o.arena, o.share, o.Meta)
	if err != nil {
		return nil, err
	}
	defer plain.Wipe()
	p := share.NewPart(i, o.Meta)
	err = plain.Use(func(b []byte) (err error) {
		p.Enc, p.Box, err = hybrid.Seal(i.Public, p.Info(), i.Load[:], b)
		return err
	})
	if err != nil {
		return nil, errors.Join(share.ErrMalformed, err)
	}
	return p.Encode(), nil
}
