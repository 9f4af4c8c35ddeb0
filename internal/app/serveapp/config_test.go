// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"strongroom/internal/pure/custody"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "serve.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	t.Parallel()
	path := write(t, `
door: core.sock
data: /var/lib/s
tiles: tiles
chains:
  - { chain: "eip155:1", rpc: "http://127.0.0.1:1", tokens: ["0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"] }
  - { chain: "bip122:0f9188f13cb7b2c71f2a335e3a4fc328", rpc: "http://127.0.0.1:2", user: u, passwordFile: pw, confirmations: 1, poll: 100ms, feeRates: { low: 1000, medium: 2000, high: 3000 } }
`)
	c, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Fill(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	if c.Door != filepath.Join(dir, "core.sock") || c.Data != "/var/lib/s" || c.Chains[1].PasswordFile != filepath.Join(dir, "pw") {
		t.Errorf("paths: %+v", c)
	}
	if c.Listen != DefaultListen || len(c.Names) == 0 || c.Chains[0].Confirmations != 12 || c.Chains[1].Confirmations != 1 || c.Chains[1].Poll != 100*time.Millisecond ||
		c.Chains[0].Poll == 0 || c.Chains[1].FeeRates.High != 3000 || c.Chains[1].ScanFrom != 1 {
		t.Errorf("defaults: %+v", c)
	}
}

// TestExample: the configuration in examples can be used as it stands.
func TestExample(t *testing.T) {
	t.Parallel()
	c, err := Read(filepath.Join("..", "..", "..", "examples", "serve.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Fill(); err != nil || len(c.Chains) != 2 || c.Door != "/run/strongroom-core/core.sock" {
		t.Errorf("%+v, error %v", c, err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"unknown key":        "colour: red",
		"unknown chain key":  "chains: [ { colour: red } ]",
		"second document":    "door: a\n---\ndoor: b",
		"repeated key":       "door: a\ndoor: b",
		"not YAML":           "{",
		"duration as number": "chains: [ { poll: soon } ]",
	} {
		if _, err := Read(write(t, text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := Read(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got error %v", err)
	}
}

func TestFillRefuses(t *testing.T) {
	t.Parallel()
	eth, btc := custody.EVMChain(1), custody.BitcoinRegtest
	good := func(chains ...Chain) Config { return Config{Door: "d", Data: "d", Tiles: "t", Chains: chains} }
	for name, c := range map[string]Config{
		"zero":                  {},
		"listen":                {Door: "d", Data: "d", Tiles: "t", Listen: "nowhere"},
		"chain":                 good(Chain{Chain: "dogecoin", RPC: "http://x"}),
		"no rpc":                good(Chain{Chain: eth}),
		"twice":                 good(Chain{Chain: eth, RPC: "http://x"}, Chain{Chain: eth, RPC: "http://y"}),
		"user on Ethereum":      good(Chain{Chain: eth, RPC: "http://x", User: "u"}),
		"fee rates on Ethereum": good(Chain{Chain: eth, RPC: "http://x", FeeRates: FeeRates{1000, 1000, 1000}}),
		"token":                 good(Chain{Chain: eth, RPC: "http://x", Tokens: []string{"0x1"}}),
		"token on Bitcoin":      good(Chain{Chain: btc, RPC: "http://x", Tokens: []string{"0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"}}),
		"simulation, Bitcoin":   good(Chain{Chain: btc, RPC: "http://x", NoSimulation: true}),
		"falling fee rates":     good(Chain{Chain: btc, RPC: "http://x", FeeRates: FeeRates{3000, 2000, 1000}}),
		"pages, no origin":      {Door: "d", Data: "d", Tiles: "t", Pages: &Pages{}},
		"pages in plaintext":    {Door: "d", Data: "d", Tiles: "t", Pages: &Pages{Origin: "http://localhost"}},
		"pages, other name":     {Door: "d", Data: "d", Tiles: "t", Pages: &Pages{Origin: "https://custody.example.org"}},
		"pages, foreign rp":     {Door: "d", Data: "d", Tiles: "t", Pages: &Pages{Origin: "https://localhost", RP: "example.org"}},
		"pages, own port":       {Door: "d", Data: "d", Tiles: "t", Pages: &Pages{Origin: "https://localhost:443"}},
		"pages at an address":   {Door: "d", Data: "d", Tiles: "t", Pages: &Pages{Origin: "https://[::1]:7443"}},
		"negative poll":         good(Chain{Chain: btc, RPC: "http://x", Poll: -1}),
	} {
		if err := c.Fill(); err == nil || !strings.HasPrefix(err.Error(), "configuration: ") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
	p := Config{Door: "d", Data: "d", Tiles: "t", Names: []string{"a.example.org"}, Pages: &Pages{Origin: "https://a.example.org:7443"}}
	if err := p.Fill(); err != nil || p.Pages.RP != "a.example.org" {
		t.Errorf("pages: %+v %v", p.Pages, err)
	}
	c := good(Chain{Chain: eth, RPC: "http://x"}, Chain{Chain: btc, RPC: "http://y"})
	if err := c.Fill(); err != nil {
		t.Error(err)
	}
}
