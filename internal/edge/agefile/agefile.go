// SPDX-License-Identifier: Apache-2.0

// Package agefile keeps the age identity of a custodian in a file: what opens their share. The file is what age itself writes and reads
// (age-encryption.org/v1): identities as text, encrypted with a passphrase (scrypt), or in clear where the caller says so.
//
// It refuses to overwrite a file, files that others can read, and files that are neither.
//
// Copies outside the arena: age makes and takes identities as strings and streams, which stay on the heap until they are collected; these are
// programs that a custodian runs for one act.
package agefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"filippo.io/age"

	"strongroom/internal/secret"
)

var (
	// ErrPassphrase says that a passphrase does not open a file.
	ErrPassphrase = errors.New("the passphrase is wrong, or the file was changed")
	// ErrExists says that a file is there already.
	ErrExists = errors.New("the file exists already; a key is never overwritten")
)

// maxFile is more than a few identities take, in bytes.
const maxFile = 64 << 10

// header begins every age file.
const header = "age-encryption.org/v1\n"

// New makes a hybrid post-quantum identity (ML-KEM-768 and X25519), writes it to a new file of mode 0600 under a passphrase, and gives its
// recipient. The zero passphrase keeps it in clear. work is scrypt's work factor; 0 is age's own.
func New(path string, pass secret.Bytes, work int) (recipient string, err error) {
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		return "", fmt.Errorf("make identity: %w", err)
	}
	text := fmt.Appendf(nil, "# recipient: %s\n%s\n", id.Recipient(), id)
	defer clear(text)
	b := text
	if pass.Len() > 0 {
		if b, err = encrypt(text, pass, work); err != nil {
			return "", err
		}
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("%s: %w", path, ErrExists)
	}
	if err != nil {
		return "", err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return id.Recipient().String(), nil
}

func encrypt(text []byte, pass secret.Bytes, work int) ([]byte, error) {
	var out bytes.Buffer
	err := pass.Use(func(p []byte) error {
		r, err := age.NewScryptRecipient(string(p))
		if err != nil {
			return err
		}
		if work > 0 {
			r.SetWorkFactor(work)
		}
		w, err := age.Encrypt(&out, r)
		if err != nil {
			return err
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
		return w.Close()
	})
	return out.Bytes(), err
}

// Read gives the text of the identities of a file; ask is called for the passphrase of one that has one. The caller wipes the result.
func Read(a *secret.Arena, path string, ask func() (secret.Bytes, error)) (secret.Bytes, error) {
	f, err := os.Open(path)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return secret.Bytes{}, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return secret.Bytes{}, fmt.Errorf("%s can be read by others: chmod 600 it, and ask who may have read it", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return secret.Bytes{}, err
	}
	switch {
	case len(b) > maxFile:
		return secret.Bytes{}, fmt.Errorf("%s is no identity file: it has more than %d bytes", path, maxFile)
	case bytes.HasPrefix(b, []byte(header)):
		if b, err = decrypt(b, ask); err != nil {
			return secret.Bytes{}, fmt.Errorf("%s: %w", path, err)
		}
	case !strings.Contains(string(b), "AGE-SECRET-KEY-"):
		return secret.Bytes{}, fmt.Errorf("%s is no identity file of age", path)
	}
	return secret.Take(a, b)
}

func decrypt(b []byte, ask func() (secret.Bytes, error)) (out []byte, err error) {
	pass, err := ask()
	if err != nil {
		return nil, err
	}
	defer pass.Wipe()
	err = pass.Use(func(p []byte) error {
		id, err := age.NewScryptIdentity(string(p))
		if err != nil {
			return ErrPassphrase
		}
		r, err := age.Decrypt(bytes.NewReader(b), id)
		if err != nil {
			return ErrPassphrase
		}
		if out, err = io.ReadAll(io.LimitReader(r, maxFile)); err != nil {
			return ErrPassphrase
		}
		return nil
	})
	return out, err
}
