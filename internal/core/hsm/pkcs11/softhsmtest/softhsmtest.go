// SPDX-License-Identifier: Apache-2.0

// Package softhsmtest finds SoftHSM, the PKCS#11 token in software that tests run on, and makes stores of tokens for it in temporary folders. A
// machine without SoftHSM fails the test and is told what to install.
package softhsmtest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// candidates are where distributions put the library.
var candidates = []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so"}

// Find gives the path of the library.
func Find() (string, error) {
	i := slices.IndexFunc(candidates, func(p string) bool { _, err := os.Stat(p); return err == nil })
	if i < 0 {
		return "", errors.New("SoftHSM is not installed; install it with: apt-get install softhsm2")
	}
	return candidates[i], nil
}

// Configure makes an empty store of tokens in a folder and gives the path of its configuration, the value for SOFTHSM2_CONF.
func Configure(dir string) (string, error) {
	tokens, conf := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return "", err
	}
	return conf, os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n"), 0o600)
}

// Store is a store of tokens for processes that a test starts.
type Store struct {
	Library string // path of the library
	Conf    string // its configuration
	Dir     string // where the tokens lie
}

// New makes an empty store.
func New(t testing.TB) Store {
	t.Helper()
	path, err := Find()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	conf, err := Configure(dir)
	if err != nil {
		t.Fatal(err)
	}
	return Store{Library: path, Conf: conf, Dir: filepath.Join(dir, "tokens")}
}

// Env is what a process needs to find the store.
func (s Store) Env() string { return "SOFTHSM2_CONF=" + s.Conf }

// Token makes a token as an operator does, with softhsm2-util.
func (s Store) Token(t testing.TB, label, pin string) {
	t.Helper()
	cmd := exec.Command("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "0987654321", "--pin", pin)
	cmd.Env = append(os.Environ(), s.Env())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
}
