// SPDX-License-Identifier: Apache-2.0

package entropy

import (
	"errors"
	"fmt"
	"unicode"

	"strongroom/internal/secret"
)

// ErrDice says that rolls can't be taken: too few, other characters than 1 to 6, or not thrown with dice.
var ErrDice = errors.New("entropy: the rolls can't be taken")

// Bounds of the number of rolls. A hundred rolls of a fair die are 258 bits.
const (
	MinRolls = 100
	MaxRolls = 2048
)

// diceNoise is the min-entropy of a roll that the tests hold a die to: a fair one has log2(6) = 2.58 bits; one that falls on one side every
// fourth time has 2.
const diceNoise = 2

// Dice reads what somebody rolled and typed: the digits 1 to 6, spaces and line ends between them as they like. It makes a contribution of one
// byte a roll, which the caller wipes, and leaves typed alone.
//
// It refuses fewer than 100 rolls, and rolls that look made up or come from a die that is not fair: one face too often, too seldom or too
// many times in a row. It can't tell a good die from a patient person: dice are mixed, never credited.
func Dice(a *secret.Arena, typed secret.Bytes) (Contribution, error) {
	n := 0
	err := typed.Use(func(b []byte) error {
		for i, c := range b {
			switch {
			case c >= '1' && c <= '6':
				n++
			case c >= 0x80 || !unicode.IsSpace(rune(c)):
				return fmt.Errorf("%w: character %d is no digit from 1 to 6", ErrDice, i+1)
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return Contribution{}, err
	case n < MinRolls || n > MaxRolls:
		return Contribution{}, fmt.Errorf("%w: %d of them; roll %d to %d times", ErrDice, n, MinRolls, MaxRolls)
	}
	rolls, err := secret.New(a, n, func(out []byte) error {
		return typed.Use(func(b []byte) error {
			for _, c := range b {
				if c >= '1' && c <= '6' {
					out[0], out = c-'0', out[1:]
				}
			}
			return nil
		})
	})
	if err != nil {
		return Contribution{}, err
	}
	if err := rolls.Use(checkRolls); err != nil {
		rolls.Wipe()
		return Contribution{}, err
	}
	return Contribution{Name: "dice", Bytes: rolls}, nil
}

// checkRolls is the repetition count test, and the adaptive proportion test with all rolls as its window, for each face. The errors don't
// tell which face.
func checkRolls(rolls []byte) error {
	health := NewNoise(diceNoise, false)
	var faces [7]int
	for _, r := range rolls {
		faces[r]++
		if err := health.Sample(r); err != nil {
			return fmt.Errorf("%w: %w; a face comes too often", ErrDice, err)
		}
	}
	most := ProportionCutoff(len(rolls), diceNoise)
	for _, n := range faces[1:] {
		if n >= most {
			return fmt.Errorf("%w: a face came %d times in %d rolls, as a fair die never does; take another die", ErrDice, n, len(rolls))
		}
		if n == 0 {
			return fmt.Errorf("%w: a face never came in %d rolls; take another die", ErrDice, len(rolls))
		}
	}
	return checkPatterns(rolls)
}

// maxLag is the longest pattern that is looked for.
const maxLag = 24

// checkPatterns refuses rolls that repeat themselves: for each distance up to maxLag, the rolls that equal the one so far before them, of
// which there is one in six, are as few as a die with two bits of min-entropy gives.
func checkPatterns(rolls []byte) error {
	for lag := 1; lag <= maxLag; lag++ {
		equal := 0
		for i := lag; i < len(rolls); i++ {
			if rolls[i] == rolls[i-lag] {
				equal++
			}
		}
		if equal >= ProportionCutoff(len(rolls)-lag, diceNoise) {
			return fmt.Errorf("%w: they repeat after %d rolls; throw the die each time", ErrDice, lag)
		}
	}
	return nil
}
