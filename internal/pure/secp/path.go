// SPDX-License-Identifier: Apache-2.0

package secp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// HardenedBit marks a hardened index: child numbers 2³¹ and above, BIP-32 "Extended keys".
const HardenedBit uint32 = 1 << 31

// ErrPath is wrapped by every refusal of [ParsePath].
var ErrPath = errors.New("derivation path is malformed")

// Path is a derivation path from a master key, one child number a level; hardened ones carry [HardenedBit].
// The empty path is the master key itself.
type Path []uint32

// ParsePath reads a path such as "m/84'/0'/0'/0/7" and accepts exactly what [Path.String] writes: it starts with "m",
// levels are decimal without sign or leading zero and below 2³¹, hardened ones are marked with an apostrophe (not with h
// or H), and there are at most [MaxDepth] levels.
func ParsePath(s string) (Path, error) {
	if len(s) > MaxPathChars {
		return nil, fmt.Errorf("%w: more than %d characters", ErrPath, MaxPathChars)
	}
	levels := strings.Split(s, "/")
	if levels[0] != "m" {
		return nil, fmt.Errorf("%w: it must start with m", ErrPath)
	}
	levels = levels[1:]
	if len(levels) > MaxDepth {
		return nil, fmt.Errorf("%w: more than %d levels", ErrPath, MaxDepth)
	}
	p := make(Path, len(levels))
	for i, text := range levels {
		digits, hardened := strings.CutSuffix(text, "'")
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || strconv.FormatUint(n, 10) != digits {
			return nil, fmt.Errorf("%w: level %d is %q; write a number from 0 to 2147483647, with ' when hardened", ErrPath, i+1, text)
		}
		p[i] = uint32(n)
		if hardened {
			p[i] |= HardenedBit
		}
	}
	return p, nil
}

// String writes p in the form that [ParsePath] reads.
func (p Path) String() string {
	var b strings.Builder
	b.WriteString("m")
	for _, i := range p {
		b.WriteString("/")
		b.WriteString(indexString(i))
	}
	return b.String()
}

// indexString writes one level of a path.
func indexString(i uint32) string {
	s := strconv.FormatUint(uint64(i&^HardenedBit), 10)
	if i&HardenedBit != 0 {
		s += "'"
	}
	return s
}
