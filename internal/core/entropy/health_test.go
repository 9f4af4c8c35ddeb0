// SPDX-License-Identifier: Apache-2.0

package entropy

import (
	"bytes"
	"crypto/rand"
	"math/big"
	mrand "math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"strongroom/internal/lawtest"
)

// TestPublishedCutoffs has the values that SP 800-90B publishes: those of its second draft's tables 2 and 3 for the adaptive proportion test,
// computed for the same rate of false alarms, and those of the source in Go's cryptographic module (H 0.5: 41 and 410).
func TestPublishedCutoffs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		window int
		h      float64
		want   int
	}{
		{WindowBinary, 0.2, 941}, {WindowBinary, 0.4, 840}, {WindowBinary, 0.6, 748}, {WindowBinary, 0.8, 664}, {WindowBinary, 1, 589},
		{WindowOther, 0.5, 410}, {WindowOther, 1, 311}, {WindowOther, 2, 177}, {WindowOther, 4, 62}, {WindowOther, 8, 13},
	} {
		if got := ProportionCutoff(tt.window, tt.h); got != tt.want {
			t.Errorf("window %d, H %v: got %d, want %d", tt.window, tt.h, got, tt.want)
		}
	}
	for h, want := range map[float64]int{0.2: 101, 0.5: 41, 1: 21, 2: 11, 3: 8, 8: 4} {
		if got := RepetitionCutoff(h); got != want {
			t.Errorf("H %v: got %d, want %d", h, got, want)
		}
	}
}

// exactCutoff is 1 + critbinom(w, 2^-h, 1-2^-20) with whole numbers, for whole h: in units of 2^-(h*w).
func exactCutoff(w int, h uint) int {
	q := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), h), big.NewInt(1)) // (1-p) * 2^h
	limit := new(big.Int).Lsh(big.NewInt(1), h*uint(w)-falseAlarm)
	limit.Sub(new(big.Int).Lsh(big.NewInt(1), h*uint(w)), limit)
	sum := new(big.Int)
	for k := 0; ; k++ {
		term := new(big.Int).Binomial(int64(w), int64(k))
		sum.Add(sum, term.Mul(term, new(big.Int).Exp(q, big.NewInt(int64(w-k)), nil)))
		if sum.Cmp(limit) >= 0 {
			return 1 + k
		}
	}
}

// TestCutoffsAreExact compares the sum in floating point with one in whole numbers.
func TestCutoffsAreExact(t *testing.T) {
	t.Parallel()
	for h := uint(1); h <= 8; h++ {
		for _, w := range []int{76, 100, 258, WindowOther, 700, WindowBinary} {
			if got, want := ProportionCutoff(w, float64(h)), exactCutoff(w, h); got != want {
				t.Errorf("window %d, H %d: got %d, want %d", w, h, got, want)
			}
		}
	}
}

// naive is the tests as the standard writes them, over a whole sequence: it gives the index of the sample at which they fail, or -1.
func naive(samples []byte, repetition, proportion, window int) int {
	at := len(samples)
	for i := range samples { // 4.4.1
		n := 1
		for i-n >= 0 && samples[i-n] == samples[i] {
			n++
		}
		if n >= repetition {
			at = min(at, i)
			break
		}
	}
	for from := 0; from < len(samples); from += window { // 4.4.2
		n := 0
		for i := from; i < min(from+window, len(samples)); i++ {
			if samples[i] == samples[from] {
				n++
			}
			if n >= proportion {
				at = min(at, i)
				break
			}
		}
	}
	if at == len(samples) {
		return -1
	}
	return at
}

