// SPDX-License-Identifier: Apache-2.0

package ceremony

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"

	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
)

// p256Prefix begins the recipient of a P-256 key; its compressed point follows in hex.
const p256Prefix = "p256:"

// Recipient is whom a share is sealed to. The zero Recipient is refused.
type Recipient struct {
	text string
	kind string
	seal func(e *share.Sealed, plain []byte) error
}

// String returns the recipient as it is written in scripts.
func (r Recipient) String() string { return r.text }

// PostQuantum reports whether what is sealed to the recipient also stands against a quantum computer.
func (r Recipient) PostQuantum() bool { return r.kind == share.KindAgeHybrid }

// ParseRecipient reads a recipient: "age1pq1…" (age's hybrid of ML-KEM-768 and X25519, the one to prefer: shares are kept for long),
// "age1…" (age's X25519), or "p256:" and the 33 bytes of a compressed P-256 point in hex, for a key that may lie in a PIV card or another
// token.
func ParseRecipient(text string) (Recipient, error) {
	switch {
	case strings.HasPrefix(text, "age1pq1"):
		r, err := age.ParseHybridRecipient(text)
		if err != nil {
			return Recipient{}, fmt.Errorf("%w: %w", ErrRecipient, err)
		}
		return Recipient{text: r.String(), kind: share.KindAgeHybrid, seal: sealAge(r)}, nil
	case strings.HasPrefix(text, "age1"):
		r, err := age.ParseX25519Recipient(text)
		if err != nil {
			return Recipient{}, fmt.Errorf("%w: %w", ErrRecipient, err)
		}
		return Recipient{text: r.String(), kind: share.KindAge, seal: sealAge(r)}, nil
	case strings.HasPrefix(text, p256Prefix):
		pk, err := parseP256(text[len(p256Prefix):])
		if err != nil {
			return Recipient{}, fmt.Errorf("%w: %w", ErrRecipient, err)
		}
		return P256Recipient(pk)
	}
	return Recipient{}, fmt.Errorf("%w: it begins with none of age1pq1, age1 and %s", ErrRecipient, p256Prefix)
}

func parseP256(text string) (*ecdh.PublicKey, error) {
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 33 {
		return nil, errors.New("a compressed P-256 point has 33 bytes in hex")
	}
	//lint:ignore SA1019 the standard library has no other reader of compressed points; the data is public
	x, y := elliptic.UnmarshalCompressed(elliptic.P256(), b)
	if x == nil {
		return nil, errors.New("not a point of P-256")
	}
	point := make([]byte, 65)
	point[0] = 4
	x.FillBytes(point[1:33])
	y.FillBytes(point[33:])
	return ecdh.P256().NewPublicKey(point)
}

// P256Recipient is the recipient of a P-256 public key.
func P256Recipient(pk *ecdh.PublicKey) (Recipient, error) {
	to, err := hpke.NewDHKEMPublicKey(pk)
	if err != nil || pk.Curve() != ecdh.P256() {
		return Recipient{}, fmt.Errorf("%w: not a P-256 key", ErrRecipient)
	}
	b := pk.Bytes()
	compressed := append([]byte{2 | b[64]&1}, b[1:33]...)
	return Recipient{text: p256Prefix + hex.EncodeToString(compressed), kind: share.KindP256, seal: func(e *share.Sealed, plain []byte) error {
		enc, s, err := hpke.NewSender(to, hpke.HKDFSHA256(), hpke.AES256GCM(), e.Info())
		if err != nil {
			return err
		}
		e.Enc = enc
		e.Box, err = s.Seal(nil, plain)
		return err
	}}, nil
}

// sealAge makes an age file. age copies what it is given to a buffer that grows, and encrypts it there, in place. A buffer that has to grow
// leaves the old one behind: with the hash, which is not secret, written first, it has grown when the secret part comes. A test reads the
// memory.
func sealAge(r age.Recipient) func(e *share.Sealed, plain []byte) error {
	return func(e *share.Sealed, plain []byte) error {
		var file bytes.Buffer
		w, err := age.Encrypt(&file, r)
		if err != nil {
			return err
		}
		for _, part := range [][]byte{plain[:sha256.Size], plain[sha256.Size:]} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		if err := w.Close(); err != nil {
			return err
		}
		e.Box = file.Bytes()
		return nil
	}
}

func (r Recipient) sealShare(m share.Meta, plain secret.Bytes) ([]byte, error) {
	e := share.NewSealed(r.kind, m)
	err := plain.Use(func(b []byte) (err error) {
		secret.Do(func() { err = r.seal(&e, b) })
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("seal to %.24s: %w", r.text, err)
	}
	return e.Encode(), nil
}

// Opener opens what was sealed to one custodian. The zero Opener opens nothing.
type Opener struct {
	open func(e *share.Sealed, out []byte) error // behind a func, because fmt prints age's identities in clear
}

// AgeOpener opens with identities of age: hybrid, X25519, or those of an age plug-in, by which a token may do the work.
func AgeOpener(identities ...age.Identity) Opener {
	return Opener{func(e *share.Sealed, out []byte) error {
		if e.Kind != share.KindAge && e.Kind != share.KindAgeHybrid {
			return fmt.Errorf("%w; it needs a key for %s", ErrOpen, e.Kind)
		}
		r, err := age.Decrypt(bytes.NewReader(e.Box), identities...)
		if err != nil {
			return ErrOpen
		}
		var more [1]byte
		if _, err := io.ReadFull(r, out); err != nil {
			return ErrOpen
		}
		if _, err := io.ReadFull(r, more[:]); !errors.Is(err, io.EOF) {
			return ErrOpen
		}
		return nil
	}}
}

// ParseAgeOpener reads the identities of an age key file from the arena. age takes them as strings, which stay on the heap until they are
// collected.
func ParseAgeOpener(file secret.Bytes) (Opener, error) {
	var list []age.Identity
	err := file.Use(func(b []byte) error {
		var err error
		if list, err = age.ParseIdentities(bytes.NewReader(b)); err != nil {
			return fmt.Errorf("%w: not a file of age identities", ErrInput) // age's error may quote the file
		}
		return nil
	})
	if err != nil {
		return Opener{}, err
	}
	return AgeOpener(list...), nil
}

// P256Opener opens with a P-256 key that may lie elsewhere: a PKCS#11 token or a PIV card computes the ECDH, and everything else happens here.
// A [crypto/ecdh.PrivateKey] is one too.
func P256Opener(key ecdh.KeyExchanger) Opener {
	return Opener{func(e *share.Sealed, out []byte) error {
		if e.Kind != share.KindP256 {
			return fmt.Errorf("%w; it needs a key for %s", ErrOpen, e.Kind)
		}
		k, err := hpke.NewDHKEMPrivateKey(key)
		if err != nil || key.Curve() != ecdh.P256() {
			return fmt.Errorf("%w: not a P-256 key", ErrInput)
		}
		r, err := hpke.NewRecipient(e.Enc, k, hpke.HKDFSHA256(), hpke.AES256GCM(), e.Info())
		if err != nil {
			return fmt.Errorf("%w (%w)", ErrOpen, err) // what the token says is of use: a wrong PIN, a removed card
		}
		plain, err := r.Open(nil, e.Box)
		if err != nil {
			return ErrOpen
		}
		defer clear(plain)
		if copy(out, plain) != len(plain) {
			return ErrOpen
		}
		return nil
	}}
}
