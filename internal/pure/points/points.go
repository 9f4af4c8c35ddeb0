// SPDX-License-Identifier: Apache-2.0

// Package points has the control points of a domain: switches for what the domain can do at all, whoever asks and whatever the rules say.
// There are 255, numbered 1 to 255; what is not switched on is off, and a number without a name can't be switched on.
//
// A domain has a [Set] of those that are on and one of those that are frozen, which never change again. Both stand in the log: numbers and
// names are never changed or used again (testdata/frozen). Numbers below 64 are acts of the domain; from 64 on each belongs to an algorithm
// and comes from the table of package algorithm.
//
// Source: control points of EP11 and CCA modules (docs/spec/algorithms.md).
package points

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"strongroom/internal/pure/algorithm"
)

// ErrPoint is wrapped by every error about a name or number that is no control point.
var ErrPoint = errors.New("points: no such control point")

// Point is the number of a control point, 1 to 255.
type Point uint8

// Acts of the domain.
const (
	ChangePoints Point = 1  // control points may be changed; without it they are as they are for ever
	AddPoints    Point = 2  // control points may be switched on; without it they can only be switched off
	WalletCreate Point = 3  // keys of wallets are made
	Derive       Point = 4  // addresses and child keys are derived
	RotateEpoch  Point = 5  // the working key is replaced
	Backup       Point = 6  // backups are written
	Restore      Point = 7  // a zeroized or lost domain is brought back
	ExportCold   Point = 8  // bundles for a core that is offline are written and their results taken
	MoveOut      Point = 9  // a key moves to another domain
	MoveIn       Point = 10 // a key comes from another domain
	AppKeys      Point = 11 // keys of purpose app are made
	AppImport    Point = 12 // keys of purpose app are brought in from outside
	RawSign      Point = 13 // keys of purpose app sign bytes whose effects nobody decodes
	ModifyKeys   Point = 14 // attributes, mechanisms and expiry of a key are narrowed
	DestroyKeys  Point = 15 // keys are destroyed
	Threshold    Point = 16 // keys are made whose shares lie in several cores
	AppCompat    Point = 17 // keys for applications may be used as hardware's older clients expect
	TokenKeys    Point = 18 // keys of wallets are born in the token
	ContractCall Point = 19 // wallets call contracts
	MessageSign  Point = 20 // wallets sign messages
)

// Algorithms that the domain itself asks for by name; [Of] gives all.
const (
	SignECDSASecp256k1 Point = 64
	SignBIP340         Point = 65
)

// acts lists the points of acts.
var acts = []struct {
	point   Point
	name    string
	meaning string
}{
	{ChangePoints, "change-points", "control points may be changed; without it they stay as they are for ever"},
	{AddPoints, "add-points", "control points may be switched on; without it they can only be switched off"},
	{WalletCreate, "wallet-create", "keys of wallets are made"},
	{Derive, "derive", "addresses and child keys are derived"},
	{RotateEpoch, "rotate-epoch", "the working key is replaced"},
	{Backup, "backup", "backups are written"},
	{Restore, "restore", "a zeroized or lost domain is brought back"},
	{ExportCold, "export-cold", "bundles for an offline core are written and their results taken"},
	{MoveOut, "move-out", "a key moves to another domain"},
	{MoveIn, "move-in", "a key comes from another domain"},
	{AppKeys, "app-keys", "keys for applications are made"},
	{AppImport, "app-import", "keys for applications are brought in from outside"},
	{RawSign, "raw-sign", "keys for applications sign bytes whose effects nobody decodes"},
	{ModifyKeys, "modify-keys", "what a key may do is narrowed"},
	{DestroyKeys, "destroy-keys", "keys are destroyed"},
	{Threshold, "threshold", "keys are made whose shares lie in several cores"},
	{AppCompat, "app-compat", "grants may allow what older clients of hardware modules expect and is refused otherwise"},
	{TokenKeys, "token-keys", "keys of wallets are born in the token, where they can't be moved or backed up"},
	{ContractCall, "contract-call", "wallets call contracts, decoded with the contracts of the rule document"},
	{MessageSign, "message-sign", "wallets sign messages: typed data and plain text"},
}

// firstAlgorithm is the first number that belongs to an algorithm.
const firstAlgorithm = 64

// names and meanings are by number; the name of an unknown point is empty.
var names, meanings = tables(algorithm.All())

func tables(t algorithm.Table) (names, meanings [256]string) {
	for _, a := range acts {
		names[a.point], meanings[a.point] = a.name, a.meaning
	}
	for _, r := range t.Rows() {
		if r.Point >= firstAlgorithm {
			names[r.Point], meanings[r.Point] = r.PointName(), "keys are used with "+string(r.Mechanism)
		}
	}
	return names, meanings
}

