// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"strongroom/internal/core/corebench"
)

// softHSMs are where distributions put the library of SoftHSM2.
var softHSMs = []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so", "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
	"/usr/lib64/pkcs11/libsofthsm2.so"}

// findSoftHSM gives the path of the library, or nothing.
func findSoftHSM() string {
	i := slices.IndexFunc(softHSMs, func(p string) bool { _, err := os.Stat(p); return err == nil })
	if _, err := exec.LookPath("softhsm2-util"); i < 0 || err != nil {
		return ""
	}
	return softHSMs[i]
}

// tokenCells are signatures by keys in a token of SoftHSM2, and by that library alone, on all cores. Without SoftHSM2 there are none. The function
// that it gives removes the keys.
func tokenCells(ctx context.Context, d time.Duration) ([]cell, func() error, error) {
	library := findSoftHSM()
	if library == "" {
		say("no rows of class token: SoftHSM2 is not installed")
		return nil, func() error { return nil }, nil
	}
	const label, pin = "bench", "1234"
	dir, err := os.MkdirTemp("", "strongroom-bench-")
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	if err := newToken(ctx, dir, label, pin); err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	tokens, err := corebench.NewTokens(dir, library, label, pin)
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	end := func() error { return errors.Join(tokens.Close(), remove()) }
	var out []cell
	for _, name := range corebench.TokenNames() {
		ops, err := tokens.Ops(name, runtime.NumCPU())
		if err != nil {
			return nil, nil, errors.Join(err, end())
		}
		var list []caller
		for _, op := range ops {
			list = append(list, func(context.Context, int) error { return op() })
		}
		out = append(out, cell{name, d, load{callers: list}})
	}
	return out, end, nil
}

// newToken makes a store of tokens in a folder, which SoftHSM2 uses from then on in this process, and a token in it.
func newToken(ctx context.Context, dir, label, pin string) error {
	tokens, conf := filepath.Join(dir, "tokens"), filepath.Join(dir, "softhsm2.conf")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(conf, []byte("directories.tokendir = "+tokens+"\nobjectstore.backend = file\nlog.level = ERROR\n"), 0o600); err != nil {
		return err
	}
	if err := os.Setenv("SOFTHSM2_CONF", conf); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "0987654321", "--pin", pin).CombinedOutput(); err != nil {
		return fmt.Errorf("softhsm2-util: %w: %s", err, out)
	}
	return nil
}
