// SPDX-License-Identifier: Apache-2.0

// Package modulekey keeps a TLS key of a program of ours in the domain: the program is a gateway with one caller, itself, and its key a sealed blob in
// a file. It is the transport of package client/grep11 through the door.
//
// The key is made when it is first needed and there is a grant, and made anew when the domain does not take the blob any more, for instance because
// its working key was replaced. It refuses a file that others can read; the blob is no secret, but whoever changes it takes the key away.
package modulekey

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"strongroom/client/grep11"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/request"
)

// Gateway does calls for callers, as package gate/gateway does.
type Gateway interface {
	Do(ctx context.Context, caller request.AppCaller, c ep11.Call) (ep11.Answer, error)
}

// Door is a transport through the door.
type Door struct {
	Gateway Gateway
	Caller  request.AppCaller
}

// GenerateKeyPair makes a key pair.
func (d Door) GenerateKeyPair(ctx context.Context, m grep11.Mechanism, private, public grep11.Template) (privateBlob, publicBlob []byte, err error) {
	a, err := d.Gateway.Do(ctx, d.Caller, ep11.Call{Function: ep11.FnGenerateKeyPair, Mechanism: &m, Template: private, Template2: public})
	return a.Key, a.Key2, err
}

// Sign signs.
func (d Door) Sign(ctx context.Context, m grep11.Mechanism, key, data []byte) ([]byte, error) {
	a, err := d.Gateway.Do(ctx, d.Caller, ep11.Call{Function: ep11.FnSignSingle, Mechanism: &m, Key: key, Data: data})
	return a.Data, err
}

// Decrypt decrypts.
func (d Door) Decrypt(ctx context.Context, m grep11.Mechanism, key, data []byte) ([]byte, error) {
	a, err := d.Gateway.Do(ctx, d.Caller, ep11.Call{Function: ep11.FnDecryptSingle, Mechanism: &m, Key: key, Data: data})
	return a.Data, err
}

// Keeper keeps one key. Its methods are safe for concurrent use.
type Keeper struct {
	transport grep11.Transport
	path      string

	mu  sync.Mutex // guards key, and is held while it is made
	key *signer    // nil: to be read or made
}

// New makes a keeper of the key in a file, which may not be there yet.
func New(t grep11.Transport, path string) *Keeper { return &Keeper{transport: t, path: path} }

// makeTime bounds the making of a key.
const makeTime = 10 * time.Second

// Key gives the key, and makes it if there is none. The same key is the same value.
func (k *Keeper) Key() (crypto.Signer, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key != nil {
		return k.key, nil
	}
	key, err := k.read()
	if errors.Is(err, fs.ErrNotExist) {
		key, err = k.make()
	}
	if err != nil {
		return nil, fmt.Errorf("key in the domain: %w", err)
	}
	k.key = &signer{Key: key, of: k}
	return k.key, nil
}

// blobs is what the file holds.
type blobs struct {
	Private []byte `json:"private"` // sealed
	Public  []byte `json:"public"`
}

const maxFile = 64 << 10

func (k *Keeper) read() (*grep11.Key, error) {
	f, err := os.Open(k.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if st.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others than its owner; run: chmod 600 %s", k.path, k.path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return nil, err
	}
	var x blobs
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&x); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it for a new key", k.path, err)
	}
	return grep11.Open(k.transport, x.Private, x.Public)
}

// make makes a key and writes its blobs, whole or not at all.
func (k *Keeper) make() (*grep11.Key, error) {
	ctx, cancel := context.WithTimeout(context.Background(), makeTime)
	defer cancel()
	key, err := grep11.Generate(ctx, k.transport, grep11.P256, grep11.Signing)
	if err != nil {
		return nil, err
	}
	var x blobs
	x.Private, x.Public = key.Blobs()
	b, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(filepath.Dir(k.path), "."+filepath.Base(k.path)+"-*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already after a rename
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	return key, os.Rename(f.Name(), k.path)
}

// gone says that the domain does not take a blob any more.
func gone(err error) bool {
	for _, c := range []ep11.Code{ep11.CKR_IBM_WKID_MISMATCH, ep11.CKR_IBM_BLOB_ERROR, ep11.CKR_KEY_HANDLE_INVALID} {
		if errors.Is(err, c) {
			return true
		}
	}
	return false
}

// signer is the key. Once the domain does not take it any more, the keeper makes another.
type signer struct {
	*grep11.Key
	of *Keeper
}

// Sign signs.
func (s *signer) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	sig, err := s.Key.Sign(r, digest, opts)
	if gone(err) {
		return nil, errors.Join(err, s.of.forget(s))
	}
	return sig, err
}

// forget has another key made, if this one is still the one.
func (k *Keeper) forget(s *signer) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.key != s {
		return nil
	}
	k.key = nil
	return os.Rename(k.path, k.path+".old")
}
