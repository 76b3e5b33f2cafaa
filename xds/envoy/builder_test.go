package envoy_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
)

// follows gives the resources of the last of several configurations, built one after the other, and what was wrong.
func follows(configs ...ir.Config) (envoy.Resources, []*envoy.ResourceError) {
	b := envoy.NewBuilder()
	var res envoy.Resources
	var bad []*envoy.ResourceError
	for _, c := range configs {
		res, bad = b.Build(&c)
	}
	return res, bad
}

func TestBuilder_putsTablesTogetherAsEncodingThemWholeWould(t *testing.T) {
	for _, kind := range []ir.Kind{ir.KindGateway, ir.KindGRPC} {
		c := config(15)
		c.Kind, c.Listeners = kind, nil
		r := build(t, c).Routes[0]
		var table routev3.RouteConfiguration
		if err := proto.Unmarshal(r.Any.GetValue(), &table); err != nil {
			t.Fatal(err)
		}
		whole, err := proto.MarshalOptions{Deterministic: true}.Marshal(&table)
		if err != nil || !bytes.Equal(whole, r.Any.GetValue()) {
			t.Errorf("%s: %d bytes put together, %d encoded whole, error %v", kind, len(r.Any.GetValue()), len(whole), err)
		}
		if len(r.Parts) != 2 || r.Parts[1].Name != "b:80" || !bytes.Contains(whole, r.Parts[1].Bytes) || len(r.Parts[1].Version) != 32 {
			t.Errorf("%s: parts %v", kind, r.Parts)
		}
	}
}

func TestBuilder_whatIsSharedIsNotBuiltAgain(t *testing.T) {
	first := config(15)
	next := first
	table := *first.Tables[0]
	table.VirtualHosts = slices.Clone(table.VirtualHosts)
	table.VirtualHosts[0] = config(50).Tables[0].VirtualHosts[0]
	next.Tables = []*ir.RouteTable{&table}
	b := envoy.NewBuilder()
	before, _ := b.Build(&first)
	after, bad := b.Build(&next)
	if len(bad) > 0 {
		t.Fatal(bad)
	}
	if &before.Clusters[0] != &after.Clusters[0] || &before.Endpoints[0] != &after.Endpoints[0] || &before.Listeners[0] != &after.Listeners[0] {
		t.Error("lists that did not change were built again")
	}
	if &before.Routes[0].Parts[1].Bytes[0] != &after.Routes[0].Parts[1].Bytes[0] {
		t.Error("the other virtual host was encoded again")
	}
	want, _ := envoy.Build(next)
	if diff := cmp.Diff(want, after, protocmp.Transform()); diff != "" {
		t.Errorf("resources (-from nothing +one after the other):\n%s", diff)
	}
}

func TestBuilder_keepsWhatWasLastGood(t *testing.T) {
	newDomain := func(c *ir.Config) { c.Tables[0].VirtualHosts[0].Domains = []string{"a", "b"} }
	for _, c := range []struct {
		name  string
		spoil func(*ir.Config)
		lost  string
		kept  bool
		hosts string
	}{
		{"virtual host", func(c *ir.Config) { c.Tables[0].VirtualHosts[1].Routes[0].Forward.Destinations = nil }, "http.80/b:80", true, "a:80 b:80"},
		{"its domain is another's now", func(c *ir.Config) {
			c.Tables[0].VirtualHosts[1].Routes[0].Forward.Destinations = nil
			newDomain(c)
		}, "http.80/b:80", false, "a:80"},
		{"cluster", func(c *ir.Config) { c.Clusters[0].Pool.ConnectTimeout = -1 }, "s", true, "a:80 b:80"},
		{"virtual host that is too large", func(c *ir.Config) {
			h := c.Tables[0].VirtualHosts[1]
			h.Routes = nil
			for range 12 {
				h.Routes = append(h.Routes, ir.Route{Match: all("/"), Direct: &ir.Direct{Status: 200, Body: strings.Repeat("x", 1<<20)}})
			}
		}, "http.80/b:80", true, "a:80 b:80"},
	} {
		t.Run(c.name, func(t *testing.T) {
			spoilt := config(50)
			c.spoil(&spoilt)
			res, bad := follows(config(15), spoilt)
			if len(bad) != 1 || bad[0].Name != c.lost || bad[0].Kept != c.kept {
				t.Fatalf("errors %v, want one about %s", bad, c.lost)
			}
			var table routev3.RouteConfiguration
			if err := proto.Unmarshal(res.Routes[0].Any.GetValue(), &table); err != nil {
				t.Fatal(err)
			}
			var hosts []string
			for _, h := range table.GetVirtualHosts() {
				hosts = append(hosts, h.GetName())
			}
			if got := strings.Join(hosts, " "); got != c.hosts || len(res.Clusters) != 2 || len(res.Listeners) != 1 {
				t.Errorf("virtual hosts %s, want %s; %v", got, c.hosts, versions(res))
			}
			healed, bad := follows(config(15), spoilt, config(50))
			if len(bad) > 0 {
				t.Errorf("mended, and still %v", bad)
			}
			if diff := cmp.Diff(versions(build(t, config(50))), versions(healed)); diff != "" {
				t.Errorf("mended (-want +got):\n%s", diff)
			}
		})
	}
}

