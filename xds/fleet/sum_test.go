package fleet

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
)

func TestSum_isDoneWhenAllAre(t *testing.T) {
	t.Parallel()
	all := ir.Convergence{Rendered: true, Connected: 2, Acked: 2, SettledAt: start}
	later := ir.Convergence{Rendered: true, Connected: 1, Acked: 1, SettledAt: start.Add(time.Second)}
	waits := ir.Convergence{Rendered: true, Connected: 2, Acked: 1, Pending: 1, Laggards: []string{"b"}}
	behind := ir.Convergence{Connected: 1}
	lost := ir.Convergence{Rendered: true, Connected: 1, Acked: 1, Lost: 1}
	nobody := ir.Convergence{Rendered: true}
	no := &ir.Rejection{Node: "c", Message: "no"}
	rejects := ir.Convergence{Rendered: true, Connected: 1, Nacked: 1, First: no}
	for _, row := range []struct {
		what  string
		parts []ir.Convergence
		want  ir.Convergence
	}{
		{"nobody is known", nil, ir.Convergence{}},
		{"one", []ir.Convergence{all}, all},
		{"two, the later counts", []ir.Convergence{all, later}, ir.Convergence{Rendered: true, Connected: 3, Acked: 3, SettledAt: later.SettledAt}},
		{"one of them waits", []ir.Convergence{waits, all, {Rendered: true, Connected: 1, Pending: 1, Laggards: []string{"a"}}},
			ir.Convergence{Rendered: true, Connected: 5, Acked: 3, Pending: 2, Laggards: []string{"a", "b"}}},
		{"one of them has not rendered it", []ir.Convergence{all, behind}, ir.Convergence{Connected: 3, Acked: 2}},
		{"one of them has lost a proxy", []ir.Convergence{all, lost}, ir.Convergence{Rendered: true, Connected: 3, Acked: 3, Lost: 1}},
		{"one of them has no proxy", []ir.Convergence{nobody, all}, all},
		{"no proxy at all", []ir.Convergence{nobody, nobody}, nobody},
		{"one of them rejects", []ir.Convergence{all, rejects}, ir.Convergence{Rendered: true, Connected: 3, Acked: 2, Nacked: 1, First: no}},
	} {
		if diff := cmp.Diff(row.want, Sum(row.parts...)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", row.what, diff)
		}
	}
}

