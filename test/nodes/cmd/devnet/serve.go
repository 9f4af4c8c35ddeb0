// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"strongroom/test/nodes/automine"
	"strongroom/test/nodes/devnet"
	"strongroom/test/nodes/ethnode"
)

// Defaults of automatic mining.
const (
	defaultInterval = 500 * time.Millisecond
	defaultIdle     = 5 * time.Second
)

// serve runs a devnet until ctx ends or the parent is gone.
func serve(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("devnet run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", "", "`file` to write the description to, removed at the end")
	on := flags.Bool("automine", true, "make blocks automatically on both chains")
	interval := flags.Duration("interval", defaultInterval, "time between blocks while transactions wait")
	idle := flags.Duration("idle", defaultIdle, "time between empty blocks; 0 for none")
	chainID := flags.Uint64("chain-id", ethnode.DefaultChainID, "chain id of the ethereum chain")
	var parent parentFlag
	flags.Var(&parent, "with-parent", "stop when the parent process ends; give its `id` to be told apart from one that ended before")
	if err := parse(flags, args); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if parent != 0 {
		if err := parent.check(); err != nil {
			return err
		}
		go watch(parent, cancel, ctx.Done()) // ends with ctx; nobody waits, for it touches nothing
	}

	fmt.Fprintln(stderr, "devnet: starting the nodes (the first time on a machine, btcd is built; that takes a minute)")
	net, err := devnet.Start(ctx, devnet.Config{
		ChainID:  *chainID,
		Automine: automine.Plan{On: *on, Interval: *interval, Idle: *idle},
	})
	if ctx.Err() != nil { // killing a half-done start shows as all kinds of errors
		err = errors.Join(context.Cause(ctx), err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, net.Close()) }()
	if *out != "" {
		if err := net.Info().Write(*out); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.Remove(*out)) }()
	}
	if err := json.NewEncoder(stdout).Encode(net.Info()); err != nil {
		return fmt.Errorf("print the description: %w", err)
	}
	<-ctx.Done()
	fmt.Fprintln(stderr, "devnet: stopping:", context.Cause(ctx))
	return nil
}

// parse refuses words that belong to no flag.
func parse(flags *flag.FlagSet, args []string) error {
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("%q is not understood here", flags.Arg(0))
	}
	return nil
}

// parentFlag is the process id after --with-parent: the parent's when none is given.
type parentFlag int

// IsBoolFlag allows the flag without a value.
func (*parentFlag) IsBoolFlag() bool { return true }

// String is empty for the flag's zero value.
func (p *parentFlag) String() string {
	if p == nil || *p == 0 {
		return ""
	}
	return strconv.Itoa(int(*p))
}

// Set takes a process id, or "true" for the present parent's.
func (p *parentFlag) Set(s string) error {
	if s == "true" {
		*p = parentFlag(os.Getppid())
		return nil
	}
	id, err := strconv.Atoi(s)
	if err != nil || id < 1 {
		return fmt.Errorf("%q is not a process id", s)
	}
	*p = parentFlag(id)
	return nil
}

// check says whether the parent is gone.
func (p parentFlag) check() error {
	if os.Getppid() != int(p) {
		return fmt.Errorf("the parent process %d is gone", p)
	}
	return nil
}

// watch ends the program when its parent is gone. It asks now and then: the
// kernel's own signal is tied to a thread of the parent, not to the process.
func watch(parent parentFlag, cancel context.CancelCauseFunc, done <-chan struct{}) {
	for {
		if err := parent.check(); err != nil {
			cancel(err)
			return
		}
		select {
		case <-done:
			return
		case <-time.After(200 * time.Millisecond):
		}
	}
}
