// SPDX-License-Identifier: Apache-2.0

package ceremony_test

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"strings"
	"testing"

	"filippo.io/age"

	"strongroom/internal/core/ceremony"
	"strongroom/internal/core/sharing"
	"strongroom/internal/core/slip39"
	"strongroom/internal/pure/share"
	"strongroom/internal/secret"
	"strongroom/internal/secret/secrettest"
)

func take(t testing.TB, a *secret.Arena, b string) secret.Bytes {
	t.Helper()
	s, err := secret.Take(a, []byte(b))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func content(t testing.TB, s secret.Bytes) (out []byte) {
	t.Helper()
	if err := s.Use(func(b []byte) error { out = bytes.Clone(b); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// source is a source of the machine; fill writes what it gives.
type source struct {
	name string
	fill func(b []byte) error
}

func (s source) Name() string                           { return s.name }
func (s source) Read(_ context.Context, b []byte) error { return s.fill(b) }

func system(name string) ceremony.Source {
	return source{name, func(b []byte) error { _, err := rand.Read(b); return err }}
}

// dice are n rolls, other ones for each seed.
func dice(n int, seed uint64) string {
	r := mrand.New(mrand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = '1' + byte(r.IntN(6))
	}
	return string(b)
}

// person is a custodian of the tests.
type person struct {
	name   string
	to     ceremony.Recipient
	opener ceremony.Opener
}

// people are custodians: with hybrid age keys, one with age's X25519 and one with a P-256 key.
func people(t testing.TB, names ...string) (list []person) {
	t.Helper()
	for i, name := range names {
		var text string
		var o ceremony.Opener
		switch i {
		case 1:
			id, err := age.GenerateX25519Identity()
			if err != nil {
				t.Fatal(err)
			}
			text, o = id.Recipient().String(), ceremony.AgeOpener(id)
		case 2:
			key, err := ecdh.P256().GenerateKey(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			r, err := ceremony.P256Recipient(key.PublicKey())
			if err != nil {
				t.Fatal(err)
			}
			text, o = r.String(), ceremony.P256Opener(key)
		default:
			id, err := age.GenerateHybridIdentity()
			if err != nil {
				t.Fatal(err)
			}
			text, o = id.Recipient().String(), ceremony.AgeOpener(id)
		}
		to, err := ceremony.ParseRecipient(text)
		if err != nil {
			t.Fatal(err)
		}
		if to.String() != text || to.PostQuantum() != (i != 1 && i != 2) {
			t.Fatalf("recipient %s is read as %s", text, to)
		}
		list = append(list, person{name, to, o})
	}
	return list
}

var five = []string{"ada", "ben", "cleo", "dan", "eve"}

func layout(threshold uint8, list []person) (l ceremony.Layout) {
	l.Threshold = threshold
	for _, p := range list {
		l.Custodians = append(l.Custodians, ceremony.Custodian{Name: p.name, Recipient: p.to})
	}
	return l
}

func config(a *secret.Arena) ceremony.Config {
	return ceremony.Config{Arena: a, Ceremony: [32]byte{1}, Sources: []ceremony.Source{system("system")}}
}

var transcript = [32]byte{7, 7}

// production is a ceremony with dice of two, ready to make.
func production(t testing.TB, a *secret.Arena) *ceremony.Draw {
	t.Helper()
	cfg := config(a)
	cfg.Production, cfg.Dice = true, []string{"dice/ada", "dice/ben"}
	d, err := ceremony.Begin(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	for i, name := range cfg.Dice {
		rolls := take(t, a, dice(60, uint64(i+1)))
		_, err := d.Roll(name, rolls)
		rolls.Wipe()
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

func makeShares(t testing.TB, a *secret.Arena, threshold uint8, list []person) *ceremony.Made {
	t.Helper()
	m, err := production(t, a).Make(transcript, layout(threshold, list))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func expect(m *ceremony.Made) ceremony.Expect {
	return ceremony.Expect{Sharing: m.Commitments.Hash(), Recovery: sha256.Sum256(m.Recovery)}
}

func open(t testing.TB, a *secret.Arena, m *ceremony.Made, list []person, i int) *ceremony.Opened {
	t.Helper()
	o, err := ceremony.OpenShare(a, m.Shares[i].Sealed, list[i].opener)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.Wipe)
	return o
}

func newLoad(t testing.TB, a *secret.Arena, e ceremony.Expect) *ceremony.Load {
	t.Helper()
	l, err := ceremony.NewLoad(a, [32]byte{9}, e)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func handIn(t testing.TB, l *ceremony.Load, o *ceremony.Opened) {
	t.Helper()
	part, err := o.HandIn(l.Importer())
	if err != nil {
		t.Fatal(err)
	}
	meta, err := l.Add(part)
	if err != nil {
		t.Fatal(err)
	}
	if meta.Custodian != o.Meta.Custodian {
		t.Fatalf("handed in by %s, taken as %s", o.Meta.Custodian, meta.Custodian)
	}
}

// restore brings the recovery key back from the shares of some custodians, and returns its public half.
func restore(t testing.TB, a *secret.Arena, m *ceremony.Made, list []person, who ...int) []byte {
	t.Helper()
	l := newLoad(t, a, expect(m))
	for _, i := range who {
		handIn(t, l, open(t, a, m, list, i))
	}
	key, err := l.Restore()
	if err != nil {
		t.Fatal(err)
	}
	defer key.Wipe()
	return key.Public()
}

func TestAnyThreeOfFiveRestore(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	m := makeShares(t, a, 3, list)
	for _, who := range [][]int{{0, 1, 2}, {4, 3, 2}, {1, 4, 0}, {0, 1, 2, 3, 4}, {3, 1, 2}} {
		if got := restore(t, a, m, list, who...); !bytes.Equal(got, m.Recovery) {
			t.Errorf("%v brought back another key", who)
		}
	}
}

func TestEachOpensTheirOwnOnly(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	m := makeShares(t, a, 3, list)
	for i := range list {
		o := open(t, a, m, list, i)
		if o.Meta.Custodian != five[i] || int(o.Meta.Index) != i+1 || o.Meta.Ceremony != ([32]byte{1}) || o.Expect(expect(m)) != nil {
			t.Errorf("share %d is %+v", i+1, o.Meta)
		}
		for j, p := range list {
			if i == j {
				continue
			}
			_, err := ceremony.OpenShare(a, m.Shares[i].Sealed, p.opener)
			var who *ceremony.CustodianError
			if !errors.Is(err, ceremony.ErrOpen) || !errors.As(err, &who) || who.Custodian != five[i] {
				t.Errorf("%s opens the share of %s: got error %v", p.name, five[i], err)
			}
		}
	}
	if _, err := ceremony.OpenShare(a, m.Shares[0].Sealed, ceremony.Opener{}); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("no key: got error %v", err)
	}
}

// TestEveryBitOfASealedShareCounts: for each way of sealing.
func TestEveryBitOfASealedShareCounts(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five[:3]...)
	m := makeShares(t, a, 2, list)
	for i, p := range list {
		sealed := m.Shares[i].Sealed
		for at := 0; at < len(sealed)*8; at += 1 + len(sealed)*8/1500 {
			b := bytes.Clone(sealed)
			b[at/8] ^= 1 << (at % 8)
			if o, err := ceremony.OpenShare(a, b, p.opener); err == nil {
				o.Wipe()
				t.Errorf("share %d opens with bit %d changed", i+1, at)
			}
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	m := makeShares(t, a, 3, list)
	o := open(t, a, m, list, 3)
	words, err := o.Words()
	if err != nil {
		t.Fatal(err)
	}
	defer words.Wipe()
	text := string(content(t, words))
	if n := len(strings.Fields(text)); n != 60 {
		t.Errorf("%d words, docs/spec/share.md says 60", n)
	}
	meta := o.Meta
	meta.Index = 0 // the words have it
	again, err := ceremony.FromWords(a, meta, words)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Wipe()
	l := newLoad(t, a, expect(m))
	handIn(t, l, again)
	handIn(t, l, open(t, a, m, list, 0))
	handIn(t, l, open(t, a, m, list, 1))
	key, err := l.Restore()
	if err != nil {
		t.Fatal(err)
	}
	key.Wipe()

	other := makeShares(t, a, 3, list)
	wrong := open(t, a, other, list, 3).Meta
	if _, err := ceremony.FromWords(a, wrong, words); !errors.Is(err, ceremony.ErrOther) {
		t.Errorf("words of another ceremony: got error %v", err)
	}
	fields := strings.Fields(text)
	fields[20], fields[21] = fields[21], fields[20]
	mistyped := take(t, a, strings.Join(fields, " "))
	defer mistyped.Wipe()
	if _, err := ceremony.FromWords(a, meta, mistyped); fields[20] != fields[21] && !errors.Is(err, slip39.ErrChecksum) {
		t.Errorf("words exchanged: got error %v", err)
	}
	raw := take(t, a, strings.Repeat("k", 32))
	defer raw.Wipe()
	foreign, err := slip39.Split(a, raw, secret.Bytes{}, slip39.Single(1))
	if err != nil {
		t.Fatal(err)
	}
	defer foreign[0][0].Wipe()
	if _, err := ceremony.FromWords(a, meta, foreign[0][0]); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("words of a wallet: got error %v", err)
	}
	// Words that would take hours to open, or of another form, are refused before they are opened.
	for what, p := range map[string]slip39.Params{"slow": {Extendable: true, Exponent: 3, GroupThreshold: 1, Groups: []slip39.Group{{Threshold: 1, Count: 1}}},
		"of several groups": {Extendable: true, GroupThreshold: 1, Groups: []slip39.Group{{Threshold: 1, Count: 1}, {Threshold: 1, Count: 1}}},
		"not extendable":    {GroupThreshold: 1, Groups: []slip39.Group{{Threshold: 1, Count: 1}}}} {
		share := take(t, a, "\x01"+strings.Repeat("\x01", 65))
		texts, err := slip39.Split(a, share, secret.Bytes{}, p)
		share.Wipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ceremony.FromWords(a, meta, texts[0][0]); !errors.Is(err, ceremony.ErrInput) {
			t.Errorf("words %s: got error %v", what, err)
		}
		for _, group := range texts {
			for _, w := range group {
				w.Wipe()
			}
		}
	}
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five[:3]...)
	m := makeShares(t, a, 2, list)
	o := open(t, a, m, list, 1)
	r := o.Receipt(transcript)
	if err := r.Check(o.Meta, o.Commitments, transcript); err != nil {
		t.Error(err)
	}
	other := open(t, a, m, list, 0)
	for name, err := range map[string]error{
		"another transcript": r.Check(o.Meta, o.Commitments, [32]byte{8}),
		"another share":      r.Check(other.Meta, o.Commitments, transcript),
	} {
		if !errors.Is(err, share.ErrMalformed) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	m, other := makeShares(t, a, 3, list), makeShares(t, a, 3, list)
	l := newLoad(t, a, expect(m))
	if _, err := l.Restore(); !errors.Is(err, sharing.ErrTooFew) {
		t.Errorf("none: got error %v", err)
	}
	handIn(t, l, open(t, a, m, list, 0))
	handIn(t, l, open(t, a, m, list, 1))
	if _, err := l.Restore(); !errors.Is(err, sharing.ErrTooFew) || !strings.Contains(err.Error(), "2 were handed in, 3 are needed") {
		t.Errorf("m-1: got error %v", err)
	}
	refused := func(name string, part []byte, want error, text string) {
		t.Helper()
		_, err := l.Add(part)
		if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got error %v, want %v with %q", name, err, want, text)
		}
	}
	part := func(o *ceremony.Opened, importer []byte) []byte {
		t.Helper()
		p, err := o.HandIn(importer)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	refused("twice", part(open(t, a, m, list, 1), l.Importer()), sharing.ErrDuplicate, "share 2, of ben")
	refused("another ceremony", part(open(t, a, other, list, 2), l.Importer()), ceremony.ErrOther, "share 3, of cleo")
	second := newLoad(t, a, expect(m))
	good := part(open(t, a, m, list, 2), l.Importer())
	refused("another load", part(open(t, a, m, list, 2), second.Importer()), ceremony.ErrLoad, "share 3, of cleo")
	if _, err := second.Add(good); !errors.Is(err, ceremony.ErrLoad) {
		t.Errorf("replayed at another load: got error %v", err)
	}
	p, meta, _, err := share.DecodePart(good)
	if err != nil {
		t.Fatal(err)
	}
	meta.Index = 4 // she says that it is another share
	p.Meta = meta.Encode()
	refused("index altered", p.Encode(), ceremony.ErrOpen, "share 4, of cleo")
	for at := 0; at < len(good)*8; at += 1 + len(good)*8/700 {
		b := bytes.Clone(good)
		b[at/8] ^= 1 << (at % 8)
		if _, err := l.Add(b); err == nil {
			t.Fatalf("taken with bit %d changed", at)
		}
	}
	if got := l.Indexes(); !bytes.Equal(got, []byte{1, 2}) {
		t.Errorf("after all that was refused there are %v", got)
	}
	if _, err := l.Add(good); err != nil {
		t.Errorf("the right one after wrong ones: %v", err)
	}
	key, err := l.Restore()
	if err != nil {
		t.Fatal(err)
	}
	key.Wipe()
	if _, err := l.Add(good); !errors.Is(err, ceremony.ErrOrder) {
		t.Errorf("after the end: got error %v", err)
	}
	if _, err := l.Restore(); !errors.Is(err, ceremony.ErrOrder) {
		t.Errorf("restored twice: got error %v", err)
	}
	if _, err := ceremony.NewLoad(a, [32]byte{}, expect(m)); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("a load of nothing: got error %v", err)
	}
	if _, err := ceremony.NewLoad(a, [32]byte{1}, ceremony.Expect{}); !errors.Is(err, ceremony.ErrInput) {
		t.Errorf("a load that expects nothing: got error %v", err)
	}
}

// TestWrongShareIsNamed: a custodian seals a share that is not theirs, with meta data that are right.
func TestWrongShareIsNamed(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	m := makeShares(t, a, 3, list)
	l := newLoad(t, a, expect(m))
	o, other := open(t, a, m, list, 1), open(t, a, m, list, 2)
	forged := ceremony.WithShareOf(o, other)
	part, err := forged.HandIn(l.Importer())
	if err != nil {
		t.Fatal(err)
	}
	_, err = l.Add(part)
	var who *ceremony.CustodianError
	if !errors.Is(err, sharing.ErrWrongShare) || !errors.As(err, &who) || who.Custodian != "ben" {
		t.Errorf("got error %v", err)
	}
}

func refresh(t testing.TB, a *secret.Arena, m *ceremony.Made, list []person, who []int, l ceremony.Layout, production bool) (*ceremony.Made, error) {
	t.Helper()
	load := newLoad(t, a, expect(m))
	for _, i := range who {
		handIn(t, load, open(t, a, m, list, i))
	}
	return load.Refresh(t.Context(), [32]byte{2}, transcript, []ceremony.Source{system("system"), system("root")}, l, production)
}

func TestCustodiansChange(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	m := makeShares(t, a, 3, list)
	fresh := people(t, "eve", "fay", "gus", "hal")
	next, err := refresh(t, a, m, list, []int{0, 2, 4}, layout(2, fresh), true)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(next.Recovery, m.Recovery) || !next.Commitments.Secret().Equal(m.Commitments.Secret()) {
		t.Error("the master secret changed")
	}
	if next.Commitments.Hash() == m.Commitments.Hash() {
		t.Error("the sharing did not change")
	}
	if got := restore(t, a, next, fresh, 3, 1); !bytes.Equal(got, m.Recovery) {
		t.Error("the new custodians brought back another key")
	}
	l := newLoad(t, a, expect(next))
	part, err := open(t, a, m, list, 4).HandIn(l.Importer())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Add(part); !errors.Is(err, ceremony.ErrOther) || !strings.Contains(err.Error(), "of eve") {
		t.Errorf("eve's old share after the change: got error %v", err)
	}
	if _, err := refresh(t, a, next, fresh, []int{0}, layout(2, fresh), true); !errors.Is(err, sharing.ErrTooFew) {
		t.Errorf("change by too few: got error %v", err)
	}
	if _, err := refresh(t, a, next, fresh, []int{0, 1}, layout(1, fresh), true); !errors.Is(err, share.ErrScheme) {
		t.Errorf("threshold of 1 in production: got error %v", err)
	}
}

func TestLayoutRefused(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five...)
	d := production(t, a)
	for name, tt := range map[string]struct {
		change func(*ceremony.Layout)
		want   error
	}{
		"threshold of 1":        {func(l *ceremony.Layout) { l.Threshold, l.OneUnsafe = 1, true }, share.ErrScheme},
		"threshold of 0":        {func(l *ceremony.Layout) { l.Threshold = 0 }, share.ErrScheme},
		"threshold of 6":        {func(l *ceremony.Layout) { l.Threshold = 6 }, share.ErrScheme},
		"nobody":                {func(l *ceremony.Layout) { l.Custodians = nil }, share.ErrScheme},
		"17 custodians":         {func(l *ceremony.Layout) { l.Custodians = make([]ceremony.Custodian, 17) }, ceremony.ErrInput},
		"no recipient":          {func(l *ceremony.Layout) { l.Custodians[2].Recipient = ceremony.Recipient{} }, ceremony.ErrRecipient},
		"one recipient for two": {func(l *ceremony.Layout) { l.Custodians[2].Recipient = l.Custodians[3].Recipient }, ceremony.ErrRecipient},
		"one name for two":      {func(l *ceremony.Layout) { l.Custodians[2].Name = "dan" }, ceremony.ErrInput},
		"no name":               {func(l *ceremony.Layout) { l.Custodians[2].Name = "" }, share.ErrMalformed},
		"name on two lines":     {func(l *ceremony.Layout) { l.Custodians[2].Name = "cleo\n" }, share.ErrMalformed},
	} {
		l := layout(3, list)
		tt.change(&l)
		if _, err := d.Make(transcript, l); !errors.Is(err, tt.want) {
			t.Errorf("%s: got error %v, want %v", name, err, tt.want)
		}
	}
	// Nothing was lost by all that.
	if _, err := d.Make(transcript, layout(3, list)); err != nil {
		t.Error(err)
	}
	if _, err := d.Make(transcript, layout(3, list)); !errors.Is(err, ceremony.ErrOrder) {
		t.Errorf("made twice: got error %v", err)
	}
}

func TestEvaluationMayHaveOne(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, "ada")
	d, err := ceremony.Begin(t.Context(), config(a))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	l := layout(1, list)
	if _, err := d.Make(transcript, l); !errors.Is(err, share.ErrScheme) {
		t.Errorf("without asking: got error %v", err)
	}
	l.OneUnsafe = true
	m, err := d.Make(transcript, l)
	if err != nil {
		t.Fatal(err)
	}
	if got := restore(t, a, m, list, 0); !bytes.Equal(got, m.Recovery) {
		t.Error("another key came back")
	}
}

func TestRecipientsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "age1", "age1pq1", "AGE-SECRET-KEY-1QQQQ", "age1tag1qqqq", "ssh-ed25519 AAAA", "p256:", "p256:zz", "p256:" + strings.Repeat("0", 66),
		"p256:05" + strings.Repeat("1", 64), "p256:02" + strings.Repeat("f", 64), "P256:02" + strings.Repeat("1", 64),
	} {
		if _, err := ceremony.ParseRecipient(text); !errors.Is(err, ceremony.ErrRecipient) {
			t.Errorf("%q: got error %v", text, err)
		}
	}
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ceremony.P256Recipient(x.PublicKey()); !errors.Is(err, ceremony.ErrRecipient) {
		t.Errorf("an X25519 key: got error %v", err)
	}
}

func TestAgeKeyFile(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	id, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	list := people(t, five[:2]...)
	to, err := ceremony.ParseRecipient(id.Recipient().String())
	if err != nil {
		t.Fatal(err)
	}
	file := take(t, a, "# a comment\n"+id.String()+"\n")
	defer file.Wipe()
	opener, err := ceremony.ParseAgeOpener(file)
	if err != nil {
		t.Fatal(err)
	}
	list[0].to, list[0].opener = to, opener
	m := makeShares(t, a, 2, list)
	open(t, a, m, list, 0)
	if text := fmt.Sprintf("%+v %#v", opener, list); strings.Contains(text, "SECRET-KEY") {
		t.Error("a custodian's key can be printed")
	}
	bad := take(t, a, "AGE-SECRET-KEY-PQ-1XXXX")
	defer bad.Wipe()
	if _, err := ceremony.ParseAgeOpener(bad); !errors.Is(err, ceremony.ErrInput) || strings.Contains(err.Error(), "XXXX") {
		t.Errorf("a bad key file: got error %v", err)
	}
}

func BenchmarkMake3of5(b *testing.B) {
	a := secrettest.Arena(b)
	list := people(b, five...)
	for b.Loop() {
		d, err := ceremony.Begin(b.Context(), config(a))
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Make(transcript, layout(3, list)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkOpenShare(b *testing.B) {
	a := secrettest.Arena(b)
	list := people(b, five...)
	m := makeShares(b, a, 3, list)
	for b.Loop() {
		o, err := ceremony.OpenShare(a, m.Shares[0].Sealed, list[0].opener)
		if err != nil {
			b.Fatal(err)
		}
		o.Wipe()
	}
}

func BenchmarkRestore3of5(b *testing.B) {
	a := secrettest.Arena(b)
	list := people(b, five...)
	m := makeShares(b, a, 3, list)
	for b.Loop() {
		restore(b, a, m, list, 0, 1, 2)
	}
}

// TestAnotherRecoveryKey: where the log names a recovery key that the shares don't give, nothing is restored, whatever custodians say.
func TestAnotherRecoveryKey(t *testing.T) {
	t.Parallel()
	a := secrettest.Arena(t)
	list := people(t, five[:3]...)
	m := makeShares(t, a, 2, list)
	load := func() *ceremony.Load {
		l := newLoad(t, a, ceremony.Expect{Sharing: m.Commitments.Hash(), Recovery: [32]byte{4}})
		for i := range 2 {
			handIn(t, l, ceremony.WithRecovery(open(t, a, m, list, i), [32]byte{4}))
		}
		return l
	}
	if _, err := load().Restore(); !errors.Is(err, ceremony.ErrOther) {
		t.Errorf("restore: got error %v", err)
	}
	sources := []ceremony.Source{system("system")}
	if _, err := load().Refresh(t.Context(), [32]byte{2}, transcript, sources, layout(2, list), true); !errors.Is(err, ceremony.ErrOther) {
		t.Errorf("refresh: got error %v", err)
	}
}
