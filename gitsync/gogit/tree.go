package gogit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-dev/sluice/gitsync"
)

// tree is a commit's tree as a file system. It reads under the repository's lock and keeps the directories it has
// read; a file is read each time.
type tree struct {
	g      *generation
	limits Limits
	commit gitsync.Commit
	root   plumbing.Hash
	dirs   map[plumbing.Hash][]treeEntry // checked directories; guarded by g.lock
	closed bool                          // guarded by g.lock
}

// openTree pins the repository until the tree is closed.
func openTree(g *generation, l Limits, to target) (gitsync.Tree, error) {
	g.lock.Lock()
	defer g.lock.Unlock()
	c, err := readCommit(g.store, to.commit, l.ObjectBytes)
	if err != nil {
		g.damaged = true
		return nil, gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("reading commit %s: %w", to.commit, err))
	}
	subject, _, _ := strings.Cut(strings.TrimLeft(c.message, "\n"), "\n")
	g.pins++
	return &tree{g: g, limits: l, root: c.tree, dirs: map[plumbing.Hash][]treeEntry{}, commit: gitsync.Commit{
		ID: to.commit, Ref: to.name, Author: clean(c.author), Email: clean(c.email), Subject: clean(subject), Time: c.committed, Signer: to.signer, Unproven: to.unproven}}, nil
}

// Commit implements gitsync.Tree.
func (t *tree) Commit() gitsync.Commit { return t.commit }

// Close implements gitsync.Tree. It may be called more than once.
func (t *tree) Close() error {
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	if !t.closed {
		t.closed = true
		t.g.pins--
		t.g.sweep()
	}
	return nil
}

// Hash implements gitsync.Tree.
func (t *tree) Hash(name string) string {
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	e, err := t.find(name)
	if err != nil {
		return ""
	}
	return e.id.String()
}

// Open implements fs.FS.
func (t *tree) Open(name string) (fs.File, error) {
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	info, e, err := t.stat("open", name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		entries, err := t.list(e.id)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &openDir{info: info, entries: entries, name: name}, nil
	}
	content, err := t.read(info, e)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return &openFile{info: info, Reader: strings.NewReader(string(content))}, nil
}

// ReadFile implements fs.ReadFileFS.
func (t *tree) ReadFile(name string) ([]byte, error) {
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	info, e, err := t.stat("readfile", name)
	if err != nil {
		return nil, err
	}
	content, err := t.read(info, e)
	if err != nil {
		return nil, &fs.PathError{Op: "readfile", Path: name, Err: err}
	}
	return content, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *tree) ReadDir(name string) ([]fs.DirEntry, error) {
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	info, e, err := t.stat("readdir", name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	}
	entries, err := t.list(e.id)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return entries, nil
}

// Stat implements fs.StatFS.
func (t *tree) Stat(name string) (fs.FileInfo, error) {
	t.g.lock.Lock()
	defer t.g.lock.Unlock()
	info, _, err := t.stat("stat", name)
	if err != nil {
		return nil, err
	}
	return info, nil
}

