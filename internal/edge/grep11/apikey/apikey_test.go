// SPDX-License-Identifier: Apache-2.0

package apikey_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/edge/grep11/apikey"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

type files struct{ keys, token string }

func folder(t testing.TB) files {
	dir := t.TempDir()
	return files{filepath.Join(dir, "api-keys.json"), filepath.Join(dir, "token-key")}
}

func (f files) open(t testing.TB, now *time.Time) *apikey.Keeper {
	t.Helper()
	k, err := apikey.Open(apikey.Config{Keys: f.keys, Token: f.token, Now: func() time.Time { return *now }})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestFile: the key itself is nowhere in the file, which only its owner reads; keys come and go while a keeper runs.
func TestFile(t *testing.T) {
	t.Parallel()
	f, now := folder(t), start
	k := f.open(t, &now)
	first, one, err := apikey.Add(f.keys, "a", now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	second, two, err := apikey.Add(f.keys, "b", now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(f.keys)
	if err != nil || strings.Contains(string(text), strings.Split(string(first), "_")[2]) {
		t.Errorf("the file holds the key (%v)", err)
	}
	for _, p := range []string{f.keys, f.token} {
		if st, err := os.Stat(p); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", p, st.Mode(), err)
		}
	}
	for _, x := range []string{string(first), string(second)} {
		token, life, err := k.Exchange(x)
		if err != nil || life != apikey.Life {
			t.Fatal(err, life)
		}
		if _, err := f.open(t, &now).Subject(token); err != nil {
			t.Errorf("a token does not outlive a restart: %v", err)
		}
	}
	if err := apikey.Remove(f.keys, one.ID); err != nil {
		t.Fatal(err)
	}
	if err := apikey.Remove(f.keys, one.ID); err == nil {
		t.Error("a key was removed twice")
	}
	now = now.Add(2 * time.Second)
	if _, _, err := k.Exchange(string(first)); !errors.Is(err, apikey.ErrRefused) {
		t.Errorf("a removed key: %v", err)
	}
	if list, err := apikey.Read(f.keys); err != nil || len(list) != 1 || list[0].ID != two.ID || list[0].Subject != "b" {
		t.Errorf("%v, %v", list, err)
	}
}

func TestEnds(t *testing.T) {
	t.Parallel()
	f, now := folder(t), start
	if _, _, err := apikey.Add(f.keys, "a", now, now); err == nil {
		t.Error("a key that has ended was made")
	}
	key, _, err := apikey.Add(f.keys, "a", now, now.Add(90*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	k := f.open(t, &now)
	token, life, err := k.Exchange(string(key))
	if err != nil || life != 90*time.Second {
		t.Fatalf("%v, %v: a token outlives its key", life, err)
	}
	if who, err := k.Subject(token); err != nil || who != "a" {
		t.Errorf("%s, %v", who, err)
	}
	now = now.Add(90 * time.Second)
	if _, err := k.Subject(token); !errors.Is(err, apikey.ErrRefused) {
		t.Errorf("after its end: %v", err)
	}
	if _, _, err := k.Exchange(string(key)); !errors.Is(err, apikey.ErrRefused) {
		t.Errorf("after its end: %v", err)
	}
}

// TestForeignTokens: one of another gateway, and every change of a byte.
func TestForeignTokens(t *testing.T) {
	t.Parallel()
	now := start
	f, g := folder(t), folder(t)
	key, _, err := apikey.Add(f.keys, "a", now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(f.keys); err != nil || os.WriteFile(g.keys, b, 0o600) != nil {
		t.Fatal(err)
	}
	k, other := f.open(t, &now), g.open(t, &now)
	token, _, err := k.Exchange(string(key))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Subject(token); !errors.Is(err, apikey.ErrRefused) {
		t.Errorf("another gateway: %v", err)
	}
	for i := range token {
		b := []byte(token)
		if b[i] = 'A'; token[i] == 'A' {
			b[i] = 'B'
		}
		if _, err := k.Subject(string(b)); !errors.Is(err, apikey.ErrRefused) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for i := range key {
		b := []byte(string(key))
		if b[i] = 'b'; key[i] == 'b' {
			b[i] = 'c'
		}
		if _, _, err := k.Exchange(string(b)); !errors.Is(err, apikey.ErrRefused) {
			t.Errorf("byte %d of the key changed: %v", i, err)
		}
	}
}

func TestRefusesBadFiles(t *testing.T) {
	t.Parallel()
	now := start
	for name, text := range map[string]string{
		"empty": "", "garbage": "x", "version": `{"version":2,"keys":[]}`, "unknown member": `{"version":1,"keys":[],"x":1}`, "two": `{"version":1,"keys":[]}{}`,
		"bad key": `{"version":1,"keys":[{"id":"zz","subject":"a","salt":"","hash":"","created":"2026-01-01T00:00:00Z"}]}`,
	} {
		f := folder(t)
		if err := os.WriteFile(f.keys, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := apikey.Read(f.keys); err == nil {
			t.Errorf("%s was read", name)
		}
		if _, _, err := apikey.Add(f.keys, "a", now, time.Time{}); err == nil {
			t.Errorf("%s was overwritten", name)
		}
		if _, err := apikey.Open(apikey.Config{Keys: f.keys, Token: f.token, Now: func() time.Time { return now }}); err == nil {
			t.Errorf("%s was opened", name)
		}
	}
	f := folder(t)
	if _, _, err := apikey.Add(f.keys, "a", now, time.Time{}); err != nil || os.Chmod(f.keys, 0o640) != nil {
		t.Fatal(err)
	}
	if _, err := apikey.Read(f.keys); err == nil {
		t.Error("a file that others read was read")
	}
	f = folder(t)
	if err := os.WriteFile(f.token, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := apikey.Open(apikey.Config{Keys: f.keys, Token: f.token, Now: func() time.Time { return now }}); err == nil {
		t.Error("a short key of tokens was taken")
	}
	if _, err := apikey.Open(apikey.Config{}); err == nil {
		t.Error("a zero config was accepted")
	}
}

// TestOneSpelling: the unused bits at the end of a key, and line ends inside it, are no other key for the same secret.
func TestOneSpelling(t *testing.T) {
	t.Parallel()
	now := start
	f := folder(t)
	key, _, err := apikey.Add(f.keys, "a", now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	k := f.open(t, &now)
	for _, last := range "abcdefghijklmnopqrstuvwxyz234567" {
		s := string(key[:len(key)-1]) + string(last)
		if _, _, err := k.Exchange(s); (err == nil) != (s == string(key)) {
			t.Errorf("ending in %c instead of %c: %v", last, key[len(key)-1], err)
		}
	}
	for _, s := range []string{string(key) + "\n", string(key[:40]) + "\n" + string(key[40:])} {
		if _, _, err := k.Exchange(s); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

// TestFileGoesBad: a keeper lets nobody in on what the file said before.
func TestFileGoesBad(t *testing.T) {
	t.Parallel()
	f, now := folder(t), start
	key, _, err := apikey.Add(f.keys, "a", now, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	k := f.open(t, &now)
	token, _, err := k.Exchange(string(key))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(f.keys, 0o644); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if _, err := k.Subject(token); err == nil {
		t.Error("a token was good although others read the file")
	}
	if err := os.Remove(f.keys); err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	if _, err := k.Subject(token); !errors.Is(err, apikey.ErrRefused) {
		t.Errorf("without a file: %v", err)
	}
}

// FuzzCredentials: whatever is shown, nobody gets in but with the key, and nothing breaks.
func FuzzCredentials(f *testing.F) {
	now := start
	x := folder(f)
	key, _, err := apikey.Add(x.keys, "a", now, time.Time{})
	if err != nil {
		f.Fatal(err)
	}
	k := x.open(f, &now)
	token, _, err := k.Exchange(string(key))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("srk_0000000000000000_aaaa")
	f.Add(string(key[:20]))
	f.Add(token[:30])
	f.Fuzz(func(t *testing.T, s string) {
		if _, _, err := k.Exchange(s); err == nil && s != string(key) {
			t.Fatalf("%q is a key", s)
		}
		if _, err := k.Subject(s); err == nil && s != token {
			t.Fatalf("%q is a token", s)
		}
	})
}
