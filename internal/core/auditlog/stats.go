// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"sync/atomic"
	"time"
)

// Stats counts what a log did since it was opened. Durations are sums, zero without [Config.Elapsed]. Flushes are the store's and the
// anchor's to count (with files: one of each a batch).
type Stats struct {
	Entries    uint64        // acknowledged
	Bytes      uint64        // of their leaves and bodies
	Batches    uint64        // appends to the store
	Pins       uint64        // pins for batches
	AppendTime time.Duration // in Store.Append
	SignTime   time.Duration // tree and signature, beside AppendTime
	PinTime    time.Duration // in Anchor.Pin
	CommitTime time.Duration // whole batches
	Tiled      uint64        // entries whose tiles are published
	TilesError error         // why publishing does not get on, or nil
}

type counters struct {
	entries, bytes, batches, pins atomic.Uint64
	append, sign, pin, commit     atomic.Int64
}

// Stats gives the counters now.
func (l *Log) Stats() Stats {
	s := Stats{
		Entries: l.stats.entries.Load(), Bytes: l.stats.bytes.Load(), Batches: l.stats.batches.Load(), Pins: l.stats.pins.Load(),
		AppendTime: time.Duration(l.stats.append.Load()), SignTime: time.Duration(l.stats.sign.Load()),
		PinTime: time.Duration(l.stats.pin.Load()), CommitTime: time.Duration(l.stats.commit.Load()),
	}
	s.Tiled, s.TilesError = l.tiles.state()
	return s
}
