// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// cosignatureType is the signature type of timestamped Ed25519 cosignatures (C2SP signed-note, "Signature types").
const cosignatureType = 0x04

// cosignatureSize is the length of a timestamped signature in bytes: 8 of time, 64 of Ed25519.
const cosignatureSize = 8 + ed25519.SignatureSize

// sigPrefix begins each signature line of a signed note.
const sigPrefix = "— "

// maxSigLine is the longest signature line that is read, in bytes: a name of MaxOrigin and an ML-DSA-44 cosignature fit.
const maxSigLine = 4 << 10

// ErrCosignature is wrapped by every error about a cosignature or witness key that can't be read or does not verify.
var ErrCosignature = errors.New("bad cosignature")

// WitnessKey is the public key of a log witness: Ed25519, under the witness's own name, for cosignatures of version 1 (C2SP
// tlog-cosignature). Two keys are == if they are the same. The zero WitnessKey verifies nothing.
type WitnessKey struct {
	name   string
	public [ed25519.PublicKeySize]byte
}

// NewWitnessKey makes a key of a name, for instance "witness.example/w1", and an Ed25519 public key of 32 bytes.
func NewWitnessKey(name string, public ed25519.PublicKey) (WitnessKey, error) {
	if err := CheckOrigin(name); err != nil {
		return WitnessKey{}, fmt.Errorf("%w: name of a witness: %w", ErrCosignature, err)
	}
	if len(public) != ed25519.PublicKeySize {
		return WitnessKey{}, fmt.Errorf("%w: a public key of %d bytes", ErrCosignature, len(public))
	}
	return WitnessKey{name: name, public: [32]byte(public)}, nil
}

// ParseWitnessKey reads the form that String gives, the "vkey" name+id+base64 of signed notes, with signature type 0x04. Only the one
// spelling that a key has is read.
func ParseWitnessKey(vkey string) (WitnessKey, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	_, text, ok := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(raw) != 1+ed25519.PublicKeySize {
		return WitnessKey{}, fmt.Errorf("%w: %q is no verifier key of an Ed25519 witness", ErrCosignature, vkey)
	}
	if raw[0] != cosignatureType {
		return WitnessKey{}, fmt.Errorf("%w: %q has signature type 0x%02x; a witness's is 0x%02x", ErrCosignature, vkey, raw[0], cosignatureType)
	}
	k, err := NewWitnessKey(name, raw[1:])
	if err != nil {
		return WitnessKey{}, err
	}
	if k.String() != vkey {
		return WitnessKey{}, fmt.Errorf("%w: %q is not the one form of that key, or its id is another key's", ErrCosignature, vkey)
	}
	return k, nil
}

// IsZero tells a key that was never made.
func (k WitnessKey) IsZero() bool { return k.name == "" }

// Name is the witness's own name, which stands in its signature lines.
func (k WitnessKey) Name() string { return k.name }

// Public is the Ed25519 public key.
func (k WitnessKey) Public() ed25519.PublicKey { return k.public[:] }

// String gives the vkey.
func (k WitnessKey) String() string {
	id := k.id()
	return k.name + "+" + hex.EncodeToString(id[:]) + "+" + base64.StdEncoding.EncodeToString(append([]byte{cosignatureType}, k.public[:]...))
}

// id is the key id: SHA-256(name || 0x0A || 0x04 || public key), its first 4 bytes (C2SP tlog-cosignature, "Format").
func (k WitnessKey) id() [4]byte {
	h := sha256.Sum256(append([]byte(k.name+"\n\x04"), k.public[:]...))
	return [4]byte(h[:4])
}

// cosignedMessage is what an Ed25519 cosignature signs (C2SP tlog-cosignature, "Ed25519 signed message").
func cosignedMessage(text string, at uint64) []byte {
	return []byte("cosignature/v1\ntime " + strconv.FormatUint(at, 10) + "\n" + text)
}

