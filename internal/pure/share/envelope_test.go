// SPDX-License-Identifier: Apache-2.0

package share_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/pure/share"
)

func meta(t testing.TB) (share.Meta, share.Commitments) {
	t.Helper()
	c, err := share.New(share.Scheme{Threshold: 3, Shares: 5}, points(3))
	if err != nil {
		t.Fatal(err)
	}
	return share.NewMeta([32]byte{1}, c, 2, "ben", [32]byte{2}), c
}

func sealed(t testing.TB, kind string) share.Sealed {
	t.Helper()
	m, _ := meta(t)
	s := share.NewSealed(kind, m)
	s.Box = make([]byte, share.PlainSize+16)
	if kind == share.KindP256 {
		s.Enc = make([]byte, 65)
	}
	return s
}

func TestMetaRefused(t *testing.T) {
	t.Parallel()
	m, c := meta(t)
	if got, gotC, err := share.DecodeMeta(m.Encode()); err != nil || !bytes.Equal(got.Encode(), m.Encode()) || gotC.Hash() != c.Hash() {
		t.Fatalf("meta data are not read as themselves: %v", err)
	}
	for name, tt := range map[string]struct {
		change func(*share.Meta)
		want   error
	}{
		"version 2":        {func(m *share.Meta) { m.V = 2 }, share.ErrMalformed},
		"index 0":          {func(m *share.Meta) { m.Index = 0 }, share.ErrIndex},
		"index 6":          {func(m *share.Meta) { m.Index = 6 }, share.ErrIndex},
		"threshold 2":      {func(m *share.Meta) { m.Threshold = 2 }, share.ErrCommitments},
		"threshold 0":      {func(m *share.Meta) { m.Threshold, m.Points = 0, nil }, share.ErrScheme},
		"17 shares":        {func(m *share.Meta) { m.Shares = 17 }, share.ErrScheme},
		"no commitments":   {func(m *share.Meta) { m.Points = nil }, share.ErrCommitments},
		"A_0 the identity": {func(m *share.Meta) { m.Points = slices.Concat(make([]byte, 32), m.Points[32:]) }, share.ErrCommitments},
		"no name":          {func(m *share.Meta) { m.Custodian = "" }, share.ErrMalformed},
		"long name":        {func(m *share.Meta) { m.Custodian = strings.Repeat("x", share.MaxName+1) }, share.ErrMalformed},
		"name on 2 lines":  {func(m *share.Meta) { m.Custodian = "ben\nada" }, share.ErrMalformed},
	} {
		bad := m
		tt.change(&bad)
		if _, _, err := share.DecodeMeta(bad.Encode()); !errors.Is(err, tt.want) {
			t.Errorf("%s: got error %v, want %v", name, err, tt.want)
		}
	}
	if _, _, err := share.DecodeMeta(append(m.Encode(), 0)); !errors.Is(err, share.ErrMalformed) {
		t.Errorf("a byte more: got error %v", err)
	}
}

func TestSealedRefused(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{share.KindAge, share.KindAgeHybrid, share.KindP256} {
		s := sealed(t, kind)
		got, m, _, err := share.DecodeSealed(s.Encode())
		if err != nil || !bytes.Equal(got.Encode(), s.Encode()) || m.Custodian != "ben" {
			t.Errorf("%s is not read as itself: %v", kind, err)
		}
		for name, change := range map[string]func(*share.Sealed){
			"version 2": func(s *share.Sealed) { s.V = 2 }, "another kind": func(s *share.Sealed) { s.Kind = "rot13" },
			"no meta data": func(s *share.Sealed) { s.Meta = nil }, "empty box": func(s *share.Sealed) { s.Box = nil },
			"encapsulated key": func(s *share.Sealed) { s.Enc = append(s.Enc, 1) }, "too long": func(s *share.Sealed) { s.Box = make([]byte, share.MaxSealed) },
		} {
			bad := s
			change(&bad)
			if _, _, _, err := share.DecodeSealed(bad.Encode()); !errors.Is(err, share.ErrMalformed) {
				t.Errorf("%s, %s: got error %v", kind, name, err)
			}
		}
	}
}

