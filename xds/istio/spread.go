package istio

import (
	"fmt"
	"math"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

type loadBalancer = block[*networking.LoadBalancerSettings]

// spread says how requests are spread over the endpoints of a cluster: by a hash where that is written and valid.
func (t *translator) spread(c *ir.Cluster, b loadBalancer) *ir.Hash {
	var out *ir.Hash
	c.Balance = t.balance(b)
	if b.value.GetZoneAwareLbSetting() != nil {
		t.found.policy(b.at, b.field+".zoneAwareLbSetting", "zone aware load balancing")
	}
	if b.value.GetConsistentHash() != nil {
		h := block[*networking.LoadBalancerSettings_ConsistentHashLB]{b.value.GetConsistentHash(), b.at, b.field + ".consistentHash"}
		if hash, ok := t.hashKey(h); ok {
			c.Balance, c.HashSize = t.hashing(h)
			out = &hash
		}
	}
	c.Warmup = t.warmup(c.Balance, b)
	return out
}

func (t *translator) balance(b loadBalancer) ir.Balance {
	switch b.value.GetSimple() {
	case networking.LoadBalancerSettings_ROUND_ROBIN:
		return ir.RoundRobin
	case networking.LoadBalancerSettings_RANDOM:
		if t.class.Kind == ir.KindGRPC {
			t.found.policy(b.at, b.field+".simple", "RANDOM in a gRPC client")
			return ir.RoundRobin
		}
		return ir.Random
	case networking.LoadBalancerSettings_PASSTHROUGH:
		if t.class.Kind == ir.KindGRPC {
			t.found.selection(b.at, b.field+".simple", "load balancer PASSTHROUGH in a gRPC client")
		}
	case networking.LoadBalancerSettings_LEAST_CONN: //nolint:staticcheck // deprecated by Istio, still in use
		t.found.info(b.at, "S044", b.field+".simple", "LEAST_CONN means LEAST_REQUEST", "write LEAST_REQUEST")
	default: // UNSPECIFIED and LEAST_REQUEST mean what follows, and so does a value that is not known yet
	}
	return ir.LeastRequest
}

// warmup lets new endpoints get their share little by little, where the policy knows shares.
func (t *translator) warmup(balance ir.Balance, b loadBalancer) *ir.Warmup {
	w, old := b.value.GetWarmup(), b.value.GetWarmupDurationSecs()
	if w == nil && old == nil {
		return nil
	}
	if balance != ir.LeastRequest && balance != ir.RoundRobin {
		t.found.policy(b.at, b.field, "warm-up with "+balance.String())
		return nil
	}
	if t.class.Kind == ir.KindGRPC {
		t.found.policy(b.at, b.field, "warm-up in a gRPC client")
		return nil
	}
	if w == nil {
		if long := period(t, b, "warmupDurationSecs", old, leastPeriod); long > 0 {
			return &ir.Warmup{For: long}
		}
		return nil
	}
	out := &ir.Warmup{For: period(t, b, "warmup.duration", w.GetDuration(), leastPeriod)}
	if w.GetDuration() == nil {
		t.found.fail(b.at, "S002", b.field+".warmup.duration", "warm-up needs a duration", "give one; until then new endpoints get their whole share at once")
	}
	if out.For == 0 {
		return nil
	}
	if p := w.GetMinimumPercent(); p != nil {
		out.Least = share(t, b, "warmup.minimumPercent", p.GetValue())
	}
	if a := w.GetAggression(); a != nil {
		if v := a.GetValue(); v > 0 && !math.IsInf(v, 0) {
			out.Aggression = &v
		} else {
			t.found.fail(b.at, "S002", b.field+".warmup.aggression", fmt.Sprintf("%v is not above 0", v), "give a number above 0; until then the share grows evenly")
		}
	}
	return out
}