// TestNoiseAgainstTheStandardsText compares with the naive form on sequences that often fail.
func TestNoiseAgainstTheStandardsText(t *testing.T) {
	t.Parallel()
	seen := lawtest.Counts{}
	lawtest.Check(t, seen.Want(10, "failed", "passed"), func(t *rapid.T) {
		h := rapid.SampledFrom([]float64{1, 2, 4, 8}).Draw(t, "h")
		n := NewNoise(h, rapid.Bool().Draw(t, "binary"))
		samples := make([]byte, rapid.IntRange(600, 2500).Draw(t, "length"))
		rand.Read(samples)
		bias := rapid.SampledFrom([]int{0, 100, 200, 255}).Draw(t, "bias")
		for i := range samples { // one value is the more frequent, the further on
			if int(samples[i]) < bias*i/len(samples) {
				samples[i] = 0
			}
		}
		want := naive(samples, n.repetition, n.proportion, n.window)
		got := -1
		for i, x := range samples {
			if n.Sample(x) != nil {
				got = i
				break
			}
		}
		if got != want {
			t.Fatalf("H %v: failed at sample %d, want %d", h, got, want)
		}
		if got >= 0 {
			seen["failed"]++
		} else {
			seen["passed"]++
		}
	})
}

func TestRepetitionAtTheCutoff(t *testing.T) {
	t.Parallel()
	for _, h := range []float64{0.5, 1, 2, 8} {
		n, c := NewNoise(h, false), RepetitionCutoff(h)
		for i := 1; i < c; i++ {
			if err := n.Sample(7); err != nil {
				t.Fatalf("H %v: failed after %d of %d", h, i, c)
			}
		}
		if n.Sample(7) == nil {
			t.Errorf("H %v: %d in a row passed", h, c)
		}
	}
}

// TestProportionAtTheCutoff puts one sample less than the cut-off into a window, spread so that the repetition test is content, then one more.
func TestProportionAtTheCutoff(t *testing.T) {
	t.Parallel()
	const h = 2
	c := ProportionCutoff(WindowOther, h)
	for extra, fails := range map[int]bool{0: false, 1: true} {
		n := NewNoise(h, false)
		var err error
		put, other := 0, byte(0)
		for i := 0; i < WindowOther && err == nil; i++ {
			x := byte(200)
			if i%2 == 1 || put >= c-1+extra {
				other++
				x = other % 100
			} else {
				put++
			}
			err = n.Sample(x)
		}
		if (err != nil) != fails {
			t.Errorf("%d of a cut-off of %d: got %v", c-1+extra, c, err)
		}
		// The next window counts anew.
		if !fails {
			for i := 0; i < c-1; i++ {
				if i%2 == 0 && n.Sample(200) != nil || i%2 == 1 && n.Sample(byte(i%100)) != nil {
					t.Fatal("the count went on into the next window")
				}
			}
		}
	}
}

// TestGoodNoisePasses: random bytes don't fail what is claimed of /dev/hwrng, nor eight bits a byte, in a megabyte. With eight bits, four in a
// row are a false alarm once in 2^24 bytes, one run in sixteen if the bytes were new each time; these are always the same, and pass.
func TestGoodNoisePasses(t *testing.T) {
	t.Parallel()
	b := make([]byte, 1<<20)
	_, _ = mrand.NewChaCha8([32]byte{1}).Read(b)
	if err := NewNoise(hwrngNoise, false).test(b); err != nil {
		t.Error(err)
	}
	if err := NewNoise(8, false).test(b); err != nil {
		t.Error(err)
	}
}

func TestStuckBlocks(t *testing.T) {
	t.Parallel()
	fresh := func(n int) []byte {
		b := make([]byte, n)
		rand.Read(b)
		return b
	}
	same := fresh(16)
	for _, tt := range []struct {
		name  string
		reads [][]byte
		fails bool
	}{
		{"different", [][]byte{fresh(64), fresh(16), fresh(48)}, false},
		{"zeros", [][]byte{make([]byte, 32)}, true},
		{"twice in a read", [][]byte{append(bytes.Clone(same), same...)}, true},
		{"twice in two reads", [][]byte{same, same}, true},
		{"twice with one between", [][]byte{same, fresh(16), same}, false},
		{"the end again at the start", [][]byte{append(fresh(16), same...), append(bytes.Clone(same), fresh(16)...)}, true},
		{"the same read again", [][]byte{append(fresh(16), same...), fresh(5), append(bytes.Clone(same), 1, 2)}, true},
		{"short reads", [][]byte{{1}, {1}, {1}}, false},
	} {
		var s blocks
		var err error
		for _, b := range tt.reads {
			if err == nil {
				err = s.test(b)
			}
		}
		if (err != nil) != tt.fails {
			t.Errorf("%s: got %v", tt.name, err)
		}
	}
}
