// SPDX-License-Identifier: Apache-2.0

// Package ceremony has what a key ceremony leaves behind, and the rules it must have followed: the reviewed script, the steps that follow from
// it, and the transcript, a chain of records that everybody who took part signs at the end. It has no secrets. Who has the script's hash on
// paper checks the rest offline (docs/spec/ceremony.md).
//
// It refuses scripts in which somebody has two roles or two keys, fewer people than the profile asks for, and a threshold that one person meets or
// that nobody can miss; transcripts with a step left out, added, moved, or done by somebody else.
package ceremony

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/points"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/share"
)

// ErrScript is wrapped by every error about a script that may not be used.
var ErrScript = errors.New("ceremony script")

// ScriptError says which part of a script may not stay as it is, and what to change.
type ScriptError struct {
	Key string // as the file names it: "threshold", "participants[2].key"
	Err error
}

// Error gives part and cause.
func (e *ScriptError) Error() string { return fmt.Sprintf("%v: %s: %v", ErrScript, e.Key, e.Err) }

// Unwrap gives [ErrScript] and the cause.
func (e *ScriptError) Unwrap() []error { return []error{ErrScript, e.Err} }

// at gives a ScriptError.
func at(key, format string, args ...any) error {
	return &ScriptError{Key: key, Err: fmt.Errorf(format, args...)}
}

// someone names a participant's part.
func someone(i int, key string) string { return fmt.Sprintf("participants[%d].%s", i, key) }

// Purpose is what a ceremony is for.
type Purpose string

// The purposes.
const (
	Create  Purpose = "create"  // makes a master secret, its shares, and the keys of a new domain
	Restore Purpose = "restore" // brings a domain back from a backup and enough shares
	Refresh Purpose = "refresh" // gives the custodians new shares of the same master secret; the old ones are void
	Drill   Purpose = "drill"   // shows that enough shares give the master secret, and keeps nothing
)

// Role is what somebody is at a ceremony. Nobody has two.
type Role string

// The roles.
const (
	Administrator Role = "administrator" // leads through the script
	Custodian     Role = "custodian"     // keeps a share
	Witness       Role = "witness"       // watches each step, and writes down what departs from the script
	Auditor       Role = "auditor"       // checks the transcript
)

// Limits.
const (
	MaxParticipants = 64
	MaxCustodians   = share.MaxShares
	MaxText         = 200
	MinRolls        = 50 // rolls of a die by one custodian, of 2.585 bits each
	MaxRolls        = 1000
	MinDiceInAll    = 100 // rolls of all custodians together in production: 258 bits
)

// Participant is somebody who takes part.
type Participant struct {
	Role      Role              `cbor:"1,keyasint"`
	Name      string            `cbor:"2,keyasint"`           // slug, as the transcript calls them
	Key       request.PublicKey `cbor:"3,keyasint"`           // enrolled key, with which they sign
	Recipient string            `cbor:"4,keyasint,omitempty"` // custodians who are to get a share: whom it is encrypted to, as docs/spec/share.md spells it
	Bag       string            `cbor:"5,keyasint,omitempty"` // custodians: number of the tamper-evident bag
	Safe      string            `cbor:"6,keyasint,omitempty"` // custodians: where the bag goes
}

// Entropy says what the master secret is mixed from, besides the system's randomness, which is always part of it.
type Entropy struct {
	Sources []string `cbor:"1,keyasint,omitempty"` // further sources of the machine, sorted: "hwrng", "rdseed", "root"
	Dice    []string `cbor:"2,keyasint,omitempty"` // custodians who roll dice, in order
	Rolls   uint32   `cbor:"3,keyasint,omitempty"` // by each of them
}

// LogWitness is a program that cosigns checkpoints of the new domain's log.
type LogWitness struct {
	Name string `cbor:"1,keyasint"`
	Key  string `cbor:"2,keyasint"` // verifier key (C2SP signed-note)
}

