// SPDX-License-Identifier: Apache-2.0

package ntp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/timeguard"
	"strongroom/internal/core/timeguard/ntp"
	"strongroom/internal/core/timeguard/timetest"
	"strongroom/internal/secret"
)

func client(t *testing.T, n ntp.Carrier, key ntp.Key) *ntp.Client {
	t.Helper()
	c, err := ntp.New(ntp.Config{Name: "a", Target: "a", Key: key, Carrier: n, Boot: timetest.Boot})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(t *testing.T, c *ntp.Client) (timeguard.Sample, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Sample(ctx, timeguard.Known{})
}

// holds says whether a sample holds a time that was read from the wall clock since it was taken.
func holds(s timeguard.Sample, off time.Duration) bool {
	wall := timetest.WallAt(s.Boot) + int64(off)
	const slack = int64(20 * time.Millisecond) // of clocks that are slewed
	return s.Low-slack <= wall && wall <= s.High+slack && s.High-s.Low < int64(5*time.Second)
}

// TestChrony: a real server answers under every algorithm, and what it says holds the time, its own if it is wrong.
func TestChrony(t *testing.T) {
	t.Parallel()
	arena := timetest.Arena(t)
	for _, off := range []time.Duration{0, time.Second, 1000 * time.Second} {
		server := timetest.Start(t, timetest.Options{Offset: off})
		n := &timetest.Net{UDP: map[string]string{"a": server.NTP}}
		for id := range uint32(4) {
			s, err := ask(t, client(t, n, timetest.Key(t, arena, id+1)))
			if err != nil {
				t.Fatalf("key %d: %v", id+1, err)
			}
			if !holds(s, off) || s.Leap {
				t.Errorf("key %d, wrong by %v: got %+v, now %d", id+1, off, s, time.Now().UnixNano())
			}
		}
	}
}

// TestChronyRefusals: what is altered on the way, old, or under another key is not believed.
func TestChronyRefusals(t *testing.T) {
	t.Parallel()
	arena := timetest.Arena(t)
	server := timetest.Start(t, timetest.Options{})
	key := timetest.Key(t, arena, 1)
	var old []byte
	for _, tc := range []struct {
		name  string
		spoil func(question, answer []byte) []byte
		want  error
	}{
		{"as it is", func(_, a []byte) []byte { old = a; return a }, nil},
		{"replayed", func(_, _ []byte) []byte { return old }, ntp.ErrForeign},
		{"replayed with our nonce", func(q, _ []byte) []byte { return slices.Concat(old[:24], q[40:48], old[32:]) }, ntp.ErrNotAuthentic},
		{"code stripped", func(_, a []byte) []byte { return a[:48] }, ntp.ErrNotAuthentic},
		{"code cut", func(_, a []byte) []byte { return a[:67] }, ntp.ErrNotAuthentic},
		{"crypto-NAK", func(_, a []byte) []byte { return append(a[:48:48], 0, 0, 0, 0) }, ntp.ErrKeyUnknown},
		{"other key id", func(_, a []byte) []byte { a[51] = 2; return a }, ntp.ErrNotAuthentic},
		{"time changed", func(_, a []byte) []byte { a[40]++; return a }, ntp.ErrNotAuthentic},
		{"code changed", func(_, a []byte) []byte { a[67] ^= 1; return a }, ntp.ErrNotAuthentic},
		{"longer", func(_, a []byte) []byte { return append(a, 0, 0, 0, 0) }, ntp.ErrNotAuthentic},
		{"our own question", func(q, _ []byte) []byte { return q }, ntp.ErrForeign},
		{"empty", func(_, _ []byte) []byte { return nil }, ntp.ErrForeign},
		{"forged kiss", func(_, a []byte) []byte { a[1] = 0; copy(a[12:], "DENY"); return a }, ntp.ErrNotAuthentic},
	} {
		n := &timetest.Net{UDP: map[string]string{"a": server.NTP}, Spoil: func(_ string, q, a []byte) ([]byte, error) { return tc.spoil(q, bytes.Clone(a)), nil }}
		if _, err := ask(t, client(t, n, key)); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
	wrong, err := ntp.ReadKey(arena, []byte("1 AES128 HEX:FF0102030405060708090A0B0C0D0E0F\n"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer wrong.Wipe()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if s, err := client(t, &timetest.Net{UDP: map[string]string{"a": server.NTP}}, wrong).Sample(ctx, timeguard.Known{}); err == nil {
		t.Errorf("a wrong key gives %+v", s)
	}
}

// server answers with a header that the test makes, under a key. It is a carrier.
type server struct {
	key    ntp.Key
	change func(h []byte)
}

func (s server) Exchange(_ context.Context, _, _ string, body []byte) (int, []byte, error) {
	h := make([]byte, ntp.HeaderSize)
	h[0], h[1], h[3] = 4<<3|4, 2, 0xe8
	copy(h[24:], body[40:48])
	now := uint64(time.Now().Unix()+2208988800) << 32
	binary.BigEndian.PutUint64(h[32:], now)
	binary.BigEndian.PutUint64(h[40:], now)
	s.change(h)
	b, err := s.key.Append(h)
	return 0, b, err
}

// TestAnswers: what an authentic server can say that gives no time, and what that asks of us.
func TestAnswers(t *testing.T) {
	t.Parallel()
	key := timetest.Key(t, timetest.Arena(t), 3)
	later := func(ts []byte) { binary.BigEndian.PutUint32(ts, binary.BigEndian.Uint32(ts)+9) } // seconds
	stratum := func(code string) func([]byte) { return func(h []byte) { h[1] = 0; copy(h[12:], code) } }
	for _, tc := range []struct {
		name   string
		change func(h []byte)
		want   string // in the error; empty: a sample
		hold   time.Duration
	}{
		{"plain", func([]byte) {}, "", 0},
		{"leap", func(h []byte) { h[0] |= 1 << 6 }, "", 0},
		{"unsynchronised", func(h []byte) { h[0] |= 3 << 6 }, "does not know", 0},
		{"stratum 16", func(h []byte) { h[1] = 16 }, "does not know", 0},
		{"no times", func(h []byte) { clear(h[32:]) }, "does not know", 0},
		{"slow down", stratum("RATE"), "RATE", 5 * time.Minute},
		{"go away", stratum("DENY"), "DENY", time.Hour},
		{"restricted", stratum("RSTR"), "RSTR", time.Hour},
		{"starting", stratum("INIT"), "INIT", 0},
		{"no text", stratum("\x1b[2J"), "1b5b324a", 0},
		{"sent before received", func(h []byte) { later(h[32:]) }, "", 0},
		{"sent long after received", func(h []byte) { later(h[40:]) }, "longer than it was under way", 0},
		{"version 3", func(h []byte) { h[0] = 3<<3 | 4 }, "no answer", 0},
		{"broadcast", func(h []byte) { h[0] = 4<<3 | 5 }, "no answer", 0},
	} {
		s, err := ask(t, client(t, server{key, tc.change}, key))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
		held, ok := errors.AsType[*timeguard.HoldError](err)
		if ok != (tc.hold != 0) || ok && held.For != tc.hold {
			t.Errorf("%s: got %v, want a hold of %v", tc.name, err, tc.hold)
		}
		if tc.want == "" && s.Leap != (tc.name == "leap") {
			t.Errorf("%s: leap is %t", tc.name, s.Leap)
		}
	}
}

func TestReadKey(t *testing.T) {
	t.Parallel()
	arena := timetest.Arena(t)
	const good = "AES128 HEX:000102030405060708090a0b0c0d0e0f"
	for _, tc := range []struct{ file, want string }{
		{"# comment\n\n2 SHA1 HEX:00\n1 " + good + "\n", ""},
		{"1 " + good, ""},
		{"2 " + good, "no key 1"},
		{"1 " + good + "\n1 " + good, "twice"},
		{"1 MD5 HEX:000102030405060708090a0b0c0d0e0f", "algorithm"},
		{"1 AES128 HEX:0001", "length"},
		{"1 AES256 HEX:000102030405060708090a0b0c0d0e0f", "length"},
		{"1 SHA256 HEX:0001020304", "length"},
		{"1 SHA256 HEX:" + strings.Repeat("00", 65), "length"},
		{"1 AES128 HEX:000102030405060708090a0b0c0d0e0f0", "length"},
		{"1 AES128 HEX:000102030405060708090a0b0c0d0eXX", "hexadecimal"},
		{"1 AES128 ASCII:0123456789abcdef", "HEX"},
		{"1 secret", "three words"},
		{"x " + good, "no key id"},
		{"0 " + good, "no key id"},
		{strings.Repeat("#\n", 40<<10), "more than"},
	} {
		file := []byte(tc.file)
		k, err := ntp.ReadKey(arena, file, 1)
		if (err == nil) != (tc.want == "") || err != nil && (!strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "0001")) {
			t.Errorf("%.40q: got %v, want %q", tc.file, err, tc.want)
		}
		if err == nil {
			k.Wipe()
		}
		if slices.ContainsFunc(file, func(b byte) bool { return b != 0 }) {
			t.Errorf("%.40q: the text is still there", tc.file)
		}
	}
	if u := arena.Usage(); u.Live != 0 {
		t.Errorf("%d secrets are left", u.Live)
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := ntp.Config{Name: "a", Target: "a", Key: timetest.Key(t, timetest.Arena(t), 1), Carrier: &timetest.Net{}, Boot: timetest.Boot}
	for i, change := range []func(*ntp.Config){
		func(c *ntp.Config) { c.Name = "" }, func(c *ntp.Config) { c.Target = "" }, func(c *ntp.Config) { c.Key = ntp.Key{} },
		func(c *ntp.Config) { c.Carrier = nil }, func(c *ntp.Config) { c.Boot = nil },
	} {
		c := good
		change(&c)
		if _, err := ntp.New(c); err == nil {
			t.Errorf("change %d is accepted", i)
		}
	}
	if _, err := (ntp.Key{}).Append(nil); !errors.Is(err, secret.ErrWiped) {
		t.Errorf("a key that is none: got %v", err)
	}
}
