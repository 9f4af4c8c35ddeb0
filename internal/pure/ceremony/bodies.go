// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/share"
)

// Bodies of records. Hashes are SHA-256 of files or keys as they are, so that anybody can compute them with common tools.

// Opening is what the administrator reads out.
type Opening struct {
	Script  [32]byte `cbor:"1,keyasint"` // [Script.Hash]
	Program [32]byte `cbor:"2,keyasint"` // of strongroom-core, as this machine has it
	Build   string   `cbor:"3,keyasint"` // what the program says about itself: version, commit, Go version
}

// Attend is somebody's word that they take part, by this script.
type Attend struct {
	Script [32]byte `cbor:"1,keyasint"`
}

// Program is the program's hash as somebody computed it elsewhere.
type Program struct {
	Hash [32]byte `cbor:"1,keyasint"`
}

// Commitment commits to what a source gave: SHA-512 over a salt and the value, as docs/spec/share.md has it.
type Commitment struct {
	Source string `cbor:"1,keyasint"` // "system", another source of the machine, or [DiceSource]
	Hash   []byte `cbor:"2,keyasint"` // 64 bytes
}

// DiceSource names a custodian's dice among the sources.
func DiceSource(custodian string) string { return "dice/" + custodian }

// SystemSource is the system's randomness, which is always used.
const SystemSource = "system"

// Commit is one or more commitments.
type Commit struct {
	List []Commitment `cbor:"1,keyasint"`
}

// Mix says that each source gave what it had committed to, and that the master secret was mixed from all of them, the transcript's head before this
// record being the salt.
type Mix struct {
	Sources []string `cbor:"1,keyasint"` // in the order of the commitments
}

// RecoveryKeySize is the length of a public recovery key in bytes (docs/spec/share.md, 2).
const RecoveryKeySize = 1216

// Share is one share that was made.
type Share struct {
	Index     uint32   `cbor:"1,keyasint"` // from 1
	Custodian string   `cbor:"2,keyasint"`
	Sealed    [32]byte `cbor:"3,keyasint"` // of the encrypted share
}

// Made is what the core made.
type Made struct {
	Recovery    []byte   `cbor:"1,keyasint"` // public recovery key
	Commitments []byte   `cbor:"2,keyasint"` // of the sharing, encoded (package share)
	Shares      []Share  `cbor:"3,keyasint"`
	WorkingKey  [32]byte `cbor:"4,keyasint"` // of the working key, sealed for recovery; zero in a refresh
	Identity    [32]byte `cbor:"5,keyasint"` // of the domain's identity, sealed for recovery; zero in a refresh
	Genesis     [32]byte `cbor:"6,keyasint"` // of the genesis that the first persons are to sign; zero in a refresh
}

// Sharing gives the sharing that was made.
func (m Made) Sharing(threshold uint32) (share.Commitments, error) {
	return share.Parse(share.Scheme{Threshold: uint8(threshold), Shares: uint8(len(m.Shares))}, m.Commitments)
}

// Receipt is a custodian's word that their share is the one that the commitments commit to, so that it and any others that did the same give the
// master secret. It is signed for itself, besides the record: when custodians change, the log takes the receipts without the transcript.
type Receipt struct {
	Share share.Receipt    `cbor:"1,keyasint"` // as [Transcript.Receipt] gives it
	Sig   custody.HexBytes `cbor:"2,keyasint"` // of the custodian over its message
}

// Stored says where a share went.
type Stored struct {
	Bag  string `cbor:"1,keyasint"`
	Safe string `cbor:"2,keyasint"`
}

// Import is the key for one load.
type Import struct {
	Key []byte `cbor:"1,keyasint"` // public, as docs/spec/share.md has it
}

// Part is a custodian's share, on its way to the core.
type Part struct {
	Index  uint32   `cbor:"1,keyasint"`
	Sealed [32]byte `cbor:"2,keyasint"` // of the share encrypted to the key of this load
}

// Combined says that the shares gave the master secret that the log names.
type Combined struct {
	Indexes  []uint32 `cbor:"1,keyasint"` // of the shares that were used, ascending
	Recovery []byte   `cbor:"2,keyasint"` // public recovery key, which follows from the master secret
}

// Note is what departs from the script, in a witness's words.
type Note struct {
	Text string `cbor:"1,keyasint"`
}

