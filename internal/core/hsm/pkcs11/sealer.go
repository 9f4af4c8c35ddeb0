// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	p11 "github.com/miekg/pkcs11"

	"strongroom/internal/core/durable"
	"strongroom/internal/core/hsm"
	"strongroom/internal/core/seal"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

// sealedFile is the content of LABEL.sealed.
type sealedFile struct {
	Header   []byte `cbor:"1,keyasint"` // canonical sealedHeader; authenticated by the token with the part, and by the envelope
	IV       []byte `cbor:"2,keyasint"` // of the part; 12 bytes
	Part     []byte `cbor:"3,keyasint"` // ciphertext and tag of the part; 48 bytes
	Envelope []byte `cbor:"4,keyasint"` // of package seal; its header is Header
}

type sealedHeader struct {
	V      uint         `cbor:"1,keyasint"` // 1
	Label  string       `cbor:"2,keyasint"`
	Header []byte       `cbor:"3,keyasint"` // the caller's
	Root   [rootID]byte `cbor:"4,keyasint"`
	Serial string       `cbor:"5,keyasint"` // of the token
}

const (
	partSize = 32
	maxFile  = seal.MaxEnvelope + seal.MaxHeader + 256
)

// labelID is the CKA_ID of a label's objects.
func (r *Root) labelID(label string) []byte {
	h := canon.HashBytes(canon.TagPKCS11, []byte(label))
	return append(slices.Clone(r.record.ID[:]), h[:objectID]...)
}

// pair is the two keys of a label.
type pair struct{ seal, mac p11.ObjectHandle }

// lookup finds the keys of a label; ok is false where one is missing.
func (r *Root) lookup(m module, s p11.SessionHandle, label string) (p pair, ok bool, err error) {
	id := r.labelID(label)
	for _, x := range []struct {
		role role
		to   *p11.ObjectHandle
	}{{roleSeal, &p.seal}, {roleMAC, &p.mac}} {
		found, err := search(m, s, p11.CKO_SECRET_KEY, x.role, id)
		if err != nil {
			return pair{}, false, err
		}
		switch len(found) {
		case 0:
			return pair{}, false, r.present(m, s)
		case 1:
			*x.to = found[0].handle
		default:
			return pair{}, false, fmt.Errorf("%w: the token holds %d %s keys of the label", hsm.ErrAltered, len(found), x.role)
		}
	}
	return p, true, nil
}

// remove destroys the keys of a label, and makes sure of it.
func (r *Root) remove(m module, s p11.SessionHandle, label string) error {
	if err := r.present(m, s); err != nil {
		return err
	}
	for _, role := range []role{roleSeal, roleMAC} {
		if err := destroy(m, s, p11.CKO_SECRET_KEY, role, r.labelID(label)); err != nil {
			return err
		}
	}
	return nil
}

// Seal implements [hsm.Sealer]. The objects come before the file: until it is there nothing is sealed, and objects without a file, which an interrupted
// Seal leaves, are removed by the next Seal or Destroy of the label.
func (r *Root) Seal(ctx context.Context, label string, header []byte, plain secret.Bytes) error {
	if err := hsm.CheckInput(label, header, plain); err != nil {
		return err
	}
	return r.do(ctx, "seal", label, func() error {
		if err := r.vacate(ctx, label); err != nil {
			return err
		}
		h := canon.Encode(sealedHeader{V: 1, Label: label, Header: header, Root: r.record.ID, Serial: r.record.Serial})
		b, err := r.sealNew(ctx, label, h, plain)
		if err == nil {
			err = durable.Add(r.disk, r.path(label+ending), b)
		}
		if err != nil && !errors.Is(err, ErrHung) && !errors.Is(err, ErrLost) {
			// Tidy up where that is possible. A file that Add may have left is harmless without its objects.
			err = errors.Join(err, r.token.do(ctx, "destroy", func(m module, s p11.SessionHandle) error { return r.remove(m, s, label) }))
		}
		return err
	})
}

