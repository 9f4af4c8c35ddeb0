// SPDX-License-Identifier: Apache-2.0

package coreapp

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	script "strongroom/internal/pure/ceremony"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

func riteKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func ritePublic(name string) request.PublicKey {
	return request.PublicKey{Alg: request.Ed25519, Pub: []byte(riteKey(name).Public().(ed25519.PublicKey))}
}

// riteDocument is a rule document of one person.
func riteDocument() policy.Document {
	id := custody.PersonID("p_aaaaaaaaaaaaaaaa")
	return policy.Document{V: 1, Version: 1, Floor: policy.Floor{MinDistinctUsers: 1, ForbidSelfApproval: true, RequestTTL: request.MaxLifetime, MaxApprovalAge: request.MaxApprovalAge},
		Principals: []policy.Principal{{ID: id, Kind: policy.Human, Keys: []request.PublicKey{ritePublic("one")}, Active: true}},
		Groups:     []policy.Group{{ID: "all", Members: []custody.PersonID{id}}},
		ChangePlan: policy.Plan{AnyOf: []policy.Branch{{Steps: []policy.Step{{Group: "all", Min: 1}}}}}}
}

// riteScript is a script that makes a domain with two custodians and no dice.
func riteScript(t *testing.T) script.Script {
	t.Helper()
	h := riteDocument().Hash()
	s := script.Script{V: 1, ID: "test", Purpose: script.Create, Profile: custody.Evaluation, Threshold: 2, Document: h[:], Root: RootSoft, Anchor: AnchorFile}
	for _, p := range []struct {
		role script.Role
		name string
	}{{script.Administrator, "ada"}, {script.Custodian, "carl"}, {script.Custodian, "cleo"}, {script.Witness, "will"}} {
		x := script.Participant{Role: p.role, Name: p.name, Key: ritePublic(p.name)}
		if p.role == script.Custodian {
			id, err := age.GenerateX25519Identity()
			if err != nil {
				t.Fatal(err)
			}
			x.Recipient = id.Recipient().String()
		}
		s.Participants = append(s.Participants, x)
	}
	return s
}

// startRite starts the core's side in a folder.
func startRite(t *testing.T, dir string, s script.Script, change func(*Options, *CeremonyFiles)) (*rite, error) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := io.WriteString(out, "a passphrase for tests"); err != nil {
		t.Fatal(err)
	}
	out.Close()
	files := CeremonyFiles{Script: filepath.Join(dir, "script.cbor"), Document: filepath.Join(dir, "document.cbor")}
	for path, b := range map[string][]byte{files.Script: s.Encode(), files.Document: riteDocument().Encode()} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{Data: filepath.Join(dir, "data"), Log: slog.New(slog.DiscardHandler), Passphrase: passphrase.Source{FD: int(in.Fd())}, WeakPassphraseUnsafe: true, NoTiles: true}
	if change != nil {
		change(&o, &files)
	}
	r, err := newRite(t.Context(), o, files)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		r.end()
		if err := r.p.close(); err != nil {
			t.Error(err)
		}
	})
	return r, nil
}

// riteTo makes the transcript up to a step; body says what the core said.
func riteTo(t *testing.T, s script.Script, kind script.StepKind, body map[script.StepKind]any) script.Transcript {
	t.Helper()
	tr, err := script.Open(s)
	if err != nil {
		t.Fatal(err)
	}
	h := s.Hash()
	for {
		next, more := tr.Next()
		if !more || next.Kind == kind {
			return tr
		}
		var b any
		switch next.Kind {
		case script.StepOpen:
			b = script.Opening{Script: h, Build: "test"}
		case script.StepAttend:
			b = script.Attend{Script: h}
		case script.StepProgram:
			b = script.Program{}
		default:
			b = body[next.Kind]
		}
		rec := tr.Draft(next, int64(len(tr.Records)), b)
		if rec.Actor != script.CoreActor {
			rec.Sig = ed25519.Sign(riteKey(rec.Actor), rec.Message())
		}
		if err := tr.Add(rec); err != nil {
			t.Fatal(err)
		}
	}
}

func wantKind(t *testing.T, what string, err error, kind problem.Kind, word string) {
	t.Helper()
	if problem.KindOf(err) != kind || !strings.Contains(err.Error(), word) {
		t.Errorf("%s: got error %v, want %s with %q", what, err, kind, word)
	}
}

