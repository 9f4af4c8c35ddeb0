// SPDX-License-Identifier: Apache-2.0

// Package serveapp wires serve: from a configuration to the REST API, the cache of the log, the nodes and the worker that carries transfers
// out. It holds no keys and decides nothing: what it does wrong, the core refuses. It lists the implementations of everything that serve
// stands on.
package serveapp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"strongroom/internal/edge/btcd"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/webauthn"
	"strongroom/internal/svc/chain"
)

// Config is the configuration of serve; its file is YAML, unknown keys are refused, and paths in it are relative to its folder.
type Config struct {
	Door   string   `yaml:"door"`   // socket of the core
	Data   string   `yaml:"data"`   // serve's folder: certificate authority and cache; mode 0700
	Tiles  string   `yaml:"tiles"`  // the log's tiles, as the core writes them
	Listen string   `yaml:"listen"` // host:port; default 127.0.0.1:7443
	Names  []string `yaml:"names"`  // names and addresses in serve's certificate; default localhost
	Pages  *Pages   `yaml:"pages"`  // for people with a browser; absent: none
	Chains []Chain  `yaml:"chains"`
	Relay  Relay    `yaml:"relay"`
	// MetricsListen is host:port on loopback of /metrics, which is not authenticated; default: none.
	MetricsListen string `yaml:"metricsListen"`
	TLSKey        string `yaml:"tlsKey"` // key file of a service: serve's TLS key is one of that service's caller local:serve, in the domain; absent: in memory
}

// Relay names what serve carries messages of the core to, which opens no connections itself: docs/spec/door.md. Names are those of the
// domain's genesis and of the core's configuration.
type Relay struct {
	Witnesses map[string]string `yaml:"witnesses"` // log witnesses: name → URL prefix
	NTP       map[string]string `yaml:"ntp"`       // time servers: name → host:port
	NTS       map[string]string `yaml:"nts"`       // NTS key establishment: name → host:port
	CAFile    string            `yaml:"caFile"`    // certificates that sign the witnesses'; default: the system's
}

// Pages say where people's browsers find serve. Passkeys are made for both for ever: with another origin people need new ones.
type Pages struct {
	Origin string `yaml:"origin"` // https://custody.example.org, with ":port" unless it is 443; its host is among names
	RP     string `yaml:"rp"`     // relying party id; default: the origin's host

	Passwords bool  `yaml:"passwords"` // people may sign in with a password and a code too, to read
	OIDC      *OIDC `yaml:"oidc"`      // people may sign in through an identity provider too, to read; absent: none
}

// OIDC names an identity provider (OpenID Connect). Its callback is the origin and /app/sign-in/callback.
type OIDC struct {
	Issuer     string                      `yaml:"issuer"`     // https://…
	ClientID   string                      `yaml:"clientID"`   // of this server, at the provider
	SecretFile string                      `yaml:"secretFile"` // file with the client's secret, one line, for its owner only
	CAFile     string                      `yaml:"caFile"`     // certificates that sign the provider's; default: the system's
	People     map[string]custody.PersonID `yaml:"people"`     // subject at the provider → person
}

// fill sets what was left out.
func (p *Pages) fill(names []string) error {
	u, err := url.Parse(p.Origin)
	if err != nil || u.Scheme != "https" {
		return fmt.Errorf("origin %q must be https://, the host, and the port unless it is 443", p.Origin)
	}
	if p.RP == "" {
		p.RP = u.Hostname()
	}
	if err := p.relying().Check(); err != nil {
		return err
	}
	if !slices.Contains(names, u.Hostname()) {
		return fmt.Errorf("origin %s: %q is not among names, so that serve's certificate would not be good for it", p.Origin, u.Hostname())
	}
	return nil
}

func (p *Pages) relying() webauthn.Relying { return webauthn.Relying{ID: p.RP, Origin: p.Origin} }

// Chain is a node of a chain, and how its transfers are carried out.
type Chain struct {
	Chain         custody.ChainID `yaml:"chain"`         // CAIP-2
	RPC           string          `yaml:"rpc"`           // URL of the node's JSON-RPC
	User          string          `yaml:"user"`          // HTTP basic authentication (Bitcoin)
	PasswordFile  string          `yaml:"passwordFile"`  // file with the password, one line
	CAFile        string          `yaml:"caFile"`        // certificate that signs the node's; default: the system's
	Confirmations uint64          `yaml:"confirmations"` // until a transfer is final; default 12 on Ethereum's chains, 6 on Bitcoin's
	Poll          time.Duration   `yaml:"poll"`          // between two looks; default 2s on Ethereum's chains, 5s on Bitcoin's
	BumpAfter     time.Duration   `yaml:"bumpAfter"`     // in the pool until the fee is raised, within what was approved; default 10m
	FeeRates      FeeRates        `yaml:"feeRates"`      // Bitcoin: where the node has no estimate
	ScanFrom      uint64          `yaml:"scanFrom"`      // Bitcoin: block before which no wallet was paid; default 1
	Tokens        []string        `yaml:"tokens"`        // ERC-20 contracts (EIP-55) whose balances are shown
	NoSimulation  bool            `yaml:"noSimulation"`  // Ethereum: it is not asked what requests would change, of which it would learn before anybody approved them
}

