// SPDX-License-Identifier: Apache-2.0

package serveapp

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"strongroom/internal/app/modulekey"
	"strongroom/internal/app/together"
	"strongroom/internal/app/words"
	"strongroom/internal/edge/btcd"
	"strongroom/internal/edge/pages"
	"strongroom/internal/edge/passwords"
	"strongroom/internal/edge/rest"
	"strongroom/internal/edge/sqlite"
	"strongroom/internal/edge/tlsca"
	"strongroom/internal/gate"
	"strongroom/internal/gate/gateway"
	"strongroom/internal/gate/tally"
	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/custody"
	"strongroom/internal/pure/problem"
	"strongroom/internal/pure/request"
	"strongroom/internal/pure/simulation"
	"strongroom/internal/svc/chain"
	"strongroom/internal/svc/feed"
	"strongroom/internal/svc/monitor"
	"strongroom/internal/svc/simulate"
	"strongroom/internal/svc/transfer"
	"strongroom/internal/svc/wallet"
)

// cacheName is the cache of the log. It can be deleted: serve makes it anew from the log.
const cacheName = "cache.db"

// gcPercent is how much serve's heap grows between two collections, unless the environment's GOGC says otherwise. What lives is small and
// what is thrown away is large: at Go's 100 a tenth of serve's time under load goes into collecting what 20 MiB more have room for.
const gcPercent = 400

// workerTick is how often transfers are looked at, besides when the log has grown.
const workerTick = time.Second

// Options are what is not configured. All but Ready and Service are required.
type Options struct {
	Log     *slog.Logger
	Now     func() time.Time
	Version string
	Ready   func(address string) // called with host:port once serve listens
	Service Service              // key of the service that [Config.TLSKey] names; nil without one
}

// Service is the key of a service. Its methods are safe for concurrent use.
type Service interface {
	Person() custody.PersonID
	Public() request.PublicKey
	// Sign gives 64 bytes: RFC 8032 for Ed25519, r and s over SHA-256 for P-256.
	Sign(message []byte) ([]byte, error)
}

// Names of serve's TLS key in the domain.
const (
	tlsCaller  = "local:serve"
	tlsKeyName = "tls-key.json"
)

// sessionLife is how long a session lasts under which the TLS key is used; then another is opened.
const sessionLife = 12 * time.Hour

// tlsKey gives where serve's TLS key is; nil: in memory.
func tlsKey(cfg Config, o Options, core gate.Door) (func() (crypto.Signer, error), error) {
	if cfg.TLSKey == "" {
		return nil, nil
	}
	if o.Service == nil {
		return nil, errors.New("serve: the key of the service that the TLS key belongs to is required")
	}
	g, err := gateway.New(gateway.Config{Door: core, Service: o.Service.Person(), Key: o.Service.Public().Ref(), Sign: o.Service.Sign, Now: o.Now, Life: sessionLife})
	if err != nil {
		return nil, err
	}
	return modulekey.New(modulekey.Door{Gateway: g, Caller: tlsCaller}, filepath.Join(cfg.Data, tlsKeyName)).Key, nil
}

// Run serves until ctx ends or a part fails for good. cfg must be filled ([Config.Fill]).
func Run(ctx context.Context, cfg Config, o Options) error {
	if o.Log == nil || o.Now == nil || o.Version == "" {
		return errors.New("serve: log, clock and version are required")
	}
	if _, told := os.LookupEnv("GOGC"); !told {
		defer debug.SetGCPercent(debug.SetGCPercent(gcPercent))
	}
	lines := tally.New(monitor.LineOf)
	o.Log = lines.Logger(o.Log)
	if err := privateFolder(cfg.Data); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	core := gate.NewRedialer(cfg.Door)
	defer func() { _ = core.Close() }() // its calls have ended
	key, err := tlsKey(cfg, o, core)
	if err != nil {
		return err
	}
	ca, err := tlsca.Open(tlsca.Config{Dir: cfg.Data, Names: cfg.Names, Now: o.Now, Key: key})
	if err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, filepath.Join(cfg.Data, cacheName))
	if err != nil {
		return err
	}
	p := &parts{core: core, db: db, ca: ca, log: o.Log, nodes: &nodes{core: core}}
	if p.meter, err = p.newMeter(cfg, o, lines); err == nil {
		err = p.run(ctx, cfg, o)
	}
	p.nodes.close()
	return errors.Join(err, db.Close())
}

// privateFolder makes the data folder, or refuses one that others may look into: in it lie the cache, in clear, and the key of the
// certificate authority.
func privateFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	i, err := os.Stat(path)
	if err != nil {
		return err
	}
	if mode := i.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("data folder %s is open to others (mode %04o): run 'chmod 700 %s'", path, mode, path)
	}
	return nil
}

// parts is what serve is made of.
type parts struct {
	core  *gate.Redialer
	db    *sqlite.DB
	ca    *tlsca.Authority
	log   *slog.Logger
	nodes *nodes
	meter *meter // nil: no metrics are shown
}

// problem counts a call that was answered with a problem.
func (p *parts) problem(k problem.Kind) {
	if p.meter != nil {
		p.meter.problem(k)
	}
}

