// SPDX-License-Identifier: Apache-2.0

package offline

import (
	"errors"
	"fmt"
	"slices"
)

// MaxAnchored is how many entries of one import may have begun incarnations of the authority's log.
const MaxAnchored = 100

// Incarnation is that of the authority's log, as far as imports tell; 1 at least.
func (s *State) Incarnation() uint64 { return s.incarnation }

// Anchored gives what began an incarnation of the authority's log that was imported, also one that was lost since.
func (s *State) Anchored(incarnation uint64) (Anchored, bool) {
	for _, a := range s.anchors {
		if a.Incarnation == incarnation {
			return a, true
		}
	}
	return Anchored{}, false
}

// Imported gives the import of so many entries, if there is one whose entries are not lost.
func (s *State) Imported(size uint64) (Import, bool) {
	i, ok := slices.BinarySearchFunc(s.imports, size, func(x Import, n uint64) int {
		switch {
		case x.Size < n:
			return -1
		case x.Size > n:
			return 1
		default:
			return 0
		}
	})
	if !ok {
		return Import{}, false
	}
	return s.imports[i], true
}

// Lost gives the permits that were recorded here and whose entries the authority's log has lost, in the order in which they were lost.
func (s *State) Lost() []Permitted { return slices.Clone(s.lost) }

// checkAgain says whether the authority's log can have been re-anchored as an import says.
func (s *State) checkAgain(b *Import) error {
	a := b.Again
	if a == nil {
		return nil
	}
	if len(a.Entries) == 0 || len(a.Entries) > MaxAnchored {
		return fmt.Errorf("%d entries re-anchor the authority's log, not 1 to %d", len(a.Entries), MaxAnchored)
	}
	first := a.Entries[0]
	switch {
	case first.Incarnation <= s.incarnation:
		return fmt.Errorf("incarnation %d of the authority's log came after incarnation %d", first.Incarnation, s.incarnation)
	case first.Entry == 0 || a.Kept != min(first.Entry, s.Import.Size):
		return fmt.Errorf("re-anchored in entry %d, the authority's log still has %d of the %d entries that were imported", first.Entry, a.Kept, s.Import.Size)
	}
	for i, x := range a.Entries {
		if x.Entry >= b.Size || i > 0 && (x.Entry <= a.Entries[i-1].Entry || x.Incarnation <= a.Entries[i-1].Incarnation) {
			return errors.New("the entries that re-anchor the authority's log are out of order, or beyond its end")
		}
	}
	return nil
}

// reanchor takes it that the authority's log was re-anchored. What was done under entries that are lost stays done; their numbers are free for
// other entries.
func (s *State) reanchor(a *Reanchored) {
	s.anchors = append(s.anchors, a.Entries...)
	s.incarnation = a.Entries[len(a.Entries)-1].Incarnation
	s.imports = slices.DeleteFunc(s.imports, func(i Import) bool { return i.Size > a.Kept })
	for _, p := range s.Permits() {
		if p.Entry < a.Kept {
			continue
		}
		units, _ := unitsOf(p.Slot)
		for _, u := range units {
			was := s.used[u]
			was.last = true
			s.used[u] = was
		}
		delete(s.permits, p.Entry)
		s.lost = append(s.lost, p)
	}
	for at, x := range s.closed {
		if at < a.Kept {
			continue
		}
		units, _ := unitsOf(x.Slot)
		for _, u := range units {
			was := s.used[u]
			was.last = true
			s.used[u] = was
		}
		delete(s.closed, at)
	}
	for at := range s.moves {
		if at >= a.Kept {
			delete(s.moves, at)
		}
	}
	for id, h := range s.held {
		if h.Entry >= a.Kept {
			h.Entry, h.Lost = a.Kept, true // the entry that re-anchored: every move from now on is later
			s.held[id] = h
		}
	}
}
