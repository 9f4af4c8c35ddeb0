// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"strongroom/internal/app/serveapp"
	"strongroom/internal/app/verifyapp"
)

// serveFlags are those of every command that runs serve. What is given here comes before the configuration file.
type serveFlags struct {
	Listen    string   `placeholder:"HOST:PORT" help:"Where the REST API listens; default 127.0.0.1:7443."`
	Name      []string `placeholder:"NAME" help:"Name or address in serve's certificate; default localhost. May be given more than once."`
	Passwords bool     `help:"With --pages: people may sign in with a password and a code too, to read."`
	TLSKey    string   `name:"tls-key-from-module" placeholder:"FILE" help:"Keep the TLS key in the domain, as that of the caller local:serve of this service (its key file), which needs a grant; default: in memory."`
	Pages     string   `placeholder:"ORIGIN" help:"Pages for people with a browser: where it finds them, for instance https://localhost:7443. Passkeys are good for this address only."`
	Node      []string `placeholder:"CHAIN=URL" sep:"none" help:"Node of a chain, for instance bitcoin-regtest=http://127.0.0.1:18334,user=u,password-file=F,confirmations=1. After the URL: user, password-file, ca-file, confirmations, poll, bump-after, scan-from, token, no-simulation. May be given more than once."`
	Metrics   string   `name:"metrics-listen" placeholder:"HOST:PORT" help:"Where /metrics is, on loopback and in plaintext; default: nowhere."`
	// Relay flags come besides those of the configuration file.
	RelayWitness []string `name:"relay-witness" sep:"none" placeholder:"NAME=URL" help:"Where a log witness of the domain is reached, for instance w1=https://witness.example:7444. May be given more than once."`
	RelayNTP     []string `name:"relay-ntp" sep:"none" placeholder:"NAME=HOST:PORT" help:"Where a time server of the core is asked by NTP. May be given more than once."`
	RelayNTS     []string `name:"relay-nts" sep:"none" placeholder:"NAME=HOST:PORT" help:"Where a time server of the core establishes keys for NTS, mostly port 4460. May be given more than once."`
	RelayCA      string   `name:"relay-ca-file" placeholder:"FILE" help:"Certificates that sign those of the log witnesses; default: the system's."`
}

// apply puts flags into a configuration.
func (f serveFlags) apply(c *serveapp.Config) error {
	if f.Listen != "" {
		c.Listen = f.Listen
	}
	if len(f.Name) > 0 {
		c.Names = f.Name
	}
	for _, r := range []struct {
		flag, want string
		given      []string
		to         *map[string]string
	}{
		{"--relay-witness", "URL", f.RelayWitness, &c.Relay.Witnesses},
		{"--relay-ntp", "HOST:PORT", f.RelayNTP, &c.Relay.NTP},
		{"--relay-nts", "HOST:PORT", f.RelayNTS, &c.Relay.NTS},
	} {
		if err := targets(r.flag, r.want, r.given, r.to); err != nil {
			return err
		}
	}
	if f.RelayCA != "" {
		c.Relay.CAFile = f.RelayCA
	}
	if f.TLSKey != "" {
		c.TLSKey = f.TLSKey
	}
	if f.Metrics != "" {
		c.MetricsListen = f.Metrics
	}
	if f.Pages != "" {
		c.Pages = &serveapp.Pages{Origin: f.Pages}
	}
	if f.Passwords {
		if c.Pages == nil {
			return usage("--passwords is for the pages: give --pages too")
		}
		c.Pages.Passwords = true
	}
	for _, s := range f.Node {
		n, err := nodeOf(s)
		if err != nil {
			return err
		}
		c.Chains = append(c.Chains, n)
	}
	return nil
}

