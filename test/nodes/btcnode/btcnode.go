// SPDX-License-Identifier: Apache-2.0

// Package btcnode runs a real btcd in regtest mode for tests and demos, built
// from the version this module pins. It mines on demand, replaces the newest
// blocks by a longer branch, and pays test money by real signed transactions
// out of its own matured block rewards.
//
// The node listens on 127.0.0.1 only and for RPC only, has no peers, keeps its
// data in a temporary folder, and dies with this process. Its passwords and
// keys are made at start. It needs Linux (the parent-death signal) and, for
// the first build, the go command. btcd itself insists on an empty folder
// .btcd in the user's home. It is a node and no wallet: the product keeps its
// own coins.
package btcnode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"sync"
)

// Limits of one call.
const (
	MaxMine  = 1000 // blocks
	MaxReorg = 64   // blocks; the faucet spends only rewards deeper than this
)

// firstBlocks is how many blocks a new node mines, so that the faucet holds
// 36 matured rewards of 50 bitcoin. The reward halves every 150 blocks.
const firstBlocks = 200

// Node is a running node. Its methods are safe for concurrent use.
type Node struct {
	process    *process
	http       *http.Client
	addr       string // host:port of the RPC
	user, pass string
	faucet     *faucet

	mu sync.Mutex // held while blocks are made or replaced
}

// Start builds btcd if need be, starts it on a free port and mines the first
// blocks. The caller must Close the node.
func Start(ctx context.Context) (*Node, error) {
	binary, err := Build(ctx)
	if err != nil {
		return nil, err
	}
	faucet, err := newFaucet()
	if err != nil {
		return nil, err
	}
	// A port can be taken between our choosing it and btcd's listening on it.
	var failures error
	for range 3 {
		n := &Node{http: &http.Client{Transport: &http.Transport{}}, user: rand.Text(), pass: rand.Text(), faucet: faucet}
		if err := n.launch(ctx, binary); err != nil {
			failures = errors.Join(failures, err, n.Close())
			if ctx.Err() != nil {
				break
			}
			continue
		}
		if err := n.Mine(ctx, firstBlocks); err != nil {
			return nil, errors.Join(err, n.Close())
		}
		return n, nil
	}
	return nil, fmt.Errorf("start btcd: %w", failures)
}

// RPC returns the URL of the node's JSON-RPC, without credentials.
func (n *Node) RPC() string { return "http://" + n.addr }

// Credentials returns user name and password of the JSON-RPC (HTTP basic authentication).
func (n *Node) Credentials() (user, pass string) { return n.user, n.pass }

// PID returns the process id of the node.
func (n *Node) PID() int { return n.process.pid }

// Height returns the height and the hash of the newest block.
func (n *Node) Height(ctx context.Context) (int64, string, error) {
	var best struct {
		Height int64  `json:"height"`
		Hash   string `json:"hash"`
	}
	if err := n.Call(ctx, &best, "getbestblock"); err != nil {
		return 0, "", err
	}
	return best.Height, best.Hash, nil
}

// Pending returns how many transactions wait for a block.
func (n *Node) Pending(ctx context.Context) (int, error) {
	var pool struct {
		Size int `json:"size"`
	}
	if err := n.Call(ctx, &pool, "getmempoolinfo"); err != nil {
		return 0, err
	}
	return pool.Size, nil
}

// Mine adds count blocks, the first of them with what waits in the pool.
func (n *Node) Mine(ctx context.Context, count int) error {
	_, err := n.Generate(ctx, count)
	return err
}

// Generate is Mine that returns the hashes of the new blocks, oldest first.
func (n *Node) Generate(ctx context.Context, count int) ([]string, error) {
	if count < 1 || count > MaxMine {
		return nil, fmt.Errorf("mine %d bitcoin blocks: choose between 1 and %d", count, MaxMine)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	var hashes []string
	if err := n.Call(ctx, &hashes, "generate", count); err != nil {
		return nil, err
	}
	return hashes, nil
}

// Invalidate makes the node refuse a block and everything built on it. The
// chain becomes shorter until new blocks are mined; the transactions of the
// refused blocks go back to the pool.
func (n *Node) Invalidate(ctx context.Context, hash string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.Call(ctx, nil, "invalidateblock", hash)
}

// Close kills the node and removes its data. Closing twice is harmless.
func (n *Node) Close() error {
	n.http.CloseIdleConnections()
	if n.process == nil {
		return nil
	}
	return n.process.close()
}
