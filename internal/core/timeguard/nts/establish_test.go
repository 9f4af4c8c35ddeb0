// SPDX-License-Identifier: Apache-2.0

package nts

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"strongroom/internal/core/internal/siv"
	"strongroom/internal/core/timeguard"
	"strongroom/internal/core/timeguard/ntp"
	"strongroom/internal/core/timeguard/timetest"
)

// answer is what a good server says.
func answer(cookies int) []byte {
	b := appendRecord(nil, critical|recordProtocol, 0, 0)
	b = appendRecord(b, critical|recordAEAD, 0, 15)
	for i := range cookies {
		b = appendRecord(b, recordCookie, bytes.Repeat([]byte{byte(i)}, 100)...)
	}
	return b
}

func end(b []byte) []byte { return appendRecord(b, critical|recordEnd) }

func TestReadAnswer(t *testing.T) {
	t.Parallel()
	with := func(kind uint16, body ...byte) []byte { return end(appendRecord(answer(8), kind, body...)) }
	for _, tc := range []struct {
		name  string
		bytes []byte
		want  string
	}{
		{"good", end(answer(8)), ""},
		{"one cookie", end(answer(1)), ""},
		{"nine cookies", end(answer(9)), ""},
		{"unknown record", with(99, 1, 2, 3), ""},
		{"server and port", end(appendRecord(appendRecord(answer(1), recordServer, []byte("time.example.org")...), critical|recordPort, 0, 123)), ""},
		{"empty", nil, "too early"},
		{"cut head", answer(8)[:2], "too early"},
		{"cut body", answer(8)[:5], "too early"},
		{"no end", answer(8), "too early"},
		{"end with body", appendRecord(answer(8), critical|recordEnd, 1), "end record"},
		{"end not critical", appendRecord(answer(8), recordEnd), "end record"},
		{"no cookies", end(answer(0)), "lacks"},
		{"nothing but an end", end(nil), "lacks"},
		{"protocol twice", with(critical|recordProtocol, 0, 0), "comes twice"},
		{"other protocol", end(appendRecord(nil, critical|recordProtocol, 0, 1)), "NTP version 4"},
		{"no protocol", end(appendRecord(nil, critical|recordProtocol)), "NTP version 4"},
		{"other AEAD", end(appendRecord(appendRecord(nil, critical|recordProtocol, 0, 0), critical|recordAEAD, 0, 30)), "SIV"},
		{"error", with(critical|recordError, 0, 1), "refuses, error 0001"},
		{"warning", with(critical|recordWarning, 0, 1), "warns"},
		{"unknown critical record", with(critical|99, 1), "critical record 99"},
		{"short cookie", with(recordCookie, make([]byte, 12)...), "cookie has 12"},
		{"odd cookie", with(recordCookie, make([]byte, 33)...), "cookie has 33"},
		{"long cookie", with(recordCookie, make([]byte, 516)...), "cookie has 516"},
		{"server with a space", with(recordServer, []byte("a b")...), "no host name"},
		{"server with @", with(recordServer, []byte("a@b")...), "no host name"},
		{"no server", with(recordServer), "no host name"},
		{"long server", with(recordServer, bytes.Repeat([]byte("a"), 256)...), "no host name"},
		{"port 0", with(recordPort, 0, 0), "port"},
		{"long port", with(recordPort, 0, 1, 2), "port"},
		{"no end of records", bytes.Repeat(appendRecord(nil, 99), 100), "more than 64"},
	} {
		a, err := readAnswer(bytes.NewReader(tc.bytes))
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
		if err == nil && (len(a.cookies) == 0 || len(a.cookies) > maxCookies) {
			t.Errorf("%s: %d cookies", tc.name, len(a.cookies))
		}
	}
}

