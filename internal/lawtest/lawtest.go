// SPDX-License-Identifier: Apache-2.0

// Package lawtest checks laws on drawn cases and requires that the draws reached what the law is about. It is imported by tests only.
//
// A law that is never put to the test holds: one on replacements says nothing if no payment was ever replaced. So such a test counts what
// came about, and fails if something never did. But the draws are random and few, a hundred a time, and a case that comes up in one draw of
// thirty is missed by all of them in one run of thirty: a test that demands it of a hundred draws fails by bad luck, and of nothing else.
// [Check] draws again instead, until everything has come about or [Rounds] have passed. A case that comes up three times in a round, on
// average, is then missed once in 10^13 runs, while one that the generator can't reach at all still fails the test. Rarer than that is a
// reason to better the generator, as is a law that often needs a second round: its cases take their time.
package lawtest

import (
	"strings"

	"pgregory.net/rapid"
)

// Rounds is how often [Check] has a law checked, at most.
const Rounds = 10

// Counts says how often something came about, by its name. A law adds to it while it is checked; it is not safe for concurrent use.
type Counts map[string]int

// Want gives what of the names came about less than least times, as [Check] asks it: nothing is missing when it is empty.
func (c Counts) Want(least int, names ...string) func() []string {
	return func() []string {
		var missing []string
		for _, n := range names {
			if c[n] < least {
				missing = append(missing, n)
			}
		}
		return missing
	}
}

// Check has [rapid.Check] check a law, a hundred draws unless -rapid.checks says otherwise, and again until missing gives no names. After
// [Rounds] it fails the test with the names that are left. The first draw that breaks the law ends it. Where -rapid.seed fixes the draws,
// all rounds make the same ones, and one would have done.
func Check(t rapid.TB, missing func() []string, law func(*rapid.T)) {
	t.Helper()
	left := check(missing, func() {
		t.Helper()
		rapid.Check(t, law)
	})
	if len(left) > 0 {
		t.Errorf("in %d rounds the draws did not reach, or not often enough: %s", Rounds, strings.Join(left, ", "))
	}
}

// check runs rounds until nothing is missing, and gives what is after the last.
func check(missing func() []string, round func()) (left []string) {
	for range Rounds {
		round()
		if left = missing(); len(left) == 0 {
			return nil
		}
	}
	return left
}
