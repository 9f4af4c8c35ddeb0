// SPDX-License-Identifier: Apache-2.0

// Package algorithm is the code of every algorithm that a key can be used with, in one table: each row of pure/algorithm, which says what it
// is called, which keys it takes and which control point allows it, has here what makes keys, what uses them, and known answers for the
// self-test (package selftest). Key headers, control points and self-tests read the table, so adding an algorithm is adding its rows
// (docs/spec/algorithms.md).
//
// It refuses keys of a kind that a mechanism doesn't take, secrets of a wrong size or out of range, a new key that fails its pairwise
// consistency test, and a signature that doesn't verify under the key's own public key: it is withheld, and [ErrFault] tells the caller to
// stop (R-HSM-9). It does not know who may use a key: control points, attributes and grants are checked before.
//
// Copies outside the arena. secp256k1 works in place in the arena. For everything else the library needs the secret on the Go heap or in
// memory of its own: what can be cleared is cleared when the operation ends (seeds, expanded Ed25519 keys, RSA and ECDSA integers, BLS
// scalars); the standard library's own copies (crypto/ecdsa, crypto/ecdh, crypto/ed25519, crypto/rsa, crypto/mlkem, cipher schedules) and
// expanded ML-DSA keys can't be, and lie on the heap until it is used again. Every operation on a secret runs in [secret.Do], which erases
// the stack, and these copies too in a build with GOEXPERIMENT=runtimesecret.
//
// Constant time: secp256k1 by libsecp256k1 (ADR 0001), BLS by blst, ML-DSA by filippo.io/mldsa (ADR 0013), the rest by Go's standard library.
package algorithm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"strongroom/internal/core/internal/curve"
	described "strongroom/internal/pure/algorithm"
	"strongroom/internal/pure/secp"
	"strongroom/internal/secret"
)

// Mechanism and Kind are those of the description.
type (
	Mechanism = described.Mechanism
	Kind      = described.Kind
)

var (
	// ErrUnknown says that a mechanism or kind of key is not in the table.
	ErrUnknown = errors.New("algorithm: not in the table of algorithms")
	// ErrUnfit says that a key can't be used with a mechanism, or a mechanism not for what was asked.
	ErrUnfit = errors.New("algorithm: the key or mechanism is not for this use")
	// ErrInput says that what is to be signed, decrypted or agreed on has a form that the mechanism doesn't take.
	ErrInput = errors.New("algorithm: input has the wrong form for the mechanism")
	// ErrSecret says that secret bytes are no key of their kind.
	ErrSecret = errors.New("algorithm: secret is no key of its kind")
	// ErrOpen says that something does not decrypt or unwrap: another key, or altered.
	ErrOpen = errors.New("algorithm: does not decrypt: the key is another one, or the bytes were altered")
	// ErrNotRepeatable says that the mechanism can't make the same bytes twice.
	ErrNotRepeatable = errors.New("algorithm: the mechanism makes another signature each time; ask for one that need not be repeatable")
	// ErrFault says that a signature just made did not verify and was withheld, or that a new key's halves don't fit: hardware or memory is
	// failing. The core must stop.
	ErrFault = errors.New("algorithm: a result did not check and was withheld; the machine may be failing")
)

// Source gives randomness for keys. Fill fills b completely or returns an error, and then b is not used.
type Source interface {
	Fill(ctx context.Context, b []byte) error
}

// System is the system's randomness alone.
type System struct{}

// Fill fills b from crypto/rand, which ends the process when the system has no randomness.
func (System) Fill(_ context.Context, b []byte) error {
	rand.Read(b)
	return nil
}

// Keys is the code of a kind of key.
type Keys struct {
	described.Material
	Size int // bytes of a new key; 0: such keys are not made here
	// Generate writes a new key into to, of Size bytes in the arena.
	Generate func(ctx context.Context, from Source, to []byte) error
	// Public gives the public key, or checks the secret and gives nil for a kind that has none.
	Public func(sk []byte) ([]byte, error)
}

// Row is an algorithm. Of the functions, those of its use are set. They get secrets as slices in the arena, which they don't keep.
type Row struct {
	described.Row

	// Sign makes a signature by a key of a kind; pub is its public key. A nil aux asks for one that is hedged with fresh randomness where the
	// algorithm can be; with aux the same arguments give the same bytes, or [ErrNotRepeatable].
	Sign func(kind Kind, sk, pub, msg []byte, aux *[32]byte) ([]byte, error)
	// Verify says whether sig is by pub over msg. It never panics on any input.
	Verify func(kind Kind, pub, msg, sig []byte) bool
	// Verified says that Sign verifies what it returns itself.
	Verified bool

	MAC     func(sk, msg []byte) []byte
	Encrypt func(sk, plain, additional []byte) ([]byte, error)
	Decrypt func(sk, sealed, additional []byte) ([]byte, error)

	// Wrap encrypts key material, Unwrap decrypts it into out, of len(wrapped) bytes, and gives its length.
	Wrap   func(sk, plain []byte) ([]byte, error)
	Unwrap func(sk, wrapped, out []byte) (int, error)

	EncryptTo   func(kind Kind, pub, plain []byte) ([]byte, error)
	DecryptFrom func(kind Kind, sk, sealed []byte) ([]byte, error)

	// Encapsulate makes a shared secret for pub and what its owner gets it back from; Decapsulate and Agree write Makes bytes into out.
	Encapsulate func(pub []byte) (shared, capsule []byte, err error)
	Decapsulate func(sk, capsule, out []byte) error
	Agree       func(sk, peer, out []byte) error

	Derive func(a *secret.Arena, seed secret.Bytes, path secp.Path) (secret.Bytes, error)

	Answers []KnownAnswer // at least one
}

