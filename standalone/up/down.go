package up

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/stack"
)

const stopTimeout = 60 * time.Second

// NewDown is the verb down.
func NewDown(s cli.Streams, env Env) *cobra.Command {
	var o options
	var purge bool
	c := &cobra.Command{
		Use:     "down",
		Short:   "Stop what up started",
		Example: "  sluice down --purge",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.validate(); err != nil {
				return err
			}
			return down(c.Context(), s, env, o, purge)
		},
	}
	f := c.Flags()
	f.StringVar(&o.name, "name", "default", "name of the installation")
	f.StringVar(&o.state, "state", "", "directory of the state (default: $XDG_STATE_HOME/sluice/NAME)")
	f.BoolVar(&purge, "purge", false, "delete the state afterwards")
	return c
}

// down asks the up that holds the state directory to end and waits until it has let go. An Envoy that a killed up has
// left behind is ended too.
func down(ctx context.Context, s cli.Streams, env Env, o options, purge bool) error {
	path, err := o.dir(env)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(s.Err, "nothing to stop: there is no state in %s\n", path)
		return nil
	}
	dir, err := stack.OpenDir(path)
	if errors.Is(err, stack.ErrHeld) {
		dir, err = stopHolder(ctx, path)
	}
	if err != nil {
		return err
	}
	if err := stack.EndEnvoy(dir); err != nil {
		return errors.Join(err, dir.Close())
	}
	fmt.Fprintf(s.Err, "stopped %s\n", o.name)
	if purge {
		return dir.Remove()
	}
	return dir.Close()
}

// stopHolder sends SIGTERM to the process that holds the lock and takes the lock when it is free.
func stopHolder(ctx context.Context, path string) (*stack.Dir, error) {
	holder, err := stack.Holder(path)
	if err != nil {
		return nil, fmt.Errorf("finding out who holds %s: %w", path, err)
	}
	if err := holder.Signal(syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("stopping pid %d: %w", holder.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		dir, err := stack.OpenDir(path)
		if !errors.Is(err, stack.ErrHeld) {
			return dir, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("pid %d did not end within %v; kill it and try again", holder.PID, stopTimeout)
		case <-tick.C:
		}
	}
}
