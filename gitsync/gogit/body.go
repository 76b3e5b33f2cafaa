package gogit

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
)

// patient is a body that gives up when no byte comes for a while.
type patient struct {
	body    io.ReadCloser
	timer   *time.Timer
	stalled atomic.Bool
}

// newPatient calls breakOff when the wait is over.
func newPatient(body io.ReadCloser, breakOff func()) *patient {
	p := &patient{body: body}
	p.timer = time.AfterFunc(stallAfter, func() {
		p.stalled.Store(true)
		breakOff()
	})
	return p
}

// Read implements io.Reader.
func (p *patient) Read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if n > 0 {
		p.timer.Reset(stallAfter)
	}
	if err != nil && p.stalled.Load() {
		err = gitsync.Fail(gitsync.Timeout, fmt.Errorf("the server stopped sending for %s", stallAfter))
	}
	return n, err
}

// Close implements io.Closer.
func (p *patient) Close() error {
	p.timer.Stop()
	return p.body.Close()
}

// owned is a body whose context ends with it.
type owned struct {
	io.ReadCloser
	cancel context.CancelFunc
}

// Close implements io.Closer.
func (o owned) Close() error {
	o.cancel()
	return o.ReadCloser.Close()
}

// bounded reads at most a number of bytes and then fails.
type bounded struct {
	from io.Reader
	left int64
	what string
}

// Read implements io.Reader.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, gitsync.Fail(gitsync.LimitExceeded, fmt.Errorf("the %s is larger than allowed", b.what))
	}
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.from.Read(p)
	b.left -= int64(n)
	return n, err
}
