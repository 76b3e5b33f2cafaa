package up

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/gitdir"
)

// repository is where objects come from: a work tree of this machine, or else a URL.
type repository struct {
	tree   *gitdir.Tree
	url    string
	branch string // empty: the repository's own default
	commit string // of the work tree's branch at the start
}

// findRepository reads the argument of up. What cannot be used is a usage error with the next step.
func findRepository(ctx context.Context, from, ref string) (repository, error) {
	if strings.Contains(from, "://") {
		return remoteRepository(from, ref)
	}
	if host, _, ok := strings.Cut(from, ":"); ok && strings.Contains(host, "@") {
		return repository{}, usage("repository %s: SSH is not supported yet; use https", from)
	}
	return localRepository(ctx, from, ref)
}

func remoteRepository(from, ref string) (repository, error) {
	u, err := url.Parse(from)
	switch {
	case err != nil:
		return repository{}, usage("the repository's URL cannot be read: %v", errors.Unwrap(err)) // the text might hold a password
	case u.User != nil:
		return repository{}, &cli.Exit{Code: cli.ExitUsage, Err: errors.New("the repository's URL holds credentials"),
			Next: "put them into a Secret manifest and name it with --secret FILE"}
	case u.Scheme == "https" && u.Host != "", u.Scheme == "http" && loopback(u.Hostname()):
		return repository{url: u.String(), branch: ref}, nil
	case u.Scheme == "http":
		return repository{}, usage("repository %s: plain http is for loopback only; use https", u)
	default:
		return repository{}, usage("repository %s: %s is not supported; use https, or a directory", u, u.Scheme)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func localRepository(ctx context.Context, dir, ref string) (repository, error) {
	tree, err := gitdir.Open(ctx, dir)
	if errors.Is(err, gitdir.ErrNotATree) {
		return repository{}, &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf("%s is %w", dir, gitdir.ErrNotATree),
			Next: fmt.Sprintf("git init %[1]s && git -C %[1]s add -A && git -C %[1]s commit -m first", quote(dir))}
	}
	if err != nil {
		return repository{}, err
	}
	r := repository{tree: &tree, branch: ref}
	if r.branch == "" {
		r.branch = tree.Branch
	}
	if r.branch == "" {
		return repository{}, usage("%s is on no branch: name one with --ref", tree.Root)
	}
	if r.commit, err = tree.Commit(ctx, r.branch); err != nil {
		return repository{}, &cli.Exit{Code: cli.ExitUsage, Err: err,
			Next: fmt.Sprintf("git -C %[1]s add -A && git -C %[1]s commit -m first", quote(tree.Root))}
	}
	return r, nil
}

// quote makes a word fit for a shell.
func quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("./_-+:@%=,", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
