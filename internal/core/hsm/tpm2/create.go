// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/hsm/passphrase"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/secret"
)

const saltSize = 32

// rootHeader is the header of root.tpm.
type rootHeader struct {
	V       uint              `cbor:"1,keyasint"` // 1
	What    string            `cbor:"2,keyasint"` // "root.tpm"
	Cost    passphrase.Cost   `cbor:"3,keyasint"`
	Salt    [saltSize]byte    `cbor:"4,keyasint"` // of argon2id
	Primary []byte            `cbor:"5,keyasint"` // name of the storage key
	Policy  policy            `cbor:"6,keyasint"`
	Object  object            `cbor:"7,keyasint"` // holds the first part of the key of root.tpm
	Sum     [sha256.Size]byte `cbor:"8,keyasint"` // of the fields before, so that an accident on the disk is not taken for a wrong PIN, which the TPM counts
}

func (h rootHeader) sum() [sha256.Size]byte {
	h.Sum = [sha256.Size]byte{}
	return canon.HashBytes(canon.TagTPM, canon.Encode(h))
}

// counterHeader is the header of counter.tpm. The content is First, 8 bytes, big-endian.
type counterHeader struct {
	V     uint   `cbor:"1,keyasint"` // 1
	What  string `cbor:"2,keyasint"` // "counter.tpm"
	Index uint32 `cbor:"3,keyasint"`
}

// Config says where a root is and what it works in. The zero Config is refused.
type Config struct {
	Arena  *secret.Arena // for keys and unsealed secrets
	Dir    string        // directory of the root, mode 0700; [Create] makes it if only its last part is missing
	Device *Device       // stays the caller's to close
	PCRs   []uint        // registers that a new root is bound to, ascending; an existing root keeps its own
	// Cost is the cost of guessing the PIN for somebody who broke into the TPM. Zero is the default; anything less is refused unless WeakUnsafe.
	Cost passphrase.Cost
	// WeakUnsafe allows costs below the default. It is for tests.
	WeakUnsafe bool
}

func (c *Config) check() error {
	if c.Arena == nil || c.Dir == "" || c.Device == nil {
		return errors.New("tpm2 root: an arena, a directory and a device must be given")
	}
	if c.Cost == (passphrase.Cost{}) {
		c.Cost = passphrase.DefaultCost()
	}
	if err := c.Cost.Check(c.WeakUnsafe); err != nil {
		return fmt.Errorf("tpm2 root: %w", err)
	}
	return checkPCRs(c.PCRs)
}

// Create makes a root in a directory that has none, bound to the PIN and to the configured registers as they are now, and opens it. One that was
// interrupted is finished; then the PIN must be the same. A PIN must pass [passphrase.Check]; it stays the caller's to wipe.
func Create(ctx context.Context, cfg Config, pin secret.Bytes) (*Root, error) {
	return create(ctx, durable.OS(), cfg, pin)
}

// Open opens the root in a directory. It takes about a second. Whatever can be seen without the PIN is looked at first, because the TPM counts
// wrong ones: [ErrNoRoot], [hsm.ErrAltered], [ErrOtherTPM], [*PCRError]. Then [ErrPIN] and [ErrLockout].
func Open(ctx context.Context, cfg Config, pin secret.Bytes) (*Root, error) {
	return open(ctx, durable.OS(), cfg, pin)
}

// Exists says whether a directory has a root, and whether it is whole: Create was not interrupted.
func Exists(dir string) (some, whole bool, err error) {
	names, err := durable.OS().List(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, false, nil
	}
	return slices.Contains(names, rootFile), slices.Contains(names, rootFile) && slices.Contains(names, counterFile), err
}

func create(ctx context.Context, disk durable.Disk, cfg Config, pin secret.Bytes) (*Root, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := passphrase.Check(pin); err != nil {
		return nil, err
	}
	if err := makeDir(disk, cfg.Dir); err != nil {
		return nil, fmt.Errorf("tpm2 root: %w", err)
	}
	_, rootErr := disk.Read(filepath.Join(cfg.Dir, rootFile), seal.MaxEnvelope)
	_, counterErr := disk.Read(filepath.Join(cfg.Dir, counterFile), seal.MaxEnvelope)
	switch {
	case rootErr == nil && errors.Is(counterErr, fs.ErrNotExist): // interrupted
	case errors.Is(rootErr, fs.ErrNotExist) && errors.Is(counterErr, fs.ErrNotExist):
		if err := writeRoot(ctx, disk, cfg, pin); err != nil {
			return nil, fmt.Errorf("tpm2 root: create: %w", err)
		}
	default:
		return nil, errors.Join(ErrRootExists, exceptAbsent(rootErr), exceptAbsent(counterErr))
	}
	r, err := openRoot(ctx, disk, cfg, pin)
	if err != nil {
		return nil, err
	}
	if err := r.writeCounter(ctx); err != nil {
		r.Close()
		return nil, fmt.Errorf("tpm2 root: create: %w", err)
	}
	return r, nil
}

func exceptAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
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

// writeRoot draws the master key and writes root.tpm. Nothing is left in the TPM, so that stopping anywhere leaves nothing behind.
func writeRoot(ctx context.Context, disk durable.Disk, cfg Config, pin secret.Bytes) error {
	h := rootHeader{V: 1, What: rootFile, Cost: cfg.Cost}
	rand.Read(h.Salt[:])
	p, err := stretch(cfg.Arena, pin, h)
	if err != nil {
		return err
	}
	defer p.wipe()
	part, err := newPart(cfg.Arena)
	if err != nil {
		return err
	}
	defer part.Wipe()
	master, err := newPart(cfg.Arena)
	if err != nil {
		return err
	}
	defer master.Wipe()
	err = cfg.Device.do(ctx, func(o *op) error {
		k, err := o.storage(nil)
		if err != nil {
			return err
		}
		h.Primary = k.name
		if h.Policy, err = o.readPCRs(k, cfg.PCRs); err != nil {
			return err
		}
		h.Object, err = o.sealPart(k, h.Policy, p.auth, part)
		return err
	})
	if err != nil {
		return err
	}
	h.Sum = h.sum()
	key, err := join(cfg.Arena, useKey, rootFile, part, p.part)
	if err != nil {
		return err
	}
	defer key.Wipe()
	sealed, err := seal.Seal(canon.TagSeal, key, canon.Encode(h), master)
	if err != nil {
		return err
	}
	if err := durable.Add(disk, filepath.Join(cfg.Dir, rootFile), sealed); errors.Is(err, fs.ErrExist) {
		return ErrRootExists
	} else if err != nil {
		return err
	}
	return nil
}

// stretched is what comes from the PIN: an authorization value that the TPM checks, and a part of every key that it never sees.
type stretched struct{ auth, part secret.Bytes }

func (s stretched) wipe() {
	s.auth.Wipe()
	s.part.Wipe()
}

// stretch is argon2id of the PIN: 24 bytes for the authorization value, 32 for the part. So whoever gets at what the TPM keeps, against all that it
// promises, still has the PIN to guess, at this cost a guess.
func stretch(a *secret.Arena, pin secret.Bytes, h rootHeader) (s stretched, err error) {
	both, err := passphrase.Stretch(a, pin, h.Salt[:], h.Cost, authBytes+partSize)
	if err != nil {
		return s, err
	}
	defer both.Wipe()
	err = both.Use(func(b []byte) error {
		var err error
		if s.auth, err = secret.New(a, authSize, func(to []byte) error { base64.RawURLEncoding.Encode(to, b[:authBytes]); return nil }); err != nil {
			return err
		}
		s.part, err = secret.New(a, partSize, func(to []byte) error { copy(to, b[authBytes:]); return nil })
		return err
	})
	if err != nil {
		s.wipe()
		return stretched{}, err
	}
	return s, nil
}

func open(ctx context.Context, disk durable.Disk, cfg Config, pin secret.Bytes) (*Root, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r, err := openRoot(ctx, disk, cfg, pin)
	if err != nil {
		return nil, err
	}
	if err = durable.Sweep(disk, cfg.Dir); err == nil {
		err = r.openCounter()
	}
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("tpm2 root: %w", err)
	}
	return r, nil
}

// readHeader reads and checks what can be checked of root.tpm without the TPM.
func readHeader(disk durable.Disk, cfg Config) (h rootHeader, sealed []byte, err error) {
	sealed, err = disk.Read(filepath.Join(cfg.Dir, rootFile), seal.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil, ErrNoRoot
	}
	if err != nil {
		return h, nil, fmt.Errorf("tpm2 root: %w", err)
	}
	b, err := seal.Header(sealed)
	if err == nil {
		err = canon.Decode(b, &h)
	}
	if err == nil && (h.V != 1 || h.What != rootFile) {
		err = fmt.Errorf("version %d of %q is not known", h.V, h.What)
	}
	if err == nil && h.Sum != h.sum() {
		err = errors.New("its checksum is wrong")
	}
	if err == nil {
		err = h.Policy.check()
	}
	if err != nil {
		return h, nil, fmt.Errorf("tpm2 root: %w: %s: %w", hsm.ErrAltered, rootFile, err)
	}
	if err := h.Cost.Check(cfg.WeakUnsafe); err != nil {
		return h, nil, fmt.Errorf("tpm2 root: %w", err)
	}
	return h, sealed, nil
}

