package analysis

import (
	"maps"
	"slices"
)

// Ready is a Config made ready to judge by: what all looks have in common is worked out once. It is never changed, and may
// be used by many. Who looks once calls Queries, Collect and Judge.
type Ready struct {
	from   Config // as it was given
	cfg    Config // with defaults, the criteria by name
	digest string // of cfg
}

// Ready makes the Config ready.
func (c Config) Ready() *Ready {
	cfg := c.WithDefaults()
	c.Criteria = slices.Clone(c.Criteria)
	return &Ready{from: c, cfg: cfg, digest: cfg.digest()}
}

// For gives what is ready for the Config: this one, where it was made of the same, else a new one. It may be called of nil.
func (r *Ready) For(c Config) *Ready {
	if r != nil && r.from.equal(c) {
		return r
	}
	return c.Ready()
}

// equal reports that two Configs say the same, in the same order.
func (c Config) equal(o Config) bool {
	return c.Alpha == o.Alpha && c.AlphaGuard == o.AlphaGuard && c.Beta == o.Beta && c.Objective == o.Objective && c.Bake == o.Bake &&
		c.Mixture.Start == o.Mixture.Start && c.Mixture.Tau == o.Mixture.Tau && slices.Equal(c.Mixture.Grid, o.Mixture.Grid) &&
		slices.EqualFunc(c.Criteria, o.Criteria, Criterion.equal)
}

func (c Criterion) equal(o Criterion) bool {
	same := same(c.Ratio, o.Ratio, func(a, b Ratio) bool {
		return a.Bad == b.Bad && a.Good == b.Good && a.Total == b.Total && maps.Equal(a.Args, b.Args)
	}) && same(c.Histogram, o.Histogram, func(a, b Histogram) bool {
		return a.Buckets == b.Buckets && a.Unit == b.Unit && maps.Equal(a.Args, b.Args)
	}) && same(c.Condition, o.Condition, func(a, b Condition) bool {
		return a.Query == b.Query && a.Pass == b.Pass && a.Fail == b.Fail && maps.Equal(a.Args, b.Args)
	})
	o.Ratio, o.Histogram, o.Condition = c.Ratio, c.Histogram, c.Condition
	return same && c == o
}

// same reports that both are none, or say the same.
func same[T any](a, b *T, equal func(T, T) bool) bool {
	return a == b || a != nil && b != nil && equal(*a, *b)
}
