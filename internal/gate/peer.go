// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"log/slog"
	"net"
	"syscall"
)

// Caller is who is at the other end of a connection, as the kernel says: the credentials of the process when it connected, or, for a
// server seen by its client, when it began to listen. The process may have ended since and its number been given away.
type Caller struct {
	UID uint32 // effective user id
	GID uint32 // effective group id
	PID int32  // process id
}

// LogValue gives the three numbers.
func (c Caller) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("uid", uint64(c.UID)), slog.Uint64("gid", uint64(c.GID)), slog.Int64("pid", int64(c.PID)))
}

// peerOf asks the kernel who is at the other end (SO_PEERCRED, unix(7)).
func peerOf(c *net.UnixConn) (Caller, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return Caller{}, fmt.Errorf("peer credentials: %w", err)
	}
	var cred *syscall.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return Caller{}, fmt.Errorf("peer credentials: %w", err)
	}
	if credErr != nil {
		return Caller{}, fmt.Errorf("peer credentials: %w", credErr)
	}
	return Caller{UID: cred.Uid, GID: cred.Gid, PID: cred.Pid}, nil
}
