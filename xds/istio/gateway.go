package istio

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// server is one HTTP server of a Gateway that applies to the class.
type server struct {
	gateway gateway
	spec    *networking.Server
	field   string
}

// opening is one address and port that gateways of the class open, with all servers on it.
type opening struct {
	bind    string
	port    int
	servers []server
}

// gatewayListeners makes a listener and a table for each port of the Gateways whose selector the class meets.
func (t *translator) gatewayListeners() {
	reached := map[string]bool{}
	for _, o := range t.openings() {
		table := t.gatewayTable(o, reached)
		bind := o.bind
		if bind == "" {
			bind = "0.0.0.0"
		}
		t.cfg.Tables = append(t.cfg.Tables, table)
		t.cfg.Listeners = append(t.cfg.Listeners, &ir.Listener{
			Name: bind + "_" + strconv.Itoa(o.port), Address: bind, Port: o.port, Chains: []ir.Chain{{Table: table.Name, Origins: table.Origins}}, Origins: table.Origins,
		})
	}
	t.reportUnreached(reached)
}

func (t *translator) openings() []*opening {
	var out []*opening
	for _, g := range t.gateways {
		if !contains(t.labels, g.Spec.GetSelector()) {
			continue
		}
		for i, s := range g.Spec.GetServers() {
			one := server{g, s, fmt.Sprintf("spec.servers[%d]", i)}
			if !t.checkServer(one) {
				continue
			}
			at := slices.IndexFunc(out, func(o *opening) bool { return o.bind == s.GetBind() && o.port == int(s.GetPort().GetNumber()) })
			if at < 0 {
				out = append(out, &opening{bind: s.GetBind(), port: int(s.GetPort().GetNumber())})
				at = len(out) - 1
			}
			out[at].servers = append(out[at].servers, one)
		}
	}
	return out
}

// checkServer reports what is not built or not possible; false: the server is left out.
func (t *translator) checkServer(s server) bool {
	port := s.spec.GetPort()
	switch {
	case port.GetNumber() == 0 || port.GetNumber() > 65535:
		t.found.fail(s.gateway.Meta, "S002", s.field+".port.number", fmt.Sprintf("%d is no port", port.GetNumber()), "give a number from 1 to 65535; until then the server is left out")
		return false
	case !registry.ParseProtocol(port.GetProtocol()).HTTP():
		t.found.selection(s.gateway.Meta, s.field+".port.protocol", "a server of protocol "+port.GetProtocol())
		return false
	case t.class.Unprivileged && port.GetNumber() < 1024:
		t.found.warn(s.gateway.Meta, "S033", s.field+".port.number", fmt.Sprintf("these proxies may not open port %d", port.GetNumber()), "use a port of 1024 or more")
		return false
	}
	if s.spec.GetTls() != nil && s.spec.GetTls().GetMode() != networking.ServerTLSSettings_PASSTHROUGH {
		t.found.policy(s.gateway.Meta, s.field+".tls.mode", "TLS on a server of protocol HTTP")
	}
	if s.spec.GetDefaultEndpoint() != "" {
		t.found.policy(s.gateway.Meta, s.field+".defaultEndpoint", "defaultEndpoint")
	}
	return true
}

// domain collects who serves one domain of a table.
type domain struct {
	tls      bool
	virtuals map[int]map[string]bool // index of the VirtualService -> gateways by which it is bound here
	origins  []ir.Origin
}

func (t *translator) gatewayTable(o *opening, reached map[string]bool) *ir.RouteTable {
	table := &ir.RouteTable{Name: "http." + strconv.Itoa(o.port)}
	if o.bind != "" {
		table.Name += "." + o.bind
	}
	domains := map[string]*domain{}
	for _, s := range o.servers {
		table.Origins = append(table.Origins, s.gateway.origin(s.field))
		t.bind(domains, s, reached)
	}
	for _, name := range sortedKeys(domains) {
		table.VirtualHosts = append(table.VirtualHosts, t.gatewayHost(name, domains[name], table.Name, o.port))
	}
	table.VirtualHosts = collapse(table.VirtualHosts)
	if len(table.VirtualHosts) == 0 {
		table.VirtualHosts = []*ir.VirtualHost{{Name: "blackhole:" + strconv.Itoa(o.port), Domains: []string{"*"}, Origins: table.Origins}}
	}
	return table
}

