// SPDX-License-Identifier: Apache-2.0

package lattice

import "bytes"

// The DER of Dilithium keys. All parts have fixed sizes, so each form has one skeleton of headers, which is written, or compared byte by byte;
// nothing depends on what the parts hold.

// form is the skeleton of a private key: headers[i] stands before part i. The last part is t1, if there are seven.
type form struct {
	headers [][]byte
	parts   []int
	size    int
}

// header is the tag and length of an element.
func header(tag byte, n int) []byte {
	switch {
	case n < 0x80:
		return []byte{tag, byte(n)}
	case n < 0x100:
		return []byte{tag, 0x81, byte(n)}
	default:
		return []byte{tag, 0x82, byte(n >> 8), byte(n)}
	}
}

// bitString is the header of a BIT STRING of n bytes.
func bitString(n int) []byte { return append(header(0x03, n+1), 0) }

// form gives the skeleton of a private key, with t1 or without.
func (p dilithiumSet) form(withT1 bool) form {
	f := form{parts: p.parts}
	for _, n := range p.parts {
		f.headers = append(f.headers, bitString(n))
	}
	if withT1 {
		inner := bitString(p.t1)
		f.headers = append(f.headers, append(header(0xa0, len(inner)+p.t1), inner...))
		f.parts = append(append([]int(nil), p.parts...), p.t1)
	}
	body := 3 // INTEGER 0
	for i, n := range f.parts {
		body += len(f.headers[i]) + n
	}
	head := header(0x30, body)
	f.headers[0] = append(append(head, 0x02, 1, 0), f.headers[0]...)
	f.size = len(header(0x30, body)) + body
	return f
}

// write writes a private key of the form's size. packed has all parts but t1, which is for the form with it.
func (f form) write(sk, packed, t1 []byte) {
	at := 0
	for i, n := range f.parts {
		at += copy(sk[at:], f.headers[i])
		if i < 6 {
			at += copy(sk[at:], packed[:n])
			packed = packed[n:]
		} else {
			at += copy(sk[at:], t1)
		}
	}
}

// read reads a private key of the form's size.
func (f form) read(sk []byte) (packed, t1 []byte, ok bool) {
	packed = make([]byte, 0, len(sk))
	for i, n := range f.parts {
		h := len(f.headers[i])
		if !bytes.Equal(sk[:h], f.headers[i]) {
			return packed[:cap(packed)], nil, false
		}
		if i < 6 {
			packed = append(packed, sk[h:h+n]...)
		} else {
			t1 = bytes.Clone(sk[h : h+n])
		}
		sk = sk[h+n:]
	}
	return packed, t1, true
}

// publicHeads are the headers before rho and t1 in a public key.
func (p dilithiumSet) publicHeads() (rho, t1 []byte) {
	rho, t1 = bitString(rhoSize), bitString(p.t1)
	return append(header(0x30, len(rho)+rhoSize+len(t1)+p.t1), rho...), t1
}

// encodePublic gives the DER of a packed public key.
func (p dilithiumSet) encodePublic(packed []byte) []byte {
	rho, t1 := p.publicHeads()
	return bytes.Join([][]byte{rho, packed[:rhoSize], t1, packed[rhoSize:]}, nil)
}

// decodePublic reads a public key. Every value of its parts is one.
func (p dilithiumSet) decodePublic(der []byte) (packed []byte, ok bool) {
	rho, t1 := p.publicHeads()
	if len(der) != len(rho)+rhoSize+len(t1)+p.t1 || !bytes.HasPrefix(der, rho) || !bytes.HasPrefix(der[len(rho)+rhoSize:], t1) {
		return nil, false
	}
	return append(bytes.Clone(der[len(rho):len(rho)+rhoSize]), der[len(der)-p.t1:]...), true
}
