// SPDX-License-Identifier: Apache-2.0

package nodestest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// stopLimit is how long devnet may take to stop before it is killed.
const stopLimit = 10 * time.Second

// launch builds devnet, starts it and returns what it says about itself. stop
// ends it and waits; otherwise it ends when this process does.
func launch() (env *Env, stop func(), err error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, nil, fmt.Errorf("set HOME or XDG_CACHE_HOME: %w", err)
	}
	source := filepath.Join(root, "test", "nodes")
	if err := dependOn(source); err != nil {
		return nil, nil, err
	}
	binary, err := build(source, filepath.Join(cache, "strongroom", "nodes"))
	if err != nil {
		return nil, nil, err
	}
	// Its words go to a file and not to our stderr: go test waits for everybody who holds that.
	words, err := os.CreateTemp("", "strongroom-devnet-*.log")
	if err != nil {
		return nil, nil, err
	}
	defer words.Close()
	if err := os.Remove(words.Name()); err != nil { // we keep it open
		return nil, nil, err
	}
	cmd := exec.Command(binary, "run", "--automine=false", fmt.Sprintf("--with-parent=%d", os.Getpid()))
	cmd.Stderr = words
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", binary, err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		_ = cmd.Process.Kill() // it has ended or is about to
		err = errors.Join(err, cmd.Wait())
		said := make([]byte, 4096)
		n, _ := words.ReadAt(said, 0) // short at the file's end
		return nil, nil, fmt.Errorf("devnet gave no description: %w: %s", err, said[:n])
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // may be gone already
		kill := time.AfterFunc(stopLimit, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait() // its end is all that matters
	}
	if env, err = describe(line); err != nil {
		stop()
		return nil, nil, err
	}
	return env, stop, nil
}

// describe decodes devnet's description of itself.
func describe(line []byte) (*Env, error) {
	var d struct {
		Ethereum struct {
			RPC         string `json:"rpc"`
			ChainID     uint64 `json:"chainId"`
			Token       string `json:"token"`
			TokenSymbol string `json:"tokenSymbol"`
			Decimals    int    `json:"decimals"`
		} `json:"ethereum"`
		Bitcoin struct {
			RPC     string `json:"rpc"`
			User    string `json:"user"`
			Pass    string `json:"pass"`
			Network string `json:"network"`
		} `json:"bitcoin"`
		Control string `json:"control"`
	}
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields() // both sides live in one repository and change together
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("decode devnet's description: %w", err)
	}
	if d.Bitcoin.Network != "regtest" {
		return nil, fmt.Errorf("devnet runs bitcoin on %q, not on regtest", d.Bitcoin.Network)
	}
	return &Env{
		EthRPC: d.Ethereum.RPC, ChainID: d.Ethereum.ChainID,
		Token: d.Ethereum.Token, TokenSymbol: d.Ethereum.TokenSymbol, TokenDecimals: d.Ethereum.Decimals,
		BtcRPC: d.Bitcoin.RPC, BtcUser: d.Bitcoin.User, BtcPass: d.Bitcoin.Pass,
		control: d.Control,
	}, nil
}

// moduleRoot returns the folder of the product's go.mod: the one above the
// folder in which go test runs a package's tests.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for folder := start; ; folder = filepath.Dir(folder) {
		content, err := os.ReadFile(filepath.Join(folder, "go.mod"))
		if err == nil && strings.HasPrefix(string(content), "module strongroom\n") {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("%s is not inside the module strongroom: start the nodes before changing the folder", start)
		}
	}
}

// dependOn looks at every file below a folder. The go command notes which
// files a test looks at, and does not answer from its test cache when one has
// changed; what the build below reads in a process of its own it cannot see.
func dependOn(source string) error {
	return filepath.WalkDir(source, func(path string, _ fs.DirEntry, err error) error {
		if err == nil {
			_, err = os.Stat(path)
		}
		if err != nil {
			return fmt.Errorf("look for the sources of devnet: %w", err)
		}
		return nil
	})
}

// build builds devnet from the nested module at source into a cache folder,
// one file for each checkout. The go command does nothing when it is up to
// date; other test binaries wait.
func build(source, cache string) (string, error) {
	sum := sha256.Sum256([]byte(source))
	folder := filepath.Join(cache, "devnet-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", err
	}
	lock, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", err
	}
	defer lock.Close() // unlocks
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return "", fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	binary := filepath.Join(folder, "devnet")
	cmd := exec.Command("go", "build", "-C", source, "-mod=readonly", "-buildvcs=false", "-o", binary, "./cmd/devnet")
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off") // not the test run's own flags
	var words bytes.Buffer
	cmd.Stderr = &words
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("build devnet in %s: %w: %s", source, err, strings.TrimSpace(words.String()))
	}
	return binary, nil
}