// bind adds the VirtualServices bound to a server to the domains they serve there.
func (t *translator) bind(domains map[string]*domain, s server, reached map[string]bool) {
	name := s.gateway.Namespace + "/" + s.gateway.Name
	at := func(host string) *domain {
		d := domains[host]
		if d == nil {
			d = &domain{virtuals: map[int]map[string]bool{}}
			domains[host] = d
		}
		return d
	}
	for _, written := range s.spec.GetHosts() {
		namespace, host := serverHost(written, s.gateway.Namespace)
		if s.spec.GetTls().GetHttpsRedirect() {
			d := at(host)
			d.tls = true
			d.origins = append(d.origins, s.gateway.origin(s.field))
		}
		for i, vs := range t.virtuals {
			if !slices.Contains(gatewayNames(vs.Spec.GetGateways(), vs.Namespace), name) ||
				(namespace != "*" && namespace != vs.Namespace) || !registry.Exported(vs.Spec.GetExportTo(), vs.Namespace, t.class.Namespace) {
				continue
			}
			for _, h := range vs.Spec.GetHosts() {
				common, ok := narrower(host, ResolveHost(h, vs.Namespace, t.in.suffix()))
				if !ok {
					continue
				}
				reached[vs.ref()+" "+name] = true
				d := at(common)
				d.tls = d.tls || s.spec.GetTls().GetHttpsRedirect()
				if d.virtuals[i] == nil {
					d.virtuals[i] = map[string]bool{}
				}
				d.virtuals[i][name] = true
			}
		}
	}
}

// serverHost splits the host of a server into the namespace that may bind to it ("*": any) and the host.
func serverHost(written, own string) (namespace, host string) {
	namespace, host, found := strings.Cut(strings.ToLower(written), "/")
	switch {
	case !found:
		return "*", namespace
	case namespace == ".":
		return own, host
	default:
		return namespace, host
	}
}

func (t *translator) gatewayHost(name string, d *domain, table string, port int) *ir.VirtualHost {
	out := &ir.VirtualHost{Name: name + ":" + strconv.Itoa(port), Domains: []string{name}, RequireTLS: d.tls, Origins: d.origins}
	var before Meta
	for i, vs := range t.virtuals {
		gateways := d.virtuals[i]
		if gateways == nil {
			continue
		}
		if before.Name != "" {
			t.found.info(vs.Meta, "S022", "spec.hosts", fmt.Sprintf("its rules for %s come after those of %s", name, before.ref()),
				"set the annotation sluice.dev/order where the order matters")
			t.byName(before, vs.Meta)
		}
		before = vs.Meta
		out.Origins = append(out.Origins, vs.origin("spec"))
		out.Routes = append(out.Routes, t.routes(vs, place{table: table, port: port, gateways: gateways})...)
	}
	slices.SortStableFunc(out.Routes, func(a, b ir.Route) int { return rank(!a.Match.CatchAll()) - rank(!b.Match.CatchAll()) })
	return out
}

// collapse joins virtual hosts that answer alike into one with several domains, named after the most specific.
func collapse(hosts []*ir.VirtualHost) []*ir.VirtualHost {
	slices.SortFunc(hosts, func(a, b *ir.VirtualHost) int { return compareSpecific(a.Domains[0], b.Domains[0]) })
	var out []*ir.VirtualHost
	at := map[string]int{}
	for _, h := range hosts {
		key, err := json.Marshal(struct {
			Routes []ir.Route
			TLS    bool
		}{h.Routes, h.RequireTLS})
		if err != nil {
			panic("plain values always marshal: " + err.Error())
		}
		i, ok := at[string(key)]
		if !ok {
			at[string(key)] = len(out)
			out = append(out, h)
			continue
		}
		out[i].Domains = append(out[i].Domains, h.Domains...)
	}
	for i := range out {
		slices.Sort(out[i].Domains)
	}
	slices.SortFunc(out, func(a, b *ir.VirtualHost) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// reportUnreached names VirtualServices that are bound to a Gateway of the class and share no host with it.
func (t *translator) reportUnreached(reached map[string]bool) {
	for _, g := range t.gateways {
		if !contains(t.labels, g.Spec.GetSelector()) {
			continue
		}
		name := g.Namespace + "/" + g.Name
		for _, vs := range t.virtuals {
			if slices.Contains(gatewayNames(vs.Spec.GetGateways(), vs.Namespace), name) && !reached[vs.ref()+" "+name] {
				t.found.warn(vs.Meta, "S024", "spec.hosts", fmt.Sprintf("Gateway %s serves none of its hosts over HTTP", name), "add the host to a server of the Gateway, or correct it")
			}
		}
	}
}
