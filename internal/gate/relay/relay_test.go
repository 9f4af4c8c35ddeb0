// SPDX-License-Identifier: Apache-2.0

package relay_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/relay"
	"strongroom/internal/pure/problem"
)

// door is a queue behind the door's own dispatch.
type door struct{ mux *gate.Mux }

func newDoor(t testing.TB) (*relay.Queue, door) {
	t.Helper()
	q := relay.New()
	t.Cleanup(func() { _ = q.Close() })
	m := gate.NewMux()
	q.Serve(m)
	return q, door{m}
}

func (d door) Call(ctx context.Context, method string, body []byte) ([]byte, error) {
	return d.mux.Dispatch(ctx, gate.Caller{}, method, body)
}

func (d door) take(ctx context.Context, session byte, wait time.Duration) ([]relay.Task, error) {
	out, err := gate.Call[relay.Take, relay.Taken](ctx, d, relay.MethodTake, relay.Take{Session: relay.Session{session}, Limit: 8, Wait: uint64(wait / time.Millisecond)})
	return out.Tasks, err
}

func (d door) give(t testing.TB, g relay.Give) bool {
	t.Helper()
	out, err := gate.Call[relay.Give, relay.Given](t.Context(), d, relay.MethodGive, g)
	if err != nil {
		t.Fatal(err)
	}
	return out.Wanted
}

// mustTake takes tasks and wants some.
func (d door) mustTake(t testing.TB, session byte) []relay.Task {
	t.Helper()
	tasks, err := d.take(t.Context(), session, relay.MaxWait)
	if err != nil || len(tasks) == 0 {
		t.Fatalf("took %v, %v", tasks, err)
	}
	return tasks
}

// asked is an exchange under way.
type asked struct {
	status int
	body   []byte
	err    error
	done   chan struct{}
}

func ask(ctx context.Context, q *relay.Queue, kind, target, body string) *asked {
	a := &asked{done: make(chan struct{})}
	go func() { // the test waits for done
		defer close(a.done)
		a.status, a.body, a.err = q.Exchange(ctx, kind, target, []byte(body))
	}()
	return a
}

