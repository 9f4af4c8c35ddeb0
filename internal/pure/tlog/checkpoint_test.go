// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"strongroom/internal/pure/tlog"
)

const origin = "strongroom.example/domain"

func newKey(t testing.TB, origin string, seed byte) (tlog.Key, func([]byte) ([]byte, error)) {
	t.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	k, err := tlog.NewKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return k, func(msg []byte) ([]byte, error) { return ed25519.Sign(private, msg), nil }
}

func TestCheckpointOfTheSpec(t *testing.T) {
	t.Parallel()
	// The example of C2SP tlog-checkpoint.
	text := "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
	c, err := tlog.ParseCheckpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Origin != "example.com/behind-the-sofa" || c.Size != 20852163 || c.Root[0] != 0x0a || c.Text() != text {
		t.Errorf("read %+v", c)
	}
}

func TestParseCheckpointRefuses(t *testing.T) {
	t.Parallel()
	const root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
	for name, text := range map[string]string{
		"nothing":             "",
		"no last newline":     "o\n1\n" + root,
		"two lines":           "o\n1\n",
		"extension line":      "o\n1\n" + root + "\nmore\n",
		"empty line":          "o\n1\n" + root + "\n\n",
		"no origin":           "\n1\n" + root + "\n",
		"origin with plus":    "a+b\n1\n" + root + "\n",
		"origin with space":   "a b\n1\n" + root + "\n",
		"origin with nbsp":    "a\u00a0b\n1\n" + root + "\n",
		"origin not UTF-8":    "a\xff\n1\n" + root + "\n",
		"origin too long":     strings.Repeat("o", 256) + "\n1\n" + root + "\n",
		"size empty":          "o\n\n" + root + "\n",
		"size with zero":      "o\n01\n" + root + "\n",
		"size with plus":      "o\n+1\n" + root + "\n",
		"size negative":       "o\n-1\n" + root + "\n",
		"size hex":            "o\n0x1\n" + root + "\n",
		"size underscore":     "o\n1_0\n" + root + "\n",
		"size too large":      "o\n2305843009213693953\n" + root + "\n",
		"size over 64 bits":   "o\n18446744073709551616\n" + root + "\n",
		"root of 31":          "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n",
		"root without pad":    "o\n1\n" + strings.TrimSuffix(root, "=") + "\n",
		"root with loose bit": "o\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
		"root with CR":        "o\n1\n" + root + "\r\n",
		"root URL alphabet":   "o\n1\n" + strings.ReplaceAll(root, "/", "_") + "\n",
	} {
		if c, err := tlog.ParseCheckpoint(text); !errors.Is(err, tlog.ErrCheckpoint) {
			t.Errorf("%s: %+v, %v; want ErrCheckpoint", name, c, err)
		}
	}
}