func TestPartAndImporterRefused(t *testing.T) {
	t.Parallel()
	i := share.NewImporter([32]byte{3}, make([]byte, share.ImporterSize))
	if got, err := share.DecodeImporter(i.Encode()); err != nil || got.Fingerprint() != i.Fingerprint() {
		t.Errorf("an importer key is not read as itself: %v", err)
	}
	other := share.NewImporter([32]byte{4}, make([]byte, share.ImporterSize))
	if other.Fingerprint() == i.Fingerprint() {
		t.Error("two loads have one fingerprint")
	}
	for name, change := range map[string]func(*share.Importer){
		"version 2": func(i *share.Importer) { i.V = 2 }, "short key": func(i *share.Importer) { i.Public = i.Public[1:] },
	} {
		bad := i
		change(&bad)
		if _, err := share.DecodeImporter(bad.Encode()); !errors.Is(err, share.ErrMalformed) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	m, _ := meta(t)
	p := share.NewPart(i, m)
	info := p.Info()
	p.Enc, p.Box = make([]byte, 1120), make([]byte, share.PlainSize+16)
	if !bytes.Equal(p.Info(), info) {
		t.Error("what a part is bound to changes when it is filled")
	}
	if got, gotM, _, err := share.DecodePart(p.Encode()); err != nil || !bytes.Equal(got.Encode(), p.Encode()) || gotM.Index != 2 {
		t.Errorf("a part is not read as itself: %v", err)
	}
	for name, change := range map[string]func(*share.Part){
		"version 2": func(p *share.Part) { p.V = 2 }, "no meta data": func(p *share.Part) { p.Meta = nil },
		"short key": func(p *share.Part) { p.Enc = p.Enc[1:] }, "short box": func(p *share.Part) { p.Box = p.Box[1:] },
	} {
		bad := p
		change(&bad)
		if _, _, _, err := share.DecodePart(bad.Encode()); !errors.Is(err, share.ErrMalformed) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestReceiptRefused(t *testing.T) {
	t.Parallel()
	m, c := meta(t)
	r := share.NewReceipt(m, c, [32]byte{9})
	encoded := r.Encode()
	if got, err := share.DecodeReceipt(encoded); err != nil || got != r {
		t.Errorf("a receipt is not read as itself: %v", err)
	}
	for name, change := range map[string]func(*share.Receipt){
		"version 2": func(r *share.Receipt) { r.V = 2 }, "index 0": func(r *share.Receipt) { r.Index = 0 },
		"index 17": func(r *share.Receipt) { r.Index = 17 }, "no name": func(r *share.Receipt) { r.Custodian = "" },
	} {
		bad := r
		change(&bad)
		if _, err := share.DecodeReceipt(bad.Encode()); !errors.Is(err, share.ErrMalformed) {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

// FuzzDecode: whatever one of the readers takes is encoded as it was read, and its meta data are sound.
func FuzzDecode(f *testing.F) {
	m, c := meta(f)
	i := share.NewImporter([32]byte{3}, make([]byte, share.ImporterSize))
	p := share.NewPart(i, m)
	p.Enc, p.Box = make([]byte, 1120), make([]byte, share.PlainSize+16)
	r := share.NewReceipt(m, c, [32]byte{9})
	for _, b := range [][]byte{m.Encode(), sealed(f, share.KindAge).Encode(), sealed(f, share.KindP256).Encode(), i.Encode(), p.Encode(),
		r.Encode()} {
		f.Add(b)
	}
	sound := func(t *testing.T, m share.Meta) {
		t.Helper()
		c, err := m.Commitments()
		if err != nil || m.Index < 1 || m.Index > c.Scheme().Shares || c.Secret().IsIdentity() {
			t.Fatalf("meta data are not sound: %+v, %v", m, err)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, _, err := share.DecodeMeta(b); err == nil {
			sound(t, m)
			if !bytes.Equal(m.Encode(), b) {
				t.Fatal("meta data encoded otherwise")
			}
		}
		if s, m, _, err := share.DecodeSealed(b); err == nil {
			sound(t, m)
			if !bytes.Equal(s.Encode(), b) || !bytes.Equal(s.Meta, m.Encode()) {
				t.Fatal("sealed share encoded otherwise")
			}
		}
		if p, m, _, err := share.DecodePart(b); err == nil {
			sound(t, m)
			if !bytes.Equal(p.Encode(), b) {
				t.Fatal("part encoded otherwise")
			}
		}
		if i, err := share.DecodeImporter(b); err == nil && !bytes.Equal(i.Encode(), b) {
			t.Fatal("importer key encoded otherwise")
		}
		if r, err := share.DecodeReceipt(b); err == nil && !bytes.Equal(r.Encode(), b) {
			t.Fatal("receipt encoded otherwise")
		}
	})
}
