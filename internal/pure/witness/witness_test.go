// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"strongroom/internal/pure/tlog"
	"strongroom/internal/pure/witness"
)

// The example of C2SP tlog-witness, "add-checkpoint".
const example = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`

func TestParseRequestExample(t *testing.T) {
	t.Parallel()
	r, err := witness.ParseRequest([]byte(example))
	if err != nil || r.Old != 20852014 || len(r.Proof) != 4 || r.Proof[0][0] != 0x3e || !strings.HasPrefix(string(r.Checkpoint), "example.com/") {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := r.Encode(); string(got) != example {
		t.Fatalf("%q", got)
	}
}

func TestParseRequestRefuses(t *testing.T) {
	t.Parallel()
	hash := base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n"
	for name, s := range map[string]string{
		"empty": "", "no old": "5\n\nx", "leading zero": "old 05\n\nx", "plus": "old +5\n\nx", "negative": "old -1\n\nx", "two spaces": "old  5\n\nx", "capital": "Old 5\n\nx",
		"no size": "old \n\nx", "huge": "old 18446744073709551616\n\nx", "no empty line": "old 5\n" + hash, "carriage return": "old 5\r\n\r\nx",
		"short hash": "old 5\nAAAA\n\nx", "loose base64": "old 5\n" + strings.Replace(hash, "A=", "B=", 1) + "\nx", "a space behind": "old 5\n" + strings.Replace(hash, "\n", " \n", 1) + "\nx",
		"64 lines": "old 5\n" + strings.Repeat(hash, 64) + "\nx", "a long checkpoint": "old 5\n\n" + strings.Repeat("x", witness.MaxNote+1),
	} {
		if r, err := witness.ParseRequest([]byte(s)); !errors.Is(err, witness.ErrRequest) {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if r, err := witness.ParseRequest([]byte("old 5\n" + strings.Repeat(hash, 63) + "\nx")); err != nil || len(r.Proof) != 63 {
		t.Errorf("63 lines: %v", err)
	}
}

func TestParseSize(t *testing.T) {
	t.Parallel()
	if n, err := witness.ParseSize(witness.EncodeSize(20852014)); err != nil || n != 20852014 {
		t.Fatal(n, err)
	}
	for _, s := range []string{"", "5", "\n", "05\n", "5\n\n", "5 \n", " 5\n", "-1\n", "0x5\n", "18446744073709551616\n", "18446744073709551615\n"} {
		if n, err := witness.ParseSize([]byte(s)); !errors.Is(err, witness.ErrAnswer) {
			t.Errorf("%q is %d, %v", s, n, err)
		}
	}
}

const logVKey = "log.example/one+45c5b06f+AROY9ixtGkV8UbpqS189vS9p/KkyFiGNyJl+QWvRfZPK" // of the seed of 32 bytes 8

func TestParseLogs(t *testing.T) {
	t.Parallel()
	logs, err := witness.ParseLogs("# mine\n\n\t log  " + logVKey + "\thttps://log.example/\n")
	if err != nil || len(logs["log.example/one"]) != 1 {
		t.Fatal(logs, err)
	}
	for name, s := range map[string]string{
		"nothing": "# nothing\n", "another word": "witness " + logVKey, "no key": "log\n", "four words": "log " + logVKey + " a b", "a bad key": "log x+y+z", "twice": "log " + logVKey + "\nlog " + logVKey,
		"control": "log " + logVKey + "\r\n", "capitals": "LOG " + logVKey,
	} {
		if logs, err := witness.ParseLogs(s); err == nil {
			t.Errorf("%s: %v", name, logs)
		}
	}
}

func TestParseWitnesses(t *testing.T) {
	t.Parallel()
	const vkey = "witness.example/w1+aa4a09d1+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
	list, err := witness.ParseWitnesses("# ours\nwitness w1 " + vkey + " https://w.example\nwitness w2 " + vkey + "\n")
	if err != nil || len(list) != 2 || list[0].Name != "w1" || list[0].URL != "https://w.example" || list[1].URL != "" || list[0].Key.String() != vkey {
		t.Fatal(list, err)
	}
	for name, s := range map[string]string{"nothing": "", "a log": "log " + logVKey, "no name": "witness " + vkey, "a quorum": "witness a " + vkey + "\nquorum a", "a bad key": "witness a b"} {
		if list, err := witness.ParseWitnesses(s); err == nil {
			t.Errorf("%s: %v", name, list)
		}
	}
}

// submission makes a signed request of a tree with size leaves, the last of which is special.
type fixture struct {
	t    testing.TB
	logs witness.Logs
	key  tlog.Key
	tree [][32]byte
}

func newFixture(t testing.TB) *fixture {
	f := &fixture{t: t}
	var err error
	if f.key, err = tlog.ParseKey(logVKey); err != nil {
		t.Fatal(err)
	}
	f.logs = witness.Logs{f.key.Origin(): {f.key}}
	for i := range 40 {
		f.tree = append(f.tree, tlog.LeafHash([]byte{byte(i)}))
	}
	return f
}

func (f *fixture) read(nodes []tlog.Node) ([][32]byte, error) {
	out := make([][32]byte, len(nodes))
	for i, n := range nodes {
		out[i] = tlog.SubtreeRoot(f.tree[n.Index<<n.Level : (n.Index+1)<<n.Level])
	}
	return out, nil
}

func sign(seed byte) func([]byte) ([]byte, error) {
	return func(m []byte) ([]byte, error) {
		return ed25519.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, 32)), m), nil
	}
}

func (f *fixture) request(old, size uint64, change func(*tlog.Checkpoint)) witness.Request {
	f.t.Helper()
	root, err := tlog.RootAt(f.read, size)
	if err != nil {
		f.t.Fatal(err)
	}
	c := tlog.Checkpoint{Origin: f.key.Origin(), Size: size, Root: root}
	if change != nil {
		change(&c)
	}
	signed, err := tlog.SignCheckpoint(c, f.key, sign(8))
	if err != nil {
		f.t.Fatal(err)
	}
	r := witness.Request{Old: old, Checkpoint: signed}
	if old > 0 && old <= size {
		if r.Proof, err = tlog.ProveConsistency(f.read, old, size); err != nil {
			f.t.Fatal(err)
		}
	}
	return r
}

func (f *fixture) record(size uint64) witness.Record {
	root, err := tlog.RootAt(f.read, size)
	if err != nil {
		f.t.Fatal(err)
	}
	if size == 0 {
		return witness.Record{}
	}
	return witness.Record{Size: size, Root: root}
}

// judge is Admit and Judge; it gives a status.
func (f *fixture) judge(have witness.Record, body []byte) (witness.Record, int) {
	s, err := f.logs.Admit(body)
	next := have
	if err == nil {
		next, err = witness.Judge(have, s)
	}
	var no *witness.RefusedError
	if errors.As(err, &no) {
		if next != have {
			f.t.Fatal("a refusal changed the record")
		}
		if no.Status == witness.StatusConflict && no.Size != have.Size {
			f.t.Fatalf("the size in a conflict is %d, not %d", no.Size, have.Size)
		}
		return next, no.Status
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return next, 200
}

// The table of C2SP tlog-witness, one row a rule.
func TestJudge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	other := func(c *tlog.Checkpoint) { c.Root[0] ^= 1 }
	long := f.request(5, 9, nil)
	long.Proof = append(long.Proof, [32]byte{})
	same := f.request(5, 5, nil)
	same.Proof = [][32]byte{{}}
	first := f.request(0, 5, nil)
	first.Proof = [][32]byte{{}}
	forged := f.request(5, 9, nil)
	forged.Checkpoint = bytes.Replace(forged.Checkpoint, []byte("\n9\n"), []byte("\n8\n"), 1)
	unsigned := f.request(5, 9, nil)
	unsigned.Checkpoint = append(unsigned.Checkpoint[:bytes.Index(unsigned.Checkpoint, []byte("\n\n"))+2], []byte("— other AAAAAAAA\n")...)
	unknown := f.request(5, 9, nil)
	unknown.Checkpoint = bytes.Replace(unknown.Checkpoint, []byte("log.example/one\n"), []byte("log.example/two\n"), 1)
	stranger := f.request(5, 9, nil)
	stranger.Checkpoint = append(stranger.Checkpoint, []byte("— stranger AAAAAAAA\n")...)
	for name, c := range map[string]struct {
		have uint64
		body []byte
		want int
	}{
		"first":                  {0, f.request(0, 5, nil).Encode(), 200},
		"first, empty":           {0, f.request(0, 0, nil).Encode(), 200},
		"grown":                  {5, f.request(5, 9, nil).Encode(), 200},
		"the same again":         {5, f.request(5, 5, nil).Encode(), 200},
		"a stranger's signature": {5, stranger.Encode(), 200},
		"behind":                 {5, f.request(3, 9, nil).Encode(), 409},
		"ahead":                  {5, f.request(7, 9, nil).Encode(), 409},
		"from nothing, known":    {5, f.request(0, 9, nil).Encode(), 409},
		"from nothing, unknown":  {0, f.request(5, 9, nil).Encode(), 409},
		"smaller":                {9, f.request(5, 5, nil).Encode(), 409},
		"old above the size":     {9, f.request(9, 5, nil).Encode(), 400},
		"another root":           {5, f.request(5, 9, other).Encode(), 422},
		"another root, same":     {5, f.request(5, 5, other).Encode(), 422},
		"another empty root":     {0, f.request(0, 0, other).Encode(), 422},
		"a line too many":        {5, long.Encode(), 422},
		"a line for the same":    {5, same.Encode(), 422},
		"a line from nothing":    {0, first.Encode(), 422},
		"no proof":               {5, witness.Request{Old: 5, Checkpoint: f.request(5, 9, nil).Checkpoint}.Encode(), 422},
		"forged":                 {5, forged.Encode(), 403},
		"unsigned":               {5, unsigned.Encode(), 403},
		"unknown log":            {5, unknown.Encode(), 404},
		"no request":             {5, []byte("hello"), 400},
		"no checkpoint":          {5, []byte("old 5\n\nhello\n"), 400},
		"checkpoint in 2 lines":  {5, []byte("old 5\n\nlog.example/one\n5\n\n— log.example/one AAAAAAAA\n"), 400},
	} {
		if next, got := f.judge(f.record(c.have), c.body); got != c.want {
			t.Errorf("%s: status %d, want %d", name, got, c.want)
		} else if got == 200 && next.Size < c.have {
			t.Errorf("%s: the size went back", name)
		}
	}
}

// Law: whatever is admitted from a record is by the log's key, does not shrink, and keeps the root of one size.
func FuzzJudge(f *testing.F) {
	f.Add([]byte(example), uint64(5))

	fx := newFixture(f)
	f.Add(fx.request(5, 9, nil).Encode(), uint64(5))
	f.Add(fx.request(0, 9, nil).Encode(), uint64(0))
	f.Fuzz(func(t *testing.T, body []byte, at uint64) {
		have := fx.record(at % 30)
		s, err := fx.logs.Admit(body)
		if err != nil {
			return
		}
		if _, _, err := tlog.OpenExtended(s.Request.Checkpoint, fx.key); err != nil {
			t.Fatalf("admitted without the log's signature: %v", err)
		}
		next, err := witness.Judge(have, s)
		if err == nil && (next.Size < have.Size || next.Size == have.Size && next.Root != have.Root) {
			t.Fatalf("%+v after %+v", next, have)
		}
	})
}

// Law: what parses is the one form of what it says.
func FuzzParseRequest(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte("old 0\n\nx"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := witness.ParseRequest(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Fatalf("%q became %q", b, r.Encode())
		}
	})
}

// Law: a list of logs gives what its lines name.
func FuzzParseLogs(f *testing.F) {
	f.Add("log " + logVKey)
	f.Fuzz(func(t *testing.T, s string) {
		logs, err := witness.ParseLogs(s)
		if err != nil {
			return
		}
		for origin, keys := range logs {
			for _, k := range keys {
				if k.Origin() != origin || !strings.Contains(s, k.String()) {
					t.Fatalf("%s of %s is not in %q", k, origin, s)
				}
			}
		}
	})
}
