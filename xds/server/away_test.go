package server

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/xds/ir"
)

// TestDrain_countsProxiesUntilTheyAreElsewhere: a proxy that a server sends away stays in its counts, with what it ran when it left.
// A newer weight is not run by all while it is on its way.
func TestDrain_countsProxiesUntilTheyAreElsewhere(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{Lost: time.Hour})
	h.publish(two("t1"))
	settled(t, h, "n1")
	h.converged(1, all(1))
	h.Drain(t.Context(), 0)
	c := h.converged(1, func(c ir.Convergence) bool { return c.Connected == 0 })
	if !c.Rendered || c.Away != 1 || c.Lost != 0 {
		t.Errorf("the weight that it ran: %+v", c)
	}
	if r := h.Report(); r.Away != 1 || r.Lost != 0 || len(r.Exceptions) != 0 || r.Splits[0].Convergence.Away != 1 {
		t.Errorf("reported: %+v", r)
	}
	h.publish(mesh(2, 50, "t2", "a", "b"))
	if c := h.Convergence("shop/reviews", "u", 2); c.Away != 0 || c.Lost != 1 || c.Done() {
		t.Errorf("a newer weight: %+v", c)
	}
	if r := h.Report(); r.Away != 0 || r.Lost != 1 || len(r.Exceptions) != 1 || r.Exceptions[0].Standing != ir.Lost || r.Exceptions[0].Resource != "http.80" {
		t.Errorf("reported: %+v", r)
	}
}

// TestDrain_waitsForNobodyForEver: what was sent away and is seen nowhere counts for a while only, and not at all when it went away
// by itself.
func TestDrain_waitsForNobodyForEver(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{Lost: 50 * time.Millisecond})
	h.publish(two("t1"))
	gone := settled(t, h, "n1")
	settled(t, h, "n2")
	h.converged(1, all(2))
	gone.end()
	if c := h.converged(1, func(c ir.Convergence) bool { return c.Connected == 1 }); c.Away != 0 {
		t.Errorf("one that went by itself: %+v", c)
	}
	h.Drain(t.Context(), 0)
	h.publish(mesh(2, 50, "t2", "a", "b"))
	err := poll.Until(patience, func() error {
		if c := h.Convergence("shop/reviews", "u", 2); !c.Rendered || c.Connected+c.Lost+c.Away > 0 {
			return fmt.Errorf("%+v", c)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestDrain_countsAProxyOfManyStreams: what a proxy with a stream for each type ran counts until the proxy is elsewhere, though the
// stream of its routes ends before that of its endpoints.
func TestDrain_countsAProxyOfManyStreams(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{Lost: time.Hour})
	h.publish(two("t1"))
	one, other := connect(t, h.addr, "n1", false), connect(t, h.addr, "n1", false)
	one.send(ask{kind: routes, sub: []string{"http.80"}})
	one.next()
	one.ack(routes)
	other.send(ask{kind: endpoints, sub: []string{"a", "b"}})
	other.next()
	other.ack(endpoints)
	h.converged(1, all(1))
	h.ledger.sendAway()
	for _, stream := range []*proxy{one, other} {
		stream.end()
		if c := h.converged(1, func(c ir.Convergence) bool { return c.Connected == 0 && c.Away == 1 }); c.Lost != 0 {
			t.Errorf("the weight that it ran: %+v", c)
		}
	}
	h.publish(mesh(2, 50, "t2", "a", "b"))
	if c := h.Convergence("shop/reviews", "u", 2); c.Away != 0 || c.Lost != 1 || c.Done() {
		t.Errorf("a newer weight: %+v", c)
	}
	if r := h.Report(); r.Away != 0 || r.Lost != 1 || len(r.Exceptions) != 1 {
		t.Errorf("reported: %+v", r)
	}
}
