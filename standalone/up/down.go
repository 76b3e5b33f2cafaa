package up

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"

	"github.com/sluice-dev/sluice/internal/cli"
)

// down asks the up that holds the state directory to end and waits until it has let go.
func down(ctx context.Context, s cli.Streams, env Env, o options, purge bool) error {
	dir, err := o.dir(env)
	if err != nil {
		return err
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(s.Err, "nothing to stop: there is no state in %s\n", dir)
		return nil
	}
	st, err := openState(dir)
	if errors.Is(err, errHeld) {
		st, err = stopHolder(ctx, dir)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "stopped %s\n", o.name)
	if purge {
		err = st.purge()
	}
	return errors.Join(err, st.close())
}

// stopHolder sends SIGTERM to the process of up.json and takes its lock when that is free.
func stopHolder(ctx context.Context, dir string) (*state, error) {
	d, err := readDocument(dir)
	if err != nil {
		return nil, err
	}
	holder := process{PID: d.PID, Started: d.Started}
	if !holder.alive() {
		return nil, fmt.Errorf("the up in %s is still starting: try again when it has printed what runs", dir)
	}
	if err := syscall.Kill(holder.PID, syscall.SIGTERM); err != nil {
		return nil, fmt.Errorf("stopping pid %d: %w", holder.PID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := openState(dir)
		if !errors.Is(err, errHeld) {
			return st, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("pid %d did not end within 20 s; kill it and try again", holder.PID)
		case <-tick.C:
		}
	}
}
