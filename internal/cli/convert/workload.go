package convert

import (
	"cmp"
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// following is the name of the version after one: v2 after v1.
func following(version string) string {
	if m := regexp.MustCompile(`^(.*?)([0-9]{1,9})$`).FindStringSubmatch(version); m != nil {
		n, _ := strconv.Atoi(m[2])
		return m[1] + strconv.Itoa(n+1)
	}
	return version + "-next"
}

// child is a field of a node of the output; nil: it has none.
func child(n *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		var found *yaml.Node
		for i := 0; n != nil && i+1 < len(n.Content); i += 2 {
			if n.Kind == yaml.MappingNode && n.Content[i].Value == name {
				found = n.Content[i+1]
			}
		}
		n = found
	}
	return n
}

// assign sets a field of a node of the output, in its place where it has one.
func assign(n *yaml.Node, name string, v any) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			n.Content[i+1] = scalar(v)
			return
		}
	}
	put(n, name, v)
}

// below is the mapping of that name, which is made where there is none.
func below(n *yaml.Node, name string) *yaml.Node {
	if c := child(n, name); c != nil && c.Kind == yaml.MappingNode {
		return c
	}
	m := mapping()
	assign(n, name, m)
	return m
}

// workload makes two Deployments of what runs Pods: one for the version that runs, one for the next.
func (c *conversion) workload(p *plan, name string, spec field, kept []string) {
	p.subset = cmp.Or(spec.at("template", "metadata", "labels", "version").text(), "v1")
	for i, version := range []string{p.subset, following(p.subset)} {
		d, out := object("apps/v1", "Deployment", name+"-"+version, p.namespace), mapping()
		for _, field := range kept {
			if f := spec.get(field); f.ok() {
				put(out, field, copied(f.value), f)
				f.change("in two Deployments, one for each version, with the label version")
			}
		}
		if child(out, "selector") == nil && child(out, "template", "metadata", "labels") != nil {
			put(out, "selector", mapping())
			below(child(out, "selector"), "matchLabels").Content = copied(child(out, "template", "metadata", "labels")).Content
		}
		if selector := child(out, "selector"); selector != nil {
			assign(below(selector, "matchLabels"), "version", version)
		}
		if pods := child(out, "template"); pods != nil {
			assign(below(below(pods, "metadata"), "labels"), "version", version)
		}
		put(d, "spec", out)
		if i == 1 {
			d.HeadComment = "# S903 TODO: give it the image of the next version. It is released when spec.subset of the Rollout names " + version + "."
		}
		c.add(d, "Deployment/"+p.namespace+"/"+name+"-"+version)
	}
}

// subsets makes the DestinationRule of the versions: of the one that there is, else a new one.
func (c *conversion) subsets(p *plan, name string, policy field) {
	all := list()
	for _, version := range []string{p.subset, following(p.subset)} {
		subset, labels := mapping(), mapping()
		put(labels, "version", version)
		put(subset, "name", version)
		put(subset, "labels", labels)
		all.Content = append(all.Content, flow(subset))
	}
	if d := c.find("networking.istio.io/", "DestinationRule", name); d != nil && name != "" {
		c.used[d] = true
		out := copied(d.root.value)
		assign(below(out, "spec"), "subsets", all)
		d.root.keep("as it is, but for the subsets")
		d.root.at("spec", "subsets").change("the versions themselves: Sluice writes no hash of Pods into them")
		c.add(out, "DestinationRule/"+name)
		return
	}
	out, spec := object("networking.istio.io/v1", "DestinationRule", cmp.Or(name, p.name), p.namespace), mapping()
	put(spec, "host", p.host)
	if policy.ok() {
		put(spec, "trafficPolicy", copied(policy.value), policy)
		policy.keep("DestinationRule spec.trafficPolicy")
	}
	put(spec, "subsets", all)
	put(out, "spec", spec)
	c.add(out, "DestinationRule/"+cmp.Or(name, p.name))
}

// routes lets the rules of a VirtualService send to the host: which version gets what, the Rollout says.
func (c *conversion) routes(p *plan, from field, only []string) {
	name := from.get("name").text()
	d := c.find("networking.istio.io/", "VirtualService", name)
	if d == nil {
		from.todo("VirtualService %s is not among the files: let its routes send to host %s without a subset and without weights", name, p.host)
		return
	}
	from.get("name").keep("the VirtualService stays")
	c.used[d] = true
	d.root.keep("as it is, but for the routes")
	out := copied(d.root.value)
	rules := child(out, "spec", "http")
	for i, rule := range d.root.at("spec", "http").items() {
		if len(only) > 0 && !slices.Contains(only, rule.get("name").text()) {
			continue
		}
		destination, route := mapping(), mapping()
		put(destination, "host", p.host)
		for _, r := range rule.get("route").items() {
			if port := r.at("destination", "port"); port.ok() {
				assign(destination, "port", copied(port.value))
				break
			}
		}
		put(route, "destination", destination)
		rule.get("route").change("one destination, the host: Sluice divides what goes there and never edits the file")
		assign(rules.Content[i], "route", list(route))
	}
	c.add(out, "VirtualService/"+name)
}
