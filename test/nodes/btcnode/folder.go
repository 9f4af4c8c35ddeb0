// SPDX-License-Identifier: Apache-2.0

package btcnode

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// folderPrefix begins the names of all data folders, in the folder for temporary files.
const folderPrefix = "strongroom-btcd-"

// newFolder makes a data folder whose lock this process holds until unlock or
// its end, and removes the folders of processes that were killed.
func newFolder() (folder string, unlock func(), err error) {
	sweep(os.TempDir())
	if folder, err = os.MkdirTemp("", folderPrefix); err != nil {
		return "", nil, err
	}
	if unlock, err = lock(filepath.Join(folder, "lock"), 0); err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(folder))
	}
	return folder, unlock, nil
}

// sweep removes data folders whose lock nobody holds. It is a courtesy: what
// cannot be removed, such as another user's, stays.
func sweep(parent string) {
	locks, err := filepath.Glob(filepath.Join(parent, folderPrefix+"*", "lock"))
	if err != nil {
		return
	}
	for _, path := range locks {
		unlock, err := lock(path, syscall.LOCK_NB)
		if err != nil {
			continue // in use
		}
		_ = os.RemoveAll(filepath.Dir(path))
		unlock()
	}
}

// lock takes an exclusive lock on a file, waiting for other processes unless
// flags hold LOCK_NB. The kernel gives it back when the process ends.
func lock(path string, flags int) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|flags); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return func() { f.Close() }, nil
}