// Cosign gives the signature line, newline included, with which the witness key cosigns a checkpoint text at a time in POSIX seconds, which
// is not 0. sign returns the Ed25519 signature of 64 bytes by the private half of key; it is verified before the line is returned.
func Cosign(text string, at uint64, key WitnessKey, sign func(msg []byte) ([]byte, error)) (string, error) {
	if key.IsZero() || at == 0 || at > math.MaxInt64 {
		return "", fmt.Errorf("%w: a key, and a time from 1 to 2^63-1, are required", ErrCosignature)
	}
	if _, _, err := ParseExtended(text); err != nil {
		return "", err
	}
	sig, err := sign(cosignedMessage(text, at))
	if err != nil {
		return "", fmt.Errorf("cosign checkpoint: %w", err)
	}
	id := key.id()
	line := sigLine{name: key.name, id: id, sig: append(binary.BigEndian.AppendUint64(nil, at), sig...)}
	if _, err := key.verify(text, line); err != nil {
		return "", fmt.Errorf("cosign checkpoint: the signer's answer does not verify with the witness key: %w", err)
	}
	return line.String() + "\n", nil
}

// FindCosignature looks in the signature lines of a witness's answer for the one by key, verifies it over a checkpoint text, and gives the
// line, newline included, with its time in POSIX seconds. Lines of other keys say nothing; one that can't be read spoils the answer.
func FindCosignature(lines []byte, text string, key WitnessKey) (line string, at uint64, err error) {
	list, err := parseSigLines(lines)
	if err != nil {
		return "", 0, err
	}
	for _, l := range list {
		if !key.made(l) {
			continue
		}
		at, err := key.verify(text, l)
		return l.String() + "\n", at, err
	}
	return "", 0, fmt.Errorf("%w: no line is by %s", ErrCosignature, key.name)
}

// made says whether a line claims to be by k.
func (k WitnessKey) made(l sigLine) bool { return !k.IsZero() && l.name == k.name && l.id == k.id() }

// verify checks a line that k made and gives its time.
func (k WitnessKey) verify(text string, l sigLine) (uint64, error) {
	if len(l.sig) != cosignatureSize {
		return 0, fmt.Errorf("%w: that of %s has %d bytes, not %d", ErrCosignature, k.name, len(l.sig), cosignatureSize)
	}
	at := binary.BigEndian.Uint64(l.sig)
	if at == 0 || at > math.MaxInt64 {
		return 0, fmt.Errorf("%w: that of %s has no time", ErrCosignature, k.name)
	}
	if !ed25519.Verify(k.public[:], cosignedMessage(text, at), l.sig[8:]) {
		return 0, fmt.Errorf("%w: that of %s does not verify", ErrCosignature, k.name)
	}
	return at, nil
}

// sigLine is a signature line of a signed note.
type sigLine struct {
	name string
	id   [4]byte
	sig  []byte
}

// String gives the line without its newline.
func (l sigLine) String() string {
	return sigPrefix + l.name + " " + base64.StdEncoding.EncodeToString(append(l.id[:], l.sig...))
}

// parseSigLine reads a line, without its newline, that is spelt in the one way that base64 has (RFC 4648 section 3.5).
func parseSigLine(s string) (sigLine, error) {
	body, ok := strings.CutPrefix(s, sigPrefix)
	name, sig, found := strings.Cut(body, " ")
	raw, err := base64.StdEncoding.Strict().DecodeString(sig)
	if !ok || !found || err != nil || len(raw) < 5 || len(s) > maxSigLine || CheckOrigin(name) != nil {
		return sigLine{}, fmt.Errorf("%w: %q is no signature line", ErrCosignature, clip(s))
	}
	l := sigLine{name: name, id: [4]byte(raw), sig: raw[4:]}
	if l.String() != s {
		return sigLine{}, fmt.Errorf("%w: a signature line is not spelt canonically", ErrCosignature)
	}
	return l, nil
}

// parseSigLines reads one or more lines, each ended by a newline.
func parseSigLines(b []byte) ([]sigLine, error) {
	if len(b) > MaxSigned {
		return nil, fmt.Errorf("%w: %d bytes of signature lines, more than %d", ErrCosignature, len(b), MaxSigned)
	}
	rest, ended := strings.CutSuffix(string(b), "\n")
	if !ended {
		return nil, fmt.Errorf("%w: want signature lines, each ended by a newline", ErrCosignature)
	}
	var out []sigLine
	for s := range strings.SplitSeq(rest, "\n") {
		l, err := parseSigLine(s)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// clip shortens what is quoted in an error.
func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
