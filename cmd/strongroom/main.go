// SPDX-License-Identifier: Apache-2.0

// Command strongroom is everything of Strongroom but the process that holds keys: what people and operators run, and serve. 'strongroom
// --help' lists it.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"strongroom/internal/app/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	code := cli.Main(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
