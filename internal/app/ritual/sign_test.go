// SPDX-License-Identifier: Apache-2.0

package ritual

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	custodian "strongroom/internal/core/ceremony"
	"strongroom/internal/edge/keyfile"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// drill is a script for three people, with their keys.
func drill(t *testing.T) (ceremony.Script, map[string]*keyfile.Key, *secret.Arena) {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	s := ceremony.Script{V: 1, ID: "drill", Purpose: ceremony.Drill, Profile: custody.Evaluation, Threshold: 1, Domain: make([]byte, 32), Record: make([]byte, 32)}
	keys := map[string]*keyfile.Key{}
	for _, p := range []struct {
		role ceremony.Role
		name string
	}{{ceremony.Administrator, "ada"}, {ceremony.Custodian, "carl"}, {ceremony.Witness, "will"}} {
		k, err := keyfile.New(a, keyfile.NewPersonID(), request.Ed25519)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(k.Wipe)
		keys[p.name] = k
		s.Participants = append(s.Participants, ceremony.Participant{Role: p.role, Name: p.name, Key: k.Public()})
	}
	return s, keys, a
}

// absent are hands of people who all sign elsewhere: answer makes the file that they bring.
type absent struct {
	*Folder
	t      *testing.T
	answer func(from, to string)
	dir    string
}

func (h absent) Signer(context.Context, ceremony.Participant) (*keyfile.Key, error) { return nil, nil }

func (h absent) Share(context.Context, *secret.Arena, string) (*custodian.Opened, error) {
	return nil, errors.New("enough for this test")
}

func (h absent) Await(_ context.Context, _, _, path string) error {
	h.answer(filepath.Join(h.dir, ToSignDir, filepath.Base(path)), path)
	return nil
}

// lead runs a ceremony with people who sign elsewhere, as far as answer goes.
func lead(t *testing.T, s ceremony.Script, a *secret.Arena, answer func(from, to string)) error {
	t.Helper()
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	sum, err := Sum(program)
	if err != nil {
		t.Fatal(err)
	}
	h := absent{Folder: &Folder{Core: program, Arena: a, Say: t.Logf}, t: t, answer: answer, dir: dir}
	n := int64(0)
	_, err = Run(t.Context(), Config{Script: s, Dir: dir, Arena: a, Hands: h, Program: sum, Build: "test", Now: func() int64 { n++; return n }, Say: t.Logf,
		Start: func(context.Context) (Core, error) { return nil, errors.New("the core is not needed any more") }})
	return err
}

func readToSign(t *testing.T, path string) (ToSign, ceremony.Transcript) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, tr, err := DecodeToSign(b)
	if err != nil {
		t.Fatal(err)
	}
	return f, tr
}

// TestSignedElsewhere: everybody signs on a machine of their own; what they bring is taken only if it is what they were given, with their signature.
func TestSignedElsewhere(t *testing.T) {
	t.Parallel()
	s, keys, a := drill(t)
	put := func(to string, x Signed) {
		if err := os.WriteFile(to, canon.Encode(x), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	right := func(from, to string) {
		f, tr := readToSign(t, from)
		x, err := Sign(f, tr, keys[f.Name])
		if err != nil {
			t.Fatal(err)
		}
		put(to, x)
	}
	if err := lead(t, s, a, right); err == nil || !strings.Contains(err.Error(), "the core is not needed") {
		t.Errorf("all signed: %v", err)
	}
	for name, tt := range map[string]struct {
		answer func(from, to string)
		says   string
	}{
		"another record": {func(from, to string) {
			f, tr := readToSign(t, from)
			rec := *f.Record
			rec.Time++
			f.Record = &rec
			x, err := Sign(f, tr, keys[f.Name])
			if err != nil {
				t.Fatal(err)
			}
			put(to, x)
		}, "signed another record"},
		"no signature": {func(from, to string) { f, _ := readToSign(t, from); put(to, Signed{V: 1, Record: f.Record}) }, "does not verify"},
		"a closing":    {func(_, to string) { put(to, Signed{V: 1, Closing: &ceremony.Closing{Name: "ada"}}) }, "another file"},
		"no file":      {func(string, string) {}, "no such file"},
		"rubbish":      {func(_, to string) { put(to, Signed{V: 2}) }, "no signed file"},
	} {
		if err := lead(t, s, a, tt.answer); err == nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: got error %v, want %q", name, err, tt.says)
		}
	}
}

// TestToSignRefused: nobody signs what doesn't follow the transcript that is with it, is not theirs, or comes too early.
func TestToSignRefused(t *testing.T) {
	t.Parallel()
	s, keys, _ := drill(t)
	tr, err := ceremony.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	step, _ := tr.Next()
	rec := tr.Draft(step, 1, ceremony.Opening{Script: s.Hash()})
	good := ToSign{V: 1, Transcript: tr.Encode(), Record: &rec, Name: "ada"}
	f, got, err := DecodeToSign(canon.Encode(good))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Sign(f, got, keys["carl"]); err == nil || !strings.Contains(err.Error(), "not the one that the script has") {
		t.Errorf("another's key: %v", err)
	}
	if _, err := SignReceipt(f, got, keys["ada"], nil); err == nil || !strings.Contains(err.Error(), "another signature") {
		t.Errorf("no receipt: %v", err)
	}
	moved := rec
	moved.Prev[0] ^= 1
	for name, bad := range map[string]ToSign{
		"version":       {V: 2, Transcript: good.Transcript, Record: &rec, Name: "ada"},
		"nobody":        {V: 1, Transcript: good.Transcript, Record: &rec, Name: "bob"},
		"another's":     {V: 1, Transcript: good.Transcript, Record: &rec, Name: "carl"},
		"moved":         {V: 1, Transcript: good.Transcript, Record: &moved, Name: "ada"},
		"no transcript": {V: 1, Record: &rec, Name: "ada"},
		"too early":     {V: 1, Transcript: good.Transcript, Name: "ada"},
	} {
		if _, _, err := DecodeToSign(canon.Encode(bad)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
