// SPDX-License-Identifier: Apache-2.0

package authority

import (
	"errors"
	"strings"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/policy"
)

// MaxPaid is how many destinations are remembered. What is paid first beyond them stays new: it is taken for what it is not only in the
// direction that asks for more.
const MaxPaid = 2_000_000

const (
	paidChunk  = 16_384
	paidRecord = 16 + 8 // bytes of both hashes
)

// paid remembers which destinations permits have paid, while the document asks.
type paid struct {
	chain chain
	known map[[16]byte]struct{} // by address
	alike map[[8]byte]struct{}  // by what people compare
}

func newPaid() paid {
	return paid{chain: newChain(paidChunk), known: map[[16]byte]struct{}{}, alike: map[[8]byte]struct{}{}}
}

// paidKeys hashes an address, and what people compare of it.
func paidKeys(c custody.ChainID, address string) (own [16]byte, alike [8]byte) {
	h := canon.HashBytes(canon.TagPaid, []byte(string(c)+" "+address))
	k := canon.HashBytes(canon.TagPaid, []byte(skeleton(c, address)))
	return [16]byte(h[:16]), [8]byte(k[:8])
}

func (p *paid) add(c custody.ChainID, address string) {
	own, alike := paidKeys(c, address)
	if _, ok := p.known[own]; ok || len(p.known) >= MaxPaid {
		return
	}
	p.chain.add(append(own[:], alike[:]...), 0)
	p.known[own], p.alike[alike] = struct{}{}, struct{}{}
}

// has says whether an address was paid, and whether one was that looks like it.
func (p *paid) has(c custody.ChainID, address string) (own, alike bool) {
	o, a := paidKeys(c, address)
	_, own = p.known[o]
	_, alike = p.alike[a]
	return own, alike && !own
}

// keep forgets everything under a document that does not ask.
func (p *paid) keep(d policy.Document) {
	if !d.RemembersPaid() {
		*p = newPaid()
	}
}

// replay makes the index of a restored chain.
func (p *paid) replay() error {
	return p.chain.each(func(b []byte) error {
		if len(b) != paidRecord {
			return errors.New("a record of a paid destination has another length")
		}
		p.known[[16]byte(b[:16])], p.alike[[8]byte(b[16:])] = struct{}{}, struct{}{}
		return nil
	})
}

// skeleton gives what people compare of an address: chain, and the first and the last four characters behind what all addresses of its form
// begin with, without regard to case.
func skeleton(c custody.ChainID, address string) string {
	s := strings.ToLower(address)
	if i := strings.IndexByte(s, '1'); i > 0 && c.Bitcoin() && bech32Prefix(s[:i]) {
		s = s[i+2:] // and the witness version
	} else if rest, ok := strings.CutPrefix(s, "0x"); ok {
		s = rest
	} else {
		s = s[1:] // base58: its version
	}
	if len(s) > 8 {
		s = s[:4] + s[len(s)-4:]
	}
	return string(c) + " " + s
}

func bech32Prefix(s string) bool { return s == "bc" || s == "tb" || s == "bcrt" }
