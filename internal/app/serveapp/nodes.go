// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"

	"strongroom/internal/edge/btcd"
	"strongroom/internal/edge/geth"
	"strongroom/internal/gate"
	"strongroom/internal/gate/message"
	"strongroom/internal/pure/apiv1"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/simulate"
	"strongroom/internal/svc/wallet"
)

// maxAccounts is the most addresses of an Ethereum wallet whose balances are summed up on request.
const maxAccounts = 500

// node is a chain's node and what is built on it; exactly one of the two clients is there.
type node struct {
	cfg     Chain
	eth     *geth.Client
	btc     *btcd.Client
	scanner *wallet.Scanner // Bitcoin
	coins   wallet.Attempts // Bitcoin: what reserves coins
	rules   wallet.Rules
}

// dial makes the client of a node. It does not connect.
func dial(c Chain) (*node, error) {
	roots, err := pool(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("chain %s: %w", c.Chain, err)
	}
	n := &node{cfg: c, rules: wallet.Rules{Deposit: c.Confirmations, Change: 1, UnconfirmedChange: true}}
	if id, ok := c.Chain.EVM(); ok {
		n.eth, err = geth.New(geth.Config{URL: c.RPC, ExpectChainID: id, Timeout: nodeTimeout, RootCAs: roots})
		return n, err
	}
	password, err := c.password()
	if err != nil {
		return nil, err
	}
	n.btc, err = btcd.New(btcd.Config{URL: c.RPC, User: c.User, Password: password, Chain: c.Chain, Timeout: nodeTimeout, RootCAs: roots})
	return n, err
}

func pool(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil // the system's
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(b) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return p, nil
}

func (n *node) close() {
	if n.eth != nil {
		n.eth.Close()
	}
	if n.btc != nil {
		n.btc.Close()
	}
}

func (n *node) status(ctx context.Context) (chain.NodeStatus, error) {
	if n.eth != nil {
		return n.eth.Status(ctx)
	}
	return n.btc.Status(ctx)
}

// nodes are the nodes that are configured. It is what the API asks about chains.
type nodes struct {
	core gate.Door
	list []*node
}

func (ns *nodes) of(c custody.ChainID) (*node, bool) {
	for _, n := range ns.list {
		if n.cfg.Chain == c {
			return n, true
		}
	}
	return nil, false
}

// simulationPatience is how long a request waits for a node to say what it would change.
const simulationPatience = 3 * time.Second

// simulating gives the node of a chain that can be asked what a transaction would change.
func (ns *nodes) simulating(c custody.ChainID) (simulate.Node, bool) {
	n, ok := ns.of(c)
	if !ok || n.eth == nil || n.cfg.NoSimulation {
		return nil, false
	}
	return n.eth, true
}

// Status asks every node how it is, all at the same time.
func (ns *nodes) Status(ctx context.Context) []apiv1.Chain {
	ctx, cancel := context.WithTimeout(ctx, nodeTimeout/4)
	defer cancel()
	out := make([]apiv1.Chain, len(ns.list))
	var wg sync.WaitGroup
	for i, n := range ns.list {
		wg.Go(func() {
			st, err := n.status(ctx)
			out[i] = apiv1.Chain{Chain: n.cfg.Chain, Node: st.Node, Version: st.Version, Height: st.Head.Height, Hash: string(st.Head.Hash), Time: st.Head.Time,
				Behind: st.Behind, Peers: st.Peers}
			if err != nil {
				out[i].Node, out[i].Error = hostOf(n.cfg.RPC), why(err)
			}
		})
	}
	wg.Wait()
	return out
}

// why gives what may be shown of a node's failure.
func why(err error) string {
	var p *problem.Error
	if errors.As(chain.Problem(err), &p) {
		return p.Detail
	}
	return "it can't be asked"
}

// hostOf leaves out of a URL what may be secret.
func hostOf(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return u.Host
}

// Balances tells what a wallet holds: the chain's own coin, and on Ethereum's chains the tokens that are configured.
func (ns *nodes) Balances(ctx context.Context, id custody.WalletID) ([]apiv1.Balance, error) {
	w, err := gate.Call[message.WalletID, message.Wallet](ctx, ns.core, message.MethodWallet, message.WalletID{ID: id})
	if err != nil {
		return nil, err
	}
	n, ok := ns.of(w.Wallet.Chain)
	if !ok {
		return nil, problem.New(problem.Unsupported, "serve has no node of %s, which alone knows balances; whoever runs serve names one with --node", w.Wallet.Chain)
	}
	if n.btc != nil {
		f, err := n.scanner.Funds(ctx, id, n.coins, n.rules)
		if err != nil {
			return nil, problem.Wrap(problem.NodeUnavailable, err, "the coins of wallet %s are not known yet; try again in a moment", id)
		}
		b := f.Balance()
		return []apiv1.Balance{{Asset: w.Wallet.Chain.Native(), Confirmed: custody.U64(uint64(b.Confirmed - b.Confirming)), Pending: custody.U64(uint64(b.Confirming + b.Unconfirmed))}}, nil
	}
	if w.NextReceive > maxAccounts {
		return nil, problem.New(problem.TooLarge, "wallet %s has %d addresses; balances are summed up for %d at most", id, w.NextReceive, maxAccounts)
	}
	assets := []custody.AssetID{w.Wallet.Chain.Native()}
	for _, t := range n.cfg.Tokens {
		assets = append(assets, custody.AssetID(string(w.Wallet.Chain)+"/erc20:"+t))
	}
	accounts, err := wallet.Accounts(ctx, n.eth, authority.Derive, w.Wallet, 0, w.NextReceive, assets)
	if err != nil {
		return nil, chain.Problem(err)
	}
	out := make([]apiv1.Balance, len(assets))
	for i, a := range assets {
		out[i].Asset = a
		for _, acc := range accounts {
			if out[i].Confirmed, ok = out[i].Confirmed.Add(acc.Amounts[i].Amount); !ok {
				return nil, problem.New(problem.Internal, "the sum of the balances of %s does not fit in 256 bits", a)
			}
		}
	}
	return out, nil
}

func (ns *nodes) close() {
	for _, n := range ns.list {
		n.close()
	}
}
