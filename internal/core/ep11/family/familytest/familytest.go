// SPDX-License-Identifier: Apache-2.0

// Package familytest has what the tests of families share: tools with an arena that must be empty at the end, the files of Wycheproof, and the
// check of return codes.
package familytest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"

	"strongroom/internal/core/ep11/family"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

// Random is a source of the system's randomness.
type Random struct{}

// Fill fills b.
func (Random) Fill(_ context.Context, b []byte) error {
	rand.Read(b)
	return nil
}

// ErrNoRandom is what [Broken] answers.
var ErrNoRandom = errors.New("familytest: no randomness")

// Broken is a source that fails.
type Broken struct{}

// Fill fails.
func (Broken) Fill(context.Context, []byte) error { return ErrNoRandom }

// Fixed is a source that gives the same bytes again and again.
type Fixed []byte

// Fill fills b.
func (f Fixed) Fill(_ context.Context, b []byte) error {
	for n := 0; n < len(b); {
		n += copy(b[n:], f)
	}
	return nil
}

// Tools gives tools with an arena of their own, which must be empty when the test ends.
func Tools(t testing.TB) family.Tools {
	t.Helper()
	return family.Tools{Arena: secrettest.Arena(t), Random: Random{}}
}

// Secret puts bytes into the arena until the test ends.
func Secret(t testing.TB, tools family.Tools, b []byte) secret.Bytes {
	t.Helper()
	s, err := secret.Take(tools.Arena, bytes.Clone(b))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Wipe)
	return s
}

// Reveal gives the content of a secret and wipes it.
func Reveal(t testing.TB, s secret.Bytes) []byte {
	t.Helper()
	defer s.Wipe()
	return Peek(t, s)
}

// Peek gives the content of a secret.
func Peek(t testing.TB, s secret.Bytes) (out []byte) {
	t.Helper()
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// Code requires an error with a return code.
func Code(t testing.TB, what string, err error, want ep11.Code) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got %v, want %v", what, err, want)
	}
}

// Unhex reads hexadecimal digits.
func Unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Row finds the row of a mechanism for a type of key.
func Row(t testing.TB, set family.Set, mechanism uint64, kind family.KeyType) family.Row {
	t.Helper()
	for _, r := range set.Rows {
		if r.Mechanism != mechanism {
			continue
		}
		for _, k := range append(r.Keys, r.Generates...) {
			if k == kind {
				return r
			}
		}
	}
	t.Fatalf("no row for mechanism %s and type %x", ep11.MechanismName(mechanism), kind)
	return family.Row{}
}

// Digits is a byte string in hexadecimal.
type Digits []byte

// UnmarshalText reads the digits.
func (d *Digits) UnmarshalText(b []byte) error {
	out, err := hex.DecodeString(string(b))
	*d = out
	return err
}

// Suite is a file of Wycheproof.
type Suite struct {
	NumberOfTests int
	TestGroups    []Group
}

// Group is a group of a file.
type Group struct {
	Curve, Type, ParameterSet, Sha string
	KeySize, IvSize, TagSize       int // bits
	PublicKey, PrivateKey          json.RawMessage
	PublicKeyDer, PrivateKeyPkcs8  Digits
	Tests                          []Vector
}

// Vector is one case, with the members of all files that are read here.
type Vector struct {
	TcID                                              int
	Comment, Result                                   string
	Flags                                             []string
	Msg, Sig, Ct, Key, Public, Private, Shared        Digits
	Seed, Ek, C, K, Ctx, M, Dk, Label, Rnd, PublicKey Digits
	Iv, Aad, Tag                                      Digits
}

// Wycheproof reads a file and requires the number of cases that was published.
func Wycheproof(t testing.TB, name string, want int) Suite {
	t.Helper()
	raw, err := fs.ReadFile(wycheproof.TestVectors, name+"_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var s Suite
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, g := range s.TestGroups {
		n += len(g.Tests)
	}
	if n != want || n != s.NumberOfTests {
		t.Fatalf("%s has %d cases, want %d", name, n, want)
	}
	return s
}

// Member reads a member of a group's key, in hexadecimal.
func Member(t testing.TB, raw json.RawMessage, member string) []byte {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	s, ok := m[member].(string)
	if !ok {
		t.Fatalf("no member %s", member)
	}
	if len(s)%2 == 1 {
		s = "0" + s
	}
	return Unhex(t, s)
}
