// SPDX-License-Identifier: Apache-2.0

package pkcs11

import (
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha512"
	"encoding/binary"
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

// encryptPart encrypts the part with the additional data tag || 0x00 || header. Some tokens take an IV of their own instead of ours.
func encryptPart(m module, s p11.SessionHandle, key p11.ObjectHandle, header []byte, part secret.Bytes) (iv, sealed []byte, err error) {
	iv = make([]byte, ivSize)
	rand.Read(iv)
	params := p11.NewGCMParams(iv, canon.TagBytes(canon.TagPKCS11, header), tagSize*8)
	defer params.Free()
	if err := m.EncryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, params)}, key); err != nil {
		return nil, nil, fmt.Errorf("pkcs11: AES-GCM: %w", err)
	}
	sealed = make([]byte, partSize+tagSize)
	var n int
	err = part.Use(func(p []byte) error {
		n, err = m.Encrypt(s, p, sealed)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("pkcs11: AES-GCM: %w", err)
	}
	if n != len(sealed) {
		return nil, nil, wrongLength("a ciphertext", n, len(sealed))
	}
	if used := params.IV(); used != nil {
		iv = used
	}
	if len(iv) != ivSize {
		return nil, nil, wrongLength("an IV", len(iv), ivSize)
	}
	return iv, sealed, nil
}

// decryptPart is the other way. Tokens say in many ways that a ciphertext is not theirs, some of which also mean that the token is not
// well: so a token that refuses is asked to encrypt and decrypt something else, and if it can, the file was altered.
func (r *Root) decryptPart(m module, s p11.SessionHandle, key p11.ObjectHandle, f sealedFile) (secret.Bytes, error) {
	part, err := r.decrypt(m, s, key, f.Header, f.IV, f.Part)
	if err == nil || lost(err) || errors.Is(err, ErrModule) || errors.Is(err, secret.ErrArenaFull) {
		return part, err
	}
	check, e := secret.Take(r.lib.cfg.Arena, make([]byte, partSize))
	if e != nil {
		return secret.Bytes{}, e
	}
	defer check.Wipe()
	iv, sealed, e := encryptPart(m, s, key, []byte("check"), check)
	if e != nil {
		return secret.Bytes{}, err
	}
	again, e := r.decrypt(m, s, key, []byte("check"), iv, sealed)
	if e != nil {
		return secret.Bytes{}, err
	}
	again.Wipe()
	return secret.Bytes{}, fmt.Errorf("%w: the token does not open it: %w", hsm.ErrAltered, err)
}

func (r *Root) decrypt(m module, s p11.SessionHandle, key p11.ObjectHandle, header, iv, sealed []byte) (secret.Bytes, error) {
	params := p11.NewGCMParams(iv, canon.TagBytes(canon.TagPKCS11, header), tagSize*8)
	defer params.Free()
	if err := m.DecryptInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_GCM, params)}, key); err != nil {
		return secret.Bytes{}, fmt.Errorf("pkcs11: AES-GCM: %w", err)
	}
	// Room for the tag too: some libraries ask for it before they check it.
	room, err := secret.New(r.lib.cfg.Arena, partSize+tagSize, func(b []byte) error {
		n, err := m.Decrypt(s, sealed, b)
		if err == nil && n != partSize {
			err = wrongLength("a plaintext", n, partSize)
		}
		return err
	})
	if err != nil {
		return secret.Bytes{}, fmt.Errorf("pkcs11: AES-GCM: %w", err)
	}
	defer room.Wipe()
	return secret.New(r.lib.cfg.Arena, partSize, func(p []byte) error {
		return room.Use(func(b []byte) error { copy(p, b); return nil })
	})
}

// contribute computes what the mac key adds: SP 800-108 counter mode with AES-CMAC, 32 bytes, in two calls.
//
//	K(i) = CMAC(key, u32 i || "strongroom/pkcs11-root/v1" || 0x00 || SHA-256(tag || 0x00 || header) || u32 256)        i = 1, 2
func (r *Root) contribute(m module, s p11.SessionHandle, key p11.ObjectHandle, header []byte) (secret.Bytes, error) {
	context := canon.HashBytes(canon.TagPKCS11, header)
	return secret.New(r.lib.cfg.Arena, 2*macSize, func(out []byte) error {
		for i := range 2 {
			in := binary.BigEndian.AppendUint32(nil, uint32(i+1))
			in = append(append(in, canon.TagPKCS11...), 0)
			in = binary.BigEndian.AppendUint32(append(in, context[:]...), 8*2*macSize)
			if err := cmac(m, s, key, in, out[i*macSize:][:macSize]); err != nil {
				return err
			}
		}
		return nil
	})
}

func cmac(m module, s p11.SessionHandle, key p11.ObjectHandle, in, out []byte) error {
	if err := m.SignInit(s, []*p11.Mechanism{p11.NewMechanism(p11.CKM_AES_CMAC, nil)}, key); err != nil {
		return fmt.Errorf("pkcs11: AES-CMAC: %w", err)
	}
	n, err := m.Sign(s, in, out)
	if err != nil {
		return fmt.Errorf("pkcs11: AES-CMAC: %w", err)
	}
	if n != macSize {
		return wrongLength("a MAC", n, macSize)
	}
	return nil
}

// envelopeKey = HKDF-SHA-384(part || contribution || unlock secret, no salt, info = SHA-256(tag || 0x00 || header), 32 bytes).
func (r *Root) envelopeKey(header []byte, part, contribution secret.Bytes) (key secret.Bytes, err error) {
	info := canon.HashBytes(canon.TagPKCS11, header)
	n := r.unlock.Len()
	all, err := secret.New(r.lib.cfg.Arena, partSize+2*macSize+n, func(b []byte) error {
		err := errors.Join(part.Use(func(p []byte) error { copy(b, p); return nil }),
			contribution.Use(func(c []byte) error { copy(b[partSize:], c); return nil }))
		if n > 0 {
			err = errors.Join(err, r.unlock.Use(func(u []byte) error { copy(b[partSize+2*macSize:], u); return nil }))
		}
		return err
	})
	if err != nil {
		return secret.Bytes{}, err
	}
	defer all.Wipe()
	err = all.Use(func(b []byte) (err error) {
		secret.Do(func() {
			var out []byte
			if out, err = hkdf.Key(sha512.New384, b, nil, string(info[:]), seal.KeySize); err == nil {
				key, err = secret.Take(r.lib.cfg.Arena, out)
			}
		})
		return err
	})
	return key, err
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