func TestPart_countsOnlyTheTrafficThatIsAskedFor(t *testing.T) {
	t.Parallel()
	st := func(change func(*v1alpha1.FleetSplit)) v1alpha1.FleetReportStatus {
		s := v1alpha1.FleetSplit{Split: "shop/reviews", UID: "u", Seq: 7, Rendered: true, Connected: 2, Acked: 2}
		change(&s)
		return v1alpha1.FleetReportStatus{Proxies: v1alpha1.FleetProxies{Connected: 2}, Splits: []v1alpha1.FleetSplit{{Split: "shop/other", UID: "o", Seq: 9}, s}}
	}
	same := func(*v1alpha1.FleetSplit) {}
	done := ir.Convergence{Rendered: true, Connected: 2, Acked: 2, SettledAt: start}
	for _, row := range []struct {
		what string
		st   v1alpha1.FleetReportStatus
		seq  uint64
		want ir.Convergence
	}{
		{"the same seq", st(same), 7, done},
		{"a newer one", st(same), 6, done},
		{"an older one", st(func(s *v1alpha1.FleetSplit) { s.Nacked, s.Acked = 1, 1 }), 8, ir.Convergence{Connected: 2, Pending: 2}},
		{"the former Rollout of the name", st(func(s *v1alpha1.FleetSplit) { s.UID = "former" }), 7, ir.Convergence{}},
		{"not rendered everywhere", st(func(s *v1alpha1.FleetSplit) { s.Rendered = false }), 7, ir.Convergence{Connected: 2, Acked: 2}},
		{"one waits", st(func(s *v1alpha1.FleetSplit) { s.Acked, s.Pending = 1, []string{"n"} }), 7,
			ir.Convergence{Rendered: true, Connected: 2, Acked: 1, Pending: 1, Laggards: []string{"n"}}},
		{"one rejects", st(func(s *v1alpha1.FleetSplit) {
			s.Acked, s.Nacked, s.FirstNack = 1, 1, &v1alpha1.FleetNack{Node: "n", Resource: "http.80", Message: "no"}
		}), 7, ir.Convergence{Rendered: true, Connected: 2, Acked: 1, Nacked: 1, First: &ir.Rejection{Node: "n", Resource: "http.80", Message: "no"}}},
		{"some were sent away, and ran it", st(func(s *v1alpha1.FleetSplit) { s.Away = 3 }), 7,
			ir.Convergence{Rendered: true, Connected: 2, Acked: 2, Away: 3, SettledAt: start}},
		{"some were sent away before it", st(func(s *v1alpha1.FleetSplit) { s.Away, s.Connected, s.Acked = 3, 0, 0 }), 8, ir.Convergence{Lost: 3}},
		{"all were sent away, and the split is not known there", v1alpha1.FleetReportStatus{Proxies: v1alpha1.FleetProxies{Away: 1}}, 7, ir.Convergence{}},
		{"not known there", v1alpha1.FleetReportStatus{Proxies: v1alpha1.FleetProxies{Connected: 1}}, 7, ir.Convergence{}},
		{"an older one, without proxies", v1alpha1.FleetReportStatus{Splits: []v1alpha1.FleetSplit{{Split: "shop/reviews", UID: "u", Seq: 6, Rendered: true}}}, 7,
			ir.Convergence{Rendered: true}},
		{"not known there, without proxies", v1alpha1.FleetReportStatus{}, 7, ir.Convergence{Rendered: true}},
	} {
		var all peers
		all.reported("other", row.st, start)
		one := all.of["other"]
		if diff := cmp.Diff(row.want, partOf(one.report.Proxies, one.split("shop/reviews"), ask{"u", row.seq}, start)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", row.what, diff)
		}
	}
}