func (p *parts) run(ctx context.Context, cfg Config, o Options) error {
	ways := map[custody.ChainID]transfer.Chain{}
	for _, c := range cfg.Chains {
		n, err := dial(c)
		if err != nil {
			return err
		}
		p.nodes.list = append(p.nodes.list, n)
		if ways[c.Chain], err = p.way(n); err != nil {
			return err
		}
	}
	worker, err := transfer.New(transfer.Config{Core: p.core, Store: p.db.Transfers(), Chains: ways, Now: o.Now, Log: o.Log})
	if err != nil {
		return err
	}
	follower, err := feed.New(feed.Config{Core: p.core, Cache: p.db.Log(), Log: o.Log, OnFold: worker.Poke})
	if err != nil {
		return err
	}
	tiles, err := os.OpenRoot(cfg.Tiles) // links out of the folder are not followed
	if err != nil {
		return fmt.Errorf("folder of the log's tiles, which the core makes: %w", err)
	}
	defer func() { _ = tiles.Close() }()
	logins, err := logins(cfg, o)
	if err != nil {
		return err
	}
	people, err := p.pages(cfg, o, logins)
	if err != nil {
		return err
	}
	conf := rest.Config{Pages: people, Hosts: cfg.Names, Core: p.core, Index: p.db.Log(), Transfers: worker, Chains: p.nodes, Issuer: p.ca, Tiles: tiles.FS(),
		TLS: p.ca.ServerTLS(), Log: o.Log, Now: o.Now, Version: o.Version, OnProblem: p.problem}
	if logins != nil {
		conf.Logins = logins
	}
	if conf.Simulations, err = simulate.New(simulate.Config{Core: p.core, Nodes: p.nodes.simulating, Patience: simulationPatience}); err != nil {
		return err
	}
	api, err := rest.New(conf)
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	work := []func(context.Context) error{follower.Run, func(ctx context.Context) error { return worker.Run(ctx, workerTick) }}
	carry, err := cfg.Relay.Open(p.core, o.Log)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if carry != nil {
		work = append(work, carry.Run)
	}
	for _, n := range p.nodes.list {
		if n.scanner != nil {
			work = append(work, n.scan(p.core, o.Log))
		}
	}
	if p.meter != nil {
		more, err := p.meter.works(ctx)
		if err != nil {
			return errors.Join(err, l.Close())
		}
		work = append(work, more...)
	}
	work = append(work, func(ctx context.Context) error { return api.Serve(ctx, l) })
	o.Log.InfoContext(ctx, "serve is open", slog.String("address", l.Addr().String()), slog.String("door", cfg.Door), slog.Int("chains", len(cfg.Chains)))
	if o.Ready != nil {
		o.Ready(public(l.Addr(), cfg))
	}
	return together.Run(ctx, work)
}

// logins opens the logins by password; nil if they are not configured.
func logins(cfg Config, o Options) (*passwords.Store, error) {
	if cfg.Pages == nil || !cfg.Pages.Passwords {
		return nil, nil
	}
	return passwords.Open(passwords.Config{Dir: cfg.Data, Now: o.Now})
}

// pages makes what people see in a browser; nil if it is not configured.
func (p *parts) pages(cfg Config, o Options, by *passwords.Store) (rest.Pages, error) {
	if cfg.Pages == nil {
		return nil, nil
	}
	conf := pages.Config{Core: p.core, Relying: cfg.Pages.relying(), Words: inWords{}, Status: rest.Status, Log: o.Log, Now: o.Now, OnProblem: p.problem}
	if by != nil {
		conf.Passwords = by
	}
	if cfg.Pages.OIDC != nil {
		p, err := cfg.Pages.provider(o.Now)
		if err != nil {
			return nil, err
		}
		conf.Elsewhere = p
	}
	return pages.New(conf)
}

// inWords is package words, as the pages want it.
type inWords struct{}

// Body says what a request asks for.
func (inWords) Body(b request.Body, source string) []string { return words.Body(b, source) }

// Signing says what a contract call does or a message says.
func (inWords) Signing(e request.Effects) []string { return words.Signing(e) }

// Simulated says what the report of a simulation says.
func (inWords) Simulated(r *simulation.Report) []string { return words.Simulated(r) }

// Groups writes bytes in groups.
func (inWords) Groups(b []byte) string { return words.Groups(b) }

// public gives the address that callers use: the first name of the certificate, and the port that is listened on.
func public(a net.Addr, cfg Config) string {
	_, port, err := net.SplitHostPort(a.String())
	if err != nil {
		return a.String()
	}
	return net.JoinHostPort(cfg.Names[0], port)
}

// way says how transfers of a node's chain are carried out.
func (p *parts) way(n *node) (transfer.Chain, error) {
	c := transfer.Chain{Confirmations: n.cfg.Confirmations, Poll: n.cfg.Poll, BumpAfter: n.cfg.BumpAfter}
	if n.eth != nil {
		c.Node, c.Nonces, c.Builder = n.eth, n.eth, transfer.Ethereum{Node: n.eth, Level: chain.Medium}
		return c, nil
	}
	n.coins = p.db.Reservations()
	var err error
	n.scanner, err = wallet.New(wallet.Config{Chain: n.cfg.Chain, Source: n.btc, Store: p.db.Coins(), Start: n.cfg.ScanFrom, Gap: wallet.DefaultGap, Derive: authority.Derive})
	if err != nil {
		return c, err
	}
	fees, err := btcd.NewEstimate(n.btc, btcd.Fixed(n.cfg.FeeRates))
	if err != nil {
		return c, err
	}
	c.Node = n.btc
	c.Builder = transfer.Bitcoin{Core: p.core, Coins: n.scanner, Attempts: n.coins, Fees: fees, Rules: n.rules, Level: chain.Medium, Derive: authority.Derive}
	return c, nil
}