// Script decides everything that happens in a ceremony. What is not in it is not done.
type Script struct {
	V            uint             `cbor:"1,keyasint"` // 1
	ID           string           `cbor:"2,keyasint"` // slug; never used for another ceremony
	Title        string           `cbor:"3,keyasint,omitempty"`
	Purpose      Purpose          `cbor:"4,keyasint"`
	Profile      custody.Profile  `cbor:"5,keyasint"`
	Threshold    uint32           `cbor:"6,keyasint"` // shares that give the master secret: of the sharing that is made, or else of the one in force
	Participants []Participant    `cbor:"7,keyasint"` // in the order in which they act
	Entropy      Entropy          `cbor:"8,keyasint"`
	Program      custody.HexBytes `cbor:"9,keyasint,omitempty"`  // SHA-256 of the core's program; without it, it is only written down (evaluation)
	Document     custody.HexBytes `cbor:"10,keyasint,omitempty"` // create: hash of the first rule document
	Domain       custody.HexBytes `cbor:"11,keyasint,omitempty"` // all others: the domain
	Root         string           `cbor:"12,keyasint,omitempty"` // create, restore: kind of the root of trust
	Anchor       string           `cbor:"13,keyasint,omitempty"` // create: kind of the anchor
	Witnesses    []LogWitness     `cbor:"14,keyasint,omitempty"` // create: log witnesses
	Quorum       uint32           `cbor:"15,keyasint,omitempty"` // create: of the log witnesses
	Unattended   bool             `cbor:"16,keyasint,omitempty"` // a drill without people, with keys from files; never in production
	Leaving      []string         `cbor:"17,keyasint,omitempty"` // refresh: custodians who bring a share and get none
	Joining      []string         `cbor:"18,keyasint,omitempty"` // refresh: custodians who get a share and bring none
	Points       *points.Set      `cbor:"19,keyasint,omitempty"` // create: control points that are on; nil: points.Evaluation, in that profile only
	Identity     custody.HexBytes `cbor:"20,keyasint,omitempty"` // restore: public identity key of the domain
	Record       custody.HexBytes `cbor:"21,keyasint,omitempty"` // all but create: hash of the recovery record in force, as the domain's status shows it
}

// Encode gives the canonical encoding.
func (s Script) Encode() []byte { return canon.Encode(s) }

// Hash is what stands on page one: it names the script.
func (s Script) Hash() [32]byte { return canon.Hash(canon.TagScript, s) }

// Of gives the participants of a role, in order.
func (s Script) Of(r Role) []Participant {
	var out []Participant
	for _, p := range s.Participants {
		if p.Role == r {
			out = append(out, p)
		}
	}
	return out
}

// Participant gives who has a name.
func (s Script) Participant(name string) (Participant, bool) {
	i := slices.IndexFunc(s.Participants, func(p Participant) bool { return p.Name == name })
	if i < 0 {
		return Participant{}, false
	}
	return s.Participants[i], true
}

// Receivers gives the custodians who get a share, in order: share 1 goes to the first.
func (s Script) Receivers() []Participant {
	if s.Purpose != Create && s.Purpose != Refresh {
		return nil
	}
	return slices.DeleteFunc(s.Of(Custodian), func(p Participant) bool { return slices.Contains(s.Leaving, p.Name) })
}

// Bringers gives the custodians who hand a share in, in order.
func (s Script) Bringers() []Participant {
	if s.Purpose == Create {
		return nil
	}
	return slices.DeleteFunc(s.Of(Custodian), func(p Participant) bool { return slices.Contains(s.Joining, p.Name) })
}

// makes says whether the ceremony makes shares.
func (s Script) makes() bool { return s.Purpose == Create || s.Purpose == Refresh }

