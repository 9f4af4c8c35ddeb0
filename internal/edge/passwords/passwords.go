// SPDX-License-Identifier: Apache-2.0

// Package passwords signs people in by a password and a code of an authenticator program, where the operator of serve allows it. Such a login reads, as a
// passkey's does; it is no evidence and no approval, and nothing that is signed rests on it.
//
// A login belongs to an approval key, which asked for it: it ends with that key. So nobody but the people of the domain bring a lost one back, and there is no
// reset. Passwords are kept as argon2id (RFC 9106, second recommended choice); codes are RFC 6238, 30 seconds, one step of skew, each once. After five failures in
// a row an account waits, longer each time; strangers are not told whether a person has a login, whether it waits, or what was wrong.
//
// Accounts are in one file of serve's folder, mode 0600, written whole and durably before an answer. The secret of the codes is sealed there under the password
// (AES-256-GCM, NIST SP 800-38D): argon2id gives what the password is checked with and the key, which seals once. Who reads the file can try passwords, and has the
// codes only of those that they find; so the folder is serve's alone. Copies outside the arena: password, key and secret are on the heap of the call that brought
// the password, and are cleared.
package passwords

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/crypto/argon2"

	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/strictjson"
)

// FileName is the file of the accounts in serve's folder.
const FileName = "logins.json"

// Limits.
const (
	MinPassword = 12   // bytes
	MaxPassword = 1024 // bytes
	Patience    = 5    // failures in a row before an account waits
	FirstWait   = 30 * time.Second
	LongestWait = time.Hour

	maxAccounts = 10_000
	maxFile     = 16 << 20
	atOnce      = 2 // passwords that are hashed at a time: each takes the memory below
)

// Of argon2id, RFC 9106 section 4, second recommended choice.
const (
	argonTime   = 3
	argonMemory = 64 << 10 // KiB
	argonLanes  = 4
	hashSize    = 32
	sealKeySize = 32
	saltSize    = 16
)

// account is a login. Its JSON is the file's.
type account struct {
	Person custody.PersonID `json:"person"`
	Key    request.KeyRef   `json:"key"` // approval key that asked for it
	Salt   []byte           `json:"salt"`
	Time   uint32           `json:"time"`
	Memory uint32           `json:"memory"` // KiB
	Lanes  uint32           `json:"lanes"`
	Hash   []byte           `json:"hash"`
	Sealed []byte           `json:"sealed"`         // secret of the codes, under the password
	Step   uint64           `json:"step,omitempty"` // of the last code that was taken
	Failed uint32           `json:"failed,omitempty"`
	Wait   int64            `json:"wait,omitempty"` // Unix seconds: until then nothing is taken
}

func (a account) check() error {
	switch {
	case a.Person.Check() != nil || a.Key.Check() != nil:
		return errors.New("it names no person or no key")
	case len(a.Salt) != saltSize || len(a.Hash) != hashSize || len(a.Sealed) != sealedSize:
		return errors.New("salt, hash or sealed secret has a wrong length")
	case a.Time < 1 || a.Time > 16 || a.Memory < 8 || a.Memory > 1<<20 || a.Lanes < 1 || a.Lanes > 16:
		return errors.New("the parameters of argon2 are outside the limits")
	}
	return nil
}

// derive gives what a password is checked with, and the key that seals the secret of the codes. Knowing one does not help to find the other.
func (a account) derive(password []byte) (hash, key []byte) {
	b := argon2.IDKey(password, a.Salt, a.Time, a.Memory, uint8(a.Lanes), hashSize+sealKeySize)
	return b[:hashSize:hashSize], b[hashSize:]
}

// file is what is stored.
type file struct {
	Version  uint64    `json:"version"` // 2; 1 had the secrets of codes in clear
	Accounts []account `json:"accounts"`
}

// Store keeps logins. It is safe for concurrent use.
type Store struct {
	path   string
	now    func() time.Time
	memory uint32
	nobody account // whose password is checked where there is no account
	busy   chan struct{}

	mu sync.Mutex // guards by, and writing
	by map[custody.PersonID]account
}

// version of the file.
const version = 2

// Config says where logins are kept. All fields are required but Memory.
type Config struct {
	Dir    string // serve's folder
	Now    func() time.Time
	Memory uint32 // of argon2id in KiB, for tests; 0: 64 MiB
}

// Open reads the logins, none if there is no file.
func Open(cfg Config) (*Store, error) {
	if cfg.Dir == "" || cfg.Now == nil {
		return nil, errors.New("passwords: folder and clock are required")
	}
	if cfg.Memory == 0 {
		cfg.Memory = argonMemory
	}
	s := &Store{path: filepath.Join(cfg.Dir, FileName), now: cfg.Now, memory: cfg.Memory, busy: make(chan struct{}, atOnce), by: map[custody.PersonID]account{}}
	s.nobody = s.fresh()
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("logins %s: %w", s.path, err)
	}
	return s, nil
}

