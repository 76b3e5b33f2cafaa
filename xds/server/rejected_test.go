package server

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/ir"
)

// notebook is a log.
type notebook struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

// Write implements io.Writer.
func (n *notebook) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notebook) lines(with string) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []string
	for line := range strings.Lines(n.text.String()) {
		if strings.Contains(line, with) {
			out = append(out, line)
		}
	}
	return out
}

func TestRejected_isWrittenDownOnce(t *testing.T) {
	var log notebook
	h := startWith(t, Config{Now: time.Now, Log: slog.New(slog.NewTextHandler(&log, nil))})
	h.publish(mesh(1, 0, "t1", "a", "b"))
	p1, p2 := settled(t, h, "n1"), settled(t, h, "n2")
	h.converged(1, all(2))
	next := mesh(2, 15, "t2", "a", "b")
	next.Routes[0].Origins = []ir.Origin{{Kind: "VirtualService", Namespace: "shop", Name: "reviews"}}
	h.publish(next)
	for _, p := range []*proxy{p1, p2} {
		p.next()
		p.nack(routes, "no such filter")
	}
	h.converged(2, func(c ir.Convergence) bool { return c.Nacked == 2 })
	if err := poll.Until(patience, func() error {
		if len(log.lines("S093")) == 0 {
			return errors.New("nothing is written")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	got := log.lines("S093")
	if len(got) != 1 {
		t.Fatalf("written %d times: %q", len(got), got)
	}
	for _, want := range []string{"proxy=n", "rds http.80 of version t2", "no such filter", "VirtualService/shop/reviews"} {
		if !strings.Contains(got[0], want) {
			t.Errorf("%q lacks %q", got[0], want)
		}
	}
}
