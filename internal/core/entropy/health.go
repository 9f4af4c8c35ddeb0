// SPDX-License-Identifier: Apache-2.0

package entropy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
)

// False alarms are as rare as 2^-falseAlarm a sample: the value that SP 800-90B recommends and that the published cut-offs have.
const falseAlarm = 20

// Windows of the adaptive proportion test in samples, SP 800-90B section 4.4.2.
const (
	WindowBinary = 1024 // samples with two values
	WindowOther  = 512  // samples with more
)

// startSamples is how many samples are tested and thrown away before a source is used. SP 800-90B section 4.3 asks for at least 1,024.
const startSamples = 2048

// RepetitionCutoff gives the cut-off C of the repetition count test for a min-entropy of h bits a sample: so many equal samples in a row are a
// failure. C = 1 + ceil(20/h), SP 800-90B section 4.4.1.
func RepetitionCutoff(h float64) int { return 1 + int(math.Ceil(falseAlarm/h)) }

// ProportionCutoff gives the cut-off C of the adaptive proportion test for a window of w samples with h bits of min-entropy each: a window
// whose first sample is there C times is a failure. C = 1 + critbinom(w, 2^-h, 1-2^-20), SP 800-90B section 4.4.2.
func ProportionCutoff(w int, h float64) int {
	// The sum of the upper tail, from its small end: what is left of 1 would drown in rounding from the other.
	logP, logQ := -h*math.Ln2, math.Log1p(-math.Exp2(-h))
	lnW, _ := math.Lgamma(float64(w) + 1)
	tail := 0.0
	for k := w; k > 0; k-- {
		lnK, _ := math.Lgamma(float64(k) + 1)
		lnRest, _ := math.Lgamma(float64(w-k) + 1)
		tail += math.Exp(lnW - lnK - lnRest + float64(k)*logP + float64(w-k)*logQ)
		if tail > math.Exp2(-falseAlarm) { // fewer than k would leave too much: critbinom is k
			return 1 + k
		}
	}
	return 1
}

// Noise is the continuous health test of a source of raw noise: repetition count and adaptive proportion. It is not safe for concurrent use.
type Noise struct {
	repetition, proportion int // cut-offs
	window                 int

	last   byte // the sample that may be repeating
	run    int  // how often it was seen in a row; 0: no sample yet
	first  byte // of the window
	seen   int  // samples of the window, 0: none yet
	equals int  // of them equal to the first
}

// NewNoise makes the test for samples with h bits of min-entropy each, of two values or more.
func NewNoise(h float64, binary bool) *Noise {
	n := &Noise{repetition: RepetitionCutoff(h), window: WindowOther}
	if binary {
		n.window = WindowBinary
	}
	n.proportion = ProportionCutoff(n.window, h)
	return n
}

// Sample takes one sample and says whether the source has failed.
func (n *Noise) Sample(x byte) error {
	if n.run > 0 && x == n.last {
		n.run++
	} else {
		n.last, n.run = x, 1
	}
	if n.run >= n.repetition {
		return fmt.Errorf("repetition count test: a sample %d times in a row", n.run)
	}
	if n.seen == 0 {
		n.first, n.equals = x, 0
	}
	if x == n.first {
		n.equals++
	}
	n.seen = (n.seen + 1) % n.window
	if n.equals >= n.proportion {
		return fmt.Errorf("adaptive proportion test: a sample %d times in a window of %d", n.equals, n.window)
	}
	return nil
}

// test takes the samples of b.
func (n *Noise) test(b []byte) error {
	for _, x := range b {
		if err := n.Sample(x); err != nil {
			return err
		}
	}
	return nil
}

// tester tests what a source gave, in order.
type tester interface{ test(b []byte) error }

// newTester makes the test for a source: of raw noise with so many bits a byte, or of conditioned output.
func newTester(noise float64) tester {
	if noise > 0 {
		return NewNoise(noise, false)
	}
	return &blocks{}
}

// blockSize is of what is compared, in bytes. Two equal blocks in a row have a probability of 2^-128.
const blockSize = 16

// blocks is the stuck test of conditioned output: no block of 16 bytes equals the one before, across calls too. A source that gives zeros,
// the same answer again, or a constant fails it at once.
type blocks struct {
	last [sha256.Size]byte // hash of the last block
	any  bool
}

func (s *blocks) test(b []byte) error {
	for i := 0; i+blockSize <= len(b); i += blockSize {
		block := b[i : i+blockSize]
		if i == 0 {
			if h := sha256.Sum256(block); s.any && h == s.last {
				return fmt.Errorf("stuck test: a block of %d bytes came twice in a row", blockSize)
			}
			continue
		}
		if bytes.Equal(block, b[i-blockSize:i]) {
			return fmt.Errorf("stuck test: a block of %d bytes came twice in a row", blockSize)
		}
	}
	if whole := len(b) / blockSize * blockSize; whole > 0 {
		s.last, s.any = sha256.Sum256(b[whole-blockSize:whole]), true
	}
	return nil
}
