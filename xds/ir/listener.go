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
	Destinations []Destination // in the order written; at least one; only Cluster and Weight count
	Weighted     bool          // the choice is by weight, even with a single destination
	IdleTimeout  time.Duration // 0: Envoy's default
	Hash         bool          // by the address of the client
}

// ServerTLS ends TLS at a chain. Either Secret or Files is set.
type ServerTLS struct {
	Secret     string    // name of the Secret with certificate and key
	Files      *TLSFiles // on the proxy's own disk
	CA         string    // name of the Secret with the authorities that client certificates are checked by; empty: none, or Files
	Client     ClientAuth
	Names      []string // sorted; a client certificate must have one of them; empty: any
	SPKI       []string // sorted; base64 SHA-256 of the public key of client certificates; empty: any
	Hashes     []string // sorted; hex SHA-256 of client certificates; empty: any
	MinVersion TLSVersion
	MaxVersion TLSVersion
	Ciphers    []string // in the order written; empty: Envoy's
	Protocols  []string // ALPN, in order of preference
}

// TLSFiles are paths on the proxy's disk. Empty paths are not used.
type TLSFiles struct {
	Certificate string
	Key         string
	CA          string
	CRL         string
}

// ClientAuth says whether a client must show a certificate. The zero value is NoClientCertificate.
type ClientAuth int

// The ways to treat certificates of clients.
const (
	NoClientCertificate ClientAuth = iota
	OptionalClientCertificate
	RequireClientCertificate
)

// TLSVersion is a version of the protocol. The zero value is the default: at least 1.2, at most what Envoy offers.
type TLSVersion int

// The versions.
const (
	TLSDefault TLSVersion = iota
	TLS10
	TLS11
	TLS12
	TLS13
)

// Secret is a certificate with its key, or a set of authorities. Its bytes never leave the process but to a proxy.
type Secret struct {
	Name        string // kubernetes://<name>, with -cacert appended for authorities
	Certificate []byte `json:"-"` // PEM; empty for authorities
	Key         []byte `json:"-"` // PEM; empty for authorities
	CA          []byte `json:"-"` // PEM; empty for a certificate
	CRL         []byte `json:"-"` // PEM; only beside CA
	Origins     []Origin
}
