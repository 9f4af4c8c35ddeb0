// SPDX-License-Identifier: Apache-2.0

package soft

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

var (
	// ErrWrongPassphrase says that the root file does not open. A wrong passphrase and an altered file can't be told apart.
	ErrWrongPassphrase = errors.New("soft root: the passphrase is wrong, or root.soft was altered")
	// ErrNoRoot says that the directory has no root: create one, or name the right directory.
	ErrNoRoot = errors.New("soft root: there is no root.soft here; create the root first, or name the right directory")
	// ErrRootExists says that the directory has a root already. It is never overwritten.
	ErrRootExists = errors.New("soft root: there is a root.soft here already; open it, or choose another directory")
	// ErrArgon says that the parameters of argon2id are outside the bounds.
	ErrArgon = passphrase.ErrCost
)

// Argon is the cost of argon2id.
type Argon = passphrase.Cost

// DefaultArgon is what [passphrase.DefaultCost] says.
func DefaultArgon() Argon { return passphrase.DefaultCost() }

const saltSize = 32

// rootHeader is the header of root.soft.
type rootHeader struct {
	V     uint           `cbor:"1,keyasint"` // 1
	What  string         `cbor:"2,keyasint"` // "root.soft"
	Argon Argon          `cbor:"3,keyasint"`
	Salt  [saltSize]byte `cbor:"4,keyasint"` // of argon2id
}

// Create makes a root with a new master key in a directory that has none, and opens it. The passphrase must pass [passphrase.Check]; it
// stays the caller's to wipe.
func Create(cfg Config, p secret.Bytes) (*Root, error) { return create(durable.OS(), cfg, p) }

// Open opens the root in a directory. It takes about a second. [ErrWrongPassphrase] is the answer to a wrong passphrase and to an altered
// root file; the caller limits how often one may try.
func Open(cfg Config, p secret.Bytes) (*Root, error) { return open(durable.OS(), cfg, p) }

func (c *Config) check() error {
	if c.Arena == nil || c.Dir == "" {
		return errors.New("soft root: an arena and a directory must be given")
	}
	if c.Argon == (Argon{}) {
		c.Argon = DefaultArgon()
	}
	return c.Argon.Check(c.WeakUnsafe)
}

func create(disk durable.Disk, cfg Config, p secret.Bytes) (*Root, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := passphrase.Check(p); err != nil {
		return nil, err
	}
	if err := makeDir(disk, cfg.Dir); err != nil {
		return nil, fmt.Errorf("soft root: %w", err)
	}
	path := filepath.Join(cfg.Dir, rootFile)
	if _, err := disk.Read(path, seal.MaxEnvelope); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(ErrRootExists, err)
	}
	master, err := secret.New(cfg.Arena, seal.KeySize, fillRandom)
	if err != nil {
		return nil, fmt.Errorf("soft root: %w", err)
	}
	r := &Root{cfg: cfg, disk: disk, master: master}
	if err := r.write(p); err != nil {
		master.Wipe()
		return nil, err
	}
	return r, nil
}

// write stores a new root. root.soft comes last: with it the root exists. A counter that an interrupted Create left behind is sealed under
// a master key that was lost, and is replaced.
func (r *Root) write(p secret.Bytes) error {
	if err := r.writeCounter(0); err != nil {
		return fmt.Errorf("soft root: %w", err)
	}
	sealed, err := wrap(r.cfg, p, r.master)
	if err != nil {
		return err
	}
	err = durable.Add(r.disk, r.path(rootFile), sealed)
	if errors.Is(err, fs.ErrExist) {
		return ErrRootExists
	}
	if err != nil {
		return fmt.Errorf("soft root: %w", err)
	}
	return nil
}

func makeDir(disk durable.Disk, dir string) error {
	if err := disk.Mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := disk.SyncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	return durable.Sweep(disk, dir)
}

