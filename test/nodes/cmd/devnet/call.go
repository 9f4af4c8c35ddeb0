// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"strongroom/test/nodes/devnet"
)

// environment names the variable with the path of a running devnet's description.
const environment = "STRONGROOM_DEVNET"

// callLimit bounds a call: one that hangs is of no use to a script.
const callLimit = 2 * time.Minute

// call sends one request to a running devnet and prints its answer.
func call(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errors.New("say what to call: fund, mine, reorg, automine or state")
	}
	name := args[0]
	flags := flag.NewFlagSet("devnet call "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	control := flags.String("control", "", "`URL` of the control interface")
	info := flags.String("info", os.Getenv(environment), "`file` that the devnet's --out wrote")
	wait := flags.Duration("wait", 0, "how long to wait for that file")
	body, err := bodyFlags(flags, name)
	if err != nil {
		return err
	}
	if err := parse(flags, args[1:]); err != nil {
		return err
	}
	if *control == "" {
		if *info == "" {
			return errors.New("say which devnet: --control URL, --info FILE or " + environment)
		}
		found, err := devnet.ReadInfo(ctx, *info, *wait)
		if err != nil {
			return err
		}
		*control = found.Control
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	answer, err := devnet.Call(ctx, *control, name, body())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s\n", answer)
	return err
}

// bodyFlags adds a call's own flags and returns what makes its body of them.
func bodyFlags(flags *flag.FlagSet, name string) (body func() any, err error) {
	if name == "state" {
		return func() any { return nil }, nil
	}
	chain := flags.String("chain", "", "ethereum or bitcoin")
	switch name {
	case "fund":
		r := devnet.FundRequest{}
		flags.StringVar(&r.Address, "address", "", "who gets the money")
		flags.StringVar(&r.Amount, "amount", "", "how much, in base units (wei, satoshi, the token's)")
		flags.StringVar(&r.Asset, "asset", "native", "native or token")
		flags.BoolVar(&r.Pending, "pending", false, "mine no block for it")
		return func() any { r.Chain = *chain; return r }, nil
	case "mine":
		r := devnet.MineRequest{}
		flags.IntVar(&r.Blocks, "blocks", 1, "how many")
		return func() any { r.Chain = *chain; return r }, nil
	case "reorg":
		r := devnet.ReorgRequest{}
		flags.IntVar(&r.Depth, "depth", 1, "how many blocks to replace")
		flags.BoolVar(&r.Drop, "drop", false, "forget the transactions of the replaced blocks")
		return func() any { r.Chain = *chain; return r }, nil
	case "automine":
		r := devnet.AutomineRequest{}
		flags.BoolVar(&r.On, "on", true, "make blocks automatically")
		interval := flags.Duration("interval", 0, "time between blocks while transactions wait; 0 as before")
		idle := flags.Duration("idle", 0, "time between empty blocks; 0 as before, negative for none")
		return func() any {
			r.Chain, r.IntervalMs, r.IdleMs = *chain, interval.Milliseconds(), idle.Milliseconds()
			if *idle < 0 {
				r.IdleMs = -1
			}
			return r
		}, nil
	}
	return nil, fmt.Errorf("no call %q: there are fund, mine, reorg, automine and state", name)
}
