// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/canon"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/eth"
	"strongroom/internal/pure/request"
)

// sample is one measurement: how much was done in how long, at what CPU.
type sample struct {
	Rate   float64 `json:"rate"`   // operations a second
	P50    float64 `json:"p50_ms"` // of single operations
	P99    float64 `json:"p99_ms"`
	Core   float64 `json:"core_us"`   // CPU microseconds an operation, user and system
	Serve  float64 `json:"serve_us"`  // likewise
	Client float64 `json:"client_us"` // likewise, of this program
	Others float64 `json:"others"`    // cores that everything else on the machine used
	Ops    int     `json:"ops"`
}

// caller does one operation; n numbers it within its caller.
type caller func(ctx context.Context, n int) error

// load is what is measured: callers side by side, each with its own goroutine, and whose CPU time they cost.
type load struct {
	callers     []caller
	core, serve int                             // process ids, 0 for none
	settle      func(ctx context.Context) error // waits for work that outlasts the calls; its CPU time counts, its time does not; nil: there is none
}

// measure runs a load for a time.
func (l load) measure(ctx context.Context, d time.Duration) (sample, error) {
	var (
		wg    sync.WaitGroup
		stop  atomic.Bool
		times = make([][]time.Duration, len(l.callers))
		errs  = make([]error, len(l.callers))
	)
	before := readCPU(l.core, l.serve)
	start := time.Now()
	for i, call := range l.callers {
		wg.Go(func() {
			for n := 0; !stop.Load(); n++ {
				t := time.Now()
				if err := call(ctx, n); err != nil {
					errs[i] = err
					return
				}
				times[i] = append(times[i], time.Since(t))
			}
		})
	}
	time.Sleep(d)
	stop.Store(true)
	wg.Wait()
	took := time.Since(start)
	if err := errors.Join(errs...); err != nil {
		return sample{}, err
	}
	if l.settle != nil {
		if err := l.settle(ctx); err != nil {
			return sample{}, err
		}
	}
	used, in := readCPU(l.core, l.serve).less(before), time.Since(start)
	all := slices.Concat(times...)
	if len(all) == 0 {
		return sample{}, errors.New("nothing was done in the time")
	}
	slices.Sort(all)
	ops := float64(len(all))
	ms := func(q float64) float64 { return float64(all[int(q*float64(len(all)-1))].Microseconds()) / 1000 }
	return sample{Rate: ops / took.Seconds(), P50: ms(0.5), P99: ms(0.99), Core: used.core / ops, Serve: used.serve / ops, Client: used.self / ops,
		Others: used.others(in), Ops: len(all)}, nil
}

// accounts hands out Ethereum accounts with their next nonce, one payload at a time each.
type accounts struct {
	list []*account
	pick func(*rand.Rand) int
}

type account struct {
	mu    sync.Mutex // held while a transfer of this account is under way
	id    custody.WalletID
	nonce uint64
}

func newAccounts(n int, zipf float64) *accounts {
	a := &accounts{}
	for i := range n {
		a.list = append(a.list, &account{id: walletID(i)})
	}
	a.pick = zipfPick(n, zipf)
	return a
}

// take draws accounts until one is free, and locks it: nonces of an account are in order, and waiting for one's turn would be measured too.
// There must be more accounts than callers.
func (acc *accounts) take(random *rand.Rand) *account {
	for {
		if a := acc.list[acc.pick(random)]; a.mu.TryLock() {
			return a
		}
	}
}

// zipfPick draws ranks with probability proportional to 1/rank^s; s 0 is uniform. math/rand's Zipf takes no s of 1.
func zipfPick(n int, s float64) func(*rand.Rand) int {
	if s == 0 || n == 1 {
		return func(r *rand.Rand) int { return r.IntN(n) }
	}
	sums := make([]float64, n)
	total := 0.0
	for i := range n {
		total += 1 / math.Pow(float64(i+1), s)
		sums[i] = total
	}
	return func(r *rand.Rand) int {
		i, _ := slices.BinarySearch(sums, r.Float64()*total)
		return min(i, n-1)
	}
}