// targets adds flags NAME=WHERE to a map.
func targets(flag, want string, given []string, to *map[string]string) error {
	for _, s := range given {
		name, where, ok := strings.Cut(s, "=")
		if !ok {
			return usage("%s %s: want NAME=%s", flag, s, want)
		}
		if *to == nil {
			*to = map[string]string{}
		}
		(*to)[name] = where
	}
	return nil
}

// nodeOf reads a --node flag.
func nodeOf(s string) (n serveapp.Chain, err error) {
	parts := strings.Split(s, ",")
	name, url, ok := strings.Cut(parts[0], "=")
	if !ok {
		return n, usage("--node %s: want CHAIN=URL", s)
	}
	if n.Chain, err = chainOf(name); err != nil {
		return n, err
	}
	n.RPC = url
	for _, p := range parts[1:] {
		k, v, _ := strings.Cut(p, "=")
		switch k {
		case "user":
			n.User = v
		case "password-file":
			n.PasswordFile = v
		case "ca-file":
			n.CAFile = v
		case "token":
			n.Tokens = append(n.Tokens, v)
		case "no-simulation":
			if n.NoSimulation = true; v != "" {
				err = fmt.Errorf("%q is not known", p)
			}
		case "confirmations":
			n.Confirmations, err = strconv.ParseUint(v, 10, 32)
		case "scan-from":
			n.ScanFrom, err = strconv.ParseUint(v, 10, 32)
		case "poll":
			n.Poll, err = time.ParseDuration(v)
		case "bump-after":
			n.BumpAfter, err = time.ParseDuration(v)
		default:
			err = fmt.Errorf("%q is not known", k)
		}
		if err != nil {
			return n, usage("--node %s: %s: %w", s, k, err)
		}
	}
	return n, nil
}

type serveCmd struct {
	File string `name:"config-file" short:"c" placeholder:"FILE" help:"Configuration (YAML); examples/serve.yaml is one."`
	Door string `placeholder:"PATH" help:"Socket of the core."`
	Data string `placeholder:"DIR" help:"Folder of serve: certificate authority and cache."`
	// Tiles are written by the core.
	Tiles string `placeholder:"DIR" help:"Folder of the log's tiles."`
	serveFlags
}

// Run serves until it is told to stop.
func (c *serveCmd) Run(e *env) error {
	var conf serveapp.Config
	if c.File != "" {
		var err error
		if conf, err = serveapp.Read(c.File); err != nil {
			return usage("%w", err)
		}
	}
	for to, from := range map[*string]string{&conf.Door: c.Door, &conf.Data: c.Data, &conf.Tiles: c.Tiles} {
		if from != "" {
			*to = from
		}
	}
	if err := c.apply(&conf); err != nil {
		return err
	}
	if err := conf.Fill(); err != nil {
		return hint(usage("%w", err), "give them with --config-file, or with flags: 'strongroom serve --help'")
	}
	return e.serve(conf, slog.New(slog.NewJSONHandler(e.Err, nil)), nil)
}

// serve runs serve, and says on standard output when it is ready.
func (e *env) serve(conf serveapp.Config, log *slog.Logger, ready func(url string)) error {
	var service serveapp.Service
	if conf.TLSKey != "" {
		key, err := e.open(conf.TLSKey)
		if err != nil {
			return err
		}
		service = key
	}
	return serveapp.Run(e.ctx, conf, serveapp.Options{Log: log, Now: time.Now, Version: verifyapp.Version(), Service: service, Ready: func(address string) {
		url := "https://" + address
		fmt.Fprintf(e.Out, "ready %s\n", url)
		if ready != nil {
			ready(url)
		}
	}})
}

// logFile gives a log that writes JSON lines.
func logFile(w io.Writer) *slog.Logger { return slog.New(slog.NewJSONHandler(w, nil)) }

// doorOf gives the socket and tiles of a domain's data folder, as strongroom-core chooses them.
func doorOf(data string) (door, tiles string) {
	return filepath.Join(data, "door", "core.sock"), filepath.Join(data, "tiles")
}
