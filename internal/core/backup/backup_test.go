// SPDX-License-Identifier: Apache-2.0

package backup

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"

	"strongroom/internal/core/domainkeys"
	format "strongroom/internal/pure/backup"
	"strongroom/internal/pure/custody"
	"strongroom/internal/secret"
)

func identity(t *testing.T) *domainkeys.Identity {
	t.Helper()
	a, err := secret.NewArena(secret.Config{Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := domainkeys.GenerateIdentity(a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ids.Wipe()
		if err := a.Close(); err != nil { // which finds what was not wiped
			t.Error(err)
		}
	})
	return ids
}

// resealed names a file as if the manifest had been forged too.
func resealed(p format.Pack, file []byte) format.Pack {
	p.Hash, p.Size = sha256.Sum256(file), uint64(len(file))
	return p
}

// A pack opens with its identity, as the pack of its domain and entries, with all of its pieces in order; and with nothing else.
func TestPackOpensInItsPlaceOnly(t *testing.T) {
	t.Parallel()
	ids := identity(t)
	domain := custody.DomainID{1}
	c := format.Content{Records: []format.Record{{Leaf: []byte("leaf"), Bodies: [][]byte{bytes.Repeat([]byte("body"), pieceSize/3)}}, {Leaf: []byte("another"), Bodies: [][]byte{{}}}}}
	file, p, err := Seal(ids, domain, 7, 9, c)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(ids, domain, p, file); err != nil || !reflect.DeepEqual(got, c) {
		t.Fatalf("it does not open as it was: %v", err)
	}
	if bytes.Contains(file, []byte("bodybody")) || bytes.Contains(file, []byte("leaf")) {
		t.Error("the content is in clear")
	}
	first := 4 + int(binary.BigEndian.Uint32(file))
	swapped := append(bytes.Clone(file[first:]), file[:first]...)
	other := p
	other.First, other.End = 8, 10
	longer := p
	longer.End++
	flipped := bytes.Clone(file)
	flipped[len(file)/2] ^= 1
	for _, tt := range []struct {
		name   string
		ids    *domainkeys.Identity
		domain custody.DomainID
		pack   format.Pack
		file   []byte
	}{
		{"another identity", identity(t), domain, p, file},
		{"another domain", ids, custody.DomainID{2}, p, file},
		{"other entries", ids, domain, other, file},
		{"more entries", ids, domain, longer, file},
		{"altered", ids, domain, p, flipped},
		{"altered, and the manifest too", ids, domain, resealed(p, flipped), flipped},
		{"pieces in another order", ids, domain, resealed(p, swapped), swapped},
		{"cut inside a piece", ids, domain, resealed(p, file[:len(file)-1]), file[:len(file)-1]},
		{"cut inside a length", ids, domain, resealed(p, file[:first+3]), file[:first+3]},
	} {
		if _, err := Open(tt.ids, tt.domain, tt.pack, tt.file); !errors.Is(err, ErrPack) {
			t.Errorf("%s: got error %v", tt.name, err)
		}
	}
	if _, err := Open(ids, domain, resealed(p, file[:first]), file[:first]); !errors.Is(err, format.ErrContent) {
		t.Errorf("without its last piece: got error %v", err)
	}
	few, q, err := Seal(ids, domain, 7, 9, format.Content{Records: c.Records[:1]})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(ids, domain, q, few); !errors.Is(err, format.ErrContent) {
		t.Errorf("with fewer entries than its name: got error %v", err)
	}
}
