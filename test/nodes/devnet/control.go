// SPDX-License-Identifier: Apache-2.0

package devnet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"strongroom/test/nodes/automine"
)

// maxBody bounds a request, in bytes.
const maxBody = 16 << 10

// badRequest marks errors that are the caller's.
type badRequest struct{ error }

// Unwrap gives the cause.
func (b badRequest) Unwrap() error { return b.error }

func refuse(format string, args ...any) error { return badRequest{fmt.Errorf(format, args...)} }

// control returns the handler of the control interface.
func (d *Devnet) control(token common.Address) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /fund", handle(func(ctx context.Context, r FundRequest) (any, error) { return d.fund(ctx, token, r) }))
	mux.HandleFunc("POST /mine", handle(d.mine))
	mux.HandleFunc("POST /reorg", handle(d.reorg))
	mux.HandleFunc("POST /automine", handle(d.automine))
	mux.HandleFunc("GET /state", func(w http.ResponseWriter, r *http.Request) {
		eth, err := d.state(r.Context(), Ethereum)
		if err != nil {
			answer(w, nil, err)
			return
		}
		btc, err := d.state(r.Context(), Bitcoin)
		answer(w, State{Ethereum: eth, Bitcoin: btc}, err)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := local(r); err != nil {
			answer(w, nil, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// local refuses what a browser can be made to send by a foreign page.
func local(r *http.Request) error {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.IsLoopback()) {
		return refuse("the host %q is not a loopback address", r.Host)
	}
	if r.Method == http.MethodPost {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return refuse("send the body as content type application/json")
		}
	}
	return nil
}

// handle decodes a body strictly, acts and answers.
func handle[R any](act func(context.Context, R) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body R
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&body); err != nil {
			answer(w, nil, refuse("decode the request: %w", err))
			return
		}
		if _, err := dec.Token(); !errors.Is(err, io.EOF) {
			answer(w, nil, refuse("decode the request: something follows the JSON value"))
			return
		}
		result, err := act(r.Context(), body)
		answer(w, result, err)
	}
}

// answer writes a result, or the error with the status it deserves.
func answer(w http.ResponseWriter, result any, err error) {
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		status := http.StatusInternalServerError
		if errors.As(err, new(badRequest)) {
			status = http.StatusBadRequest
		}
		w.WriteHeader(status)
		result = ErrorAnswer{Error: err.Error()}
	}
	_ = json.NewEncoder(w).Encode(result) // fails only when the caller has gone
}

func (d *Devnet) fund(ctx context.Context, token common.Address, r FundRequest) (any, error) {
	amount, err := units(r.Amount)
	if err != nil {
		return nil, err
	}
	if r.Asset == "" {
		r.Asset = "native"
	}
	var id string
	switch r.Chain + " " + r.Asset {
	case Ethereum + " native", Ethereum + " token":
		id, err = d.fundEthereum(ctx, token, r, amount)
	case Bitcoin + " native":
		if !amount.IsInt64() {
			return nil, refuse("%s satoshi are more than there are", amount)
		}
		id, err = d.btc.Fund(ctx, r.Address, amount.Int64())
	default:
		return nil, refuse("no asset %q on chain %q: there are native and token on ethereum, native on bitcoin", r.Asset, r.Chain)
	}
	if err != nil {
		return nil, err
	}
	if !r.Pending {
		if _, err := d.mine(ctx, MineRequest{Chain: r.Chain, Blocks: 1}); err != nil {
			return nil, err
		}
		d.miners[r.Chain].Settle()
	}
	return FundAnswer{Transaction: id}, nil
}

func (d *Devnet) fundEthereum(ctx context.Context, token common.Address, r FundRequest, amount *big.Int) (string, error) {
	if !common.IsHexAddress(r.Address) {
		return "", refuse("%q is not an ethereum address", r.Address)
	}
	to := common.HexToAddress(r.Address)
	if r.Asset == "token" {
		hash, err := d.eth.FundToken(ctx, token, to, amount)
		return hash.Hex(), err
	}
	hash, err := d.eth.Fund(ctx, to, amount)
	return hash.Hex(), err
}

// units decodes an amount of base units: decimal digits without a leading
// zero, above zero, at most 78 of them (2^256).
func units(s string) (*big.Int, error) {
	if s == "" || len(s) > 78 || s[0] == '0' {
		return nil, refuse("the amount %.80q is not a positive number of base units", s)
	}
	for _, c := range s {
		if c < '0' || c > '9' {
			return nil, refuse("the amount %q is not a positive number of base units", s)
		}
	}
	n, _ := new(big.Int).SetString(s, 10)
	return n, nil
}

func (d *Devnet) mine(ctx context.Context, r MineRequest) (any, error) {
	chain, err := d.chain(r.Chain)
	if err != nil {
		return nil, err
	}
	if err := chain.Mine(ctx, r.Blocks); err != nil {
		return nil, err
	}
	return d.state(ctx, r.Chain)
}

func (d *Devnet) reorg(ctx context.Context, r ReorgRequest) (any, error) {
	var err error
	switch {
	case r.Chain == Ethereum:
		_, err = d.eth.Reorg(ctx, r.Depth, r.Drop)
	case r.Chain == Bitcoin && r.Drop:
		err = refuse("btcd cannot forget transactions: re-org bitcoin without drop")
	case r.Chain == Bitcoin:
		_, err = d.btc.Reorg(ctx, r.Depth)
	default:
		_, err = d.chain(r.Chain)
	}
	if err != nil {
		return nil, err
	}
	return d.state(ctx, r.Chain)
}

func (d *Devnet) automine(ctx context.Context, r AutomineRequest) (any, error) {
	if _, err := d.chain(r.Chain); err != nil {
		return nil, err
	}
	plan := d.miners[r.Chain].Status().Plan
	plan.On = r.On
	if r.IntervalMs != 0 {
		plan.Interval = time.Duration(r.IntervalMs) * time.Millisecond
		if plan.Idle > 0 {
			plan.Idle = max(plan.Idle, plan.Interval) // never the shorter one
		}
	}
	switch {
	case r.IdleMs == -1:
		plan.Idle = 0
	case r.IdleMs != 0:
		plan.Idle = time.Duration(r.IdleMs) * time.Millisecond
	}
	if err := d.miners[r.Chain].Set(plan); err != nil {
		return nil, badRequest{err}
	}
	return d.state(ctx, r.Chain)
}

// chain returns a chain by name.
func (d *Devnet) chain(name string) (automine.Chain, error) {
	switch name {
	case Ethereum:
		return d.eth, nil
	case Bitcoin:
		return d.btc, nil
	}
	return nil, refuse("no chain %q: there are ethereum and bitcoin", name)
}

func (d *Devnet) state(ctx context.Context, name string) (ChainState, error) {
	chain, err := d.chain(name)
	if err != nil {
		return ChainState{}, err
	}
	miner := d.miners[name].Status()
	s := ChainState{Automine: AutomineState{
		On: miner.On, IntervalMs: miner.Interval.Milliseconds(), IdleMs: miner.Idle.Milliseconds(), Error: miner.LastError,
	}}
	if s.Pending, err = chain.Pending(ctx); err != nil {
		return ChainState{}, err
	}
	if name == Ethereum {
		height, hash := d.eth.Height()
		s.Height, s.Hash = height, hash.Hex()
		return s, nil
	}
	height, hash, err := d.btc.Height(ctx)
	s.Height, s.Hash = uint64(height), hash
	return s, err
}
