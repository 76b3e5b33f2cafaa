package ir

// ServerTLS ends TLS at a chain.
type ServerTLS struct {
	Certificates []Certificate // in the order written; at least one
	Client       ClientAuth
	Peer         PeerCheck // of the certificates of clients; not with NoClientCertificate
	MinVersion   TLSVersion
	MaxVersion   TLSVersion
	Ciphers      []string // in the order written; empty: Envoy's
	Protocols    []string // ALPN, in order of preference
}

// ClientTLS begins TLS towards the endpoints of a cluster.
type ClientTLS struct {
	Certificate *Certificate // shown to endpoints; nil: none
	Peer        PeerCheck    // of the certificates of endpoints
	SystemRoots bool         // the authorities are those of the proxy's operating system
	SNI         string       // empty: none, or the host of the request
	HostAsSNI   bool         // SNI is the host of the request; connections that are forwarded have none
	HostAsName  bool         // the endpoint's certificate must have the host of the request as a name
	Protocols   []string     // ALPN, in order of preference; empty: none is named
}

// Certificate comes with its key from a Secret or from files on the proxy's own disk: either Secret or both paths are set.
type Certificate struct {
	Secret  string // its name in the Config
	File    string
	KeyFile string
}

// PeerCheck is by what the certificate of the other side is judged. All parts that are set must hold, but one of SPKI
// and Hashes is enough. The zero value takes any certificate.
type PeerCheck struct {
	Secret    string   // name of the Secret with the authorities
	CAFile    string   // the authorities, on the proxy's own disk; not with Secret
	CRLFile   string   // revoked certificates, on the proxy's own disk
	Names     []string // sorted; it must have one of them; empty: any
	SPKI      []string // sorted; base64 SHA-256 of its public key; empty: any
	Hashes    []string // sorted; hex SHA-256 of it; empty: any
	Untrusted bool     // it is looked at, and taken even if no authority stands behind it
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

// String is the name alone, so that no print of a Secret shows what it holds.
func (s Secret) String() string { return "Secret " + s.Name }

// GoString is the same.
func (s Secret) GoString() string { return s.String() }
