// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

// Names in the root's directory. Those with a dot before the ending can't be labels.
const (
	rootFile     = "root.pkcs11"
	creatingFile = "creating.pkcs11" // a Create is under way, or was interrupted
	counterFile  = "counter.pkcs11"
	refusedFile  = "pin.refused"
	ending       = ".sealed"
)

// MinUnlock is the least length of an unlock secret in bytes. It is not stretched, so it must be random and not something that people remember.
const MinUnlock = 32

var (
	_ hsm.Root       = (*Root)(nil)
	_ hsm.Randomness = (*Root)(nil)
)

// RootConfig says where a root is and what opens it. The zero RootConfig is refused.
type RootConfig struct {
	Dir   string       // directory of the root, mode 0700; [Create] makes it if only its last part is missing
	Token string       // label or serial number of the token
	PIN   secret.Bytes // of the token's user; stays the caller's to wipe
	// Attended says that a person has typed this PIN just now: it is tried also after a wrong one, and where one try is left.
	Attended bool
	// Unlock takes part in the key of everything that is sealed, besides file and token: at least [MinUnlock] random bytes, the same ever after.
	// It stays the caller's to wipe. The zero Bytes means that there is none.
	Unlock secret.Bytes
}

// rootRecord is the content of root.pkcs11. Nothing in it is secret, and nothing in it is believed that the token does not bear out.
type rootRecord struct {
	V      uint         `cbor:"1,keyasint"` // 1
	What   string       `cbor:"2,keyasint"` // "root.pkcs11"
	ID     [rootID]byte `cbor:"3,keyasint"` // random; the objects' names begin with it
	Serial string       `cbor:"4,keyasint"` // of the token
	Label  string       `cbor:"5,keyasint"` // of the token when the root was made, for people
	Unlock bool         `cbor:"6,keyasint"` // an unlock secret takes part
	KWP    uint         `cbor:"7,keyasint"` // mechanism that wraps keys; 0: the token can't
}

// Root implements [hsm.Root], [hsm.Randomness], [hsm.TokenKeys] and [hsm.WrappedKeys].
type Root struct {
	lib    *Library
	disk   durable.Disk
	dir    string
	record rootRecord
	unlock secret.Bytes // our own copy, or the zero Bytes
	token  *token

	mu     sync.Mutex // guards all below, and files and objects against each other's writers
	closed bool
}

// Create makes a root in a directory that has none, on a token, and opens it. After an interruption it starts over, and removes what the
// interrupted one left in the token.
func (l *Library) Create(ctx context.Context, cfg RootConfig) (*Root, error) {
	return l.create(ctx, durable.OS(), cfg)
}

// Open opens the root in a directory.
func (l *Library) Open(ctx context.Context, cfg RootConfig) (*Root, error) {
	return l.openRoot(ctx, durable.OS(), cfg)
}

func (c RootConfig) check() error {
	switch n := c.Unlock.Len(); {
	case c.Dir == "" || c.Token == "":
		return errors.New("pkcs11: a directory and the label or serial number of a token must be given")
	case c.PIN.Len() == 0:
		return errors.New("pkcs11: a PIN must be given")
	case n != 0 && n < MinUnlock:
		return fmt.Errorf("%w of %d bytes; it must be random and have %d or more", ErrUnlock, n, MinUnlock)
	}
	return nil
}

// connect logs in, unless the PIN was wrong last time, and takes what the root keeps of the configuration.
func (l *Library) connect(disk durable.Disk, cfg RootConfig) (*Root, error) {
	marker := filepath.Join(cfg.Dir, refusedFile)
	_, err := disk.Read(marker, 1<<10)
	marked := !errors.Is(err, fs.ErrNotExist)
	if marked && !cfg.Attended {
		return nil, fmt.Errorf("%w: it was wrong last time, and tokens lock after a few. Make sure of it, then type it at the terminal, or remove %s", ErrPINHeld, marker)
	}
	t, err := l.login(cfg.Token, cfg.PIN, cfg.Attended)
	r := &Root{lib: l, disk: disk, dir: cfg.Dir, token: t}
	if err != nil {
		return nil, r.mark(err)
	}
	if marked {
		err = durable.Erase(disk, marker)
	}
	if n := cfg.Unlock.Len(); n > 0 && err == nil {
		r.unlock, err = secret.New(l.cfg.Arena, n, func(b []byte) error { return cfg.Unlock.Use(func(u []byte) error { copy(b, u); return nil }) })
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pkcs11: %w", err), r.Close())
	}
	return r, nil
}

