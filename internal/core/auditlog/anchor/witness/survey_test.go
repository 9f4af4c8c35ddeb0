// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"slices"
	"testing"
	"time"

	"strongroom/internal/core/auditlog/anchor/file"
	"strongroom/internal/core/auditlog/anchor/witness"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/pure/tlog"
)

// patience is how long a survey waits for witnesses that never answer; those that do, do so at once.
const patience = 600 * time.Millisecond

// surveyed asks the witnesses of a world about a head of a tree, after n entries were pinned with all of them.
func (w *world) surveyed(tr tree, pinned, head int) witness.Survey {
	w.t.Helper()
	open := func() *witness.Anchor {
		local, err := file.Open(disktest.New())
		must(w.t, err)
		a, err := witness.Open(witness.Config{Local: local, Witnesses: w.set(0), Relay: w, Log: quiet, Retry: time.Millisecond})
		must(w.t, err)
		a.Bind(tr.binding(w.t))
		return a
	}
	if pinned > 0 {
		a := open()
		_, err := a.Read(w.t.Context())
		if err == nil {
			w.t.Fatal("there is a pin already")
		}
		must(w.t, a.Pin(w.t.Context(), tr.pin(w.t, pinned)))
		must(w.t, a.Close())
	}
	a := open()
	p := tr.pin(w.t, head)
	key, _ := logKey(w.t)
	c, err := tlog.OpenCheckpoint(p.Checkpoint, key)
	must(w.t, err)
	s, err := a.Ask(w.t.Context(), c, patience)
	must(w.t, err)
	must(w.t, a.Close())
	return s
}

// proven gives the largest size that what was heard proves with the log's own signature.
func (w *world) proven(s witness.Survey) (most uint64) {
	key, _ := logKey(w.t)
	for _, h := range s.Heard {
		if c, _, err := tlog.OpenExtended(h.Latest, key); err == nil {
			most = max(most, c.Size)
		}
	}
	return most
}

// A head that all or a majority knows is confirmed, freshly: by a quorum of lines over a text that no witness has seen before.
func TestSurveyConfirms(t *testing.T) {
	t.Parallel()
	tr := leaves(16)
	for name, gone := range map[string][]string{"all": nil, "one is gone": {"w3"}} {
		w := newWorld(t, 3)
		s := w.surveyed(tr, 5, 5)
		w.interfere(down, gone...)
		again := w.surveyed(tr, 0, 5)
		if len(s.Confirmed) == 0 || len(again.Confirmed) == 0 || slices.Equal(s.Confirmed, again.Confirmed) || w.proven(again) != 5 {
			t.Errorf("%s: confirmed by %+v, then by %+v", name, s, again)
		}
		key, _ := logKey(t)
		_, text, err := tlog.OpenExtended(again.Confirmed, key)
		must(t, err)
		n := 0
		for _, x := range w.set(0).All() {
			if _, _, err := tlog.FindCosignature(again.Confirmed[len(text)+1:], text, x.Key); err == nil {
				n++
			}
		}
		if n != 3-len(gone) {
			t.Errorf("%s: %d lines verify", name, n)
		}
	}
}

// A head that is behind is not confirmed, and one honest witness is enough to prove it, whatever the others say, and if they say nothing.
func TestSurveyOfALogThatIsBehind(t *testing.T) {
	t.Parallel()
	tr := leaves(16)
	for name, lie := range liars(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			w.surveyed(tr, 9, 9)
			w.interfere(lie, "w1", "w2")
			s := w.surveyed(tr, 0, 5)
			if len(s.Confirmed) != 0 || w.proven(s) != 9 {
				t.Errorf("confirmed %q; proven %d", s.Confirmed, w.proven(s))
			}
			if s.Heard[2].Cosigned || s.Heard[2].Said == "" {
				t.Errorf("w3: %+v", s.Heard[2])
			}
		})
	}
}

// A minority that lies can't keep a head from being confirmed, nor have a larger one believed.
func TestSurveyWithOneLiar(t *testing.T) {
	t.Parallel()
	tr := leaves(16)
	for name, lie := range liars(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 3)
			w.surveyed(tr, 5, 5)
			w.interfere(lie, "w1")
			if s := w.surveyed(tr, 0, 5); len(s.Confirmed) == 0 || w.proven(s) != 5 || s.Heard[0].Cosigned {
				t.Errorf("%+v", s)
			}
		})
	}
}

// Without a quorum nothing is confirmed, and who is missing is said.
func TestSurveyWithoutAQuorum(t *testing.T) {
	t.Parallel()
	tr := leaves(16)
	w := newWorld(t, 3)
	w.surveyed(tr, 5, 5)
	w.interfere(down, "w1", "w2")
	s := w.surveyed(tr, 0, 5)
	if len(s.Confirmed) != 0 || s.Heard[0].Said == "" || s.Heard[1].Said == "" || !s.Heard[2].Cosigned {
		t.Errorf("%+v", s)
	}
	w.interfere(down, "w3")
	if s := w.surveyed(tr, 0, 5); len(s.Confirmed) != 0 || w.proven(s) != 0 {
		t.Errorf("nobody answers: %+v", s)
	}
}