func TestExchange(t *testing.T) {
	t.Parallel()
	q, d := newDoor(t)
	a := ask(t.Context(), q, relay.Witness, "w1", "question")
	task := d.mustTake(t, 1)[0]
	if task.Kind != relay.Witness || task.Target != "w1" || string(task.Body) != "question" || task.Patience != 10_000 || task.Stream {
		t.Fatalf("%+v", task)
	}
	if d.give(t, relay.Give{ID: task.ID + 1, Status: 200}) {
		t.Fatal("an answer for an unknown id was wanted")
	}
	if !d.give(t, relay.Give{ID: task.ID, Status: 409, Body: []byte("answer")}) {
		t.Fatal("the answer was not wanted")
	}
	if d.give(t, relay.Give{ID: task.ID, Status: 200, Body: []byte("second")}) {
		t.Fatal("a second answer was wanted")
	}
	<-a.done
	if a.err != nil || a.status != 409 || string(a.body) != "answer" {
		t.Fatalf("%+v", a)
	}
	b := ask(t.Context(), q, relay.NTP, "t1", "datagram")
	if task = d.mustTake(t, 1)[0]; task.Kind != relay.NTP || task.Patience != 3000 {
		t.Fatalf("%+v", task)
	}
	d.give(t, relay.Give{ID: task.ID, Error: "no route\nto host"})
	<-b.done
	if !errors.Is(b.err, relay.ErrCarrier) || !strings.Contains(b.err.Error(), `"no route\nto host"`) {
		t.Fatalf("%v", b.err)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	q, d := newDoor(t)
	for name, f := range map[string]func() error{
		"unknown kind":    func() error { _, _, err := q.Exchange(t.Context(), "http", "x", nil); return err },
		"a stream's kind": func() error { _, _, err := q.Exchange(t.Context(), relay.NTSKE, "x", nil); return err },
		"dialled":         func() error { _, err := q.Dial(t.Context(), relay.NTP, "x"); return err },
		"large": func() error {
			_, _, err := q.Exchange(t.Context(), relay.NTP, "x", make([]byte, relay.MaxBody+1))
			return err
		},
		"long target": func() error {
			_, _, err := q.Exchange(t.Context(), relay.NTP, strings.Repeat("x", 321), nil)
			return err
		},
		"limit 0": func() error {
			_, err := gate.Call[relay.Take, relay.Taken](t.Context(), d, relay.MethodTake, relay.Take{})
			return err
		},
		"limit": func() error {
			_, err := gate.Call[relay.Take, relay.Taken](t.Context(), d, relay.MethodTake, relay.Take{Limit: relay.MaxTakes + 1})
			return err
		},
		"large answer": func() error {
			_, err := gate.Call[relay.Give, relay.Given](t.Context(), d, relay.MethodGive, relay.Give{Body: make([]byte, relay.MaxBody+1)})
			return err
		},
		"status": func() error {
			_, err := gate.Call[relay.Give, relay.Given](t.Context(), d, relay.MethodGive, relay.Give{Status: 1000})
			return err
		},
		"large push": func() error {
			_, err := gate.Call[relay.Push, relay.Pushed](t.Context(), d, relay.MethodPush, relay.Push{Body: make([]byte, relay.MaxBody+1)})
			return err
		},
	} {
		if f() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if tasks, err := d.take(t.Context(), 1, 0); err != nil || len(tasks) != 0 {
		t.Fatalf("something was queued: %v, %v", tasks, err)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, d := newDoor(t)
		var all []*asked
		for range relay.MaxWaiting {
			all = append(all, ask(t.Context(), q, relay.Witness, "w", ""))
		}
		synctest.Wait()
		if _, _, err := q.Exchange(t.Context(), relay.Witness, "w", nil); !errors.Is(err, relay.ErrBusy) {
			t.Fatalf("one too many: %v", err)
		}
		for taken := 0; taken < relay.MaxWaiting; {
			for _, task := range d.mustTake(t, 1) {
				d.give(t, relay.Give{ID: task.ID, Status: 200})
				taken++
			}
		}
		for _, a := range all {
			<-a.done
			if a.err != nil {
				t.Fatal(a.err)
			}
		}
		// Callers that wait are bounded too, and each in time.
		var wg sync.WaitGroup
		for range relay.MaxTakers {
			wg.Go(func() {
				if tasks, err := d.take(t.Context(), 2, time.Hour); err != nil || len(tasks) > 0 {
					t.Errorf("%v, %v", tasks, err)
				}
			})
		}
		synctest.Wait()
		if _, err := d.take(t.Context(), 2, time.Hour); problem.KindOf(err) != problem.Busy {
			t.Fatalf("one caller too many: %v", err)
		}
		wg.Wait()
	})
}

func TestNobodyAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, d := newDoor(t)
		if q.Carried() {
			t.Fatal("somebody carries")
		}
		start := time.Now()
		if _, _, err := q.Exchange(t.Context(), relay.Witness, "w1", nil); !errors.Is(err, relay.ErrNotCarried) || time.Since(start) != 10*time.Second {
			t.Fatalf("nobody takes: %v after %s", err, time.Since(start))
		}
		a := ask(t.Context(), q, relay.Witness, "w1", "")
		task := d.mustTake(t, 1)[0]
		if !q.Carried() {
			t.Fatal("nobody carries")
		}
		tasks, err := d.take(t.Context(), 1, relay.MaxWait) // it goes on taking: it is alive
		if err != nil || len(tasks) > 0 {
			t.Fatal(tasks, err)
		}
		<-a.done
		if !errors.Is(a.err, relay.ErrUnanswered) {
			t.Fatalf("taken: %v", a.err)
		}
		if d.give(t, relay.Give{ID: task.ID}) {
			t.Fatal("a late answer was wanted")
		}
		ctx, cancel := context.WithCancel(t.Context())
		b := ask(ctx, q, relay.Witness, "w1", "")
		synctest.Wait()
		cancel()
		<-b.done
		if !errors.Is(b.err, context.Canceled) {
			t.Fatalf("cancelled: %v", b.err)
		}
		if tasks, err := d.take(t.Context(), 1, 0); err != nil || len(tasks) > 0 {
			t.Fatalf("a task that nobody waits for was given out: %v, %v", tasks, err)
		}
	})
}

// A serve that is gone leaves its tasks to another: at once when its connection ends, after a moment when it does not take any more.
func TestTasksOfAServeThatIsGone(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"connection", "silence"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				q, d := newDoor(t)
				a, b := ask(t.Context(), q, relay.Witness, "w1", "first"), ask(t.Context(), q, relay.Witness, "w2", "second")
				synctest.Wait()
				taken := d.mustTake(t, 1)
				if len(taken) != 2 {
					t.Fatal(taken)
				}
				d.give(t, relay.Give{ID: taken[0].ID, Status: 200})
				start := time.Now()
				if how == "connection" {
					ctx, cancel := context.WithCancel(t.Context())
					go cancel()
					if _, err := d.take(ctx, 1, time.Minute); err != nil {
						t.Fatal(err)
					}
				}
				again := d.mustTake(t, 2)
				if len(again) != 1 || again[0].ID != taken[1].ID {
					t.Fatalf("%+v", again)
				}
				if passed := time.Since(start); how == "connection" && passed != 0 || passed > 2*time.Second {
					t.Fatalf("after %s", passed)
				}
				if !d.give(t, relay.Give{ID: again[0].ID, Status: 201}) || d.give(t, relay.Give{ID: taken[1].ID, Status: 202}) {
					t.Fatal("the second one's answer counts, once")
				}
				<-a.done
				<-b.done
				if a.status+b.status != 401 {
					t.Fatal(a.status, b.status)
				}
			})
		})
	}
}

