// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// MaxOrigin is the longest origin, in bytes.
const MaxOrigin = 255

// MaxSigned is the longest signed checkpoint that is read, in bytes: the log's signature and some thirty of witnesses, ML-DSA-44
// ones too.
const MaxSigned = 128 << 10

// ErrCheckpoint is wrapped by every error about a checkpoint that can't be read.
var ErrCheckpoint = errors.New("malformed checkpoint")

// ErrUnsigned says that no known key signed a checkpoint, or that a signature of a known key is false.
var ErrUnsigned = errors.New("checkpoint is not signed by a known key of the log")

// Checkpoint is a tree head: what a log says that it holds (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string // name of the log; also the name of its keys
	Size   uint64 // number of leaves
	Root   [32]byte
}

// Text is the note text that is signed: three lines. It does not check the origin; [CheckOrigin] does.
func (c Checkpoint) Text() string {
	return c.Origin + "\n" + strconv.FormatUint(c.Size, 10) + "\n" + base64.StdEncoding.EncodeToString(c.Root[:]) + "\n"
}

// CheckOrigin says whether s can name a log and its keys: UTF-8 without spaces, control characters and plus signs (C2SP signed-note).
func CheckOrigin(s string) error {
	bad := func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '+' }
	if s == "" || len(s) > MaxOrigin || !utf8.ValidString(s) || strings.ContainsFunc(s, bad) {
		return fmt.Errorf("%w: origin %q must be 1 to %d bytes without spaces, control characters and plus signs", ErrCheckpoint, s, MaxOrigin)
	}
	return nil
}

// ParseCheckpoint reads a note text. Extension lines are refused: a signature would cover what nobody here understands.
func ParseCheckpoint(text string) (Checkpoint, error) {
	c, extensions, err := ParseExtended(text)
	if err == nil && len(extensions) > 0 {
		return Checkpoint{}, fmt.Errorf("%w: want three lines, origin, size and root", ErrCheckpoint)
	}
	return c, err
}

