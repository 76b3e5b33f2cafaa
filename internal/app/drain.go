package app

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"
)

// departure is the end of this process, in order: first it is not ready any more, so that nobody new comes; then its
// proxies are sent to other replicas; then everything else ends, and the lease is released. Meanwhile it decides and
// serves as ever.
type departure struct {
	how     Drain
	proxies interface {
		Drain(ctx context.Context, over time.Duration)
	}
	leaving atomic.Bool
}

// staying is an error once this process is told to end.
func (d *departure) staying(*http.Request) error {
	if d.leaving.Load() {
		return errors.New("this replica is going down")
	}
	return nil
}

// run waits until told ends, and returns when nothing keeps the process any more. It gives up when serving ends.
func (d *departure) run(told, serving context.Context) {
	select {
	case <-told.Done():
	case <-serving.Done():
		return
	}
	d.leaving.Store(true)
	if d.how == (Drain{}) {
		return
	}
	timer := time.NewTimer(d.how.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		d.proxies.Drain(serving, d.how.Time)
	case <-serving.Done():
	}
}
