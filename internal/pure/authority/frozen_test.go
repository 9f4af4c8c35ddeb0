// SPDX-License-Identifier: Apache-2.0

package authority_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/entry"
)

// frozenLog is a whole log in clear with the root of the state after each entry. securedomain's TestEverythingInOneLog makes one for a
// release.
type frozenLog struct {
	Entries []struct {
		Leaf   []byte `cbor:"1,keyasint"`
		Bodies []struct {
			Salt     []byte `cbor:"1,keyasint"`
			Body     []byte `cbor:"2,keyasint"`
			Shredded bool   `cbor:"3,keyasint,omitempty"`
		} `cbor:"2,keyasint"`
	} `cbor:"1,keyasint"`
	Roots [][32]byte `cbor:"2,keyasint"`
}

// frozenKinds are the kinds of entries that each log was made for.
var frozenKinds = map[string][]entry.Kind{
	"log-1.cbor": {entry.KindGenesis, entry.KindRequest, entry.KindApproval, entry.KindPermit, entry.KindResult, entry.KindRefusal, entry.KindEffect, entry.KindSession, entry.KindSnapshot, entry.KindWriter,
		entry.KindReencipher, entry.KindErased, entry.KindTamper},
	"log-2.cbor": {entry.KindUses}, // keys for applications
}

// The logs of every release apply and audit for ever, with the same roots; and a start from the middle goes on the same way.
func TestFrozenLogs(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/frozen/log-*.cbor")
	if err != nil || len(files) < len(frozenKinds) {
		t.Fatalf("%d frozen logs, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			var f frozenLog
			if err := canon.Decode(b, &f); err != nil {
				t.Fatal(err)
			}
			kinds := replay(t, f)
			for _, k := range frozenKinds[filepath.Base(name)] {
				if kinds[k] == 0 {
					t.Errorf("the log has no entry of kind %q", k)
				}
			}
		})
	}
}

func replay(t *testing.T, f frozenLog) map[entry.Kind]int {
	t.Helper()
	s := authority.New()
	var bodies []any
	kinds := map[entry.Kind]int{}
	history := func(seq uint64) (any, error) {
		if seq >= uint64(len(bodies)) {
			return nil, fmt.Errorf("entry %d is not there yet", seq)
		}
		return bodies[seq], nil
	}
	for i, e := range f.Entries {
		l, err := entry.DecodeLeaf(e.Leaf)
		if err != nil || string(l.Encode()) != string(e.Leaf) {
			t.Fatalf("entry %d: %v", i, err)
		}
		if err := entry.CheckBody(l.Bodies[0], [entry.SaltSize]byte(e.Bodies[0].Salt), e.Bodies[0].Body); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		body, err := authority.DecodeBody(l.Kind, l.KindVersion, e.Bodies[0].Body)
		if err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if u, ok := body.(*entry.Uses); ok {
			if err := errors.Join(entry.CheckBody(l.Bodies[1], [entry.SaltSize]byte(e.Bodies[1].Salt), e.Bodies[1].Body), u.CheckRecords(e.Bodies[1].Body)); err != nil {
				t.Fatalf("entry %d: %v", i, err)
			}
		}
		if err := s.Audit(l, body, authority.Derive, history); err != nil {
			t.Fatalf("entry %d does not audit: %v", i, err)
		}
		if err := s.Apply(l, entry.Hash(e.Leaf), body); err != nil {
			t.Fatalf("entry %d does not apply: %v", i, err)
		}
		if s.StateRoot() != f.Roots[i] {
			t.Fatalf("after entry %d (%s) the state has another root", i, l.Kind)
		}
		bodies = append(bodies, body)
		kinds[l.Kind]++
		if i%7 == 0 {
			s = restored(t, s)
		}
	}
	return kinds
}

func restored(t *testing.T, s *authority.State) *authority.State {
	t.Helper()
	var m authority.Image
	if err := canon.Decode(canon.Encode(s.Image()), &m); err != nil {
		t.Fatal(err)
	}
	chunks := s.Chunks()
	out, err := authority.Restore(m, func(h [32]byte) ([]byte, error) { return chunks[h], nil })
	if err != nil {
		t.Fatal(err)
	}
	return out
}
