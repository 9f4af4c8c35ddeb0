// SPDX-License-Identifier: Apache-2.0

// Package ethnode runs go-ethereum's node inside this process for tests and
// demos: its real pool, chain, EVM and JSON-RPC over HTTP, while blocks and
// re-orgs are in the test's hands. It is put together from the parts of
// go-ethereum's ethclient/simulated, so that the kernel chooses the port and
// a failure is an error.
//
// The node listens on 127.0.0.1 only, has no peers and keeps everything in
// memory. The chain has every fork of the mainnet up to Osaka from its first
// block. It refuses re-orgs deeper than [MaxReorg]. Its blocks are one second
// apart at least: mining faster moves the chain's clock ahead of the real one.
package ethnode

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"os"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/eth"
	"github.com/ethereum/go-ethereum/eth/catalyst"
	"github.com/ethereum/go-ethereum/eth/ethconfig"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/ethclient"
	"github.com/ethereum/go-ethereum/node"
	"github.com/ethereum/go-ethereum/p2p"
	"github.com/ethereum/go-ethereum/params"
	"github.com/ethereum/go-ethereum/rpc"
)

// DefaultChainID is the chain id (EIP-155) of a node started without one.
const DefaultChainID = 1337

// Limits of one call.
const (
	MaxMine  = 1000 // blocks
	MaxReorg = 64   // blocks; go-ethereum's pool forgets transactions of deeper ones
)

// Config of a node. The zero value is a node with [DefaultChainID].
type Config struct {
	ChainID uint64
}

// Node is a running node. Its methods are safe for concurrent use.
type Node struct {
	stack   *node.Node
	eth     *eth.Ethereum
	client  *ethclient.Client
	chainID *big.Int
	faucet  *faucet

	// Held while blocks are made or replaced, while the faucet pays, and while
	// the pool catches up with the head (of two callers of its Sync one would
	// wait for ever); guards the fields below.
	mu     sync.Mutex
	beacon *catalyst.SimulatedBeacon
	closed bool
}

// Start starts a node whose faucet account holds [FaucetEther] ether.
// The caller must Close it.
func Start(cfg Config) (*Node, error) {
	if cfg.ChainID == 0 {
		cfg.ChainID = DefaultChainID
	}
	faucet, err := newFaucet()
	if err != nil {
		return nil, err
	}
	nodeConf := node.DefaultConfig
	nodeConf.DataDir = ""               // in memory; no IPC socket either
	nodeConf.KeyStoreDir = os.TempDir() // unused: without it the node makes a folder, and leaves it when killed
	nodeConf.P2P = p2p.Config{NoDiscovery: true, NoDial: true}
	nodeConf.HTTPHost, nodeConf.HTTPPort = "127.0.0.1", 0
	nodeConf.HTTPModules = []string{"eth", "net", "web3", "txpool", "debug"}
	stack, err := node.New(&nodeConf)
	if err != nil {
		return nil, fmt.Errorf("make the ethereum node: %w", err)
	}
	n, err := start(stack, cfg, faucet)
	if err != nil {
		return nil, errors.Join(err, stack.Close())
	}
	return n, nil
}

// start puts the Ethereum service on a node that is not yet running.
func start(stack *node.Node, cfg Config, faucet *faucet) (*Node, error) {
	alloc := core.SystemContractAllocs() // the forks call into them from the first block
	maps.Copy(alloc, types.GenesisAlloc{faucet.address: {Balance: faucet.balance()}})
	conf := ethconfig.Defaults
	conf.Genesis = &core.Genesis{
		Config:   chainConfig(cfg.ChainID),
		GasLimit: ethconfig.Defaults.Miner.GasCeil,
		Alloc:    alloc,
	}
	conf.SyncMode = ethconfig.FullSync
	conf.TxPool.NoLocals = true
	conf.LogNoHistory = true // search logs in the blocks: an index would lag behind
	service, err := eth.New(stack, &conf)
	if err != nil {
		return nil, fmt.Errorf("make the ethereum service: %w", err)
	}
	filterSystem := filters.NewFilterSystem(service.APIBackend, filters.Config{})
	stack.RegisterAPIs([]rpc.API{{Namespace: "eth", Service: filters.NewFilterAPI(filterSystem)}})
	if err := stack.Start(); err != nil {
		return nil, fmt.Errorf("start the ethereum node: %w", err)
	}
	beacon, err := catalyst.NewSimulatedBeacon(0, common.Address{}, service)
	if err != nil {
		return nil, fmt.Errorf("start the ethereum beacon: %w", err)
	}
	if err := beacon.Fork(service.BlockChain().Genesis().Hash()); err != nil {
		return nil, fmt.Errorf("set the ethereum head: %w", err)
	}
	return &Node{
		stack: stack, eth: service, beacon: beacon, faucet: faucet,
		client:  ethclient.NewClient(stack.Attach()),
		chainID: new(big.Int).SetUint64(cfg.ChainID),
	}, nil
}

// chainConfig is go-ethereum's development chain, which starts on every fork
// the release knows, held back to those the mainnet has.
func chainConfig(chainID uint64) *params.ChainConfig {
	c := *params.AllDevChainProtocolChanges
	c.ChainID = new(big.Int).SetUint64(chainID)
	c.BogotaTime = nil
	return &c
}

// RPC returns the URL of the node's JSON-RPC.
func (n *Node) RPC() string { return n.stack.HTTPEndpoint() }

// ChainID returns the chain id in use.
func (n *Node) ChainID() uint64 { return n.chainID.Uint64() }

// Client returns a client of the node that does not pass the network.
func (n *Node) Client() *ethclient.Client { return n.client }

// Height returns the number and the hash of the newest block.
func (n *Node) Height() (uint64, common.Hash) {
	head := n.eth.BlockChain().CurrentBlock()
	return head.Number.Uint64(), head.Hash()
}

// Pending returns how many transactions could go into the next block.
// Transactions behind a nonce gap are not counted.
func (n *Node) Pending(context.Context) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return 0, errors.New("read the ethereum pool: the node is closed")
	}
	if err := n.eth.TxPool().Sync(); err != nil {
		return 0, fmt.Errorf("read the ethereum pool: %w", err)
	}
	pending, _ := n.eth.TxPool().Stats()
	return pending, nil
}

// Mine adds count blocks, the first of them with what waits in the pool.
func (n *Node) Mine(ctx context.Context, count int) error {
	if count < 1 || count > MaxMine {
		return fmt.Errorf("mine %d ethereum blocks: choose between 1 and %d", count, MaxMine)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mine(ctx, count)
}

func (n *Node) mine(ctx context.Context, count int) error {
	if n.closed {
		return errors.New("mine an ethereum block: the node is closed")
	}
	for range count {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("mine an ethereum block: %w", err)
		}
		before, _ := n.Height()
		n.beacon.Commit()
		if after, _ := n.Height(); after != before+1 {
			return fmt.Errorf("mine an ethereum block: the height went from %d to %d", before, after)
		}
	}
	return nil
}

// Close stops the node and forgets its chain. Closing twice is harmless.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.closed = true
	n.client.Close()
	if err := errors.Join(n.beacon.Stop(), n.stack.Close()); err != nil {
		return fmt.Errorf("close the ethereum node: %w", err)
	}
	return nil
}
