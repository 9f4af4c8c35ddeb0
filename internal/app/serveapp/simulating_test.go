// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"testing"

	"strongroom/internal/pure/custody"
)

// Which nodes are asked what requests would change: those of Ethereum's chains, but where that is switched off.
func TestSimulating(t *testing.T) {
	t.Parallel()
	asked, quiet := custody.EVMChain(1), custody.EVMChain(2)
	ns := &nodes{}
	t.Cleanup(ns.close)
	for _, c := range []Chain{{Chain: asked, RPC: "http://127.0.0.1:1"}, {Chain: quiet, RPC: "http://127.0.0.1:1", NoSimulation: true}, {Chain: custody.BitcoinRegtest, RPC: "http://127.0.0.1:1", User: "u"}} {
		n, err := dial(c)
		if err != nil {
			t.Fatal(err)
		}
		ns.list = append(ns.list, n)
	}
	for c, want := range map[custody.ChainID]bool{asked: true, quiet: false, custody.BitcoinRegtest: false, custody.EVMChain(3): false} {
		if n, ok := ns.simulating(c); ok != want || ok != (n != nil) {
			t.Errorf("%s: %v", c, ok)
		}
	}
}
