// SPDX-License-Identifier: Apache-2.0

package grep11_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	wire "strongroom/api/gen/grep11"
	"strongroom/internal/edge/grep11"
	"strongroom/internal/pure/ep11"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

var discard = slog.New(slog.NewJSONHandler(io.Discard, nil))

// raw sends bytes as they are and gives them as they come.
type raw struct{}

func (raw) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (raw) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

func (raw) Name() string { return "proto" }

var _ encoding.CodecV2 = raw{}

func (m method) raw(ctx context.Context, c grpc.ClientConnInterface, in []byte) ([]byte, error) {
	var out []byte
	err := c.Invoke(ctx, "/grep11.Crypto/"+m.name, &in, &out, grpc.ForceCodecV2(raw{}))
	return out, err
}

// TestReflectionIsOff: the server says nothing about itself, and what it does not know is refused as everything else is.
func TestReflectionIsOff(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, clientCertificate(t, g))
	for _, path := range []string{"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
		"/grpc.health.v1.Health/Check", "/grep11.Crypto/Nothing", "/grep11.Other/Sign"} {
		s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, path)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		err = s.RecvMsg(new(wire.LogoutResponse))
		if status.Code(err) != codes.Unimplemented {
			t.Errorf("%s: %v", path, err)
		}
		refused(t, err, ep11.CKR_FUNCTION_NOT_SUPPORTED)
	}
}

// TestEveryCode: each return code gets through as the one detail, with its words and whether to retry, and no accident of the core does.
func TestEveryCode(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.client(t)
	ask := func(err error) *wire.Grep11Error {
		g.core.answer(ep11.Answer{}, err)
		_, got := c.Login(t.Context(), &wire.LoginRequest{})
		return detail(t, got)
	}
	for code := ep11.Code(1); code < 0x300; code++ {
		for _, x := range []ep11.Code{code, 0x80010000 + code, 0x80040000 + code} {
			d := ask(&ep11.Failure{Code: x, Detail: "why", Retry: code%2 == 0})
			if d.GetCode() != uint64(x) || d.GetDetail() != "why" || d.GetRetry() != (code%2 == 0) {
				t.Fatalf("%v: %v", x, d)
			}
		}
	}
	if d := ask(ep11.CKR_SIGNATURE_INVALID); d.GetCode() != 0xc0 || d.GetRetry() {
		t.Errorf("a bare code: %v", d)
	}
	const private = "what callers must not see"
	for _, k := range problem.Kinds() {
		d := ask(&problem.Error{Kind: k, Detail: "shown", Err: errors.New(private)})
		if d.GetCode() == 0 || strings.Contains(d.GetDetail(), private) {
			t.Errorf("%s: %v", k, d)
		}
		if want := k == problem.Busy || k == problem.Starting; want && !d.GetRetry() {
			t.Errorf("%s can't be retried", k)
		}
	}
	if d := ask(errors.New(private)); d.GetCode() != uint64(ep11.CKR_GENERAL_ERROR) || !d.GetRetry() || strings.Contains(d.GetDetail(), private) {
		t.Errorf("an accident: %v", d)
	}
	if d := ask(context.DeadlineExceeded); d.GetCode() != uint64(ep11.CKR_IBM_REQ_TIMEOUT) || !d.GetRetry() {
		t.Errorf("too late: %v", d)
	}
	for kind, want := range map[problem.Kind]ep11.Code{problem.Unauthenticated: ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED, problem.Forbidden: ep11.CKR_IBM_STATIC_POLICY,
		problem.Zeroized: ep11.CKR_IBM_WK_NOT_INITIALIZED, problem.TooLarge: ep11.CKR_IBM_TRANSPORT_LIMIT} {
		if d := ask(problem.New(kind, "x")); d.GetCode() != uint64(want) {
			t.Errorf("%s: %v, want %v", kind, ep11.Code(d.GetCode()), want)
		}
	}
}