func TestSignedCheckpoint(t *testing.T) {
	t.Parallel()
	key, sign := newKey(t, origin, 1)
	old, signOld := newKey(t, origin, 2)
	other, signOther := newKey(t, "other.example", 3)
	f := grow(9).frontier()
	c := tlog.Checkpoint{Origin: origin, Size: f.Size(), Root: f.Root()}
	signed, err := tlog.SignCheckpoint(c, key, sign)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tlog.OpenCheckpoint(signed, key); err != nil || got != c {
		t.Fatalf("open: %+v, %v", got, err)
	}
	if got, err := tlog.OpenCheckpoint(signed, old, key); err != nil || got != c {
		t.Fatalf("open with two keys: %+v, %v", got, err)
	}
	// Standard tools read it, from the text form of the key alone.
	v, err := note.NewVerifier(key.String())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := note.Open(signed, note.VerifierList(v)); err != nil || n.Text != c.Text() {
		t.Fatalf("note.Open: %v", err)
	}
	if again, err := tlog.ParseKey(key.String()); err != nil || again.String() != key.String() || again.Origin() != origin {
		t.Fatalf("key round trip: %v", err)
	}
	// A cosignature beside ours is allowed; alone it says nothing.
	otherSigned, err := tlog.SignCheckpoint(tlog.Checkpoint{Origin: "other.example"}, other, signOther)
	if err != nil {
		t.Fatal(err)
	}
	line := otherSigned[bytes.LastIndex(otherSigned, []byte("\n— "))+1:]
	if got, err := tlog.OpenCheckpoint(append(bytes.Clone(signed), line...), key); err != nil || got != c {
		t.Fatalf("with a foreign line: %+v, %v", got, err)
	}
	text := c.Text()
	cosigner := noteSigner{other, signOther, t}
	foreign, err := note.Sign(&note.Note{Text: text}, cosigner)
	if err != nil {
		t.Fatal(err)
	}
	oldSigned, err := tlog.SignCheckpoint(c, old, signOld)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"by a key of another origin": foreign,
		"by another key":             oldSigned,
		"altered size":               bytes.Replace(signed, []byte("\n9\n"), []byte("\n8\n"), 1),
	} {
		if _, err := tlog.OpenCheckpoint(b, key, other); !errors.Is(err, tlog.ErrUnsigned) {
			t.Errorf("%s: %v, want ErrUnsigned", name, err)
		}
	}
	for i := range signed {
		b := bytes.Clone(signed)
		b[i] ^= 1
		if got, err := tlog.OpenCheckpoint(b, key); err == nil {
			t.Errorf("byte %d altered: accepted as %+v", i, got)
		}
	}
	if _, err := tlog.OpenCheckpoint(append(bytes.Clone(signed), bytes.Repeat(line, 2000)...), key); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("very long: %v", err)
	}
	if _, err := tlog.OpenCheckpoint(signed, tlog.Key{}); err == nil {
		t.Error("a missing key was accepted")
	}
	if _, err := tlog.OpenCheckpoint(signed); !errors.Is(err, tlog.ErrUnsigned) {
		t.Errorf("no keys: %v, want ErrUnsigned", err)
	}
}

// noteSigner signs a text of one origin with a key of another.
type noteSigner struct {
	key  tlog.Key
	sign func([]byte) ([]byte, error)
	t    *testing.T
}

func (s noteSigner) verifier() note.Verifier {
	v, err := note.NewVerifier(s.key.String())
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}
func (s noteSigner) Name() string                    { return s.verifier().Name() }
func (s noteSigner) KeyHash() uint32                 { return s.verifier().KeyHash() }
func (s noteSigner) Sign(msg []byte) ([]byte, error) { return s.sign(msg) }

func TestSignCheckpointRefuses(t *testing.T) {
	t.Parallel()
	key, sign := newKey(t, origin, 1)
	_, wrong := newKey(t, origin, 2)
	c := tlog.Checkpoint{Origin: origin, Root: tlog.EmptyRoot()}
	broken := errors.New("token is gone")
	for name, err := range map[string]error{
		"no key":       second(tlog.SignCheckpoint(c, tlog.Key{}, sign)),
		"other origin": second(tlog.SignCheckpoint(tlog.Checkpoint{Origin: "other"}, key, sign)),
		"wrong signer": second(tlog.SignCheckpoint(c, key, wrong)),
		"short":        second(tlog.SignCheckpoint(c, key, func([]byte) ([]byte, error) { return []byte{1}, nil })),
		"too large":    second(tlog.SignCheckpoint(tlog.Checkpoint{Origin: origin, Size: 1 << 62}, key, sign)),
	} {
		if err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := tlog.SignCheckpoint(c, key, func([]byte) ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("signer's error is lost: %v", err)
	}
	if _, err := tlog.NewKey("a b", make(ed25519.PublicKey, 32)); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Errorf("origin with space: %v", err)
	}
	if _, err := tlog.NewKey(origin, make(ed25519.PublicKey, 31)); err == nil {
		t.Error("key of 31 bytes accepted")
	}
	if _, err := tlog.ParseKey(strings.Replace(key.String(), "strong", "wrong", 1)); err == nil {
		t.Error("vkey with a false hash accepted")
	}
}
