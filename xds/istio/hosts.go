package istio

import (
	"cmp"
	"net/netip"
	"strings"
)

// ResolveHost is the full form of a host as written in an object of the namespace: a name without a dot is a service
// of that namespace; names with a dot, wildcards and addresses stay.
func ResolveHost(host, namespace, suffix string) string {
	host = strings.ToLower(host)
	if host == "" || strings.ContainsAny(host, ".*:") { // with a colon it is an IPv6 address
		return host
	}
	return host + "." + namespace + ".svc." + suffix
}

// covers reports whether every host of pattern b is one of pattern a. A pattern is a name or a leading "*" and a suffix.
func covers(a, b string) bool {
	suffix, wild := strings.CutPrefix(a, "*")
	if !wild {
		return a == b
	}
	return strings.HasSuffix(strings.TrimPrefix(b, "*"), suffix) && (len(b) > len(suffix) || suffix == "")
}

// narrower gives the one of two overlapping patterns that has fewer hosts; false: they do not overlap.
func narrower(a, b string) (string, bool) {
	switch {
	case covers(a, b):
		return b, true
	case covers(b, a):
		return a, true
	default:
		return "", false
	}
}

// compareSpecific orders patterns: exact before wildcard, longer before shorter, then by the alphabet.
func compareSpecific(a, b string) int {
	wild := func(s string) int {
		if strings.HasPrefix(s, "*") {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(wild(a), wild(b)), cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
}

// domainsOf are the names by which clients in the class's namespace call a host.
func (t *translator) domainsOf(host string, vips []string) []string {
	out := []string{host}
	if name, ok := strings.CutSuffix(host, ".svc."+t.suffix()); ok && strings.Count(name, ".") == 1 && !strings.Contains(name, "*") {
		if short, own := strings.CutSuffix(name, "."+t.class.Namespace); own {
			out = append(out, short)
		}
		out = append(out, name, name+".svc")
	}
	for _, ip := range vips {
		if a, err := netip.ParseAddr(ip); err == nil {
			if a.Is6() {
				ip = "[" + ip + "]"
			}
			out = append(out, ip)
		}
	}
	return out
}
