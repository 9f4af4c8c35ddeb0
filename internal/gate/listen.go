// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// MaxPath is the longest path of a socket in bytes: sun_path holds 108 with a zero at its end (unix(7)).
const MaxPath = 107

var (
	// ErrPath says that a socket cannot lie at a path; the text says why and what to do.
	ErrPath = errors.New("socket path refused")
	// ErrInUse says that somebody answers at the path already.
	ErrInUse = errors.New("another process answers on this socket; stop it first")
)

// Listen makes a socket at path with mode 0600. The folder must exist, be no symbolic link, belong to the effective user and have mode
// 0700: then nobody else can reach the socket, or put another in its place. A socket left over by a dead process is removed; one on which
// somebody answers is [ErrInUse]; a file of another type is never touched. Closing the listener removes the socket.
func Listen(path string) (*net.UnixListener, error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	folder, err := openFolder(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer folder.Close()
	// Of two that start at the same time, one would remove the other's new socket; the lock goes when folder is closed.
	if err := syscall.Flock(int(folder.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("lock %s: %w", folder.Name(), err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", path, err)
	}
	if err := os.Chmod(path, 0o600); err != nil { // until here the folder alone kept others out
		return nil, errors.Join(fmt.Errorf("restrict %s: %w", path, err), ln.Close())
	}
	return ln, nil
}

func checkPath(path string) error {
	switch {
	case path == "" || path[0] == '@':
		return fmt.Errorf("%w: %q: name a file; an abstract socket has no owner", ErrPath, path)
	case len(path) > MaxPath:
		return fmt.Errorf("%w: %s has %d bytes and the kernel takes %d; choose a shorter folder, for instance below /run", ErrPath, path, len(path), MaxPath)
	}
	return nil
}

// openFolder opens the socket's folder and refuses one that others can write or enter.
func openFolder(name string) (*os.File, error) {
	fd, err := syscall.Open(name, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: folder %s: %w; it must exist and be no symbolic link", ErrPath, name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return nil, errors.Join(fmt.Errorf("look at %s: %w", name, err), f.Close())
	}
	if uid := uint32(os.Geteuid()); st.Uid != uid {
		return nil, errors.Join(fmt.Errorf("%w: folder %s belongs to user %d, not to %d; make one of our own", ErrPath, name, st.Uid, uid), f.Close())
	}
	if mode := st.Mode & 0o7777; mode != 0o700 {
		return nil, errors.Join(fmt.Errorf("%w: folder %s has mode %04o; run chmod 0700 %s", ErrPath, name, mode, name), f.Close())
	}
	return f, nil
}

// removeStale removes a socket on which nobody answers.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("%w: %s exists and is no socket; move it away", ErrPath, path)
	}
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		return errors.Join(fmt.Errorf("%s: %w", path, ErrInUse), c.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) { // only this says that nobody listens; a full backlog, for one, says that somebody does
		return fmt.Errorf("%s: %w (%w)", path, ErrInUse, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove stale socket: %w", err)
	}
	return nil
}