// TestRiteGoesByTheTranscript: the core does the step that comes next, by its own script, and wants what it said in its place.
func TestRiteGoesByTheTranscript(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := riteScript(t)
	r, err := startRite(t, dir, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, by := t.Context(), gate.Caller{}
	ask := func(tr script.Transcript) message.CeremonyAsk { return message.CeremonyAsk{Transcript: tr.Encode()} }
	early := riteTo(t, s, script.StepProgram, nil)
	_, err = r.commit(ctx, by, ask(early))
	wantKind(t, "too early", err, problem.Conflict, "comes next")
	other := s
	other.ID = "other"
	_, err = r.commit(ctx, by, ask(riteTo(t, other, script.StepCommit, nil)))
	wantKind(t, "another script", err, problem.Conflict, "another script")
	_, err = r.commit(ctx, by, message.CeremonyAsk{Transcript: []byte("x")})
	wantKind(t, "no transcript", err, problem.Malformed, "transcript")
	ready := riteTo(t, s, script.StepCommit, nil)
	bad := ready
	bad.Records = append([]script.Record(nil), ready.Records...)
	bad.Records[1].Sig = bytes.Repeat([]byte{1}, 64)
	_, err = r.commit(ctx, by, ask(bad))
	wantKind(t, "a wrong signature", err, problem.Malformed, "does not verify")
	_, err = r.make(ctx, by, ask(riteTo(t, s, script.StepMake, map[script.StepKind]any{script.StepCommit: fakeCommit(), script.StepMix: script.Mix{Sources: []string{"system"}}})))
	wantKind(t, "make of what another process mixed", err, problem.NotFound, "nothing")

	commit, err := r.commit(ctx, by, ask(ready))
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.commit(ctx, by, ask(ready))
	wantKind(t, "commit again", err, problem.Conflict, "not what the core said")
	_, err = r.mix(ctx, by, message.CeremonyMix{Transcript: riteTo(t, s, script.StepMix, map[script.StepKind]any{script.StepCommit: fakeCommit()}).Encode()})
	wantKind(t, "another commitment", err, problem.Conflict, "not what the core said")
	bodies := map[script.StepKind]any{script.StepCommit: commit}
	mixed := riteTo(t, s, script.StepMix, bodies)
	_, err = r.mix(ctx, by, message.CeremonyMix{Transcript: mixed.Encode(), Openings: []message.CeremonyOpening{{Source: "dice/carl", Value: make([]byte, 90)}}})
	wantKind(t, "dice that the script does not have", err, problem.Conflict, "nobody called")
	if bodies[script.StepMix], err = r.mix(ctx, by, message.CeremonyMix{Transcript: mixed.Encode()}); err != nil {
		t.Fatal(err)
	}
	toMake := riteTo(t, s, script.StepMake, bodies)
	made, err := r.make(ctx, by, ask(toMake))
	if err != nil {
		t.Fatal(err)
	}
	again, err := r.make(ctx, by, ask(toMake))
	if err != nil || !bytes.Equal(canon.Encode(again), canon.Encode(made)) {
		t.Errorf("asked again: %v", err)
	}
	bodies[script.StepMake] = made.Made
	if _, _, err := r.read(riteTo(t, s, script.StepReceipt, bodies).Encode(), script.StepReceipt); err != nil {
		t.Errorf("the transcript goes on: %v", err)
	}
	t.Run("another process", func(t *testing.T) {
		second, err := startRite(t, dir, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		kept, err := second.make(ctx, by, ask(toMake))
		if err != nil || !bytes.Equal(canon.Encode(kept), canon.Encode(made)) {
			t.Errorf("it gives what was made: %v", err)
		}
		_, err = second.commit(ctx, by, ask(ready))
		wantKind(t, "a folder that holds what was made", err, problem.Conflict, "go on with that one")
	})
}

func fakeCommit() script.Commit {
	return script.Commit{List: []script.Commitment{{Source: "system", Hash: make([]byte, 64)}}}
}

// TestRiteRefusesToStart: what does not fit the script is refused before anything is made.
func TestRiteRefusesToStart(t *testing.T) {
	t.Parallel()
	s := riteScript(t)
	for name, tt := range map[string]struct {
		change func(*script.Script)
		files  func(*Options, *CeremonyFiles)
		word   string
	}{
		"another document": {func(s *script.Script) { s.Document = make([]byte, 32) }, nil, "the rule document has hash"},
		"another root":     {func(s *script.Script) { s.Root = RootPKCS11 }, nil, "root"},
		"no such source":   {func(s *script.Script) { s.Entropy.Sources = []string{"root"} }, nil, "randomness from root"},
		"no script":        {nil, func(_ *Options, f *CeremonyFiles) { f.Script += ".none" }, "read the script"},
		"self-test":        {nil, func(o *Options, _ *CeremonyFiles) { o.FailSelfTest = "sha-256" }, "does not start"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, c := t.TempDir(), s
			if tt.change != nil {
				tt.change(&c)
			}
			if _, err := startRite(t, dir, c, tt.files); err == nil || !strings.Contains(err.Error(), tt.word) {
				t.Errorf("got error %v, want %q", err, tt.word)
			}
			if _, err := os.Stat(filepath.Join(dir, "data", "ceremony-made.cbor")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was made: %v", err)
			}
		})
	}
}
