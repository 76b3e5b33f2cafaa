package fleet

import (
	"fmt"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

// many is a replica without proxies that has rendered many splits.
type many struct {
	here
	splits []ir.SplitUse
	asked  *int
}

func (many) Convergence(string, string, uint64) ir.Convergence { return ir.Convergence{} }

func (m many) Splits() []ir.SplitUse {
	*m.asked++
	return m.splits
}

// readerOf is a Reader of a replica with so many splits, and of another one that reports as many as are told.
func readerOf(n int) (r *Reader, asked *int) {
	asked = new(int)
	own := many{asked: asked}
	report := v1alpha1.FleetReportStatus{Incarnation: "i", Proxies: v1alpha1.FleetProxies{Connected: 1}}
	for i := range n {
		own.splits = append(own.splits, ir.SplitUse{Key: fmt.Sprintf("shop/r%05d", i), UID: "u", Seq: 7})
		report.Splits = append(report.Splits, v1alpha1.FleetSplit{Split: own.splits[i].Key, UID: "u", Seq: 7, Rendered: true, Connected: 1, Acked: int32(i % 2)})
	}
	r = &Reader{config: ReaderConfig{Own: own, Now: func() time.Time { return start }}, known: true, changed: make(chan struct{})}
	r.peers.renewed("other", "1", "i", start)
	r.peers.reported("other", report, start)
	return r, asked
}

// TestReader_findsEachSplit says that what is known of a split is that of its own entry, at both replicas.
func TestReader_findsEachSplit(t *testing.T) {
	r, asked := readerOf(999)
	for i := range 999 {
		key := fmt.Sprintf("shop/r%05d", i)
		if c := r.Convergence(key, "u", 7); !c.Rendered || c.Connected != 1 || c.Acked != i%2 {
			t.Errorf("%s: %+v", key, c)
		}
		for what, c := range map[string]ir.Convergence{
			"a newer seq": r.Convergence(key, "u", 8), "another Rollout": r.Convergence(key, "v", 7), "another name": r.Convergence(key+"x", "u", 7),
		} {
			if c.Rendered {
				t.Errorf("%s of %s is rendered: %+v", what, key, c)
			}
		}
	}
	if *asked != 4*999 {
		t.Errorf("the splits were asked for %d times, want once for each question", *asked)
	}
	if n := testing.AllocsPerRun(10, func() { r.Convergence("shop/r00998", "u", 7) }); n > 8 {
		t.Errorf("%v allocations for one question", n)
	}
}

// BenchmarkReader_Convergence takes as long for one of ten thousand as for one of ten.
func BenchmarkReader_Convergence(b *testing.B) {
	for _, n := range []int{10, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r, _ := readerOf(n)
			key := fmt.Sprintf("shop/r%05d", n-1)
			for b.Loop() {
				r.Convergence(key, "u", 7)
			}
		})
	}
}
