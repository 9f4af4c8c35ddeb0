// SPDX-License-Identifier: Apache-2.0

package logtest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom/internal/core/auditlog"
)

// Run checks a store against the contract of [auditlog.Store]. fresh makes an empty store and gives a function that opens it: each call
// is another handle, as of another process. The suite closes the handles.
func Run(t *testing.T, fresh func(t *testing.T) (open func() (auditlog.Store, error))) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, func(*testing.T) auditlog.Store)
	}{
		{"empty", testEmpty}, {"epochs", testEpochs}, {"append and read", testAppendRead}, {"refusals", testRefusals},
		{"reopen", testReopen}, {"two handles", testTwoHandles}, {"one epoch, two handles", testOneEpoch},
		{"take over", testTakeOver}, {"race to take over", testTakeOverRace}, {"truncate", testTruncate},
		{"reader sees truncation", testReaderTruncate}, {"cancelled", testCancelled}, {"concurrent", testConcurrent},
		{"against a model", testModel}, {"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			open := fresh(t)
			c.run(t, func(t *testing.T) auditlog.Store {
				t.Helper()
				s, err := open()
				if err != nil {
					t.Fatalf("open: %v", err)
				}
				t.Cleanup(func() { _ = s.Close() }) // twice where the test closes it
				return s
			})
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func wantHead(t *testing.T, s auditlog.Store, size, writer uint64) {
	t.Helper()
	gotSize, gotWriter, err := s.Head(t.Context())
	must(t, err)
	if gotSize != size || gotWriter != writer {
		t.Fatalf("head is %d of writer %d, want %d of %d", gotSize, gotWriter, size, writer)
	}
}

// wantRecords requires that the store has just these records, read in chunks of most.
func wantRecords(t *testing.T, s auditlog.Store, want []auditlog.Record, most int) {
	t.Helper()
	for from := 0; from < len(want); {
		got, err := s.Read(t.Context(), uint64(from), most)
		must(t, err)
		if len(got) == 0 || len(got) > most {
			t.Fatalf("read at %d of %d gave %d records, at most %d were asked for", from, len(want), len(got), most)
		}
		for i, r := range got {
			if !Equal(r, want[from+i]) {
				t.Fatalf("record %d is not what was appended", from+i)
			}
		}
		from += len(got)
	}
	for _, from := range []uint64{uint64(len(want)), uint64(len(want)) + 1000} {
		if got, err := s.Read(t.Context(), from, most); err != nil || len(got) != 0 {
			t.Fatalf("read at %d, beyond the end: %d records, %v", from, len(got), err)
		}
	}
}

func testEmpty(t *testing.T, open func(*testing.T) auditlog.Store) {
	s := open(t)
	wantHead(t, s, 0, 0)
	wantRecords(t, s, nil, 10)
	if s.Where(0) == "" {
		t.Fatal("no place for record 0")
	}
}

func testEpochs(t *testing.T, open func(*testing.T) auditlog.Store) {
	s, recs := open(t), Chain([32]byte{}, 0, 1)
	wantErr(t, s.Append(t.Context(), 0, 0, recs), auditlog.ErrLostWriter)
	wantErr(t, s.Append(t.Context(), 1, 0, recs), auditlog.ErrLostWriter)
	wantErr(t, s.Truncate(t.Context(), 0, 0), auditlog.ErrLostWriter)
	wantErr(t, s.TakeWriter(t.Context(), 1, 2), auditlog.ErrLostWriter)
	for _, to := range []uint64{0, 1} {
		if s.TakeWriter(t.Context(), 1, to) == nil {
			t.Fatalf("epoch went from 1 to %d", to)
		}
	}
	must(t, s.TakeWriter(t.Context(), 0, 1))
	wantErr(t, s.TakeWriter(t.Context(), 0, 1), auditlog.ErrLostWriter)
	must(t, s.Append(t.Context(), 1, 0, recs))
	must(t, s.TakeWriter(t.Context(), 1, 7))
	wantErr(t, s.Append(t.Context(), 1, 1, Chain([32]byte{}, 1, 1)), auditlog.ErrLostWriter)
	wantErr(t, s.Append(t.Context(), 8, 1, Chain([32]byte{}, 1, 1)), auditlog.ErrLostWriter)
	must(t, s.Append(t.Context(), 7, 1, Chain([32]byte{}, 1, 1)))
	wantHead(t, s, 2, 7)
}

func testAppendRead(t *testing.T, open func(*testing.T) auditlog.Store) {
	s := open(t)
	must(t, s.TakeWriter(t.Context(), 0, 1))
	many := make([][]byte, auditlog.MaxBodies)
	recs := []auditlog.Record{
		{Leaf: []byte("leaf alone")},
		{},
		{Leaf: []byte{0}, Bodies: [][]byte{nil, {}, {0}}},
		{Leaf: bytes.Repeat([]byte{7}, auditlog.MaxLeaf)},
		{Leaf: []byte("large"), Bodies: [][]byte{bytes.Repeat([]byte("0123456789abcdef"), 3<<16)}},
		{Leaf: []byte("many"), Bodies: many},
	}
	recs = append(recs, Chain([32]byte{}, 6, 300)...)
	must(t, s.Append(t.Context(), 1, 0, recs[:1]))
	must(t, s.Append(t.Context(), 1, 1, nil))
	must(t, s.Append(t.Context(), 1, 1, recs[1:]))
	wantHead(t, s, uint64(len(recs)), 1)
	for _, most := range []int{1, 2, 63, 64, 65, 100000} {
		wantRecords(t, s, recs, most)
	}
	if got, err := s.Read(t.Context(), 0, 0); err != nil || len(got) != 0 {
		t.Fatalf("read of at most 0: %d records, %v", len(got), err)
	}
	if a, b := s.Where(0), s.Where(5); a == b || a == "" {
		t.Fatalf("places of records 0 and 5: %q and %q", a, b)
	}
}

func testRefusals(t *testing.T, open func(*testing.T) auditlog.Store) {
	s, recs := open(t), Chain([32]byte{}, 0, 3)
	must(t, s.TakeWriter(t.Context(), 0, 1))
	must(t, s.Append(t.Context(), 1, 0, recs[:2]))
	for _, first := range []uint64{0, 1, 3, 1 << 40} {
		wantErr(t, s.Append(t.Context(), 1, first, recs[2:]), auditlog.ErrHeadMoved)
	}
	for name, r := range map[string]auditlog.Record{
		"leaf":   {Leaf: make([]byte, auditlog.MaxLeaf+1)},
		"bodies": {Bodies: make([][]byte, auditlog.MaxBodies+1)},
		"total":  {Bodies: [][]byte{make([]byte, auditlog.MaxRecord+1)}},
	} {
		if err := s.Append(t.Context(), 1, 2, []auditlog.Record{recs[2], r}); !errors.Is(err, auditlog.ErrTooLarge) {
			t.Fatalf("%s: %v, want ErrTooLarge", name, err)
		}
	}
	wantErr(t, s.Truncate(t.Context(), 1, 3), auditlog.ErrHeadMoved)
	wantErr(t, s.Truncate(t.Context(), 2, 1), auditlog.ErrLostWriter)
	wantRecords(t, s, recs[:2], 10)
	must(t, s.Append(t.Context(), 1, 2, recs[2:])) // a refusal is no failure
	wantRecords(t, s, recs, 10)
}

func testReopen(t *testing.T, open func(*testing.T) auditlog.Store) {
	recs := Chain([32]byte{}, 0, 50)
	for i := 0; i < len(recs); i += 5 {
		s := open(t)
		if i == 0 {
			must(t, s.TakeWriter(t.Context(), 0, 1))
		}
		wantHead(t, s, uint64(i), 1)
		must(t, s.Append(t.Context(), 1, uint64(i), recs[i:i+5]))
		must(t, s.Close())
	}
	s := open(t)
	wantHead(t, s, 50, 1)
	wantRecords(t, s, recs, 7)
}

func testTwoHandles(t *testing.T, open func(*testing.T) auditlog.Store) {
	w, r := open(t), open(t)
	recs := Chain([32]byte{}, 0, 40)
	must(t, w.TakeWriter(t.Context(), 0, 1))
	for i := range recs {
		must(t, w.Append(t.Context(), 1, uint64(i), recs[i:i+1]))
		got, err := r.Read(t.Context(), uint64(i), 10) // without asking for the head first
		must(t, err)
		if len(got) != 1 || !Equal(got[0], recs[i]) {
			t.Fatalf("reader got %d records at %d", len(got), i)
		}
		wantHead(t, r, uint64(i+1), 1)
	}
	wantRecords(t, r, recs, 100)
}

func testOneEpoch(t *testing.T, open func(*testing.T) auditlog.Store) {
	a, b := open(t), open(t)
	recs := Chain([32]byte{}, 0, 4)
	must(t, a.TakeWriter(t.Context(), 0, 1))
	must(t, a.Append(t.Context(), 1, 0, recs[:2]))
	err := b.Append(t.Context(), 1, 0, Chain([32]byte{1}, 0, 1))
	if !errors.Is(err, auditlog.ErrHeadMoved) && !errors.Is(err, auditlog.ErrLostWriter) {
		t.Fatalf("a second handle wrote over the first: %v", err)
	}
	must(t, a.Append(t.Context(), 1, 2, recs[2:]))
	wantRecords(t, a, recs, 10)
	wantRecords(t, b, recs, 10)
}

func testTakeOver(t *testing.T, open func(*testing.T) auditlog.Store) {
	a, b := open(t), open(t)
	recs := Chain([32]byte{}, 0, 9)
	must(t, a.TakeWriter(t.Context(), 0, 1))
	must(t, a.Append(t.Context(), 1, 0, recs[:4]))
	wantHead(t, b, 4, 1)
	must(t, b.TakeWriter(t.Context(), 1, 2))
	wantErr(t, a.Append(t.Context(), 1, 4, Chain([32]byte{9}, 4, 1)), auditlog.ErrLostWriter)
	wantErr(t, a.Truncate(t.Context(), 1, 0), auditlog.ErrLostWriter)
	must(t, b.Truncate(t.Context(), 2, 3))
	must(t, b.Append(t.Context(), 2, 3, recs[3:]))
	wantErr(t, a.Append(t.Context(), 1, 9, Chain([32]byte{9}, 9, 1)), auditlog.ErrLostWriter)
	wantRecords(t, b, recs, 4)
	wantHead(t, b, 9, 2)
	c := open(t)
	wantHead(t, c, 9, 2)
	wantRecords(t, c, recs, 4)
}

func testTakeOverRace(t *testing.T, open func(*testing.T) auditlog.Store) {
	const handles = 8
	var won atomic.Uint64
	var wg sync.WaitGroup
	for i := range handles {
		s := open(t)
		wg.Go(func() {
			switch err := s.TakeWriter(t.Context(), 0, uint64(i+1)); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, auditlog.ErrLostWriter):
				t.Errorf("handle %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d handles took epoch 0 over", won.Load())
	}
}

func testTruncate(t *testing.T, open func(*testing.T) auditlog.Store) {
	s := open(t)
	must(t, s.TakeWriter(t.Context(), 0, 1))
	var have []auditlog.Record
	for _, size := range []int{200, 199, 130, 129, 128, 127, 64, 3, 1, 0} {
		grown := Chain([32]byte{byte(size)}, uint64(len(have)), 200-len(have)) // other bytes than before
		must(t, s.Append(t.Context(), 1, uint64(len(have)), grown))
		have = append(have, grown...)
		must(t, s.Truncate(t.Context(), 1, uint64(size)))
		have = have[:size]
		wantHead(t, s, uint64(size), 1)
		wantRecords(t, s, have, 50)
		must(t, s.Close())
		s = open(t)
		wantHead(t, s, uint64(size), 1)
		wantRecords(t, s, have, 50)
	}
}

func testReaderTruncate(t *testing.T, open func(*testing.T) auditlog.Store) {
	w, r := open(t), open(t)
	must(t, w.TakeWriter(t.Context(), 0, 1))
	recs := Chain([32]byte{}, 0, 20)
	must(t, w.Append(t.Context(), 1, 0, recs))
	wantRecords(t, r, recs, 100)
	must(t, w.Truncate(t.Context(), 1, 10))
	wantHead(t, r, 10, 1)
	wantRecords(t, r, recs[:10], 100)
	other := append(recs[:10:10], Chain([32]byte{5}, 10, 30)...)
	must(t, w.Append(t.Context(), 1, 10, other[10:]))
	wantHead(t, r, 40, 1)
	wantRecords(t, r, other, 100)
}

func testCancelled(t *testing.T, open func(*testing.T) auditlog.Store) {
	s := open(t)
	must(t, s.TakeWriter(t.Context(), 0, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, s.Append(ctx, 1, 0, Chain([32]byte{}, 0, 1)), context.Canceled)
	wantErr(t, s.TakeWriter(ctx, 1, 2), context.Canceled)
	wantErr(t, s.Truncate(ctx, 1, 0), context.Canceled)
	_, err := s.Read(ctx, 0, 1)
	wantErr(t, err, context.Canceled)
	_, _, err = s.Head(ctx)
	wantErr(t, err, context.Canceled)
	wantHead(t, s, 0, 1)
	must(t, s.Append(t.Context(), 1, 0, Chain([32]byte{}, 0, 1)))
}

func testConcurrent(t *testing.T, open func(*testing.T) auditlog.Store) {
	s, other := open(t), open(t)
	must(t, s.TakeWriter(t.Context(), 0, 1))
	recs := Chain([32]byte{}, 0, 400)
	done := make(chan struct{})
	var wg sync.WaitGroup
	for i, h := range []auditlog.Store{s, s, other} {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 1))
			for {
				select {
				case <-done:
					return
				default:
				}
				size, _, err := h.Head(t.Context())
				if err != nil {
					t.Errorf("head: %v", err)
					return
				}
				from := r.Uint64N(size + 1)
				got, err := h.Read(t.Context(), from, 50)
				if err != nil {
					t.Errorf("read at %d: %v", from, err)
					return
				}
				if from < size && len(got) == 0 {
					t.Errorf("read at %d of %d gave nothing", from, size)
				}
				for j := range got {
					if !Equal(got[j], recs[from+uint64(j)]) {
						t.Errorf("record %d is not what was appended", from+uint64(j))
						return
					}
				}
			}
		})
	}
	for i := 0; i < len(recs); i += 4 {
		must(t, s.Append(t.Context(), 1, uint64(i), recs[i:i+4]))
	}
	close(done)
	wg.Wait()
	wantRecords(t, other, recs, 1000)
}

