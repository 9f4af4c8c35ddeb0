// SPDX-License-Identifier: Apache-2.0

package offline_test

import (
	"bytes"
	"io"
	"testing"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/entry"
	"strongroom/internal/pure/offline"
)

func head() offline.Bundle {
	return offline.Bundle{V: 1, Authority: authorityID, Offline: custody.DomainID{2}, Number: 1, Size: 5, Checkpoint: []byte("checkpoint"), NotAfter: 7, Reply: make([]byte, offline.PublicSize),
		Known: 1, Signature: make([]byte, 64)}
}

func answer() offline.Answer {
	return offline.Answer{V: 1, Authority: authorityID, Offline: custody.DomainID{2}, From: 1, Size: 3, Checkpoint: []byte("checkpoint"), Signature: make([]byte, 64)}
}

// What is read has the one encoding that it came in.
func FuzzHeads(f *testing.F) {
	f.Add(head().Encode())
	f.Add(answer().Encode())
	f.Add(offline.Confirmation{V: 1, Permits: []offline.Confirmed{{Entry: 1}}}.Encode())
	f.Add(offline.Confirmation{V: 1, Permits: []offline.Confirmed{}, SetBack: &offline.SetBack{From: 1, To: 2}}.Encode())
	f.Add(offline.Record{Leaf: []byte{1}, Salt: make([]byte, 16), Body: []byte{2}}.Encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if x, err := offline.DecodeBundle(b); err == nil && !bytes.Equal(x.Encode(), b) {
			t.Fatal("bundle")
		}
		if x, err := offline.DecodeAnswer(b); err == nil && !bytes.Equal(x.Encode(), b) {
			t.Fatal("answer")
		}
		if x, err := offline.DecodeConfirmation(b); err == nil && !bytes.Equal(x.Encode(), b) {
			t.Fatal("confirmation")
		}
		if x, err := offline.DecodeRecord(b); err == nil {
			if !bytes.Equal(x.Encode(), b) {
				t.Fatal("record")
			}
			_, _, _ = x.Open()
			_, _ = offline.OpenGenesis(x)
		}
	})
}

