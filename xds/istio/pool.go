package istio

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// The shortest durations that proxies take: below a millisecond they are nothing, and the kernel counts in seconds.
const (
	leastPeriod    = time.Millisecond
	leastKeepalive = time.Second
)

// period is the duration of d; nil, and what is shorter than least, is 0.
func period[T any](t *translator, b block[T], field string, d *durationpb.Duration, least time.Duration) time.Duration {
	if d == nil {
		return 0
	}
	if got := d.AsDuration(); !d.IsValid() || got < least {
		t.found.fail(b.at, "S002", b.field+"."+field, fmt.Sprintf("%v is too short", got), fmt.Sprintf("give at least %v; until then it is left out", least))
		return 0
	}
	return d.AsDuration()
}

// idleTimeout is how long an unused connection stays open; 0 is for ever, nil what the proxy does anyway.
func idleTimeout[T any](t *translator, b block[T], field string, d *durationpb.Duration) *time.Duration {
	if d == nil {
		return nil
	}
	got := d.AsDuration()
	if got != 0 {
		if got = period(t, b, field, d, leastPeriod); got == 0 {
			return nil
		}
	}
	return &got
}

// count is a number of which 0 means unset.
func count[T any](t *translator, b block[T], field string, n int32) uint32 {
	if n < 0 {
		t.found.fail(b.at, "S002", b.field+"."+field, fmt.Sprintf("%d is below 0", n), "give a number of at least 1; until then there is no bound")
		return 0
	}
	return uint32(n)
}

func (t *translator) pool(c *ir.Cluster, b block[*networking.ConnectionPoolSettings]) {
	tcp, http := b.value.GetTcp(), b.value.GetHttp()
	c.Pool = ir.Pool{
		Limits: ir.Limits{
			MaxConnections: count(t, b, "tcp.maxConnections", tcp.GetMaxConnections()),
			MaxPending:     count(t, b, "http.http1MaxPendingRequests", http.GetHttp1MaxPendingRequests()),
			MaxRequests:    count(t, b, "http.http2MaxRequests", http.GetHttp2MaxRequests()),
			MaxRetries:     count(t, b, "http.maxRetries", http.GetMaxRetries()),
		},
		ConnectTimeout:        period(t, b, "tcp.connectTimeout", tcp.GetConnectTimeout(), leastPeriod),
		RequestsPerConnection: count(t, b, "http.maxRequestsPerConnection", http.GetMaxRequestsPerConnection()),
		ConcurrentStreams:     count(t, b, "http.maxConcurrentStreams", http.GetMaxConcurrentStreams()),
		ConnectionDuration:    period(t, b, "tcp.maxConnectionDuration", tcp.GetMaxConnectionDuration(), leastPeriod),
		ClientProtocol:        http.GetUseClientProtocol(),
	}
	c.Pool.IdleTimeout = idleTimeout(t, b, "tcp.idleTimeout", tcp.GetIdleTimeout())
	if http.GetIdleTimeout() != nil {
		c.Pool.IdleTimeout = idleTimeout(t, b, "http.idleTimeout", http.GetIdleTimeout())
	}
	if ka := tcp.GetTcpKeepalive(); ka != nil {
		c.Pool.Keepalive = &ir.Keepalive{
			Probes:   ka.GetProbes(),
			Time:     period(t, b, "tcp.tcpKeepalive.time", ka.GetTime(), leastKeepalive),
			Interval: period(t, b, "tcp.tcpKeepalive.interval", ka.GetInterval(), leastKeepalive),
		}
	}
	c.Pool.Ping = t.ping(b)
	t.upgrade(c, b)
	t.grpcPool(b)
}

// upgrade makes connections speak HTTP/2 where the policy asks for it.
func (t *translator) upgrade(c *ir.Cluster, b block[*networking.ConnectionPoolSettings]) {
	switch http := b.value.GetHttp(); {
	case http.GetH2UpgradePolicy() != networking.ConnectionPoolSettings_HTTPSettings_UPGRADE:
	case http.GetUseClientProtocol():
		t.found.policy(b.at, b.field+".http.h2UpgradePolicy", "UPGRADE beside useClientProtocol")
	default:
		c.HTTP2 = true
	}
}

func (t *translator) ping(b block[*networking.ConnectionPoolSettings]) *ir.Ping {
	in := b.value.GetHttp().GetHttp2KeepAlive()
	if in == nil {
		return nil
	}
	out := &ir.Ping{
		Interval: period(t, b, "http.http2KeepAlive.interval", in.GetInterval(), leastPeriod),
		Timeout:  period(t, b, "http.http2KeepAlive.timeout", in.GetTimeout(), leastPeriod),
	}
	if in.GetInterval() == nil || in.GetTimeout() == nil {
		t.found.fail(b.at, "S002", b.field+".http.http2KeepAlive", "http2KeepAlive needs interval and timeout", "give both; until then no connection is asked")
	}
	if out.Interval == 0 || out.Timeout == 0 {
		return nil
	}
	return out
}

// grpcPool names what a gRPC client, which has one connection to each endpoint, does not know.
func (t *translator) grpcPool(b block[*networking.ConnectionPoolSettings]) {
	if t.class.Kind != ir.KindGRPC {
		return
	}
	tcp, http := b.value.GetTcp(), b.value.GetHttp()
	for _, p := range []struct {
		set   bool
		field string
	}{
		{tcp.GetMaxConnections() != 0, "tcp.maxConnections"}, {tcp.GetConnectTimeout() != nil, "tcp.connectTimeout"},
		{tcp.GetTcpKeepalive() != nil, "tcp.tcpKeepalive"}, {tcp.GetMaxConnectionDuration() != nil, "tcp.maxConnectionDuration"},
		{tcp.GetIdleTimeout() != nil, "tcp.idleTimeout"}, {http.GetHttp1MaxPendingRequests() != 0, "http.http1MaxPendingRequests"},
		{http.GetMaxRequestsPerConnection() != 0, "http.maxRequestsPerConnection"}, {http.GetMaxRetries() != 0, "http.maxRetries"},
		{http.GetIdleTimeout() != nil, "http.idleTimeout"}, {http.GetUseClientProtocol(), "http.useClientProtocol"},
		{http.GetMaxConcurrentStreams() != 0, "http.maxConcurrentStreams"}, {http.GetHttp2KeepAlive() != nil, "http.http2KeepAlive"},
	} {
		if p.set {
			t.found.policy(b.at, b.field+"."+p.field, p.field+" in a gRPC client")
		}
	}
}

func (t *translator) retryBudget(c *ir.Cluster, b block[*networking.TrafficPolicy_RetryBudget]) {
	if t.class.Kind == ir.KindGRPC {
		t.found.policy(b.at, b.field, "retryBudget in a gRPC client")
		return
	}
	out := &ir.RetryBudget{Least: b.value.GetMinRetryConcurrency(), Interval: period(t, b, "budgetInterval", b.value.GetBudgetInterval(), 0)}
	if p := b.value.GetPercent(); p != nil {
		out.Percent = share(t, b, "percent", p.GetValue())
	}
	c.Pool.Budget = out
}

// share is a percentage; nil: it is none.
func share[T any](t *translator, b block[T], field string, v float64) *float64 {
	if math.IsNaN(v) || v < 0 || v > 100 {
		t.found.fail(b.at, "S002", b.field+"."+field, fmt.Sprintf("%v is not a percentage", v), "give a number from 0 to 100; until then it is left out")
		return nil
	}
	return &v
}
