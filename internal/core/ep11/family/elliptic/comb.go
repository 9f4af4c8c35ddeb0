// SPDX-License-Identifier: Apache-2.0

package elliptic

import "sync"

// point is a point of a curve, as its module has it. Both methods set the receiver and return it.
type point[P any] interface {
	Add(a, b P) P
	Double(a P) P
}

// A comb has multiples of one public point, with which it is multiplied several times faster than without: scalars are read in digits of 4 bits,
// and rows[i][d-1] is d * 16^(4i) times the point. It takes variable time, and is for public points and public scalars alone.
type comb[P point[P]] struct{ rows [16][15]P }

// newComb makes the comb of a point; fresh makes the neutral one.
func newComb[P point[P]](fresh func() P, of P) *comb[P] {
	c := &comb[P]{}
	base := fresh().Add(fresh(), of)
	for i := range c.rows {
		row := &c.rows[i]
		row[0] = base
		for d := 1; d < len(row); d++ {
			row[d] = fresh().Add(row[d-1], base)
		}
		if i < len(c.rows)-1 {
			base = fresh().Double(row[7]) // 16 times
			for range 12 {
				base.Double(base)
			}
		}
	}
	return c
}

// multiple is a point's comb and what it is to be multiplied with: 32 bytes, little-endian.
type multiple[P point[P]] struct {
	*comb[P]
	by *[32]byte
}

// sum adds up multiples of points into a neutral point.
func sum[P point[P]](to P, of ...multiple[P]) P {
	for r := 3; r >= 0; r-- {
		if r < 3 {
			for range 4 {
				to.Double(to)
			}
		}
		for _, m := range of {
			for i := range m.rows {
				n := 4*i + r // of the digit
				if d := m.by[n/2] >> (4 * (n % 2)) & 15; d > 0 {
					to.Add(to, m.rows[i][d-1])
				}
			}
		}
	}
	return to
}

const (
	combsMost  = 256 // of some 40 KiB each
	combsAfter = 4   // signatures of a key, until it has a comb: to make one costs as much as two or three verifications
)

// combs keeps the combs of public keys that sign often. Its methods are safe for concurrent use.
type combs[P point[P]] struct {
	mu sync.Mutex // guards by
	by map[string]*combOf[P]
}

// combOf is what is known of one public key.
type combOf[P point[P]] struct {
	asked int
	comb  *comb[P] // nil: not made yet
}

// get gives the comb of a public key, or nil while the key has not been used often. create makes it, and gives nil for what is no public key.
func (c *combs[P]) get(public []byte, create func() *comb[P]) *comb[P] {
	c.mu.Lock()
	x, ok := c.by[string(public)]
	if !ok {
		for k := range c.by { // any will do
			if len(c.by) < combsMost {
				break
			}
			delete(c.by, k)
		}
		x = &combOf[P]{}
		if c.by == nil {
			c.by = map[string]*combOf[P]{}
		}
		c.by[string(public)] = x
	}
	x.asked++
	have, due := x.comb, x.asked == combsAfter
	c.mu.Unlock()
	if !due {
		return have
	}
	made := create()
	c.mu.Lock()
	defer c.mu.Unlock()
	x.comb = made
	return made
}