func FuzzReadAnswer(f *testing.F) {
	f.Add(end(answer(8)))
	f.Add(end(appendRecord(answer(1), recordServer, []byte("time.example.org")...)))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := readAnswer(bytes.NewReader(b))
		if err != nil {
			return
		}
		if n := len(a.cookies); n == 0 || n > maxCookies || a.host != "" && !hostname(a.host) {
			t.Fatalf("%+v", a)
		}
		for _, c := range a.cookies {
			if len(newRequest(&association{send: testAEAD(t)}, c).packet) > maxPacket {
				t.Fatal("the request is too long")
			}
		}
	})
}

// server speaks TLS on the other end of a connection and answers with what it is told.
type server struct {
	config *tls.Config
	answer []byte
	hang   bool // says nothing after the handshake
}

func (s server) Dial(context.Context, string, string) (net.Conn, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // a pipe without a buffer would stop both ends when both write
	if err != nil {
		return nil, err
	}
	defer l.Close()
	ours, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	theirs, err := l.Accept()
	if err != nil {
		return nil, err
	}
	go func() { // ends when the client closes its end
		defer theirs.Close()
		c := tls.Server(theirs, s.config)
		if c.Handshake() != nil {
			return
		}
		q := make([]byte, len(question()))
		if _, err := io.ReadFull(c, q); err != nil {
			return
		}
		if s.hang {
			io.Copy(io.Discard, c) // until the client gives up
			return
		}
		if _, err := c.Write(s.answer); err == nil {
			io.Copy(io.Discard, c) // until the client closes
		}
	}()
	return ours, nil
}

func (server) Exchange(context.Context, string, string, []byte) (int, []byte, error) {
	return 0, nil, io.EOF
}

// TestEstablish: what a server can do wrong around its answer. The client never hangs and keeps nothing.
func TestEstablish(t *testing.T) {
	t.Parallel()
	ca := timetest.NewAuthority(t)
	certPEM, keyPEM := ca.Issue(t, "localhost", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	cert, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		t.Fatal(err)
	}
	good := func() *tls.Config {
		return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{alpn}, MinVersion: tls.VersionTLS12}
	}
	for _, tc := range []struct {
		name   string
		change func(*server)
		want   string
	}{
		{"good", func(*server) {}, "EOF"}, // of the carrier: keys were established
		{"TLS 1.2", func(s *server) { s.config.MaxVersion = tls.VersionTLS12 }, "protocol version"},
		{"no ALPN", func(s *server) { s.config.NextProtos = nil }, "does not speak"},
		{"other ALPN", func(s *server) { s.config.NextProtos = []string{"h2"} }, "application protocol"},
		{"bad answer", func(s *server) { s.answer = end(answer(0)) }, "lacks"},
		{"much too long", func(s *server) { s.answer = bytes.Repeat(appendRecord(nil, 99, make([]byte, 4096)...), 40) }, "too early"},
		{"says nothing", func(s *server) { s.hang = true }, "closed"},
	} {
		s := server{config: good(), answer: end(answer(8))}
		tc.change(&s)
		c, err := New(Config{Name: "a", Target: "a", ServerName: "localhost", Roots: ca.Pool(), Carrier: s, Dialer: s, Boot: timetest.Boot})
		if err != nil {
			t.Fatal(err)
		}
		patience := 20 * time.Second
		if s.hang {
			patience = 2 * time.Second // TLS takes some of it
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err = c.Sample(ctx, timeguard.Known{})
		cancel()
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
		if (c.a != nil) != (tc.name == "good") {
			t.Errorf("%s: keys established: %t", tc.name, c.a != nil)
		}
		if tc.name != "good" {
			continue
		}
		was := c.a
		if _, err := ask(t, c, timeguard.Known{Time: was.notAfter + 1, Certain: true}); err == nil || c.a != nil {
			t.Errorf("keys of a certificate that has expired are used: %v", err)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	n := &timetest.Net{}
	good := Config{Name: "a", Target: "a", ServerName: "a", Roots: timetest.NewAuthority(t).Pool(), Carrier: n, Dialer: n, Boot: timetest.Boot}
	if _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for i, change := range []func(*Config){
		func(c *Config) { c.Name = "" }, func(c *Config) { c.Target = "" }, func(c *Config) { c.ServerName = "" }, func(c *Config) { c.Roots = nil },
		func(c *Config) { c.Carrier = nil }, func(c *Config) { c.Dialer = nil }, func(c *Config) { c.Boot = nil },
	} {
		c := good
		change(&c)
		if _, err := New(c); err == nil {
			t.Errorf("change %d is accepted", i)
		}
	}
}

// FuzzOpen: an answer without the server's key is never believed, whatever it says.
func FuzzOpen(f *testing.F) {
	a := &association{send: testAEAD(f), receive: testAEAD(f)}
	r := newRequest(a, make([]byte, 100))
	f.Add(r.packet)
	reply := ntp.Request(ntp.Nonce{})
	reply[0] = 4<<3 | 4
	copy(reply[24:], r.nonce[:])
	reply = appendField(reply, fieldUniqueID, r.unique[:])
	f.Add(reply)
	f.Add(appendField(reply, fieldAuthenticator, authenticator(make([]byte, 16), make([]byte, 16))))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		if len(b) >= ntp.HeaderSize { // past the first check, or nothing is tried
			copy(b[24:], r.nonce[:])
		}
		if _, _, err := r.open(a, b); err == nil {
			t.Fatal("believed")
		}
	})
}

