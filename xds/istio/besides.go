package istio

import "slices"

// besides reports whether rules send requests to the cluster of an arm that the split does not divide: its weight cannot
// be read off the requests of the clusters then.
func (x *index) besides(s *split) (canary, stable bool) {
	reaches := func(ds []destination, subset string) bool {
		return subset != "" && slices.ContainsFunc(ds, func(d destination) bool { return d.host == s.host && d.subset == subset && d.weight > 0 })
	}
	mirrors := func(ds []destination, subset string) bool {
		return subset != "" && slices.ContainsFunc(ds, func(d destination) bool { return d.host == s.host && d.subset == subset })
	}
	for _, r := range x.written[s.host] {
		canary = canary || mirrors(r.mirrors, s.Canary)
		stable = stable || mirrors(r.mirrors, s.Stable)
		if p := s.part(r.site, r.destinations); p == partTakes || p == partSwept {
			continue
		}
		canary = canary || reaches(r.destinations, s.Canary)
		stable = stable || reaches(r.destinations, s.Stable)
	}
	return canary, stable
}
