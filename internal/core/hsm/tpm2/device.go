// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	tpm "github.com/google/go-tpm/tpm2"
)

// DefaultTimeout is how long a command may take. Chips need up to some seconds to make a primary key or to test themselves.
const DefaultTimeout = 30 * time.Second

// firstWait is the pause before a command that the TPM asked to be sent again; each further one is twice as long.
const firstWait = 5 * time.Millisecond

// Device is a connection to a TPM. A transport that fails, an answer that is late or malformed latch it: what the TPM did is not known
// then, and nothing more is sent. Open it anew. It is safe for concurrent use; one operation runs at a time.
type Device struct {
	path     string
	hardware bool
	timeout  time.Duration
	commands chan exchange // to the worker
	ended    chan struct{} // closed by the worker

	turn sync.Mutex // held for an operation; guards primary
	// primary is the storage key, once made. Its context spares making it for each operation, which takes a chip long.
	primary *primaryKey

	mu        sync.Mutex // guards the rest
	dead      error      // why nothing is sent any more
	transport Transport
	closed    bool
}

// exchange is a command on its way to the worker.
type exchange struct {
	command []byte
	answer  chan<- answer // has room for the answer
}

type answer struct {
	response []byte
	err      error
}

// OpenDevice connects to the TPM at a path: a device, in production [DefaultPath], or the Unix socket of an emulator. Nothing is sent yet.
func OpenDevice(path string) (*Device, error) {
	t, device, err := openPath(path)
	if err != nil {
		return nil, err
	}
	d := NewDevice(path, t, DefaultTimeout)
	d.hardware = device
	return d, nil
}

// NewDevice is OpenDevice for another transport and timeout. path is for words only.
func NewDevice(path string, t Transport, timeout time.Duration) *Device {
	d := &Device{path: path, timeout: timeout, transport: t, commands: make(chan exchange), ended: make(chan struct{})}
	go d.work(t)
	return d
}

// Hardware says whether this is a device of the machine and not an emulator's socket. A virtual machine's device is what its host makes it.
func (d *Device) Hardware() bool { return d.hardware }

// Path tells where the TPM is.
func (d *Device) Path() string { return d.path }

// Close ends the connection, after the operation that is under way. It waits for the worker, unless the TPM owes it an answer.
func (d *Device) Close() error {
	d.turn.Lock()
	defer d.turn.Unlock()
	d.mu.Lock()
	if d.closed {
		d.mu.Unlock()
		return nil
	}
	d.closed = true
	stuck := d.dead != nil
	if d.dead == nil {
		d.dead = errors.New("tpm: the connection was closed")
	}
	d.mu.Unlock()
	close(d.commands)
	if stuck {
		return nil // latch has closed the transport
	}
	<-d.ended
	return d.transport.Close()
}

// work sends commands. It is a goroutine because a read from a device can't be given up. It ends with Close, or with the read.
func (d *Device) work(t Transport) {
	defer close(d.ended)
	for x := range d.commands {
		response, err := t.Exchange(x.command)
		x.answer <- answer{response, err}
	}
}

// latch ends the device with a cause.
func (d *Device) latch(cause error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.dead == nil {
		d.dead = fmt.Errorf("tpm %s: %w", d.path, cause)
		if err := d.transport.Close(); err != nil {
			d.dead = errors.Join(d.dead, err)
		}
	}
	return d.dead
}

// failed says why nothing is sent any more.
func (d *Device) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.dead
}

// send sends a command, again while the TPM asks for that.
func (d *Device) send(command []byte) ([]byte, error) {
	end := time.NewTimer(d.timeout)
	defer end.Stop()
	for wait := firstWait; ; wait *= 2 {
		if err := d.failed(); err != nil {
			return nil, err
		}
		got := make(chan answer, 1)
		d.commands <- exchange{bytes.Clone(command), got} // the worker is idle: one operation runs at a time
		var a answer
		select {
		case a = <-got:
		case <-end.C:
			return nil, d.latch(fmt.Errorf("%w: no answer in %v", ErrSlow, d.timeout))
		}
		if a.err != nil {
			return nil, d.latch(fmt.Errorf("%w: %w", ErrGone, a.err))
		}
		rc, err := checkResponse(a.response)
		if err != nil {
			return nil, d.latch(err)
		}
		if !again(rc) {
			return a.response, nil
		}
		select {
		case <-time.After(wait):
		case <-end.C:
			return nil, d.latch(fmt.Errorf("%w: it asks to wait for more than %v (%w)", ErrSlow, d.timeout, rc))
		}
	}
}

// again says whether a response means that the command was not begun, and is to be sent again (TPM 2.0 part 2, section 6.6.3).
func again(rc tpm.TPMRC) bool {
	return rc == tpm.TPMRCRetry || rc == tpm.TPMRCYielded || rc == tpm.TPMRCTesting || rc == tpm.TPMRCNVRate
}

// checkResponse checks the header of a response (TPM 2.0 part 1, section 18.1) and gives its code.
func checkResponse(b []byte) (tpm.TPMRC, error) {
	if len(b) < headerSize || len(b) > maxResponse || binary.BigEndian.Uint32(b[2:]) != uint32(len(b)) {
		return 0, fmt.Errorf("%w: it has %d bytes and says another number", ErrMalformed, len(b))
	}
	rc := tpm.TPMRC(binary.BigEndian.Uint32(b[6:]))
	switch tag := tpm.TPMST(binary.BigEndian.Uint16(b)); {
	case tag != tpm.TPMSTNoSessions && tag != tpm.TPMSTSessions && tag != tpm.TPMSTRspCommand,
		rc != 0 && len(b) != headerSize, rc == 0 && tag == tpm.TPMSTRspCommand:
		return 0, fmt.Errorf("%w: tag %#x with code %#x", ErrMalformed, tag, uint32(rc))
	case tag == tpm.TPMSTRspCommand:
		return 0, fmt.Errorf("%w: it is a TPM 1.2", ErrMalformed)
	}
	return rc, nil
}

// do runs an operation alone, unless nobody waits any more. What it loads is flushed after it.
func (d *Device) do(ctx context.Context, f func(*op) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	d.turn.Lock()
	defer d.turn.Unlock()
	if err := d.failed(); err != nil {
		return err
	}
	o := &op{d: d}
	defer func() {
		for i := len(o.loaded) - 1; i >= 0 && d.failed() == nil; i-- {
			if e := o.flush(o.loaded[i]); e != nil {
				err = errors.Join(err, fmt.Errorf("tpm: flush: %w", e))
			}
		}
	}()
	return f(o)
}

// op is an operation: commands that nobody else's come between. It is what go-tpm calls a TPM.
type op struct {
	d      *Device
	loaded []tpm.TPMHandle // objects and sessions, in the order in which they were made
}

// Send implements go-tpm's transport.TPM.
func (o *op) Send(command []byte) ([]byte, error) { return o.d.send(command) }

func (o *op) flush(h tpm.TPMHandle) error {
	_, err := tpm.FlushContext{FlushHandle: h}.Execute(o)
	return err
}
