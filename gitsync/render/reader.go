package render

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// fileKind is what stands at a path.
type fileKind int

const (
	absent fileKind = iota
	regular
	directory
	symlink
	submodule
)

var lfsHead = []byte("version https://git-lfs.github.com/spec/")

// reader reads a tree within limits and remembers every path that was looked at. Trouble of the tree itself ends up
// in failure, once; from then on everything is absent.
type reader struct {
	tree    gitsync.Tree
	limits  Limits
	reads   map[string]string
	files   int
	bytes   int64
	failure *gitsync.Failure
}

func newReader(tree gitsync.Tree, l Limits) *reader {
	return &reader{tree: tree, limits: l, reads: map[string]string{}}
}

// look records a path.
func (r *reader) look(p string) {
	if _, ok := r.reads[p]; !ok {
		r.reads[p] = r.tree.Hash(p)
	}
}

func (r *reader) fail(err error) {
	if r.failure != nil {
		return
	}
	f, ok := errors.AsType[*gitsync.Failure](err)
	if !ok {
		f = gitsync.Fail(gitsync.StorageFailed, err)
	}
	r.failure = f
}

// kind says what stands at p.
func (r *reader) kind(p string) fileKind {
	if r.failure != nil {
		return absent
	}
	info, err := fs.Stat(r.tree, p)
	r.look(p)
	if errors.Is(err, fs.ErrNotExist) {
		return absent
	}
	if err != nil {
		r.fail(err)
		return absent
	}
	switch mode := info.Mode(); {
	case mode.IsDir():
		return directory
	case mode.IsRegular():
		return regular
	case mode&fs.ModeSymlink != 0:
		return symlink
	}
	return submodule
}

// list gives the entries of a directory in byte order.
func (r *reader) list(dir string) []fs.DirEntry {
	if r.failure != nil {
		return nil
	}
	r.look(dir)
	entries, err := fs.ReadDir(r.tree, dir)
	if err != nil {
		r.fail(err)
	}
	return entries
}

// read gives a regular file. Nothing and no Problem means that the tree itself failed.
func (r *reader) read(p string) ([]byte, *problem.Problem) {
	info, err := fs.Stat(r.tree, p)
	r.look(p)
	if err != nil {
		r.fail(err)
		return nil, nil
	}
	if info.Size() > r.limits.FileBytes {
		return nil, limit(p, "file of %d bytes, %d are allowed", info.Size(), r.limits.FileBytes)
	}
	r.files++
	r.bytes += info.Size()
	if r.files > r.limits.Files || r.bytes > r.limits.ReadBytes {
		r.fail(gitsync.Fail(gitsync.LimitExceeded, fmt.Errorf("more than %d files or %d bytes are read", r.limits.Files, r.limits.ReadBytes)))
		return nil, nil
	}
	content, err := fs.ReadFile(r.tree, p)
	if err != nil {
		r.fail(err)
		return nil, nil
	}
	if bytes.HasPrefix(content, lfsHead) {
		return nil, &problem.Problem{Code: "S305", Severity: problem.Error, Path: p, Line: 1, Message: "the file is kept in Git LFS",
			Hint: "commit the file itself"}
	}
	if content == nil {
		content = []byte{}
	}
	return content, nil
}

func limit(p, format string, args ...any) *problem.Problem {
	return &problem.Problem{Code: "S306", Severity: problem.Error, Path: p, Message: fmt.Sprintf(format, args...)}
}
