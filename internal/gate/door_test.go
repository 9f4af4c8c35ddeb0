// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"strongroom/internal/pure/problem"
)

func TestManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	const callers = 1000
	var inside atomic.Int32
	full := make(chan struct{})
	s := start(t, func(_ context.Context, by Caller, _ string, body []byte) ([]byte, error) {
		if by.UID != uint32(os.Geteuid()) || by.PID != int32(os.Getpid()) {
			return nil, fmt.Errorf("caller %+v", by)
		}
		if inside.Add(1) == callers { // all are open at the same time, like callers of one group commit
			close(full)
		}
		<-full
		return body, nil
	})
	c := dial(t, s)
	if got := c.Server(); got.UID != uint32(os.Geteuid()) || got.PID != int32(os.Getpid()) {
		t.Errorf("server %+v", got)
	}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			size := i
			if i%100 == 0 {
				size = 100_000 // beyond the read buffer and the inline limit
			}
			body := bytes.Repeat(binary.BigEndian.AppendUint16(nil, uint16(i)), size)
			got, err := c.Call(t.Context(), "echo", body)
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("call %d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	wg.Wait()
}

func TestSlowDoesNotBlock(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	s := start(t, func(_ context.Context, _ Caller, method string, body []byte) ([]byte, error) {
		if method == "slow" {
			<-hold
		}
		return body, nil
	})
	c := dial(t, s)
	slow := make(chan error, 1)
	go func() {
		_, err := c.Call(t.Context(), "slow", nil)
		slow <- err
	}()
	for range 100 {
		if _, err := c.Call(t.Context(), "fast", []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-slow:
		t.Fatalf("slow is done: %v", err)
	default:
	}
	close(hold)
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
}

// TestBackpressure has fewer streams and bytes on the server than calls; all must be answered all the same.
func TestBackpressure(t *testing.T) {
	t.Parallel()
	var now, most atomic.Int32
	s := start(t, func(_ context.Context, _ Caller, _ string, body []byte) ([]byte, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		runtime.Gosched()
		now.Add(-1)
		return body, nil
	}, limits(Limits{Streams: 4, InFlight: 100_000}))
	c := dial(t, s)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			body := make([]byte, i*100)
			if i%50 == 0 {
				body = make([]byte, 1<<20) // larger than all that may be in flight: goes alone
			}
			if got, err := c.Call(t.Context(), "m", body); err != nil || len(got) != len(body) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	wg.Wait()
	if most.Load() > 4 {
		t.Errorf("%d handlers at once", most.Load())
	}
}

func TestProblemsCross(t *testing.T) {
	t.Parallel()
	var nilProblem *problem.Error
	answers := map[string]error{
		"plain":   &problem.Error{Kind: problem.RefusedByRule, Detail: "no", Rule: "r1", Unmet: []problem.Unmet{{Rule: "r1", Criterion: "amount.max", Observed: "7"}}},
		"wrapped": fmt.Errorf("outer: %w", problem.Wrap(problem.Conflict, errors.New("hidden-cause"), "later")),
		"foreign": errors.New("hidden-cause"),
		"ours":    problem.Wrap(problem.Internal, errors.New("hidden-cause"), "the disk is full"),
		"invent":  problem.New("no-such-kind", "hidden-cause"),
		"nil":     fmt.Errorf("hidden-cause %w", nilProblem),
	}
	s := start(t, func(_ context.Context, _ Caller, method string, _ []byte) ([]byte, error) {
		return nil, answers[method]
	})
	c := dial(t, s)
	for method, want := range map[string]struct {
		kind     problem.Kind
		detail   string
		incident bool
	}{
		"plain":   {problem.RefusedByRule, "no", false},
		"wrapped": {problem.Conflict, "later", true},
		"foreign": {problem.Internal, "the core failed", true},
		"ours":    {problem.Internal, "the disk is full", true},
		"invent":  {problem.Internal, "the core failed", true},
		"nil":     {problem.Internal, "the core failed", true},
	} {
		_, err := c.Call(t.Context(), method, nil)
		p := wantKind(t, err, want.kind)
		if !strings.HasPrefix(p.Detail, want.detail) || strings.Contains(fmt.Sprintf("%+v", p), "hidden") {
			t.Errorf("%s: got %+v", method, p)
		}
		incident, ok := errors.AsType[Incident](err)
		if ok != want.incident {
			t.Errorf("%s: incident %q, %v", method, incident, ok)
		}
		if ok && (!strings.Contains(s.log.String(), string(incident)) || !strings.Contains(incident.Error(), string(incident))) {
			t.Errorf("%s: the log lacks incident %s", method, incident)
		}
	}
	if p, _ := errors.AsType[*problem.Error](func() error { _, err := c.Call(t.Context(), "plain", nil); return err }()); !reflect.DeepEqual(p, answers["plain"]) {
		t.Errorf("got %+v", p)
	}
	if n := strings.Count(s.log.String(), "hidden-cause"); n < 5 {
		t.Errorf("the log has the cause %d times", n)
	}
}

// TestWorkersAreKeptAndEnd: calls one after the other share few goroutines, a handler that ends its goroutine takes none from others, and
// all end with the connection. It counts goroutines by name and so must not run beside other tests.
func TestWorkersAreKeptAndEnd(t *testing.T) {
	workers := func() int {
		b := make([]byte, 1<<20)
		return strings.Count(string(b[:runtime.Stack(b, true)]), "(*conn).worker(")
	}
	s := start(t, func(_ context.Context, _ Caller, method string, body []byte) ([]byte, error) {
		if method == "exit" {
			runtime.Goexit()
		}
		return body, nil
	})
	c := dial(t, s)
	most := 0
	for i := range 200 {
		if i%50 == 49 {
			_, err := c.Call(t.Context(), "exit", nil)
			wantKind(t, err, problem.Internal)
			<-s.panics
		} else if _, err := c.Call(t.Context(), "echo", nil); err != nil {
			t.Fatal(err)
		}
		most = max(most, workers())
	}
	if most == 0 || most > 20 {
		t.Errorf("%d workers for one call at a time", most)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	s.stop()
	<-s.ended
	for range 1000 {
		if workers() == 0 {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d workers are left", workers())
}

func TestPanicIsInternal(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ context.Context, _ Caller, method string, body []byte) ([]byte, error) {
		switch method {
		case "value":
			panic("key material 5ec4e7")
		case "index":
			_ = body[len(method)]
		case "exit":
			runtime.Goexit()
		}
		return body, nil
	})
	c := dial(t, s)
	for _, method := range []string{"value", "index", "exit"} {
		_, err := c.Call(t.Context(), method, nil)
		wantKind(t, err, problem.Internal)
		incident, _ := errors.AsType[Incident](err)
		if got := <-s.panics; got != incident || got == "" {
			t.Errorf("%s: told of %q, caller of %q", method, got, incident)
		}
	}
	if log := s.log.String(); strings.Contains(log, "5ec4e7") || !strings.Contains(log, "index out of range") || !strings.Contains(log, "door_test.go") {
		t.Errorf("log: %s", log)
	}
	if _, err := c.Call(t.Context(), "fine", nil); err != nil {
		t.Errorf("after panics: %v", err)
	}
}

func TestSizesAtTheLimit(t *testing.T) {
	t.Parallel()
	s := start(t, func(_ context.Context, _ Caller, _ string, body []byte) ([]byte, error) {
		if len(body) == 8 {
			return make([]byte, binary.BigEndian.Uint64(body)), nil
		}
		return binary.BigEndian.AppendUint64(nil, uint64(len(body))), nil
	})
	c := dial(t, s)
	const largest = MaxFrame - overhead
	got, err := c.Call(t.Context(), "m", make([]byte, largest))
	if err != nil || binary.BigEndian.Uint64(got) != largest {
		t.Errorf("largest request: %x, %v", got, err)
	}
	_, err = c.Call(t.Context(), "m", make([]byte, largest+1))
	wantKind(t, err, problem.TooLarge)
	got, err = c.Call(t.Context(), "m", binary.BigEndian.AppendUint64(nil, largest))
	if err != nil || len(got) != largest {
		t.Errorf("largest reply: %d, %v", len(got), err)
	}
	_, err = c.Call(t.Context(), "m", binary.BigEndian.AppendUint64(nil, largest+1))
	wantKind(t, err, problem.TooLarge)
	_, err = c.Call(t.Context(), "Method", nil)
	wantKind(t, err, problem.Malformed)
}

func TestCancelAbandonsTheWaitOnly(t *testing.T) {
	t.Parallel()
	began, hold, acted := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	s := start(t, func(ctx context.Context, _ Caller, method string, body []byte) ([]byte, error) {
		if method == "act" {
			close(began)
			<-hold
			acted <- ctx.Err()
		}
		return body, nil
	})
	c := dial(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-began
		cancel()
	}()
	if _, err := c.Call(ctx, "act", []byte("late")); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(hold)
	if err := <-acted; err != nil {
		t.Errorf("the handler's context ended: %v", err)
	}
	for i := range 10 { // the late reply goes to nobody
		if got, err := c.Call(t.Context(), "m", []byte{byte(i)}); err != nil || got[0] != byte(i) {
			t.Errorf("got %x, %v", got, err)
		}
	}
	if _, err := c.Call(ctx, "m", nil); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "nothing was sent") {
		t.Errorf("with an ended context: %v", err)
	}
}
