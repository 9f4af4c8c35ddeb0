// SPDX-License-Identifier: Apache-2.0

// Package relay lets the core talk to the network without a socket: it queues what is to be sent, serve takes it at the door, carries it, and
// gives back what came. serve can refuse, delay, repeat and lie; whoever uses the relay authenticates what comes back, end to end.
//
// An exchange is one message there and one back: a request to a log witness, an NTP datagram. A stream is the bytes of a connection, for NTS key
// establishment. Targets are names that serve's configuration resolves: the core knows no addresses, and serve connects nowhere that
// its operator did not name.
//
// It refuses unknown kinds, messages over their size, more than it has room for, and answers that nobody waits for. Everything has an end in
// time. Methods and messages: docs/spec/door.md.
package relay

import (
	"context"
	"net"
	"time"
)

// Methods of the door. All but MethodGive only wait and read: their callers are let go when their connection ends.
const (
	MethodTake = "relay-take" // [Take] → [Taken]
	MethodGive = "relay-give" // [Give] → [Given]
	MethodPush = "relay-push" // [Push] → [Pushed]
	MethodPull = "relay-pull" // [Pull] → [Pulled]
)

// Waits lists the methods whose callers are let go when their connection ends (gate.Config.Waits).
func Waits() []string { return []string{MethodTake, MethodPush, MethodPull} }

// Kind says how a message is carried.
type Kind = string

// The kinds.
const (
	Witness       Kind = "witness"        // exchange: POST add-checkpoint to a log witness; status is HTTP's
	WitnessLatest Kind = "witness-latest" // exchange: GET …/checkpoint of a log witness; the body is the log's origin
	NTP           Kind = "ntp"            // exchange: one UDP datagram each way
	NTSKE         Kind = "nts-ke"         // stream: a TCP connection
)

// patience is how long a message of a kind may take, from when it is queued until its answer is there, or a connection stands.
func patience(k Kind) (time.Duration, bool) {
	switch k {
	case Witness, WitnessLatest, NTSKE:
		return 10 * time.Second, true
	case NTP:
		return 3 * time.Second, true
	default:
		return 0, false
	}
}

// Limits.
const (
	MaxBody    = 64 << 10 // bytes of a message, there or back, and of what a stream holds in one direction
	MaxWaiting = 256      // messages that no answer came for, streams being opened among them
	MaxTakes   = 64       // of one call
	MaxTakers  = 16       // calls of take that wait at a time
	MaxStreams = 16
	MaxWait    = 30 * time.Second // of a call that waits
	MaxLife    = 2 * time.Minute  // of a stream
	maxTarget  = 320              // bytes of a target's name, and of the host and port that an NTS server named: 32 + "@" + 255 + ":65535"
	maxError   = 512              // bytes of a carrier's words
)

// Exchanger sends a message and waits for the answer. kind is one of the kinds that are exchanged, target a configured name, body at most [MaxBody].
// status and reply are what serve says and prove nothing. It is safe for concurrent use.
type Exchanger interface {
	Exchange(ctx context.Context, kind, target string, body []byte) (status int, reply []byte, err error)
}

// Streamer opens a connection to a target. ctx bounds the opening. What is read and written proves nothing. The connection ends after
// [MaxLife] at the latest. It is safe for concurrent use.
type Streamer interface {
	Dial(ctx context.Context, kind, target string) (net.Conn, error)
}

// Session names one run of a serve, so that its tasks are given to another when it is gone: 16 random bytes.
type Session [16]byte

// Take asks for what is to be carried, and waits for it up to Wait milliseconds ([MaxWait] at most).
type Take struct {
	Session Session `cbor:"1,keyasint"`
	Limit   uint64  `cbor:"2,keyasint"` // tasks; 1 to [MaxTakes]
	Wait    uint64  `cbor:"3,keyasint"`
}

// Taken is what to carry; perhaps nothing.
type Taken struct {
	Tasks []Task `cbor:"1,keyasint"`
}

// Task is a message to carry, or a connection to open. The same one can be given out twice, when a carrier seems to be gone.
type Task struct {
	ID       uint64 `cbor:"1,keyasint"`
	Kind     Kind   `cbor:"2,keyasint"`
	Target   string `cbor:"3,keyasint"`
	Body     []byte `cbor:"4,keyasint"`           // of an exchange
	Patience uint64 `cbor:"5,keyasint"`           // milliseconds after which nobody waits any more, counted from when it was queued
	Stream   bool   `cbor:"6,keyasint,omitempty"` // open a connection, answer, then push and pull under the same id
}

// Give answers a task. Error, where it is not empty, says why it could not be carried.
type Give struct {
	ID     uint64 `cbor:"1,keyasint"`
	Status uint64 `cbor:"2,keyasint"` // of HTTP; 0 elsewhere
	Body   []byte `cbor:"3,keyasint"`
	Error  string `cbor:"4,keyasint,omitempty"`
}

// Given says whether anybody waited for an answer. Where nobody did, a stream is not wanted any more.
type Given struct {
	Wanted bool `cbor:"1,keyasint"`
}

// Push hands in bytes that were read from a connection. It waits until there is room for some.
type Push struct {
	ID     uint64 `cbor:"1,keyasint"`
	Offset uint64 `cbor:"2,keyasint"` // of Body's first byte in the connection's bytes
	Body   []byte `cbor:"3,keyasint"`
	End    bool   `cbor:"4,keyasint,omitempty"` // nothing follows
	Error  string `cbor:"5,keyasint,omitempty"` // with End: why the connection broke; empty where the peer closed it
}

// Pushed says where to go on: bytes before Next are not wanted again.
type Pushed struct {
	Next   uint64 `cbor:"1,keyasint"`
	Closed bool   `cbor:"2,keyasint,omitempty"` // the stream is over: close the connection
}

// Pull asks for bytes to write to a connection, from Offset on; those before it were written. It waits up to Wait milliseconds.
type Pull struct {
	ID     uint64 `cbor:"1,keyasint"`
	Offset uint64 `cbor:"2,keyasint"`
	Wait   uint64 `cbor:"3,keyasint"`
}

// Pulled is what to write.
type Pulled struct {
	Body   []byte `cbor:"1,keyasint"`
	Closed bool   `cbor:"2,keyasint,omitempty"` // the stream is over: write Body, then close the connection
}
