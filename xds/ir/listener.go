package ir

import "time"

// Listener accepts connections and hands each to the chain whose match is the most specific.
type Listener struct {
	Name    string
	Address string // IP address to bind; empty for KindGRPC, where clients dial the listener by its name
	Port    int
	Chains  []Chain // matches are disjoint; one for KindGRPC
	Default *Chain  // what no other chain takes; its Match is not used; nil: such connections are closed
	Capture ListenerCapture
	Origins []Origin
}

// ListenerCapture is how connections get to a listener. The zero value is BoundPort.
type ListenerCapture int

// The ways to a listener.
const (
	BoundPort  ListenerCapture = iota // it binds its port
	HandsOver                         // it binds its port and hands each connection to the listener of its original destination
	HandedOnly                        // it binds nothing: connections are handed to it
)

// Chain is what a listener does with the connections that it matches: exactly one of Table and Proxy is set.
type Chain struct {
	Name    string
	Match   ChainMatch
	TLS     *ServerTLS // nil: connections are taken as they are
	Table   string     // HTTP: the name of the RouteTable
	Proxy   *TCPProxy  // anything else, forwarded byte by byte
	Origins []Origin
}

// ChainMatch is a condition on a connection; all parts must hold. The zero value matches every connection.
type ChainMatch struct {
	Port        int      // of the original destination; 0: any
	ServerNames []string // sorted; SNI names, exact or with a leading "*."
	Transport   Transport
	Prefixes    []string // sorted CIDR blocks of the original destination
}

// Transport is what a connection begins with. The zero value is anything.
type Transport string

// The transports.
const (
	AnyTransport Transport = ""
	TLSTransport Transport = "tls"
	RawTransport Transport = "raw_buffer"
)

// TCPProxy forwards connections.
type TCPProxy struct {
	Destinations []Destination  // in the order written; at least one; only Cluster and Weight count
	Weighted     bool           // the choice is by weight, even with a single destination
	IdleTimeout  *time.Duration // 0: connections stay open; nil: Envoy's default
	Hash         bool           // by the address of the client
}
