package istio

import (
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/types/known/wrapperspb"
	networking "istio.io/api/networking/v1alpha3"
	"pgregory.net/rapid"
)

// The blocks of a drawn policy are told apart by their one number.
type numbered struct{ balancer, pool, outlier int }

func drawBlocks(t *rapid.T, base int, name string) (*networking.LoadBalancerSettings, *networking.ConnectionPoolSettings, *networking.OutlierDetection) {
	var lb *networking.LoadBalancerSettings
	var pool *networking.ConnectionPoolSettings
	var od *networking.OutlierDetection
	if rapid.Bool().Draw(t, name+" balancer") {
		lb = &networking.LoadBalancerSettings{LbPolicy: &networking.LoadBalancerSettings_ConsistentHash{ConsistentHash: &networking.LoadBalancerSettings_ConsistentHashLB{
			HashAlgorithm: &networking.LoadBalancerSettings_ConsistentHashLB_RingHash_{RingHash: &networking.LoadBalancerSettings_ConsistentHashLB_RingHash{MinimumRingSize: uint64(base)}}}}}
	}
	if rapid.Bool().Draw(t, name+" pool") {
		pool = &networking.ConnectionPoolSettings{Tcp: &networking.ConnectionPoolSettings_TCPSettings{MaxConnections: int32(base)}}
	}
	if rapid.Bool().Draw(t, name+" outlier") {
		od = &networking.OutlierDetection{Consecutive_5XxErrors: wrapperspb.UInt32(uint32(base))}
	}
	return lb, pool, od
}

func drawPolicy(t *rapid.T, base int, name string) *networking.TrafficPolicy {
	if !rapid.Bool().Draw(t, name) {
		return nil
	}
	out := &networking.TrafficPolicy{}
	out.LoadBalancer, out.ConnectionPool, out.OutlierDetection = drawBlocks(t, base, name)
	for i, port := range rapid.SliceOfNDistinct(rapid.SampledFrom([]uint32{80, 90}), 0, 2, rapid.ID[uint32]).Draw(t, name+" ports") {
		p := &networking.TrafficPolicy_PortTrafficPolicy{Port: &networking.PortSelector{Number: port}}
		p.LoadBalancer, p.ConnectionPool, p.OutlierDetection = drawBlocks(t, base+i+1, fmt.Sprint(name, port))
		out.PortLevelSettings = append(out.PortLevelSettings, p)
	}
	return out
}

func numbersOf(lb *networking.LoadBalancerSettings, pool *networking.ConnectionPoolSettings, od *networking.OutlierDetection) numbered {
	return numbered{int(lb.GetConsistentHash().GetRingHash().GetMinimumRingSize()), int(pool.GetTcp().GetMaxConnections()), int(od.GetConsecutive_5XxErrors().GetValue())}
}

// model says block by block what holds: first what the rule says for the port, whole; then the subset's blocks over it;
// then what the subset says for the port, whole.
func model(top, sub *networking.TrafficPolicy, port uint32) numbered {
	entry := func(tp *networking.TrafficPolicy) *networking.TrafficPolicy_PortTrafficPolicy {
		i := slices.IndexFunc(tp.GetPortLevelSettings(), func(p *networking.TrafficPolicy_PortTrafficPolicy) bool { return p.GetPort().GetNumber() == port })
		if i < 0 {
			return nil
		}
		return tp.GetPortLevelSettings()[i]
	}
	out := numbersOf(top.GetLoadBalancer(), top.GetConnectionPool(), top.GetOutlierDetection())
	if e := entry(top); e != nil {
		out = numbersOf(e.GetLoadBalancer(), e.GetConnectionPool(), e.GetOutlierDetection())
	}
	over := numbersOf(sub.GetLoadBalancer(), sub.GetConnectionPool(), sub.GetOutlierDetection())
	if over.balancer != 0 {
		out.balancer = over.balancer
	}
	if over.pool != 0 {
		out.pool = over.pool
	}
	if over.outlier != 0 {
		out.outlier = over.outlier
	}
	if e := entry(sub); e != nil {
		out = numbersOf(e.GetLoadBalancer(), e.GetConnectionPool(), e.GetOutlierDetection())
	}
	return out
}

func TestLayers_eachBlockIsThatOfTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		top, sub := drawPolicy(t, 10, "top"), drawPolicy(t, 20, "subset")
		p := &policy{top: top}
		for _, port := range []uint32{80, 90, 100} {
			layers := p.layers(subset{name: "v1", policy: sub}, int(port))
			lb, _ := blockOf(layers, "loadBalancer", trafficPolicy.GetLoadBalancer)
			pool, _ := blockOf(layers, "connectionPool", trafficPolicy.GetConnectionPool)
			od, _ := blockOf(layers, "outlierDetection", trafficPolicy.GetOutlierDetection)
			if got, want := numbersOf(lb.value, pool.value, od.value), model(top, sub, port); got != want {
				t.Fatalf("port %d: got %+v, want %+v\ntop %v\nsubset %v", port, got, want, top, sub)
			}
		}
	})
}

func TestMergeRules_everySubsetOnceAndOfTheFirst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var drs []*destinationRule
		first, top := map[string]string{}, ""
		for i := range rapid.IntRange(0, 4).Draw(t, "rules") {
			name := fmt.Sprint("r", i)
			dr := &destinationRule{Meta: Meta{Kind: kindDestinationRule, Namespace: "n", Name: name}, Spec: &networking.DestinationRule{Host: "a"}}
			for _, s := range rapid.SliceOfN(rapid.SampledFrom([]string{"v1", "v2", "v3"}), 0, 3).Draw(t, "subsets") {
				dr.Spec.Subsets = append(dr.Spec.Subsets, &networking.Subset{Name: s, Labels: map[string]string{"rule": name}})
				if first[s] == "" {
					first[s] = name
				}
			}
			if rapid.Bool().Draw(t, "policy") {
				dr.Spec.TrafficPolicy = &networking.TrafficPolicy{}
				if top == "" {
					top = name
				}
			}
			drs = append(drs, dr)
		}
		found := &findings{}
		p := mergeRules(found, drs)
		if len(p.subsets) != len(first) || p.topAt.Name != top {
			t.Fatalf("subsets %v with the policy of %q, want those of %v and %q", p.subsets, p.topAt.Name, first, top)
		}
		for _, s := range p.subsets {
			if s.at.Name != first[s.name] || s.labels["rule"] != first[s.name] {
				t.Fatalf("subset %s is that of %s, want %s", s.name, s.at.Name, first[s.name])
			}
		}
		written, dropped := 0, 0
		for _, dr := range drs {
			written += len(dr.Spec.GetSubsets())
		}
		for _, f := range found.list {
			if f.Code == "S041" {
				dropped++
			}
		}
		if dropped != 0 && written == len(first) || dropped == 0 && written != len(first) {
			t.Fatalf("%d subsets are written, %d count, %d are reported", written, len(first), dropped)
		}
	})
}
