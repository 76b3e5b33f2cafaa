package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/sluice-dev/sluice/test/poll"
)

// A server that drains ends each stream with a word, spread over the time, and lets nobody in by a new connection.
func TestDrain_sendsProxiesAwayOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const n, over = 8, 2 * time.Second
	h := start(t, Timing{})
	h.publish(mesh(1, 10, "r1", "a"))
	ended := make(chan error, n)
	for i := range n {
		stream, err := dial(t, h.addr).DeltaAggregatedResources(bounded(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.Send(&discovery.DeltaDiscoveryRequest{Node: node(fmt.Sprint("p", i)), TypeUrl: clusters.typeURL()}); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatal(err)
		}
		go func() {
			_, err := stream.Recv()
			ended <- err
		}()
	}
	began := time.Now()
	drained := make(chan struct{})
	go func() { h.Drain(t.Context(), over); close(drained) }()
	var first, last time.Duration
	for i := range n {
		if err := poll.End(patience, "a stream of a server that drains", ended); status.Code(err) != codes.Unavailable {
			t.Errorf("a stream ended by %v", err)
		}
		if last = time.Since(began); i == 0 {
			first = last
			if c, err := net.Dial("tcp", h.addr); err == nil {
				t.Error("a new connection was taken")
				_ = c.Close()
			}
		}
	}
	<-drained
	if gap := last - first; gap < over/8 || last < over*7/8 { // more where the machine goes on
		t.Errorf("the first stream ended after %v, the last after %v: not spread over %v", first, last, over)
	}
	if after := time.Since(began) - last; after > leaveWithin*9/10 {
		t.Errorf("%v after the last it was not seen that everybody had left", after)
	}
}

// A proxy that does not leave keeps a server that drains for a moment only.
func TestDrain_isBounded(t *testing.T) {
	t.Parallel()
	h := start(t, Timing{})
	conn, err := net.Dial("tcp", h.addr) // says nothing, and never goes
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	h.Drain(t.Context(), 0)
	if took := time.Since(began); took > leaveWithin+patience/2 {
		t.Errorf("draining took %v", took)
	}
}

// A door by which somebody stays keeps no other open.
func TestDrain_closesAllDoorsAtOnce(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	first, second := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.ListenAndServe(ctx, Door{Addr: "unix:" + first}, Door{Addr: "unix:" + second}) }()
	t.Cleanup(func() {
		cancel()
		if err := poll.End(patience, "ListenAndServe", ended); err != nil {
			t.Error(err)
		}
	})
	enter := func(path string) net.Conn {
		t.Helper()
		var conn net.Conn
		err := poll.Until(patience, func() (err error) {
			conn, err = net.Dial("unix", path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil { // it is inside
			t.Fatal(err)
		}
		return conn
	}
	enter(first) // says nothing, and never goes
	if err := enter(second).Close(); err != nil {
		t.Fatal(err)
	}
	s.Drain(t.Context(), 0)
	if c, err := net.Dial("unix", second); err == nil {
		t.Error("the second door is open, since somebody stays by the first")
		_ = c.Close()
	}
}
