// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"strongroom/internal/nodestest"
)

type loneKey struct{}

// loneNode is an Ethereum node of one script, which may kill it and start another that answers at the same place, with an empty chain.
type loneNode struct {
	env *nodestest.Env
	at  net.Listener // which hands connections on to the node

	mu     sync.Mutex // guards target
	target string
}

// node runs a node of the script's own: node start | kill | fund ADDRESS AMOUNT | mine N. It sets ETH and ETH_RPC.
func node(ts *testscript.TestScript, neg bool, args []string) {
	n, _ := ts.Value(loneKey{}).(*loneNode)
	t, ok := ts.Value(testKey{}).(testing.TB)
	switch {
	case neg || !ok || len(args) == 0:
		ts.Fatalf("usage: node start | kill | fund ADDRESS AMOUNT | mine N")
	case args[0] == "start":
		n.start(ts, t)
	case n.env == nil:
		ts.Fatalf("no node was started")
	case args[0] == "kill":
		n.env.Kill()
	case args[0] == "fund" && len(args) == 3:
		n.env.Fund(t, nodestest.Ethereum, args[1], args[2])
	case args[0] == "mine" && len(args) == 2:
		blocks, err := strconv.Atoi(args[1])
		ts.Check(err)
		n.env.Mine(t, nodestest.Ethereum, blocks)
	default:
		ts.Fatalf("node: %q is not known", args)
	}
}

func (n *loneNode) start(ts *testscript.TestScript, t testing.TB) {
	n.env = nodestest.StartAlone(t)
	u, err := url.Parse(n.env.EthRPC)
	ts.Check(err)
	n.mu.Lock()
	n.target = u.Host
	n.mu.Unlock()
	if n.at == nil {
		var l net.ListenConfig
		n.at, err = l.Listen(t.Context(), "tcp", "127.0.0.1:0")
		ts.Check(err)
		var all sync.WaitGroup
		ts.Defer(func() { _ = n.at.Close(); n.env.Kill(); all.Wait() })
		all.Add(1)
		go func() { defer all.Done(); n.forward(&all) }()
	}
	u.Host = n.at.Addr().String()
	ts.Setenv("ETH_RPC", u.String())
	ts.Setenv("ETH", "eip155:"+strconv.FormatUint(n.env.ChainID, 10))
}

// forward hands connections on until the listener is closed. One that finds no node is closed.
func (n *loneNode) forward(all *sync.WaitGroup) {
	for {
		in, err := n.at.Accept()
		if err != nil {
			return
		}
		n.mu.Lock()
		target := n.target
		n.mu.Unlock()
		out, err := net.Dial("tcp", target)
		if err != nil {
			_ = in.Close()
			continue
		}
		for _, x := range [][2]net.Conn{{in, out}, {out, in}} {
			all.Add(1)
			go func() {
				defer all.Done()
				_, _ = io.Copy(x[0], x[1]) // either side may be killed: that is what this is for
				_ = x[0].Close()
				_ = x[1].Close()
			}()
		}
	}
}