// TestOpenWantsIdentifier: an authentic answer that does not repeat the request's identifier may be one to an older request.
func TestOpenWantsIdentifier(t *testing.T) {
	t.Parallel()
	key := testAEAD(t)
	a := &association{send: key, receive: key}
	r := newRequest(a, make([]byte, 100))
	for name, unique := range map[string][]byte{"none": nil, "another": make([]byte, uniqueIDSize), "ours": r.unique[:]} {
		reply := ntp.Request(ntp.Nonce{})
		reply[0], reply[1] = 4<<3|4, 1
		copy(reply[24:], r.nonce[:])
		if unique != nil {
			reply = appendField(reply, fieldUniqueID, unique)
		}
		reply = appendField(reply, fieldAuthenticator, authenticator(make([]byte, 16), key.Seal(nil, reply, make([]byte, 16))))
		if _, _, err := r.open(a, reply); (err == nil) != (name == "ours") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestFields: fields are read back as they were written, and cookies in an answer that is made as a server makes it.
func TestFields(t *testing.T) {
	t.Parallel()
	key := testAEAD(t)
	rapid.Check(t, func(t *rapid.T) {
		a := &association{send: key, receive: key}
		r := newRequest(a, make([]byte, 100))
		reply := ntp.Request(ntp.Nonce{})
		reply[0], reply[1] = 4<<3|4, 1
		copy(reply[24:], r.nonce[:])
		reply = appendField(reply, fieldUniqueID, r.unique[:])
		var plain []byte
		var want [][]byte
		for range rapid.IntRange(0, 8).Draw(t, "cookies") {
			c := bytes.Repeat([]byte{byte(len(want))}, 4*rapid.IntRange(4, 40).Draw(t, "words"))
			plain, want = appendField(plain, fieldCookie, c), append(want, c)
		}
		if rapid.Bool().Draw(t, "another field") {
			plain = appendField(plain, 0x1234, []byte("x"))
		}
		nonce := make([]byte, rapid.IntRange(1, 32).Draw(t, "nonce"))
		reply = appendField(reply, fieldAuthenticator, authenticator(nonce, key.Seal(plain, reply, nonce)))
		_, got, err := r.open(a, reply)
		if err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
			t.Fatalf("got %d of %d cookies, %v", len(got), len(want), err)
		}
	})
}

func testAEAD(t testing.TB) *siv.AEAD {
	t.Helper()
	a, err := siv.New(bytes.Repeat([]byte{7}, keySize))
	if err != nil {
		t.Fatal(err)
	}
	return a
}
