// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"encoding/binary"
	"fmt"
	"io"

	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/problem"
)

// Version is the version of the protocol. Both sides must speak the same one; they come from one release.
const Version = 1

// protocol names the protocol in a hello.
const protocol = "strongroom/door"

// hello is the first frame each way, the client's first. It never changes, so that every version can refuse every other one clearly;
// whatever a later version has to agree on comes after it.
type hello struct {
	Protocol string `cbor:"1,keyasint"`
	Version  uint64 `cbor:"2,keyasint"`
	MaxFrame uint64 `cbor:"3,keyasint"`           // largest frame the sender accepts, in bytes
	Refused  *fault `cbor:"4,keyasint,omitempty"` // why the server closes the connection instead of serving it
}

func ourHello(maxFrame int) hello {
	return hello{Protocol: protocol, Version: Version, MaxFrame: uint64(maxFrame)}
}

// bytes gives the hello with its length before it.
func (h hello) bytes() []byte {
	e := canon.Encode(h)
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(e)), uint32(len(e))), e...)
}

// readHello reads a hello and nothing after it.
func readHello(r io.Reader) (hello, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return hello{}, fmt.Errorf("read hello: %w", err)
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxHello {
		return hello{}, problem.New(problem.Malformed, "hello: %d bytes, more than %d: the peer does not speak %s", n, maxHello, protocol)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return hello{}, fmt.Errorf("read hello: %w", err)
	}
	var h hello
	if err := canon.Decode(b, &h); err != nil {
		return hello{}, problem.New(problem.Malformed, "hello: %v", err)
	}
	return h, nil
}

// check refuses the hello of a peer that cannot be talked to.
func (h hello) check() error {
	switch {
	case h.Protocol != protocol:
		return problem.New(problem.Malformed, "hello: the peer speaks %q, not %q", clip(h.Protocol, maxText), protocol)
	case h.Version != Version:
		return problem.New(problem.Unsupported, "hello: the peer speaks version %d of the door, this side version %d; install one release on both sides",
			h.Version, Version)
	case h.MaxFrame < MinFrame:
		return problem.New(problem.Malformed, "hello: the peer accepts frames of %d bytes, less than %d", h.MaxFrame, MinFrame)
	}
	return nil
}

// limit is the largest frame to send to the peer, which may declare more than this side knows how to make.
func (h hello) limit() int { return int(min(h.MaxFrame, MaxFrame)) }