// TestBadMessages: bytes that are no message, messages that are too large, and calls out of bounds are refused with one detail each.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, clientCertificate(t, g))
	for _, m := range methods(t) {
		_, err := m.raw(t.Context(), c, []byte{0xff, 0xff, 0xff})
		refused(t, err, ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL)
	}
	g.core.mu.Lock()
	calls := g.core.calls
	g.core.mu.Unlock()
	if calls != 0 {
		t.Errorf("%d calls reached the core", calls)
	}
	cc := wire.NewCryptoClient(c)
	_, err := cc.Digest(t.Context(), &wire.DigestRequest{Data: make([]byte, grep11.MaxMessage+grep11.MaxMessage/2)})
	refused(t, err, ep11.CKR_IBM_TRANSPORT_LIMIT)
	_, err = cc.Digest(t.Context(), &wire.DigestRequest{Data: make([]byte, ep11.MaxData+1)})
	refused(t, err, ep11.CKR_ARGUMENTS_BAD)
	if _, err = cc.Digest(t.Context(), &wire.DigestRequest{Data: make([]byte, ep11.MaxData)}); err != nil {
		t.Error(err)
	}
	_, err = cc.Digest(t.Context(), &wire.DigestRequest{State: make([]byte, ep11.MaxState+1)})
	refused(t, err, ep11.CKR_ARGUMENTS_BAD)
}

// TestPanicIsContained: one call fails, with an incident, without a word of what was at hand; the next one is done.
func TestPanicIsContained(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.client(t)
	g.core.mu.Lock()
	g.core.do = func(context.Context, request.AppCaller, ep11.Call) (ep11.Answer, error) { panic("a secret") }
	g.core.mu.Unlock()
	_, err := c.Logout(t.Context(), &wire.LogoutRequest{})
	refused(t, err, ep11.CKR_GENERAL_ERROR)
	g.core.answer(ep11.Answer{}, nil)
	if _, err := c.Logout(t.Context(), &wire.LogoutRequest{}); err != nil {
		t.Error(err)
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
	if s := g.log.String(); !strings.Contains(s, "call panicked") || strings.Contains(s, "a secret") || strings.Contains(err.Error(), "a secret") {
		t.Errorf("log %s", s)
	}
}

// TestTenThousandAtATime: so many operations of one caller are in the core at once; one caller too many is told to come again.
func TestTenThousandAtATime(t *testing.T) {
	t.Parallel()
	const many = 10_000
	g := start(t)
	var inside sync.WaitGroup
	inside.Add(many)
	free := make(chan struct{})
	g.core.do = func(ctx context.Context, _ request.AppCaller, c ep11.Call) (ep11.Answer, error) {
		if c.Len == 1 {
			inside.Done()
			<-free
		}
		return ep11.Answer{Data: []byte{byte(c.Len)}}, nil
	}
	certs := clientCertificate(t, g)
	var conns []wire.CryptoClient
	for range 6 { // of 2048 calls at a time each
		conns = append(conns, wire.NewCryptoClient(g.dial(t, certs)))
	}
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			if _, err := conns[i%len(conns)].GenerateRandom(t.Context(), &wire.GenerateRandomRequest{Len: 1}); err != nil {
				t.Error(err)
			}
		})
	}
	inside.Wait()
	if _, err := g.client(t).GenerateRandom(t.Context(), &wire.GenerateRandomRequest{Len: 2}); err != nil {
		t.Errorf("another caller meanwhile: %v", err)
	}
	close(free)
	wg.Wait()
}

// TestBudget: the caller with all the room that one may have is refused more, and gets it back.
func TestBudget(t *testing.T) {
	t.Parallel()
	b := grep11.NewBudget(5, 3)
	for i := range 4 {
		if b.Take("a") != (i < 3) {
			t.Errorf("a's %d", i)
		}
	}
	if !b.Take("b") || !b.Take("c") || b.Take("d") {
		t.Error("five fit, the sixth does not")
	}
	b.Give("a")
	if !b.Take("d") || b.Take("a") {
		t.Error("room that was given back is there once")
	}
}

