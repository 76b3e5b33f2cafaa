package istio

import (
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// policy is what the DestinationRules of one host say to one client.
type policy struct {
	subsets []subset
	top     *networking.TrafficPolicy
	topAt   Meta
	origins []ir.Origin
}

type subset struct {
	name   string
	labels map[string]string
	policy *networking.TrafficPolicy
	at     Meta
	field  string
}

func (p *policy) subset(name string) (subset, bool) {
	i := slices.IndexFunc(p.subsets, func(s subset) bool { return s.name == name })
	if i < 0 {
		return subset{}, false
	}
	return p.subsets[i], true
}

// policyOf looks for DestinationRules in the client's namespace, then in the service's, then in the root namespace.
// Within a step the most specific host wins; several rules for that host in that namespace are merged in order.
func (x *index) policyOf(found *findings, client string, s registry.Service) *policy {
	for _, namespace := range []string{client, s.Namespace, x.in.rootNamespace()} {
		in := x.byHost[namespace]
		for _, host := range append([]string{s.Host}, in.wild...) {
			if !covers(host, s.Host) {
				continue
			}
			if drs := usable(found, in.exact[host], client); len(drs) > 0 {
				return mergeRules(found, drs)
			}
		}
	}
	return &policy{}
}

// usable are the rules that a client may see and that hold for all of its workloads.
func usable(found *findings, drs []*destinationRule, client string) []*destinationRule {
	var out []*destinationRule
	for _, dr := range drs {
		switch {
		case !registry.Exported(dr.Spec.GetExportTo(), dr.Namespace, client):
		case len(dr.Spec.GetWorkloadSelector().GetMatchLabels()) > 0:
			found.selection(dr.Meta, "spec.workloadSelector", "workloadSelector")
		default:
			out = append(out, dr)
		}
	}
	return out
}

func mergeRules(found *findings, drs []*destinationRule) *policy {
	p := &policy{}
	for _, dr := range drs {
		p.origins = append(p.origins, dr.origin("spec"))
		for i, s := range dr.Spec.GetSubsets() {
			at := fmt.Sprintf("spec.subsets[%d]", i)
			if first, ok := p.subset(s.GetName()); ok {
				found.fail(dr.Meta, "S041", at, fmt.Sprintf("subset %q of %s is already defined by %s", s.GetName(), dr.Spec.GetHost(), first.at.ref()),
					"rename or remove one of them")
				found.byName(first.at, dr.Meta)
				continue
			}
			p.subsets = append(p.subsets, subset{s.GetName(), s.GetLabels(), s.GetTrafficPolicy(), dr.Meta, at})
		}
		switch {
		case dr.Spec.GetTrafficPolicy() == nil:
		case p.top == nil:
			p.top, p.topAt = dr.Spec.GetTrafficPolicy(), dr.Meta
		default:
			found.warn(dr.Meta, "S042", "spec.trafficPolicy", fmt.Sprintf("the trafficPolicy of %s for the same host is used instead", p.topAt.ref()),
				"keep the trafficPolicy in one DestinationRule")
			found.byName(p.topAt, dr.Meta)
		}
	}
	return p
}

// block is one part of a traffic policy and where it was written.
type block[T any] struct {
	value T
	at    Meta
	field string
}

// layer is a traffic policy, or the entry of a port in it, that may hold a block.
type layer struct {
	policy interface {
		GetLoadBalancer() *networking.LoadBalancerSettings
		GetConnectionPool() *networking.ConnectionPoolSettings
		GetOutlierDetection() *networking.OutlierDetection
		GetTls() *networking.ClientTLSSettings
	}
	at    Meta
	field string
}

// layers are, strongest first: subset's port, subset, port, top.
func (p *policy) layers(s subset, port int) []layer {
	var out []layer
	add := func(tp *networking.TrafficPolicy, at Meta, field string) {
		if tp == nil {
			return
		}
		for i, pl := range tp.GetPortLevelSettings() {
			if int(pl.GetPort().GetNumber()) == port {
				out = append(out, layer{pl, at, fmt.Sprintf("%s.portLevelSettings[%d]", field, i)})
				break
			}
		}
		out = append(out, layer{tp, at, field})
	}
	add(s.policy, s.at, s.field+".trafficPolicy")
	add(p.top, p.topAt, "spec.trafficPolicy")
	return out
}

// shape applies the traffic policy to a cluster, block by block, and gives what its requests are told apart by.
func (t *translator) shape(c *ir.Cluster, p *policy, s subset) *ir.Hash {
	var hash *ir.Hash
	layers := p.layers(s, c.Port)
	for _, l := range layers {
		if lb := l.policy.GetLoadBalancer(); lb != nil {
			hash = t.spread(c, block[*networking.LoadBalancerSettings]{lb, l.at, l.field + ".loadBalancer"})
			break
		}
	}
	for _, l := range layers {
		if pool := l.policy.GetConnectionPool(); pool != nil {
			t.pool(c, block[*networking.ConnectionPoolSettings]{pool, l.at, l.field + ".connectionPool"})
			break
		}
	}
	for _, l := range layers {
		if od := l.policy.GetOutlierDetection(); od != nil {
			c.Outlier = t.outlier(block[*networking.OutlierDetection]{od, l.at, l.field + ".outlierDetection"})
			break
		}
	}
	for _, l := range layers {
		if tls := l.policy.GetTls(); tls != nil {
			if tls.GetMode() != networking.ClientTLSSettings_DISABLE {
				t.found.selection(l.at, l.field+".tls.mode", "TLS towards endpoints, mode "+tls.GetMode().String())
			}
			break
		}
	}
	for _, tp := range []layer{{s.policy, s.at, s.field + ".trafficPolicy"}, {p.top, p.topAt, "spec.trafficPolicy"}} {
		t.reportExtras(tp)
	}
	return hash
}

func (t *translator) reportExtras(l layer) {
	tp, ok := l.policy.(*networking.TrafficPolicy)
	if !ok || tp == nil {
		return
	}
	if tp.GetTunnel() != nil {
		t.found.policy(l.at, l.field+".tunnel", "tunnel")
	}
	if tp.GetProxyProtocol() != nil {
		t.found.policy(l.at, l.field+".proxyProtocol", "proxyProtocol")
	}
	if tp.GetRetryBudget() != nil {
		t.found.policy(l.at, l.field+".retryBudget", "retryBudget")
	}
}

// spread says how requests are spread over the endpoints of a cluster: by a hash where that is written and valid.
func (t *translator) spread(c *ir.Cluster, b block[*networking.LoadBalancerSettings]) *ir.Hash {
	c.Balance = t.balance(b)
	if b.value.GetConsistentHash() == nil {
		return nil
	}
	h := block[*networking.LoadBalancerSettings_ConsistentHashLB]{b.value.GetConsistentHash(), b.at, b.field + ".consistentHash"}
	hash, ok := t.hashKey(h)
	if !ok {
		return nil
	}
	c.Balance, c.HashSize = t.hashing(h)
	return &hash
}

func (t *translator) balance(b block[*networking.LoadBalancerSettings]) ir.Balance {
	if b.value.GetLocalityLbSetting() != nil {
		t.found.policy(b.at, b.field+".localityLbSetting", "locality load balancing")
	}
	if b.value.GetZoneAwareLbSetting() != nil {
		t.found.policy(b.at, b.field+".zoneAwareLbSetting", "zone aware load balancing")
	}
	if b.value.GetWarmup() != nil || b.value.GetWarmupDurationSecs() != nil {
		t.found.policy(b.at, b.field+".warmup", "warm-up")
	}
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
		t.found.policy(b.at, b.field+".simple", "load balancer PASSTHROUGH")
	case networking.LoadBalancerSettings_LEAST_CONN: //nolint:staticcheck // deprecated by Istio, still in use
		t.found.info(b.at, "S044", b.field+".simple", "LEAST_CONN means LEAST_REQUEST", "write LEAST_REQUEST")
	default: // UNSPECIFIED and LEAST_REQUEST mean what follows, and so does a value that is not known yet
	}
	return ir.LeastRequest
}