func (t *tree) stat(op, name string) (*fileInfo, treeEntry, error) {
	if !fs.ValidPath(name) {
		return nil, treeEntry{}, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	e, err := t.find(name)
	if err != nil {
		return nil, e, &fs.PathError{Op: op, Path: name, Err: err}
	}
	info, err := t.info(e)
	if err != nil {
		return nil, e, &fs.PathError{Op: op, Path: name, Err: err}
	}
	return info, e, nil
}

// find walks to an entry; every directory on the way is checked.
func (t *tree) find(name string) (treeEntry, error) {
	e := treeEntry{name: ".", mode: modeDir, id: t.root}
	if t.closed {
		return e, fs.ErrClosed
	}
	if name == "." {
		return e, nil
	}
	parts := strings.Split(name, "/")
	if len(parts) > t.limits.PathDepth || len(name) > t.limits.PathBytes {
		return e, exceeded("path %.60q is deeper or longer than allowed", name)
	}
	for _, part := range parts {
		if e.mode != modeDir {
			return e, fs.ErrNotExist
		}
		entries, err := t.entries(e.id)
		if err != nil {
			return e, err
		}
		at, found := slices.BinarySearchFunc(entries, part, func(e treeEntry, name string) int { return strings.Compare(e.name, name) })
		if !found {
			return e, fs.ErrNotExist
		}
		e = entries[at]
	}
	return e, nil
}

// entries reads and checks one directory.
func (t *tree) entries(id plumbing.Hash) ([]treeEntry, error) {
	if known, ok := t.dirs[id]; ok {
		return known, nil
	}
	raw, err := rawObject(t.g.store, plumbing.TreeObject, id, t.limits.ObjectBytes)
	if err != nil {
		return nil, t.broken(err)
	}
	entries, err := parseTree(raw, t.limits.TreeEntries)
	if err != nil {
		return nil, t.broken(err)
	}
	if err := checkNames(entries); err != nil {
		return nil, err
	}
	slices.SortFunc(entries, func(a, b treeEntry) int { return strings.Compare(a.name, b.name) })
	t.dirs[id] = entries
	return entries, nil
}

func (t *tree) list(id plumbing.Hash) ([]fs.DirEntry, error) {
	entries, err := t.entries(id)
	if err != nil {
		return nil, err
	}
	out := make([]fs.DirEntry, 0, len(entries))
	for _, e := range entries {
		info, err := t.info(e)
		if err != nil {
			return nil, err
		}
		out = append(out, fs.FileInfoToDirEntry(info))
	}
	return out, nil
}

func (t *tree) info(e treeEntry) (*fileInfo, error) {
	info := &fileInfo{name: path.Base(e.name), time: t.commit.Time}
	switch e.mode {
	case modeDir:
		info.mode = fs.ModeDir | 0o555
	case modeFile, modeOldFile, modeExecutable:
		size, err := t.g.store.EncodedObjectSize(e.id)
		if err != nil {
			return nil, t.broken(err)
		}
		info.mode, info.size = 0o444, size
	case modeSymlink:
		info.mode = fs.ModeSymlink | 0o444
	default: // submodules and modes nobody knows
		info.mode = fs.ModeIrregular | 0o444
	}
	return info, nil
}

// read gives a regular file's content; links and submodules have none.
func (t *tree) read(info *fileInfo, e treeEntry) ([]byte, error) {
	if !info.mode.IsRegular() {
		return nil, errors.New("not a regular file")
	}
	content, err := rawObject(t.g.store, plumbing.BlobObject, e.id, t.limits.ObjectBytes)
	if err != nil {
		return nil, t.broken(err)
	}
	return content, nil
}

// broken says that the store failed, unless err already says something better; such a store is fetched anew.
func (t *tree) broken(err error) error {
	if known, ok := errors.AsType[*gitsync.Failure](err); ok {
		return known
	}
	t.g.damaged = true
	return gitsync.Fail(gitsync.StorageFailed, fmt.Errorf("reading from the repository: %w", err))
}

// fileInfo implements fs.FileInfo.
type fileInfo struct {
	name string
	size int64
	mode fs.FileMode
	time time.Time
}

func (i *fileInfo) Name() string       { return i.name }
func (i *fileInfo) Size() int64        { return i.size }
func (i *fileInfo) Mode() fs.FileMode  { return i.mode }
func (i *fileInfo) ModTime() time.Time { return i.time }
func (i *fileInfo) IsDir() bool        { return i.mode.IsDir() }
func (i *fileInfo) Sys() any           { return nil }

type openFile struct {
	*strings.Reader
	info *fileInfo
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

type openDir struct {
	info    *fileInfo
	name    string
	entries []fs.DirEntry
	at      int
}

func (d *openDir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *openDir) Close() error               { return nil }
func (d *openDir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *openDir) ReadDir(n int) ([]fs.DirEntry, error) {
	rest := d.entries[d.at:]
	if n <= 0 {
		d.at = len(d.entries)
		return slices.Clone(rest), nil
	}
	if len(rest) == 0 {
		return nil, io.EOF
	}
	rest = rest[:min(n, len(rest))]
	d.at += len(rest)
	return slices.Clone(rest), nil
}
