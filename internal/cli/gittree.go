package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
)

// maxGitOutput bounds what the git program may say at once.
const maxGitOutput = 64 << 20

// gitTree is a revision of a repository on this machine, read by the git program: the repository is the user's own, and
// nothing in it is run.
type gitTree struct {
	ctx     context.Context //nolint:containedctx // io/fs hands none over; the tree lives as long as one command
	top     string
	commit  gitsync.Commit
	entries map[string]*gitEntry
}

// gitEntry is a file or directory of it.
type gitEntry struct {
	name     string
	id       string
	mode     fs.FileMode
	size     int64
	children []fs.DirEntry
}

// openRevision lists a revision of the repository at top.
func openRevision(ctx context.Context, top, revision string) (*gitTree, error) {
	if strings.HasPrefix(revision, "-") {
		return nil, fmt.Errorf("%q is no revision", revision)
	}
	id, err := runGit(ctx, top, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	if err != nil {
		return nil, fmt.Errorf("the repository has no revision %q: %w", revision, err)
	}
	t := &gitTree{ctx: ctx, top: top, commit: gitsync.Commit{ID: strings.TrimSpace(string(id)), Ref: revision}, entries: map[string]*gitEntry{".": directoryEntry(".")}}
	out, err := runGit(ctx, top, "ls-tree", "-r", "-l", "-z", "--full-tree", t.commit.ID)
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", revision, err)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(out), "\x00"), "\x00") {
		about, name, ok := strings.Cut(line, "\t")
		fields := strings.Fields(about)
		if !ok || len(fields) != 4 || !fs.ValidPath(name) {
			continue
		}
		t.add(name, fields)
	}
	for _, e := range t.entries {
		slices.SortFunc(e.children, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	}
	return t, nil
}

// runGit runs git in a directory and gives what it prints.
func runGit(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-optional-locks", "-C", dir}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return nil, errors.Join(errors.New(strings.TrimSpace(errs.String())), err)
	}
	if out.Len() > maxGitOutput {
		return nil, errors.New("git says more than is read")
	}
	return out.Bytes(), nil
}

func directoryEntry(name string) *gitEntry {
	return &gitEntry{name: path.Base(name), mode: fs.ModeDir | 0o555, id: "present"}
}

// add enters "<mode> <type> <id> <size>" and the directories above it.
func (t *gitTree) add(name string, fields []string) {
	e := &gitEntry{name: path.Base(name), id: fields[2], mode: 0o444}
	e.size, _ = strconv.ParseInt(fields[3], 10, 64) // "-" of a submodule is 0
	switch fields[0] {
	case "120000":
		e.mode |= fs.ModeSymlink
	case "160000":
		e.mode |= fs.ModeIrregular
	}
	t.entries[name] = e
	for child := e; ; {
		dir := path.Dir(name)
		parent, known := t.entries[dir]
		if !known {
			parent = directoryEntry(dir)
			t.entries[dir] = parent
		}
		parent.children = append(parent.children, fs.FileInfoToDirEntry(gitInfo{child}))
		if known {
			return
		}
		name, child = dir, parent
	}
}

func (t *gitTree) find(op, name string) (*gitEntry, error) {
	if e := t.entries[name]; e != nil {
		return e, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// Open implements fs.FS.
func (t *gitTree) Open(name string) (fs.File, error) {
	e, err := t.find("open", name)
	if err != nil {
		return nil, err
	}
	content, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &gitFile{bytes.NewReader(content), gitInfo{e}}, nil
}

// Stat implements fs.StatFS.
func (t *gitTree) Stat(name string) (fs.FileInfo, error) {
	e, err := t.find("stat", name)
	if err != nil {
		return nil, err
	}
	return gitInfo{e}, nil
}

// ReadDir implements fs.ReadDirFS.
func (t *gitTree) ReadDir(name string) ([]fs.DirEntry, error) {
	e, err := t.find("readdir", name)
	if err != nil {
		return nil, err
	}
	return slices.Clone(e.children), nil
}

// ReadFile implements fs.ReadFileFS.
func (t *gitTree) ReadFile(name string) ([]byte, error) {
	e, err := t.find("read", name)
	if err != nil {
		return nil, err
	}
	if !e.mode.IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	return runGit(t.ctx, t.top, "cat-file", "blob", e.id)
}

// Hash implements gitsync.Tree.
func (t *gitTree) Hash(name string) string {
	if e := t.entries[name]; e != nil {
		return e.id
	}
	return ""
}

// Commit implements gitsync.Tree.
func (t *gitTree) Commit() gitsync.Commit { return t.commit }

// Close implements gitsync.Tree.
func (t *gitTree) Close() error { return nil }

// gitInfo implements fs.FileInfo.
type gitInfo struct{ e *gitEntry }

func (i gitInfo) Name() string       { return i.e.name }
func (i gitInfo) Size() int64        { return i.e.size }
func (i gitInfo) Mode() fs.FileMode  { return i.e.mode }
func (i gitInfo) ModTime() time.Time { return time.Time{} }
func (i gitInfo) IsDir() bool        { return i.e.mode.IsDir() }
func (i gitInfo) Sys() any           { return nil }

type gitFile struct {
	io.Reader
	info gitInfo
}

func (f *gitFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *gitFile) Close() error               { return nil }
