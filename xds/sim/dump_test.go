package sim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	adminv3 "github.com/envoyproxy/go-control-plane/envoy/admin/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/sluice-dev/sluice/xds/envoy"
)

// dumped is a resource as Envoy says that it runs it.
type dumped struct {
	version string
	content *anypb.Any
}

// checkDump holds Envoy's own word of what it runs against what it was given: the same names, versions and content,
// and no update refused.
func (r *rig) checkDump(t *testing.T) {
	t.Helper()
	var dump adminv3.ConfigDump
	if err := protojson.Unmarshal(r.proxy.ConfigDump(t), &dump); err != nil {
		t.Fatal(err)
	}
	have := map[string]map[string]dumped{}
	for _, c := range dump.GetConfigs() {
		kind, list := resourcesOf(t, c)
		have[kind] = list
	}
	for kind, given := range map[string][]envoy.Resource{"listener": r.res.Listeners, "route": r.res.Routes, "cluster": r.res.Clusters} {
		var names []string
		for _, x := range given {
			names = append(names, x.Name)
			got, ok := have[kind][x.Name]
			if !ok {
				continue
			}
			if got.version != x.Version {
				t.Errorf("%s %s: Envoy runs version %q, want %q", kind, x.Name, got.version, x.Version)
			}
			// Envoy shows no private key, not even where it is.
			hidden := cmp.Options{protocmp.Transform(), protocmp.IgnoreFields(&tlsv3.TlsCertificate{}, "private_key")}
			if proto.Equal(x.Any, got.content) || cmp.Equal(x.Any, got.content, hidden) {
				continue
			}
			t.Errorf("%s %s (-given +run):\n%s", kind, x.Name, cmp.Diff(x.Any, got.content, hidden))
		}
		if diff := cmp.Diff(names, slices.Sorted(maps.Keys(have[kind]))); diff != "" {
			t.Errorf("names of each %s (-given +run):\n%s", kind, diff)
		}
	}
	var secrets []string
	for _, x := range r.res.Secrets {
		secrets = append(secrets, x.Name)
		if got := have["secret"][x.Name].version; got != x.Version {
			t.Errorf("secret %s: Envoy runs version %q, want %q", x.Name, got, x.Version)
		}
	}
	for name := range have["secret"] {
		if !slices.Contains(secrets, name) {
			t.Errorf("Envoy has a secret %s that it was not given", name)
		}
	}
	r.checkEndpoints(t, have["endpoints"])
	r.checkRefusals(t)
}

// checkEndpoints compares assignments; Envoy adds to what it was given and says no version of them.
func (r *rig) checkEndpoints(t *testing.T, have map[string]dumped) {
	t.Helper()
	for _, x := range r.res.Endpoints {
		got := &endpointv3.ClusterLoadAssignment{}
		if err := have[x.Name].content.UnmarshalTo(got); err != nil {
			t.Errorf("endpoints of %s: %v", x.Name, err)
			continue
		}
		want := decoded(t, x, &endpointv3.ClusterLoadAssignment{})
		if diff := cmp.Diff(addresses(want), addresses(got)); diff != "" {
			t.Errorf("endpoints of %s (-given +run):\n%s", x.Name, diff)
		}
	}
}

// addresses lists the endpoints: where they are, their weight and priority. Envoy keeps an address once.
func addresses(a *endpointv3.ClusterLoadAssignment) []string {
	var out []string
	for _, l := range a.GetEndpoints() {
		for _, e := range l.GetLbEndpoints() {
			out = append(out, fmt.Sprint(l.GetPriority(), l.GetLocality(), e.GetEndpoint().GetAddress().GetSocketAddress().GetPortValue()))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// resourcesOf takes a part of the dump apart.
func resourcesOf(t *testing.T, part *anypb.Any) (string, map[string]dumped) {
	t.Helper()
	out := map[string]dumped{}
	m, err := part.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	switch d := m.(type) {
	case *adminv3.ListenersConfigDump:
		for _, l := range d.GetDynamicListeners() {
			if l.GetErrorState() != nil {
				t.Errorf("listener %s is refused: %s", l.GetName(), l.GetErrorState().GetDetails())
			}
			out[l.GetName()] = dumped{l.GetActiveState().GetVersionInfo(), l.GetActiveState().GetListener()}
		}
		return "listener", out
	case *adminv3.RoutesConfigDump:
		for _, x := range d.GetDynamicRouteConfigs() {
			out[nameIn(t, x.GetRouteConfig())] = dumped{x.GetVersionInfo(), x.GetRouteConfig()}
		}
		return "route", out
	case *adminv3.ClustersConfigDump:
		for _, x := range slices.Concat(d.GetDynamicActiveClusters(), d.GetDynamicWarmingClusters()) {
			out[nameIn(t, x.GetCluster())] = dumped{x.GetVersionInfo(), x.GetCluster()}
		}
		return "cluster", out
	case *adminv3.SecretsConfigDump:
		for _, x := range slices.Concat(d.GetDynamicActiveSecrets(), d.GetDynamicWarmingSecrets()) {
			out[x.GetName()] = dumped{x.GetVersionInfo(), x.GetSecret()}
		}
		return "secret", out
	case *adminv3.EndpointsConfigDump:
		for _, x := range d.GetDynamicEndpointConfigs() {
			var e endpointv3.ClusterLoadAssignment
			if err := x.GetEndpointConfig().UnmarshalTo(&e); err != nil {
				t.Fatal(err)
			}
			out[e.GetClusterName()] = dumped{x.GetVersionInfo(), x.GetEndpointConfig()}
		}
		return "endpoints", out
	default:
		return fmt.Sprintf("%T", m), out
	}
}

func nameIn(t *testing.T, content *anypb.Any) string {
	t.Helper()
	m, err := content.UnmarshalNew()
	if err != nil {
		t.Fatal(err)
	}
	return m.(interface {
		proto.Message
		GetName() string
	}).GetName()
}

// checkRefusals looks for updates that Envoy has refused.
func (r *rig) checkRefusals(t *testing.T) {
	t.Helper()
	stats, err := r.proxy.Get("/stats?filter=update_rejected")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(stats), "cluster_manager.cds.update_rejected: 0") {
		t.Errorf("Envoy says nothing of refusals: %.500s", stats)
	}
	for line := range strings.Lines(string(stats)) {
		if _, count, _ := strings.Cut(strings.TrimSpace(line), ": "); count != "0" {
			t.Errorf("Envoy refused updates: %s", line)
		}
	}
}
