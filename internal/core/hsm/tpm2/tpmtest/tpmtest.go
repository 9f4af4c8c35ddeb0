// SPDX-License-Identifier: Apache-2.0

// Package tpmtest runs a throw-away TPM for tests: swtpm, an emulator of a whole TPM 2.0, on a Unix socket in a temporary folder, as the user of the
// test and without a module of the kernel. It is imported by tests only. A machine without swtpm fails the test and is told what to install.
package tpmtest

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	tpm "github.com/google/go-tpm/tpm2"

	"strongroom/internal/core/hsm/tpm2"
)

// startTimeout is how long an emulator may take to answer.
const startTimeout = 30 * time.Second

// TPM is an emulated TPM. Its methods are for one goroutine.
type TPM struct {
	Socket string // for tpm2.OpenDevice; the control socket is beside it, with .ctrl, as the tools of tpm2-tss want it

	dir   string // its state
	cmd   *exec.Cmd
	ended chan error
	log   bytes.Buffer
}

// Start makes a TPM that nobody used before, and stops it when the test ends.
func Start(t testing.TB) *TPM {
	t.Helper()
	if _, err := exec.LookPath("swtpm"); err != nil {
		t.Fatalf("there is no swtpm on this machine: %v; install it with: apt-get install swtpm", err)
	}
	// Not t.TempDir: the path of a Unix socket is short.
	dir, err := os.MkdirTemp("", "tpmtest")
	if err != nil {
		t.Fatal(err)
	}
	x := &TPM{Socket: filepath.Join(dir, "tpm"), dir: filepath.Join(dir, "state")}
	t.Cleanup(func() {
		x.Kill(t)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Mkdir(x.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	x.Run(t)
	return x
}

// Run starts the TPM again after Kill, as a machine that is switched on: with its NV memory, and registers anew.
func (x *TPM) Run(t testing.TB) {
	t.Helper()
	for _, name := range []string{x.Socket, x.Socket + ".ctrl"} {
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	x.cmd = exec.Command("swtpm", "socket", "--tpm2", "--tpmstate", "dir="+x.dir, "--flags", "not-need-init,startup-clear",
		"--server", "type=unixio,path="+x.Socket, "--ctrl", "type=unixio,path="+x.Socket+".ctrl")
	x.cmd.Stdout, x.cmd.Stderr = &x.log, &x.log
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that is killed leaves nothing behind
	if err := x.cmd.Start(); err != nil {
		t.Fatalf("swtpm: %v", err)
	}
	ended := make(chan error, 1)
	x.ended = ended
	go func() { ended <- x.cmd.Wait() }() // Kill waits for it
	for end := time.Now().Add(startTimeout); ; time.Sleep(2 * time.Millisecond) {
		c, err := net.Dial("unix", x.Socket)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			x.Kill(t)
			t.Fatalf("swtpm does not answer: %v\n%s", err, x.log.String())
		}
	}
}

// Kill stops the TPM at once, as a power cut does. Stopping a stopped one does nothing.
func (x *TPM) Kill(t testing.TB) {
	t.Helper()
	if x.ended == nil {
		return
	}
	if err := x.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	<-x.ended
	x.ended = nil
}

// Restart switches the TPM off in order and on again. After Kill it would count what was used of sealed objects as a wrong PIN, as TPMs do.
func (x *TPM) Restart(t testing.TB) {
	t.Helper()
	if _, err := (tpm.Shutdown{ShutdownType: tpm.TPMSUClear}).Execute(x); err != nil {
		t.Fatal(err)
	}
	x.Kill(t)
	x.Run(t)
}

// Open opens a device on the TPM and closes it when the test ends.
func (x *TPM) Open(t testing.TB) *tpm2.Device {
	t.Helper()
	d, err := tpm2.OpenDevice(x.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// Send implements go-tpm's transport.TPM, for commands that only an attacker or an owner gives.
func (x *TPM) Send(command []byte) ([]byte, error) {
	c, err := net.Dial("unix", x.Socket)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(command); err != nil {
		return nil, err
	}
	b := make([]byte, 4096)
	n, err := c.Read(b)
	return b[:n], err
}

// Extend changes a PCR, as other firmware or boot programs would.
func (x *TPM) Extend(t testing.TB, pcr uint) {
	t.Helper()
	_, err := tpm.PCRExtend{PCRHandle: tpm.AuthHandle{Handle: tpm.TPMHandle(pcr), Auth: tpm.PasswordAuth(nil)},
		Digests: tpm.TPMLDigestValues{Digests: []tpm.TPMTHA{{HashAlg: tpm.TPMAlgSHA256, Digest: bytes.Repeat([]byte{1}, 32)}}}}.Execute(x)
	if err != nil {
		t.Fatal(err)
	}
}

// Clear clears the TPM, as its firmware's menu does.
func (x *TPM) Clear(t testing.TB) {
	t.Helper()
	if _, err := (tpm.Clear{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHPlatform, Auth: tpm.PasswordAuth(nil)}}).Execute(x); err != nil {
		t.Fatal(err)
	}
}

// Indexes lists the NV indexes in the owner's range.
func (x *TPM) Indexes(t testing.TB) []tpm.TPMHandle {
	t.Helper()
	r, err := tpm.GetCapability{Capability: tpm.TPMCapHandles, Property: 0x01800000, PropertyCount: 254}.Execute(x)
	if err != nil {
		t.Fatal(err)
	}
	list, err := r.CapabilityData.Data.Handles()
	if err != nil {
		t.Fatal(err)
	}
	var out []tpm.TPMHandle
	for _, h := range list.Handle {
		if h < 0x01c00000 {
			out = append(out, h)
		}
	}
	return out
}

// Undefine removes an index, which needs nothing but the owner's empty password.
func (x *TPM) Undefine(t testing.TB, index tpm.TPMHandle) {
	t.Helper()
	r, err := tpm.NVReadPublic{NVIndex: index}.Execute(x)
	if err != nil {
		t.Fatal(err)
	}
	_, err = tpm.NVUndefineSpace{AuthHandle: tpm.AuthHandle{Handle: tpm.TPMRHOwner, Auth: tpm.PasswordAuth(nil)},
		NVIndex: tpm.NamedHandle{Handle: index, Name: r.NVName}}.Execute(x)
	if err != nil {
		t.Fatal(err)
	}
}