// mark leaves a note where a PIN was wrong, so that no program that restarts by itself tries it until the token locks.
func (r *Root) mark(err error) error {
	if errors.Is(err, ErrWrongPIN) {
		err = errors.Join(err, durable.Replace(r.disk, r.path(refusedFile), []byte("The token refused the PIN.\n")))
	}
	return err
}

func (l *Library) create(ctx context.Context, disk durable.Disk, cfg RootConfig) (*Root, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := makeDir(disk, cfg.Dir); err != nil {
		return nil, fmt.Errorf("pkcs11: %w", err)
	}
	if _, err := disk.Read(filepath.Join(cfg.Dir, rootFile), maxRecord); !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(ErrRootExists, err)
	}
	r, err := l.connect(disk, cfg)
	if err != nil {
		return nil, err
	}
	if err := r.make(ctx); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// maxRecord bounds the files that are not sealed things.
const maxRecord = 4 << 10

// make makes a new root. Its id is durable before the first object, so that a Create that was interrupted can be cleaned up after; root.pkcs11 comes
// last, and with it the root exists.
func (r *Root) make(ctx context.Context) error {
	r.record = rootRecord{V: 1, What: rootFile, Serial: r.token.info.Serial, Label: r.token.info.Label, Unlock: r.unlock.Len() > 0}
	rand.Read(r.record.ID[:]) // never fails: crypto/rand ends the process when the system has no randomness
	if b, err := r.disk.Read(r.path(creatingFile), maxRecord); err == nil && len(b) == rootID {
		r.record.ID = [rootID]byte(b)
	} else if err := durable.Replace(r.disk, r.path(creatingFile), r.record.ID[:]); err != nil {
		return fmt.Errorf("pkcs11: %w", err)
	}
	var err error
	r.record.KWP, err = with(ctx, r.token, "make the root's objects", func(m module, s p11.SessionHandle) (uint, error) {
		if err := r.clean(m, s); err != nil {
			return 0, err
		}
		if _, err := generateAES(m, s, roleCount, r.countID(0)); err != nil {
			return 0, err
		}
		return r.makeWrap(m, s)
	})
	if err != nil {
		return err
	}
	if err := r.writeCount(ctx, 0); err != nil {
		return err
	}
	err = durable.Add(r.disk, r.path(rootFile), canon.Encode(r.record))
	if errors.Is(err, fs.ErrExist) {
		return ErrRootExists
	}
	if err == nil {
		err = durable.Erase(r.disk, r.path(creatingFile))
	}
	if err != nil {
		return fmt.Errorf("pkcs11: %w", err)
	}
	return nil
}

// clean removes objects that an interrupted Create left: those with this root's id.
func (r *Root) clean(m module, s p11.SessionHandle) error {
	if err := loggedIn(m, s); err != nil {
		return err
	}
	for _, role := range []role{roleCount, roleWrap} {
		found, err := r.own(m, s, role)
		if err != nil {
			return err
		}
		for _, o := range found {
			if err := destroy(m, s, p11.CKO_SECRET_KEY, role, o.id); err != nil {
				return err
			}
		}
	}
	return nil
}

// own finds the objects of a role that are this root's.
func (r *Root) own(m module, s p11.SessionHandle, role role) ([]object, error) {
	all, err := search(m, s, p11.CKO_SECRET_KEY, role, nil)
	if err != nil {
		return nil, err
	}
	var out []object
	for _, o := range all {
		if bytes.HasPrefix(o.id, r.record.ID[:]) {
			out = append(out, o)
		}
	}
	return out, nil
}