func TestBuilder_saysWhatIsLarge(t *testing.T) {
	for _, c := range []struct {
		bodies int
		code   string
		tables int
	}{{0, "", 1}, {2, envoy.CodeLarge, 1}, {11, envoy.CodeTooLarge, 1}} {
		cfg := config(15)
		cfg.Listeners = nil
		for range c.bodies {
			cfg.Tables[0].VirtualHosts[0].Routes = append(cfg.Tables[0].VirtualHosts[0].Routes, ir.Route{Match: all("/"), Direct: &ir.Direct{Status: 200, Body: strings.Repeat("x", 1<<20)}})
		}
		res, bad := follows(cfg)
		code := ""
		if len(bad) > 0 {
			code = bad[0].Code
		}
		if code != c.code || len(res.Routes) != c.tables {
			t.Errorf("%d MiB: %d tables, errors %v, want %d and %q", c.bodies, len(res.Routes), bad, c.tables, c.code)
		}
		if _, err := envoy.Build(cfg); (err != nil) != (c.code == envoy.CodeTooLarge) {
			t.Errorf("%d MiB: error %v", c.bodies, err)
		}
	}
}

func TestBuilder_keepsATableGoingBesideAHostThatIsTooLarge(t *testing.T) {
	large := func(weight uint32, bodies int) ir.Config {
		cfg := config(weight)
		h := &ir.VirtualHost{Name: "large:80", Domains: []string{"large.example"}}
		for range bodies {
			h.Routes = append(h.Routes, ir.Route{Match: all("/"), Direct: &ir.Direct{Status: 200, Body: strings.Repeat("x", 1<<20)}})
		}
		cfg.Tables[0].VirtualHosts = append(cfg.Tables[0].VirtualHosts, h)
		slices.SortFunc(cfg.Tables[0].VirtualHosts, func(a, b *ir.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
		return cfg
	}
	part := func(res envoy.Resources, name string) string {
		for _, p := range res.Routes[0].Parts {
			if p.Name == name {
				return p.Version
			}
		}
		return "none"
	}
	other := config(15).Tables[0].VirtualHosts[0].Name
	want, _ := follows(config(15))
	small, _ := follows(large(15, 1))
	for _, c := range []struct {
		name   string
		before []ir.Config
		large  string
		kept   bool
	}{
		{"new", nil, "none", false},
		{"grown", []ir.Config{large(50, 1)}, part(small, "large:80"), true},
		{"grown, and again", []ir.Config{large(50, 1), large(20, 12)}, part(small, "large:80"), true},
		{"new, and shrunk since", []ir.Config{large(50, 12), large(50, 1)}, part(small, "large:80"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			res, bad := follows(append(slices.Clone(c.before), large(15, 11))...)
			if len(res.Routes) != 1 || part(res, other) != part(want, other) || part(res, "large:80") != c.large {
				t.Errorf("the other host is %s, want %s; the large one %s, want %s", part(res, other), part(want, other), part(res, "large:80"), c.large)
			}
			i := slices.IndexFunc(bad, func(e *envoy.ResourceError) bool { return e.Code == envoy.CodeTooLarge })
			if i < 0 || bad[i].Name != "http.80/large:80" || bad[i].Kept != c.kept {
				t.Errorf("errors %v", bad)
			}
			if whole := proto.Size(res.Routes[0].Any); whole > 10<<20 {
				t.Errorf("%d bytes are served", whole)
			}
			if healed, bad := follows(append(slices.Clone(c.before), large(15, 11), large(15, 1))...); len(bad) != 0 && bad[0].Code != envoy.CodeLarge || part(healed, "large:80") != part(small, "large:80") {
				t.Errorf("mended, and still %v", bad)
			}
		})
	}
}

func TestBuilder_leavesOutChainsThatWouldWaitForEver(t *testing.T) {
	c := config(15)
	tls := &ir.ServerTLS{Certificates: []ir.Certificate{{Secret: "kubernetes://nosuch"}}}
	c.Listeners[0].Chains = append(c.Listeners[0].Chains,
		ir.Chain{Name: "secure", Match: ir.ChainMatch{ServerNames: []string{"x"}}, Table: "http.80", TLS: tls},
		ir.Chain{Name: "adrift", Match: ir.ChainMatch{ServerNames: []string{"y"}}, Table: "nosuch"})
	res, err := envoy.Build(c)
	if len(res.Listeners) != 1 || !cmp.Equal(res.Listeners[0].Tables, []string{"http.80"}) || len(res.Listeners[0].Secrets) != 0 {
		t.Errorf("listeners %v", res.Listeners)
	}
	var bad *envoy.ResourceError
	if !errors.As(err, &bad) || bad.Name != "0.0.0.0_80/secure" || !strings.Contains(err.Error(), "adrift") {
		t.Errorf("error %v", err)
	}
}

func TestBuilder_afreshForgetsAllButWhatWasGood(t *testing.T) {
	spoilt := config(50)
	spoilt.Tables[0].VirtualHosts[1].Routes[0].Forward.Destinations = nil
	b := envoy.NewBuilder()
	good := config(15)
	b.Build(&good)
	want, _ := b.Build(&spoilt)
	got, bad := b.Afresh().Build(&spoilt)
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" || len(bad) != 1 || !bad[0].Kept {
		t.Errorf("errors %v, resources (-before +afresh):\n%s", bad, diff)
	}
}
