package up

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/gitdir"
	"github.com/sluice-dev/sluice/standalone/stack"
)

// noEnvoy is the value of --envoy that starts none.
const noEnvoy = "none"

// service is what goes on while the parts run.
type service struct {
	streams cli.Streams
	output  string
	now     func() time.Time
	repo    repository
	tree    *gitdir.Server // nil when the repository is elsewhere
}

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
	v := service{streams: s, output: o.output, now: env.Now, repo: repo}
	if repo.tree != nil {
		if v.tree, err = serveTree(ctx, *repo.tree, dir, keys.Git); err != nil {
			return err
		}
		w.url = v.tree.URL()
	}
	st, err := stack.Start(ctx, stack.Config{
		Name: o.name, Dir: dir, Envoy: program, Gateway: o.labels, Prometheus: o.prometheus, Scrape: o.scrape,
		Run: env.Run, Now: env.Now, App: app.Config{Proxies: app.Proxies{Version: env.Version, Commit: env.Commit}},
	})
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = &cli.Exit{Code: cli.ExitInterrupted, Err: errors.New("interrupted while starting")}
	}
	if err == nil {
		err = errors.Join(v.operate(ctx, st, w), st.Stop(ctx))
	}
	if v.tree != nil {
		err = errors.Join(err, v.tree.Stop(ctx))
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
func (v service) operate(ctx context.Context, st *stack.Stack, w wanted) error {
	if err := putSource(ctx, st.RESTConfig(), w); err != nil {
		return err
	}
	if err := st.Record(w.url); err != nil {
		return err
	}
	if err := tell(v.streams, st.Document(), v.output); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	if v.tree != nil {
		watchers.Go(func() { v.followTree(ctx, st.Document().Hook, w.hook) })
	}
	if v.output != "json" {
		watchers.Go(func() { announceListeners(ctx, v.streams, st.Document().EnvoyAdmin) })
	}
	err := st.Wait(ctx)
	cancel()
	watchers.Wait()
	return err
}

// followTree says what is not committed, and hints at each commit.
func (v service) followTree(ctx context.Context, receiver, token string) {
	if n, err := v.repo.tree.Uncommitted(ctx); err == nil && n > 0 {
		fmt.Fprintf(v.streams.Err, "%d files differ from HEAD; commit to apply them\n", n)
	}
	hints := hinter{url: "http://" + receiver + "/hooks/" + sourceNamespace + "/" + sourceName, token: token, now: v.now}
	v.tree.Changed(ctx, v.repo.branch, v.repo.commit, func(commit string) { hints.send(ctx, v.streams, v.repo.branch, commit) })
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
