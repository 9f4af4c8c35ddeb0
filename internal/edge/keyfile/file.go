// SPDX-License-Identifier: Apache-2.0

package keyfile

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/request"
	"strongroom/internal/secret"
)

// Limits of what a file may ask for, so that a foreign file can't make us take all memory or time.
const (
	maxFile   = 4096
	maxTime   = 16
	maxMemory = 1 << 20 // KiB
	maxLanes  = 16
)

// kdf is argon2id with its parameters (RFC 9106).
type kdf struct {
	Salt   []byte `cbor:"1,keyasint"` // 16 bytes
	Time   uint32 `cbor:"2,keyasint"`
	Memory uint32 `cbor:"3,keyasint"` // KiB
	Lanes  uint8  `cbor:"4,keyasint"`
}

// strong is the second recommendation of RFC 9106 section 4: 64 MiB, three passes, four lanes.
func strong() kdf {
	k := kdf{Salt: make([]byte, 16), Time: 3, Memory: 64 << 10, Lanes: 4}
	rand.Read(k.Salt)
	return k
}

func (k kdf) check() error {
	if len(k.Salt) != 16 || k.Time < 1 || k.Time > maxTime || k.Lanes < 1 || k.Lanes > maxLanes || k.Memory < 8*uint32(k.Lanes) || k.Memory > maxMemory {
		return errors.New("the argon2id parameters are outside what this version reads")
	}
	return nil
}

// header is what the private key is bound to.
type header struct {
	V      uint              `cbor:"1,keyasint"` // 1
	Person custody.PersonID  `cbor:"2,keyasint"`
	Key    request.PublicKey `cbor:"3,keyasint"`
	KDF    *kdf              `cbor:"4,keyasint,omitempty"` // absent: no passphrase
}

// file is a key file.
type file struct {
	Header header `cbor:"1,keyasint"`
	Nonce  []byte `cbor:"2,keyasint,omitempty"` // 12 bytes; absent without passphrase
	Sealed []byte `cbor:"3,keyasint"`           // private key, sealed or, without passphrase, plain
}

func (f file) check() error {
	h := f.Header
	if h.V != 1 {
		return fmt.Errorf("version %d is not known; this version reads 1", h.V)
	}
	if err := h.Person.Check(); err != nil {
		return err
	}
	if err := h.Key.Check(); err != nil {
		return err
	}
	if h.KDF == nil {
		if len(f.Nonce) != 0 || len(f.Sealed) != privateSize {
			return errors.New("a file without a passphrase holds a private key of 32 bytes and no nonce")
		}
		return nil
	}
	if len(f.Nonce) != 12 || len(f.Sealed) != privateSize+16 {
		return errors.New("nonce or sealed key have another length than they must")
	}
	return h.KDF.check()
}

// Write writes the key to a new file, sealed with a passphrase.
func (k *Key) Write(path string, pass secret.Bytes) error {
	if pass.Len() < MinPassphrase {
		return fmt.Errorf("write key file: the passphrase has %d bytes; use %d or more, such as five random words", pass.Len(), MinPassphrase)
	}
	params := strong()
	return k.write(path, file{Header: header{KDF: &params}}, pass)
}

// WritePlainUnsafe writes the key to a new file without a passphrase: whoever can read the file can sign. It is for services whose machine
// is protected otherwise, and for tests.
func (k *Key) WritePlainUnsafe(path string) error { return k.write(path, file{}, secret.Bytes{}) }

func (k *Key) write(path string, f file, pass secret.Bytes) error {
	if k.device != nil {
		return errors.New("write key file: the key is in a device, which does not give it")
	}
	f.Header.V, f.Header.Person, f.Header.Key = 1, k.public.Person, k.public.Key()
	err := k.private.Use(func(private []byte) error {
		if f.Header.KDF == nil {
			f.Sealed = bytes.Clone(private)
			return nil
		}
		aead, err := seal(pass, *f.Header.KDF)
		if err != nil {
			return err
		}
		f.Nonce = make([]byte, aead.NonceSize())
		rand.Read(f.Nonce)
		f.Sealed = aead.Seal(nil, f.Nonce, private, canon.Encode(f.Header))
		return nil
	})
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	b := canon.Encode(f)
	defer clear(b)
	if f.Header.KDF == nil {
		defer clear(f.Sealed)
	}
	if err := create(path, b, 0o600); err != nil {
		return fmt.Errorf("write key file %s: %w", path, err)
	}
	return nil
}

// create writes a new file durably.
func create(path string, b []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return ErrExists
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// Open reads a key file. ask is called if the file has a passphrase; Open wipes what it gives. What is wrong with the passphrase wraps
// [ErrPassphrase].
func Open(arena *secret.Arena, path string, ask func() (secret.Bytes, error)) (*Key, error) {
	f, err := read(path)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	private, err := f.open(arena, ask)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	k := &Key{public: Public{Person: f.Header.Person, Alg: f.Header.Key.Alg, Pub: f.Header.Key.Pub}, private: private}
	err = private.Use(func(b []byte) error {
		pub, err := publicOf(k.public.Alg, b)
		if err == nil && !bytes.Equal(pub, k.public.Pub) {
			err = errors.New("the private key is not the one of the public key beside it")
		}
		return err
	})
	if err != nil {
		private.Wipe()
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return k, nil
}

// PublicOf reads the public part of a key file, without a passphrase. Only [Open] shows that the two parts belong together.
func PublicOf(path string) (Public, error) {
	f, err := read(path)
	if err != nil {
		return Public{}, fmt.Errorf("key file %s: %w", path, err)
	}
	clear(f.Sealed)
	return Public{Person: f.Header.Person, Alg: f.Header.Key.Alg, Pub: f.Header.Key.Pub}, nil
}

func (f file) open(arena *secret.Arena, ask func() (secret.Bytes, error)) (secret.Bytes, error) {
	if f.Header.KDF == nil {
		return secret.Take(arena, f.Sealed)
	}
	pass, err := ask()
	if err != nil {
		return secret.Bytes{}, err
	}
	defer pass.Wipe()
	aead, err := seal(pass, *f.Header.KDF)
	if err != nil {
		return secret.Bytes{}, err
	}
	private, err := aead.Open(nil, f.Nonce, f.Sealed, canon.Encode(f.Header))
	if err != nil {
		return secret.Bytes{}, ErrPassphrase
	}
	return secret.Take(arena, private)
}

func read(path string) (f file, err error) {
	in, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return f, err
	}
	if !st.Mode().IsRegular() {
		return f, errors.New("not a file")
	}
	if st.Mode().Perm()&0o077 != 0 {
		return f, fmt.Errorf("others can read it; run: chmod 600 %s", path)
	}
	b, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	defer clear(b)
	if err != nil {
		return f, err
	}
	if len(b) > maxFile {
		return f, errors.New("not a key file: it is too large")
	}
	if err := canon.Decode(b, &f); err != nil {
		return f, fmt.Errorf("not a key file: %w", err)
	}
	return f, f.check()
}
