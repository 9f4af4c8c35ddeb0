// SPDX-License-Identifier: Apache-2.0

// Devnet runs an Ethereum and a Bitcoin test node on this machine, with a test
// token and a faucet, until it is told to stop.
//
//	devnet [run] [--out FILE] [--automine=BOOL] [--interval D] [--idle D] [--chain-id N] [--with-parent[=PID]]
//	devnet call fund --chain ethereum|bitcoin --address A --amount N [--asset native|token] [--pending]
//	devnet call mine --chain C --blocks N
//	devnet call reorg --chain C --depth N [--drop]
//	devnet call automine --chain C [--on=BOOL] [--interval D] [--idle D]
//	devnet call state
//
// When ready, run prints one line of JSON on stdout that says where everything
// is (package devnet, type Info) and writes the same line to --out. The calls
// find a running devnet by --control URL, by --info FILE (what --out wrote) or
// by the environment variable STRONGROOM_DEVNET (that file's name).
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "devnet: error:", err)
		os.Exit(1)
	}
}

// run is the program without the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "call" {
		return call(ctx, args[1:], stdout, stderr)
	}
	if len(args) > 0 && args[0] == "run" {
		args = args[1:]
	}
	return serve(ctx, args, stdout, stderr)
}
