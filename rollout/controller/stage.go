package controller

import (
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
)

// What a step sends to the canary besides its weight, between the API's words and the engine's.

func stagesOf(plan []v1alpha1.PlanStep) []rollout.Stage {
	var out []rollout.Stage
	for _, p := range plan {
		out = append(out, rollout.Stage{Name: p.Name, Weight: int(p.Weight), Min: p.Bake.Min.Or(0), Max: p.Bake.Max.Or(0),
			Promotion: rollout.Promotion(p.Promotion), Parts: rollout.Parts{Metrics: p.Metrics, Pause: pauseOf(p.Pause), Approvals: int(p.Approvals),
				Match: matchesOf(p.Match), Mirror: mirrorOf(p.Mirror)}})
	}
	return out
}

func planStatus(plan []rollout.Stage) []v1alpha1.PlanStep {
	var out []v1alpha1.PlanStep
	for _, p := range plan {
		out = append(out, v1alpha1.PlanStep{Name: p.Name, Weight: int32(p.Weight), Promotion: v1alpha1.Promotion(p.Promotion),
			Bake:    v1alpha1.Bake{Min: v1alpha1.DurationOf(p.Min), Max: v1alpha1.DurationOf(p.Max)},
			Metrics: p.Metrics, Pause: pauseStatus(p.Pause), Approvals: int32(p.Approvals), Match: matchStatus(p.Match), Mirror: mirrorStatus(p.Mirror)})
	}
	return out
}

func extraOf(t v1alpha1.TrafficStatus) rollout.Extra {
	return rollout.Extra{Match: matchesOf(t.Match), Mirror: mirrorOf(t.Mirror), Affinity: affinityOf(t.Affinity, ""), Preview: t.Preview}
}

func trafficStatus(t rollout.Traffic) v1alpha1.TrafficStatus {
	return v1alpha1.TrafficStatus{Seq: int64(t.Seq), Match: matchStatus(t.Match), Mirror: mirrorStatus(t.Mirror), Affinity: affinityStatus(t.Affinity), Preview: t.Preview}
}

func pauseOf(p *v1alpha1.Pause) rollout.Pause {
	if p == nil {
		return rollout.Pause{}
	}
	return rollout.Pause{On: true, For: p.For.Or(0)}
}

func pauseStatus(p rollout.Pause) *v1alpha1.Pause {
	switch {
	case !p.On:
		return nil
	case p.For == 0:
		return &v1alpha1.Pause{}
	}
	return &v1alpha1.Pause{For: v1alpha1.DurationOf(p.For)}
}

func matchesOf(list []v1alpha1.ClientMatch) []rollout.Match {
	var out []rollout.Match
	for _, m := range list {
		out = append(out, rollout.Match{Headers: conditionsOf(m.Headers), Cookies: conditionsOf(m.Cookies)})
	}
	return out
}

func conditionsOf(list []v1alpha1.ValueMatch) []rollout.Condition {
	var out []rollout.Condition
	for _, v := range list {
		c := rollout.Condition{Name: v.Name, Kind: rollout.Exact, Value: v.Exact}
		switch {
		case v.Prefix != "":
			c.Kind, c.Value = rollout.Prefix, v.Prefix
		case v.Regex != "":
			c.Kind, c.Value = rollout.Regex, v.Regex
		}
		out = append(out, c)
	}
	return out
}

func matchStatus(list []rollout.Match) []v1alpha1.ClientMatch {
	var out []v1alpha1.ClientMatch
	for _, m := range list {
		out = append(out, v1alpha1.ClientMatch{Headers: valueMatches(m.Headers), Cookies: valueMatches(m.Cookies)})
	}
	return out
}

func valueMatches(list []rollout.Condition) []v1alpha1.ValueMatch {
	var out []v1alpha1.ValueMatch
	for _, c := range list {
		v := v1alpha1.ValueMatch{Name: c.Name}
		switch c.Kind {
		case rollout.Prefix:
			v.Prefix = c.Value
		case rollout.Regex:
			v.Regex = c.Value
		case rollout.Exact:
			v.Exact = c.Value
		}
		out = append(out, v)
	}
	return out
}

func mirrorOf(m *v1alpha1.Mirror) rollout.Mirror {
	if m == nil {
		return rollout.Mirror{}
	}
	out := rollout.Mirror{Percent: int(m.Percent)}
	for _, method := range m.Methods {
		out.Methods = append(out.Methods, string(method))
	}
	return out
}

func mirrorStatus(m rollout.Mirror) *v1alpha1.Mirror {
	if m.Percent == 0 {
		return nil
	}
	out := &v1alpha1.Mirror{Percent: int32(m.Percent)}
	for _, method := range m.Methods {
		out.Methods = append(out.Methods, v1alpha1.HTTPMethod(method))
	}
	return out
}

// affinityOf is the affinity of a Rollout of that name, whose cookie is named after it where it has no name.
func affinityOf(a *v1alpha1.Affinity, name string) *rollout.Affinity {
	switch {
	case a == nil:
		return nil
	case a.Header != nil:
		return &rollout.Affinity{Header: a.Header.Name}
	case a.Cookie == nil:
		return nil
	}
	c := a.Cookie
	return &rollout.Affinity{Cookie: rollout.Cookie{Name: or(c.Name, "sluice-"+name), MaxAge: c.MaxAge.Or(0), Path: c.Path,
		SameSite: string(c.SameSite), Secure: c.Secure == nil || *c.Secure}}
}

func affinityStatus(a *rollout.Affinity) *v1alpha1.Affinity {
	switch {
	case a == nil:
		return nil
	case a.Header != "":
		return &v1alpha1.Affinity{Header: &v1alpha1.AffinityHeader{Name: a.Header}}
	}
	c := a.Cookie
	return &v1alpha1.Affinity{Cookie: &v1alpha1.AffinityCookie{Name: c.Name, MaxAge: v1alpha1.DurationOf(c.MaxAge), Path: c.Path,
		SameSite: v1alpha1.SameSite(c.SameSite), Secure: &c.Secure}}
}