func TestTwoServes(t *testing.T) {
	t.Parallel()
	q, d := newDoor(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				tasks, err := d.take(ctx, byte(i+1), time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				for _, task := range tasks {
					d.give(t, relay.Give{ID: task.ID, Status: 200, Body: append([]byte("re: "), task.Body...)})
				}
			}
		})
	}
	var askers sync.WaitGroup
	for i := range 200 {
		askers.Go(func() {
			want := fmt.Sprintf("re: %d", i)
			if status, b, err := q.Exchange(t.Context(), relay.Witness, "w", fmt.Append(nil, i)); err != nil || status != 200 || string(b) != want {
				t.Errorf("%d: %d %q %v", i, status, b, err)
			}
		})
		if i%50 == 49 {
			askers.Wait()
		}
	}
	cancel()
	wg.Wait()
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, d := newDoor(t)
		a := ask(t.Context(), q, relay.Witness, "w1", "")
		c, _ := dialled(t, q, d)
		taker := make(chan error, 1)
		go func() { _, err := d.take(t.Context(), 1, time.Minute); taker <- err }()
		synctest.Wait()
		if err := q.Close(); err != nil {
			t.Fatal(err)
		}
		<-a.done
		if !errors.Is(a.err, relay.ErrClosed) || <-taker != nil {
			t.Fatal(a.err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, relay.ErrClosed) {
			t.Fatal(err)
		}
		if _, _, err := q.Exchange(t.Context(), relay.Witness, "w1", nil); !errors.Is(err, relay.ErrClosed) {
			t.Fatal(err)
		}
	})
}

// dialled opens a stream whose socket side is the test.
func dialled(t testing.TB, q *relay.Queue, d door) (net.Conn, uint64) {
	t.Helper()
	type result struct {
		c   net.Conn
		err error
	}
	got := make(chan result, 1)
	go func() { c, err := q.Dial(t.Context(), relay.NTSKE, "t1"); got <- result{c, err} }()
	for {
		tasks := d.mustTake(t, 1)
		i := slices.IndexFunc(tasks, func(x relay.Task) bool { return x.Stream })
		if i < 0 {
			continue
		}
		d.give(t, relay.Give{ID: tasks[i].ID})
		r := <-got
		if r.err != nil {
			t.Fatal(r.err)
		}
		return r.c, tasks[i].ID
	}
}

func (d door) push(t testing.TB, p relay.Push) (relay.Pushed, error) {
	t.Helper()
	return gate.Call[relay.Push, relay.Pushed](t.Context(), d, relay.MethodPush, p)
}

