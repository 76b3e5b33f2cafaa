package envoy

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/ir"
)

func balance(p ir.Balance) clusterv3.Cluster_LbPolicy {
	switch p {
	case ir.RoundRobin:
		return clusterv3.Cluster_ROUND_ROBIN
	case ir.Random:
		return clusterv3.Cluster_RANDOM
	case ir.RingHash:
		return clusterv3.Cluster_RING_HASH
	case ir.Maglev:
		return clusterv3.Cluster_MAGLEV
	default:
		return clusterv3.Cluster_LEAST_REQUEST
	}
}

// spread says what a policy needs besides its name.
func spread(out *clusterv3.Cluster, s ir.Spread) {
	switch {
	case s.Balance == ir.RingHash && s.HashSize > 0:
		out.LbConfig = &clusterv3.Cluster_RingHashLbConfig_{RingHashLbConfig: &clusterv3.Cluster_RingHashLbConfig{MinimumRingSize: wrapperspb.UInt64(s.HashSize)}}
	case s.Balance == ir.Maglev && s.HashSize > 0:
		out.LbConfig = &clusterv3.Cluster_MaglevLbConfig_{MaglevLbConfig: &clusterv3.Cluster_MaglevLbConfig{TableSize: wrapperspb.UInt64(s.HashSize)}}
	case s.Balance == ir.LeastRequest && s.Warmup != nil:
		out.LbConfig = &clusterv3.Cluster_LeastRequestLbConfig_{LeastRequestLbConfig: &clusterv3.Cluster_LeastRequestLbConfig{SlowStartConfig: slowStart(*s.Warmup)}}
	case s.Balance == ir.RoundRobin && s.Warmup != nil:
		out.LbConfig = &clusterv3.Cluster_RoundRobinLbConfig_{RoundRobinLbConfig: &clusterv3.Cluster_RoundRobinLbConfig{SlowStartConfig: slowStart(*s.Warmup)}}
	}
	if s.Localities {
		common(out).LocalityConfigSpecifier = &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig_{
			LocalityWeightedLbConfig: &clusterv3.Cluster_CommonLbConfig_LocalityWeightedLbConfig{},
		}
	}
}

func common(c *clusterv3.Cluster) *clusterv3.Cluster_CommonLbConfig {
	if c.CommonLbConfig == nil {
		c.CommonLbConfig = &clusterv3.Cluster_CommonLbConfig{}
	}
	return c.CommonLbConfig
}

func slowStart(w ir.Warmup) *clusterv3.Cluster_SlowStartConfig {
	out := &clusterv3.Cluster_SlowStartConfig{SlowStartWindow: span(w.For), MinWeightPercent: percent(w.Least)}
	if w.Aggression != nil {
		out.Aggression = &corev3.RuntimeDouble{DefaultValue: *w.Aggression, RuntimeKey: "sluice.slow_start"}
	}
	return out
}
