// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"strongroom/internal/pure/problem"
)

// TestSmallerPeer has each side declare less than the other can send.
func TestSmallerPeer(t *testing.T) {
	t.Parallel()
	s := start(t, func(context.Context, Caller, string, []byte) ([]byte, error) { return make([]byte, MinFrame+1), nil }, limits(Limits{Frame: MinFrame}))
	c := dial(t, s)
	_, err := c.Call(t.Context(), "m", make([]byte, MinFrame))
	wantKind(t, err, problem.TooLarge)
	if got, err := c.Call(t.Context(), "m", nil); err != nil || len(got) != MinFrame+1 {
		t.Errorf("the client accepts more: %d, %v", len(got), err)
	}
	raw := rawDial(t, s)
	if _, err := raw.Write(append(ourHello(MinFrame).bytes(), wire(frame{shape: request, stream: 1, method: "m"})...)); err != nil {
		t.Fatal(err)
	}
	if _, err := readHello(raw); err != nil {
		t.Fatal(err)
	}
	wantKind(t, nextFrame(t, newReader(raw, MaxFrame)).fault.problem(), problem.TooLarge)
}

func nextFrame(t *testing.T, r *reader) frame {
	t.Helper()
	size, err := r.size()
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.frame(size)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestViolations sends what no client sends. The server answers what came before, says what is wrong, and hangs up.
func TestViolations(t *testing.T) {
	t.Parallel()
	ask := func(n uint64) frame { return frame{shape: request, stream: n, method: "echo", body: []byte{1}} }
	for _, c := range []struct {
		name string
		send []byte
		kind problem.Kind
		why  string
	}{
		{"oversized", []byte{1, 0x40, 0, 1}, problem.TooLarge, "20971521 bytes"},
		{"huge", []byte{0xff, 0xff, 0xff, 0xff}, problem.TooLarge, "more than"},
		{"undersized", []byte{0, 0, 0, 4, 1, 2, 3, 4}, problem.Malformed, "4 bytes"},
		{"garbage", append([]byte{0, 0, 0, 32}, bytes.Repeat([]byte{0x5a}, 32)...), problem.Malformed, "no map"},
		{"duplicated", wire(ask(1)), problem.Malformed, "stream 1 follows 1"},
		{"skipped", wire(ask(3)), problem.Malformed, "stream 3 follows 1"},
		{"reply", wire(frame{shape: reply, stream: 2, body: []byte{1}}), problem.Malformed, "requests only"},
		{"failure", wire(frame{shape: failure, stream: 2, fault: someFault}), problem.Malformed, "requests only"},
		{"not canonical", []byte{0, 0, 0, 8, 0xa3, 1, 0x18, 2, 2, 0x61, 'm', 3}, problem.Malformed, "shortest"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, echo)
			raw := rawHello(t, s)
			if _, err := raw.Write(append(wire(ask(1)), c.send...)); err != nil {
				t.Fatal(err)
			}
			r := newReader(raw, MaxFrame)
			got := map[uint64]frame{}
			for range 2 {
				f := nextFrame(t, r)
				got[f.stream] = f
			}
			if f := got[1]; f.shape != reply || !bytes.Equal(f.body, []byte{1}) {
				t.Errorf("the good request before it: %+v", f)
			}
			if p := wantKind(t, got[0].fault.problem(), c.kind); !strings.Contains(p.Detail, c.why) {
				t.Errorf("detail %q, want %q in it", p.Detail, c.why)
			}
			if _, err := r.size(); err == nil {
				t.Error("the connection lives on")
			}
			if !strings.Contains(s.log.String(), "door connection broken off") {
				t.Error("the log is silent")
			}
		})
	}
}

