// SPDX-License-Identifier: Apache-2.0

package ntp

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/core/timeguard"
)

func TestTimestamps(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		stamp uint64
		want  string
	}{
		{3913056000 << 32, "2024-01-01T00:00:00Z"},
		{0xffffffff<<32 | 1<<31, "2036-02-07T06:28:15.5Z"},
		{0, "2036-02-07T06:28:16Z"}, // the next era
		{3913055999 << 32, "2160-02-07T06:28:15Z"},
		{0xe8000000<<32 | math.MaxUint32, "2159-06-12T04:50:08.999999999Z"}, // before 2024, so in the next era
	} {
		if got := time.Unix(0, unix(tc.stamp)).UTC().Format(time.RFC3339Nano); got != tc.want {
			t.Errorf("%x: got %s, want %s", tc.stamp, got, tc.want)
		}
	}
}

func TestPrecision(t *testing.T) {
	t.Parallel()
	for p, want := range map[int8]int64{-128: 1, -30: 1, -20: 954, -1: 5e8 + 1, 0: 1e9, 3: 8e9, 127: 1e9 << 30} {
		b := Request(Nonce{})
		b[0], b[3] = version<<3|modeServer, byte(p)
		if h, err := ParseReply(b, Nonce{}); err != nil || h.Precision != want {
			t.Errorf("2^%d: got %d, %v", p, h.Precision, err)
		}
	}
}

// TestSampleHoldsTheTime: whatever the way there and back takes and whichever way it is uneven, the sample of a server whose clock is as
// good as it says holds the true time; and the server's errors widen it.
func TestSampleHoldsTheTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		span := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64Range(0, int64(10*time.Second)))
		there, inside, back := span.Draw(t, "there"), span.Draw(t, "inside"), span.Draw(t, "back")
		h := Header{Stratum: 1, validTimestamps: true, Precision: rapid.SampledFrom([]int64{1, 1e6}).Draw(t, "precision"),
			RootDelay: span.Draw(t, "delay"), RootDispersion: span.Draw(t, "dispersion")}
		most := h.RootDelay/2 + h.RootDispersion
		wrong := rapid.OneOf(rapid.SampledFrom([]int64{-most, most}), rapid.Int64Range(-most, most)).Draw(t, "error of the server")
		const asked, utc = int64(1e15), int64(1.8e18)
		h.Received = utc + there + wrong
		h.Sent = h.Received + inside
		away := there + inside + back
		slow, fast := -timeguard.Drifted(away)/100*99, timeguard.Drifted(away)/100*99 // of the time that passed, not of what the clock made of it
		drift := rapid.OneOf(rapid.SampledFrom([]int64{slow, fast}), rapid.Int64Range(slow, fast)).Draw(t, "drift")
		s, err := h.Sample(asked, asked+away+drift)
		if err != nil {
			t.Fatal(err)
		}
		if now := utc + away; s.Low > now || now > s.High {
			t.Fatalf("%d is not in %+v", now, s)
		}
		if s.High-s.Low < h.RootDelay+2*h.RootDispersion {
			t.Fatalf("%+v is narrower than the server's own error", s)
		}
	})
}

func TestSampleRefuses(t *testing.T) {
	t.Parallel()
	h := Header{Stratum: 1, validTimestamps: true, Precision: 1, Received: 1.8e18, Sent: 1.8e18}
	for name, at := range map[string][2]int64{"back": {5, 4}, "too long": {0, maxAway + 1}} {
		if _, err := h.Sample(at[0], at[1]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	h.Stratum = 16
	if _, err := h.Sample(0, 1); !errors.Is(err, ErrUnsynchronised) {
		t.Errorf("stratum 16: got %v", err)
	}
}

// FuzzParseReply: any bytes give a header whose sample, if there is one, is in order and within the 136 years.
func FuzzParseReply(f *testing.F) {
	f.Add(Request(Nonce{1}), int64(0), int64(1))
	good := Request(Nonce{})
	good[0], good[1], good[35], good[43] = version<<3|modeServer, 1, 1, 1
	f.Add(good, int64(1e15), int64(1e15+1e7))
	f.Fuzz(func(t *testing.T, b []byte, asked, came int64) {
		h, err := ParseReply(b, Nonce{})
		if err != nil {
			if !errors.Is(err, ErrForeign) {
				t.Fatal(err)
			}
			return
		}
		s, err := h.Sample(asked, came)
		if err != nil {
			return
		}
		if s.Low > s.High || s.Boot != came || s.High < eraBase*1e9 {
			t.Fatalf("%+v of %+v", s, h)
		}
	})
}
