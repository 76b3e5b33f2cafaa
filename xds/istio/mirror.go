package istio

import (
	"fmt"
	"math"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// mirrors are the clusters that get copies of requests; where no percentage is given, of all.
func (t *translator) mirrors(r rule) []ir.Mirror {
	var out []ir.Mirror
	add := func(at string, d *networking.Destination, percent *networking.Percent) {
		if d.GetHost() == "" {
			t.found.fail(r.from, "S002", at+".host", "the destination has no host", "name one; until then nothing is mirrored")
			return
		}
		share := 100.0
		if percent != nil {
			share = percent.GetValue()
		}
		if !(share >= 0 && share <= 100) { // the negation also holds for what is no number
			t.found.fail(r.from, "S002", at, fmt.Sprintf("%v is not a percentage", share), "give a number from 0 to 100; until then nothing is mirrored")
			return
		}
		if share > 0 {
			out = append(out, ir.Mirror{Cluster: t.resolve(r, at, d).cluster(), Millions: uint32(math.Round(share * 10000))})
		}
	}
	if r.spec.GetMirror() == nil && (r.spec.GetMirrorPercentage() != nil || r.spec.GetMirrorPercent() != nil) { //nolint:staticcheck // deprecated by Istio, still in use
		t.found.policy(r.from, r.field+".mirrorPercentage", "mirrorPercentage without mirror")
	}
	if m := r.spec.GetMirror(); m != nil {
		percent := r.spec.GetMirrorPercentage()
		if old := r.spec.GetMirrorPercent(); percent == nil && old != nil { //nolint:staticcheck // deprecated by Istio, still in use
			percent = &networking.Percent{Value: float64(old.GetValue())}
		}
		add(r.field+".mirror", m, percent)
	}
	for i, m := range r.spec.GetMirrors() {
		add(fmt.Sprintf("%s.mirrors[%d].destination", r.field, i), m.GetDestination(), m.GetPercentage())
	}
	return out
}
