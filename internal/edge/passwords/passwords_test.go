// SPDX-License-Identifier: Apache-2.0

package passwords

import (
	"bytes"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

const (
	ada  = custody.PersonID("p_aaaaaaaaaaaaaaaa")
	ben  = custody.PersonID("p_bbbbbbbbbbbbbbbb")
	pass = "five random words"
)

var key = request.KeyRef(strings.Repeat("0a", 16))

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) Now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *clock) add(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

type house struct {
	t     *testing.T
	dir   string
	clock *clock
	*Store
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{t: t, dir: t.TempDir(), clock: &clock{at: time.Unix(1_900_000_000, 0)}}
	h.restart()
	return h
}

func (h *house) restart() {
	h.t.Helper()
	s, err := Open(Config{Dir: h.dir, Now: h.clock.Now, Memory: 64})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Store = s
}

// set makes a login and gives the secret of its codes, as an authenticator program reads it.
func (h *house) set(p custody.PersonID) []byte {
	h.t.Helper()
	text, err := h.Set(p, key, []byte(pass))
	if err != nil {
		h.t.Fatal(err)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "otpauth" || u.Host != "totp" || u.Path != "/Strongroom:"+string(p) || u.Query().Get("issuer") != "Strongroom" {
		h.t.Fatalf("the URI is %s, %v", text, err)
	}
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(u.Query().Get("secret"))
	if err != nil || len(secret) != secretSize {
		h.t.Fatalf("the secret is %x, %v", secret, err)
	}
	return secret
}

func (h *house) code(secret []byte, skew int64) string {
	return code(secret, uint64(h.clock.Now().Unix()/period+skew), digits)
}

func (h *house) try(what string, p custody.PersonID, password, code string, ok bool) {
	h.t.Helper()
	got, err := h.Check(p, []byte(password), code)
	if ok && (err != nil || got != key) || !ok && (problem.KindOf(err) != problem.Unauthenticated || got != "" || err.Error() != errRefused().Error()) {
		h.t.Errorf("%s: %q, %v; want it taken: %t", what, got, err, ok)
	}
}

// RFC 6238, appendix B, with SHA-1; RFC 4226, appendix D.
func TestPublishedCodes(t *testing.T) {
	t.Parallel()
	secret := []byte("12345678901234567890")
	for at, want := range map[uint64]string{59: "94287082", 1111111109: "07081804", 1111111111: "14050471", 1234567890: "89005924", 2000000000: "69279037", 20000000000: "65353130"} {
		if got := code(secret, at/period, 8); got != want {
			t.Errorf("at %d: got %s, want %s", at, got, want)
		}
	}
	for i, want := range []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"} {
		if got := code(secret, uint64(i), 6); got != want {
			t.Errorf("counter %d: got %s, want %s", i, got, want)
		}
	}
}

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	secret := h.set(ada)
	h.try("the code of now", ada, pass, h.code(secret, 0), true)
	h.try("the same again", ada, pass, h.code(secret, 0), false)
	h.try("the one before", ada, pass, h.code(secret, -1), false)
	h.try("the next, early", ada, pass, h.code(secret, 1), true)
	h.restart()
	h.try("the same after a start", ada, pass, h.code(secret, 1), false)
	h.clock.add(2 * period * time.Second)
	h.try("the one before, late", ada, pass, h.code(secret, -1), false) // of the step that was used early
	h.try("wrong password", ada, "another password", h.code(secret, 0), false)
	h.try("no password", ada, "", h.code(secret, 0), false)
	h.clock.add(period * time.Second)
	h.try("right again", ada, pass, h.code(secret, 0), true)
	h.clock.add(10 * period * time.Second)
	for what, typed := range map[string]string{"two steps early": h.code(secret, 2), "two steps late": h.code(secret, -2), "none": ""} {
		h.try(what, ada, pass, typed, false)
	}
	h.try("somebody without a login", ben, pass, h.code(secret, 0), false)
	if err := h.Remove(ben); err != nil {
		t.Error(err)
	}
	if err := h.Remove(ada); err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.try("a login that was removed", ada, pass, h.code(secret, 0), false)
}

// After five failures nothing is taken for a while, the right password neither, also after a restart; each further failure makes it longer, up to an hour.
func TestAccountsWait(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	secret, other := h.set(ada), h.set(ben)
	for range Patience {
		h.try("a guess", ada, "not the password", h.code(secret, 0), false)
	}
	h.try("ben meanwhile", ben, pass, h.code(other, 0), true)
	h.restart()
	h.clock.add(FirstWait - time.Second)
	h.try("while it waits", ada, pass, h.code(secret, 0), false)
	h.clock.add(time.Second)
	wait := FirstWait
	for range 12 {
		h.try("a guess more", ada, "not the password", h.code(secret, 0), false)
		wait = min(2*wait, LongestWait)
		h.clock.add(wait - time.Second)
		h.try("while it waits", ada, pass, h.code(secret, 0), false)
		h.clock.add(time.Second)
	}
	h.try("after it has waited", ada, pass, h.code(secret, 0), true)
	h.clock.add(time.Minute)
	h.try("a guess after success", ada, "not the password", h.code(secret, 0), false)
	h.try("one failure is forgiven", ada, pass, h.code(secret, 0), true)
}

