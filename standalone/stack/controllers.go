package stack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/internal/app"
)

// controllers is the running Run.
type controllers struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has returned and err is set
	err    error
}

func runControllers(ctx context.Context, run Run, cfg *rest.Config, c app.Config) *controllers {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &controllers{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.err = run(ctx, cfg, c)
	}()
	return r
}

// awaitReady returns when /readyz of the health address says so.
func (r *controllers) awaitReady(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, controllersReady)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := get(ctx, "http://"+address+"/readyz")
		if err == nil {
			return nil
		}
		select {
		case <-r.done:
			return fmt.Errorf("starting the controllers: %w", r.err)
		case <-ctx.Done():
			return fmt.Errorf("waiting for the controllers: %w", err)
		case <-tick.C:
		}
	}
}

// stop ends them; who does not end in time is left behind, with an error.
func (r *controllers) stop() error {
	r.cancel()
	timer := time.NewTimer(controllersStop)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
		return fmt.Errorf("the controllers did not end within %v", controllersStop)
	}
	if errors.Is(r.err, context.Canceled) {
		return nil
	}
	return r.err
}

// get gives the answer's status line when it is 200, else an error.
func get(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return resp.Status, nil
}
