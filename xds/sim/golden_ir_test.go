package sim_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/xds/ir"
)

// neutral prints what of the ir a case is about: the nodes that come from an object of the case itself, or those named.
// Origins are left out, and so are retries where they are those of a rule that says nothing of them.
func (s story) neutral(t *testing.T, names []string) []byte {
	t.Helper()
	var b strings.Builder
	for _, n := range nodes(s.cfg) {
		if !s.shows(names, n) {
			continue
		}
		fmt.Fprintf(&b, "%s %s\n", n.kind, n.name)
		value := n.value
		if table, ok := value.(*ir.RouteTable); ok {
			value = s.ownHosts(table, names)
		}
		hidden := []string{"Name"}
		if n.kind != "listener" {
			hidden = append(hidden, "Cluster", "Host", "Subset", "Port", "Key") // parts of the name
		}
		shown(reflect.ValueOf(value)).without(hidden...).write(&b, "  ")
	}
	return []byte(b.String())
}

// node is a part of a Config that stands for a resource.
type node struct {
	kind    string
	name    string
	origins []ir.Origin
	value   any
}

func nodes(c ir.Config) []node {
	var out []node
	for _, x := range c.Listeners {
		out = append(out, node{"listener", x.Name, x.Origins, x})
	}
	for _, x := range c.Tables {
		origins := slices.Clone(x.Origins)
		for _, h := range x.VirtualHosts {
			origins = append(origins, hostOrigins(h)...)
		}
		out = append(out, node{"table", x.Name, origins, x})
	}
	for _, x := range c.Clusters {
		out = append(out, node{"cluster", x.Name, x.Origins, x})
	}
	for _, x := range c.Endpoints {
		out = append(out, node{"endpoints", x.Cluster, x.Origins, x})
	}
	for _, x := range c.Secrets {
		out = append(out, node{"secret", x.Name, x.Origins, x})
	}
	for _, x := range c.Splits {
		out = append(out, node{"split", x.Key, nil, x})
	}
	return out
}

func hostOrigins(h *ir.VirtualHost) []ir.Origin {
	out := slices.Clone(h.Origins)
	for _, r := range h.Routes {
		out = append(out, r.Origins...)
	}
	return out
}

// shows reports whether a case shows a node: by its name, if the case gives names, else by where it comes from.
func (s story) shows(names []string, n node) bool {
	if len(names) > 0 {
		return slices.Contains(names, n.name) || slices.Contains(names, n.kind)
	}
	if n.kind == "split" {
		return s.own["Rollout/"+n.name]
	}
	return s.owned(n.origins)
}

func (s story) owned(origins []ir.Origin) bool {
	return slices.ContainsFunc(origins, func(o ir.Origin) bool { return s.own[o.Kind+"/"+o.Namespace+"/"+o.Name] })
}

// ownHosts keeps the virtual hosts that the case is about; a table asked for by name is whole.
func (s story) ownHosts(table *ir.RouteTable, names []string) *ir.RouteTable {
	if slices.Contains(names, table.Name) || s.owned(table.Origins) {
		return table
	}
	out := *table
	out.VirtualHosts = slices.DeleteFunc(slices.Clone(table.VirtualHosts), func(h *ir.VirtualHost) bool { return len(names) == 0 && !s.owned(hostOrigins(h)) })
	return &out
}

func (v tree) without(names ...string) tree {
	return tree{fields: slices.DeleteFunc(slices.Clone(v.fields), func(f field) bool { return slices.Contains(names, f.name) })}
}

// shown is a value of the ir without what is zero.
func shown(v reflect.Value) tree {
	if text, ok := plain(v); ok {
		return tree{text: text}
	}
	var out tree
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return tree{}
		}
		return orSet(shown(v.Elem()))
	case reflect.Struct:
		for i := range v.NumField() {
			out.add(v.Type().Field(i).Name, shownField(v.Type().Field(i).Name, v.Field(i)))
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 && v.Len() > 0 {
			return tree{text: "(hidden)"}
		}
		return shownList(v)
	case reflect.Map:
		panic("the ir has no maps")
	default:
		if !v.IsZero() {
			out.text = strings.ReplaceAll(fmt.Sprint(v.Interface()), plainRetry().On, "(usual)")
		}
	}
	return out
}

