// SPDX-License-Identifier: Apache-2.0

// Package slip39 writes a secret as words on paper and reads it back: SLIP-39, complete, with groups, member thresholds, passphrase and the
// extendable flag (docs/spec/share.md section 4 says how a custodian's share becomes words).
//
// It refuses secrets that are not 16 to [MaxSecret] bytes or of odd length, words that are not in the list (naming their place, never the
// word), a wrong checksum, padding that isn't zero, words of different secrets, and any other number of words than the thresholds ask
// for. A wrong passphrase can't be noticed: by design it gives another secret.
//
// Time does not depend on secrets but through the number of letters of a text: arithmetic in GF(256) is without tables, words are looked up
// by reading the whole list.
//
// Copies outside the arena: none that lasts. Secrets, shares, words and all that is between them stay in the arena; hashes are those of package
// kdf, which clears what they keep.
//
// Spec: SLIP-0039 of SatoshiLabs; wordlist.txt is its word list.
package slip39

import (
	"errors"
	"fmt"

	"strongroom/internal/secret"
)

// Limits. A secret has an even number of bytes.
const (
	MinSecret = 16   // the shortest secret in bytes
	MaxSecret = 128  // the longest; SLIP-39 has no limit, but paper has
	MaxShares = 16   // groups, and members of a group
	MaxText   = 2048 // the longest text in bytes, white space included; 110 words have 989

	MaxPassphrase = 256 // bytes

	headerWords   = 4
	checksumWords = 3
	minWords      = headerWords + (8*MinSecret+9)/10 + checksumWords
	digestSize    = 4
	digestAt      = 254 // x of the digest
	secretAt      = 255 // x of the secret
)

var (
	// ErrSecret says that a secret or passphrase can't be written as words: wrong length, or letters that not every keyboard has.
	ErrSecret = errors.New("slip39: can't be written as words")
	// ErrScheme says that groups and thresholds don't fit.
	ErrScheme = errors.New("slip39: thresholds and numbers of shares don't fit")
	// ErrWord says that a word is not in the list: look for a mistyped one at the place named.
	ErrWord = errors.New("slip39: not a word of the list")
	// ErrLength says that the number of words is none that a share can have.
	ErrLength = errors.New("slip39: wrong number of words")
	// ErrChecksum says that words were mistyped or exchanged.
	ErrChecksum = errors.New("slip39: the checksum is wrong: a word was mistyped or two were exchanged")
	// ErrPadding says that bits that must be zero are not: the words were not made by this scheme.
	ErrPadding = errors.New("slip39: the padding is not zero")
	// ErrMismatch says that words are of different secrets, or of splits with other thresholds.
	ErrMismatch = errors.New("slip39: the words are not of one secret")
	// ErrDuplicate says that two texts are the same member of a group.
	ErrDuplicate = errors.New("slip39: the same share twice")
	// ErrCount says that there are too few or too many texts or groups: give exactly as many as the thresholds ask for.
	ErrCount = errors.New("slip39: not the number of shares that the thresholds ask for")
	// ErrDigest says that shares together don't give what was split: one of them is wrong although its checksum is right.
	ErrDigest = errors.New("slip39: the shares don't belong together")
)

// Header is what words say about themselves in clear.
type Header struct {
	ID             uint16 // 15 bits, the same in all words of a secret
	Extendable     bool   // ID does not enter the encryption, so that other sets of words of the same secret can be made
	Exponent       uint8  // PBKDF2 takes 10,000 × 2^Exponent iterations; 0 to 15
	GroupIndex     uint8  // from 0
	GroupThreshold uint8  // groups needed
	GroupCount     uint8
	Index          uint8 // of the member in its group, from 0
	Threshold      uint8 // members of the group needed
}

// Group is how many members a group has and how many of them are needed.
type Group struct{ Threshold, Count uint8 }

// Params say how to split. The zero Params are refused.
type Params struct {
	ID             uint16 // 15 bits, random or derived from what the secret is
	Extendable     bool
	Exponent       uint8
	GroupThreshold uint8
	Groups         []Group
}

// Single gives the parameters of one text for the whole secret: one group of one member.
func Single(id uint16) Params {
	return Params{ID: id & 0x7fff, Extendable: true, GroupThreshold: 1, Groups: []Group{{1, 1}}}
}

func (p Params) check() error {
	n := len(p.Groups)
	if n < 1 || n > MaxShares || p.GroupThreshold < 1 || int(p.GroupThreshold) > n || p.ID > 0x7fff || p.Exponent > 15 {
		return fmt.Errorf("%w: %d of %d groups, id %d, exponent %d", ErrScheme, p.GroupThreshold, n, p.ID, p.Exponent)
	}
	for i, g := range p.Groups {
		// SLIP-39: "multiple member shares with member threshold 1" are not allowed: they would be copies.
		if g.Threshold < 1 || g.Threshold > g.Count || g.Count > MaxShares || g.Threshold == 1 && g.Count > 1 {
			return fmt.Errorf("%w: group %d: %d of %d members", ErrScheme, i, g.Threshold, g.Count)
		}
	}
	return nil
}

// Split writes a secret as words: a text for each member of each group, words in lower case with a space between. passphrase may be the zero
// secret. The caller keeps and wipes master and passphrase, and wipes the texts.
func Split(a *secret.Arena, master, passphrase secret.Bytes, p Params) (texts [][]secret.Bytes, err error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if err := checkSecret(master.Len()); err != nil {
		return nil, err
	}
	secret.Do(func() { texts, err = split(a, master, passphrase, p) })
	if err != nil {
		for _, group := range texts {
			wipeAll(group)
		}
		return nil, err
	}
	return texts, nil
}

