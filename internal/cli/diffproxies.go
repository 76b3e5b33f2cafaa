package cli

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli/lint"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/sim"
)

// maxProbes bounds the requests that one class of proxies is asked about.
const maxProbes = 2000

// proxyChanges compares what each class of proxies is given, and how it answers the requests that its routes speak of.
func proxyChanges(from, to []lint.Proxy) []view.ProxyChange {
	before, after := map[ir.ProxyClass]lint.Proxy{}, map[ir.ProxyClass]lint.Proxy{}
	for _, p := range from {
		before[p.Class] = p
	}
	for _, p := range to {
		after[p.Class] = p
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	classes := slices.SortedFunc(maps.Keys(all), func(a, b ir.ProxyClass) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Labels, b.Labels))
	})
	var out []view.ProxyChange
	for _, class := range classes {
		a, b := before[class], after[class]
		change := view.ProxyChange{Proxy: classWords(class), Resources: resourceChanges(a.Resources, b.Resources)}
		if len(change.Resources) == 0 {
			continue
		}
		change.Answers = answerChanges(a, b)
		out = append(out, change)
	}
	return out
}

func classWords(c ir.ProxyClass) string {
	text := fmt.Sprintf("%s of namespace %s", c.Kind, c.Namespace)
	if c.Labels != "" {
		text += " (" + c.Labels + ")"
	}
	return text
}

func resourceChanges(from, to envoy.Resources) []view.ResourceChange {
	out := []view.ResourceChange{}
	for _, kind := range []struct {
		name string
		a, b []envoy.Resource
	}{
		{"listener", from.Listeners, to.Listeners}, {"routes", from.Routes, to.Routes}, {"cluster", from.Clusters, to.Clusters},
		{"endpoints", from.Endpoints, to.Endpoints}, {"secret", from.Secrets, to.Secrets},
	} {
		versions := map[string][2]string{}
		for _, r := range kind.a {
			versions[r.Name] = [2]string{r.Version, ""}
		}
		for _, r := range kind.b {
			versions[r.Name] = [2]string{versions[r.Name][0], r.Version}
		}
		for _, name := range slices.Sorted(maps.Keys(versions)) {
			action := view.Changed
			switch v := versions[name]; {
			case v[0] == v[1]:
				continue
			case v[0] == "":
				action = view.Added
			case v[1] == "":
				action = view.Removed
			}
			out = append(out, view.ResourceChange{Type: kind.name, Name: name, Action: action})
		}
	}
	return out
}

// answerChanges asks both sides for every request that a route of either matches.
func answerChanges(from, to lint.Proxy) []view.AnswerChange {
	probes := map[string]sim.Request{}
	for _, p := range []lint.Proxy{from, to} {
		for _, req := range probesOf(p.Config) {
			probes[probeWords(req)] = req
		}
	}
	a, b := sim.New(from.Resources), sim.New(to.Resources)
	out := []view.AnswerChange{}
	for _, words := range slices.Sorted(maps.Keys(probes)) {
		was, is := answerWords(a.Route(probes[words])), answerWords(b.Route(probes[words]))
		if was != is {
			out = append(out, view.AnswerChange{Request: words, From: was, To: is})
		}
	}
	return out
}

// probesOf gives a request for each route of each virtual host that a listener leads to.
func probesOf(cfg ir.Config) []sim.Request {
	tables := map[string]*ir.RouteTable{}
	for _, t := range cfg.Tables {
		tables[t.Name] = t
	}
	var out []sim.Request
	for _, l := range cfg.Listeners {
		for _, chain := range l.Chains {
			table := tables[chain.Table]
			if table == nil {
				continue
			}
			base := sim.Request{Port: l.Port, Method: http.MethodGet, TLS: chain.TLS != nil}
			if names := chain.Match.ServerNames; len(names) > 0 {
				base.SNI = strings.Replace(names[0], "*", "any", 1)
			}
			for _, host := range table.VirtualHosts {
				for _, route := range host.Routes {
					if req, ok := probe(base, host.Domains, route.Match); ok && len(out) < maxProbes {
						out = append(out, req)
					}
				}
			}
		}
	}
	return out
}

// probe makes a request that a match accepts, where that is easily made: not by expressions.
func probe(req sim.Request, domains []string, m ir.Match) (sim.Request, bool) {
	if len(domains) == 0 {
		return req, false
	}
	req.Host = strings.Replace(domains[0], "*", "any", 1)
	req.Path = cmp.Or(m.Path.Value, "/")
	if m.Path.Kind == ir.PathRegex {
		req.Path = "/"
	}
	req.Headers = map[string][]string{}
	for _, h := range m.Headers {
		if h.Kind == ir.Regex || h.Invert || strings.HasPrefix(h.Name, ":") {
			continue
		}
		req.Headers[h.Name] = []string{cmp.Or(h.Value, "x")}
	}
	return req, true
}

func probeWords(r sim.Request) string {
	scheme := "http"
	if r.TLS {
		scheme = "https"
	}
	text := fmt.Sprintf("%s %s://%s%s at port %d", r.Method, scheme, r.Host, r.Path, r.Port)
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		text += fmt.Sprintf(" %s: %s", name, strings.Join(r.Headers[name], ","))
	}
	return text
}

// answerWords says where a request goes, with weights.
func answerWords(r sim.Result) string {
	switch {
	case r.Outcome == sim.Routed && len(r.Destinations) > 0:
		var parts []string
		for _, d := range r.Destinations {
			parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %s", shareWords(d.Probability), strings.TrimPrefix(d.Subset+" of "+cmp.Or(d.Host, d.Cluster), " of "))))
		}
		timeout := r.Timeout
		if timeout == "" || timeout == "0s" {
			timeout = "none"
		}
		return strings.Join(parts, ", ") + ", timeout " + timeout
	case r.Status != 0:
		return fmt.Sprintf("%s (%d)", r.Outcome, r.Status)
	}
	return string(r.Outcome)
}

func shareWords(p float64) string { return fmt.Sprintf("%.4g%%", p*100) }