// body decodes the body of the last record of a kind by an actor; nil actor means any.
func body[T any](t Transcript, k StepKind, actor string) (v T, ok bool, err error) {
	for i := len(t.Records) - 1; i >= 0; i-- {
		if r := t.Records[i]; r.Kind == k && (actor == "" || r.Actor == actor) {
			err = canon.Decode(r.Body, &v)
			return v, true, err
		}
	}
	return v, false, nil
}

// must is body of a record that the order of the steps has made sure of.
func must[T any](t Transcript, k StepKind, actor string) T {
	v, _, _ := body[T](t, k, actor) // it was decoded when it was added
	return v
}

// Made gives what the core made, once it did.
func (t Transcript) Made() (Made, bool) {
	m, ok, _ := body[Made](t, StepMake, "")
	return m, ok
}

// sound says whether record i, the last, says what it must.
func (t Transcript) sound(i int) error {
	r := t.Records[i]
	checks := map[StepKind]func(Record) error{
		StepOpen: t.soundOpen, StepAttend: t.soundAttend, StepProgram: t.soundProgram, StepCommit: t.soundCommit, StepDice: t.soundDice,
		StepMix: t.soundMix, StepMake: t.soundMake, StepReceipt: t.soundReceipt, StepStore: t.soundStore, StepImport: t.soundImport,
		StepPart: t.soundPart, StepCombine: t.soundCombine, StepNote: t.soundNote,
	}
	check, ok := checks[r.Kind]
	if !ok {
		return errors.New("this kind of step is not known")
	}
	return check(r)
}

func (t Transcript) soundOpen(r Record) error {
	var b Opening
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if b.Script != t.Script.Hash() {
		return errors.New("another script was opened")
	}
	if p := t.Script.Program; len(p) > 0 && !bytes.Equal(p, b.Program[:]) {
		return fmt.Errorf("this machine's program has hash %x; the script wants %x", b.Program, []byte(p))
	}
	if !plain(b.Build) {
		return fmt.Errorf("the build has more than %d visible characters", MaxText)
	}
	return nil
}

func (t Transcript) soundAttend(r Record) error {
	var b Attend
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if b.Script != t.Script.Hash() {
		return errors.New("they attend by another script")
	}
	return nil
}

func (t Transcript) soundProgram(r Record) error {
	var b Program
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if here := must[Opening](t, StepOpen, "").Program; b.Hash != here {
		return fmt.Errorf("they computed %x; the program on this machine has hash %x", b.Hash, here)
	}
	return nil
}

func (t Transcript) soundCommit(r Record) error {
	var b Commit
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	want := append([]string{SystemSource}, t.Script.Entropy.Sources...)
	if len(b.List) != len(want) {
		return fmt.Errorf("%d commitments of %d sources", len(b.List), len(want))
	}
	for i, c := range b.List {
		if c.Source != want[i] || len(c.Hash) != 64 {
			return fmt.Errorf("commitment %d is not one of source %s", i, want[i])
		}
	}
	return nil
}

func (t Transcript) soundDice(r Record) error {
	var b Commit
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if len(b.List) != 1 || b.List[0].Source != DiceSource(r.Actor) || len(b.List[0].Hash) != 64 {
		return errors.New("it must be one commitment to their own dice")
	}
	return nil
}

func (t Transcript) soundMix(r Record) error {
	var b Mix
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	want := append([]string{SystemSource}, t.Script.Entropy.Sources...)
	for _, name := range t.Script.Entropy.Dice {
		want = append(want, DiceSource(name))
	}
	if !slices.Equal(b.Sources, want) {
		return fmt.Errorf("mixed from %v; committed were %v", b.Sources, want)
	}
	return nil
}

func (t Transcript) soundMake(r Record) error {
	var b Made
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	receivers := t.Script.Receivers()
	if len(b.Recovery) != RecoveryKeySize {
		return fmt.Errorf("a recovery key of %d bytes, not %d", len(b.Recovery), RecoveryKeySize)
	}
	if len(b.Shares) != len(receivers) {
		return fmt.Errorf("%d shares for %d custodians", len(b.Shares), len(receivers))
	}
	if _, err := b.Sharing(t.Script.Threshold); err != nil {
		return err
	}
	seen := map[[32]byte]bool{}
	for i, s := range b.Shares {
		if s.Index != uint32(i+1) || s.Custodian != receivers[i].Name || s.Sealed == [32]byte{} || seen[s.Sealed] {
			return fmt.Errorf("share %d is not the one of %s", i+1, receivers[i].Name)
		}
		seen[s.Sealed] = true
	}
	zero := [32]byte{}
	if create := t.Script.Purpose == Create; create != (b.WorkingKey != zero && b.Identity != zero && b.Genesis != zero) ||
		!create && (b.WorkingKey != zero || b.Identity != zero || b.Genesis != zero) {
		return errors.New("working key, identity and genesis are made by a ceremony that creates a domain, and by no other")
	}
	if t.Script.Purpose == Refresh && !bytes.Equal(must[Combined](t, StepCombine, "").Recovery, b.Recovery) {
		return errors.New("the new shares are of another master secret")
	}
	return nil
}