// Check says whether a script may be used. Every error says what to change.
func (s Script) Check() error {
	for _, check := range []func() error{s.checkHead, s.checkPeople, s.checkRoles, s.checkSharing, s.checkEntropy, s.checkTarget} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (s Script) checkHead() error {
	if s.V != 1 {
		return at("version", "version %d is not known; this version reads 1", s.V)
	}
	if err := custody.CheckSlug("id", s.ID); err != nil {
		return at("id", "%w", err)
	}
	if err := s.Profile.Check(); err != nil {
		return at("profile", "%w", err)
	}
	switch s.Purpose {
	case Create, Restore, Refresh, Drill:
	default:
		return at("purpose", "purpose %q is none of create, restore, refresh, drill", string(s.Purpose))
	}
	if !plain(s.Title) {
		return at("title", "the title must have at most %d visible characters", MaxText)
	}
	if s.Profile == custody.Production && s.Unattended {
		return at("unattended", "a production ceremony is never unattended: people take part in it")
	}
	return nil
}

// plain says whether a text is short and prints as one line.
func plain(s string) bool {
	return len(s) <= MaxText && !slices.ContainsFunc([]rune(s), func(r rune) bool { return r < ' ' || r == 0x7f || r > 0x24f })
}

func (s Script) checkPeople() error {
	if n := len(s.Participants); n < 2 || n > MaxParticipants {
		return at("participants", "%d participants; there must be 2 to %d", n, MaxParticipants)
	}
	names, keys, recipients := map[string]bool{CoreActor: true}, map[string]string{}, map[string]string{}
	for i, p := range s.Participants {
		if err := custody.CheckSlug("participant", p.Name); err != nil {
			return at(someone(i, "name"), "%w", err)
		}
		if names[p.Name] {
			return at(someone(i, "name"), "participant %q is there twice, or is called as the core is; nobody has two roles", p.Name)
		}
		names[p.Name] = true
		if err := p.Key.Check(); err != nil {
			return at(someone(i, "key"), "participant %q: %w", p.Name, err)
		}
		if other := keys[string(p.Key.Pub)]; other != "" {
			return at(someone(i, "key"), "participants %q and %q have the same key; nobody has two roles", other, p.Name)
		}
		keys[string(p.Key.Pub)] = p.Name
		if !plain(p.Bag) || !plain(p.Safe) || len(p.Recipient) > MaxRecipient {
			return at(someone(i, "recipient"), "participant %q: bag and safe must have at most %d visible characters, the recipient %d", p.Name, MaxText, MaxRecipient)
		}
		if other := recipients[strings.ToLower(p.Recipient)]; other != "" { // bech32 and hex have two cases
			return at(someone(i, "recipient"), "custodians %q and %q have the same recipient; nobody gets two shares", other, p.Name)
		}
		if p.Recipient != "" {
			recipients[strings.ToLower(p.Recipient)] = p.Name
		}
		if p.Role != Custodian && p.Recipient+p.Bag+p.Safe != "" {
			return at(someone(i, "role"), "participant %q is no custodian and can't have recipient, bag or safe", p.Name)
		}
	}
	return nil
}

// MaxRecipient is the longest recipient: a hybrid post-quantum age recipient has 1,959 characters.
const MaxRecipient = 4096

// least is how many of each role a profile asks for.
func (s Script) least() map[Role]int {
	if s.Profile == custody.Production {
		return map[Role]int{Administrator: 1, Witness: 2, Auditor: 1}
	}
	return map[Role]int{Administrator: 1, Witness: 1}
}

func (s Script) checkRoles() error {
	count := map[Role]int{}
	for i, p := range s.Participants {
		switch p.Role {
		case Administrator, Custodian, Witness, Auditor:
			count[p.Role]++
		default:
			return at(someone(i, "role"), "participant %q has role %q; the roles are administrator, custodian, witness, auditor", p.Name, string(p.Role))
		}
	}
	for _, r := range []Role{Administrator, Witness, Auditor} {
		if least := s.least()[r]; count[r] < least {
			return at("participants", "a ceremony of profile %s needs %d of role %s; the script has %d", s.Profile, least, r, count[r])
		}
	}
	if count[Administrator] != 1 {
		return at("participants", "one administrator leads a ceremony; the script has more")
	}
	return nil
}

func (s Script) checkSharing() error {
	m, bring := int(s.Threshold), len(s.Bringers())
	if m < 1 || m > MaxCustodians || len(s.Of(Custodian)) > 2*MaxCustodians {
		return at("threshold", "threshold %d and %d custodians; the threshold must be 1 to %d", m, len(s.Of(Custodian)), MaxCustodians)
	}
	if s.Profile == custody.Production && m < 2 {
		return at("threshold", "in production the threshold is 2 at least: no single person may have the key")
	}
	if s.Purpose != Refresh && len(s.Leaving)+len(s.Joining) > 0 {
		return at("leaving", "only a refresh has custodians who leave or join")
	}
	moving := slices.Concat(s.Leaving, s.Joining)
	for i, name := range moving {
		if p, ok := s.Participant(name); !ok || p.Role != Custodian || slices.Contains(moving[:i], name) {
			return at("leaving", "%q leaves or joins, and is no custodian of the script, or is there twice", name)
		}
	}
	if (s.Purpose == Restore || s.Purpose == Drill) && bring < m {
		return at("participants", "%d custodians bring a share; the master secret needs %d", bring, m)
	}
	if s.Purpose == Refresh && bring < 1 {
		return at("participants", "nobody brings a share")
	}
	if !s.makes() {
		return nil
	}
	n := len(s.Receivers())
	if n < m || n > MaxCustodians {
		return at("threshold", "%d custodians get a share and %d are needed; there must be %d to %d", n, m, m, MaxCustodians)
	}
	if s.Profile == custody.Production && n == m {
		return at("threshold", "all %d shares would be needed: one that is lost loses the key; let more custodians take part", n)
	}
	for _, p := range s.Receivers() {
		if p.Recipient == "" {
			return at("participants", "custodian %q gets a share and has no recipient to encrypt it to", p.Name)
		}
	}
	return nil
}

// sources are the names of the machine's further sources.
var sources = []string{"hwrng", "rdseed", "root"}

func (s Script) checkEntropy() error {
	e := s.Entropy
	if s.Purpose != Create {
		if len(e.Sources)+len(e.Dice) > 0 || e.Rolls != 0 {
			return at("entropy", "only the making of a master secret takes entropy")
		}
		return nil
	}
	for i, name := range e.Sources {
		if !slices.Contains(sources, name) || i > 0 && e.Sources[i-1] >= name {
			return at("entropy.sources", "entropy source %q is not known, or not in order; the sources are hwrng, rdseed, root (system is always used)", name)
		}
	}
	for i, name := range e.Dice {
		if p, ok := s.Participant(name); !ok || p.Role != Custodian || slices.Contains(e.Dice[:i], name) {
			return at("entropy.dice", "%q rolls dice, and is no custodian of the script, or is there twice", name)
		}
	}
	if len(e.Dice) > 0 && (e.Rolls < MinRolls || e.Rolls > MaxRolls) || len(e.Dice) == 0 && e.Rolls != 0 {
		return at("entropy.rolls", "%d rolls a custodian; there must be %d to %d", e.Rolls, MinRolls, MaxRolls)
	}
	if s.Profile == custody.Production && (len(e.Dice) < 2 || len(e.Dice)*int(e.Rolls) < MinDiceInAll) {
		return at("entropy.dice", "in production two custodians at least roll dice, %d times together", MinDiceInAll)
	}
	return nil
}

func (s Script) checkTarget() error {
	if n := len(s.Program); n != 0 && n != 32 || n == 0 && s.Profile == custody.Production {
		return at("program", "program must be the SHA-256 of strongroom-core, which two people compare; production needs it")
	}
	if want := s.Purpose == Create; want != (len(s.Document) == 32) || !want && len(s.Document) != 0 {
		return at("document", "document must be the hash of the first rule document in a script that creates a domain, and in no other")
	}
	if want := s.Purpose != Create; want != (len(s.Domain) == 32) || !want && len(s.Domain) != 0 {
		return at("domain", "domain must be the id of the domain in every script but one that creates a domain")
	}
	if want := s.Purpose != Create; want != (len(s.Record) == 32) || !want && len(s.Record) != 0 {
		return at("record", "record must be the hash of the domain's recovery record ('strongroom domain status --verify' shows it) in every script but one that creates a domain")
	}
	if want := s.Purpose == Restore; want != (len(s.Identity) == 32) || !want && len(s.Identity) != 0 {
		return at("identity", "identity must be the domain's public identity key, of domain.json, in a script that restores, and in no other")
	}
	if s.Points != nil && s.Purpose != Create || s.Points == nil && s.Purpose == Create && s.Profile == custody.Production {
		return at("points", "points must name the control points that are on in a script that creates a production domain; one that creates an evaluation domain may, and no other")
	}
	if s.Points != nil {
		if err := s.Points.Check(); err != nil {
			return at("points", "%w", err)
		}
	}
	if want := s.Purpose == Create || s.Purpose == Restore; want != (s.Root != "") {
		return at("root", "root must name the kind of the root of trust where one is filled, and only there")
	}
	create := s.Purpose == Create
	if create != (s.Anchor != "") || !create && (len(s.Witnesses) > 0 || s.Quorum != 0) {
		return at("anchor", "anchor must be named in a script that creates a domain; anchor, log witnesses and quorum in no other")
	}
	if int(s.Quorum) > len(s.Witnesses) || len(s.Witnesses) > 0 && int(s.Quorum)*2 <= len(s.Witnesses) {
		return at("quorum", "a quorum of %d of %d log witnesses; it must be a majority", s.Quorum, len(s.Witnesses))
	}
	return nil
}