// What is read of a row of items is written to the same bytes again.
func FuzzContent(f *testing.F) {
	var seed bytes.Buffer
	w, err := offline.NewWriter(&seed, []byte("head"))
	if err != nil {
		f.Fatal(err)
	}
	if w.Record(offline.Record{Leaf: []byte{1}, Salt: make([]byte, 16), Body: []byte{2}}) != nil || w.Copy([]byte("copy")) != nil || w.End() != nil {
		f.Fatal("not written")
	}
	f.Add(seed.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := offline.NewReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		w, err := offline.NewWriter(&again, in.Head)
		if err != nil {
			t.Fatal(err)
		}
		for {
			r, c, err := in.Next()
			if err != nil {
				return
			}
			switch {
			case r != nil:
				err = w.Record(*r)
			case c != nil:
				err = w.Copy(c)
			default:
				if err := w.End(); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(again.Bytes(), b) {
					t.Fatal("another encoding was read")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

// No entry that is read breaks the fold, and none that is refused changes it.
func FuzzApply(f *testing.F) {
	kinds := []entry.Kind{offline.KindImport, offline.KindRecovery, offline.KindPermit, offline.KindResult, offline.KindMovedIn, offline.KindMovedOut, offline.KindRefusal, offline.KindZeroized,
		offline.KindRestored, entry.KindWriter, offline.KindGenesis, offline.KindCaughtUp, offline.KindClosed}
	for i, b := range []any{offline.Import{Number: 4, Size: 60, Time: 1}, offline.Recovery{}, offline.Permit{Entry: 1}, offline.Result{Entry: 1}, offline.MovedIn{Wallet: "w"}, offline.MovedOut{Wallet: "w"},
		offline.Refusal{Kind: "x", Detail: "d"}, offline.Zeroized{Cause: "c"}, offline.Restored{Epoch: 1}, entry.Writer{Epoch: 2}, *genesis(),
		*newWorld(f).caughtUp(1), offline.Closed{Slots: []offline.ClosedSlot{{Attempt: 1, Slot: entry.Slot{Account: "a"}}}}} {
		f.Add(uint8(i), canon.Encode(b))
	}
	f.Fuzz(func(t *testing.T, n uint8, enc []byte) {
		w := newWorld(t)
		w.imported()
		w.must(w.movedIn("cold", 4, key1, key2))
		kind := kinds[int(n)%len(kinds)]
		body, err := offline.DecodeBody(kind, 1, enc)
		if err != nil {
			return
		}
		if !bytes.Equal(canon.Encode(body), enc) {
			t.Fatal("another encoding was read")
		}
		before, size := w.Import, len(w.Permits())
		if err := w.try(body, nil); err != nil && (w.Import != before || len(w.Permits()) != size || len(w.Wallets()) != 1 || w.Zeroized) {
			t.Fatal("a refused entry changes the state")
		}
	})
}

func TestHeadsRefused(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*offline.Bundle){
		"version":    func(b *offline.Bundle) { b.V = 2 },
		"number":     func(b *offline.Bundle) { b.Number = 0 },
		"from":       func(b *offline.Bundle) { b.From = 6 },
		"size":       func(b *offline.Bundle) { b.Size = 0 },
		"reply":      func(b *offline.Bundle) { b.Reply = nil },
		"signature":  func(b *offline.Bundle) { b.Signature = nil },
		"end":        func(b *offline.Bundle) { b.NotAfter = 0 },
		"known":      func(b *offline.Bundle) { b.Known = 0 },
		"checkpoint": func(b *offline.Bundle) { b.Checkpoint = make([]byte, offline.MaxHead) },
	} {
		b := head()
		spoil(&b)
		if _, err := offline.DecodeBundle(b.Encode()); err == nil {
			t.Errorf("bundle, %s: read", name)
		}
	}
	for name, spoil := range map[string]func(*offline.Answer){
		"version":   func(b *offline.Answer) { b.V = 2 },
		"from":      func(b *offline.Answer) { b.From = 4 },
		"genesis":   func(b *offline.Answer) { b.From = 0 },
		"signature": func(b *offline.Answer) { b.Signature = nil },
	} {
		a := answer()
		spoil(&a)
		if _, err := offline.DecodeAnswer(a.Encode()); err == nil {
			t.Errorf("answer, %s: read", name)
		}
	}
	if _, err := offline.NewReader(io.LimitReader(bytes.NewReader(make([]byte, 100)), 100)); err == nil {
		t.Error("zeros are a head")
	}
}

// A bundle's end is at most a day after its checkpoint, by the stricter side of the clock.
func TestFresh(t *testing.T) {
	t.Parallel()
	const at = int64(1_000_000)
	b := head()
	b.NotAfter = at + offline.MaxAge
	for name, x := range map[string]struct {
		now, bound, end int64
		want            bool
	}{
		"at once":             {at * second, 0, b.NotAfter, true},
		"at the end":          {b.NotAfter * second, 0, b.NotAfter, true},
		"a moment later":      {b.NotAfter*second + 1, 0, b.NotAfter, false},
		"perhaps later":       {b.NotAfter*second - 5, 6, b.NotAfter, false},
		"before":              {at*second - 1, 0, b.NotAfter, false},
		"perhaps not before":  {at*second - 1, 1, b.NotAfter, true},
		"longer than allowed": {at * second, 0, b.NotAfter + 1, false},
	} {
		b.NotAfter = x.end
		if err := b.Fresh(x.now, x.bound, at); (err == nil) != x.want {
			t.Errorf("%s: %v", name, err)
		}
		b.NotAfter = at + offline.MaxAge
	}
}
