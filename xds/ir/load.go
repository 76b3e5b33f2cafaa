package ir

import "time"

// Load is what became of the requests that proxies sent to a cluster in a span of time: attempts, retries included, as
// the proxies count them. An answer with a 4xx is OK; Failed are answers with a 5xx, broken streams, and the gRPC codes
// that blame the server.
type Load struct {
	Cluster    string
	From       time.Time
	To         time.Time
	Issued     uint64
	OK         uint64
	Failed     uint64
	Dropped    uint64 // never issued: by circuit breakers and overload policies
	InProgress uint64 // not answered when last looked; no part of the sums
	Proxies    int    // that have reported; never 0
	// Endpoints that requests of the time ended at, sorted by ID. Only of clusters that splits compare, of the newest
	// seconds, and of proxies that can tell; nil: not known.
	Endpoints []EndpointLoad
}

// EndpointLoad is what became of the requests that one endpoint answered.
type EndpointLoad struct {
	ID     uint32 // of its address, the same in all reports; where there are very many, several share one
	OK     uint64
	Failed uint64
}
