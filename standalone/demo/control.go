package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-dev/sluice/test/service"
)

const (
	socketName     = "control.sock"
	controlTimeout = 10 * time.Second
)

// order is what `demo fault` asks a running demo for, one line of JSON; the answer is one line of reply.
type order struct {
	Version string        `json:"version"`
	Fault   service.Fault `json:"fault"`
}

// reply is the answer to an order.
type reply struct {
	Error string `json:"error,omitempty"`
}

// control listens for orders on a socket that only this user can reach.
type control struct {
	listener net.Listener
	obey     func(context.Context, order) error
	serving  sync.WaitGroup
}

func startControl(ctx context.Context, path string, obey func(context.Context, order) error) (*control, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening for faults: %w", err)
	}
	c := &control{listener: l, obey: obey}
	ctx = context.WithoutCancel(ctx)
	c.serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			c.serving.Go(func() { c.serve(ctx, conn) })
		}
	})
	return c, nil
}

func (c *control) serve(ctx context.Context, conn net.Conn) {
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a connection that has ended says so below
	}
	var o order
	err := json.NewDecoder(conn).Decode(&o)
	if err == nil {
		err = c.obey(ctx, o)
	}
	answer := reply{}
	if err != nil {
		answer.Error = err.Error()
	}
	_ = json.NewEncoder(conn).Encode(answer) // who asked may be gone
}

// Close stops listening and waits for orders under way.
func (c *control) Close() error {
	err := c.listener.Close()
	c.serving.Wait()
	return err
}

// switchFault changes how a version of the service misbehaves.
func (p *Parts) switchFault(ctx context.Context, o order) error {
	for _, proc := range p.versions {
		if proc.Version != o.Version {
			continue
		}
		if err := proc.SetFault(ctx, o.Fault); err != nil {
			return err
		}
		p.Journal.Add(Moment{Kind: KindFault, Text: fmt.Sprintf("%s now fails %.3g%% of its requests and delays %.3g%% of them by %dms",
			o.Version, 100*o.Fault.Errors, 100*o.Fault.Share, o.Fault.Delay)})
		return nil
	}
	return fmt.Errorf("there is no version %q; there are %s, %s and %s", o.Version, first, good, bad)
}

// send gives an order to the demo whose socket it is.
func send(ctx context.Context, path string, o order) error {
	ctx, cancel := context.WithTimeout(ctx, controlTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if err := json.NewEncoder(conn).Encode(o); err != nil {
		return err
	}
	var r reply
	if err := json.NewDecoder(conn).Decode(&r); err != nil {
		return fmt.Errorf("waiting for the demo's answer: %w", err)
	}
	if r.Error != "" {
		return errors.New(r.Error)
	}
	return nil
}

// errNoDemo says that no demo runs.
var errNoDemo = errors.New("no demo is running")

// findSocket gives the socket of the one demo that runs, or of the one with its state in dir.
func findSocket(ctx context.Context, temp, dir string) (string, error) {
	if dir != "" {
		return filepath.Join(dir, socketName), nil
	}
	candidates, err := filepath.Glob(filepath.Join(temp, tempPattern, socketName))
	if err != nil {
		return "", err
	}
	var live []string
	for _, path := range candidates {
		var d net.Dialer
		if conn, err := d.DialContext(ctx, "unix", path); err == nil {
			live = append(live, path)
			_ = conn.Close() // was only a look
		}
	}
	switch len(live) {
	case 0:
		return "", errNoDemo
	case 1:
		return live[0], nil
	default:
		return "", fmt.Errorf("%d demos are running; name the state of one with --state %s", len(live), filepath.Dir(live[0]))
	}
}

// tempDir makes the state directory of a demo that has none given.
func tempDir(temp string) (string, error) {
	return os.MkdirTemp(temp, tempPattern)
}

const tempPattern = "sluice-demo-*"
