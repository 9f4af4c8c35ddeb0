// SPDX-License-Identifier: Apache-2.0

// Package nts asks a time server by NTP under Network Time Security, RFC 8915: keys and cookies are agreed on over TLS 1.3, and each
// packet is authenticated with AEAD_AES_SIV_CMAC_256 under them. A cookie is used once.
//
// It opens no socket: somebody untrusted carries datagrams and the stream of the key establishment. It refuses other AEADs, packets with
// anything behind the authenticator, answers whose unique identifier is not that of the request, and servers whose certificate does not
// lead to the configured roots. Certificates are checked against the guard's time; before there is one, against what the sources agree
// on afterwards (section 8.5).
//
// Copies outside the arena: crypto/tls keeps its keys on the heap, and so lie the two AEAD keys, as AES key schedules, until the next
// establishment. They authenticate time from one server and nothing else.
package nts

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of extension fields (RFC 8915 section 7.5).
const (
	fieldUniqueID      = 0x0104
	fieldCookie        = 0x0204
	fieldPlaceholder   = 0x0304
	fieldAuthenticator = 0x0404
)

// minField is the length of the shortest extension field, with its header (RFC 7822 section 7.5).
const minField = 16

// field is an extension field; at is where it begins.
type field struct {
	kind uint16
	body []byte // with padding
	at   int
}

// appendField appends a field, its body padded with zeros to a multiple of four.
func appendField(b []byte, kind uint16, body ...[]byte) []byte {
	at := len(b)
	b = append(binary.BigEndian.AppendUint16(b, kind), 0, 0)
	for _, p := range body {
		b = append(b, p...)
	}
	for len(b)-at < minField || (len(b)-at)%4 != 0 {
		b = append(b, 0)
	}
	binary.BigEndian.PutUint16(b[at+2:], uint16(len(b)-at))
	return b
}

// parseFields reads the extension fields from an offset to the end of a packet.
func parseFields(b []byte, at int) ([]field, error) {
	var out []field
	for at < len(b) {
		if len(b)-at < minField {
			return nil, fmt.Errorf("%d bytes behind the extension fields", len(b)-at)
		}
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		if n < minField || n%4 != 0 || n > len(b)-at {
			return nil, errors.New("an extension field has a wrong length")
		}
		out = append(out, field{binary.BigEndian.Uint16(b[at:]), b[at+4 : at+n], at})
		at += n
	}
	return out, nil
}

// authenticator is the body of the field that authenticates what is before it (RFC 8915 section 5.6).
func authenticator(nonce, sealed []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, uint16(len(nonce)))
	b = binary.BigEndian.AppendUint16(b, uint16(len(sealed)))
	b = append(b, nonce...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return append(b, sealed...)
}

func parseAuthenticator(b []byte) (nonce, sealed []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errors.New("the authenticator is too short")
	}
	n, s := int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:]))
	from := 4 + (n+3)&^3
	if n == 0 || from+s > len(b) {
		return nil, nil, errors.New("the authenticator has a wrong length")
	}
	return b[4 : 4+n], b[from : from+s], nil
}
