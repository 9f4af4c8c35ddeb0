// SPDX-License-Identifier: Apache-2.0

package lawtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestRounds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		common int // the round from which on the common case comes about
		rare   int // the same of the rare one
		rounds int
		left   []string
	}{
		{"at once", 1, 1, 1, nil},
		{"after a while", 1, 4, 4, nil},
		{"in the last round", 2, Rounds, Rounds, nil},
		{"never", 1, Rounds + 1, Rounds, []string{"rare"}},
		{"nothing at all", Rounds + 1, Rounds + 1, Rounds, []string{"common", "rare"}},
	} {
		seen, rounds := Counts{}, 0
		left := check(seen.Want(1, "common", "rare"), func() {
			rounds++
			if rounds >= tt.common {
				seen["common"]++
			}
			if rounds >= tt.rare {
				seen["rare"]++
			}
		})
		if rounds != tt.rounds || !slices.Equal(left, tt.left) {
			t.Errorf("%s: %d rounds, left %q; want %d, %q", tt.name, rounds, left, tt.rounds, tt.left)
		}
	}
}

func TestWant(t *testing.T) {
	t.Parallel()
	seen := Counts{"nine": 9, "ten": 10, "eleven": 11}
	want := seen.Want(10, "nine", "ten", "eleven", "none")
	if got := want(); !slices.Equal(got, []string{"nine", "none"}) {
		t.Errorf("got %q", got)
	}
	seen["nine"], seen["none"] = 10, 12
	if got := want(); got != nil {
		t.Errorf("got %q", got)
	}
}

// A case that one round of any size misses is reached by those that follow.
func TestCheck(t *testing.T) {
	t.Parallel()
	seen, rounds := Counts{}, 0
	want := seen.Want(1, "late")
	missing := func() []string {
		rounds++
		return want()
	}
	Check(t, missing, func(*rapid.T) {
		if rounds > 0 {
			seen["late"]++
		}
	})
	if rounds != 2 {
		t.Errorf("%d rounds", rounds)
	}
}

// recorder keeps what a test would fail with.
type recorder struct {
	rapid.TB
	said string
}

func (r *recorder) Errorf(format string, args ...any) { r.said = fmt.Sprintf(format, args...) }

// What the generator can't reach fails the test, by its name.
func TestCheckFails(t *testing.T) {
	t.Parallel()
	seen, r := Counts{}, &recorder{TB: t}
	Check(r, seen.Want(1, "drawn", "seven", "eight"), func(t *rapid.T) {
		seen["drawn"]++
		if rapid.IntRange(0, 6).Draw(t, "n") == 7 {
			seen["seven"]++
		}
	})
	if !strings.HasSuffix(r.said, ": seven, eight") {
		t.Errorf("it says %q", r.said)
	}
}
