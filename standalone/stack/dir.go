package stack

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluice-dev/sluice/standalone/file"
)

// ErrHeld says that another process holds the lock of a state directory.
var ErrHeld = errors.New("another process holds it")

// Dir is a locked state directory.
type Dir struct {
	path string
	lock *os.File
}

// OpenDir makes the directory, mode 0700, and takes its lock. The kernel gives the lock back when its holder ends in
// whatever way, so there is no stale one. While another process holds it the error wraps ErrHeld.
func OpenDir(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("making the state directory: %w", err)
	}
	if err := os.Chmod(path, 0o700); err != nil {
		return nil, fmt.Errorf("closing the state directory to others: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the state directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrHeld
		}
		return nil, errors.Join(fmt.Errorf("locking %s: %w", path, err), lock.Close())
	}
	if err := sign(lock, path); err != nil {
		return nil, errors.Join(fmt.Errorf("preparing %s: %w", path, err), lock.Close())
	}
	return &Dir{path: path, lock: lock}, nil
}

// sign writes into the lock who holds it, and makes the directory of the logs.
func sign(lock *os.File, path string) error {
	self, err := Identify(os.Getpid())
	if err != nil {
		return err
	}
	text, err := json.Marshal(self)
	if err != nil {
		return err
	}
	if err := lock.Truncate(0); err != nil {
		return err
	}
	if _, err := lock.WriteAt(append(text, '\n'), 0); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(path, "log"), 0o700)
}

// Holder is the process that has last locked the state directory dir; it may have ended.
func Holder(dir string) (Process, error) {
	var p Process
	err := file.ReadJSON(filepath.Join(dir, "lock"), &p)
	return p, err
}

// Path gives the place of a file in the directory.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Close gives the lock back. A second call does nothing.
func (d *Dir) Close() error {
	if err := d.lock.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// Remove deletes the directory while its lock is still held, and gives the lock back.
func (d *Dir) Remove() error { return errors.Join(os.RemoveAll(d.path), d.Close()) }
