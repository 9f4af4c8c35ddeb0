// SPDX-License-Identifier: Apache-2.0

package securedomain_test

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"strongroom/internal/core/backup"
	"strongroom/internal/core/securedomain/domaintest"
	"strongroom/internal/gate/message"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// What is altered, missing or of another domain is refused, named, and nothing is written.
func TestRestoreRefusals(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{Recovery: true})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	one := mustBackUp(t, h, f)
	h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	two := mustBackUp(t, h, f)
	other := domaintest.New(t, domaintest.Options{})
	other.Wallet("first", domaintest.Chain, request.SchemeEVM)
	strange := domaintest.Folder{}
	theirs := mustBackUp(t, other, strange)
	pack := two.Packs[1].Name()
	resigned := func(change func(*format.Manifest)) []byte {
		m := *two
		m.Packs = slices.Clone(two.Packs)
		change(&m)
		m.Signature = h.D.SignIdentity(m.Message())
		return m.Encode()
	}
	tests := []struct {
		name     string
		change   func(domaintest.Folder)
		manifest []byte
		want     error  // or
		says     string // part of the message
	}{
		{"altered pack", func(f domaintest.Folder) { f[pack] = bytes.Clone(f[pack]); f[pack][99] ^= 1 }, nil, backup.ErrPack, pack},
		{"cut pack", func(f domaintest.Folder) { f[pack] = f[pack][:len(f[pack])-1] }, nil, backup.ErrPack, pack},
		{"missing pack", func(f domaintest.Folder) { delete(f, pack) }, nil, fs.ErrNotExist, pack},
		{"pack of another domain", func(f domaintest.Folder) { f[pack] = strange[theirs.Packs[0].Name()] }, nil, backup.ErrPack, pack},
		{"manifest of another domain", nil, theirs.Encode(), format.ErrManifest, "identity key"},
		{"altered manifest", nil, bytes.Replace(two.Encode(), two.Last[:], one.Last[:], 1), format.ErrManifest, "altered"},
		{"cut manifest", nil, two.Encode()[:99], format.ErrManifest, ""},
		{"no manifest", nil, []byte{}, format.ErrManifest, ""},
		{"pack under another name", nil, resigned(func(m *format.Manifest) { m.Packs[1].End++ }), format.ErrManifest, "checkpoint"},
		{"packs that leave a gap", nil, resigned(func(m *format.Manifest) { m.Packs = m.Packs[1:] }), format.ErrManifest, "pack 0"},
		{"another last entry", nil, resigned(func(m *format.Manifest) { m.Last[0]++ }), nil, "lead to the manifest"},
		{"another epoch", nil, resigned(func(m *format.Manifest) { m.Epoch = 2 }), nil, "another working key"},
		{"another phase", nil, resigned(func(m *format.Manifest) { m.Zeroized = true }), nil, "phase"},
		{"copies that are not the record's", nil, resigned(func(m *format.Manifest) { m.Copies.Identity = []byte{1} }), format.ErrManifest, "sealed copy"},
		{"copies without a record", nil, resigned(func(m *format.Manifest) { m.Recovery = nil }), format.ErrManifest, "without a recovery record"},
		{"another incarnation", nil, resigned(func(m *format.Manifest) { m.Incarnation = 2 }), format.ErrManifest, "checkpoint"},
		{"no incarnation", nil, resigned(func(m *format.Manifest) { m.Incarnation = 0 }), format.ErrManifest, "incarnation"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, m := maps.Clone(f), tt.manifest
			if tt.change != nil {
				tt.change(g)
			}
			if m == nil {
				m = two.Encode()
			}
			n := h.NewMachine(false)
			_, err := n.RestoreBackup(g, m)
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("got error %v, want %v, saying %q", err, tt.want, tt.says)
			}
			if d, err := format.Decode(m); err == nil && tt.name != "another epoch" { // the running core finds the same
				if _, err := h.CheckBackup(g, d); err == nil && g[pack] != nil {
					t.Error("the check finds nothing")
				}
			}
			if _, err := n.RestoreBackup(f, two.Encode()); err != nil { // nothing was written
				t.Errorf("the folder is not clean: %v", err)
			}
			if _, err := n.RestoreBackup(f, two.Encode()); err == nil || !strings.Contains(err.Error(), "already") {
				t.Errorf("into a folder with a log: got error %v", err)
			}
		})
	}
	_, err := h.D.BackupOpen(t.Context(), message.BackupOpen{Manifest: theirs.Encode()})
	wantKind(t, "a folder of another domain", err, problem.Malformed)
}

// Even what the domain has sealed and signed itself is believed only as far as it follows from its log.
func TestForgedPacks(t *testing.T) {
	t.Parallel()
	h := domaintest.New(t, domaintest.Options{})
	h.Wallet("first", domaintest.Chain, request.SchemeEVM)
	h.Wallet("second", domaintest.Chain, request.SchemeEVM)
	f := domaintest.Folder{}
	m := mustBackUp(t, h, f)
	for _, tt := range []struct {
		name   string
		change func(*format.Content)
		says   string
	}{
		{"a blob is missing", func(c *format.Content) { c.Blobs = c.Blobs[1:] }, "is in none of the packs"},
		{"a blob is there twice", func(c *format.Content) { c.Blobs = append(c.Blobs, c.Blobs[0]) }, "twice"},
		{"a blob under another key", func(c *format.Content) { c.Blobs[0].Key, c.Blobs[1].Key = c.Blobs[1].Key, c.Blobs[0].Key }, "blob has key"},
		{"an altered blob", func(c *format.Content) {
			c.Blobs[0].Blob = bytes.Clone(c.Blobs[0].Blob)
			c.Blobs[0].Blob[len(c.Blobs[0].Blob)-1] ^= 1
		}, "does not open"},
		{"an altered body", func(c *format.Content) { c.Records[2].Bodies[0] = bytes.Clone(c.Records[1].Bodies[0]) }, "entry 2"},
		{"entries in another order", func(c *format.Content) { c.Records[1], c.Records[2] = c.Records[2], c.Records[1] }, "entry 1"},
		{"another first entry", func(c *format.Content) { c.Records[0] = c.Records[1] }, "begins domain"},
	} {
		file, p, err := h.D.ForgePack(m.Packs[0], f[m.Packs[0].Name()], tt.change)
		if err != nil {
			t.Fatal(err)
		}
		forged := *m
		forged.Packs = []format.Pack{p}
		forged.Signature = h.D.SignIdentity(forged.Message())
		g := domaintest.Folder{p.Name(): file}
		_, err = h.NewMachine(false).RestoreBackup(g, forged.Encode())
		_, checked := h.CheckBackup(g, &forged)
		if err == nil || checked == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(checked.Error(), tt.says) {
			t.Errorf("%s: got errors %v and %v, want one saying %q", tt.name, err, checked, tt.says)
		}
	}
}