func checkSecret(n int) error {
	if n < MinSecret || n > MaxSecret || n%2 != 0 {
		return fmt.Errorf("%w: a secret of %d bytes; use an even number from %d to %d", ErrSecret, n, MinSecret, MaxSecret)
	}
	return nil
}

func split(a *secret.Arena, master, passphrase secret.Bytes, p Params) (texts [][]secret.Bytes, err error) {
	h := Header{ID: p.ID, Extendable: p.Extendable, Exponent: p.Exponent, GroupThreshold: p.GroupThreshold, GroupCount: uint8(len(p.Groups))}
	encrypted, err := crypt(a, master, passphrase, h, false)
	if err != nil {
		return nil, err
	}
	defer encrypted.Wipe()
	groups, err := splitValue(a, encrypted, int(p.GroupThreshold), len(p.Groups))
	defer wipeAll(groups)
	if err != nil {
		return nil, err
	}
	for i, g := range p.Groups {
		h.GroupIndex, h.Threshold = uint8(i), g.Threshold
		texts = append(texts, nil)
		members, err := splitValue(a, groups[i], int(g.Threshold), int(g.Count))
		for j := range members {
			if err != nil {
				break
			}
			h.Index = uint8(j)
			var text secret.Bytes
			if text, err = writeWords(a, h, members[j]); err == nil {
				texts[i] = append(texts[i], text)
			}
		}
		wipeAll(members)
		if err != nil {
			return texts, err
		}
	}
	return texts, nil
}

// Combine reads a secret from texts of words, in any order: for exactly as many groups as needed exactly as many members as needed. Words may
// be in any case, with any white space between. The caller keeps and wipes texts and passphrase, and wipes the secret.
func Combine(a *secret.Arena, texts []secret.Bytes, passphrase secret.Bytes) (master secret.Bytes, err error) {
	secret.Do(func() { master, err = combine(a, texts, passphrase) })
	return master, err
}

// Inspect checks the words of one text and returns what they say about themselves.
func Inspect(a *secret.Arena, text secret.Bytes) (h Header, err error) {
	secret.Do(func() {
		var m member
		m, err = readWords(a, text)
		m.value.Wipe()
		h = m.Header
	})
	return h, err
}

// member is one text, read.
type member struct {
	Header
	value secret.Bytes
}

func combine(a *secret.Arena, texts []secret.Bytes, passphrase secret.Bytes) (secret.Bytes, error) {
	if len(texts) == 0 {
		return secret.Bytes{}, fmt.Errorf("%w: none is there", ErrCount)
	}
	groups := map[uint8][]member{}
	defer func() {
		for _, g := range groups {
			for _, m := range g {
				m.value.Wipe()
			}
		}
	}()
	var first member
	for i, text := range texts {
		m, err := readWords(a, text)
		if err != nil {
			return secret.Bytes{}, fmt.Errorf("text %d: %w", i+1, err)
		}
		groups[m.GroupIndex] = append(groups[m.GroupIndex], m)
		if i == 0 {
			first = m
		}
		if err := matches(first, m, groups[m.GroupIndex]); err != nil {
			return secret.Bytes{}, fmt.Errorf("text %d: %w", i+1, err)
		}
	}
	if len(groups) != int(first.GroupThreshold) {
		return secret.Bytes{}, fmt.Errorf("%w: texts of %d groups, %d are needed", ErrCount, len(groups), first.GroupThreshold)
	}
	var xs []uint8
	var values []secret.Bytes
	defer func() { wipeAll(values) }()
	for at := range uint8(MaxShares) {
		g, ok := groups[at]
		if !ok {
			continue
		}
		if len(g) != int(g[0].Threshold) {
			return secret.Bytes{}, fmt.Errorf("%w: %d texts of group %d, %d are needed", ErrCount, len(g), at+1, g[0].Threshold)
		}
		v, err := combineGroup(a, g)
		if err != nil {
			return secret.Bytes{}, err
		}
		xs, values = append(xs, at), append(values, v)
	}
	encrypted, err := combineValues(a, xs, values)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer encrypted.Wipe()
	return crypt(a, encrypted, passphrase, first.Header, true)
}

// matches compares a text with the first one, and with the others of its group, of which it is the last.
func matches(first, m member, group []member) error {
	if m.ID != first.ID || m.Extendable != first.Extendable || m.Exponent != first.Exponent || m.GroupThreshold != first.GroupThreshold ||
		m.GroupCount != first.GroupCount || m.value.Len() != first.value.Len() || m.Threshold != group[0].Threshold {
		return ErrMismatch
	}
	for _, other := range group[:len(group)-1] {
		if other.Index == m.Index {
			return fmt.Errorf("%w: member %d of group %d", ErrDuplicate, m.Index+1, m.GroupIndex+1)
		}
	}
	return nil
}

func combineGroup(a *secret.Arena, group []member) (secret.Bytes, error) {
	xs, values := make([]uint8, len(group)), make([]secret.Bytes, len(group))
	for i, m := range group {
		xs[i], values[i] = m.Index, m.value
	}
	return combineValues(a, xs, values)
}

func wipeAll(list []secret.Bytes) {
	for _, b := range list {
		b.Wipe()
	}
}
