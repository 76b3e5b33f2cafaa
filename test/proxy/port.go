package proxy

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports that FreePort gives lie below those that systems give out themselves, to listeners on port 0 and to outgoing
// connections: a listener that is opened later finds them still free.
const (
	firstPort = 20_000
	lastPort  = 29_999
	portTries = 200
)

// FreePort gives a loopback TCP port that nobody listens on and that no other call gives, in any process, before the test
// is over.
func FreePort(t testing.TB) int {
	t.Helper()
	var err error
	for range portTries {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if err = reserve(t, port); err == nil {
			return port
		}
	}
	t.Fatalf("looking for a free port, %d times: %v", portTries, err)
	return 0
}

// reserve keeps the UDP port of the number, which no proxy under test uses, as a sign for others.
func reserve(t testing.TB, port int) error {
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	sign, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		_ = sign.Close()
		return err
	}
	t.Cleanup(func() { _ = sign.Close() })
	return l.Close()
}
