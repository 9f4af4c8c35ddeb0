// SPDX-License-Identifier: Apache-2.0

package witness_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"strongroom/internal/app/witnessapp"
	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk/disktest"
	"strongroom/internal/core/auditlog/logtest"
	"strongroom/internal/gate/relay"
)

// mortal is a relay whose process dies at an exchange: before the message leaves, or after the witness has acted on it.
type mortal struct {
	relay.Exchanger
	at    int
	after bool
	dead  chan struct{} // closed at death

	mu    sync.Mutex
	calls int
}

func (m *mortal) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	m.mu.Lock()
	m.calls++
	n := m.calls
	if n == m.at {
		if m.after {
			_, _, _ = m.Exchanger.Exchange(ctx, kind, target, body)
		}
		close(m.dead)
	}
	m.mu.Unlock()
	select {
	case <-m.dead:
		return 0, nil, errors.New("the process is dead")
	default:
		return m.Exchanger.Exchange(ctx, kind, target, body)
	}
}

// storyOn grows a log until it ends or dies, and gives how many entries were acknowledged.
func (w *world) storyOn(m *disktest.Mem, r *mortal) (acked []auditlog.Record) {
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	go func() { // ends with ctx
		select {
		case <-r.dead:
			cancel()
		case <-ctx.Done():
		}
	}()
	c, err := w.tryOpen(ctx, m, options{relay: r})
	if err != nil {
		return nil
	}
	defer c.close()
	acked = append(acked, c.tail...)
	for i := range 4 {
		seq, prev := c.Next()
		rec := logtest.Record(prev, seq, fmt.Appendf(nil, "story %d", i))
		h, err := c.Append(ctx, rec)
		if err != nil || h.Wait(ctx) != nil {
			return acked
		}
		acked = append(acked, rec)
	}
	return acked
}

// check opens what a crash left, and requires that what was acknowledged is there and that the log goes on.
func (w *world) check(name string, m *disktest.Mem, acked []auditlog.Record) {
	w.t.Helper()
	c, err := w.tryOpen(w.t.Context(), m.Restart(), options{})
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	if len(c.tail) < len(acked) {
		w.t.Fatalf("%s: %d entries were acknowledged, %d are there", name, len(acked), len(c.tail))
	}
	for i, r := range acked {
		if !logtest.Equal(r, c.tail[i]) {
			w.t.Fatalf("%s: entry %d is not what was acknowledged", name, i)
		}
	}
	c.grow(2)
	if len(w.cosigned(c)) < 2 {
		w.t.Fatalf("%s: not cosigned", name)
	}
	c.close()
}

// The process ends at any message to a witness, before or after the witness acted: after none, one, two or all of a pin's.
func TestCrashAtEveryMessage(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			name := fmt.Sprintf("message %d, after: %v", at, after)
			w, m := newWorld(t, 3), disktest.New()
			r := &mortal{Exchanger: w, at: at, after: after, dead: make(chan struct{})}
			acked := w.storyOn(m, r)
			select {
			case <-r.dead:
			default:
				if len(acked) != 4 {
					t.Fatalf("%s: %d entries", name, len(acked))
				}
				if at < 12 {
					t.Fatalf("the story has only %d messages", at)
				}
				at = -1
			}
			if at < 0 {
				break
			}
			w.check(name, m, acked)
		}
	}
}

// The disk fails at any change, before or after its effect: the log's flush, the pin that is written ahead, and all else.
func TestCrashAtEveryChange(t *testing.T) {
	t.Parallel()
	for _, when := range []disktest.When{disktest.Before, disktest.After, disktest.Half} {
		for at := 1; ; at++ {
			name := fmt.Sprintf("change %d, %v", at, when)
			w, m := newWorld(t, 3), disktest.New()
			m.FailAt(at, when)
			acked := w.storyOn(m, &mortal{Exchanger: w, dead: make(chan struct{})})
			if struck, _ := m.Struck(); !struck {
				if len(acked) != 4 {
					t.Fatalf("%s: %d entries", name, len(acked))
				}
				break
			}
			w.check(name, m, acked)
		}
	}
}

// A witness whose disk fails at any change never cosigns two histories, and the log goes on without it.
func TestWitnessCrashAtEveryChange(t *testing.T) {
	t.Parallel()
	for at := 1; ; at++ {
		w, m := newWorld(t, 3), disktest.New()
		w.disks[0].FailAt(w.disks[0].Changes()+at, disktest.When(at%2))
		c := w.open(m)
		c.grow(4)
		eventually(t, "the others know four, and the first one if its disk works", func() bool {
			struck, _ := w.disks[0].Struck()
			return slices.Min(w.sizes()[1:]) == 4 && (struck || w.sizes()[0] == 4)
		})
		c.close()
		struck, _ := w.disks[0].Struck()
		state, err := witnessapp.OpenState(w.disks[0].Restart())
		must(t, err)
		kept, err := state.Load(t.Context(), origin)
		must(t, err)
		for size, root := range w.seen["w1"] {
			if size > kept.Size || size == kept.Size && fmt.Sprintf("%x", kept.Root) != root {
				t.Fatalf("change %d: %d entries were cosigned, %d are remembered", at, size, kept.Size)
			}
		}
		if !struck {
			if len(w.seen["w1"]) == 0 {
				t.Fatal("the witness cosigned nothing")
			}
			return
		}
	}
}
