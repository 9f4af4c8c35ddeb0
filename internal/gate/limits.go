// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"time"
)

// What the door carries at most. Frame sizes are in bytes and don't count the 4 bytes of the length before the frame.
const (
	MaxFrame       = 20 << 20 // largest frame either side may accept
	MinFrame       = 64 << 10 // smallest limit a side may declare; every failure frame fits
	MaxMethod      = 64       // bytes of a method's name
	MaxStreams     = 4096     // requests of a connection that are not answered yet
	MaxConnections = 64       // connections of a server
	MaxInFlight    = 64 << 20 // bytes of a connection's unanswered requests and unwritten replies, above which its server stops reading
)

const (
	maxHello  = 64 << 10 // bytes of a hello
	minSize   = 5        // bytes of the smallest frame: {1: 0, 3: ''}
	maxDetail = 4 << 10  // bytes of a problem's detail on the wire
	maxText   = 256      // bytes of any other text in a problem
	maxUnmet  = 64       // unmet criteria in a problem
)

// Limits are the bounds of a server that may be tightened. A zero field means the default; a size or count above its default is refused,
// and so are negative values.
type Limits struct {
	Frame       int           // bytes of a frame, [MinFrame] to [MaxFrame]; default MaxFrame
	Streams     int           // unanswered requests of a connection; default [MaxStreams]
	Connections int           // connections at a time; default [MaxConnections]
	InFlight    int           // see [MaxInFlight]; one frame is always let in
	Hello       time.Duration // for the first frame to arrive; default 5 s
	Stall       time.Duration // for a frame that began to arrive, or a reply being written; default 30 s
	Idle        time.Duration // without requests, open or new, until a connection is closed; default 10 min
	Drain       time.Duration // for open requests when the server stops; default 30 s
}

// filled gives l with defaults, or says which field is refused.
func (l Limits) filled() (Limits, error) {
	for _, f := range []struct {
		name     string
		v        *int
		min, def int
	}{
		{"Frame", &l.Frame, MinFrame, MaxFrame},
		{"Streams", &l.Streams, 1, MaxStreams},
		{"Connections", &l.Connections, 1, MaxConnections},
		{"InFlight", &l.InFlight, 1, MaxInFlight},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < f.min || *f.v > f.def {
			return l, fmt.Errorf("limit %s is %d; use %d to %d, or 0 for %d", f.name, *f.v, f.min, f.def, f.def)
		}
	}
	for _, f := range []struct {
		name string
		v    *time.Duration
		def  time.Duration
	}{
		{"Hello", &l.Hello, 5 * time.Second},
		{"Stall", &l.Stall, 30 * time.Second},
		{"Idle", &l.Idle, 10 * time.Minute},
		{"Drain", &l.Drain, 30 * time.Second},
	} {
		if *f.v == 0 {
			*f.v = f.def
		}
		if *f.v < 0 {
			return l, fmt.Errorf("limit %s is %s; use a positive time, or 0 for %s", f.name, *f.v, f.def)
		}
	}
	return l, nil
}
