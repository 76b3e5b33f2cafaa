package rollout

import "time"

// The bake of a version that was stable a short while ago.
const (
	provenBake    = time.Minute
	provenLongest = 30 * time.Minute
)

// plan is the list of steps of an attempt of that kind.
func (t *turn) plan(kind Kind) []Stage {
	switch {
	case kind.Proven || kind.Undo:
		return []Stage{{Name: "back", Weight: 100, Min: provenBake, Max: provenLongest, Promotion: TimeOnly}}
	case kind.Observe && len(t.spec.Plan) > 0:
		last := t.spec.Plan[len(t.spec.Plan)-1]
		return []Stage{{Name: "observe", Min: last.Min, Max: last.Max, Promotion: last.Promotion, Parts: Parts{Metrics: last.Metrics}}}
	}
	return t.spec.Plan
}

// proven reports that a version was stable, was replaced a short while ago, and that few versions came since. The history
// knows; adoption counts as completed, a dry run does not: it sent the version nothing.
func (t *turn) proven(v Version) bool {
	since, replaced := 0, time.Time{}
	for _, past := range t.prev.History {
		if past.Outcome != OutcomeCompleted {
			continue
		}
		if past.Version.Digest == v.Digest && v.Digest != "" {
			return !past.Observed && since > 0 && since <= t.spec.Back.Versions && t.now.Sub(replaced) <= t.spec.Back.MaxAge
		}
		since, replaced = since+1, past.EndedAt
	}
	return false
}
