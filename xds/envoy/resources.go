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
	Refs    []string // clusters (in routes and listeners) or tables (in listeners) it names, sorted
	Origins []ir.Origin
}

// Resources is everything one class of proxies is served. Each slice is sorted by name, names are unique.
type Resources struct {
	Listeners []Resource
	Routes    []Resource
	Clusters  []Resource
	Endpoints []Resource
	Secrets   []Resource
	Splits    []ir.SplitUse // sorted by Key
}