// TestMessages: no message, and two of them, are no request.
func TestMessages(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.dial(t, clientCertificate(t, g))
	for _, n := range []int{0, 2} {
		s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/grep11.Crypto/Logout")
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			if err := s.SendMsg(&wire.LogoutRequest{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.CloseSend(); err != nil {
			t.Fatal(err)
		}
		refused(t, s.RecvMsg(&wire.LogoutResponse{}), ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL)
	}
	if g.core.calls != 0 {
		t.Errorf("%d calls reached the core", g.core.calls)
	}
}

// TestStrangersAreNotRead: who has no name is refused before the message has come, however much of it is under way.
func TestStrangersAreNotRead(t *testing.T) {
	t.Parallel()
	g := start(t)
	s, err := g.dial(t, nil).NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/grep11.Crypto/Logout")
	if err != nil {
		t.Fatal(err)
	}
	refused(t, s.RecvMsg(&wire.LogoutResponse{}), ep11.CKR_IBM_GREP11_NOT_AUTHENTICATED) // nothing was sent, and nothing was said to have been
}

func TestCancelledCall(t *testing.T) {
	t.Parallel()
	g := start(t)
	ended := make(chan struct{})
	began := make(chan struct{})
	g.core.do = func(ctx context.Context, _ request.AppCaller, _ ep11.Call) (ep11.Answer, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return ep11.Answer{}, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, err := g.client(t).Logout(ctx, &wire.LogoutRequest{}); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
	<-ended
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	g := start(t)
	c := g.client(t)
	if _, err := c.Logout(t.Context(), &wire.LogoutRequest{}); err != nil {
		t.Fatal(err)
	}
	g.core.answer(ep11.Answer{}, ep11.CKR_SIGNATURE_INVALID)
	if _, err := c.Verify(t.Context(), &wire.VerifyRequest{}); err == nil {
		t.Fatal("verified")
	}
	w := httptest.NewRecorder()
	g.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, line := range []string{`strongroom_grep11_calls_total{function="Logout",code="CKR_OK"} 1`, `strongroom_grep11_calls_total{function="Verify",code="CKR_SIGNATURE_INVALID"} 1`,
		`strongroom_grep11_call_seconds_count{function="Logout"} 1`, `strongroom_grep11_call_seconds_bucket{function="Logout",le="+Inf"} 1`, "strongroom_grep11_operations 0", "strongroom_grep11_since_success_seconds 0"} {
		if !strings.Contains(w.Body.String(), line+"\n") {
			t.Errorf("no line %s in\n%s", line, w.Body)
		}
	}
	w = httptest.NewRecorder()
	g.Metrics().ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != 404 {
		t.Errorf("another path: %d", w.Code)
	}
}

// FuzzRequests gives a live server any bytes as any request. It answers with a message, or with exactly one detail; it never fails on its own;
// and what it took for a request is read the same when it is written again.
func FuzzRequests(f *testing.F) {
	g := start(f)
	list := methods(f)
	c := g.dial(f, clientCertificate(f, g))
	for i, m := range list {
		f.Add(byte(i), []byte{})
		fill(m.in, "", func(_ string, v proto.Message) {
			b, err := proto.Marshal(v)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(byte(i), b)
		})
	}
	f.Fuzz(func(t *testing.T, n byte, b []byte) {
		m := list[int(n)%len(list)]
		_, err := m.raw(t.Context(), c, b)
		in := m.in.New().Interface()
		if bad := proto.Unmarshal(b, in); bad != nil {
			refused(t, err, ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL)
			return
		}
		if err != nil {
			if code := ep11.Code(detail(t, err).GetCode()); code == ep11.CKR_GENERAL_ERROR || code == ep11.CKR_IBM_GREP11_CANNOT_UNMARSHAL {
				t.Fatalf("%s: %v", m.name, err)
			}
			return
		}
		_, first := g.core.last()
		if _, err := m.call(t.Context(), c, in); err != nil {
			t.Fatalf("%s: read once, refused when written again: %v", m.name, err)
		}
		if _, second := g.core.last(); string(first.Encode()) != string(second.Encode()) {
			t.Fatalf("%s: two readings of one message", m.name)
		}
	})
}
