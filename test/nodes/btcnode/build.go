// SPDX-License-Identifier: Apache-2.0

package btcnode

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"strongroom/test/nodes"
)

// program is the package of the node, pinned by this module's tool directive.
const program = "github.com/btcsuite/btcd"

// Build returns the path of a btcd binary of the pinned version, which it
// builds with the go command the first time (some thirty seconds of CPU) and
// keeps in the user's cache folder, by version of btcd and of Go. Processes
// that need it at the same time wait for one build.
func Build(ctx context.Context) (string, error) {
	version := regexp.MustCompile(regexp.QuoteMeta(program) + ` (v[^\s]+)`).FindSubmatch(nodes.GoMod)
	if version == nil {
		return "", fmt.Errorf("build btcd: go.mod does not name the version of %s", program)
	}
	goVersion, err := goCommand(ctx, "", "env", "GOVERSION")
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("build btcd: set HOME or XDG_CACHE_HOME: %w", err)
	}
	key := sha256.New()
	for _, part := range [][]byte{nodes.GoMod, nodes.GoSum, []byte(goVersion), []byte(runtime.GOARCH)} {
		sum := sha256.Sum256(part)
		key.Write(sum[:])
	}
	folder := filepath.Join(cache, "strongroom", "nodes",
		fmt.Sprintf("btcd-%s-%s-%s", version[1], goVersion, hex.EncodeToString(key.Sum(nil)[:6])))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("build btcd: %w", err)
	}
	unlock, err := lock(filepath.Join(folder, "lock"), 0)
	if err != nil {
		return "", fmt.Errorf("build btcd: %w", err)
	}
	defer unlock()
	binary := filepath.Join(folder, "btcd")
	if info, err := os.Stat(binary); err == nil && info.Mode().IsRegular() {
		return binary, nil
	}
	return binary, compile(ctx, folder, binary)
}

// compile builds btcd from the embedded module files in a folder of its own
// and moves it into place when it is whole.
func compile(ctx context.Context, folder, binary string) error {
	work, err := os.MkdirTemp(folder, "build-")
	if err != nil {
		return fmt.Errorf("build btcd: %w", err)
	}
	defer os.RemoveAll(work)
	for name, content := range map[string][]byte{"go.mod": nodes.GoMod, "go.sum": nodes.GoSum} {
		if err := os.WriteFile(filepath.Join(work, name), content, 0o600); err != nil {
			return fmt.Errorf("build btcd: %w", err)
		}
	}
	made := filepath.Join(work, "btcd")
	if _, err := goCommand(ctx, work, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o", made, program); err != nil {
		return err
	}
	if err := os.Rename(made, binary); err != nil {
		return fmt.Errorf("build btcd: %w", err)
	}
	return nil
}

// goCommand runs the go command and returns what it printed.
func goCommand(ctx context.Context, folder string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0", "PWD="+folder)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go %s: %w: %s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimSpace(stdout.String()), nil
}
