package convert

import (
	"cmp"
	"regexp"
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
