// SPDX-License-Identifier: Apache-2.0

package tpm2

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// DefaultPath is the TPM of the machine, behind the resource manager of the kernel, which keeps users apart and cleans up after them.
const DefaultPath = "/dev/tpmrm0"

// Sizes of a response in bytes.
const (
	headerSize  = 10
	maxResponse = 4096 // the kernel's TPM_BUFSIZE
)

// Transport carries commands to a TPM. It is used by one goroutine at a time; Close may come at any time.
type Transport interface {
	// Exchange sends one command and gives the whole response.
	Exchange(command []byte) ([]byte, error)
	Close() error
}

// openPath gives the transport to a device or a socket, and whether it is a device.
func openPath(path string) (t Transport, device bool, err error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, fmt.Errorf("%w: there is no %s; enable the TPM in the firmware, load its driver, or name another with --tpm", ErrGone, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, false, fmt.Errorf("%w: %s is not open to this user; add it to the group of the device (tss)", ErrGone, path)
	case err != nil:
		return nil, false, fmt.Errorf("%w: %w", ErrGone, err)
	case info.Mode()&fs.ModeSocket != 0:
		return socket(path), false, nil
	case info.Mode()&fs.ModeCharDevice == 0:
		return nil, false, fmt.Errorf("%w: %s is neither a device nor a socket", ErrGone, path)
	}
	// Without O_NONBLOCK, and not through package os, which would set it: a write then returns when the response is there.
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false, fmt.Errorf("%w: open %s: %w; is another program using it, or is this user not in the device's group (tss)?", ErrGone, path, err)
	}
	return descriptor(fd), true, nil
}

// descriptor is that of an open TPM device.
type descriptor int

// Exchange writes the command at once and reads the response at once, as the driver wants it.
func (d descriptor) Exchange(command []byte) ([]byte, error) {
	for {
		n, err := unix.Write(int(d), command)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("write to the device: %w", err)
		}
		if n != len(command) {
			return nil, fmt.Errorf("the device took %d of %d bytes", n, len(command))
		}
		break
	}
	response := make([]byte, maxResponse)
	for {
		n, err := unix.Read(int(d), response)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read from the device: %w", err)
		}
		return response[:n], nil
	}
}

func (d descriptor) Close() error { return unix.Close(int(d)) }

// socket is the path of an emulator's socket. Each command has a connection of its own: an emulator serves one at a time, and so several
// users can share it.
type socket string

func (s socket) Exchange(command []byte) ([]byte, error) {
	c, err := net.Dial("unix", string(s))
	if err != nil {
		return nil, err
	}
	response, err := talk(c, command)
	return response, errors.Join(err, c.Close())
}

func talk(c net.Conn, command []byte) ([]byte, error) {
	if _, err := c.Write(command); err != nil {
		return nil, err
	}
	response := make([]byte, headerSize, maxResponse)
	if _, err := io.ReadFull(c, response); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(response[2:])
	if n < headerSize || n > maxResponse {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrMalformed, n)
	}
	response = response[:n]
	_, err := io.ReadFull(c, response[headerSize:])
	return response, err
}

func (s socket) Close() error { return nil }
