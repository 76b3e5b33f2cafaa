package ir

import "slices"

// Kind is what sort of proxy a class serves.
type Kind string

// The kinds of proxies. The zero value is not valid.
const (
	KindGateway Kind = "gateway"
	KindSidecar Kind = "sidecar"
	KindGRPC    Kind = "grpc"
)

// Capture is how a sidecar's outbound traffic reaches it. The zero value is CaptureNone.
type Capture string

// The capture modes.
const (
	CaptureNone     Capture = ""         // clients dial 127.0.0.1:<port>
	CaptureRedirect Capture = "REDIRECT" // iptables send everything to 15001
)

// ClassKeys say what of proxies, besides their kind and namespace, tells classes apart.
type ClassKeys struct {
	Labels   []string // keys that some selector in force uses, sorted, each once
	Locality bool     // where a proxy runs matters
}

// Equal reports whether proxies are told apart alike.
func (k ClassKeys) Equal(other ClassKeys) bool {
	return k.Locality == other.Locality && slices.Equal(k.Labels, other.Labels)
}

// ProxyClass names all proxies that get the same configuration. It is comparable.
type ProxyClass struct {
	Kind         Kind
	Namespace    string
	Labels       string // sorted "k=v,k=v"; only keys that some selector in force uses
	Locality     string // "region/zone/subzone", empty where nothing depends on it
	Capture      Capture
	Unprivileged bool // ports below 1024 cannot be bound
}