func (t *translator) pool(c *ir.Cluster, b block[*networking.ConnectionPoolSettings]) {
	count := func(field string, n int32) uint32 {
		if n < 0 {
			t.found.fail(b.at, "S002", b.field+"."+field, fmt.Sprintf("%d is below 0", n), "give a number of at least 1; until then there is no bound")
			return 0
		}
		return uint32(n)
	}
	tcp, http := b.value.GetTcp(), b.value.GetHttp()
	c.Pool = ir.Pool{
		ConnectTimeout: span(tcp.GetConnectTimeout()),
		Limits: ir.Limits{
			MaxConnections: count("tcp.maxConnections", tcp.GetMaxConnections()),
			MaxPending:     count("http.http1MaxPendingRequests", http.GetHttp1MaxPendingRequests()),
			MaxRequests:    count("http.http2MaxRequests", http.GetHttp2MaxRequests()),
			MaxRetries:     count("http.maxRetries", http.GetMaxRetries()),
		},
		RequestsPerConnection: count("http.maxRequestsPerConnection", http.GetMaxRequestsPerConnection()),
		ConcurrentStreams:     count("http.maxConcurrentStreams", http.GetMaxConcurrentStreams()),
		IdleTimeout:           span(http.GetIdleTimeout()),
		ConnectionDuration:    span(tcp.GetMaxConnectionDuration()),
		ClientProtocol:        http.GetUseClientProtocol(),
	}
	if ka := tcp.GetTcpKeepalive(); ka != nil {
		c.Pool.Keepalive = &ir.Keepalive{Probes: ka.GetProbes(), Time: span(ka.GetTime()), Interval: span(ka.GetInterval())}
	}
	switch http.GetH2UpgradePolicy() {
	case networking.ConnectionPoolSettings_HTTPSettings_UPGRADE:
		c.HTTP2 = true
	case networking.ConnectionPoolSettings_HTTPSettings_DO_NOT_UPGRADE, networking.ConnectionPoolSettings_HTTPSettings_DEFAULT:
	}
	if tcp.GetIdleTimeout() != nil {
		t.found.policy(b.at, b.field+".tcp.idleTimeout", "the idle timeout of TCP connections")
	}
	if http.GetHttp2KeepAlive() != nil {
		t.found.policy(b.at, b.field+".http.http2KeepAlive", "http2KeepAlive")
	}
}