// FeeRates are in satoshi a thousand virtual bytes. They stand in where a node has no estimate; what people approved as fee caps them.
type FeeRates struct {
	Low    chain.FeeRate `yaml:"low"`    // default 2000
	Medium chain.FeeRate `yaml:"medium"` // default 10000: of a first attempt
	High   chain.FeeRate `yaml:"high"`   // default 30000: of replacements
}

// DefaultListen is where serve listens if nothing else is said.
const DefaultListen = "127.0.0.1:7443"

// nodeTimeout bounds a call of a node.
const nodeTimeout = 20 * time.Second

// Read reads a configuration file.
func Read(path string) (Config, error) {
	var c Config
	b, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("configuration: %w", err)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return c, fmt.Errorf("configuration %s: it has more than one document", path)
	}
	c.from(filepath.Dir(path))
	return c, nil
}

// from makes the paths of a file absolute or relative to where we are.
func (c *Config) from(dir string) {
	places := []*string{&c.Door, &c.Data, &c.Tiles, &c.TLSKey}
	places = append(places, &c.Relay.CAFile)
	if c.Pages != nil && c.Pages.OIDC != nil {
		places = append(places, &c.Pages.OIDC.SecretFile, &c.Pages.OIDC.CAFile)
	}
	for i := range c.Chains {
		places = append(places, &c.Chains[i].PasswordFile, &c.Chains[i].CAFile)
	}
	for _, p := range places {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// Fill sets what was left out and says what is missing or wrong.
func (c *Config) Fill() error {
	if c.Door == "" || c.Data == "" || c.Tiles == "" {
		return errors.New("configuration: door, data and tiles are required")
	}
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("configuration: listen: %w", err)
	}
	if _, _, err := net.SplitHostPort(c.MetricsListen); err != nil && c.MetricsListen != "" {
		return fmt.Errorf("configuration: metricsListen: %w", err)
	}
	if len(c.Names) == 0 {
		c.Names = tlsca.DefaultNames()
	}
	if err := c.Relay.targets(nil).Check(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if c.Pages != nil {
		if err := c.Pages.fill(c.Names); err != nil {
			return fmt.Errorf("configuration: pages: %w", err)
		}
	}
	seen := map[custody.ChainID]bool{}
	for i := range c.Chains {
		if err := c.Chains[i].fill(); err != nil {
			return fmt.Errorf("configuration: chain %q: %w", c.Chains[i].Chain, err)
		}
		if seen[c.Chains[i].Chain] {
			return fmt.Errorf("configuration: chain %q is there twice", c.Chains[i].Chain)
		}
		seen[c.Chains[i].Chain] = true
	}
	return nil
}

func (c *Chain) fill() error {
	if err := c.Chain.Check(); err != nil {
		return err
	}
	if c.RPC == "" {
		return errors.New("rpc is required: the URL of a node")
	}
	if c.Confirmations == 0 {
		if c.Confirmations = 12; c.Chain.Bitcoin() {
			c.Confirmations = 6
		}
	}
	if c.Poll == 0 {
		if c.Poll = 2 * time.Second; c.Chain.Bitcoin() {
			c.Poll = 5 * time.Second
		}
	}
	if c.BumpAfter == 0 {
		c.BumpAfter = 10 * time.Minute
	}
	if c.ScanFrom == 0 {
		c.ScanFrom = 1
	}
	if c.Poll < 0 || c.BumpAfter < 0 {
		return errors.New("durations must not be negative")
	}
	if c.Chain.Bitcoin() {
		if c.FeeRates == (FeeRates{}) {
			c.FeeRates = FeeRates{Low: 2_000, Medium: 10_000, High: 30_000}
		}
		if err := btcd.Fixed(c.FeeRates).Check(); err != nil {
			return err
		}
		if len(c.Tokens) > 0 || c.NoSimulation {
			return errors.New("tokens and noSimulation are of Ethereum's chains")
		}
		return nil
	}
	if c.FeeRates != (FeeRates{}) {
		return errors.New("feeRates are for Bitcoin's nodes")
	}
	if c.User != "" || c.PasswordFile != "" {
		return errors.New("user and passwordFile are for Bitcoin's nodes")
	}
	for _, t := range c.Tokens {
		if err := custody.AssetID(string(c.Chain) + "/erc20:" + t).Check(); err != nil {
			return err
		}
	}
	return nil
}

// password reads the password of a node.
func (c Chain) password() (string, error) {
	if c.PasswordFile == "" {
		return "", nil
	}
	b, err := os.ReadFile(c.PasswordFile)
	if err != nil {
		return "", fmt.Errorf("chain %s: %w", c.Chain, err)
	}
	return strings.TrimSuffix(string(b), "\n"), nil
}
