package envoy

import (
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/xds/ir"
)

// Resource is one xDS resource, marshalled once and never changed afterwards.
type Resource struct {
	Name    string
	Version string // lower-case hex of the first 16 bytes of SHA-256 over Any.Value
	Any     *anypb.Any
	Refs    []string // clusters it names, sorted
	Tables  []string // route tables that a listener names, sorted
	Secrets []string // Secrets that a listener or cluster names, sorted
	Parts   []Part   // of a route table: its virtual hosts, in their order
	Origins []ir.Origin
}

// Part is one virtual host of a route table.
type Part struct {
	Name    string
	Version string // as that of a Resource, over Bytes
	Origins []ir.Origin
	Bytes   []byte // the virtual host, marshalled; a table is its parts between what is before and after them
}

// Resources is everything one class of proxies is served. Each slice is sorted by name, names are unique.
type Resources struct {
	Listeners []Resource
	Routes    []Resource
	Clusters  []Resource
	Endpoints []Resource
	Secrets   []Resource
	Splits    []*ir.SplitUse // sorted by Key
}