func open(disk durable.Disk, cfg Config, p secret.Bytes) (*Root, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	master, err := unwrap(disk, cfg, p)
	if err != nil {
		return nil, err
	}
	if err := durable.Sweep(disk, cfg.Dir); err != nil {
		master.Wipe()
		return nil, fmt.Errorf("soft root: %w", err)
	}
	return &Root{cfg: cfg, disk: disk, master: master}, nil
}

// ChangePassphrase replaces root.soft by one that the next passphrase opens, at once: after a crash the old one opens or the new one. The
// master key stays the same, so that a copy of the old file with the old passphrase still gives it; where that is feared, make a new root
// and seal everything anew.
func (r *Root) ChangePassphrase(old, next secret.Bytes) error {
	if err := passphrase.Check(next); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fmt.Errorf("soft root: change passphrase: %w", hsm.ErrClosed)
	}
	master, err := unwrap(r.disk, r.cfg, old)
	if err != nil {
		return err
	}
	defer master.Wipe()
	if !master.Equal(r.master) {
		return fmt.Errorf("soft root: change passphrase: %w: %s holds another master key", hsm.ErrAltered, rootFile)
	}
	sealed, err := wrap(r.cfg, next, master)
	if err != nil {
		return err
	}
	if err := durable.Replace(r.disk, r.path(rootFile), sealed); err != nil {
		return fmt.Errorf("soft root: change passphrase: %w", err)
	}
	return nil
}

// wrap gives the content of root.soft.
func wrap(cfg Config, p, master secret.Bytes) ([]byte, error) {
	h := rootHeader{V: 1, What: rootFile, Argon: cfg.Argon}
	rand.Read(h.Salt[:])
	key, err := stretch(cfg.Arena, p, h)
	if err != nil {
		return nil, fmt.Errorf("soft root: %w", err)
	}
	defer key.Wipe()
	sealed, err := seal.Seal(canon.TagSeal, key, canon.Encode(h), master)
	if err != nil {
		return nil, fmt.Errorf("soft root: %w", err)
	}
	return sealed, nil
}

// unwrap reads root.soft. Only argon2id stands between its reader and the passphrase, so its parameters are checked before they are used.
func unwrap(disk durable.Disk, cfg Config, p secret.Bytes) (secret.Bytes, error) {
	sealed, err := disk.Read(filepath.Join(cfg.Dir, rootFile), seal.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return secret.Bytes{}, ErrNoRoot
	}
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("soft root: %w", err)
	}
	b, err := seal.Header(sealed)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("%w: %w", ErrWrongPassphrase, err)
	}
	var h rootHeader
	if err := canon.Decode(b, &h); err != nil {
		return secret.Bytes{}, fmt.Errorf("%w: header: %w", ErrWrongPassphrase, err)
	}
	if h.V != 1 || h.What != rootFile {
		return secret.Bytes{}, fmt.Errorf("%w: version %d of %q is not known", ErrWrongPassphrase, h.V, h.What)
	}
	if err := h.Argon.Check(cfg.WeakUnsafe); err != nil {
		return secret.Bytes{}, err
	}
	key, err := stretch(cfg.Arena, p, h)
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("soft root: %w", err)
	}
	defer key.Wipe()
	master, _, err := seal.Open(cfg.Arena, canon.TagSeal, key, sealed)
	if errors.Is(err, seal.ErrMalformed) || errors.Is(err, seal.ErrOpen) {
		return secret.Bytes{}, ErrWrongPassphrase
	}
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("soft root: %w", err)
	}
	if master.Len() != seal.KeySize {
		master.Wipe()
		return secret.Bytes{}, ErrWrongPassphrase
	}
	return master, nil
}

func stretch(a *secret.Arena, p secret.Bytes, h rootHeader) (secret.Bytes, error) {
	return passphrase.Stretch(a, p, h.Salt[:], h.Argon, seal.KeySize)
}

func fillRandom(b []byte) error {
	rand.Read(b) // never fails: crypto/rand ends the process when the system has no randomness
	return nil
}
