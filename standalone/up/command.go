package up

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/cli"
)

// Env is what up takes from its surroundings instead of from flags.
type Env struct {
	StateRoot string           // the state of a name goes to a directory of that name below
	Envoy     string           // the Envoy to start when --envoy says nothing; empty: the one on PATH
	Now       func() time.Time // the clock
}

// options are the flags of up.
type options struct {
	name   string
	state  string
	only   string
	output string
}

func (o options) dir(env Env) (string, error) {
	dir := o.state
	if dir == "" {
		dir = filepath.Join(env.StateRoot, o.name)
	}
	return filepath.Abs(dir)
}

func (o options) validate() error {
	if o.name == "" || o.name != filepath.Base(o.name) || o.name[0] == '.' {
		return usage("--name %q is not usable as the name of a directory", o.name)
	}
	if o.only != "" && o.only != "apiserver" {
		return usage("--only %q: the one part that runs alone is apiserver", o.only)
	}
	if o.output != "" && o.output != "json" {
		return usage("-o %q: json is the one format", o.output)
	}
	return nil
}

func usage(format string, args ...any) error {
	return &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf(format, args...)}
}

// NewUp is the verb up.
func NewUp(s cli.Streams, env Env) *cobra.Command {
	var o options
	c := &cobra.Command{
		Use:   "up",
		Short: "Run everything on this machine, without a cluster",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return run(c.Context(), s, env, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "default", "name of this installation; one up per name runs at a time")
	f.StringVar(&o.state, "state", "", "directory of its state (default: $XDG_STATE_HOME/sluice/NAME)")
	f.StringVar(&o.only, "only", "", "start this part alone: apiserver (etcd, API server, CRDs)")
	f.StringVarP(&o.output, "output", "o", "", "json: print what runs and where as JSON")
	return c
}

// run takes the state directory and runs the parts until the context ends. When another up has the directory it
// prints what that one printed.
func run(ctx context.Context, s cli.Streams, env Env, o options) error {
	dir, err := o.dir(env)
	if err != nil {
		return err
	}
	st, err := openState(dir)
	if errors.Is(err, errHeld) {
		return attach(ctx, s, dir, o)
	}
	if err != nil {
		return err
	}
	return errors.Join(runOnly(ctx, s, env, st, o), st.close())
}

// attach waits until the up that holds dir has written where everything is, and prints it.
func attach(ctx context.Context, s cli.Streams, dir string, o options) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		d, err := readDocument(dir)
		if err != nil {
			return err
		}
		if (process{PID: d.PID, Started: d.Started}).alive() {
			return d.print(s, o.output)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the up that is starting in %s: %w", dir, ctx.Err())
		case <-tick.C:
		}
	}
}

// NewDown is the verb down.
func NewDown(s cli.Streams, env Env) *cobra.Command {
	var o options
	var purge bool
	c := &cobra.Command{
		Use:   "down",
		Short: "Stop what up started",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return down(c.Context(), s, env, o, purge)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "default", "name of the installation")
	f.StringVar(&o.state, "state", "", "directory of its state (default: $XDG_STATE_HOME/sluice/NAME)")
	f.BoolVar(&purge, "purge", false, "delete its state afterwards")
	return c
}
