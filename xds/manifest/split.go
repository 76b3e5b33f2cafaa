package manifest

import (
	"slices"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// SplitOf is the split that a Rollout renders; one without status is taken as just adopted. False: it renders none, since
// it only watches what others do with its traffic.
func SplitOf(ro *v1alpha1.Rollout) (ir.Split, bool) {
	s := ir.Split{
		Key: ro.Namespace + "/" + ro.Name, UID: string(ro.UID), Host: ro.Spec.Host, Stable: ro.Spec.Subset,
		Routes: slices.Clone(ro.Spec.Routes), Created: ro.CreationTimestamp.Time,
	}
	if ro.Spec.PreviewHost != "" {
		s.Preview = &ir.Preview{Host: ro.Spec.PreviewHost}
	}
	st := ro.Status
	if st == nil || st.Stable.Name == "" {
		return s, !ro.Spec.DryRun
	}
	s.Stable, s.Weight, s.Seq, s.Managed = st.Stable.Name, int(st.Weight), uint64(max(0, st.Traffic.Seq)), slices.Clone(st.Managed)
	if st.Canary != nil {
		s.Canary = st.Canary.Name
	}
	for _, m := range st.Traffic.Match {
		s.Match = append(s.Match, ir.ClientMatch{Headers: conditions(m.Headers), Cookies: conditions(m.Cookies)})
	}
	if m := st.Traffic.Mirror; m != nil {
		s.Copies = &ir.Copies{Percent: int(m.Percent)}
		for _, method := range m.Methods {
			s.Copies.Methods = append(s.Copies.Methods, string(method))
		}
	}
	s.Affinity = affinity(st.Traffic.Affinity)
	if st.Traffic.Preview != "" {
		s.Preview = &ir.Preview{Host: st.Traffic.Preview, Canary: true}
	}
	return s, !st.Observe
}

func conditions(in []v1alpha1.ValueMatch) []ir.HeaderMatch {
	var out []ir.HeaderMatch
	for _, v := range in {
		m := ir.HeaderMatch{Name: v.Name, Kind: ir.Exact, Value: v.Exact}
		switch {
		case v.Prefix != "":
			m.Kind, m.Value = ir.Prefix, v.Prefix
		case v.Regex != "":
			m.Kind, m.Value = ir.Regex, v.Regex
		}
		out = append(out, m)
	}
	return out
}

func affinity(in *v1alpha1.Affinity) *ir.Affinity {
	switch {
	case in == nil:
		return nil
	case in.Header != nil:
		return &ir.Affinity{Header: in.Header.Name}
	case in.Cookie == nil:
		return nil
	}
	c := in.Cookie
	life := c.MaxAge.Or(0)
	out := &ir.Cookie{Name: c.Name, Path: c.Path, TTL: &life}
	if c.Secure == nil || *c.Secure {
		out.Attributes = append(out.Attributes, ir.Header{Name: "Secure"})
	}
	switch c.SameSite {
	case v1alpha1.SameSiteStrict:
		out.Attributes = append(out.Attributes, ir.Header{Name: "SameSite", Value: "Strict"})
	case v1alpha1.SameSiteNone:
		out.Attributes = append(out.Attributes, ir.Header{Name: "SameSite", Value: "None"})
	case v1alpha1.SameSiteLax:
		out.Attributes = append(out.Attributes, ir.Header{Name: "SameSite", Value: "Lax"})
	}
	return &ir.Affinity{Cookie: out}
}