func (d door) pull(t testing.TB, id, offset uint64) relay.Pulled {
	t.Helper()
	p, err := gate.Call[relay.Pull, relay.Pulled](t.Context(), d, relay.MethodPull, relay.Pull{ID: id, Offset: offset, Wait: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestStreamBytes(t *testing.T) {
	t.Parallel()
	q, d := newDoor(t)
	c, id := dialled(t, q, d)
	if c.RemoteAddr().String() != "t1" {
		t.Fatal(c.RemoteAddr())
	}
	// Inward: a push that is repeated has no second effect, one that leaves bytes out is refused.
	for _, p := range []relay.Push{{ID: id, Body: []byte("hello ")}, {ID: id, Body: []byte("hello ")}, {ID: id, Offset: 3, Body: []byte("lo wor")}} {
		if _, err := d.push(t, p); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.push(t, relay.Push{ID: id, Offset: 20, Body: []byte("x")}); problem.KindOf(err) != problem.Malformed {
		t.Fatalf("a gap: %v", err)
	}
	if out, err := d.push(t, relay.Push{ID: id, Offset: 9, Body: []byte("ld"), End: true}); err != nil || out.Next != 11 || out.Closed {
		t.Fatal(out, err)
	}
	if b, err := io.ReadAll(c); err != nil || string(b) != "hello world" {
		t.Fatalf("%q, %v", b, err)
	}
	// Outward: bytes are given until they are known to be written.
	if _, err := c.Write([]byte("request")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if p := d.pull(t, id, 0); string(p.Body) != "request" {
			t.Fatalf("%+v", p)
		}
	}
	if _, err := c.Write([]byte("!")); err != nil {
		t.Fatal(err)
	}
	if p := d.pull(t, id, 7); string(p.Body) != "!" || p.Closed {
		t.Fatalf("%+v", p)
	}
	if _, err := gate.Call[relay.Pull, relay.Pulled](t.Context(), d, relay.MethodPull, relay.Pull{ID: id, Offset: 0}); problem.KindOf(err) != problem.Malformed {
		t.Fatalf("bytes that are gone: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if p := d.pull(t, id, 8); len(p.Body) != 0 || !p.Closed {
		t.Fatalf("%+v", p)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatal(err)
	}
	if p, err := d.push(t, relay.Push{ID: id + 100}); err != nil || !p.Closed {
		t.Fatal(p, err)
	}
	if p := d.pull(t, id+100, 0); !p.Closed {
		t.Fatal(p)
	}
}

func TestStreamEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, d := newDoor(t)
		c, id := dialled(t, q, d)
		if _, err := d.push(t, relay.Push{ID: id, End: true, Error: "reset"}); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, relay.ErrCarrier) || !strings.Contains(err.Error(), "reset") {
			t.Fatal(err)
		}
		// Deadlines.
		c, _ = dialled(t, q, d)
		start := time.Now()
		if err := c.SetReadDeadline(start.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatal(err, time.Since(start))
		}
		if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil { // replaces the passed one
			t.Fatal(err)
		}
		if _, err := c.Write(make([]byte, relay.MaxBody+1)); !errors.Is(err, os.ErrDeadlineExceeded) { // nobody pulls
			t.Fatal(err)
		}
		// A reader is not fed without bound: the socket waits.
		c, id = dialled(t, q, d)
		if out, err := d.push(t, relay.Push{ID: id, Body: make([]byte, relay.MaxBody)}); err != nil || out.Next != relay.MaxBody {
			t.Fatal(out, err)
		}
		pushed := make(chan relay.Pushed, 1)
		go func() {
			out, _ := d.push(t, relay.Push{ID: id, Offset: relay.MaxBody, Body: []byte("more")})
			pushed <- out
		}()
		synctest.Wait()
		select {
		case out := <-pushed:
			t.Fatalf("did not wait: %+v", out)
		default:
		}
		if _, err := io.ReadFull(c, make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
		if out := <-pushed; out.Next != relay.MaxBody+4 {
			t.Fatalf("%+v", out)
		}
		// Nothing lives for ever.
		if _, err := io.ReadAll(c); !errors.Is(err, relay.ErrClosed) {
			t.Fatal(err)
		}
	})
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, d := newDoor(t)
		var list []net.Conn
		for range relay.MaxStreams {
			c, _ := dialled(t, q, d)
			list = append(list, c)
		}
		if _, err := q.Dial(t.Context(), relay.NTSKE, "t1"); !errors.Is(err, relay.ErrBusy) {
			t.Fatal(err)
		}
		for _, c := range list {
			c.Close()
		}
		time.Sleep(3 * time.Second)
		dialled(t, q, d)
		// An opening that fails leaves no place taken.
		for range relay.MaxStreams + 1 {
			failed := make(chan error, 1)
			go func() { _, err := q.Dial(t.Context(), relay.NTSKE, "t1"); failed <- err }()
			d.give(t, relay.Give{ID: d.mustTake(t, 1)[0].ID, Error: "refused"})
			if err := <-failed; !errors.Is(err, relay.ErrCarrier) {
				t.Fatal(err)
			}
		}
	})
}

// Who pushes to a connection that never stood is let go when nobody waits for it any more.
func TestPushedTooEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q, d := newDoor(t)
		ctx, cancel := context.WithCancel(t.Context())
		dialled := make(chan error, 1)
		go func() { _, err := q.Dial(ctx, relay.NTSKE, "t1"); dialled <- err }()
		task := d.mustTake(t, 1)[0]
		pushed := make(chan relay.Pushed, 1)
		go func() {
			for offset := uint64(0); ; offset += relay.MaxBody {
				out, err := gate.Call[relay.Push, relay.Pushed](t.Context(), d, relay.MethodPush, relay.Push{ID: task.ID, Offset: offset, Body: make([]byte, relay.MaxBody)})
				if err != nil || out.Closed {
					pushed <- out
					return
				}
			}
		}()
		synctest.Wait()
		cancel()
		if err := <-dialled; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case out := <-pushed:
			if !out.Closed {
				t.Errorf("%+v", out)
			}
		default:
			t.Error("the push waits on")
		}
	})
}

// Whatever a serve sends, the queue answers or refuses; it neither panics nor gives away what was not asked for.
func FuzzMethods(f *testing.F) {
	f.Add(byte(0), []byte{0xa0})
	f.Add(byte(1), bytes.Repeat([]byte{0xff}, 10))
	f.Fuzz(func(t *testing.T, which byte, body []byte) {
		_, d := newDoor(t)
		methods := []string{relay.MethodTake, relay.MethodGive, relay.MethodPush, relay.MethodPull}
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // nobody waits
		_, _ = d.Call(ctx, methods[int(which)%len(methods)], body)
	})
}