// ParseExtended reads a note text that may have extension lines, as a witness does, which signs them without knowing what they say.
func ParseExtended(text string) (Checkpoint, []string, error) {
	lines := strings.Split(text, "\n")
	if len(lines) < 4 || lines[len(lines)-1] != "" {
		return Checkpoint{}, nil, fmt.Errorf("%w: want three lines, origin, size and root", ErrCheckpoint)
	}
	c, extensions := Checkpoint{Origin: lines[0]}, lines[3:len(lines)-1]
	if err := CheckOrigin(c.Origin); err != nil {
		return Checkpoint{}, nil, err
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || size > MaxSize {
		return Checkpoint{}, nil, fmt.Errorf("%w: size %q", ErrCheckpoint, lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != HashSize {
		return Checkpoint{}, nil, fmt.Errorf("%w: root %q", ErrCheckpoint, lines[2])
	}
	c.Size, c.Root = size, [32]byte(root)
	for _, l := range extensions {
		if l == "" {
			return Checkpoint{}, nil, fmt.Errorf("%w: an empty extension line", ErrCheckpoint)
		}
	}
	if c.Text() != strings.Join(lines[:3], "\n")+"\n" { // leading zeros, a plus sign, bytes that base64 skips
		return Checkpoint{}, nil, fmt.Errorf("%w: not the one form of what it says", ErrCheckpoint)
	}
	return c, extensions, nil
}

// Key is a public key of a log: an Ed25519 key under the origin's name (C2SP signed-note, signature type 0x01).
type Key struct {
	vkey string
	v    note.Verifier
}

// NewKey makes a Key of an origin and an Ed25519 public key of 32 bytes.
func NewKey(origin string, public ed25519.PublicKey) (Key, error) {
	if err := CheckOrigin(origin); err != nil {
		return Key{}, err
	}
	vkey, err := note.NewEd25519VerifierKey(origin, public)
	if err != nil {
		return Key{}, fmt.Errorf("log key of %s: %w", origin, err)
	}
	return ParseKey(vkey)
}

// ParseKey reads the form that String gives: origin+hash+key, the "vkey" of signed notes.
func ParseKey(vkey string) (Key, error) {
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return Key{}, fmt.Errorf("log key %q: %w", vkey, err)
	}
	if err := CheckOrigin(v.Name()); err != nil {
		return Key{}, err
	}
	return Key{vkey: vkey, v: v}, nil
}

// IsZero tells a Key that was never made.
func (k Key) IsZero() bool { return k.v == nil }

// Origin is the name of the log.
func (k Key) Origin() string { return k.v.Name() }

// String gives origin+hash+key, which standard tools read as a "vkey".
func (k Key) String() string { return k.vkey }

// callback signs a note through a function: the private key lives elsewhere.
type callback struct {
	note.Verifier
	sign func(msg []byte) ([]byte, error)
}

// Sign asks the holder of the private key for a signature.
func (c callback) Sign(msg []byte) ([]byte, error) { return c.sign(msg) }

// SignCheckpoint gives the signed note of c. sign is given the note text and returns the Ed25519 signature of 64 bytes by the private
// half of key. The signature is verified before the note is returned. Extension lines, if any, are not empty and have no newline; readers of
// the log refuse them ([ParseCheckpoint]), witnesses don't.
func SignCheckpoint(c Checkpoint, key Key, sign func(msg []byte) ([]byte, error), extensions ...string) ([]byte, error) {
	if key.IsZero() || key.Origin() != c.Origin {
		return nil, fmt.Errorf("sign checkpoint: the key is not one of %q", c.Origin)
	}
	if c.Size > MaxSize {
		return nil, fmt.Errorf("sign checkpoint of %d leaves: %w", c.Size, ErrSize)
	}
	text := c.Text()
	for _, e := range extensions {
		text += e + "\n"
	}
	signed, err := note.Sign(&note.Note{Text: text}, callback{key.v, sign})
	if err != nil {
		return nil, fmt.Errorf("sign checkpoint: %w", err)
	}
	if _, _, err := OpenExtended(signed, key); err != nil {
		return nil, fmt.Errorf("sign checkpoint: the signer's answer does not verify with the log key: %w", err)
	}
	return signed, nil
}

// OpenCheckpoint reads a signed checkpoint and requires that at least one of keys signed it and that it bears that key's origin.
// Lines of other keys, for instance cosignatures of witnesses, are allowed and say nothing here.
func OpenCheckpoint(signed []byte, keys ...Key) (Checkpoint, error) {
	n, err := openNote(signed, keys)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := ParseCheckpoint(n.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	return c, signedAs(n, c.Origin)
}

// OpenExtended is [OpenCheckpoint] for a checkpoint that may have extension lines; text is all that the keys signed.
func OpenExtended(signed []byte, keys ...Key) (c Checkpoint, text string, err error) {
	n, err := openNote(signed, keys)
	if err != nil {
		return Checkpoint{}, "", err
	}
	if c, _, err = ParseExtended(n.Text); err != nil {
		return Checkpoint{}, "", err
	}
	return c, n.Text, signedAs(n, c.Origin)
}

// openNote verifies a note with keys.
func openNote(signed []byte, keys []Key) (*note.Note, error) {
	if len(signed) > MaxSigned {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrCheckpoint, len(signed), MaxSigned)
	}
	known := make([]note.Verifier, len(keys))
	for i, k := range keys {
		if k.IsZero() {
			return nil, errors.New("open checkpoint: a key is missing")
		}
		known[i] = k.v
	}
	n, err := note.Open(signed, note.VerifierList(known...))
	if err == nil {
		return n, nil
	}
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	if errors.As(err, &unverified) || errors.As(err, &invalid) {
		return nil, fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	return nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
}

// signedAs requires a signature under an origin's name among those that verified.
func signedAs(n *note.Note, origin string) error {
	for _, s := range n.Sigs {
		if s.Name == origin {
			return nil
		}
	}
	return fmt.Errorf("%w: it is of %q", ErrUnsigned, origin)
}
