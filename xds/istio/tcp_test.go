package istio_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

func decoded(kind, name string, spec map[string]any) istio.Object {
	return istio.Decode(map[string]any{
		"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": map[string]any{"name": name, "namespace": "shop"}, "spec": spec,
	})
}

// store is redis in two versions, behind one tcp rule with the destinations.
func store(destinations ...any) istio.Input {
	to := func(address, version string) map[string]any {
		return map[string]any{"address": address, "labels": map[string]any{"version": version}}
	}
	subset := func(name string) map[string]any {
		return map[string]any{"name": name, "labels": map[string]any{"version": name}}
	}
	return istio.Input{Objects: []istio.Object{
		decoded("ServiceEntry", "redis", map[string]any{
			"hosts": []any{"redis.shop.svc.cluster.local"}, "resolution": "STATIC", "addresses": []any{"10.0.0.20"},
			"ports":     []any{map[string]any{"number": 6379, "name": "tcp", "protocol": "TCP"}},
			"endpoints": []any{to("10.3.0.1", "v1"), to("10.3.0.2", "v2"), to("10.3.0.3", "v3")},
		}),
		decoded("ServiceEntry", "web", map[string]any{
			"hosts": []any{"web.shop.svc.cluster.local"}, "resolution": "STATIC", "ports": []any{map[string]any{"number": 80, "name": "http", "protocol": "HTTP"}},
		}),
		decoded("DestinationRule", "redis", map[string]any{"host": "redis", "subsets": []any{subset("v1"), subset("v2"), subset("v3")}}),
		decoded("VirtualService", "redis", map[string]any{"hosts": []any{"redis"}, "tcp": []any{map[string]any{"route": destinations}}}),
	}}
}

func share(host, subset string, weight int) map[string]any {
	d := map[string]any{"host": host, "port": map[string]any{"number": 6379}}
	if subset != "" {
		d["subset"] = subset
	}
	return map[string]any{"destination": d, "weight": weight}
}

// TestTranslate_dividesConnectionsAsRequests has the vectors of http rules.
func TestTranslate_dividesConnectionsAsRequests(t *testing.T) {
	type shares map[string]uint32
	for _, c := range []struct {
		rule    []any
		split   ir.Split
		want    shares
		touched bool
	}{
		{[]any{share("redis", "", 0)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 15}, shares{"v1": 85, "v2": 15}, true},
		{[]any{share("redis", "v1", 90), share("redis", "v2", 10)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 15}, shares{"v1": 85, "v2": 15}, true},
		{[]any{share("redis", "v1", 80), share("other.host", "", 20)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 15}, shares{"v1": 340, "v2": 60, "other": 100}, true},
		{[]any{share("redis", "v1", 1), share("redis", "v3", 1)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 50}, shares{"v1": 50, "v2": 50, "v3": 100}, true},
		{[]any{share("redis", "v1", 0)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 0}, shares{"v1": 100}, true},
		{[]any{share("redis", "v1", 0)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 100}, shares{"v2": 100}, true},
		{[]any{share("redis", "v2", 0)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 15}, shares{"v1": 85, "v2": 15}, true},
		{[]any{share("redis", "v1", 0), share("redis", "v3", 100)}, ir.Split{Stable: "v1", Canary: "v2", Weight: 15}, shares{"v3": 100}, false},
		{[]any{share("redis", "v1", 0)}, ir.Split{Stable: "v2", Managed: []string{"v1"}}, shares{"v2": 100}, true},
		{[]any{share("redis", "", 1), share("redis", "v1", 1)}, ir.Split{Stable: "v2", Canary: "v3", Managed: []string{"v1"}, Weight: 50}, shares{"v2": 50, "v3": 50}, true},
	} {
		in := store(c.rule...)
		c.split.Key, c.split.Host = "shop/redis", "redis"
		in.Splits = []ir.Split{c.split}
		for _, class := range []ir.ProxyClass{{Kind: ir.KindSidecar, Namespace: "shop"}, {Kind: ir.KindSidecar, Namespace: "shop", Capture: ir.CaptureRedirect}} {
			cfg, _ := istio.Translate(in, class)
			name := "0.0.0.0_6379"
			if class.Capture == ir.CaptureRedirect {
				name = "10.0.0.20_6379"
			}
			i := slices.IndexFunc(cfg.Listeners, func(l *ir.Listener) bool { return l.Name == name })
			if i < 0 {
				t.Fatalf("%v: no listener %s", c.rule, name)
			}
			proxy := cfg.Listeners[i].Chains[0].Proxy
			got := shares{}
			for _, d := range proxy.Destinations {
				_, subset, host, _ := ir.ParseClusterName(d.Cluster)
				if host == "other.host" {
					subset = "other"
				}
				got[subset] = d.Weight
			}
			if diff := cmp.Diff(c.want, got); diff != "" || !proxy.Weighted {
				t.Errorf("%v under %+v (-want +got):\n%s", c.rule, c.split, diff)
			}
			used := slices.ContainsFunc(cfg.Splits, func(u *ir.SplitUse) bool { return slices.Equal(u.Listeners, []string{name}) })
			if used != c.touched {
				t.Errorf("%v under %+v: uses %+v, want listener %s among them: %v", c.rule, c.split, cfg.Splits, name, c.touched)
			}
		}
	}
}

