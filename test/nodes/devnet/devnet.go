// SPDX-License-Identifier: Apache-2.0

// Package devnet runs an Ethereum and a Bitcoin test node with a test token
// and a control interface over HTTP for funding, mining and re-orgs. Programs
// that cannot import this module start cmd/devnet and read what [Info] says.
//
// Everything listens on 127.0.0.1 only. The control interface has no password:
// it moves worthless money on chains that end with the process. It refuses
// requests whose Host is not a loopback address or whose body is not declared
// as JSON, so that no web page can use it through a browser.
package devnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"strongroom/test/nodes/automine"
	"strongroom/test/nodes/btcnode"
	"strongroom/test/nodes/ethnode"
	"strongroom/test/nodes/testtoken"
)

// Names of chains in the control interface.
const (
	Ethereum = "ethereum"
	Bitcoin  = "bitcoin"
)

// Info says where everything is. Its JSON is what cmd/devnet prints.
type Info struct {
	Ethereum EthereumInfo `json:"ethereum"`
	Bitcoin  BitcoinInfo  `json:"bitcoin"`
	Control  string       `json:"control"` // URL of the control interface
}

// EthereumInfo describes the Ethereum node and the token deployed on it.
type EthereumInfo struct {
	RPC         string `json:"rpc"` // URL of the JSON-RPC
	ChainID     uint64 `json:"chainId"`
	Token       string `json:"token"` // address of the ERC-20 contract
	TokenSymbol string `json:"tokenSymbol"`
	Decimals    int    `json:"decimals"` // of the token
}

// BitcoinInfo describes the Bitcoin node.
type BitcoinInfo struct {
	RPC     string `json:"rpc"` // URL of the JSON-RPC, for HTTP basic authentication with:
	User    string `json:"user"`
	Pass    string `json:"pass"`
	Network string `json:"network"` // always "regtest"
}

// Config of a devnet.
type Config struct {
	ChainID  uint64        // of Ethereum; 0 means [ethnode.DefaultChainID]
	Automine automine.Plan // of both chains at the start
}

// Devnet is a running pair of nodes.
type Devnet struct {
	info   Info
	eth    *ethnode.Node
	btc    *btcnode.Node
	miners map[string]*automine.Miner // by chain
	server *http.Server
	served chan struct{} // closed when the server's goroutine has ended; nil before it started
}

// Start starts the nodes, deploys the token and serves the control interface.
// The caller must Close the devnet. The first start on a machine builds btcd.
func Start(ctx context.Context, cfg Config) (*Devnet, error) {
	if err := cfg.Automine.Check(); err != nil {
		return nil, err
	}
	d := &Devnet{miners: map[string]*automine.Miner{}}
	if err := d.start(ctx, cfg); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

func (d *Devnet) start(ctx context.Context, cfg Config) (err error) {
	if d.btc, err = btcnode.Start(ctx); err != nil {
		return err
	}
	if d.eth, err = ethnode.Start(ethnode.Config{ChainID: cfg.ChainID}); err != nil {
		return err
	}
	token, err := d.eth.DeployToken(ctx)
	if err != nil {
		return err
	}
	for name, chain := range map[string]automine.Chain{Ethereum: d.eth, Bitcoin: d.btc} {
		if d.miners[name], err = automine.Start(chain, cfg.Automine); err != nil {
			delete(d.miners, name)
			return err
		}
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the control interface: %w", err)
	}
	user, pass := d.btc.Credentials()
	d.info = Info{
		Ethereum: EthereumInfo{
			RPC: d.eth.RPC(), ChainID: d.eth.ChainID(), Token: token.Hex(),
			TokenSymbol: testtoken.Symbol, Decimals: testtoken.Decimals,
		},
		Bitcoin: BitcoinInfo{RPC: d.btc.RPC(), User: user, Pass: pass, Network: "regtest"},
		Control: "http://" + listener.Addr().String(),
	}
	d.server = &http.Server{Handler: d.control(token), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	d.served = make(chan struct{})
	go func() { // Close waits for it
		defer close(d.served)
		_ = d.server.Serve(listener) // always ends with ErrServerClosed, by Close
	}()
	return nil
}

// Info says where everything is.
func (d *Devnet) Info() Info { return d.info }

// Close stops everything in the opposite order of Start.
func (d *Devnet) Close() error {
	var errs []error
	if d.served != nil {
		errs = append(errs, d.server.Close())
		<-d.served
	}
	for _, m := range d.miners {
		m.Close()
	}
	if d.eth != nil {
		errs = append(errs, d.eth.Close())
	}
	if d.btc != nil {
		errs = append(errs, d.btc.Close())
	}
	return errors.Join(errs...)
}
