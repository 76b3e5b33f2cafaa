package replicas

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// front is an address before several replicas, as a Service of Kubernetes is: each connection goes to the first that
// takes it.
func front(t *testing.T, replicas ...string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { relay(c, replicas) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	return l.Addr().String()
}

// relay joins a connection with one to a replica until either ends.
func relay(c net.Conn, replicas []string) {
	defer c.Close()
	for _, addr := range replicas {
		to, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		var both sync.WaitGroup
		for _, pair := range [][2]net.Conn{{c, to}, {to, c}} {
			both.Go(func() {
				_, _ = io.Copy(pair[0], pair[1])
				_, _ = pair[0].Close(), pair[1].Close()
			})
		}
		both.Wait()
		return
	}
}