func (t Transcript) soundReceipt(r Record) error {
	var b Receipt
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	m := must[Made](t, StepMake, "")
	if want, err := t.Receipt(m, r.Actor); err != nil || b.Share != want {
		return errors.New("the receipt is for another share")
	}
	if p, ok := t.Script.Participant(r.Actor); !ok || !p.Key.Verify(b.Share.Message(), b.Sig) {
		return errors.New("the signature of the receipt does not verify")
	}
	return nil
}

// Receipt gives what a custodian's receipt must say, once the shares have been made: its transcript is the hash of the record that made them.
func (t Transcript) Receipt(m Made, custodian string) (share.Receipt, error) {
	i := slices.IndexFunc(m.Shares, func(s Share) bool { return s.Custodian == custodian })
	made := slices.IndexFunc(t.Records, func(r Record) bool { return r.Kind == StepMake })
	if i < 0 || made < 0 {
		return share.Receipt{}, fmt.Errorf("%w: no share was made for %s", ErrTranscript, custodian)
	}
	c, err := m.Sharing(t.Script.Threshold)
	if err != nil {
		return share.Receipt{}, err
	}
	meta := share.NewMeta(t.Script.Hash(), c, uint8(m.Shares[i].Index), custodian, sha256.Sum256(m.Recovery))
	return share.NewReceipt(meta, c, t.Records[made].Hash()), nil
}

func (t Transcript) soundStore(r Record) error {
	var b Stored
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	p, _ := t.Script.Participant(r.Actor)
	if b.Bag == "" || b.Safe == "" || !plain(b.Bag) || !plain(b.Safe) {
		return errors.New("bag and safe must be named")
	}
	if p.Bag != "" && b.Bag != p.Bag || p.Safe != "" && b.Safe != p.Safe {
		return fmt.Errorf("bag %q in %q; the script has bag %q in %q", b.Bag, b.Safe, p.Bag, p.Safe)
	}
	return nil
}

func (t Transcript) soundImport(r Record) error {
	var b Import
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if len(b.Key) == 0 {
		return errors.New("it names no key")
	}
	return nil
}

func (t Transcript) soundPart(r Record) error {
	var b Part
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if b.Index < 1 || b.Index > MaxCustodians {
		return fmt.Errorf("share %d can't exist", b.Index)
	}
	for _, p := range t.parts(len(t.Records) - 1) {
		if p.Index == b.Index {
			return fmt.Errorf("share %d was handed in already", b.Index)
		}
	}
	return nil
}

// parts gives the parts of the first n records.
func (t Transcript) parts(n int) []Part {
	var out []Part
	for _, r := range t.Records[:n] {
		var p Part
		if r.Kind == StepPart && canon.Decode(r.Body, &p) == nil {
			out = append(out, p)
		}
	}
	return out
}

func (t Transcript) soundCombine(r Record) error {
	var b Combined
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if len(b.Recovery) != RecoveryKeySize || !slices.IsSorted(b.Indexes) || len(b.Indexes) == 0 {
		return errors.New("it names no recovery key, or no shares in order")
	}
	parts := t.parts(len(t.Records))
	for i, index := range b.Indexes {
		if !slices.ContainsFunc(parts, func(p Part) bool { return p.Index == index }) || i > 0 && b.Indexes[i-1] == index {
			return fmt.Errorf("share %d was not handed in", index)
		}
	}
	if t.Script.Purpose != Refresh && len(b.Indexes) < int(t.Script.Threshold) {
		return fmt.Errorf("%d shares were used; the threshold is %d", len(b.Indexes), t.Script.Threshold)
	}
	return nil
}

func (t Transcript) soundNote(r Record) error {
	var b Note
	if err := canon.Decode(r.Body, &b); err != nil {
		return err
	}
	if b.Text == "" || len(b.Text) > 4096 {
		return errors.New("a note has 1 to 4,096 bytes")
	}
	return nil
}
