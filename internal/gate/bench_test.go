// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// serverEnv names the socket on which this test binary serves instead of testing: the benchmark's other process.
const serverEnv = "STRONGROOM_GATE_BENCH_SOCKET"

func TestMain(m *testing.M) {
	path := os.Getenv(serverEnv)
	if path == "" {
		os.Exit(m.Run())
	}
	srv, err := NewServer(Config{Handle: benchHandler(), AllowedUIDs: []uint32{uint32(os.Geteuid())}, Log: discard, OnPanic: func(Incident) {}})
	if err != nil {
		panic(err)
	}
	ln, err := Listen(path)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() { // until standard input closes: the parent is gone or done
		_, _ = os.Stdin.Read(make([]byte, 1))
		cancel()
	}()
	if err := srv.Serve(ctx, ln); err != nil {
		panic(err)
	}
}

// benchHandler answers "empty" with nothing, "ping" by mux, "commit" after a group commit of 1 ms, "cpu" with the time used so far.
func benchHandler() Handler {
	m := pingMux()
	var mu sync.Mutex // guards batch
	batch := make(chan struct{})
	go func() { // as long as the process
		for range time.Tick(time.Millisecond) {
			mu.Lock()
			close(batch)
			batch = make(chan struct{})
			mu.Unlock()
		}
	}()
	return func(ctx context.Context, by Caller, method string, body []byte) ([]byte, error) {
		switch method {
		case "empty":
			return nil, nil
		case "commit":
			mu.Lock()
			b := batch
			mu.Unlock()
			<-b
			return nil, nil
		case "cpu":
			return binary.BigEndian.AppendUint64(nil, uint64(cpu())), nil
		}
		return m.Dispatch(ctx, by, method, body)
	}
}

// cpu gives the time that this process has used, user and system.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCall makes calls to a server in another process. Its figures: calls/s, and CPU time a call at the client and at the server.
func BenchmarkCall(b *testing.B) {
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	path := filepath.Join(folder(b), "s")
	child := exec.Command(self, "-test.run=^$")
	child.Env = append(os.Environ(), serverEnv+"="+path)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := child.Wait(); err != nil {
			b.Error(err)
		}
	}()
	var c *Client
	for range 1000 {
		if c, err = Dial(b.Context(), path); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	serverCPU := func() time.Duration {
		got, err := c.Call(b.Context(), "cpu", nil)
		if err != nil {
			b.Fatal(err)
		}
		return time.Duration(binary.BigEndian.Uint64(got))
	}
	ping := func(ctx context.Context) error {
		_, err := Call[pingRequest, pingReply](ctx, c, "ping", pingRequest{1})
		return err
	}
	raw := func(method string, size int) func(context.Context) error {
		body := make([]byte, size)
		return func(ctx context.Context) error {
			_, err := c.Call(ctx, method, body)
			return err
		}
	}
	for _, kind := range []struct {
		name string
		call func(context.Context) error
	}{{"empty", raw("empty", 0)}, {"1KiB", raw("empty", 1024)}, {"typed", ping}, {"commit", raw("commit", 256)}} {
		for _, callers := range []int{1, 8, 64, 256} {
			b.Run(fmt.Sprintf("%s/callers=%d", kind.name, callers), func(b *testing.B) {
				b.ReportAllocs()
				var left atomic.Int64
				left.Store(int64(b.N))
				ours, theirs := cpu(), serverCPU()
				b.ResetTimer()
				var wg sync.WaitGroup
				for range callers {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if err := kind.call(b.Context()); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				micros := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(b.N) }
				ours, theirs = cpu()-ours, serverCPU()-theirs
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
				b.ReportMetric(micros(ours), "client-cpu-us/call")
				b.ReportMetric(micros(theirs), "server-cpu-us/call")
			})
		}
	}
}
