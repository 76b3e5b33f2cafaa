package meshgen

import (
	"maps"

	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/istio"
)

// sound draws an object that has an effect: rules for a host that exists, subsets of it, or a rule that delegates. What it
// says beyond that follows the schema.
func (m *Mesh) sound(t *rapid.T) istio.Object {
	namespace := rapid.SampledFrom(namespaces()[:2]).Draw(t, "namespace")
	name := rapid.SampledFrom(names()).Draw(t, "name")
	host := rapid.SampledFrom([]string{"a", "b", "a.shop", "b.front.svc.cluster.local"}).Draw(t, "host")
	switch rapid.IntRange(0, 4).Draw(t, "sound") {
	case 0, 1:
		return decode("VirtualService", namespace, name, nil, m.forwards(t, host))
	case 2:
		spec := map[string]any{"host": host, "subsets": []any{
			map[string]any{"name": "v1", "labels": map[string]any{"version": "v1"}},
			map[string]any{"name": "v2", "labels": map[string]any{"version": "v2"}, "trafficPolicy": m.part(t, "DestinationRule", "trafficPolicy")},
		}}
		if rapid.Bool().Draw(t, "policy") {
			spec["trafficPolicy"] = m.part(t, "DestinationRule", "trafficPolicy")
		}
		return decode("DestinationRule", namespace, name, nil, spec)
	case 3:
		spec := m.forwards(t, host)
		spec["http"] = append([]any{map[string]any{
			"match": []any{map[string]any{"uri": map[string]any{"prefix": "/a"}}}, "delegate": map[string]any{"name": "d", "namespace": "shop"},
		}}, spec["http"].([]any)...)
		return decode("VirtualService", namespace, name, nil, spec)
	default:
		spec := m.forwards(t, host)
		delete(spec, "hosts")
		delete(spec, "gateways")
		return decode("VirtualService", "shop", "d", nil, spec)
	}
}

// forwards is a VirtualService that sends requests for a host there, or to its subsets.
func (m *Mesh) forwards(t *rapid.T, host string) map[string]any {
	var rules []any
	for range rapid.IntRange(1, 2).Draw(t, "rules") {
		rule := map[string]any{}
		if rapid.Bool().Draw(t, "more") {
			maps.Copy(rule, m.part(t, "VirtualService", "http"))
			delete(rule, "redirect")
			delete(rule, "directResponse")
			delete(rule, "delegate")
		}
		rule["route"] = m.shares(t, host)
		rules = append(rules, rule)
	}
	hosts := rapid.SampledFrom([][]any{{host}, {host, "x.example"}, {"x.example", "y.example"}, {"*.example"}}).Draw(t, "hosts")
	out := map[string]any{"hosts": hosts, "gateways": []any{"mesh", "shop/front", "front/front"}, "http": rules}
	if rapid.Bool().Draw(t, "tcp") {
		rule := map[string]any{"route": m.shares(t, host)}
		if block := rapid.SampledFrom([]string{"", "10.1.0.0/16", "10.1.2.0/24"}).Draw(t, "block"); block != "" {
			rule["match"] = []any{map[string]any{"destinationSubnets": []any{block}}}
		}
		out["tcp"] = []any{rule, map[string]any{"route": m.shares(t, host)}}
	}
	if rapid.Bool().Draw(t, "tls") {
		names := rapid.SampledFrom([][]any{{"x.example"}, {"y.example", "x.example"}, {"*.example"}, {host}, {"*"}}).Draw(t, "names")
		out["tls"] = []any{
			map[string]any{"route": m.shares(t, host), "match": []any{map[string]any{"sniHosts": names}}},
			map[string]any{"route": m.shares(t, host), "match": []any{map[string]any{"sniHosts": []any{"x.example"}}}},
		}
	}
	return out
}

// shares sends to a host or to its subsets.
func (m *Mesh) shares(t *rapid.T, host string) []any {
	var route []any
	for range rapid.IntRange(1, 2).Draw(t, "destinations") {
		d := map[string]any{"host": host}
		if s := rapid.SampledFrom([]string{"", "", "v1", "v2"}).Draw(t, "subset"); s != "" {
			d["subset"] = s
		}
		route = append(route, map[string]any{"destination": d, "weight": rapid.SampledFrom([]int{1, 2, 50}).Draw(t, "weight")})
	}
	return route
}

// part draws a message as it stands in a field of a kind.
func (m *Mesh) part(t *rapid.T, kind string, field string) map[string]any {
	return m.schema.message(t, m.schema.kinds[kind].Fields().ByJSONName(field).Message(), 1)
}
