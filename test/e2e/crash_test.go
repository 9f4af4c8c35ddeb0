// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
)

// callers is how many ask at once.
const callers = 64

// load is services that ask for one transfer after the other, each from an address of its own, and ask again with the same key until they have an
// answer, from whatever core is there.
type load struct {
	s    *site
	out  *released
	core atomic.Pointer[core] // the one to ask; nil: wait
	stop atomic.Bool          // ask for nothing new
	wg   sync.WaitGroup
	got  atomic.Int64 // answers
	lost atomic.Int64 // calls without one
}

func (s *site) load(c *core) *load {
	l := &load{s: s, out: newReleased()}
	l.core.Store(c)
	for i := range callers {
		l.wg.Go(func() { l.caller(i) })
	}
	return l
}

// payment is number n of a caller; price says how its payload bids.
func (s *site) payment(i, n int) request.Request {
	return s.ask(s.service, fmt.Sprintf("pay-%d-%d", i, n), request.Transfer, request.TransferBody{Wallet: "hot", Source: uint32(i), Asset: testChain.Native(),
		Outputs: []request.Output{{Address: bankAddress, Amount: custody.U64(1000)}}, FeeCap: custody.U64(21000 * 1000)})
}

func unsignedPayment(nonce, price uint64) []byte {
	to, err := eth.ParseAddress(bankAddress)
	if err != nil {
		panic(err) // a constant
	}
	b, err := eth.Tx1559{ChainID: 1337, Nonce: nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(price), GasLimit: 21000, To: to,
		Value: eth.FromUint64(1000)}.Encode()
	if err != nil {
		panic(err) // of constants
	}
	return b
}

func (l *load) caller(i int) {
	for n := 0; !l.stop.Load(); n++ {
		r := l.s.payment(i, n)
		for try := 0; ; try++ {
			c := l.core.Load()
			if c == nil {
				time.Sleep(2 * time.Millisecond)
				continue
			}
			// serve builds the payload anew each time: another fee below the cap, the same nonce.
			v, err := gate.Call[message.Submit, message.Request](context.Background(), c.door, message.MethodSubmit,
				message.Submit{Request: r.Encode(), Evidence: c.evidence(r), Payload: unsignedPayment(uint64(n), uint64(10+try%900))})
			if err == nil {
				if err := l.out.keep(r.ID(), v.Signed); err != nil {
					l.s.t.Errorf("payment %s: %v (%s)", r.Key, err, v.State)
				}
				l.got.Add(1)
				break
			}
			l.lost.Add(1)
			if !passing(err) {
				l.s.t.Errorf("payment %s: %v", r.Key, err)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}
}

// passing says whether a failure means to ask again: the core is gone, is going, or does not know the session of the one before.
func passing(err error) bool {
	switch k := problem.KindOf(err); {
	case errors.Is(err, gate.ErrClosed), k == problem.Stopped, k == problem.Busy:
		return true
	default:
		return k == problem.Unauthenticated
	}
}

// settle lets every caller have its last answer, and proves everything on a core.
func (l *load) settle(c *core) {
	t := l.s.t
	t.Helper()
	l.core.Store(c)
	l.stop.Store(true)
	l.wg.Wait()
	permits := c.permits()
	if len(permits) != len(l.out.bytes) {
		t.Errorf("%d permits, %d transactions were released", len(permits), len(l.out.bytes))
	}
	n := 0
	for seq, b := range l.out.bytes {
		p, ok := permits[seq]
		if !ok {
			t.Errorf("bytes were released for entry %d, which is no permit", seq)
			continue
		}
		signed, err := eth.DecodeSigned(b)
		if err != nil {
			t.Fatal(err)
		}
		if un, err := signed.Tx.Encode(); err != nil || !bytes.Equal(un, p.Payload) {
			t.Errorf("permit %d: what was released is not its payload", seq)
		}
		if n++; n > 300 {
			continue
		}
		again, err := gate.Call[message.Sign, message.Signed](context.Background(), c.door, message.MethodSign, message.Sign{ID: l.out.ids[seq]})
		if err != nil || again.Permit != seq || !bytes.Equal(again.Bytes, b) {
			t.Errorf("permit %d signed again: %v", seq, err)
		}
	}
	c.check()
	t.Logf("%d answers, %d calls without one, %d entries", l.got.Load(), l.lost.Load(), c.status().Size)
}

// kill -9 under load, again and again: whatever a caller was given has its permit and is signed to the same bytes again; a nonce has one payload.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir())
	s.create()
	c := s.start("--snapshot-every", "400")
	c.wallet(callers)
	c.openSession()
	l := s.load(c)
	kills := 8
	if testing.Short() {
		kills = 2
	}
	for range kills {
		time.Sleep(time.Duration(50+rand.IntN(250)) * time.Millisecond)
		l.core.Store(nil)
		c.kill()
		c = s.start("--snapshot-every", "400")
		c.openSession()
		l.core.Store(c)
	}
	time.Sleep(100 * time.Millisecond)
	l.settle(c)
	if l.lost.Load() == 0 {
		t.Error("no call was cut off: the test shows nothing")
	}
	c.stop()
}

// The core is stopped (SIGSTOP) under load, a successor takes over, and the first goes on: it releases nothing new and ends. The successor gives
// the recorded outcomes.
func TestTakenOverUnderLoad(t *testing.T) {
	t.Parallel()
	s := newSite(t, t.TempDir())
	s.create()
	first := s.start()
	first.wallet(callers)
	first.openSession()
	l := s.load(first)
	defer func() { l.stop.Store(true) }()
	time.Sleep(300 * time.Millisecond)
	pause := func(sig syscall.Signal) {
		// While it goes on for a moment, the first may find out and end: mustFail looks how.
		if err := first.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Fatal(err)
		}
	}
	pause(syscall.SIGSTOP)
	second := s.launch("second", "--take-over")
	for open := false; !open; {
		select {
		case <-second.ready:
			open = true
		case <-second.done:
			t.Fatalf("the successor ended: %v: %s", second.err, second.said.String())
		case <-time.After(2 * time.Second):
			// The first was stopped in the middle of a write and holds the log's lock: let it end that one.
			pause(syscall.SIGCONT)
			time.Sleep(5 * time.Millisecond)
			pause(syscall.SIGSTOP)
		}
	}
	second.connect()
	second.openSession()
	taken := second.status().Size // the first can have no permit from here on
	pause(syscall.SIGCONT)
	first.mustFail("another") // the log has another writer, or the pin was moved by another process
	l.core.Store(nil)
	l.out.mu.Lock()
	for seq := range l.out.bytes {
		if seq >= taken {
			t.Errorf("the first core released permit %d; its successor began at entry %d", seq, taken)
		}
	}
	l.out.mu.Unlock()
	l.core.Store(second)
	time.Sleep(200 * time.Millisecond)
	l.settle(second)
	if l.lost.Load() == 0 {
		t.Error("no call was cut off: the test shows nothing")
	}
	second.stop()
}
