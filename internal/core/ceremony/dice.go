// SPDX-License-Identifier: Apache-2.0

package ceremony

import "fmt"

// What dice must be. A roll of a fair die with six sides has log2(6) = 2.585 bits.
const (
	MinRolls      = 50   // by one person
	MaxRolls      = 1000 // by one person
	MinRollsInAll = 100  // in production: 258 bits

	minRollers = 2
	// maxRun is the longest run of one number: the repetition count test of SP 800-90B section 4.4.1 with H = 2.585 and a false alarm in 2^25
	// rolls has the cut-off 1 + ceil(25 / 2.585) = 11, at which it alarms.
	maxRun = 10
	// maxChi is the largest chi-square over the six numbers: five degrees of freedom exceed it once in a million fair rows.
	maxChi = 35.89
	// maxPeriod is the longest period that is looked for.
	maxPeriod = 12
)

// CheckRolls refuses dice that are too few or too many, have other numbers than the digits 1 to 6, or look as if nobody rolled them: a long run
// of one number, numbers that come too unevenly, or a row that repeats itself. A fair row fails once in some hundred thousand times.
// The error says which test failed, and nothing about the numbers. People who make up numbers can pass: the tests catch mistakes.
func CheckRolls(rolls []byte) error {
	n := len(rolls)
	if n < MinRolls || n > MaxRolls {
		return fmt.Errorf("%w: %d rolls; roll %d to %d times", ErrDice, n, MinRolls, MaxRolls)
	}
	var counts [6]int
	run, longest := 0, 0
	for i, c := range rolls {
		if c < '1' || c > '6' {
			return fmt.Errorf("%w: at place %d there is no number from 1 to 6", ErrDice, i+1)
		}
		counts[c-'1']++
		if i > 0 && rolls[i-1] != c {
			run = 0
		}
		run++
		longest = max(longest, run)
	}
	if longest > maxRun {
		return fmt.Errorf("%w: one number came more than %d times in a row", ErrDice, maxRun)
	}
	chi := 0.0
	expected := float64(n) / 6
	for _, c := range counts {
		chi += (float64(c) - expected) * (float64(c) - expected) / expected
	}
	if chi > maxChi {
		return fmt.Errorf("%w: the numbers come too unevenly", ErrDice)
	}
	for period := 1; period <= maxPeriod; period++ {
		same := 0
		for i := period; i < n; i++ {
			if rolls[i] == rolls[i-period] {
				same++
			}
		}
		// Of fair rolls a sixth agree; three quarters of 38 do once in 10^15 rows.
		if 4*same > 3*(n-period) {
			return fmt.Errorf("%w: the row repeats itself every %d rolls", ErrDice, period)
		}
	}
	return nil
}