// keyPrefix keeps idempotency keys of one run apart from those of others.
var keyPrefix = strconv.FormatInt(time.Now().UnixNano(), 36)

var sequence atomic.Uint64

// transfer builds a transfer of the service: its request and payload.
func (d *domain) transfer(a *account) (request.Request, []byte, error) {
	amount := custody.U64(1000)
	r := d.request(d.service, keyPrefix+"-"+strconv.FormatUint(sequence.Add(1), 36), request.Transfer, request.TransferBody{Wallet: a.id, Asset: chain.Native(),
		Outputs: []request.Output{{Address: destination, Amount: amount}}, FeeCap: custody.U64(4_200_000)})
	to, err := eth.ParseAddress(destination)
	if err != nil {
		return r, nil, err
	}
	payload, err := eth.Tx1559{ChainID: 1337, Nonce: a.nonce, MaxPriorityFeePerGas: eth.FromUint64(1), MaxFeePerGas: eth.FromUint64(100), GasLimit: 21000, To: to,
		Value: eth.Uint256(amount)}.Encode()
	return r, payload, err
}

// callers makes callers that take a free account, build a transfer of it and have it carried out by do.
func (acc *accounts) callers(n int, d *domain, do func(ctx context.Context, r request.Request, payload []byte) error) []caller {
	return callersOf(n, func(random *rand.Rand) caller {
		return func(ctx context.Context, _ int) error {
			a := acc.take(random)
			defer a.mu.Unlock()
			r, payload, err := d.transfer(a)
			if err == nil {
				err = do(ctx, r, payload)
			}
			if err == nil {
				a.nonce++
			}
			return err
		}
	})
}

// governed makes callers that do governed transfers through the door, with the MAC of the service's session.
func (d *domain) governed(n int, acc *accounts) []caller {
	return acc.callers(n, d, func(ctx context.Context, r request.Request, payload []byte) error {
		mac := hmac.New(sha256.New, d.mac)
		mac.Write(canon.Message(canon.TagRequest, r))
		v, err := gate.Call[message.Submit, message.Request](ctx, d.door, message.MethodSubmit,
			message.Submit{Request: r.Encode(), Evidence: request.Evidence{Session: d.session[:], MAC: mac.Sum(nil)}, Payload: payload})
		if err == nil && (v.Signed == nil || len(v.Signed.Bytes) == 0) {
			err = fmt.Errorf("transfer not signed: %s", v.State)
		}
		return err
	})
}

// approved makes callers that do transfers with a signed initiator and two approvals.
func (d *domain) approved(n int, acc *accounts) []caller {
	return acc.callers(n, d, func(ctx context.Context, r request.Request, payload []byte) error {
		r.Initiator = d.officers[0].id
		v, err := d.ask(ctx, d.officers[0], r, nil)
		for _, p := range d.officers[1:] {
			if err == nil {
				_, err = d.approve(ctx, p, v)
			}
		}
		if err == nil {
			_, err = gate.Call[message.Sign, message.Signed](ctx, d.door, message.MethodSign, message.Sign{ID: v.ID, Payload: payload})
		}
		return err
	})
}

// ping makes callers of the empty door call.
func (d *domain) ping(n int) []caller {
	return callersOf(n, func(*rand.Rand) caller {
		return func(ctx context.Context, _ int) error {
			_, err := gate.Call[message.Empty, message.Empty](ctx, d.door, message.MethodPing, message.Empty{})
			return err
		}
	})
}

func callersOf(n int, make func(*rand.Rand) caller) []caller {
	var out []caller
	for i := range n {
		out = append(out, make(rand.New(rand.NewPCG(1, uint64(i)))))
	}
	return out
}
