// SPDX-License-Identifier: Apache-2.0

package timeguard

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// machine is a machine's clocks; pause is what passes between two readings.
type machine struct {
	wall, boot int64
	pauses     []time.Duration
	err        error
}

func (m *machine) read(clock int32) (int64, error) {
	if len(m.pauses) > 0 {
		m.wall += int64(m.pauses[0])
		m.boot += int64(m.pauses[0])
		m.pauses = m.pauses[1:]
	}
	if clock == unix.CLOCK_REALTIME {
		return m.wall, m.err
	}
	return m.boot, m.err
}

func TestSystem(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		change  func(*machine)
		certain bool
	}{
		{"time passes", func(m *machine) { m.wall += 1e12; m.boot += 1e12 }, true},
		{"disciplined", func(m *machine) { m.wall += int64(MaxStep) / 2 }, true},
		{"stepped forward", func(m *machine) { m.wall += int64(MaxStep) + 1 }, false},
		{"stepped back", func(m *machine) { m.wall -= int64(MaxStep) + 1 }, false},
		{"stopped between the readings", func(m *machine) { m.pauses = []time.Duration{0, time.Hour, 0} }, true},
		{"unreadable", func(m *machine) { m.err = errors.New("no clock") }, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m := &machine{wall: 1e18, boot: 1e12}
			s, err := newSystem(time.Second, m.read)
			if err != nil {
				t.Fatal(err)
			}
			tc.change(m)
			r := s.Now()
			if r.Certain != tc.certain || (r.Why == "") != tc.certain {
				t.Fatalf("got %+v, want certain %v", r, tc.certain)
			}
			if m.err == nil && !tc.certain {
				m.wall = m.boot + 1e18 - 1e12
				if s.Now().Certain {
					t.Error("a clock that was stepped is believed again")
				}
			}
		})
	}
}

func TestNewSystemRefuses(t *testing.T) {
	t.Parallel()
	for _, bound := range []time.Duration{0, -1, time.Hour} {
		if _, err := NewSystem(bound); err == nil {
			t.Errorf("a bound of %v is accepted", bound)
		}
	}
}
