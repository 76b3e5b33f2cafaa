package istio

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// headerOps reads changes to headers, and the authority where Host is set.
func (t *translator) headerOps(m Meta, at string, in *networking.Headers) (ir.HeaderOps, string) {
	var out ir.HeaderOps
	request, authority := t.headerEdit(m, at+".request", in.GetRequest())
	response, host := t.headerEdit(m, at+".response", in.GetResponse())
	if host != "" {
		t.found.policy(m, at+".response", "the host of a response")
	}
	out.Request, out.Response = request, response
	return out, authority
}

func (t *translator) headerEdit(m Meta, at string, in *networking.Headers_HeaderOperations) (ir.HeaderEdit, string) {
	var out ir.HeaderEdit
	authority := ""
	write := func(at string, values map[string]string) []ir.Header {
		var list []ir.Header
		for _, name := range sortedKeys(values) {
			switch {
			case isAuthority(name) && printable(values[name]):
				authority = cmp.Or(authority, values[name])
			case t.settable(m, at, name) && t.writable(m, at, name, values[name]):
				list = append(list, ir.Header{Name: name, Value: values[name]})
			}
		}
		return list
	}
	out.Set, out.Add = write(at+".set", in.GetSet()), write(at+".add", in.GetAdd())
	for _, name := range slices.Sorted(slices.Values(in.GetRemove())) {
		if t.settable(m, at+".remove", name) {
			out.Remove = append(out.Remove, name)
		}
	}
	return out, authority
}

// isAuthority reports whether a header stands for the host that a request is for.
func isAuthority(name string) bool {
	return strings.EqualFold(name, "host") || strings.EqualFold(name, ":authority")
}

// authorities are the values that a rule or destination gives the authority, each once.
func authorities(rewrite string, in *networking.Headers) []string {
	out := []string{rewrite}
	for _, values := range []map[string]string{in.GetRequest().GetSet(), in.GetRequest().GetAdd()} {
		for name, value := range values {
			if isAuthority(name) {
				out = append(out, value)
			}
		}
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(v string) bool { return v == "" })
}

// printable reports whether text may stand in a header.
func printable(text string) bool {
	return len(text) <= maxMatchValue && !strings.ContainsAny(text, "\x00\r\n")
}

// writable reports whether a proxy would take the value of a header; it is a format in which % begins a command.
func (t *translator) writable(m Meta, at, name, value string) bool {
	const until = "until then this header is left as it is"
	field := fmt.Sprintf("%s[%q]", at, name)
	switch {
	case !printable(value):
		t.found.fail(m, "S002", field, fmt.Sprintf("the value holds a control character, or is longer than %d bytes", maxMatchValue), "correct it; "+until)
		return false
	case !formatted(value):
		t.found.fail(m, "S002", field, fmt.Sprintf("%q has a %% that begins no command that is known here", value), "write %% for a percent sign; "+until)
		return false
	}
	return true
}

// settable reports whether a header may be changed at all: no pseudo header, and a legal name.
func (t *translator) settable(m Meta, at, name string) bool {
	if strings.HasPrefix(name, ":") || strings.EqualFold(name, "host") {
		t.found.policy(m, at, "changing the header "+name)
		return false
	}
	if !token(name) {
		t.found.fail(m, "S002", at, fmt.Sprintf("%q is no header name", name), "correct it; until then this header is left as it is")
		return false
	}
	return true
}

// token reports whether text may be the name of a header or a method.
func token(text string) bool {
	return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("()<>@,;:\\\"/[]?={}", r) })
}
