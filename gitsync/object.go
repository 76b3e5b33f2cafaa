package gitsync

import (
	"context"
	"io/fs"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
)

// Commit is what a tree was read from. Author is a name without its address, Email, Signer a key's fingerprint.
type Commit struct {
	ID, Ref, Author, Email, Subject, Signer string

	Time     time.Time
	Unproven bool // the server could not show whether it descends from the commit before; dates speak for it
}

// Revision gives "main@sha1:<40 hex>", the form that statuses show; empty for the zero Commit.
func (c Commit) Revision() string {
	if c.ID == "" {
		return ""
	}
	return c.Ref + "@sha1:" + c.ID
}

// Ref selects what to fetch from a Remote. At most one of Branch, Tag, Semver, Commit and Name is set; none means the
// remote's HEAD.
type Ref struct {
	Remote                            Remote
	Branch, Tag, Semver, Commit, Name string
	TagPrefix                         string        // with Semver: what stands before the version in the names of tags
	Rewrite                           Rewrite       // what to do when the new tip does not descend from the tip held
	Accept                            string        // a commit that a person accepts though it does not descend
	Last                              Last          // what is known of the commit handled last
	Verify                            Verify        // signatures that are demanded
	Timeout                           time.Duration // of one fetch in all; zero is 60 s
}

// Last is what a caller remembers of the commit that it handled last, besides its id.
type Last struct {
	Ref  string    // Commit.Ref of it; empty is unknown
	Time time.Time // of its committer; zero is unknown
}

// Rewrite is the answer to rewritten history. Its zero value is Hold.
type Rewrite string

// The answers: Hold keeps to the old commit, Follow takes the new one.
const (
	Hold   Rewrite = ""
	Follow Rewrite = "Follow"
)

// Tree is the content of one commit, read lazily and immutable. Close releases it.
type Tree interface {
	fs.ReadDirFS
	fs.ReadFileFS
	fs.StatFS
	Hash(path string) string // object id of the file or directory; empty if there is none
	Commit() Commit
	Close() error
}

// Object is one rendered Kubernetes object. Path and Line are where it stands in the tree, Line from 1 or 0 if unknown.
type Object struct {
	ID      ID
	Version string // API version without the group
	Path    string
	Line    int
	Content map[string]any // JSON values: map[string]any, []any, string, bool, int64, float64, nil
}

// APIVersion gives "group/version", or the version alone for the core group.
func (o Object) APIVersion() string {
	if o.ID.Group == "" {
		return o.Version
	}
	return o.ID.Group + "/" + o.Version
}

// Build is what a tree renders to. Reads names every path that was looked at with its object id, "" for an
// absent one: equal Reads under equal options give an equal Build. Reason is empty unless the build as a whole
// is refused; then no object of it may be applied.
type Build struct {
	Objects  []Object
	Problems []problem.Problem
	Reads    map[string]string
	Reason   Reason
	Position Position // finds places in the files; nil knows none
}

// Position gives line and column, from 1, of a field such as "spec.subset" of the object at o.Path; zeros when unknown.
type Position func(o Object, field string) (line, column int)

// Options say how a Source renders.
type Options struct {
	Path      string   // directory in the tree; "" and "." are its root
	Namespace string   // for namespaced objects that name none
	Ignore    []string // patterns as in .gitignore, relative to Path; for plain directories only
	Variables Variables
}

// Fetcher resolves a ref and reads its tree. have is the commit id that was handled last, or empty; when the
// ref still resolves to it the tree has that commit. Refusals are *Failure.
type Fetcher interface {
	Fetch(ctx context.Context, ref Ref, have string) (Tree, error)
	// Tip only asks which commit Fetch would give.
	Tip(ctx context.Context, ref Ref, have string) (commit string, err error)
}

// Renderer turns a tree into objects. It returns an error only when ctx ends, or a *Failure when it must be asked again
// later; what is wrong with the files is in the Build.
type Renderer interface {
	Render(ctx context.Context, tree Tree, o Options) (Build, error)
}
