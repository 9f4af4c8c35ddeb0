// SPDX-License-Identifier: Apache-2.0

package ntp

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"strongroom/internal/core/timeguard"
)

// Kind is how a carrier calls NTP's datagrams.
const Kind = "ntp"

// Carrier carries a datagram to a target, by its configured name, and the answer back. It is not trusted with either. The status of an
// answer means nothing for datagrams. Methods are safe for concurrent use.
type Carrier interface {
	Exchange(ctx context.Context, kind, target string, body []byte) (status int, reply []byte, err error)
}

// Config says which server a client asks, and how.
type Config struct {
	Name    string // of the source
	Target  string // as the carrier knows it
	Key     Key
	Carrier Carrier
	Boot    func() int64 // clock since boot, nanoseconds
}

// Client asks one server with a shared key. It is a [timeguard.Source].
type Client struct{ cfg Config }

// New makes a client. It does not take over the key: the caller wipes it, after the last use.
func New(cfg Config) (*Client, error) {
	if cfg.Name == "" || cfg.Target == "" || cfg.Carrier == nil || cfg.Boot == nil || cfg.Key.id == 0 {
		return nil, errors.New("an NTP source needs a name, a target, a key, a carrier and a clock")
	}
	return &Client{cfg}, nil
}

// Errors of authentication.
var (
	// ErrNotAuthentic says that a packet does not carry the right code.
	ErrNotAuthentic = errors.New("the answer is not authentic")
	// ErrKeyUnknown says that the server claims, without proof, not to have the key.
	ErrKeyUnknown = errors.New("the answer is not authentic; it says that the server does not know the key")
)

// Name implements [timeguard.Source].
func (c *Client) Name() string { return c.cfg.Name }

// Sample implements [timeguard.Source].
func (c *Client) Sample(ctx context.Context, _ timeguard.Known) (timeguard.Sample, error) {
	var n Nonce
	rand.Read(n[:])
	packet, err := c.cfg.Key.Append(Request(n))
	if err != nil {
		return timeguard.Sample{}, err
	}
	asked := c.cfg.Boot()
	_, reply, err := c.cfg.Carrier.Exchange(ctx, Kind, c.cfg.Target, packet)
	if err != nil {
		return timeguard.Sample{}, fmt.Errorf("ask %s: %w", c.cfg.Name, err)
	}
	came := c.cfg.Boot()
	h, err := open(reply, n, c.cfg.Key)
	if err != nil {
		return timeguard.Sample{}, err
	}
	return h.Sample(asked, came)
}

// open authenticates an answer and gives its header. Extension fields are not asked for, and refused.
func open(reply []byte, n Nonce, k Key) (Header, error) {
	h, err := ParseReply(reply, n)
	if err != nil {
		return Header{}, err
	}
	if len(reply) == HeaderSize+4 && binary.BigEndian.Uint32(reply[HeaderSize:]) == 0 {
		return Header{}, ErrKeyUnknown // crypto-NAK, RFC 5905 section 9.2
	}
	want, err := k.Append(append([]byte(nil), reply[:HeaderSize]...))
	if err != nil {
		return Header{}, err
	}
	if subtle.ConstantTimeCompare(reply, want) != 1 {
		return Header{}, ErrNotAuthentic
	}
	return h, nil
}
