package istio

import (
	"fmt"
	"slices"
	"strings"
)

// mostReturning bounds the routes that facts name.
const mostReturning = 5

// returning are the routes that would send elsewhere without the split while stable has all of it, in words and sorted.
func (x *index) returning(s *split) []string {
	var out []string
	for _, r := range x.written[s.host] {
		p := s.part(r.site, r.destinations)
		if to := s.elsewhere(r.destinations); to != "" && (p == partTakes || p == partSwept) {
			out = append(out, fmt.Sprintf("%s %s to %s", r.site.at.ref(), r.site.field, to))
		}
	}
	if x.defaultTakes(s) {
		out = append(out, "clients without a rule of their own to "+allVersions)
	}
	slices.Sort(out)
	if out = slices.Compact(out); len(out) > mostReturning {
		out = append(out[:mostReturning-1:mostReturning-1], fmt.Sprintf("%d more", len(out)-mostReturning+1))
	}
	return out
}

// allVersions is whom a host without a subset stands for.
const allVersions = "all versions"

// elsewhere names the versions that a rule as written sends the split's requests to, where they are not stable alone.
func (s *split) elsewhere(ds []destination) string {
	var names []string
	for _, d := range ds {
		switch {
		case s.role(d) == other || d.weight == 0 || d.subset == s.Stable:
		case d.subset == "":
			names = append(names, allVersions)
		default:
			names = append(names, d.subset)
		}
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), ", ")
}