// A new login takes the place of the old one.
func TestSetAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old := h.set(ada)
	secret := h.set(ada)
	if bytes.Equal(old, secret) {
		t.Fatal("the secret is the old one")
	}
	h.try("the old secret", ada, pass, h.code(old, 0), false)
	h.try("the new one", ada, pass, h.code(secret, 0), true)
	for _, bad := range []string{"", "short", strings.Repeat("x", MaxPassword+1)} {
		if _, err := h.Set(ada, key, []byte(bad)); problem.KindOf(err) != problem.Malformed {
			t.Errorf("a password of %d bytes: %v", len(bad), err)
		}
	}
	b := []byte(pass)
	if _, err := h.Set(ada, key, b); err != nil || !bytes.Equal(b, make([]byte, len(b))) {
		t.Errorf("the password is %q after use, %v", b, err)
	}
}

// Where a login can't be stored, nobody is signed in, and nothing has changed.
func TestNothingWithoutTheDisk(t *testing.T) {
	t.Parallel()
	if os.Getuid() == 0 {
		t.Log("as root, the folder is taken away instead of made read-only")
	}
	h := newHouse(t)
	secret := h.set(ada)
	if err := os.Rename(h.dir, h.dir+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Check(ada, []byte(pass), h.code(secret, 0)); problem.KindOf(err) != problem.Internal {
		t.Errorf("signed in without a record of the code: %v", err)
	}
	if _, err := h.Set(ben, key, []byte(pass)); problem.KindOf(err) != problem.Internal {
		t.Errorf("a login that was not stored: %v", err)
	}
	if err := os.Rename(h.dir+".away", h.dir); err != nil {
		t.Fatal(err)
	}
	h.try("the disk is back", ada, pass, h.code(secret, 0), true)
	h.try("ben has none", ben, pass, "000000", false)
}

func TestFilesRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	secret := h.set(ada)
	path := filepath.Join(h.dir, FileName)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 || bytes.Contains(good, []byte(pass)) {
		t.Errorf("the file has mode %v, or the password in it: %v", st.Mode(), err)
	}
	for _, form := range []string{string(secret), hex.EncodeToString(secret), base64.StdEncoding.EncodeToString(secret), base32.StdEncoding.EncodeToString(secret)} {
		if bytes.Contains(good, []byte(strings.TrimRight(form, "="))) {
			t.Error("the file has the secret of the codes in clear")
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"no JSON":         func(b []byte) []byte { return b[1:] },
		"another version": func(b []byte) []byte { return bytes.Replace(b, []byte(`"version":2`), []byte(`"version":1`), 1) },
		"secret in clear": func(b []byte) []byte { return bytes.Replace(b, []byte(`"sealed"`), []byte(`"secret"`), 1) },
		"much memory":     func(b []byte) []byte { return bytes.Replace(b, []byte(`"memory":64`), []byte(`"memory":9999999`), 1) },
		"no person":       func(b []byte) []byte { return bytes.Replace(b, []byte(ada), []byte("ada"), 1) },
		"another member":  func(b []byte) []byte { return bytes.Replace(b, []byte(`"time"`), []byte(`"Time"`), 1) },
	} {
		if err := os.WriteFile(path, change(bytes.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(Config{Dir: h.dir, Now: h.clock.Now}); err == nil {
			t.Errorf("%s: the file was taken", name)
		}
	}
	if err := os.WriteFile(path, good, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(Config{Dir: h.dir, Now: h.clock.Now}); err == nil {
		t.Error("a file that others can read was taken")
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("the zero Config was taken")
	}
}

// TestSealedForOne: a secret opens with its own key, for its own person, whole; else there are zeros, and nobody is signed in by the codes of zeros.
func TestSealedForOne(t *testing.T) {
	t.Parallel()
	k, secret := bytes.Repeat([]byte{1}, sealKeySize), bytes.Repeat([]byte{2}, secretSize)
	sealed, err := sealSecret(k, ada, secret)
	if err != nil || len(sealed) != sealedSize {
		t.Fatalf("%d bytes, %v", len(sealed), err)
	}
	if got, ok := openSecret(k, ada, sealed); !ok || !bytes.Equal(got, secret) {
		t.Errorf("got %x, %t", got, ok)
	}
	altered := bytes.Clone(sealed)
	altered[0] ^= 1
	other := bytes.Repeat([]byte{3}, sealKeySize)
	for name, x := range map[string]func() ([]byte, bool){
		"another key":    func() ([]byte, bool) { return openSecret(other, ada, sealed) },
		"another person": func() ([]byte, bool) { return openSecret(k, ben, sealed) },
		"altered":        func() ([]byte, bool) { return openSecret(k, ada, altered) },
	} {
		if got, ok := x(); ok || !bytes.Equal(got, make([]byte, secretSize)) {
			t.Errorf("%s: got %x, %t", name, got, ok)
		}
	}
	h := newHouse(t)
	h.set(ada)
	path := filepath.Join(h.dir, FileName)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	f.Accounts[0].Sealed[3] ^= 1
	if b, err = json.Marshal(f); err == nil {
		err = os.WriteFile(path, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.restart()
	h.try("a secret that was altered, with the codes of zeros", ada, pass, h.code(make([]byte, secretSize), 0), false)
}