// openRoot opens root.tpm.
func openRoot(ctx context.Context, disk durable.Disk, cfg Config, pin secret.Bytes) (*Root, error) {
	h, sealed, err := readHeader(disk, cfg)
	if err != nil {
		return nil, err
	}
	err = cfg.Device.do(ctx, func(o *op) error {
		k, err := o.storage(h.Primary)
		if err != nil {
			return err
		}
		now, err := o.readPCRs(k, h.Policy.PCRs)
		if err != nil {
			return err
		}
		return h.Policy.changed(now)
	})
	if err != nil {
		return nil, fmt.Errorf("tpm2 root: %w", err)
	}
	p, err := stretch(cfg.Arena, pin, h)
	if err != nil {
		return nil, fmt.Errorf("tpm2 root: %w", err)
	}
	r := &Root{cfg: cfg, disk: disk, header: h, pin: p}
	if err := r.openMaster(ctx, sealed); err != nil {
		r.Close()
		return nil, fmt.Errorf("tpm2 root: %w", err)
	}
	return r, nil
}

// openMaster opens the master key and derives what follows from it.
func (r *Root) openMaster(ctx context.Context, sealed []byte) error {
	var part secret.Bytes
	defer func() { part.Wipe() }()
	err := r.cfg.Device.do(ctx, func(o *op) error {
		k, err := o.storage(r.header.Primary)
		if err != nil {
			return err
		}
		part, err = o.openPart(k, r.cfg.Arena, r.header.Policy, r.pin.auth, r.header.Object)
		return err
	})
	if err != nil {
		return err
	}
	key, err := join(r.cfg.Arena, useKey, rootFile, part, r.pin.part)
	if err != nil {
		return err
	}
	defer key.Wipe()
	if r.master, _, err = seal.Open(r.cfg.Arena, canon.TagSeal, key, sealed); err != nil {
		return fmt.Errorf("%w: %s: %w", hsm.ErrAltered, rootFile, err)
	}
	if r.master.Len() != partSize {
		return fmt.Errorf("%w: %s holds %d bytes", hsm.ErrAltered, rootFile, r.master.Len())
	}
	r.indexAuth, err = deriveAuth(r.cfg.Arena, r.master, "auth", "parts")
	return err
}

// writeCounter makes the counter and writes counter.tpm. With it the root is whole.
func (r *Root) writeCounter(ctx context.Context) error {
	id, err := DefineCounter(ctx, r.cfg.Device, r.cfg.Arena, r.master, counterFile)
	if err != nil {
		return err
	}
	first, err := secret.Take(r.cfg.Arena, binary.BigEndian.AppendUint64(nil, id.First))
	if err != nil {
		return err
	}
	defer first.Wipe()
	key, err := join(r.cfg.Arena, useKey, counterFile, r.master)
	if err != nil {
		return err
	}
	defer key.Wipe()
	sealed, err := seal.Seal(canon.TagSeal, key, canon.Encode(counterHeader{V: 1, What: counterFile, Index: id.Index}), first)
	if err != nil {
		return err
	}
	if err := durable.Add(r.disk, r.path(counterFile), sealed); err != nil {
		return err
	}
	return r.openCounter()
}

// openCounter reads counter.tpm. It must be there: a counter that is made anew begins at 0.
func (r *Root) openCounter() error {
	sealed, err := r.disk.Read(r.path(counterFile), seal.MaxEnvelope)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", hsm.ErrAltered, counterFile)
	}
	if err != nil {
		return err
	}
	key, err := join(r.cfg.Arena, useKey, counterFile, r.master)
	if err != nil {
		return err
	}
	defer key.Wipe()
	first, b, err := seal.Open(r.cfg.Arena, canon.TagSeal, key, sealed)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", hsm.ErrAltered, counterFile, err)
	}
	defer first.Wipe()
	var h counterHeader
	if err := canon.Decode(b, &h); err != nil || h.V != 1 || h.What != counterFile || first.Len() != 8 {
		return fmt.Errorf("%w: %s", hsm.ErrAltered, counterFile)
	}
	id := CounterID{Primary: r.header.Primary, Index: h.Index}
	if err := first.Use(func(b []byte) error { id.First = binary.BigEndian.Uint64(b); return nil }); err != nil {
		return err
	}
	r.counter, err = OpenCounter(r.cfg.Device, r.cfg.Arena, id, r.master, counterFile)
	return err
}
