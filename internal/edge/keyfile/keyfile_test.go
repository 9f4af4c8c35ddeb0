// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

const passphrase = "correct horse battery staple"

func pass(t testing.TB, a *secret.Arena, s string) secret.Bytes {
	t.Helper()
	p, err := secret.Take(a, []byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newKey(t testing.TB, a *secret.Arena, alg request.Algorithm) *Key {
	t.Helper()
	k, err := New(a, NewPersonID(), alg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Wipe)
	return k
}

func algorithms() []request.Algorithm { return []request.Algorithm{request.Ed25519, request.P256} }

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, alg := range algorithms() {
		t.Run(string(alg), func(t *testing.T) {
			t.Parallel()
			a := secrettest.Arena(t)
			k := newKey(t, a, alg)
			sealed, plain := filepath.Join(t.TempDir(), "sealed"), filepath.Join(t.TempDir(), "plain")
			p := pass(t, a, passphrase)
			defer p.Wipe()
			if err := errors.Join(k.Write(sealed, p), k.WritePlainUnsafe(plain)); err != nil {
				t.Fatal(err)
			}
			asked := 0
			for _, path := range []string{sealed, plain} {
				st, err := os.Stat(path)
				if err != nil || st.Mode().Perm() != 0o600 {
					t.Fatalf("%s: mode %v, error %v", path, st.Mode(), err)
				}
				again, err := Open(a, path, func() (secret.Bytes, error) { asked++; return pass(t, a, passphrase), nil })
				if err != nil {
					t.Fatal(err)
				}
				defer again.Wipe()
				message := []byte("a message")
				sig, err := again.Sign(message)
				if err != nil || !k.Public().Verify(message, sig) || again.Person() != k.Person() {
					t.Fatalf("%s: signature %x of %s, error %v", path, sig, again.Person(), err)
				}
				pub, err := PublicOf(path)
				if err != nil || pub.Person != k.Person() || pub.Key().Ref() != k.Public().Ref() {
					t.Errorf("public part %+v, error %v", pub, err)
				}
			}
			if asked != 1 {
				t.Errorf("the passphrase was asked for %d times, want once", asked)
			}
			b, err := os.ReadFile(sealed)
			if err != nil {
				t.Fatal(err)
			}
			err = k.private.Use(func(private []byte) error {
				if bytes.Contains(b, private) {
					t.Error("the sealed file holds the private key in clear")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Write(sealed, p); !errors.Is(err, ErrExists) {
				t.Errorf("overwrite: got error %v, want ErrExists", err)
			}
		})
	}
}

// TestEveryByte changes each byte of a file: none is without meaning.
func TestEveryByte(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	for _, plain := range []bool{true, false} {
		k := newKey(t, a, request.P256)
		path := filepath.Join(t.TempDir(), "key")
		p := pass(t, a, passphrase)
		f := file{}
		if !plain {
			f.Header.KDF = &kdf{Salt: make([]byte, 16), Time: 1, Memory: 8, Lanes: 1} // quick
		}
		if err := k.write(path, f, p); err != nil {
			t.Fatal(err)
		}
		p.Wipe()
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range good {
			bad := bytes.Clone(good)
			bad[i] ^= 1
			changed := filepath.Join(t.TempDir(), "changed")
			if err := os.WriteFile(changed, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := Open(a, changed, func() (secret.Bytes, error) { return pass(t, a, passphrase), nil })
			if err == nil {
				same := got.Person() == k.Person()
				got.Wipe()
				if plain && !same {
					continue // nothing protects the person's id in a file without a passphrase; the domain knows whose key it is
				}
				t.Fatalf("plain %v: byte %d of %d can be changed", plain, i, len(good))
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	k := newKey(t, a, request.Ed25519)
	dir := t.TempDir()
	good := filepath.Join(dir, "good")
	p := pass(t, a, passphrase)
	defer p.Wipe()
	params := kdf{Salt: make([]byte, 16), Time: 1, Memory: 8, Lanes: 1}
	if err := k.write(good, file{Header: header{KDF: &params}}, p); err != nil {
		t.Fatal(err)
	}
	wrong := func() (secret.Bytes, error) { return pass(t, a, "correct horse battery stable"), nil }
	if _, err := Open(a, good, wrong); !errors.Is(err, ErrPassphrase) {
		t.Errorf("wrong passphrase: got error %v", err)
	}
	cancelled := errors.New("cancelled")
	if _, err := Open(a, good, func() (secret.Bytes, error) { return secret.Bytes{}, cancelled }); !errors.Is(err, cancelled) {
		t.Errorf("cancelled: got error %v", err)
	}
	short := pass(t, a, "short")
	defer short.Wipe()
	if err := k.Write(filepath.Join(dir, "short"), short); err == nil || !strings.Contains(err.Error(), "12") {
		t.Errorf("short passphrase: got error %v", err)
	}
	if _, err := New(a, "nobody", request.Ed25519); err == nil {
		t.Error("a malformed person id is taken")
	}
	if _, err := New(a, NewPersonID(), "rsa"); err == nil {
		t.Error("an unknown algorithm is taken")
	}
	f, err := read(good)
	if err != nil {
		t.Fatal(err)
	}
	other := newKey(t, a, request.Ed25519)
	edit := func(change func(*file)) []byte {
		x, params := f, *f.Header.KDF
		x.Header.KDF = &params
		change(&x)
		return canon.Encode(x)
	}
	for name, b := range map[string][]byte{
		"empty":                   {},
		"not CBOR":                []byte("-----BEGIN PRIVATE KEY-----"),
		"trailing byte":           append(canon.Encode(f), 0),
		"too large":               make([]byte, maxFile+1),
		"version 2":               edit(func(f *file) { f.Header.V = 2 }),
		"person":                  edit(func(f *file) { f.Header.Person = "p_x" }),
		"algorithm":               edit(func(f *file) { f.Header.Key.Alg = "rsa" }),
		"public key":              edit(func(f *file) { f.Header.Key = other.Public() }),
		"argon2id memory is huge": edit(func(f *file) { f.Header.KDF.Memory = maxMemory + 1 }),
		"argon2id time is huge":   edit(func(f *file) { f.Header.KDF.Time = maxTime + 1 }),
		"argon2id lanes are many": edit(func(f *file) { f.Header.KDF.Lanes = maxLanes + 1 }),
		"argon2id memory is nil":  edit(func(f *file) { f.Header.KDF.Memory = 7 }),
		"argon2id time is 0":      edit(func(f *file) { f.Header.KDF.Time = 0 }),
		"salt":                    edit(func(f *file) { f.Header.KDF.Salt = nil }),
		"nonce":                   edit(func(f *file) { f.Nonce = f.Nonce[1:] }),
		"stripped of its KDF":     edit(func(f *file) { f.Header.KDF = nil }),
		"plain key of another": canon.Encode(file{Header: header{V: 1, Person: k.Person(), Key: k.Public()},
			Sealed: bytes.Repeat([]byte{7}, privateSize)}),
	} {
		path := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Open(a, path, func() (secret.Bytes, error) { return pass(t, a, passphrase), nil })
		if err == nil {
			got.Wipe()
			t.Errorf("%s: taken", name)
		}
	}
	open := filepath.Join(dir, "open")
	if err := k.WritePlainUnsafe(open); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(a, open, nil); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("readable by others: got error %v", err)
	}
	if _, err := Open(a, dir, nil); err == nil {
		t.Error("a folder is taken")
	}
}

func TestPublicFile(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	for _, alg := range algorithms() {
		k := newKey(t, a, alg)
		path := filepath.Join(t.TempDir(), "alice.pub.json")
		if err := WritePublic(path, k.PublicFile()); err != nil {
			t.Fatal(err)
		}
		got, err := ReadPublic(path)
		if err != nil || got.Person != k.Person() || got.Key().Ref() != k.Public().Ref() || got.Ref != k.Public().Ref() {
			t.Errorf("%s: got %+v, error %v", alg, got, err)
		}
		if err := WritePublic(path, k.PublicFile()); !errors.Is(err, ErrExists) {
			t.Errorf("overwrite: got error %v", err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range [][2]string{{`"alg"`, `"Alg"`}, {string(k.Person()), "p_"}, {string(got.Ref), strings.Repeat("0", 32)}, {`"person"`, `"person": "p_aaaaaaaaaaaaaaaa", "person"`}} {
			bad := strings.Replace(string(b), change[0], change[1], 1)
			if _, err := DecodePublic([]byte(bad)); err == nil {
				t.Errorf("taken: %s", bad)
			}
		}
	}
}

func FuzzPublic(f *testing.F) {
	f.Add([]byte(`{"person":"p_aaaaaaaaaaaaaaaa","alg":"ed25519","pub":"f286RNGtjuWpkkrldwCOTKQOTMRfMMMFLn1lvJxVYk8="}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := DecodePublic(b)
		if err != nil {
			return
		}
		again, err := p.Encode()
		if err != nil {
			t.Fatal(err)
		}
		q, err := DecodePublic(again)
		if err != nil || q.Person != p.Person || q.Key().Ref() != p.Key().Ref() {
			t.Fatalf("got %+v after %+v, error %v", q, p, err)
		}
	})
}

// FuzzFile: what is read is well-formed and the one encoding.
func FuzzFile(f *testing.F) {
	f.Add(canon.Encode(file{Header: header{V: 1, Person: "p_aaaaaaaaaaaaaaaa", Key: request.PublicKey{Alg: request.Ed25519, Pub: make([]byte, 32)}}, Sealed: make([]byte, 32)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var x file
		if canon.Decode(b, &x) != nil || x.check() != nil {
			return
		}
		if !bytes.Equal(canon.Encode(x), b) {
			t.Fatal("two encodings")
		}
	})
}