// vacate makes sure that a label is free: no file, or one whose objects are gone, which is what an interrupted Destroy leaves.
func (r *Root) vacate(ctx context.Context, label string) error {
	_, err := r.disk.Read(r.path(label+ending), maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	there, err := with(ctx, r.token, "look for a label's keys", func(m module, s p11.SessionHandle) (bool, error) {
		_, ok, err := r.lookup(m, s, label)
		return ok, err
	})
	if err != nil {
		return err
	}
	if there {
		return errors.Join(hsm.ErrExists, r.disk.SyncDir(r.dir)) // one whose Seal was interrupted is durable now
	}
	return durable.Erase(r.disk, r.path(label+ending))
}

// sealNew makes the keys of a label and gives the content of its file. It opens the file before it gives it: what the token can't open is not kept.
func (r *Root) sealNew(ctx context.Context, label string, header []byte, plain secret.Bytes) ([]byte, error) {
	part, err := secret.New(r.lib.cfg.Arena, partSize, func(b []byte) error {
		rand.Read(b) // never fails: crypto/rand ends the process when the system has no randomness
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Not deferred: after a hang the library may be reading it for ever.
	type made struct {
		iv, part     []byte
		contribution secret.Bytes
	}
	got, err := with(ctx, r.token, "make a label's keys", func(m module, s p11.SessionHandle) (made, error) {
		if err := r.remove(m, s, label); err != nil {
			return made{}, err
		}
		sealKey, err := generateAES(m, s, roleSeal, r.labelID(label))
		if err != nil {
			return made{}, err
		}
		mac, err := generateAES(m, s, roleMAC, r.labelID(label))
		if err != nil {
			return made{}, err
		}
		var out made
		if out.iv, out.part, err = encryptPart(m, s, sealKey, header, part); err != nil {
			return made{}, err
		}
		out.contribution, err = r.contribute(m, s, mac, header)
		return out, err
	})
	if err != nil {
		if !errors.Is(err, ErrHung) {
			part.Wipe()
		}
		return nil, err
	}
	defer got.contribution.Wipe()
	defer part.Wipe()
	key, err := r.envelopeKey(header, part, got.contribution)
	if err != nil {
		return nil, err
	}
	defer key.Wipe()
	envelope, err := seal.Seal(canon.TagSeal, key, header, plain)
	if err != nil {
		return nil, err
	}
	f := sealedFile{Header: header, IV: got.iv, Part: got.part, Envelope: envelope}
	again, err := r.openFile(ctx, label, f)
	if err != nil {
		return nil, fmt.Errorf("what was sealed does not open: %w", err)
	}
	defer again.Wipe()
	if !again.Equal(plain) {
		return nil, fmt.Errorf("%w: what was sealed opens to something else", ErrModule)
	}
	return canon.Encode(f), nil
}

// Unseal implements [hsm.Sealer]. A file whose objects are gone from the token was destroyed, whatever day the file is of: [hsm.ErrNotFound]. A file
// that the objects don't open is [hsm.ErrAltered]; so is a token that holds nothing of this root.
func (r *Root) Unseal(ctx context.Context, label string) (header []byte, plain secret.Bytes, err error) {
	if err := custody.CheckSlug("label", label); err != nil {
		return nil, secret.Bytes{}, fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	err = r.do(ctx, "unseal", label, func() error {
		b, err := r.disk.Read(r.path(label+ending), maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			return hsm.ErrNotFound
		}
		if err != nil {
			return err
		}
		f, h, err := decodeFile(b)
		if err != nil {
			return err
		}
		if h.Label != label || h.Root != r.record.ID || h.Serial != r.record.Serial {
			return fmt.Errorf("%w: it was sealed under label %q on token %q", hsm.ErrAltered, h.Label, h.Serial)
		}
		header = h.Header
		plain, err = r.openFile(ctx, label, f)
		return err
	})
	if err != nil {
		return nil, secret.Bytes{}, err
	}
	return header, plain, nil
}

// decodeFile reads the content of LABEL.sealed strictly. Nothing is authenticated yet.
func decodeFile(b []byte) (f sealedFile, h sealedHeader, err error) {
	if err := canon.Decode(b, &f); err != nil {
		return f, h, fmt.Errorf("%w: %w", hsm.ErrAltered, err)
	}
	if err := canon.Decode(f.Header, &h); err != nil {
		return f, h, fmt.Errorf("%w: header: %w", hsm.ErrAltered, err)
	}
	if h.V != 1 || len(f.IV) != ivSize || len(f.Part) != partSize+tagSize {
		return f, h, fmt.Errorf("%w: version %d, IV of %d and part of %d bytes", hsm.ErrAltered, h.V, len(f.IV), len(f.Part))
	}
	return f, h, nil
}

// openFile decrypts what is in a file.
func (r *Root) openFile(ctx context.Context, label string, f sealedFile) (secret.Bytes, error) {
	type opened struct{ part, contribution secret.Bytes }
	got, err := with(ctx, r.token, "unseal", func(m module, s p11.SessionHandle) (opened, error) {
		keys, ok, err := r.lookup(m, s, label)
		if err != nil {
			return opened{}, err
		}
		if !ok {
			return opened{}, fmt.Errorf("%w: its keys are gone from the token", hsm.ErrNotFound)
		}
		part, err := r.decryptPart(m, s, keys.seal, f)
		if err != nil {
			return opened{}, err
		}
		contribution, err := r.contribute(m, s, keys.mac, f.Header)
		if err != nil {
			part.Wipe()
			return opened{}, err
		}
		return opened{part, contribution}, nil
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer got.part.Wipe()
	defer got.contribution.Wipe()
	key, err := r.envelopeKey(f.Header, got.part, got.contribution)
	if err != nil {
		return secret.Bytes{}, err
	}
	defer key.Wipe()
	plain, header, err := seal.Open(r.lib.cfg.Arena, canon.TagSeal, key, f.Envelope)
	switch {
	case errors.Is(err, seal.ErrMalformed):
		return secret.Bytes{}, fmt.Errorf("%w: %w", hsm.ErrAltered, err)
	case errors.Is(err, seal.ErrOpen) && r.record.Unlock:
		return secret.Bytes{}, fmt.Errorf("%w, or the unlock secret is another one: %w", hsm.ErrAltered, err)
	case errors.Is(err, seal.ErrOpen):
		return secret.Bytes{}, fmt.Errorf("%w: %w", hsm.ErrAltered, err)
	case err != nil:
		return secret.Bytes{}, err
	}
	if string(header) != string(f.Header) {
		plain.Wipe()
		return secret.Bytes{}, fmt.Errorf("%w: the envelope is another's", hsm.ErrAltered)
	}
	return plain, nil
}

// Destroy implements [hsm.Sealer]: it destroys the label's keys in the token, makes sure that they are gone, and then erases the file. Copies of the file are
// worthless from then on. A crash between the two leaves a file that nothing opens.
func (r *Root) Destroy(ctx context.Context, label string) error {
	if err := custody.CheckSlug("label", label); err != nil {
		return fmt.Errorf("%w: %w", hsm.ErrInput, err)
	}
	return r.do(ctx, "destroy", label, func() error {
		err := r.token.do(ctx, "destroy", func(m module, s p11.SessionHandle) error { return r.remove(m, s, label) })
		if err != nil {
			return err
		}
		return durable.Erase(r.disk, r.path(label+ending))
	})
}

// labels lists the labels that have a file, and both keys in the token.
func (r *Root) labels(ctx context.Context) ([]string, error) {
	names, err := r.disk.List(r.dir)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, name := range names {
		if label, ok := strings.CutSuffix(name, ending); ok && custody.CheckSlug("label", label) == nil {
			all = append(all, label)
		}
	}
	slices.Sort(all)
	return with(ctx, r.token, "look for keys", func(m module, s p11.SessionHandle) ([]string, error) {
		var out []string
		for _, label := range all {
			_, ok, err := r.lookup(m, s, label)
			if err != nil {
				return nil, fmt.Errorf("label %s: %w", label, err)
			}
			if ok {
				out = append(out, label)
			}
		}
		return out, nil
	})
}
