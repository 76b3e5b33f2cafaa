package envoy_test

import (
	"strings"
	"testing"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tcpproxyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/tcp_proxy/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

func forward(cluster string) *ir.TCPProxy {
	return &ir.TCPProxy{Destinations: []ir.Destination{{Cluster: cluster, Weight: 1}}}
}

func listening(t *testing.T, l *ir.Listener) (*listenerv3.Listener, envoy.Resource, error) {
	t.Helper()
	res, err := envoy.Build(ir.Config{Kind: ir.KindSidecar, Listeners: []*ir.Listener{l}})
	if len(res.Listeners) == 0 {
		return nil, envoy.Resource{}, err
	}
	var out listenerv3.Listener
	if err := proto.Unmarshal(res.Listeners[0].Any.GetValue(), &out); err != nil {
		t.Fatal(err)
	}
	return &out, res.Listeners[0], err
}

func TestBuild_forwardsConnectionsByWeight(t *testing.T) {
	l, r, err := listening(t, &ir.Listener{Name: "0.0.0.0_6379", Address: "127.0.0.1", Port: 6379, Chains: []ir.Chain{{
		Name: "split", Proxy: &ir.TCPProxy{
			Destinations: []ir.Destination{{Cluster: "b", Weight: 85}, {Cluster: "a", Weight: 15}}, Weighted: true, IdleTimeout: new(time.Minute), Hash: true,
		}}}})
	if err != nil {
		t.Fatal(err)
	}
	var p tcpproxyv3.TcpProxy
	if err := l.GetFilterChains()[0].GetFilters()[0].GetTypedConfig().UnmarshalTo(&p); err != nil {
		t.Fatal(err)
	}
	got := map[string]uint32{}
	for _, c := range p.GetWeightedClusters().GetClusters() {
		got[c.GetName()] = c.GetWeight()
	}
	if diff := cmp.Diff(map[string]uint32{"b": 85, "a": 15}, got); diff != "" {
		t.Errorf("weights (-want +got):\n%s", diff)
	}
	if p.GetStatPrefix() != "sidecar_6379" || p.GetIdleTimeout().AsDuration() != time.Minute || p.GetHashPolicy()[0].GetSourceIp() == nil {
		t.Errorf("prefix, idle timeout or hash: %v", &p)
	}
	if l.GetFilterChains()[0].GetFilterChainMatch() != nil || len(l.GetListenerFilters()) > 0 {
		t.Errorf("a chain for every connection needs neither a match nor an inspector: %v", l)
	}
	if diff := cmp.Diff([]string{"a", "b"}, r.Refs); diff != "" {
		t.Errorf("clusters that must be there first (-want +got):\n%s", diff)
	}
}

func TestBuild_leavesOutAChainThatAProxyWouldRefuse(t *testing.T) {
	good := ir.Chain{Name: "good", Match: ir.ChainMatch{ServerNames: []string{"a.example", "b.example"}}, Proxy: forward("c")}
	for name, bad := range map[string]ir.Chain{
		"another chain already takes":    {Name: "bad", Match: ir.ChainMatch{ServerNames: []string{"b.example", "x.example"}}, Proxy: forward("c")},
		"reading an address block":       {Name: "bad", Match: ir.ChainMatch{Prefixes: []string{"10.0.0.0/33"}}, Proxy: forward("c")},
		"no proxy compares":              {Name: "bad", Match: ir.ChainMatch{ServerNames: []string{"*foo.example"}}, Proxy: forward("c")},
		"it has no destination":          {Name: "bad", Proxy: &ir.TCPProxy{}},
		"its weights add up to 0":        {Name: "bad", Proxy: &ir.TCPProxy{Weighted: true, Destinations: []ir.Destination{{Cluster: "c"}}}},
		"its weights add up to 42949672": {Name: "bad", Proxy: &ir.TCPProxy{Weighted: true, Destinations: []ir.Destination{{Cluster: "c", Weight: 1}, {Cluster: "d", Weight: 4294967295}}}},
	} {
		l, _, err := listening(t, &ir.Listener{Name: "l", Address: "127.0.0.1", Port: 1, Chains: []ir.Chain{good, bad}})
		if err == nil || !strings.Contains(err.Error(), name) || !strings.Contains(err.Error(), "l/bad") {
			t.Errorf("%s: error %v", name, err)
		}
		if len(l.GetFilterChains()) != 1 || l.GetFilterChains()[0].GetName() != "good" {
			t.Errorf("%s: chains %v, want the good one", name, l.GetFilterChains())
		}
	}
	if l, _, err := listening(t, &ir.Listener{Name: "l", Address: "127.0.0.1", Port: 1, Chains: []ir.Chain{{Proxy: &ir.TCPProxy{}}}}); l != nil || !strings.Contains(err.Error(), "no chain of it is left") {
		t.Errorf("a listener without chains is %v, %v", l, err)
	}
}

func TestBuild_readsTheHelloWhereAChainDependsOnIt(t *testing.T) {
	bySNI := ir.Chain{Match: ir.ChainMatch{ServerNames: []string{"a.example"}}, Proxy: forward("c")}
	only, _, err := listening(t, &ir.Listener{Name: "l", Address: "127.0.0.1", Port: 1, Chains: []ir.Chain{bySNI}})
	if err != nil || len(only.GetListenerFilters()) != 1 || only.GetContinueOnListenerFiltersTimeout() {
		t.Errorf("TLS only: %v, %v", only, err)
	}
	beside, _, err := listening(t, &ir.Listener{Name: "l", Address: "127.0.0.1", Port: 1, Chains: []ir.Chain{bySNI}, Default: &ir.Chain{Name: "rest", Proxy: forward("d")}})
	if err != nil || len(beside.GetListenerFilters()) != 1 || !beside.GetContinueOnListenerFiltersTimeout() {
		t.Errorf("a server that speaks first would be waited for without end: %v, %v", beside, err)
	}
	if got := beside.GetDefaultFilterChain(); got.GetName() != "rest" || got.GetFilterChainMatch() != nil {
		t.Errorf("the default chain is %v", got)
	}
}

func TestBuild_capturesWithoutBinding(t *testing.T) {
	chain := []ir.Chain{{Match: ir.ChainMatch{Port: 15001}, Proxy: forward("BlackHoleCluster")}}
	hands, _, err := listening(t, &ir.Listener{Name: "virtualOutbound", Address: "0.0.0.0", Port: 15001, Capture: ir.HandsOver, Chains: chain})
	if err != nil || !hands.GetUseOriginalDst().GetValue() || hands.GetBindToPort() != nil || hands.GetFilterChains()[0].GetFilterChainMatch().GetDestinationPort().GetValue() != 15001 {
		t.Errorf("the listener that is bound: %v, %v", hands, err)
	}
	handed, _, err := listening(t, &ir.Listener{Name: "10.0.0.1_80", Address: "10.0.0.1", Port: 80, Capture: ir.HandedOnly, Chains: chain})
	if err != nil || handed.GetUseOriginalDst() != nil || handed.GetBindToPort().GetValue() || handed.GetBindToPort() == nil {
		t.Errorf("the listener that is handed connections: %v, %v", handed, err)
	}
}

func TestBuild_makesClustersWithoutEndpoints(t *testing.T) {
	res, err := envoy.Build(ir.Config{Kind: ir.KindSidecar, Clusters: []*ir.Cluster{
		{Name: "BlackHoleCluster", Discovery: ir.DiscoveryNothing}, {Name: "PassthroughCluster", Discovery: ir.DiscoveryOriginal, Spread: ir.Spread{Balance: ir.RingHash, HashSize: 1024}},
	}})
	if err != nil || len(res.Clusters) != 2 || len(res.Endpoints) != 0 {
		t.Fatalf("%v, %v", res, err)
	}
	var black, through clusterv3.Cluster
	if err := proto.Unmarshal(res.Clusters[0].Any.GetValue(), &black); err != nil {
		t.Fatal(err)
	}
	if err := proto.Unmarshal(res.Clusters[1].Any.GetValue(), &through); err != nil {
		t.Fatal(err)
	}
	if black.GetType() != clusterv3.Cluster_STATIC || len(black.GetLoadAssignment().GetEndpoints()) > 0 {
		t.Errorf("the black hole: %v", &black)
	}
	if through.GetType() != clusterv3.Cluster_ORIGINAL_DST || through.GetLbPolicy() != clusterv3.Cluster_CLUSTER_PROVIDED || through.GetLbConfig() != nil {
		t.Errorf("the one chosen by the client: %v", &through)
	}
}
