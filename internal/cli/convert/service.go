package convert

import (
	"cmp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// service writes out what Flagger makes by itself: the Service, the VirtualService and the DestinationRule.
func (c *conversion) service(p *plan, f field, target string) {
	port, err := strconv.Atoi(f.get("port").text())
	if err != nil {
		port = 80
	}
	c.clusterService(p, f, target, port)
	c.virtualService(p, f, port)
	c.subsets(p, "", f.get("trafficPolicy"))
	for _, one := range f.fields() {
		switch one.key.Value {
		case "name":
			one.keep("spec.host")
		case "portDiscovery":
			one.drop("write out the other ports of the Service")
		case "apex", "primary", "canary":
			one.drop("one Service is written: put labels and annotations there")
		case "delegation":
			one.drop("write the delegating VirtualService by hand")
		default:
			one.drop(unmeant)
		}
	}
}

// clusterService is the Service that all versions share.
func (c *conversion) clusterService(p *plan, f field, target string, port int) {
	if d := c.find("v1", "Service", p.namespace, p.host); d != nil {
		for _, name := range []string{"port", "targetPort", "portName", "appProtocol"} {
			f.get(name).change("the Service %s stays as it is", p.host)
		}
		return
	}
	out, spec, selector, one := object("v1", "Service", p.host, p.namespace), mapping(), mapping(), mapping()
	app := target
	if d := c.find("apps/", "Deployment", p.namespace, target); d != nil {
		app = cmp.Or(d.root.at("spec", "template", "metadata", "labels", "app").text(), app)
	}
	put(selector, "app", app)
	put(spec, "selector", flow(selector))
	put(one, "name", cmp.Or(f.get("portName").text(), "http"))
	put(one, "port", port, f.get("port"))
	if to := f.get("targetPort"); to.ok() {
		put(one, "targetPort", copied(to.value), to)
	}
	if proto := f.get("appProtocol"); proto.ok() {
		put(one, "appProtocol", copied(proto.value), proto)
	}
	for _, name := range []string{"port", "targetPort", "portName", "appProtocol"} {
		f.get(name).keep("Service %s spec.ports", p.host)
	}
	put(spec, "ports", list(one))
	put(out, "spec", spec)
	c.add(out, "Service/"+p.namespace+"/"+p.host)
}

// virtualService routes to the host; what else Flagger passed on to it stays.
func (c *conversion) virtualService(p *plan, f field, port int) {
	out, spec, rule := object("networking.istio.io/v1", "VirtualService", p.name, p.namespace), mapping(), mapping()
	hosts := list(scalar(p.host))
	if own := f.get("hosts"); len(own.items()) > 0 {
		hosts = list()
		for _, h := range texts(own) {
			hosts.Content = append(hosts.Content, scalar(h))
		}
		if !hasText(hosts, p.host) && !hasText(hosts, "*") {
			hosts.Content = append(hosts.Content, scalar(p.host))
		}
		own.keep("VirtualService %s spec.hosts", p.name)
	}
	put(spec, "hosts", hosts)
	if gateways := f.get("gateways"); len(gateways.items()) > 0 {
		put(spec, "gateways", copied(gateways.value), gateways)
		gateways.keep("VirtualService %s spec.gateways", p.name)
	}
	for _, name := range []string{"match", "rewrite", "headers", "timeout", "retries", "corsPolicy"} {
		if one := f.get(name); one.ok() {
			put(rule, name, copied(one.value), one)
			one.keep("VirtualService %s spec.http[0].%s", p.name, name)
		}
	}
	destination, route, number := mapping(), mapping(), mapping()
	put(destination, "host", p.host)
	put(number, "number", port)
	put(destination, "port", flow(number))
	put(route, "destination", flow(destination))
	put(rule, "route", list(route))
	put(spec, "http", list(rule))
	put(out, "spec", spec)
	c.add(out, "VirtualService/"+p.namespace+"/"+p.name)
}

func hasText(n *yaml.Node, text string) bool {
	for _, c := range n.Content {
		if c.Value == text {
			return true
		}
	}
	return false
}
