// SPDX-License-Identifier: Apache-2.0

package transfer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
)

// Worker carries transfers out. Its methods are safe for concurrent use.
type Worker struct {
	cfg    Config
	chains []custody.ChainID // that are configured
	poke   chan struct{}     // room for one: something may be due

	mu    sync.Mutex                         // guards turns
	turns map[custody.WalletID]chan struct{} // one token a wallet: its transfers are served one at a time
}

// New makes a worker.
func New(cfg Config) (*Worker, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	return &Worker{cfg: cfg, chains: slices.Sorted(maps.Keys(cfg.Chains)), poke: make(chan struct{}, 1), turns: map[custody.WalletID]chan struct{}{}}, nil
}

// Poke says that something may have become due.
func (w *Worker) Poke() {
	select {
	case w.poke <- struct{}{}:
	default:
	}
}

// Run serves transfers until ctx ends, looking every interval and when poked.
func (w *Worker) Run(ctx context.Context, every time.Duration) error {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		n, err := w.Tick(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			w.cfg.Log.ErrorContext(ctx, "transfers can't be served", slog.Any("error", err))
		}
		if n == batch && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		case <-w.poke:
		}
	}
}

// Tick serves what is due once, and says how many transfers that were. An error is the store's; what goes wrong with a
// transfer is kept with it.
func (w *Worker) Tick(ctx context.Context) (int, error) {
	due, err := w.cfg.Store.Due(ctx, w.chains, w.cfg.Now().UnixNano(), batch)
	if err != nil {
		return 0, fmt.Errorf("find due transfers: %w", err)
	}
	var order []custody.WalletID
	byWallet := map[custody.WalletID][]Transfer{}
	for _, t := range due {
		if byWallet[t.Wallet] == nil {
			order = append(order, t.Wallet)
		}
		byWallet[t.Wallet] = append(byWallet[t.Wallet], t)
	}
	room := make(chan struct{}, parallel)
	var wg sync.WaitGroup
	var mu sync.Mutex // guards failed
	var failed error
	for _, id := range order {
		room <- struct{}{}
		wg.Go(func() {
			defer func() { <-room }()
			if err := w.serve(ctx, id, byWallet[id]); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return len(due), failed
}

// turn waits until nobody else serves a wallet; the answer gives the turn back.
func (w *Worker) turn(ctx context.Context, id custody.WalletID) (func(), error) {
	w.mu.Lock()
	c := w.turns[id]
	if c == nil {
		c = make(chan struct{}, 1)
		w.turns[id] = c
	}
	w.mu.Unlock()
	select {
	case c <- struct{}{}:
		return func() { <-c }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// serve takes the due transfers of a wallet one step further each, oldest first.
func (w *Worker) serve(ctx context.Context, id custody.WalletID, due []Transfer) error {
	done, err := w.turn(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	for _, t := range due {
		// It may have moved since it was found.
		now, ok, err := w.cfg.Store.Transfer(ctx, t.Request)
		if err != nil {
			return fmt.Errorf("read transfer %s: %w", t.Request, err)
		}
		if !ok || now.Settled {
			continue
		}
		if err := w.advance(ctx, &now); err != nil {
			return err
		}
	}
	return nil
}

// storeError is a failure of the store: nothing may go on then.
type storeError struct{ error }

// Unwrap gives the cause.
func (e storeError) Unwrap() error { return e.error }

// advance takes one transfer as far as it goes now, and plans when to look again. The caller has the wallet's turn.
func (w *Worker) advance(ctx context.Context, t *Transfer) error {
	s := &steps{w: w, t: t}
	err := s.run(ctx)
	var broken storeError
	switch {
	case errors.As(err, &broken):
		return fmt.Errorf("transfer %s: %w", t.Request, broken.error)
	case ctx.Err() != nil:
		return nil // the next start finds it as it is
	case err != nil:
		t.Failures++
		t.Note = noteOf(err)
		t.Next = w.cfg.Now().Add(backoff(t.Failures, err)).UnixNano()
		w.cfg.Log.WarnContext(ctx, "transfer waits", slog.String("request", t.Request.String()), slog.String("wallet", string(t.Wallet)),
			slog.Any("error", err))
	default:
		t.Failures = 0
	}
	if err := w.cfg.Store.Save(ctx, *t); err != nil {
		return fmt.Errorf("transfer %s: %w", t.Request, err)
	}
	return nil
}

// backoff is how long to wait after so many failures in a row. What the core has refused is asked for again seldom, because each
// refusal is an entry of its log. That a price or a verdict is missing is not recorded, and may end at any moment.
func backoff(failures uint32, err error) time.Duration {
	most := lastRetry
	var p *problem.Error
	if errors.As(err, &p) && (refused(p.Kind) || p.Kind == problem.WarmClosed || p.Kind == problem.NotYet || p.Kind == problem.Reanchoring || p.Kind == problem.Frozen) {
		most = lastAsking
	}
	return min(firstRetry<<min(failures-1, 20), most)
}

// noteOf gives what of an error may be shown.
func noteOf(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Error()
	}
	return err.Error()
}

// Sign takes a transfer as far as it goes now and gives its latest signed transaction. A transfer that is not ready, or whose
// payload can't be built, is a problem that says why.
func (w *Worker) Sign(ctx context.Context, id custody.RequestID) (message.Signed, error) {
	v, err := gate.Call[message.ByID, message.Request](ctx, w.cfg.Core, message.MethodRequest, message.ByID{ID: id})
	if err != nil {
		return message.Signed{}, err
	}
	if m := v.Effects.Message; m != nil && v.State == message.StateReady {
		// A message has no slot, fee or chain: what is signed is what was asked for.
		return gate.Call[message.Sign, message.Signed](ctx, w.cfg.Core, message.MethodSign, message.Sign{ID: id, Payload: m.Exact})
	}
	if !v.Effects.Operation.Signs() {
		return message.Signed{}, problem.New(problem.Conflict, "a %s is executed, not signed", v.Effects.Operation)
	}
	if v.Signed != nil && len(v.Signed.Bytes) > 0 {
		return *v.Signed, nil
	}
	if !v.Effects.Operation.Pays() {
		return w.signMessage(ctx, id, v)
	}
	done, err := w.turn(ctx, v.Effects.Wallet)
	if err != nil {
		return message.Signed{}, err
	}
	defer done()
	t, ok, err := w.cfg.Store.Transfer(ctx, id)
	if err != nil {
		return message.Signed{}, err
	}
	if !ok { // the cache has not seen it yet
		t = Transfer{Request: id, Seq: v.Seq, Wallet: v.Effects.Wallet, Chain: v.Effects.Chain}
	}
	if err := w.advance(ctx, &t); err != nil {
		return message.Signed{}, err
	}
	if v, err = gate.Call[message.ByID, message.Request](ctx, w.cfg.Core, message.MethodRequest, message.ByID{ID: id}); err != nil {
		return message.Signed{}, err
	}
	switch {
	case v.State == message.StateExported:
		return message.Signed{}, problem.New(problem.KeyAway, "the permit of entry %d waits for its signatures from an offline domain; export a bundle, and import its result", v.Signed.Permit)
	case v.Signed != nil:
		return *v.Signed, nil
	case v.Missing != nil:
		return message.Signed{}, &problem.Error{Kind: v.Missing.Kind, Detail: v.Missing.Detail, Rule: v.Missing.Rule, Unmet: v.Missing.Unmet}
	default:
		return message.Signed{}, problem.New(problem.Conflict, "the transfer is not signed yet: %s", t.Note)
	}
}

// signMessage gives the signature over a message that has its permit, or says why it has none.
func (w *Worker) signMessage(ctx context.Context, id custody.RequestID, v message.Request) (message.Signed, error) {
	switch {
	case v.State == message.StateSigned:
		return gate.Call[message.Sign, message.Signed](ctx, w.cfg.Core, message.MethodSign, message.Sign{ID: id})
	case v.Missing != nil:
		return message.Signed{}, &problem.Error{Kind: v.Missing.Kind, Detail: v.Missing.Detail, Rule: v.Missing.Rule, Unmet: v.Missing.Unmet}
	default:
		return message.Signed{}, problem.New(problem.Conflict, "the message is not signed: the request is %s", v.State)
	}
}

// Attempts gives what is known of a transfer's attempts, for the API.
func (w *Worker) Attempts(ctx context.Context, id custody.RequestID) ([]apiv1.Attempt, error) {
	list, err := w.cfg.Store.Attempts(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read attempts of %s: %w", id, err)
	}
	t, ok, err := w.cfg.Store.Transfer(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read transfer %s: %w", id, err)
	}
	var out []apiv1.Attempt
	for _, a := range list {
		x := apiv1.Attempt{Attempt: a.Number, State: string(a.State), TxID: string(a.TxID), Confirmations: a.Confirmations, Height: a.Block.Height, Note: a.Note}
		if ok {
			x.Required = w.cfg.Chains[t.Chain].Confirmations
		}
		out = append(out, x)
	}
	if n := len(out); n > 0 && ok && out[n-1].Note == "" {
		out[n-1].Note = t.Note
	}
	return out, nil
}

// Note says why a transfer does not go on; empty if nothing stands in its way.
func (w *Worker) Note(ctx context.Context, id custody.RequestID, on custody.ChainID) (string, error) {
	if _, ok := w.cfg.Chains[on]; !ok {
		return fmt.Sprintf("no node is configured for chain %s", on), nil
	}
	t, _, err := w.cfg.Store.Transfer(ctx, id)
	if err != nil {
		return "", fmt.Errorf("read transfer %s: %w", id, err)
	}
	if t.Failures == 0 {
		return "", nil // what it may note then is how it stood before
	}
	return t.Note, nil
}
