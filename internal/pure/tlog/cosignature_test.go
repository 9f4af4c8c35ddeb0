// SPDX-License-Identifier: Apache-2.0

package tlog_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"pgregory.net/rapid"

	"strongroom/internal/pure/tlog"
)

// What follows was made by github.com/transparency-dev/formats v0.1.1: the witness's key is of 32 bytes 7, the log's of 32 bytes 8.
const (
	vectorVKey   = "witness.example/w1+aa4a09d1+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
	vectorLog    = "log.example/one+45c5b06f+AROY9ixtGkV8UbpqS189vS9p/KkyFiGNyJl+QWvRfZPK"
	vectorTime   = 1795256200
	vectorSigned = "log.example/one\n5\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\n\n" +
		"— log.example/one RcWwb6zzgs3WsZhaVFkp7iHotZQibMXWPpwGEmMGfQxigd/zzmJWqnolCKEYWC9ErRkndgpy8LOaRzTLM0KcQGq10gM=\n" +
		"— witness.example/w1 qkoJ0QAAAABrAW+Il2ig7IOH1gJHl/zz4acWPO978kzUP95qIaaN5xizO0pLH45YvoL89lPYsBdlIUXjkUQyJ+LnWjjp2VxcPW62Bw==\n"
	vectorExtended = "log.example/one\n5\nAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\nextension\n\n" +
		"— log.example/one RcWwbyujEx8PMz19IijIuhqKI+facDqm/wdRKkUxdP5bZ01n0Mb/jIEAcr2CPhXhCdw0YQ3Ipov8KGQ5nSBAAQB5fQ0=\n" +
		"— witness.example/w1 qkoJ0QAAAABrAW+IB04MN7EdUbwSZOgjPSmvGIISaUYUDUIDfLU7kZObuompU79BOmnI/JdFgkeKr/MFJrYQI0PVUtHfZXfJ6hh8Aw==\n"
)

func ed(seed byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
}

