// SPDX-License-Identifier: Apache-2.0

package nts

import (
	"bytes"
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"strongroom/internal/core/timeguard"
	"strongroom/internal/core/timeguard/ntp"
	"strongroom/internal/core/timeguard/timetest"
)

// link is a way to a server that counts and records.
type link struct {
	timetest.Net
	establishments int
	targets        []string
	cookies        [][]byte // sent
	sizes          []int    // of requests
}

func (l *link) Dial(ctx context.Context, kind, target string) (net.Conn, error) {
	l.establishments++
	return l.Net.Dial(ctx, kind, target)
}

func (l *link) Exchange(ctx context.Context, kind, target string, body []byte) (int, []byte, error) {
	l.targets = append(l.targets, target)
	l.sizes = append(l.sizes, len(body))
	fields, err := parseFields(body, ntp.HeaderSize)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range fields {
		if f.kind == fieldCookie {
			l.cookies = append(l.cookies, bytes.Clone(f.body))
		}
	}
	return l.Net.Exchange(ctx, kind, target, body)
}

func linkTo(s *timetest.Server) *link {
	return &link{Net: timetest.Net{UDP: map[string]string{"a": s.NTP}, TCP: map[string]string{"a": s.KE}}}
}

func client(t *testing.T, l *link, ca *timetest.Authority) *Client {
	t.Helper()
	c, err := New(Config{Name: "a", Target: "a", ServerName: "localhost", Roots: ca.Pool(), Carrier: l, Dialer: l, Boot: timetest.Boot})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func ask(t *testing.T, c *Client, known timeguard.Known) (timeguard.Sample, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	return c.Sample(ctx, known)
}

// TestChrony: keys from a real server, then time from it, with the time known and not; a cookie is never sent twice, eight are kept, and
// when answers stop coming keys are established anew after the eighth.
func TestChrony(t *testing.T) {
	t.Parallel()
	ca := timetest.NewAuthority(t)
	server := timetest.Start(t, timetest.Options{NTS: ca})
	l := linkTo(server)
	c := client(t, l, ca)
	now := time.Now()
	for i, known := range []timeguard.Known{{}, {Floor: now.Add(-time.Minute).UnixNano()}, {Time: now.UnixNano(), Certain: true}} {
		s, err := ask(t, c, known)
		if err != nil {
			t.Fatal(err)
		}
		wall := timetest.WallAt(s.Boot)
		if slack := int64(20 * time.Millisecond); wall < s.Low-slack || s.High+slack < wall || s.High-s.Low > int64(5*time.Second) {
			t.Errorf("got %+v at %d", s, wall)
		}
		if s.NotBefore > now.UnixNano() || s.NotAfter < now.UnixNano() || s.NotAfter > now.Add(2*time.Hour).UnixNano() {
			t.Errorf("valid from %d to %d", s.NotBefore, s.NotAfter)
		}
		if len(c.a.cookies) != maxCookies {
			t.Errorf("after question %d there are %d cookies", i, len(c.a.cookies))
		}
	}
	if l.establishments != 1 {
		t.Errorf("%d establishments", l.establishments)
	}
	if _, port, _ := net.SplitHostPort(server.NTP); l.targets[0] != "a@:"+port {
		t.Errorf("packets go to %q, the server named port %s", l.targets[0], port)
	}
	lost := errors.New("lost")
	l.Spoil = func(string, []byte, []byte) ([]byte, error) { return nil, lost }
	for range maxCookies {
		if _, err := ask(t, c, timeguard.Known{}); !errors.Is(err, lost) {
			t.Fatal(err)
		}
	}
	l.Spoil = nil
	if len(c.a.cookies) != 0 || l.establishments != 1 {
		t.Errorf("%d cookies, %d establishments", len(c.a.cookies), l.establishments)
	}
	if _, err := ask(t, c, timeguard.Known{}); err != nil || l.establishments != 2 {
		t.Errorf("without cookies: got %v, %d establishments", err, l.establishments)
	}
	slices.SortFunc(l.cookies, bytes.Compare)
	if n := len(slices.CompactFunc(l.cookies, bytes.Equal)); n != 3+maxCookies+1 {
		t.Errorf("%d questions, %d cookies", 3+maxCookies+1, n)
	}
	if most := slices.Max(l.sizes); most > maxPacket {
		t.Errorf("a request has %d bytes", most)
	}
}

// TestChronyLosesOne: cookies that were lost are asked for with placeholders.
func TestChronyLosesOne(t *testing.T) {
	t.Parallel()
	ca := timetest.NewAuthority(t)
	l := linkTo(timetest.Start(t, timetest.Options{NTS: ca}))
	c := client(t, l, ca)
	if _, err := ask(t, c, timeguard.Known{}); err != nil {
		t.Fatal(err)
	}
	c.a.cookies = c.a.cookies[:5]
	if _, err := ask(t, c, timeguard.Known{}); err != nil || len(c.a.cookies) != maxCookies {
		t.Errorf("got %v, %d cookies", err, len(c.a.cookies))
	}
}

// TestChronyForgets: a server that lost its keys says so, without proof; the client asks it to be left alone for a moment and then
// establishes new ones.
func TestChronyForgets(t *testing.T) {
	t.Parallel()
	ca := timetest.NewAuthority(t)
	server := timetest.Start(t, timetest.Options{NTS: ca})
	l := linkTo(server)
	c := client(t, l, ca)
	if _, err := ask(t, c, timeguard.Known{}); err != nil {
		t.Fatal(err)
	}
	server.ForgetCookies(t)
	_, err := ask(t, c, timeguard.Known{})
	held, ok := errors.AsType[*timeguard.HoldError](err)
	if !errors.Is(err, ErrNAK) || !ok || held.For != holdEstablish {
		t.Fatalf("got %v", err)
	}
	if _, err := ask(t, c, timeguard.Known{}); err != nil || l.establishments != 2 {
		t.Errorf("got %v after %d establishments", err, l.establishments)
	}
}

// TestChronyRefusals: an answer that is altered, old or of somebody else is not believed, and the next question is answered all the same.
func TestChronyRefusals(t *testing.T) {
	t.Parallel()
	ca := timetest.NewAuthority(t)
	l := linkTo(timetest.Start(t, timetest.Options{NTS: ca}))
	c := client(t, l, ca)
	var old []byte
	for _, tc := range []struct {
		name  string
		spoil func(q, a []byte) []byte
		want  error
	}{
		{"as it is", func(_, a []byte) []byte { old = a; return a }, nil},
		{"replayed", func(_, _ []byte) []byte { return old }, ntp.ErrForeign},
		{"replayed with our nonce", func(q, _ []byte) []byte { return slices.Concat(old[:24], q[40:48], old[32:]) }, ntp.ErrForeign},
		{"replayed with our nonce and identifier", func(q, _ []byte) []byte {
			return slices.Concat(old[:24], q[40:48], old[32:52], q[52:84], old[84:])
		}, ErrNotAuthentic},
		{"authenticator stripped", func(_, a []byte) []byte { return a[:84] }, ErrNotAuthentic},
		{"all fields stripped", func(_, a []byte) []byte { return a[:48] }, ErrNotAuthentic},
		{"identifier stripped", func(_, a []byte) []byte { return slices.Concat(a[:48], a[84:]) }, ErrNotAuthentic},
		{"identifier twice", func(_, a []byte) []byte { return slices.Concat(a[:84], a[48:]) }, ntp.ErrForeign},
		{"field behind", func(_, a []byte) []byte { return appendField(a, 0x2222, make([]byte, 28)) }, ErrNotAuthentic},
		{"time changed", func(_, a []byte) []byte { a[40]++; return a }, ErrNotAuthentic},
		{"nonce changed", func(_, a []byte) []byte { a[92]++; return a }, ErrNotAuthentic},
		{"cookie changed", func(_, a []byte) []byte { a[len(a)-1]++; return a }, ErrNotAuthentic},
		{"our own question", func(q, _ []byte) []byte { return q }, ntp.ErrForeign},
		{"our own question as an answer", func(q, a []byte) []byte { return slices.Concat(a[:48], q[48:]) }, ErrNotAuthentic},
		{"forged kiss", func(_, a []byte) []byte { a[1] = 0; copy(a[12:], "DENY"); return a }, ErrNotAuthentic},
		{"forged kiss, stripped", func(_, a []byte) []byte { a[1] = 0; copy(a[12:], "DENY"); return a[:84] }, ErrNotAuthentic},
	} {
		l.Spoil = func(_ string, q, a []byte) ([]byte, error) { return tc.spoil(q, bytes.Clone(a)), nil }
		if _, err := ask(t, c, timeguard.Known{}); !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
	}
	l.Spoil = nil
	if _, err := ask(t, c, timeguard.Known{}); err != nil {
		t.Error(err)
	}
}

// TestChronyCertificates: the name, the roots and the time of certificates are checked, as far as the time is known.
func TestChronyCertificates(t *testing.T) {
	t.Parallel()
	ca := timetest.NewAuthority(t)
	server := timetest.Start(t, timetest.Options{NTS: ca})
	hours := func(n int) int64 { return time.Now().Add(time.Duration(n) * time.Hour).UnixNano() }
	for _, tc := range []struct {
		name   string
		change func(*Config)
		known  timeguard.Known
		want   string
	}{
		{"time unknown", func(*Config) {}, timeguard.Known{}, ""},
		{"floor inside", func(*Config) {}, timeguard.Known{Floor: hours(0)}, ""},
		{"floor before", func(*Config) {}, timeguard.Known{Floor: hours(-9)}, ""},
		{"floor after", func(*Config) {}, timeguard.Known{Floor: hours(2)}, "were valid until"},
		{"known", func(*Config) {}, timeguard.Known{Time: hours(0), Certain: true}, ""},
		{"known, expired", func(*Config) {}, timeguard.Known{Time: hours(2), Certain: true}, "expired or is not yet valid"},
		{"known, not yet", func(*Config) {}, timeguard.Known{Time: hours(-2), Certain: true}, "expired or is not yet valid"},
		{"not certain", func(*Config) {}, timeguard.Known{Time: hours(2)}, ""},
		{"other name", func(c *Config) { c.ServerName = "example.org" }, timeguard.Known{}, "not example.org"},
		{"other authority", func(c *Config) { c.Roots = timetest.NewAuthority(t).Pool() }, timeguard.Known{}, "unknown authority"},
	} {
		l := linkTo(server)
		c := client(t, l, ca)
		tc.change(&c.cfg)
		_, err := ask(t, c, tc.known)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
		if _, ok := errors.AsType[*timeguard.HoldError](err); ok != (tc.want != "") {
			t.Errorf("%s: got %v; a failed establishment must ask for a pause", tc.name, err)
		}
	}
}
