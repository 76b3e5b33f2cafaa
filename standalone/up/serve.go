package up

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/gitdir"
	"github.com/sluice-dev/sluice/standalone/stack"
)

// noEnvoy is the value of --envoy that starts none.
const noEnvoy = "none"

// serve runs all parts until the context ends.
func serve(ctx context.Context, s cli.Streams, env Env, dir *stack.Dir, o options) error {
	repo, err := findRepository(ctx, o.from, o.ref)
	if err != nil {
		return err
	}
	login, err := readSecret(o.secret)
	if err != nil {
		return err
	}
	program, err := findEnvoy(o.envoy, env.Envoy)
	if err != nil {
		return err
	}
	keys, err := loadSecrets(dir)
	if err != nil {
		return err
	}
	w := wanted{url: repo.url, branch: repo.branch, path: o.path, hook: keys.Hook, login: login}
	var tree *gitdir.Server
	if repo.tree != nil {
		if tree, err = serveTree(ctx, *repo.tree, dir, keys.Git); err != nil {
			return err
		}
		w.url = tree.URL()
	}
	st, err := stack.Start(ctx, stack.Config{
		Name: o.name, Dir: dir, Envoy: program, Gateway: o.labels, Prometheus: o.prometheus, Scrape: o.scrape,
		Run: env.Run, Now: env.Now,
	})
	if err == nil {
		err = errors.Join(operate(ctx, s, st, tree, repo, w, o), st.Stop(ctx))
	}
	if tree != nil {
		err = errors.Join(err, tree.Stop(ctx))
	}
	return err
}

// serveTree offers the work tree at the address of the last run, so that the Source stays as it is.
func serveTree(ctx context.Context, tree gitdir.Tree, dir *stack.Dir, token string) (*gitdir.Server, error) {
	before, err := stack.ReadDocument(dir.Path())
	if err != nil {
		return nil, err
	}
	return gitdir.Serve(ctx, tree, gitdir.Config{Token: token, Port: stack.Port(before.Repository, 0)})
}

// operate makes the Source, says where everything is, and stays until the context ends or a part has ended by itself.
func operate(ctx context.Context, s cli.Streams, st *stack.Stack, tree *gitdir.Server, repo repository, w wanted, o options) error {
	if err := putSource(ctx, st.RESTConfig(), w); err != nil {
		return err
	}
	if err := st.Record(w.url); err != nil {
		return err
	}
	if err := print(s, st.Document(), o.output); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	if tree != nil {
		if n, err := repo.tree.Uncommitted(ctx); err == nil && n > 0 {
			fmt.Fprintf(s.Err, "%d files differ from HEAD; commit to apply them\n", n)
		}
		hints := hinter{url: "http://" + st.Document().Hook + "/hooks/" + sourceNamespace + "/" + sourceName, token: w.hook}
		watchers.Go(func() {
			tree.Changed(ctx, repo.branch, repo.commit, func(commit string) { hints.send(ctx, s, repo.branch, commit) })
		})
	}
	if o.output != "json" {
		watchers.Go(func() { announceListeners(ctx, s, st.Document().EnvoyAdmin) })
	}
	err := st.Wait(ctx)
	cancel()
	watchers.Wait()
	return err
}

// findEnvoy gives the program of --envoy, $SLUICE_ENVOY or PATH, empty for none.
func findEnvoy(flag, fromEnv string) (string, error) {
	if flag == noEnvoy {
		return "", nil
	}
	for _, name := range []string{flag, fromEnv, "envoy"} {
		if name == "" {
			continue
		}
		path, err := exec.LookPath(name)
		if err != nil {
			return "", &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf("no Envoy: %w", err), Next: "make envoy, or name one with --envoy PATH"}
		}
		return path, nil
	}
	return "", errors.New("unreachable")
}