// present makes sure that the token can be asked whether an object is there: the session is logged in, and the root's counter is seen.
func (r *Root) present(m module, s p11.SessionHandle) error {
	if err := loggedIn(m, s); err != nil {
		return err
	}
	counts, err := r.own(m, s, roleCount)
	if err == nil && len(counts) == 0 {
		err = fmt.Errorf("%w: token %q does not hold the objects of this root", hsm.ErrAltered, r.record.Label)
	}
	return err
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

func (l *Library) openRoot(ctx context.Context, disk durable.Disk, cfg RootConfig) (*Root, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	record, err := readRecord(disk, cfg.Dir)
	if err != nil {
		return nil, err
	}
	switch has := cfg.Unlock.Len() > 0; {
	case record.Unlock && !has:
		return nil, fmt.Errorf("%w: the root was made with one; give it", ErrUnlock)
	case !record.Unlock && has:
		return nil, fmt.Errorf("%w: the root was made without one; leave it out", ErrUnlock)
	}
	if info, err := l.find(cfg.Token); err != nil {
		return nil, err
	} else if info.Serial != record.Serial {
		return nil, fmt.Errorf("%w: %q with serial number %s; this is %q with %s", ErrOtherToken, record.Label, record.Serial, info.Label, info.Serial)
	}
	if err := durable.Sweep(disk, cfg.Dir); err != nil {
		return nil, fmt.Errorf("pkcs11: %w", err)
	}
	r, err := l.connect(disk, cfg)
	if err != nil {
		return nil, err
	}
	r.record = record
	err = r.token.do(ctx, "look for the root's objects", r.present)
	if err == nil { // a Create that was interrupted after its last step
		err = durable.Erase(disk, r.path(creatingFile))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pkcs11: %w", err), r.Close())
	}
	return r, nil
}

// readRecord reads root.pkcs11.
func readRecord(disk durable.Disk, dir string) (rootRecord, error) {
	b, err := disk.Read(filepath.Join(dir, rootFile), maxRecord)
	if errors.Is(err, fs.ErrNotExist) {
		return rootRecord{}, ErrNoRoot
	}
	if err != nil {
		return rootRecord{}, fmt.Errorf("pkcs11: %w", err)
	}
	return decodeRecord(b)
}

func decodeRecord(b []byte) (rootRecord, error) {
	var r rootRecord
	if err := canon.Decode(b, &r); err != nil {
		return rootRecord{}, fmt.Errorf("%w: %s: %w", hsm.ErrAltered, rootFile, err)
	}
	if r.V != 1 || r.What != rootFile || r.Serial == "" || r.KWP != 0 && r.KWP != ckmAESKeyWrapKWP && r.KWP != p11.CKM_AES_KEY_WRAP_PAD {
		return rootRecord{}, fmt.Errorf("%w: %s: version %d of %q, or a field that can't be", hsm.ErrAltered, rootFile, r.V, r.What)
	}
	return r, nil
}

// Close logs out and wipes the PIN. What was unsealed stays with those who have it.
func (r *Root) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.unlock.Wipe()
	return r.token.release()
}

// Status implements [hsm.Root]. That it is hardware is the library's word.
func (r *Root) Status(ctx context.Context) (hsm.Status, error) {
	s := hsm.Status{Kind: Kind, Hardware: r.token.info.Hardware}
	err := r.do(ctx, "list", "labels", func() (err error) {
		s.Labels, err = r.labels(ctx)
		return err
	})
	if err != nil {
		return hsm.Status{}, err
	}
	return s, nil
}

// maxRandom is how many bytes are asked for at once.
const maxRandom = 1 << 10

// Random implements [hsm.Randomness].
func (r *Root) Random(ctx context.Context, out []byte) error {
	if err := r.usable(ctx); err != nil {
		return fmt.Errorf("pkcs11 root: randomness: %w", err)
	}
	for len(out) > 0 {
		n := min(len(out), maxRandom)
		// Into the arena first: after a hang the library may still write where it was told to.
		b, err := with(ctx, r.token, "C_GenerateRandom", func(m module, s p11.SessionHandle) (secret.Bytes, error) {
			return secret.New(r.lib.cfg.Arena, n, func(b []byte) error { return m.Random(s, b) })
		})
		if err != nil {
			return fmt.Errorf("pkcs11 root: randomness: %w", r.mark(err))
		}
		err = b.Use(func(b []byte) error { copy(out, b); return nil })
		b.Wipe()
		if err != nil {
			return err
		}
		out = out[n:]
	}
	return nil
}

// usable refuses work on a closed root, and for nobody.
func (r *Root) usable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return hsm.ErrClosed
	}
	return nil
}

// do runs f alone, unless the root is closed or nobody waits any more, and says in errors what was done to what.
func (r *Root) do(ctx context.Context, verb, what string, f func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err := hsm.ErrClosed
	if !r.closed {
		err = r.mark(f())
	}
	if err != nil {
		return fmt.Errorf("pkcs11 root: %s %s: %w", verb, what, err)
	}
	return nil
}

func (r *Root) path(name string) string { return filepath.Join(r.dir, name) }