func (s *Store) load() error {
	st, err := os.Stat(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if st.Mode().Perm()&0o077 != 0 || st.Size() > maxFile {
		return errors.New("the file is too large, or others can read it; run: chmod 600")
	}
	b, err := os.ReadFile(s.path)
	if err != nil {
		return err
	}
	defer clear(b)
	var f file
	if err := strictjson.Decode(b, &f); err != nil {
		return err
	}
	if f.Version != version {
		return fmt.Errorf("version %d is not known (1 had the secrets of codes in clear): remove the file, and have people set their logins again", f.Version)
	}
	for _, a := range f.Accounts {
		if err := a.check(); err != nil {
			return fmt.Errorf("account of %s: %w", a.Person, err)
		}
		if _, twice := s.by[a.Person]; twice {
			return fmt.Errorf("account of %s: it is there twice", a.Person)
		}
		s.by[a.Person] = a
	}
	return nil
}

// fresh makes an account with a new salt, of nobody yet, whose password nobody knows.
func (s *Store) fresh() account {
	a := account{Salt: make([]byte, saltSize), Time: argonTime, Memory: s.memory, Lanes: argonLanes, Hash: make([]byte, hashSize), Sealed: make([]byte, sealedSize)}
	rand.Read(a.Salt)
	rand.Read(a.Hash)
	rand.Read(a.Sealed)
	return a
}

// put stores an account, or removes it if it is nil, durably. The caller holds mu. If it fails nothing has changed here.
func (s *Store) put(person custody.PersonID, a *account) error {
	before, had := s.by[person]
	if a == nil {
		delete(s.by, person)
	} else {
		s.by[person] = *a
	}
	err := s.write()
	if err != nil {
		delete(s.by, person)
		if had {
			s.by[person] = before
		}
		return problem.Wrap(problem.Internal, err, "the login could not be stored")
	}
	return nil
}

// write writes the file whole or not at all.
func (s *Store) write() error {
	f := file{Version: version, Accounts: make([]account, 0, len(s.by))}
	for _, a := range s.by {
		f.Accounts = append(f.Accounts, a)
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	defer clear(b)
	dir := filepath.Dir(s.path)
	t, err := os.CreateTemp(dir, "."+FileName+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(t.Name()) }() // gone already after the rename
	_, err = t.Write(b)
	if err = errors.Join(err, t.Sync(), t.Close()); err != nil {
		return err
	}
	if err := os.Rename(t.Name(), s.path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// room takes one of the places for hashing; who finds none is told to come back.
func (s *Store) room() (func(), error) {
	select {
	case s.busy <- struct{}{}:
		return func() { <-s.busy }, nil
	default:
		return nil, problem.New(problem.Busy, "others are signing in; try again in a second")
	}
}

// Set makes a person's login, in place of one they had, for the key that asked for it. It gives the URI that an authenticator program reads. It clears password.
func (s *Store) Set(person custody.PersonID, key request.KeyRef, password []byte) (string, error) {
	defer clear(password)
	if len(password) < MinPassword || len(password) > MaxPassword {
		return "", problem.New(problem.Malformed, "a password has %d to %d bytes; take five random words", MinPassword, MaxPassword)
	}
	leave, err := s.room()
	if err != nil {
		return "", err
	}
	defer leave()
	a := s.fresh()
	secret := make([]byte, secretSize)
	rand.Read(secret)
	defer clear(secret)
	a.Person, a.Key = person, key
	var sealer []byte
	a.Hash, sealer = a.derive(password)
	defer clear(sealer)
	if a.Sealed, err = sealSecret(sealer, person, secret); err != nil {
		return "", problem.Wrap(problem.Internal, err, "the login could not be made")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.by[person]; !ok && len(s.by) >= maxAccounts {
		return "", problem.New(problem.Busy, "there are %d logins, and no room for more", maxAccounts)
	}
	if err := s.put(person, &a); err != nil {
		return "", err
	}
	return uri(person, secret), nil
}

// Remove ends a person's login. Removing none does nothing.
func (s *Store) Remove(person custody.PersonID) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.by[person]; !ok {
		return nil
	}
	return s.put(person, nil)
}

// same writes the file as it is: who is refused without a trace waits as long as who is counted. The caller holds mu.
func (s *Store) same() error {
	if err := s.write(); err != nil {
		return problem.Wrap(problem.Internal, err, "the login could not be stored")
	}
	return errRefused()
}

// errRefused is all that a stranger is told.
func errRefused() error {
	return problem.New(problem.Unauthenticated, "person, password or code is wrong, or this login waits after too many attempts; take the next code, and then wait a while")
}

// Check signs somebody in and gives the key that their login belongs to; the caller looks whether it is still theirs. It clears password. Whatever is wrong, the answer
// is the same and costs the same. The code is used up, and a failure counted, durably before the answer.
func (s *Store) Check(person custody.PersonID, password []byte, typed string) (request.KeyRef, error) {
	defer clear(password)
	leave, err := s.room()
	if err != nil {
		return "", err
	}
	defer leave()
	s.mu.Lock()
	a, known := s.by[person]
	s.mu.Unlock()
	if !known {
		a = s.nobody
	}
	if len(password) > MaxPassword {
		password = password[:MaxPassword]
	}
	hash, sealer := a.derive(password)
	right := subtle.ConstantTimeCompare(hash, a.Hash) == 1
	secret, opened := openSecret(sealer, person, a.Sealed)
	defer clear(secret)
	clear(sealer)

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now().Unix()
	again, still := s.by[person]
	if !known || !still || subtle.ConstantTimeCompare(again.Hash, a.Hash) != 1 { // none, or another one meanwhile
		return "", s.same()
	}
	a = again
	if now < a.Wait { // no guess is looked at, and none counted: who comes meanwhile does not make it longer
		return "", s.same()
	}
	step, ok := matching(secret, now, typed)
	if !right || !opened || !ok || step <= a.Step {
		a.fail(now)
		if err := s.put(person, &a); err != nil {
			return "", err
		}
		return "", errRefused()
	}
	a.Step, a.Failed, a.Wait = step, 0, 0
	if err := s.put(person, &a); err != nil {
		return "", err
	}
	return a.Key, nil
}

// fail counts a failure. From the fifth in a row on the account waits, twice as long each time.
func (a *account) fail(now int64) {
	a.Failed++
	if a.Failed < Patience {
		return
	}
	wait := LongestWait
	if n := a.Failed - Patience; n < 16 {
		wait = min(LongestWait, FirstWait<<n)
	}
	a.Wait = now + int64(wait/time.Second)
}