func testModel(t *testing.T, open func(*testing.T) auditlog.Store) {
	r := rand.New(rand.NewPCG(20, 26))
	s := open(t)
	var model []auditlog.Record
	epoch := uint64(0)
	for step := range 250 {
		switch p := r.IntN(20); {
		case epoch == 0 || p == 0:
			next := epoch + 1 + r.Uint64N(3)
			must(t, s.TakeWriter(t.Context(), epoch, next))
			epoch = next
		case p == 1:
			must(t, s.Close())
			s = open(t)
		case p < 4:
			size := r.IntN(len(model) + 1)
			must(t, s.Truncate(t.Context(), epoch, uint64(size)))
			model = model[:size:size]
		case p < 14:
			add := Chain([32]byte{byte(step)}, uint64(len(model)), r.IntN(30))
			must(t, s.Append(t.Context(), epoch, uint64(len(model)), add))
			model = append(model, add...)
		default:
			from, most := r.IntN(len(model)+2), 1+r.IntN(100)
			got, err := s.Read(t.Context(), uint64(from), most)
			must(t, err)
			if len(got) == 0 && from < len(model) || len(got) > most {
				t.Fatalf("step %d: read at %d of %d gave %d records", step, from, len(model), len(got))
			}
			for i := range got {
				if !Equal(got[i], model[from+i]) {
					t.Fatalf("step %d: record %d is not what was appended", step, from+i)
				}
			}
		}
		wantHead(t, s, uint64(len(model)), epoch)
	}
	wantRecords(t, s, model, 64)
}

func testClosed(t *testing.T, open func(*testing.T) auditlog.Store) {
	s := open(t)
	must(t, s.TakeWriter(t.Context(), 0, 1))
	must(t, s.Append(t.Context(), 1, 0, Chain([32]byte{}, 0, 1)))
	must(t, s.Close())
	if s.Append(t.Context(), 1, 1, Chain([32]byte{}, 1, 1)) == nil {
		t.Fatal("a closed handle appended")
	}
	if _, err := s.Read(t.Context(), 0, 1); err == nil {
		t.Fatal("a closed handle read")
	}
}
