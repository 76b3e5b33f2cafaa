package istio

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/xds/ir"
)

// serverNames are the names of one listener by which its chains are chosen, and whose they are. A proxy refuses the
// whole listener where two chains match alike, so that a name has one owner. The empty name is that of all connections.
type serverNames struct {
	found *findings
	by    map[string]server
}

// claim takes the names of a server that ends TLS; false: it has none left and is dropped as a whole.
func (n serverNames) claim(s server) ([]string, bool) {
	var hosts []string
	for _, written := range s.spec.GetHosts() {
		_, host := serverHost(written, s.gateway.Namespace)
		hosts = append(hosts, host)
	}
	names, ok := n.valid(s, hosts)
	if !ok {
		return nil, false
	}
	for _, name := range keys(names) {
		if first, taken := n.by[name]; taken {
			n.report(s, first, name)
			return nil, false
		}
	}
	for _, name := range keys(names) {
		n.by[name] = s
	}
	return names, true
}

// left gives the chains of a server without the names that others have; a chain that has none left is dropped.
func (n serverNames) left(s server, chains []ir.Chain) []ir.Chain {
	var out []ir.Chain
	own := map[string]bool{} // names of this server: its chains are told apart by their addresses, too
	for _, c := range chains {
		if len(c.Match.ServerNames) > 0 {
			names, ok := n.valid(s, c.Match.ServerNames)
			if !ok {
				continue
			}
			c.Match.ServerNames = names
		}
		free, lost := without(c, func(at condition) bool { _, taken := n.by[at.name]; return taken && !own[at.name] })
		for _, at := range lost {
			n.report(s, n.by[at.name], at.name)
		}
		for _, one := range free {
			for _, name := range keys(one.Match.ServerNames) {
				n.by[name], own[name] = s, true
			}
		}
		out = append(out, free...)
	}
	return out
}

// valid gives the names that a proxy can match, sorted, each once; none: all connections. false: nothing can match.
func (n serverNames) valid(s server, hosts []string) ([]string, bool) {
	var names []string
	for _, host := range hosts {
		switch {
		case host == "*":
			return nil, true
		case strings.HasPrefix(host, "*") && !strings.HasPrefix(host, "*."):
			n.found.selection(s.gateway.Meta, s.field+".hosts", fmt.Sprintf("the TLS name %q, whose wildcard ends within a label,", host))
		default:
			names = append(names, host)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), len(names) > 0
}

// keys are the names under which a match is owned.
func keys(names []string) []string {
	if len(names) == 0 {
		return []string{""}
	}
	return names
}

func (n serverNames) report(s, first server, name string) {
	if name == "" {
		name = "*"
	}
	n.found.fail(s.gateway.Meta, "S031", s.field+".hosts", fmt.Sprintf("connections for %s already go to %s of %s", name, first.field, first.gateway.ref()),
		"name each host in one server of the port only; until then this one does not get them")
	if first.gateway.ref() != s.gateway.ref() {
		n.found.byName(first.gateway.Meta, s.gateway.Meta)
	}
}