func TestCompiler_aWeightOfConnectionsChangesOneListener(t *testing.T) {
	in := store(share("redis", "", 0))
	c := istio.NewCompiler("", "")
	for _, o := range in.Objects {
		c.SetObject(o)
	}
	class := ir.ProxyClass{Kind: ir.KindSidecar, Namespace: "shop", Capture: ir.CaptureRedirect}
	split := ir.Split{Key: "shop/redis", Host: "redis", Stable: "v1", Canary: "v2", Weight: 15, Seq: 1}
	c.SetSplit(split)
	before, _ := c.Compile(class)
	split.Weight, split.Seq = 50, 2
	c.SetSplit(split)
	after, _ := c.Compile(class)
	in.Splits = []ir.Split{split}
	want, _ := istio.Translate(in, class)
	if diff := cmp.Diff(want, *after); diff != "" {
		t.Fatalf("after the weight (-from nothing +step by step):\n%s", diff)
	}
	for i, l := range after.Listeners {
		if same := l == before.Listeners[i]; same == (l.Name == "10.0.0.20_6379") {
			t.Errorf("listener %s is the same: %v", l.Name, same)
		}
	}
	for i, x := range after.Clusters {
		if x != before.Clusters[i] {
			t.Errorf("cluster %s is another one", x.Name)
		}
	}
	for i, x := range after.Tables {
		if x != before.Tables[i] {
			t.Errorf("table %s is another one", x.Name)
		}
	}
}

func TestFacts_blockASplitOfConnectionsThatIsWrong(t *testing.T) {
	split := ir.Split{Key: "shop/redis", Host: "redis", Stable: "v1", Canary: "v2", Weight: 15}
	if good := istio.Facts(store(share("redis", "", 0)), split); len(good.BlockingCodes) > 0 {
		t.Errorf("a tcp rule takes part, and yet %s", good.BlockingMessage)
	}
	for code, rule := range map[string][]any{
		"S010": {share("redis", "v9", 1), share("redis", "", 1)},
		"S025": {share("redis", "", -1), share("redis", "v1", 1)},
		"S069": {share("redis", "v1", 2000000000), share("redis", "v3", 1999999999)},
	} {
		if got := istio.Facts(store(rule...), split); !slices.Contains(got.BlockingCodes, code) {
			t.Errorf("%v: blocked by %v, want %s among them", rule, got.BlockingCodes, code)
		}
	}
	bare := store()
	bare.Objects = bare.Objects[:3] // all but the rule
	bare.Objects[0] = decoded("ServiceEntry", "redis", map[string]any{
		"hosts": []any{"redis.shop.svc.cluster.local"}, "resolution": "STATIC", "ports": []any{map[string]any{"number": 6379, "name": "tcp", "protocol": "TCP"}},
		"endpoints": []any{map[string]any{"address": "10.3.0.1", "labels": map[string]any{"version": "v2"}}},
	})
	if got := istio.Facts(bare, split); !slices.Contains(got.BlockingCodes, "S064") {
		t.Errorf("nothing divides a bare TCP service, and it is blocked by %v, want S064 among it", got.BlockingCodes)
	}
}
