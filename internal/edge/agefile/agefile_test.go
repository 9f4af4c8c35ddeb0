// SPDX-License-Identifier: Apache-2.0

package agefile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"filippo.io/age"

	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func take(t *testing.T, a *secret.Arena, s string) secret.Bytes {
	t.Helper()
	b, err := secret.Take(a, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	for name, pass := range map[string]string{"sealed": "five random words in a row", "clear": ""} {
		path := filepath.Join(t.TempDir(), name)
		var p secret.Bytes
		if pass != "" {
			p = take(t, a, pass)
			defer p.Wipe()
		}
		recipient, err := New(path, p, 10)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(path)
		if err != nil || bytes.Contains(raw, []byte("AGE-SECRET-KEY")) != (pass == "") {
			t.Errorf("%s: in clear, or not: %v", name, err)
		}
		got, err := Read(a, path, func() (secret.Bytes, error) { return take(t, a, pass), nil })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		err = got.Use(func(b []byte) error {
			ids, err := age.ParseIdentities(bytes.NewReader(b))
			if err != nil || len(ids) != 1 || ids[0].(*age.HybridIdentity).Recipient().String() != recipient {
				t.Errorf("%s: another identity came back: %v", name, err)
			}
			return nil
		})
		got.Wipe()
		if err != nil {
			t.Error(err)
		}
		if _, err := New(path, secret.Bytes{}, 0); !errors.Is(err, ErrExists) {
			t.Errorf("%s: overwritten: %v", name, err)
		}
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	pass := take(t, a, "five random words in a row")
	defer pass.Wipe()
	if _, err := New(good, pass, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(a, good, func() (secret.Bytes, error) { return take(t, a, "another"), nil }); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: %v", err)
	}
	never := func() (secret.Bytes, error) { t.Error("asked for a passphrase"); return secret.Bytes{}, nil }
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{"other": {"hello", 0o600, "no identity file"}, "long": {strings.Repeat("x", maxFile+1), 0o600, "more than"}, "open": {"AGE-SECRET-KEY-", 0o644, "read by others"}} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(a, path, never); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}
