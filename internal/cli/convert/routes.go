package convert

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

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
	if d := c.find("networking.istio.io/", "DestinationRule", p.namespace, name); d != nil && name != "" {
		shared := c.edited[d] != nil
		spec := below(c.edit(d), "spec")
		d.root.keep("as it is, but for the subsets")
		d.root.at("spec", "subsets").change("the versions themselves: Sluice writes no hash of Pods into them")
		if shared {
			unite(child(spec, "subsets"), all)
			return
		}
		assign(spec, "subsets", all)
		return
	}
	id := "DestinationRule/" + p.namespace + "/" + cmp.Or(name, p.name)
	if there := c.made[id]; there != nil {
		unite(child(there, "spec", "subsets"), all)
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
	c.add(out, id)
}

// unite adds to a list of subsets those that it does not name yet.
func unite(to, more *yaml.Node) {
	for _, s := range more.Content {
		if !slices.ContainsFunc(to.Content, func(o *yaml.Node) bool { return child(o, "name").Value == child(s, "name").Value }) {
			to.Content = append(to.Content, s)
		}
	}
}

// virtual is the VirtualService that Argo Rollouts means by a name, which may have the namespace behind a dot.
func (c *conversion) virtual(p *plan, name string) *source {
	if d := c.find("networking.istio.io/", "VirtualService", p.namespace, name); d != nil {
		return d
	}
	if first, namespace, ok := strings.Cut(name, "."); ok {
		return c.find("networking.istio.io/", "VirtualService", namespace, first)
	}
	return nil
}

// routes lets the rules of a VirtualService send to the host: which version gets what, the Rollout says.
func (c *conversion) routes(p *plan, from field, only []string) {
	name := from.get("name").text()
	d := c.virtual(p, name)
	if d == nil {
		from.todo("VirtualService %s is not among the files: let its routes send to host %s without a subset and without weights", name, p.host)
		return
	}
	out := c.edit(d)
	rules := child(out, "spec", "http")
	for i, rule := range d.root.at("spec", "http").items() {
		if len(only) > 0 && !slices.Contains(only, rule.get("name").text()) {
			continue
		}
		if other := c.routed[rules.Content[i]]; other != "" {
			from.todo("route %s of VirtualService %s is divided by Rollout %s already: name in routes what is this one's", cmp.Or(rule.get("name").text(), rule.path), name, other)
			continue
		}
		c.routed[rules.Content[i]] = p.namespace + "/" + p.name
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
	from.get("name").keep("the VirtualService stays")
	d.root.keep("as it is, but for the routes")
}
