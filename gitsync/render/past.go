package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	crashesAllowed = 2
	maxRemembered  = 256 // builds that were given up, and markers
)

// key names a kustomize build: everything that it reads, and how.
func (b *build) key() string {
	raw, err := json.Marshal(b.files.reads) // sorts the keys
	if err != nil {
		panic("strings that cannot be written as JSON: " + err.Error())
	}
	sum := sha256.Sum256(append(raw, b.options.Key()...))
	return hex.EncodeToString(sum[:16])
}

// past remembers the builds that must not be tried again as they are. A marker file stands for a build under way and
// counts how often it was begun: a process that is killed leaves it behind.
type past struct {
	dir string // of the markers; empty: none are kept

	mu      sync.Mutex
	givenUp []string // keys, oldest first; guarded by mu
}

// open takes over the markers of earlier processes, the newest of them.
func (p *past) open(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the directory of builds: %w", err)
	}
	p.dir = dir
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("reading the directory of builds: %w", err)
	}
	var files []fs.FileInfo
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			files = append(files, info)
		}
	}
	slices.SortFunc(files, func(a, b fs.FileInfo) int { return cmp.Compare(b.ModTime().UnixNano(), a.ModTime().UnixNano()) })
	for _, old := range files[min(len(files), maxRemembered):] {
		_ = os.Remove(filepath.Join(dir, old.Name())) // what stays is found again at the next start
	}
	return nil
}

// refuses says why a build must not be tried, with an empty reason where it may.
func (p *past) refuses(key string) (gitsync.Reason, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Contains(p.givenUp, key) {
		return gitsync.BuildFailed, "the build of the same files took too long before"
	}
	if p.begun(key) >= crashesAllowed {
		return gitsync.BuildQuarantined, fmt.Sprintf("the process ended %d times during the build of these files", crashesAllowed)
	}
	return "", ""
}

// begun is how often a build was begun and never ended.
func (p *past) begun(key string) int {
	if p.dir == "" {
		return 0
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, key))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return 1 // the process ended while it was written
	}
	return n
}

// enter marks a build as under way.
func (p *past) enter(key string) error {
	if p.dir == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(p.dir, key), []byte(strconv.Itoa(p.begun(key)+1)), 0o600); err != nil {
		return fmt.Errorf("marking a build: %w", errors.Unwrap(err))
	}
	return nil
}

// leave says that a build has ended.
func (p *past) leave(key string) {
	if p.dir != "" {
		_ = os.Remove(filepath.Join(p.dir, key)) // one that stays counts as a crash too many
	}
}

// giveUp remembers a build that took too long.
func (p *past) giveUp(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.givenUp = append(p.givenUp, key)
	p.givenUp = p.givenUp[max(0, len(p.givenUp)-maxRemembered):]
}
