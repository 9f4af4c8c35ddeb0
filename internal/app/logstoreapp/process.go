// SPDX-License-Identifier: Apache-2.0

package logstoreapp

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// process is a watch on the process that opened a handle, by pidfd_open(2): unlike its number, it is not given to another one.
type process struct {
	pid int

	mu sync.Mutex // guards fd
	fd int        // -1 once closed
}

// watch begins to watch the process that the kernel named as the peer of a connection. It answers one of its requests just now.
func watch(pid int32) (*process, error) {
	fd, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return nil, fmt.Errorf("watch process %d: %w", pid, err)
	}
	return &process{pid: int(pid), fd: fd}, nil
}

// gone reports whether the process has ended.
func (p *process) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd < 0 {
		return false
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			return err == nil && n > 0
		}
	}
}

func (p *process) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fd >= 0 {
		_ = unix.Close(p.fd) // nothing was written
		p.fd = -1
	}
}
