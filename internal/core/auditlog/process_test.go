// SPDX-License-Identifier: Apache-2.0

package auditlog_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"strongroom/internal/core/auditlog"
	"strongroom/internal/core/auditlog/disk"
)

// childDir names the folder in which this test binary, started by itself, appends until it is killed.
const childDir = "STRONGROOM_TEST_AUDITLOG_DIR"

// TestChild is the process that is killed and stopped; it does nothing in a normal run.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("only as a child of the tests of this file")
	}
	d, err := disk.OS(dir, disk.Options{})
	must(t, err)
	h := mustOpen(t, d)
	for {
		seq, _ := h.Next()
		if _, err := h.add(t.Context(), []byte("body")); err != nil {
			if errors.Is(err, auditlog.ErrLostWriter) || errors.Is(err, auditlog.ErrPinMoved) {
				fmt.Println("lost")
			}
			return
		}
		fmt.Println(seq) // acknowledged: somebody may have acted on it
	}
}

// child starts the test binary as a writer in dir.
type child struct {
	cmd   *exec.Cmd
	acked atomic.Int64  // last acknowledged entry, or -1
	lost  atomic.Bool   // it found out that it is not the writer any more
	done  chan struct{} // closed when its output has ended
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	c := &child{cmd: exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.count=1"), done: make(chan struct{})}
	c.acked.Store(-1)
	c.cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	must(t, c.cmd.Start())
	go func() {
		defer close(c.done)
		c.read(out)
	}()
	for c.acked.Load() < 0 {
		select {
		case <-c.done:
			t.Fatal("the child ended")
		case <-time.After(time.Millisecond):
		}
	}
	return c
}

func (c *child) read(out io.Reader) {
	for s := bufio.NewScanner(out); s.Scan(); {
		if n, err := strconv.ParseInt(s.Text(), 10, 64); err == nil {
			c.acked.Store(n)
		} else if s.Text() == "lost" {
			c.lost.Store(true)
		}
	}
}

func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	must(t, c.cmd.Process.Signal(s))
}

func (c *child) wait() {
	<-c.done
	_ = c.cmd.Wait() // it was killed, or says itself how it ended
}

func TestKilledProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 4 {
		c := startChild(t, dir)
		time.Sleep(time.Duration(1+7*i) * time.Millisecond)
		c.signal(t, syscall.SIGKILL)
		c.wait()
		d, err := disk.OS(dir, disk.Options{})
		must(t, err)
		h := mustOpen(t, d)
		if size := int64(h.Head().Size); size <= c.acked.Load() {
			t.Fatalf("entry %d was acknowledged, the log has %d", c.acked.Load(), size)
		}
		must(t, h.Check(t.Context(), auditlog.Config{}.Start, nil))
		must(t, h.Close())
		must(t, h.store.Close())
	}
}

// A stopped process is taken over from; when it goes on it finds out before it acknowledges anything.
func TestStoppedProcess(t *testing.T) {
	t.Parallel()
	for i := range 3 {
		dir := t.TempDir()
		c := startChild(t, dir)
		time.Sleep(time.Duration(3*i) * time.Millisecond)
		var b *harness
		for b == nil {
			c.signal(t, syscall.SIGSTOP)
			b = takeOver(t, dir)
			if b == nil { // it was stopped inside an append or a pin and holds a lock
				c.signal(t, syscall.SIGCONT)
				time.Sleep(3 * time.Millisecond)
			}
		}
		size := b.Head().Size
		b.grow(t, 3)
		c.signal(t, syscall.SIGCONT)
		c.wait()
		if !c.lost.Load() {
			t.Error("the stopped process did not find out that it lost the log")
		}
		if uint64(c.acked.Load()) >= size {
			t.Errorf("entry %d was acknowledged by the stopped process, the successor began with %d", c.acked.Load(), size)
		}
		must(t, b.Check(t.Context(), auditlog.Config{}.Start, nil))
		must(t, b.Close())
	}
}

// takeOver opens the log as writer 2, or gives nil if the stopped process holds a lock.
func takeOver(t *testing.T, dir string) *harness {
	t.Helper()
	d, err := disk.OS(dir, disk.Options{})
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	h := &harness{}
	cfg, err := config(t, d, h, asWriter(2))
	must(t, err)
	h.Log, err = auditlog.Open(ctx, cfg)
	if errors.Is(err, context.DeadlineExceeded) {
		must(t, h.store.Close())
		return nil
	}
	must(t, err)
	return h
}
