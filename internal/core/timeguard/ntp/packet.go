// SPDX-License-Identifier: Apache-2.0

// Package ntp asks a time server by NTP version 4 (RFC 5905), client mode, and believes only packets that carry the server's message
// authentication code under a key that both know: AES-CMAC (RFC 8573), or a truncated SHA-2 hash over key and packet, as servers in use
// have it. Package nts does the same by NTS and shares the packet with this one.
//
// It opens no socket: somebody untrusted carries the datagrams. It refuses packets that are not answers to what was asked, servers that
// are not synchronised, and every length but the expected one. It sends nothing about its own clock: the transmit timestamp is random,
// and comes back as the origin (RFC 5905 section 8 asks for no more than that it is the same).
package ntp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"strongroom/internal/core/timeguard"
)

// HeaderSize is the length of a packet's header in bytes, without extension fields and authentication code (RFC 5905 section 7.3).
const HeaderSize = 48

// Leap says what a server announces for the end of the day, or that it does not know the time.
type Leap uint8

// Values of the leap indicator.
const (
	LeapNone Leap = iota
	LeapInsert
	LeapDelete
	LeapUnknown // the server is not synchronised
)

// Nonce is what a request has in place of its transmit time; the answer repeats it.
type Nonce [8]byte

// Header is what a server says about itself and the time. Durations and times are nanoseconds, times since the Unix epoch.
type Header struct {
	Leap            Leap
	Stratum         uint8 // 1 to 15; 0: Kiss says why there is no time
	Kiss            string
	Precision       int64
	RootDelay       int64 // round trip to the reference clock
	RootDispersion  int64 // greatest error against the reference clock, besides half of RootDelay
	Received, Sent  int64 // when the request came and the answer left
	validTimestamps bool
}

const (
	version    = 4
	modeClient = 3
	modeServer = 4
	maxStratum = 15
)

// Request gives the header of a request.
func Request(n Nonce) []byte {
	b := make([]byte, HeaderSize)
	b[0] = version<<3 | modeClient
	copy(b[40:], n[:])
	return b
}

// Errors of answers.
var (
	// ErrForeign says that a packet is no answer to the request.
	ErrForeign = errors.New("the packet is no answer to what was asked")
	// ErrUnsynchronised says that the server does not know the time itself.
	ErrUnsynchronised = errors.New("the server does not know the time itself")
)

// ParseReply reads the header of an answer to the request with nonce n; what follows it is not looked at. Nothing of it may be believed
// before it was authenticated.
func ParseReply(b []byte, n Nonce) (Header, error) {
	if len(b) < HeaderSize || b[0]>>3&7 != version || b[0]&7 != modeServer || Nonce(b[24:32]) != n {
		return Header{}, ErrForeign
	}
	h := Header{Leap: Leap(b[0] >> 6), Stratum: b[1], RootDelay: short(b[4:]), RootDispersion: short(b[8:])}
	if h.Stratum == 0 {
		h.Kiss = kiss(b[12:16])
	}
	switch p := int8(b[3]); { // a power of two, in seconds
	case p <= -30:
		h.Precision = 1
	case p < 0:
		h.Precision = int64(time.Second)>>-p + 1
	default:
		h.Precision = int64(time.Second) << min(p, 30)
	}
	received, sent := binary.BigEndian.Uint64(b[32:]), binary.BigEndian.Uint64(b[40:])
	h.validTimestamps = received != 0 && sent != 0
	h.Received, h.Sent = unix(received), unix(sent)
	return h, nil
}

// kiss gives a code as text: up to four capital letters or digits, anything else in hexadecimal.
func kiss(b []byte) string {
	for i, c := range b {
		if c == 0 && i > 0 {
			return string(b[:i])
		}
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return fmt.Sprintf("%x", b)
		}
	}
	return string(b)
}

// short reads the 32-bit format of RFC 5905 section 6: seconds and their 65,536th parts. It rounds up.
func short(b []byte) int64 {
	return int64(binary.BigEndian.Uint32(b))*int64(time.Second)>>16 + 1
}

// eraBase is the earliest time that a timestamp is taken for, 2024-01-01 UTC in seconds since the Unix epoch: timestamps count seconds
// since 1900 modulo 2^32, so that one and the same stands for a time in 1988 and in 2124.
const eraBase = 1704067200

// since1900 is the Unix epoch in seconds since 1900.
const since1900 = 2208988800

// unix gives a timestamp, within 136 years from eraBase.
func unix(t uint64) int64 {
	sec := uint32(t >> 32)
	const base = eraBase + since1900
	seconds := int64(eraBase) + int64(sec-uint32(base%(1<<32))) // wraps around as the timestamp does
	return seconds*int64(time.Second) + int64((t&(1<<32-1))*uint64(time.Second)>>32)
}

// maxAway is the longest that a question may be under way.
const maxAway = int64(time.Minute)

// Sample turns an authenticated answer into what it says about the time. asked and came are readings of the clock since boot before the
// request was sent and after the answer came.
//
// By the server's clock the answer left at Sent, which is no later than it came, and the request came at Received, which is no earlier
// than it was asked. So when the answer came it was between Sent and Received + (came - asked), by the server's clock, whatever the
// carrier did. The server's clock is wrong by at most half of its root delay, its root dispersion, and its precision twice (RFC 5905 section 11.1).
func (h Header) Sample(asked, came int64) (timeguard.Sample, error) {
	switch {
	case h.Stratum == 0:
		return timeguard.Sample{}, kissError(h.Kiss)
	case h.Leap == LeapUnknown || h.Stratum > maxStratum || !h.validTimestamps:
		return timeguard.Sample{}, ErrUnsynchronised
	case came < asked || came-asked > maxAway:
		return timeguard.Sample{}, fmt.Errorf("the answer was under way for %v", time.Duration(came-asked))
	}
	away := came - asked
	wrong := h.RootDelay/2 + h.RootDispersion + 2*h.Precision + 2 // and what rounding lost
	s := timeguard.Sample{Boot: came, Low: h.Sent - wrong, High: h.Received + away + timeguard.Drifted(away) + wrong,
		Leap: h.Leap == LeapInsert || h.Leap == LeapDelete}
	if s.Low > s.High {
		return timeguard.Sample{}, errors.New("the server says that it kept the request for longer than it was under way")
	}
	return s, nil
}

// Holds of sources that ask for them, and the most that any is held is the guard's.
const (
	holdRate = 5 * time.Minute
	holdDeny = time.Hour
)

// kissError is what a kiss of death asks for (RFC 5905 section 7.4).
func kissError(code string) error {
	err := fmt.Errorf("the server gives no time: %s", code)
	switch code {
	case "RATE":
		return &timeguard.HoldError{For: holdRate, Err: err}
	case "DENY", "RSTR":
		return &timeguard.HoldError{For: holdDeny, Err: err}
	}
	return err
}