// TestGarbageHurtsNobodyElse throws random bytes and cut frames at a server while another connection works.
func TestGarbageHurtsNobodyElse(t *testing.T) {
	t.Parallel()
	s := start(t, echo, limits(Limits{Stall: 5 * time.Second}))
	c := dial(t, s)
	whole := wire(frame{shape: request, stream: 1, method: "echo", body: make([]byte, 100)})
	for i := range 40 {
		raw := rawHello(t, s)
		if i%2 == 0 {
			junk := make([]byte, 64)
			for j := range junk {
				junk[j] = byte(rand.Uint32())
			}
			_, _ = raw.Write(junk)
		} else {
			_, _ = raw.Write(whole[:1+i*2])
			_ = raw.CloseWrite()
			if b, _ := io.ReadAll(raw); len(b) != 0 {
				t.Errorf("a cut frame was answered: %x", b)
			}
		}
		raw.Close()
		if _, err := c.Call(t.Context(), "echo", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHellos(t *testing.T) {
	t.Parallel()
	s := start(t, echo, limits(Limits{Hello: time.Second}))
	good := ourHello(MaxFrame)
	for _, c := range []struct {
		name   string
		change func(*hello)
		raw    []byte
		kind   problem.Kind
		why    string
	}{
		{"newer", func(h *hello) { h.Version = 2 }, nil, problem.Unsupported, "version 2 of the door, this side version 1"},
		{"other protocol", func(h *hello) { h.Protocol = "x" }, nil, problem.Malformed, `speaks "x"`},
		{"frames too small", func(h *hello) { h.MaxFrame = 100 }, nil, problem.Malformed, "100 bytes"},
		{"http", nil, []byte("GET / HTTP/1.1\r\n\r\n"), problem.Malformed, "does not speak"},
		{"not canonical", nil, []byte{0, 0, 0, 1, 0xa0, 0}, problem.Malformed, "hello"},
	} {
		raw := rawDial(t, s)
		h, b := good, c.raw
		if c.change != nil {
			c.change(&h)
			b = h.bytes()
		}
		if _, err := raw.Write(b); err != nil {
			t.Fatal(err)
		}
		got, err := readHello(raw)
		if err != nil || got.Refused == nil {
			t.Fatalf("%s: %+v, %v", c.name, got, err)
		}
		if p := wantKind(t, got.Refused.problem(), c.kind); !strings.Contains(p.Detail, c.why) || got.Version != Version {
			t.Errorf("%s: %+v: %s", c.name, got, p.Detail)
		}
		if n, err := raw.Read(make([]byte, 1)); n != 0 || err == nil {
			t.Errorf("%s: the connection lives on", c.name)
		}
	}
	silent := rawDial(t, s)
	if b, err := io.ReadAll(silent); len(b) != 0 || err != nil {
		t.Errorf("silent peer: %x, %v", b, err)
	}
}

// TestClientRefusesServers has servers that say hello wrongly or break the protocol after it.
func TestClientRefusesServers(t *testing.T) {
	t.Parallel()
	newer := ourHello(MaxFrame)
	newer.Version = 9
	newer.Refused = &fault{Kind: problem.Unsupported, Detail: "too old"}
	answerTwice := wire(frame{shape: reply, stream: 1}, frame{shape: reply, stream: 1})
	hi := ourHello(MaxFrame).bytes()
	for _, c := range []struct {
		name  string
		send  []byte
		dials bool
		why   string
	}{
		{"refused by a newer server", newer.bytes(), false, "too old"},
		{"other version", hello{Protocol: protocol, Version: 9, MaxFrame: MaxFrame}.bytes(), false, "version 9"},
		{"other protocol", hello{Protocol: "ssh", Version: 1, MaxFrame: MaxFrame}.bytes(), false, `"ssh"`},
		{"no hello", nil, false, "hung up"},
		{"garbage hello", []byte("HTTP/1.1 400 Bad Request"), false, "does not speak"},
		{"reply to nothing", append(hi[:len(hi):len(hi)], wire(frame{shape: reply, stream: 5})...), true, "stream 5"},
		{"request", append(hi[:len(hi):len(hi)], wire(frame{shape: request, stream: 1, method: "m"})...), true, "no requests"},
		{"oversized", append(hi[:len(hi):len(hi)], 0xff, 0, 0, 0), true, "more than"},
		{"connection failure", append(hi[:len(hi):len(hi)], wire(frame{shape: failure, stream: 0, fault: someFault})...), true, "refused-by-rule: no"},
		{"twice", append(hi[:len(hi):len(hi)], answerTwice...), true, "stream 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := folder(t) + "/s"
			ln, err := Listen(path)
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				conn, err := ln.AcceptUnix()
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = conn.Write(c.send)
				_ = conn.CloseWrite()
				_, _ = io.Copy(io.Discard, conn)
				conn.Close()
			}()
			client, err := Dial(t.Context(), path)
			if c.dials && err == nil {
				<-client.Done()
				_, err = client.Call(t.Context(), "m", nil)
				if closed, ok := errors.AsType[*ClosedError](err); !ok || closed.Sent || !errors.Is(err, ErrClosed) {
					t.Errorf("got %v, want a closed connection on which nothing was sent", err)
				}
				client.Close()
			} else if c.dials {
				t.Fatal(err)
			}
			if err == nil || !strings.Contains(err.Error(), c.why) {
				t.Errorf("got %v, want %q in it", err, c.why)
			}
			<-ended
		})
	}
}
