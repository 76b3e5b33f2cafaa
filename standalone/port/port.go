// Package port listens on loopback where it is wanted, or elsewhere when that is busy. Elsewhere is below the ports that systems
// give to outgoing connections: a port of those can be taken while who listened there is away, and a proxy that knows the address
// would wait for ever. It keeps nothing; whoever wants the same port again says so.
package port

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Where a busy port is replaced. Below lie those of well-known services, above those of meshes and of Kubernetes.
const (
	first = 10_000
	last  = 14_999
	tries = 50
)

// Listen listens on the wanted port of 127.0.0.1; on a free one when that is busy, or where none (0) is wanted.
func Listen(wanted int) (net.Listener, error) {
	if wanted != 0 {
		if l, err := at(wanted); err == nil {
			return l, nil
		}
	}
	for range tries {
		if l, err := at(first + rand.IntN(last-first+1)); err == nil {
			return l, nil
		}
	}
	return at(0)
}

func at(port int) (net.Listener, error) {
	return net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
}