func (t *translator) outlier(b block[*networking.OutlierDetection]) *ir.Outlier {
	od := b.value
	out := &ir.Outlier{
		SplitLocal: od.GetSplitExternalLocalOriginErrors(),
		Interval:   span(od.GetInterval()), BaseEjection: span(od.GetBaseEjectionTime()),
	}
	if v := od.GetConsecutive_5XxErrors(); v != nil {
		out.Consecutive5xx = &v.Value
	}
	if v := od.GetConsecutiveGatewayErrors(); v != nil {
		out.ConsecutiveGateway = &v.Value
	}
	if v := od.GetConsecutiveLocalOriginFailures(); v != nil {
		out.ConsecutiveLocal = &v.Value
	}
	out.MaxEjectionPercent = t.percent(b, "maxEjectionPercent", od.GetMaxEjectionPercent())
	out.PanicThreshold = t.percent(b, "minHealthPercent", od.GetMinHealthPercent())
	if od.GetConsecutiveErrors() != 0 { //nolint:staticcheck // deprecated by Istio, still in use
		t.found.policy(b.at, b.field+".consecutiveErrors", "consecutiveErrors")
	}
	if len(od.GetOutlierDetectionHttpErrorCodes()) > 0 {
		t.found.policy(b.at, b.field+".outlierDetectionHttpErrorCodes", "a list of error codes")
	}
	return out
}

func (t *translator) percent(b block[*networking.OutlierDetection], field string, n int32) uint32 {
	if n < 0 || n > 100 {
		t.found.fail(b.at, "S002", b.field+"."+field, fmt.Sprintf("%d is not a percentage", n), "give a number from 0 to 100; until then it is left out")
		return 0
	}
	return uint32(n)
}

// span is the duration of d; nil and negative ones are 0.
func span(d *durationpb.Duration) time.Duration { return max(0, d.AsDuration()) }