func TestComplete_namesWhatNobodyAsksForAndPutsWhatMovesFirst(t *testing.T) {
	t.Parallel()
	use := func(key string, rest bool) ir.SplitUse { return ir.SplitUse{Key: key, UID: "u", Seq: 1, Rest: rest} }
	in := ir.Report{Connected: 2, Splits: []ir.SplitReport{
		{Use: use("a/rest", true), Convergence: ir.Convergence{Rendered: true, Connected: 2, Acked: 2}},
		{Use: use("b/open", false), Convergence: ir.Convergence{Rendered: true, Connected: 2, Acked: 2}},
		{Use: use("c/waits", true), Convergence: ir.Convergence{Rendered: true, Connected: 2, Acked: 1}},
	}}
	rendered := []ir.SplitUse{use("0/unused", true), use("a/rest", true), use("b/open", false)}
	names := func(r ir.Report) (out []string) {
		for _, s := range r.Splits {
			out = append(out, s.Use.Key)
		}
		return out
	}
	got := Complete(in, rendered)
	if diff := cmp.Diff([]string{"c/waits", "b/open", "0/unused", "a/rest"}, names(got)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if c := got.Splits[2].Convergence; !c.Rendered || c.Connected != 0 {
		t.Errorf("what nobody asks for is %+v", c)
	}
	if in.Unserved = 1; Complete(in, rendered).Splits[0].Use.Key != "0/unused" || Complete(in, rendered).Splits[0].Convergence.Rendered {
		t.Error("what a proxy that is served nothing yet may ask for counts as rendered")
	}
}

func TestPeers_countWhileTheirLeaseMoves(t *testing.T) {
	t.Parallel()
	p, now := peers{}, start
	all := func() (n int, rendered bool) {
		c := Sum(append([]ir.Convergence{{Rendered: true}}, p.parts("shop/reviews", "u", 7, now)...)...)
		return c.Connected, c.Rendered
	}
	expect := func(what string, connected int, rendered bool) {
		t.Helper()
		if n, ok := all(); n != connected || ok != rendered {
			t.Errorf("%s: %d proxies, rendered %t; want %d, %t", what, n, ok, connected, rendered)
		}
	}
	report := func(incarnation string, seq int64) v1alpha1.FleetReportStatus {
		return v1alpha1.FleetReportStatus{Incarnation: incarnation, Proxies: v1alpha1.FleetProxies{Connected: 2}, Splits: []v1alpha1.FleetSplit{
			{Split: "shop/reviews", UID: "u", Seq: seq, Rendered: true, Connected: 2, Acked: 2}}}
	}
	p.reported("b", report("first", 7), now)
	expect("a report without a Lease", 0, true)
	if !p.renewed("b", "1", "first", now) || p.renewed("b", "1", "first", now) || p.renewed("b", "2", "first", now) {
		t.Error("it is news that a replica lives, and nothing else")
	}
	expect("a Lease that is held", 2, true)
	if at := p.expires(now); !at.Equal(now.Add(liveFor)) {
		t.Errorf("it expires at %s", at)
	}
	now = now.Add(liveFor - 1)
	expect("just before it expires", 2, true)
	p.renewed("b", "2", "first", now)
	now = now.Add(1)
	expect("a Lease that was read again and has not changed", 0, true)
	if !p.renewed("b", "3", "first", now) {
		t.Error("it is no news that it lives again")
	}
	expect("a Lease that moves again", 2, true)
	p.renewed("b", "4", "second", now)
	expect("another process that has not reported", 0, false)
	p.reported("b", report("second", 6), now)
	expect("another process that is behind", 2, false)
	p.reported("b", report("second", 8), now)
	expect("another process that is ahead", 2, true)
	p.renewed("b", "5", "", now)
	expect("a Lease that nobody holds", 0, true)
	p.released("b")
	if got := p.dead(now.Add(keepDead - 1)); got != nil {
		t.Errorf("%v may go too early", got)
	}
	if diff := cmp.Diff([]string{"b"}, p.dead(now.Add(keepDead))); diff != "" {
		t.Errorf("what may go (-want +got)\n%s", diff)
	}
	p.forget("b")
	if got := p.dead(now.Add(keepDead)); got != nil || !p.expires(now).IsZero() {
		t.Errorf("%v is not forgotten", got)
	}
}

// A process that does not see its own renewals any more sees nobody's: until it does again, and for the time that a Lease
// lasts from then on, the others count.
func TestPeers_areNotTakenForDeadByAWatchThatStandsStill(t *testing.T) {
	p, now := peers{}, start
	p.looked(now)
	p.renewed("b", "1", "b-1", now)
	p.reported("b", v1alpha1.FleetReportStatus{Incarnation: "b-1"}, now)
	living := func(want bool, why string) {
		t.Helper()
		if got := p.lives(p.of["b"], now); got != want {
			t.Errorf("after %s, %s: lives %v, want %v", now.Sub(start), why, got, want)
		}
	}
	now = start.Add(time.Hour)
	living(true, "nothing was seen of anybody")
	p.looked(now)
	for range liveFor/renewEvery - 1 {
		now = now.Add(renewEvery)
		p.looked(now)
		living(true, "it has had no time to be seen yet")
	}
	now = now.Add(renewEvery)
	p.looked(now)
	living(false, "others are seen, and it is not")
}

func TestPeers_settleAMomentAfterTheReportThatAllHave(t *testing.T) {
	t.Parallel()
	p := peers{}
	report := v1alpha1.FleetReportStatus{Incarnation: "i", Proxies: v1alpha1.FleetProxies{Connected: 1},
		Splits: []v1alpha1.FleetSplit{{Split: "shop/reviews", UID: "u", Seq: 7, Rendered: true, Connected: 1, Acked: 1}}}
	at := func(want time.Time) {
		t.Helper()
		if got := Sum(p.parts("shop/reviews", "u", 7, start)...).SettledAt; !got.Equal(want) {
			t.Errorf("settled at %s, want %s", got, want)
		}
	}
	p.renewed("b", "1", "i", start)
	p.reported("b", report, start)
	at(start.Add(settle))
	report = *report.DeepCopy()
	report.Proxies.Pending = 1 // of something else
	p.reported("b", report, start.Add(time.Minute))
	at(start.Add(settle))
	report = *report.DeepCopy()
	report.Splits[0].Seq = 8
	p.reported("b", report, start.Add(time.Minute))
	at(start.Add(time.Minute + settle))
}
