// SPDX-License-Identifier: Apache-2.0

package apikey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// Life is how long a token is good, unless configured otherwise.
const Life = time.Hour

const (
	tokenTag  = "strongroom/grep11-token/v1"
	bodySize  = idSize + 8 + 16 // id, expiry in Unix seconds, random bytes
	tokenSize = bodySize + sha256.Size
)

// Config says where the files are. All fields are required but Life.
type Config struct {
	Keys  string // file with the API keys; it may be made later, or changed: it is read again when it is another file
	Token string // file with the key of tokens; it is made if it is missing
	Life  time.Duration
	Now   func() time.Time
}

// Keeper knows API keys and tokens. Its methods are safe for concurrent use.
type Keeper struct {
	cfg Config
	mac []byte

	mu   sync.Mutex // guards all below
	keys map[string]Key
	seen fs.FileInfo // of the file that keys is from; nil: there was none
	next time.Time   // when it is looked at again
}

// look is how long the file is believed to be the same.
const look = time.Second

// Open reads the files.
func Open(cfg Config) (*Keeper, error) {
	if cfg.Keys == "" || cfg.Token == "" || cfg.Now == nil || cfg.Life < 0 {
		return nil, errors.New("API keys: files and clock are required, and a life that is not negative")
	}
	if cfg.Life == 0 {
		cfg.Life = Life
	}
	k := &Keeper{cfg: cfg}
	var err error
	if k.mac, err = tokenKey(cfg.Token); err != nil {
		return nil, fmt.Errorf("key of tokens: %w", err)
	}
	_, err = k.current(cfg.Now())
	return k, err
}

// tokenKey reads the key of tokens, or makes it.
func tokenKey(path string) ([]byte, error) {
	b, err := private(path, 64)
	if errors.Is(err, fs.ErrNotExist) {
		b = make([]byte, 32)
		rand.Read(b)
		if err = replace(path, b, os.Link); err == nil || errors.Is(err, fs.ErrExist) { // another process was quicker
			b, err = private(path, 64)
		}
	}
	if err == nil && len(b) != 32 {
		err = fmt.Errorf("%s has %d bytes, not 32; remove it, and all tokens end", path, len(b))
	}
	return b, err
}

// current gives the keys as the file has them. A file that can't be read is an error: nobody is let in on what it said before.
func (k *Keeper) current(now time.Time) (map[string]Key, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Before(k.next) {
		return k.keys, nil
	}
	st, err := os.Stat(k.cfg.Keys)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.keys, k.seen = nil, nil
	case err != nil:
		return nil, fmt.Errorf("API keys: %w", err)
	case k.seen == nil || !os.SameFile(k.seen, st) || !st.ModTime().Equal(k.seen.ModTime()) || st.Size() != k.seen.Size() || st.Mode() != k.seen.Mode():
		list, err := Read(k.cfg.Keys)
		if err != nil {
			return nil, err
		}
		k.keys, k.seen = make(map[string]Key, len(list)), st
		for _, x := range list {
			k.keys[x.ID] = x
		}
	}
	k.next = now.Add(look)
	return k.keys, nil
}

// forget has the file looked at again.
func (k *Keeper) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next = time.Time{}
}

// Exchange gives a token for an API key, and its life. A token lasts no longer than its key. Errors are as with [Keeper.Subject].
func (k *Keeper) Exchange(apiKey string) (string, time.Duration, error) {
	now := k.cfg.Now()
	keys, err := k.current(now)
	if err != nil {
		return "", 0, err
	}
	x, ok := match(keys, apiKey)
	if !ok { // it may have been made just now
		k.forget()
		if keys, err = k.current(now); err != nil {
			return "", 0, err
		}
		if x, ok = match(keys, apiKey); !ok {
			return "", 0, ErrRefused
		}
	}
	if !x.live(now) {
		return "", 0, ErrEnded
	}
	life := k.cfg.Life
	if !x.Ends.IsZero() {
		life = min(life, x.Ends.Sub(now))
	}
	life = max(life.Truncate(time.Second), time.Second)
	id, err := hex.DecodeString(x.ID)
	if err != nil {
		return "", 0, ErrRefused
	}
	b := make([]byte, bodySize, tokenSize)
	copy(b, id)
	binary.BigEndian.PutUint64(b[idSize:], uint64(now.Add(life).Unix()))
	rand.Read(b[idSize+8:])
	return base64.RawURLEncoding.EncodeToString(append(b, k.sum(b)...)), life, nil
}

// Subject says whose a token is. Its error is [ErrRefused], [ErrEnded] if the token was given once, or that of a file that can't be read.
func (k *Keeper) Subject(token string) (string, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(b) != tokenSize || !hmac.Equal(k.sum(b[:bodySize]), b[bodySize:]) {
		return "", ErrRefused
	}
	now := k.cfg.Now()
	if ends := binary.BigEndian.Uint64(b[idSize:]); uint64(max(now.Unix(), 0)) >= ends {
		return "", ErrEnded
	}
	keys, err := k.current(now)
	if err != nil {
		return "", err
	}
	x, ok := keys[hex.EncodeToString(b[:idSize])]
	if !ok || !x.live(now) {
		return "", ErrEnded
	}
	return x.Subject, nil
}

func (k *Keeper) sum(body []byte) []byte {
	m := hmac.New(sha256.New, k.mac)
	m.Write([]byte(tokenTag))
	m.Write(body)
	return m.Sum(nil)
}