func witnessKey(t testing.TB, name string, seed byte) tlog.WitnessKey {
	t.Helper()
	k, err := tlog.NewWitnessKey(name, ed(seed).Public().(ed25519.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signWith(seed byte) func([]byte) ([]byte, error) {
	return func(m []byte) ([]byte, error) { return ed25519.Sign(ed(seed), m), nil }
}

func one(t testing.TB) (tlog.Witnesses, tlog.Key) {
	t.Helper()
	k, err := tlog.ParseWitnessKey(vectorVKey)
	if err != nil {
		t.Fatal(err)
	}
	set, err := tlog.NewWitnesses([]tlog.Witness{{Name: "w1", Key: k}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	log, err := tlog.ParseKey(vectorLog)
	if err != nil {
		t.Fatal(err)
	}
	return set, log
}

func TestCosignatureVectors(t *testing.T) {
	t.Parallel()
	set, log := one(t)
	if k := witnessKey(t, "witness.example/w1", 7); k.String() != vectorVKey || k != set.All()[0].Key {
		t.Fatalf("vkey is %s", k)
	}
	c, by, err := tlog.OpenWitnessed([]byte(vectorSigned), set, log)
	if err != nil || c.Size != 5 || len(by) != 1 || by[0] != (tlog.Cosigned{Witness: "w1", Time: vectorTime}) {
		t.Fatalf("%+v, %+v, %v", c, by, err)
	}
	for _, signed := range []string{vectorSigned, vectorExtended} {
		text, lines, _ := strings.Cut(signed, "\n\n")
		line, at, err := tlog.FindCosignature([]byte(lines), text+"\n", set.All()[0].Key)
		if err != nil || at != vectorTime || !strings.HasSuffix(signed, "\n"+line) {
			t.Fatalf("%q, %d, %v", line, at, err)
		}
		made, err := tlog.Cosign(text+"\n", vectorTime, set.All()[0].Key, signWith(7)) // Ed25519 is deterministic
		if err != nil || made != line {
			t.Fatalf("made %q, %v", made, err)
		}
	}
	if _, _, err := tlog.OpenWitnessed([]byte(vectorExtended), set, log); !errors.Is(err, tlog.ErrCheckpoint) {
		t.Fatalf("an extension line was read: %v", err)
	}
	if c, text, err := tlog.OpenExtended([]byte(vectorExtended), log); err != nil || c.Size != 5 || !strings.HasSuffix(text, "\nextension\n") {
		t.Fatalf("%+v, %q, %v", c, text, err)
	}
}

// Every bit of a cosigned checkpoint counts, in the log's lines and in the witness's.
func TestEveryBitOfACosignedCheckpoint(t *testing.T) {
	t.Parallel()
	set, log := one(t)
	for i := range len(vectorSigned) * 8 {
		b := []byte(vectorSigned)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := tlog.OpenWitnessed(b, set, log); err == nil {
			t.Fatalf("bit %d of byte %d changed: %q", i%8, i/8, b)
		}
	}
}

func TestOpenWitnessedRefuses(t *testing.T) {
	t.Parallel()
	set, log := one(t)
	text, lines, _ := strings.Cut(vectorSigned, "\n\n")
	own, his, _ := strings.Cut(lines, "\n")
	own += "\n"
	stranger, err := tlog.Cosign(text+"\n", 9, witnessKey(t, "witness.example/w2", 9), signWith(9))
	if err != nil {
		t.Fatal(err)
	}
	head := text + "\n\n"
	for name, c := range map[string]struct {
		signed string
		want   error
	}{
		"no cosignature":    {head + own, tlog.ErrQuorum},
		"no log signature":  {head + his, tlog.ErrUnsigned},
		"a stranger's line": {head + own + his + stranger, tlog.ErrUnsigned},
		"twice by one":      {head + own + his + his, tlog.ErrUnsigned},
		"twice by the log":  {head + own + own + his, tlog.ErrUnsigned},
		"no last newline":   {strings.TrimSuffix(vectorSigned, "\n"), tlog.ErrCheckpoint},
		"nothing":           {"", tlog.ErrCheckpoint},
	} {
		if _, _, err := tlog.OpenWitnessed([]byte(c.signed), set, log); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := tlog.OpenWitnessed([]byte(head+his+own), set, log); err != nil { // the order is free
		t.Error(err)
	}
	if _, err := tlog.OpenExact([]byte(vectorSigned), log); !errors.Is(err, tlog.ErrUnsigned) {
		t.Errorf("exact, with a witness's line: %v", err)
	}
}

func TestWitnessKeyRefusals(t *testing.T) {
	t.Parallel()
	raw, _ := base64.StdEncoding.DecodeString(vectorVKey[strings.LastIndex(vectorVKey, "+")+1:])
	enc := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	for name, s := range map[string]string{
		"empty": "", "a log's": vectorLog, "no id": "witness.example/w1+" + enc(raw), "another id": strings.Replace(vectorVKey, "aa4a09d1", "aa4a09d2", 1),
		"capitals in the id": strings.Replace(vectorVKey, "aa4a09d1", "AA4A09D1", 1), "no name": vectorVKey[len("witness.example/w1"):],
		"a space": "w 1" + vectorVKey[len("witness.example/w1"):], "short": "witness.example/w1+aa4a09d1+" + enc(raw[:32]), "newline": vectorVKey + "\n",
		"loose base64": strings.TrimSuffix(vectorVKey, "s") + "t", "ML-DSA-44": "witness.example/w1+aa4a09d1+" + enc(append([]byte{6}, make([]byte, 1312)...)),
		"type 1": "witness.example/w1+aa4a09d1+" + enc(append([]byte{1}, raw[1:]...)),
	} {
		if k, err := tlog.ParseWitnessKey(s); !errors.Is(err, tlog.ErrCosignature) || !k.IsZero() {
			t.Errorf("%s: %q was read: %v", name, s, err)
		}
	}
}

func TestCosignRefuses(t *testing.T) {
	t.Parallel()
	k := witnessKey(t, "w", 7)
	text, _, _ := strings.Cut(vectorSigned, "\n\n")
	text += "\n"
	for name, f := range map[string]func() (string, error){
		"no time":        func() (string, error) { return tlog.Cosign(text, 0, k, signWith(7)) },
		"too late":       func() (string, error) { return tlog.Cosign(text, 1<<63, k, signWith(7)) },
		"no key":         func() (string, error) { return tlog.Cosign(text, 1, tlog.WitnessKey{}, signWith(7)) },
		"another signer": func() (string, error) { return tlog.Cosign(text, 1, k, signWith(8)) },
		"no checkpoint":  func() (string, error) { return tlog.Cosign("hello\n", 1, k, signWith(7)) },
		"a failed signer": func() (string, error) {
			return tlog.Cosign(text, 1, k, func([]byte) ([]byte, error) { return nil, errors.New("x") })
		},
	} {
		if line, err := f(); err == nil {
			t.Errorf("%s: %q", name, line)
		}
	}
}

func TestWitnessSets(t *testing.T) {
	t.Parallel()
	w := func(name string, seed byte) tlog.Witness {
		return tlog.Witness{Name: name, Key: witnessKey(t, name, seed)}
	}
	three := []tlog.Witness{w("w1", 1), w("w2", 2), w("w3", 3)}
	for name, c := range map[string]struct {
		list   []tlog.Witness
		quorum int
	}{
		"none": {nil, 0}, "quorum of half": {[]tlog.Witness{w("w1", 1), w("w2", 2)}, 1}, "quorum of one": {three, 1}, "quorum of four": {three, 4}, "negative": {three, -1},
		"a name twice": {[]tlog.Witness{w("w1", 1), {Name: "w1", Key: witnessKey(t, "x", 2)}}, 0}, "a key twice": {[]tlog.Witness{w("w1", 1), w("w2", 1)}, 0},
		"no key": {[]tlog.Witness{{Name: "w1"}}, 0}, "no name": {[]tlog.Witness{{Key: three[0].Key}}, 0}, "capitals": {[]tlog.Witness{w("W1", 1)}, 0},
		"too many": {many(t, tlog.MaxWitnesses+1), 0}, "long name": {[]tlog.Witness{w(strings.Repeat("w", 65), 1)}, 0},
	} {
		if s, err := tlog.NewWitnesses(c.list, c.quorum); err == nil {
			t.Errorf("%s: accepted with quorum %d", name, s.Quorum())
		}
	}
	for n := 1; n <= tlog.MaxWitnesses; n++ {
		s, err := tlog.NewWitnesses(many(t, n), 0)
		if err != nil || 2*s.Quorum() <= n || 2*(s.Quorum()-1) > n {
			t.Errorf("%d witnesses: quorum %d, %v", n, s.Quorum(), err)
		}
	}
}

func many(t testing.TB, n int) (out []tlog.Witness) {
	for i := range n {
		name := fmt.Sprintf("w%d", i)
		out = append(out, tlog.Witness{Name: name, Key: witnessKey(t, name, byte(i+1))})
	}
	return out
}

// cosigner is a cosignature verifier written against sumdb/note, a second opinion on key ids, lines and messages.
type cosigner struct {
	name   string
	id     uint32
	public ed25519.PublicKey
}

func (c cosigner) Name() string    { return c.name }
func (c cosigner) KeyHash() uint32 { return c.id }
func (c cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 72 {
		return false
	}
	var at uint64
	for _, b := range sig[:8] {
		at = at<<8 | uint64(b)
	}
	return ed25519.Verify(c.public, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, msg), sig[8:])
}

// What we cosign, sumdb/note reads, and a quorum is what it counts.
func TestCosignaturesAgreeWithNote(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 5).Draw(rt, "witnesses")
		list := many(t, n)
		set, err := tlog.NewWitnesses(list, 0)
		if err != nil {
			rt.Fatal(err)
		}
		log, err := tlog.NewKey("log.example/x", ed(99).Public().(ed25519.PublicKey))
		if err != nil {
			rt.Fatal(err)
		}
		c := tlog.Checkpoint{Origin: "log.example/x", Size: rapid.Uint64Range(0, tlog.MaxSize).Draw(rt, "size"), Root: [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(rt, "root"))}
		signed, err := tlog.SignCheckpoint(c, log, signWith(99))
		if err != nil {
			rt.Fatal(err)
		}
		var known []note.Verifier
		for i, w := range list {
			if !rapid.Bool().Draw(rt, w.Name) {
				continue
			}
			at := rapid.Uint64Range(1, 1<<63-1).Draw(rt, "time")
			line, err := tlog.Cosign(c.Text(), at, w.Key, signWith(byte(i+1)))
			if err != nil {
				rt.Fatal(err)
			}
			signed = append(signed, line...)
			var id uint32
			fmt.Sscanf(w.Key.String()[len(w.Name)+1:], "%08x", &id)
			known = append(known, cosigner{w.Name, id, w.Key.Public()})
		}
		count := 0
		if len(known) > 0 {
			opened, err := note.Open(signed, note.VerifierList(known...))
			if err != nil {
				rt.Fatal(err)
			}
			count = len(opened.Sigs)
		}
		got, by, err := tlog.OpenWitnessed(signed, set, log)
		if (err == nil) != (count >= set.Quorum()) {
			rt.Fatalf("%d of %d cosigned: %v", count, n, err)
		}
		if err == nil && (got != c || len(by) != count) {
			rt.Fatalf("%+v by %v", got, by)
		}
	})
}

// No lines but those of the key that is looked for give a cosignature, and what is given is one that note would read.
func FuzzFindCosignature(f *testing.F) {
	text, lines, _ := strings.Cut(vectorSigned, "\n\n")
	f.Add([]byte(lines), text+"\n")
	f.Add([]byte("— w AAAAAAA=\n"), text+"\n")
	k, err := tlog.ParseWitnessKey(vectorVKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, lines []byte, text string) {
		line, at, err := tlog.FindCosignature(lines, text, k)
		if err != nil {
			return
		}
		if at == 0 || !bytes.Contains(lines, []byte(line)) {
			t.Fatalf("%q at %d", line, at)
		}
		if again, _, err := tlog.FindCosignature([]byte(line), text, k); err != nil || again != line {
			t.Fatalf("%q is not found in itself: %v", line, err)
		}
		var id uint32
		fmt.Sscanf(vectorVKey[len("witness.example/w1+"):], "%08x", &id)
		if text != "" && strings.HasSuffix(text, "\n") {
			if _, err := note.Open([]byte(text+"\n"+line), note.VerifierList(cosigner{k.Name(), id, k.Public()})); err != nil {
				t.Fatalf("note does not read it: %v", err)
			}
		}
	})
}

// A vkey that is read is written the same.
func FuzzParseWitnessKey(f *testing.F) {
	f.Add(vectorVKey)
	f.Add(vectorLog)
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := tlog.ParseWitnessKey(s); err == nil && k.String() != s {
			t.Fatalf("%q became %q", s, k)
		}
	})
}
