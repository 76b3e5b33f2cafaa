package analysis

import (
	"fmt"
	"testing"
)

// A look at the largest legal Config must stay far below a millisecond: every Rollout is looked at each second or so.
func BenchmarkJudge_twelveMetrics(b *testing.B) {
	cfg := Config{}
	batch := Batch{Moment: moment(5)}
	for i := range MaxCriteria {
		name := fmt.Sprint("metric", i)
		cfg.Criteria = append(cfg.Criteria, Criterion{Name: name, Required: true})
		w := window(5, 75, 1, 425, 1)
		w.Metric = name
		batch.Windows = append(batch.Windows, w)
	}
	for b.Loop() {
		Judge(cfg, Evidence{}, batch)
	}
}
