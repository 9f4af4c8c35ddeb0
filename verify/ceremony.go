// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/request"
)

// ErrNotTranscript says that a file is no transcript of a ceremony at all. It is an [ErrInvalid] too.
var ErrNotTranscript error = notTranscript{}

type notTranscript struct{}

func (notTranscript) Error() string        { return "the file is no transcript of a ceremony" }
func (notTranscript) Is(target error) bool { return target == ErrInvalid }

// CeremonyLine is one record of a transcript.
type CeremonyLine struct {
	Step   string // "receipt"
	Actor  string // name, or "core"
	Time   time.Time
	Detail string // what it says, in a few words
}

// Ceremony is what a transcript shows.
type Ceremony struct {
	Script      [32]byte // hash: compare it with the one on page one
	ID, Purpose string
	Profile     string
	Unattended  bool
	Threshold   uint32
	Shares      int                 // that were made; 0: none
	Program     [32]byte            // SHA-256 of strongroom-core
	Recovery    [32]byte            // SHA-256 of the public recovery key; zero if none was made or used
	Genesis     [32]byte            // SHA-256 of the unsigned genesis; zero if none was made
	Signers     []string            // role and name of everybody who signed the whole
	Notes       []string            // of witnesses: what departed from the script
	Records     []CeremonyLine      // in order
	Transcript  ceremony.Transcript // all of it
}

// Transcript checks the transcript of a ceremony that is over: chain, order of steps, every signature, and that what the records say fits together. That
// the script is the one that people reviewed is for who compares [Ceremony.Script]. The error names the first thing that does not hold.
func Transcript(file []byte) (*Ceremony, error) {
	var t ceremony.Transcript
	if len(file) > ceremony.MaxTranscript || canon.Decode(file, &t) != nil {
		return nil, ErrNotTranscript
	}
	if err := t.Complete(); err != nil {
		return nil, fmt.Errorf("%w: %w", errTranscript, err)
	}
	c := &Ceremony{Script: t.Script.Hash(), ID: t.Script.ID, Purpose: string(t.Script.Purpose), Profile: string(t.Script.Profile), Unattended: t.Script.Unattended,
		Threshold: t.Script.Threshold, Transcript: t}
	for _, p := range t.Script.Participants {
		c.Signers = append(c.Signers, fmt.Sprintf("%s %s", p.Role, p.Name))
	}
	for _, r := range t.Records {
		if err := c.take(r); err != nil {
			return nil, fmt.Errorf("%w: record %d: %w", errTranscript, r.Seq, err)
		}
	}
	return c, nil
}

// errTranscript is ErrInvalid in the words of transcripts.
var errTranscript = fmt.Errorf("%w: transcript", ErrInvalid)

// take reads a record, which is known to be sound.
func (c *Ceremony) take(r ceremony.Record) error {
	detail := ""
	var err error
	switch r.Kind {
	case ceremony.StepOpen:
		var b ceremony.Opening
		err = canon.Decode(r.Body, &b)
		c.Program, detail = b.Program, b.Build
	case ceremony.StepMake:
		var b ceremony.Made
		err = canon.Decode(r.Body, &b)
		c.Shares, c.Recovery, c.Genesis = len(b.Shares), sha256.Sum256(b.Recovery), b.Genesis
		detail = fmt.Sprintf("%d shares, %d of which give the master secret", len(b.Shares), c.Threshold)
	case ceremony.StepMix:
		var b ceremony.Mix
		err = canon.Decode(r.Body, &b)
		detail = fmt.Sprintf("from %d sources", len(b.Sources))
	case ceremony.StepStore:
		var b ceremony.Stored
		err = canon.Decode(r.Body, &b)
		detail = fmt.Sprintf("bag %s, safe %s", b.Bag, b.Safe)
	case ceremony.StepCombine:
		var b ceremony.Combined
		err = canon.Decode(r.Body, &b)
		c.Recovery, detail = sha256.Sum256(b.Recovery), fmt.Sprintf("shares %v gave the recovery key", b.Indexes)
	case ceremony.StepNote:
		var b ceremony.Note
		err = canon.Decode(r.Body, &b)
		c.Notes, detail = append(c.Notes, b.Text), b.Text
	}
	c.Records = append(c.Records, CeremonyLine{Step: string(r.Kind), Actor: r.Actor, Time: time.Unix(0, r.Time).UTC(), Detail: detail})
	return err
}

// Made says whether a genesis is the one that the ceremony made, its signatures aside.
func (c *Ceremony) Made(g *entry.Genesis) error {
	if g == nil {
		return fmt.Errorf("%w: there is no genesis to compare", errTranscript)
	}
	unsigned := *g
	unsigned.Signatures = nil
	if c.Genesis != sha256.Sum256(canon.Encode(unsigned)) {
		return fmt.Errorf("%w: the domain's genesis is not the one that this ceremony made", errTranscript)
	}
	return nil
}

// Names says whether a recovery record is that of the sharing that the ceremony made.
func (c *Ceremony) Names(r *request.Recovery) error {
	m, ok := c.Transcript.Made()
	if !ok {
		return errors.New("this ceremony made no shares")
	}
	if r == nil || string(r.Public) != string(m.Recovery) || string(r.Commitments) != string(m.Commitments) || int(r.Shares) != len(m.Shares) {
		return fmt.Errorf("%w: the recovery record is not that of the shares that this ceremony made", errTranscript)
	}
	return nil
}