// Of gives the control point of an algorithm, and false for one that this version doesn't know.
func Of(m algorithm.Mechanism) (Point, bool) {
	r, ok := algorithm.All().Find(m)
	return Point(r.Point), ok
}

// Parse reads a name.
func Parse(name string) (Point, error) {
	for n, known := range names {
		if known == name && name != "" {
			return Point(n), nil
		}
	}
	return 0, fmt.Errorf("%w: %.80q; the names are %s", ErrPoint, name, Known())
}

// Known says whether the point has a name in this version.
func (p Point) Known() bool { return names[p] != "" }

// String gives the name, or the number of a point that this version doesn't know.
func (p Point) String() string {
	if !p.Known() {
		return fmt.Sprintf("unknown-point-%d", uint8(p))
	}
	return names[p]
}

// Meaning says in a few words what the domain can do with the point switched on.
func (p Point) Meaning() string { return meanings[p] }

// Set is a set of points: point n is bit n%8 of byte n/8, the least significant bit first. Canonical CBOR holds it as a string of 32 bytes.
// It is a value: methods return a changed copy.
type Set [32]byte

// Make gives the set of some points.
func Make(list ...Point) (s Set) {
	for _, p := range list {
		s = s.With(p)
	}
	return s
}

// Known gives all points that have a name in this version.
func Known() (s Set) {
	for n := range names {
		if p := Point(n); p.Known() {
			s = s.With(p)
		}
	}
	return s
}

// Evaluation is what a new domain of the evaluation profile allows unless it is told otherwise: to make wallets and sign for them on the
// chains that this version knows, to change its working key, back up, restore, and to change its points. Keys for applications, raw
// signatures, moving keys and all other algorithms are off.
func Evaluation() Set {
	return Make(ChangePoints, AddPoints, WalletCreate, Derive, RotateEpoch, Backup, Restore, ExportCold, ModifyKeys, DestroyKeys,
		SignECDSASecp256k1, SignBIP340)
}

// Has says whether a point is in the set.
func (s Set) Has(p Point) bool { return s[p/8]&(1<<(p%8)) != 0 }

// HasAll says whether all of some points are in the set.
func (s Set) HasAll(other Set) bool { return other.Minus(s).IsZero() }

// With gives the set with a point.
func (s Set) With(p Point) Set {
	s[p/8] |= 1 << (p % 8)
	return s
}

// Without gives the set without a point.
func (s Set) Without(p Point) Set {
	s[p/8] &^= 1 << (p % 8)
	return s
}

// Or gives what is in either set.
func (s Set) Or(other Set) Set {
	for i := range s {
		s[i] |= other[i]
	}
	return s
}

// And gives what is in both sets.
func (s Set) And(other Set) Set {
	for i := range s {
		s[i] &= other[i]
	}
	return s
}

// Minus gives what is in s and not in other.
func (s Set) Minus(other Set) Set {
	for i := range s {
		s[i] &^= other[i]
	}
	return s
}

// IsZero says whether the set is empty.
func (s Set) IsZero() bool { return s == Set{} }

// Len counts the points.
func (s Set) Len() (n int) {
	for _, b := range s {
		n += bits.OnesCount8(b)
	}
	return n
}

// Points lists the set by number.
func (s Set) Points() []Point {
	list := make([]Point, 0, s.Len())
	for n := range 256 {
		if p := Point(n); s.Has(p) {
			list = append(list, p)
		}
	}
	return list
}

// Check refuses a set with a number that has no name in this version: switched on now, it would allow what a later version means by it.
func (s Set) Check() error {
	if unknown := s.Minus(Known()); !unknown.IsZero() {
		return fmt.Errorf("%w: %s", ErrPoint, unknown)
	}
	return nil
}

// Names lists the names by number. It is what documents and JSON hold.
func (s Set) Names() []string {
	list := make([]string, 0, s.Len())
	for _, p := range s.Points() {
		list = append(list, p.String())
	}
	return list
}

// none is the text of the empty set.
const none = "none"

// String gives the names with commas, "none" if there are none.
func (s Set) String() string {
	if s.IsZero() {
		return none
	}
	return strings.Join(s.Names(), ",")
}

// ParseNames reads names in any order. One that is there twice is refused, as it may stand for another that was meant.
func ParseNames(list []string) (s Set, err error) {
	for _, name := range list {
		p, err := Parse(name)
		if err != nil {
			return Set{}, err
		}
		if s.Has(p) {
			return Set{}, fmt.Errorf("points: %s is named twice", p)
		}
		s = s.With(p)
	}
	return s, nil
}

// ParseSet reads what String gives, with spaces around the commas allowed. No text at all is refused: who means no point writes "none".
func ParseSet(text string) (Set, error) {
	if strings.TrimSpace(text) == none {
		return Set{}, nil
	}
	list := strings.Split(text, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return ParseNames(list)
}
