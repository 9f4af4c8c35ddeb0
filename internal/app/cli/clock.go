// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"strongroom/internal/app/serveapp"
	"strongroom/internal/secret"
)

// clockFlags say whose time the first entry of a new domain carries. While the core makes it, this program carries its messages to the sources,
// as serve does later.
type clockFlags struct {
	TimeSources string   `name:"time-sources" placeholder:"FILE" help:"Authenticated sources of time for the domain's first entry, with --relay-ntp and --relay-nts; default: the machine's clock."`
	RelayNTP    []string `name:"relay-ntp" sep:"none" placeholder:"NAME=HOST:PORT" help:"Where such a source is asked by NTP. May be given more than once."`
	RelayNTS    []string `name:"relay-nts" sep:"none" placeholder:"NAME=HOST:PORT" help:"Where such a source establishes keys for NTS, mostly port 4460. May be given more than once."`
}

// again gives the flags as one would type them.
func (f clockFlags) again() string {
	if f.TimeSources == "" {
		return ""
	}
	out := []string{"", "--time-sources", arg(f.TimeSources)}
	for _, n := range f.RelayNTP {
		out = append(out, "--relay-ntp", arg(n))
	}
	for _, n := range f.RelayNTS {
		out = append(out, "--relay-nts", arg(n))
	}
	return strings.Join(out, " ")
}

// relay reads the addresses.
func (f clockFlags) relay() (r serveapp.Relay, err error) {
	if f.TimeSources == "" && len(f.RelayNTP)+len(f.RelayNTS) > 0 {
		return r, usage("--relay-ntp and --relay-nts are for --time-sources")
	}
	if f.TimeSources != "" && len(f.RelayNTP)+len(f.RelayNTS) == 0 {
		return r, usage("--time-sources needs the addresses of the sources: --relay-ntp, --relay-nts")
	}
	return r, errors.Join(targets("--relay-ntp", "HOST:PORT", f.RelayNTP, &r.NTP), targets("--relay-nts", "HOST:PORT", f.RelayNTS, &r.NTS))
}

// create runs the core that makes a domain, and gives what it wrote.
func (f clockFlags) create(e *env, pass secret.Bytes, args []string) (out string, err error) {
	r, err := f.relay()
	if err != nil {
		return "", err
	}
	if f.TimeSources == "" {
		return e.runCore(pass, args...)
	}
	dir, err := os.MkdirTemp("", "strongroom-create-*") // a short path: a socket's may have 107 bytes
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	socket := filepath.Join(dir, "core.sock")
	ctx, cancel := context.WithCancel(e.ctx)
	carried := make(chan error, 1)
	go func() { carried <- r.Carry(ctx, socket, logFile(io.Discard)) }() // waited for below; the core says what it did not get
	out, err = e.runCore(pass, append(args, "--time-sources", f.TimeSources, "--socket", socket)...)
	cancel()
	return out, errors.Join(err, <-carried)
}