// Table is the table of algorithms. It is immutable, and its methods are safe for concurrent use.
type Table struct {
	described described.Table
	kinds     map[Kind]Keys
	rows      map[Mechanism]Row
}

// New makes the table of this version. It fails on a machine that can't run one of its algorithms.
func New() (*Table, error) {
	if err := checkMachine(); err != nil {
		return nil, err
	}
	backend, err := curve.New()
	if err != nil {
		return nil, err
	}
	t := &Table{kinds: map[Kind]Keys{}, rows: map[Mechanism]Row{}}
	return t.With(builtinKinds(backend), builtinRows(backend))
}

// With gives a table with more kinds and rows, as an update of the software would have them.
func (t *Table) With(kinds []Keys, rows []Row) (*Table, error) {
	var (
		materials []described.Material
		described []described.Row
	)
	for _, k := range kinds {
		materials = append(materials, k.Material)
	}
	for _, r := range rows {
		described = append(described, r.Row)
	}
	more, err := t.described.With(described, materials)
	if err != nil {
		return nil, err
	}
	out := &Table{described: more, kinds: map[Kind]Keys{}, rows: map[Mechanism]Row{}}
	for _, k := range t.kinds {
		out.kinds[k.Kind] = k
	}
	for _, r := range t.rows {
		out.rows[r.Mechanism] = r
	}
	for _, k := range kinds {
		if k.Public == nil || (k.Size != 0) != (k.Generate != nil) || k.Size != 0 && (k.Size < k.Min || k.Size > k.Max) {
			return nil, fmt.Errorf("algorithm: kind %q lacks code, or makes keys of a wrong size", k.Kind)
		}
		out.kinds[k.Kind] = k
	}
	for _, r := range rows {
		if !r.complete() {
			return nil, fmt.Errorf("algorithm: row %q lacks code for %q or a known answer", r.Mechanism, r.Use)
		}
		out.rows[r.Mechanism] = r
	}
	return out, nil
}

// complete says whether the row has what its use needs.
func (r Row) complete() bool {
	has := map[described.Use]bool{
		described.Sign: r.Sign != nil && r.Verify != nil, described.MAC: r.MAC != nil, described.Derive: r.Derive != nil,
		described.Encrypt: r.Encrypt != nil && r.Decrypt != nil, described.Wrap: r.Wrap != nil && r.Unwrap != nil,
		described.Decrypt: r.EncryptTo != nil && r.DecryptFrom != nil, described.KEM: r.Encapsulate != nil && r.Decapsulate != nil,
		described.Agree: r.Agree != nil,
	}
	return has[r.Use] && len(r.Answers) > 0
}

// Described gives what the table says of its algorithms, without their code.
func (t *Table) Described() described.Table { return t.described }

// Mechanisms lists the algorithms in the table's order.
func (t *Table) Mechanisms() []Mechanism {
	var list []Mechanism
	for _, r := range t.described.Rows() {
		list = append(list, r.Mechanism)
	}
	return list
}

// row finds a row for a use.
func (t *Table) row(m Mechanism, use ...described.Use) (Row, error) {
	r, ok := t.rows[m]
	if !ok {
		return Row{}, fmt.Errorf("%w: mechanism %q", ErrUnknown, m)
	}
	if len(use) > 0 && !slices.Contains(use, r.Use) {
		return Row{}, fmt.Errorf("%w: mechanism %q is to %s", ErrUnfit, m, r.Use)
	}
	return r, nil
}

// fit finds a row for a use of a key.
func (t *Table) fit(m Mechanism, k Kind, secret int, use ...described.Use) (Row, error) {
	r, err := t.row(m, use...)
	if err != nil {
		return r, err
	}
	of, ok := t.kinds[k]
	switch {
	case !ok:
		return r, fmt.Errorf("%w: kind %q", ErrUnknown, k)
	case !slices.Contains(r.Kinds, k):
		return r, fmt.Errorf("%w: mechanism %q does not take keys of kind %q", ErrUnfit, m, k)
	case secret < of.Min || secret > of.Max:
		return r, fmt.Errorf("%w: kind %q has %d to %d bytes, not %d", ErrSecret, k, of.Min, of.Max, secret)
	}
	return r, nil
}

// with calls f with the content of a secret, in [secret.Do].
func with(s secret.Bytes, f func([]byte) error) (err error) {
	secret.Do(func() { err = s.Use(f) })
	return err
}
