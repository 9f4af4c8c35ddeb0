// SPDX-License-Identifier: Apache-2.0

// Package algorithm describes every algorithm that a key can be used with: its name in our formats, its PKCS#11 name, the kinds of keys it
// takes, the sizes of what it makes, and its control point. It is the part of the table of algorithms that needs no secret, so that rules,
// requests, the door's callers and the auditor's tool speak of the same things as the core.
//
// The code of each row stands in core/algorithm under the same name; a test there refuses a row without code and code without a row. Adding
// an algorithm is these two rows. Key headers, control points and self-tests read the table (docs/spec/algorithms.md).
//
// Names of mechanisms and kinds and numbers of control points stand in sealed blobs and in the log: they are never changed or used again.
package algorithm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Mechanism is something a key can be used for.
type Mechanism string

// Kind says what the secret bytes of a key are.
type Kind string

// Use is the operation of an algorithm.
type Use string

// The uses, and what else they allow of the same key.
const (
	Derive  Use = "derive"  // child keys
	Sign    Use = "sign"    // signatures, with a public key that verifies them
	MAC     Use = "mac"     // authentication codes: made and verified with the same key
	Encrypt Use = "encrypt" // data: encrypted and decrypted with the same key
	Wrap    Use = "wrap"    // keys: wrapped and unwrapped with the same key
	Decrypt Use = "decrypt" // data: encrypted with the public key, decrypted with the secret one
	KEM     Use = "kem"     // shared secrets: encapsulated with the public key, decapsulated with the secret one
	Agree   Use = "agree"   // shared secrets, from the other side's public key
)

// uses lists them, for [Table] to refuse others.
var uses = []Use{Derive, Sign, MAC, Encrypt, Wrap, Decrypt, KEM, Agree}

// Material is a kind of key.
type Material struct {
	Kind   Kind
	Min    int    // bytes of the secret
	Max    int    // bytes of the secret
	Public int    // bytes of the public key; 0: there is none
	Form   string // what the secret bytes are, and in which form the public key is
	Only   string // class of keys it is bound to, as keystore names it; empty: any
}

// Row describes one algorithm.
type Row struct {
	Mechanism Mechanism
	PKCS11    string // name of the mechanism in PKCS#11 version 3.2, or of the vendor's mechanism that does the same
	Use       Use
	Kinds     []Kind // of keys that are used with it
	Via       []Kind // of keys whose derived keys or joint signatures are used with it: seeds, shares
	Point     uint8  // number of its control point; from 64 on its name is [Row.PointName]
	Makes     int    // bytes of what it makes: signature, code, shared secret, or the most that is added to a plaintext; 0: by the key's size
	Strength  int    // security strength in bits against classical attacks (SP 800-57 part 1), with the weakest kind of key
	PQ        bool   // believed to withstand quantum computers
	Source    string // the standard
}

// PointName is the name of the algorithm's control point: its use and its name.
func (r Row) PointName() string { return string(r.Use) + "-" + string(r.Mechanism) }

// Table is a set of algorithms and kinds of keys. The zero Table is empty. It is immutable.
type Table struct {
	rows  []Row
	kinds []Material
}

// ErrTable is wrapped by every error about a table that contradicts itself.
var ErrTable = errors.New("algorithm: the table contradicts itself")

// New makes a table. It refuses one that names anything twice, leaves a kind or a use undefined, or gives two rows one control point.
func New(rows []Row, kinds []Material) (Table, error) {
	t := Table{rows: slices.Clone(rows), kinds: slices.Clone(kinds)}
	for i, k := range t.kinds {
		if _, again := find(t.kinds[:i], func(o Material) bool { return o.Kind == k.Kind }); again || k.Kind == "" || k.Min < 1 || k.Max < k.Min || k.Public < 0 {
			return Table{}, fmt.Errorf("%w: kind %q is there twice, or its sizes are wrong", ErrTable, k.Kind)
		}
	}
	for i, r := range t.rows {
		if err := t.checkRow(t.rows[:i], r); err != nil {
			return Table{}, fmt.Errorf("%w: row %q: %w", ErrTable, r.Mechanism, err)
		}
	}
	return t, nil
}

func (t Table) checkRow(before []Row, r Row) error {
	_, again := find(before, func(o Row) bool { return o.Mechanism == r.Mechanism || o.Point == r.Point })
	switch {
	case r.Mechanism == "" || strings.ContainsAny(string(r.Mechanism), " ,+"):
		return errors.New("the name is empty or holds a space, comma or plus")
	case again:
		return errors.New("its name or control point is another row's")
	case r.Point == 0:
		return errors.New("it has no control point")
	case !slices.Contains(uses, r.Use):
		return fmt.Errorf("use %q is not known", r.Use)
	case len(r.Kinds) == 0:
		return errors.New("no kind of key can be used with it")
	}
	for _, k := range slices.Concat(r.Kinds, r.Via) {
		if _, ok := t.Material(k); !ok {
			return fmt.Errorf("kind %q is not in the table", k)
		}
	}
	return nil
}

// Rows lists the algorithms.
func (t Table) Rows() []Row { return slices.Clone(t.rows) }

// Kinds lists the kinds of keys.
func (t Table) Kinds() []Material { return slices.Clone(t.kinds) }

// Find gives the row of a mechanism.
func (t Table) Find(m Mechanism) (Row, bool) {
	return find(t.rows, func(r Row) bool { return r.Mechanism == m })
}

// Material gives what a kind of key is.
func (t Table) Material(k Kind) (Material, bool) {
	return find(t.kinds, func(o Material) bool { return o.Kind == k })
}

// Fits says whether the header of a key of a kind may name a mechanism: keys of the kind, or what comes of them, are used with it.
func (t Table) Fits(k Kind, m Mechanism) bool {
	r, ok := t.Find(m)
	return ok && (slices.Contains(r.Kinds, k) || slices.Contains(r.Via, k))
}

// Direct says whether the secret bytes of a kind themselves are used with a mechanism.
func (t Table) Direct(k Kind, m Mechanism) bool {
	r, ok := t.Find(m)
	return ok && slices.Contains(r.Kinds, k)
}

// With gives a table with more rows and kinds.
func (t Table) With(rows []Row, kinds []Material) (Table, error) {
	return New(append(t.Rows(), rows...), append(t.Kinds(), kinds...))
}

func find[T any](list []T, is func(T) bool) (found T, ok bool) {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i], true
	}
	return found, false
}
