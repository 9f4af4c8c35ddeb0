// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"strongroom/internal/app/serveapp"
	"strongroom/internal/gate"
	"strongroom/internal/secret"
)

// carryFlags say where log witnesses and time servers are, for a core that opens no connection itself while no serve runs.
type carryFlags struct {
	RelayWitness []string `name:"relay-witness" sep:"none" placeholder:"NAME=URL" help:"Where a log witness of the domain is reached, for instance w1=https://witness.example:7444. May be given more than once."`
	RelayNTP     []string `name:"relay-ntp" sep:"none" placeholder:"NAME=HOST:PORT" help:"Where a time server of the core is asked by NTP. May be given more than once."`
	RelayNTS     []string `name:"relay-nts" sep:"none" placeholder:"NAME=HOST:PORT" help:"Where a time server of the core establishes keys for NTS, mostly port 4460. May be given more than once."`
	RelayCA      string   `name:"relay-ca-file" placeholder:"FILE" help:"Certificates that sign those of the log witnesses; default: the system's."`
}

// relay gives them as serve's configuration has them.
func (f carryFlags) relay() (serveapp.Relay, error) {
	var c serveapp.Config
	err := serveFlags{RelayWitness: f.RelayWitness, RelayNTP: f.RelayNTP, RelayNTS: f.RelayNTS, RelayCA: f.RelayCA}.apply(&c)
	return c.Relay, err
}

// runCoreCarrying is runCore for a command that asks others: its messages are taken at a door of its own and carried. Where no target is named it gets no
// door.
func (e *env) runCoreCarrying(pass secret.Bytes, relay serveapp.Relay, args []string) (string, error) {
	if relay.Empty() {
		return e.runCore(pass, args...)
	}
	folder, err := os.MkdirTemp("", "strongroom-door-*") // a short path: a socket's may have 107 bytes
	if err != nil {
		return "", err
	}
	out, err := e.carrying(pass, relay, filepath.Join(folder, "core.sock"), args)
	return out, errors.Join(err, os.RemoveAll(folder))
}

func (e *env) carrying(pass secret.Bytes, relay serveapp.Relay, socket string, args []string) (string, error) {
	ctx, cancel := context.WithCancel(e.ctx)
	defer cancel()
	cmd, pipe, err := coreCommand(ctx, pass, append(args, "--socket", socket, "--ready-fd", "4")...)
	if err != nil {
		return "", err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return "", errors.Join(err, pipe.Close())
	}
	defer r.Close()
	if len(cmd.ExtraFiles) == 0 {
		cmd.ExtraFiles = []*os.File{pipe}
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	var out, words bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &words
	err = cmd.Start()
	if err = errors.Join(err, pipe.Close(), w.Close()); err != nil {
		return "", err
	}
	var carrier sync.WaitGroup
	if _, ready := bufio.NewReader(r).ReadString('\n'); ready == nil {
		carrier.Go(func() { _ = carry(ctx, relay, socket) }) // what it can't carry the core tells
	}
	err = cmd.Wait()
	cancel()
	carrier.Wait()
	if err != nil {
		return "", fmt.Errorf("%s %s: %s", coreProgram, args[0], cmp.Or(lastError(words.String()), err.Error()))
	}
	_, _ = io.Copy(e.Err, &words)
	return strings.TrimSpace(out.String()), nil
}

// carry carries messages until ctx ends.
func carry(ctx context.Context, relay serveapp.Relay, socket string) error {
	door, err := gate.Dial(ctx, socket)
	if err != nil {
		return err
	}
	defer func() { _ = door.Close() }() // the core has ended by then
	r, err := relay.Open(door, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	return r.Run(ctx)
}
