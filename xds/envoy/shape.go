package envoy

import (
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"
)

// Shape is a part of a table without what weights decide: to which clusters its routes send. Parts of one shape differ in
// nothing that a proxy could refuse. What cannot be read has its bytes for a shape.
func Shape(p Part) []byte {
	host := &routev3.VirtualHost{}
	if proto.Unmarshal(p.Bytes, host) != nil {
		return p.Bytes
	}
	for _, r := range host.GetRoutes() {
		if a := r.GetRoute(); a.GetWeightedClusters() != nil {
			a.ClusterSpecifier = nil
		}
	}
	out, err := proto.MarshalOptions{Deterministic: true}.Marshal(host)
	if err != nil {
		return p.Bytes
	}
	return out
}

// Withdrawn is a part of a table whose routes send nothing to some clusters any more, but to others of the same port: what
// a split takes from its canary, where the part is otherwise to stay as it was. A part without them stays the same.
func Withdrawn(p Part, from, to []string) Part {
	host := &routev3.VirtualHost{}
	if proto.Unmarshal(p.Bytes, host) != nil {
		return p
	}
	changed := false
	for _, r := range host.GetRoutes() {
		changed = withdraw(r.GetRoute(), from, to) || changed
	}
	if !changed {
		return p
	}
	value, err := proto.MarshalOptions{Deterministic: true}.Marshal(host)
	if err != nil {
		return p
	}
	p.Bytes, p.Version = value, hashed(value)
	return p
}

func withdraw(a *routev3.RouteAction, from, to []string) bool {
	list := a.GetWeightedClusters().GetClusters()
	changed := false
	for _, c := range list {
		if slices.Contains(from, c.GetName()) {
			if at := slices.IndexFunc(to, func(name string) bool { return port(name) == port(c.GetName()) }); at >= 0 {
				c.Name, changed = to[at], true
			}
		}
	}
	mirrors := len(a.GetRequestMirrorPolicies())
	if a != nil {
		a.RequestMirrorPolicies = slices.DeleteFunc(a.RequestMirrorPolicies, func(m *routev3.RouteAction_RequestMirrorPolicy) bool {
			return slices.Contains(from, m.GetCluster())
		})
	}
	return changed || len(a.GetRequestMirrorPolicies()) < mirrors
}

// port is what a cluster's name says before its subset and host.
func port(cluster string) string {
	direction, rest, _ := strings.Cut(cluster, "|")
	number, _, _ := strings.Cut(rest, "|")
	return direction + "|" + number
}
