package up

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/stack"
)

// Env is what up takes from its surroundings instead of from flags.
type Env struct {
	StateRoot string           // the state of a name goes to a directory of that name below
	Envoy     string           // the Envoy to start when --envoy says nothing; empty: the one on PATH
	Run       stack.Run        // the controllers
	Version   string           // of this program, which they tell
	Commit    string           // that it was built from; empty: not known
	Now       func() time.Time // the clock
}

// options are the arguments and flags of up.
type options struct {
	from       string // directory or URL of the repository
	name       string
	ref        string
	path       string
	secret     string
	prometheus string
	envoy      string
	labels     map[string]string
	state      string
	only       string
	output     string
	scrape     time.Duration
}

func (o options) dir(env Env) (string, error) {
	dir := o.state
	if dir == "" {
		dir = filepath.Join(env.StateRoot, o.name)
	}
	return filepath.Abs(dir)
}

func (o options) validate() error {
	switch {
	case o.name == "" || o.name != filepath.Base(o.name) || strings.HasPrefix(o.name, "."):
		return usage("--name %q is not usable as the name of a directory", o.name)
	case o.only != "" && o.only != "apiserver":
		return usage("--only %q: the one part that runs alone is apiserver", o.only)
	case o.output != "" && o.output != "json":
		return usage("-o %q: json is the one format", o.output)
	case o.scrape < 0 || o.scrape > time.Minute:
		return usage("--scrape %v: between 1ms and 1m", o.scrape)
	}
	return nil
}

func usage(format string, args ...any) *cli.Exit {
	return &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf(format, args...)}
}

// NewUp is the verb up.
func NewUp(s cli.Streams, env Env) *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "up [DIR | GIT-URL]",
		Short: "Run everything on this machine, without a cluster",
		Long: "Runs the API server, Prometheus, the controllers and one gateway Envoy on loopback, and applies what is\n" +
			"committed in the Git work tree DIR (default: the current directory) or in the repository at GIT-URL.\n" +
			"State survives; Ctrl-C stops everything, a second one at once.",
		Example: "  sluice up\n  sluice up https://git.example.com/shop.git --ref main --path deploy",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.from = "."
			if len(args) == 1 {
				o.from = args[0]
			}
			if err := o.validate(); err != nil {
				return err
			}
			return run(c.Context(), s, env, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "default", "name of this installation; one up per name runs at a time")
	f.StringVar(&o.ref, "ref", "", "branch to follow (default: the one DIR is on, or the repository's own default)")
	f.StringVar(&o.path, "path", ".", "directory within the repository")
	f.StringVar(&o.secret, "secret", "", "file with the Secret manifest of the repository's credentials")
	f.StringVar(&o.prometheus, "prometheus", "", "URL of a Prometheus that scrapes the proxies already; none is started then")
	f.DurationVar(&o.scrape, "scrape", 5*time.Second, "how often the Prometheus that is started scrapes Envoy")
	f.StringVar(&o.envoy, "envoy", "", "the Envoy to start, or none (default: $SLUICE_ENVOY, else the one on PATH)")
	f.StringToStringVar(&o.labels, "gateway-labels", map[string]string{"istio": "ingressgateway"}, "labels of the proxy, which Gateways select")
	f.StringVar(&o.state, "state", "", "directory of the state (default: $XDG_STATE_HOME/sluice/NAME)")
	f.StringVar(&o.only, "only", "", "start this part alone: apiserver (etcd, API server, CRDs)")
	f.StringVarP(&o.output, "output", "o", "", "json: print what runs and where as JSON")
	return c
}

// run takes the state directory and runs the parts until the context ends. When another up has the directory it
// prints what that one printed.
func run(ctx context.Context, s cli.Streams, env Env, o options) error {
	path, err := o.dir(env)
	if err != nil {
		return err
	}
	dir, err := stack.OpenDir(path)
	if errors.Is(err, stack.ErrHeld) {
		return attach(ctx, s, path, o)
	}
	if err != nil {
		return err
	}
	if o.only != "" {
		return errors.Join(serveOnly(ctx, s, env, dir, o), dir.Close())
	}
	return errors.Join(serve(ctx, s, env, dir, o), dir.Close())
}

// attach waits until the up that holds the directory has written where everything is, and prints it.
func attach(ctx context.Context, s cli.Streams, path string, o options) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := stack.ReadDocument(path)
		if err != nil {
			return err
		}
		if d.Process.Alive() {
			return tell(s, d, o.output)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the up that is starting in %s: %w", path, ctx.Err())
		case <-tick.C:
		}
	}
}

// serveOnly runs the API server alone until the context ends.
func serveOnly(ctx context.Context, s cli.Streams, env Env, dir *stack.Dir, o options) error {
	st, err := stack.StartServer(ctx, stack.Config{Name: o.name, Dir: dir, Now: env.Now})
	if err != nil {
		return err
	}
	err = tell(s, st.Document(), o.output)
	if err == nil {
		err = st.Wait(ctx)
	}
	return errors.Join(err, st.Stop(ctx))
}