// shownList shows what has names under them.
func shownList(v reflect.Value) tree {
	var out, named tree
	for i := range v.Len() {
		one := orSet(shown(v.Index(i)))
		out.list = append(out.list, one)
		if at := slices.IndexFunc(one.fields, func(f field) bool { return f.name == "Name" && f.value.text != "" }); at >= 0 {
			named.add(one.fields[at].value.text, orSet(one.without("Name")))
		}
	}
	if len(named.fields) == v.Len() {
		return named
	}
	return out
}

// orSet says that something is there, though all of it is zero.
func orSet(v tree) tree {
	if v.empty() {
		v.text = "set"
	}
	return v
}

func shownField(name string, v reflect.Value) tree {
	switch x := v.Interface().(type) {
	case []ir.Origin:
		return tree{}
	case *ir.Retry:
		if x == nil {
			return tree{text: "none"}
		}
		if reflect.DeepEqual(*x, plainRetry()) {
			return tree{}
		}
	case time.Duration:
		if x == 0 {
			return tree{}
		}
	}
	if name == "Name" && v.Kind() == reflect.String {
		return tree{text: v.String()}
	}
	return shown(v)
}

// plainRetry is what a rule has that says nothing of retries.
func plainRetry() ir.Retry {
	return ir.Retry{Attempts: 2, On: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes", OtherHosts: true}
}

// plain is the short form of some types, and the names of constants in place of their numbers.
func plain(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case ir.PathMatch:
		text := map[ir.PathKind]string{ir.PathPrefix: "prefix ", ir.PathExact: "exact ", ir.PathRegex: "regex "}[x.Kind] + x.Value
		if x.IgnoreCase {
			text += " in any case"
		}
		return text, true
	case ir.HeaderMatch:
		text := x.Name + map[ir.StringKind]string{ir.Present: " present", ir.Exact: " = ", ir.Prefix: " begins with ", ir.Regex: " matches "}[x.Kind] + x.Value
		if x.Invert {
			text = "not " + text
		}
		if x.MissingAsEmpty {
			text += " (or missing)"
		}
		return text, true
	case ir.OriginMatch:
		return map[ir.StringKind]string{ir.Exact: "", ir.Prefix: "begins with ", ir.Regex: "matches "}[x.Kind] + x.Value, true
	case ir.Header:
		return x.Name + "=" + x.Value, true
	case ir.Endpoint:
		return endpoint(x)
	case ir.Destination:
		if x.Headers.Empty() && x.Rewrite == "" {
			return strings.TrimSpace(fmt.Sprintf("%d %s", x.Weight, x.Cluster)), true
		}
	case time.Duration:
		return x.String(), true
	}
	return constant(v)
}

func endpoint(x ir.Endpoint) (string, bool) {
	if reflect.DeepEqual(x, ir.Endpoint{Address: x.Address, Port: x.Port, Weight: x.Weight}) {
		text := fmt.Sprintf("%s:%d", x.Address, x.Port)
		if x.Weight != 1 {
			text += fmt.Sprintf(" weight %d", x.Weight)
		}
		return text, true
	}
	return "", false
}

func constant(v reflect.Value) (string, bool) {
	names := map[ir.ListenerCapture]string{ir.HandsOver: "hands over", ir.HandedOnly: "is handed only"}
	auths := map[ir.ClientAuth]string{ir.OptionalClientCertificate: "optional", ir.RequireClientCertificate: "required"}
	versions := map[ir.TLSVersion]string{ir.TLS10: "1.0", ir.TLS11: "1.1", ir.TLS12: "1.2", ir.TLS13: "1.3"}
	switch x := v.Interface().(type) {
	case ir.Discovery:
		return map[ir.Discovery]string{
			ir.DiscoveryStrictDNS: "strict DNS", ir.DiscoveryLogicalDNS: "logical DNS", ir.DiscoveryOriginal: "original destination", ir.DiscoveryNothing: "none",
		}[x], x != ir.DiscoveryEDS
	case ir.Balance:
		return x.String(), x != ir.LeastRequest
	case ir.ListenerCapture:
		return names[x], names[x] != ""
	case ir.ClientAuth:
		return auths[x], auths[x] != ""
	case ir.TLSVersion:
		return versions[x], versions[x] != ""
	}
	return "", false
}
