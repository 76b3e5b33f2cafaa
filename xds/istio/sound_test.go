package istio_test

import (
	"fmt"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// unsound says what is wrong with what a class is given, whatever it was made of: what no proxy would take, what would
// wait for ever, and traffic to nothing that no Problem speaks of.
func unsound(cfg ir.Config, ps []problem.Problem) []string {
	var out []string
	res, bad := envoy.NewBuilder().Build(&cfg)
	for _, b := range bad {
		if b.Code == envoy.CodeInvalid {
			out = append(out, "no proxy would take "+b.Error())
		}
	}
	for _, list := range [][]envoy.Resource{res.Listeners, res.Routes, res.Clusters, res.Endpoints, res.Secrets} {
		for _, r := range list {
			out = append(out, invalid(r)...)
		}
	}
	has := map[string]bool{}
	for _, list := range [][]envoy.Resource{res.Clusters, res.Endpoints, res.Routes, res.Secrets} {
		for _, r := range list {
			has[r.Any.GetTypeUrl()+r.Name] = true
		}
	}
	need := func(of envoy.Resource, typeURL string, names []string) {
		for _, n := range names {
			if !has[typeURL+n] {
				out = append(out, fmt.Sprintf("%s names %s, which is not there", of.Name, n))
			}
		}
	}
	for _, r := range slices.Concat(res.Listeners, res.Clusters) {
		need(r, envoy.TypeRoute, r.Tables)
		need(r, envoy.TypeSecret, r.Secrets)
	}
	for _, c := range cfg.Clusters {
		if c.Discovery == ir.DiscoveryEDS && !has[envoy.TypeEndpoint+c.Name] {
			out = append(out, "no endpoints are given for "+c.Name)
		}
	}
	for _, r := range slices.Concat(res.Listeners, res.Routes) {
		for _, name := range r.Refs {
			if !has[envoy.TypeCluster+name] && !explained(name, ps) {
				out = append(out, fmt.Sprintf("%s sends to %s, which is not there, and no Problem says so", r.Name, name))
			}
		}
	}
	return out
}

// explained reports whether some Problem says why a cluster is not there.
func explained(cluster string, ps []problem.Problem) bool {
	_, subset, host, ok := ir.ParseClusterName(cluster)
	return ok && slices.ContainsFunc(ps, func(p problem.Problem) bool {
		switch p.Code {
		case "S010":
			return strings.Contains(p.Message, host) && strings.Contains(p.Message, subset)
		case "S011", "S013", "S017":
			return strings.Contains(p.Message, host)
		case "S015", "S032", "S081": // the cluster itself is left out, for what its DestinationRule asks
			return strings.HasPrefix(p.Object, "DestinationRule/") || strings.HasPrefix(p.Object, "ServiceEntry/")
		default:
			return false
		}
	})
}

// invalid says what is wrong with the bytes of a resource.
func invalid(r envoy.Resource) []string {
	m, err := r.Any.UnmarshalNew()
	if err != nil {
		return []string{fmt.Sprintf("%s cannot be read: %v", r.Name, err)}
	}
	var out []string
	if v, ok := m.(interface{ ValidateAll() error }); !ok || v.ValidateAll() != nil {
		out = append(out, fmt.Sprintf("%s does not pass the checks made for it", r.Name))
	}
	table, ok := m.(*routev3.RouteConfiguration)
	if !ok {
		return out
	}
	whole, err := proto.MarshalOptions{Deterministic: true}.Marshal(table)
	if err != nil || string(whole) != string(r.Any.GetValue()) {
		out = append(out, r.Name+" is not what encoding it whole would give")
	}
	taken := map[string]bool{}
	for _, h := range table.GetVirtualHosts() {
		for _, d := range h.GetDomains() {
			if d = strings.ToLower(d); taken[d] {
				out = append(out, fmt.Sprintf("%s has the domain %s twice", r.Name, d))
			}
			taken[d] = true
		}
	}
	return out
}
