package load

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/ir"
)

// seconds sums the parts of each second.
func seconds(loads []ir.Load) []ir.Load {
	var out []ir.Load
	for _, l := range loads {
		whole := on(float64(floor(int64(l.From.Sub(on(0))), int64(time.Second))))
		if n := len(out); n > 0 && out[n-1].From.Equal(whole) {
			last := &out[n-1]
			last.Issued, last.OK, last.Failed, last.Dropped = last.Issued+l.Issued, last.OK+l.OK, last.Failed+l.Failed, last.Dropped+l.Dropped
			last.Proxies, last.InProgress, last.Endpoints = max(last.Proxies, l.Proxies), l.InProgress, merged(append(last.Endpoints, l.Endpoints...))
			continue
		}
		l.From, l.To = whole, whole.Add(time.Second)
		out = append(out, l)
	}
	return out
}

// TestBook_keepsTheNewestSecondsOfSplitsInParts: a fault is seen before its second is over, and what has become old costs
// no more than before.
func TestBook_keepsTheNewestSecondsOfSplitsInParts(t *testing.T) {
	b, r := NewBook(start), &Reporter{}
	b.Follow([]string{"split"})
	for i := 1; i <= 200; i++ { // ends at 100.1
		s := one("split", 500*time.Millisecond, 6)
		s.Endpoints = []ir.EndpointLoad{{ID: 1, OK: 6}}
		b.Add(r, s, on(float64(i)/2+0.1))
	}
	got := b.Loads("split", time.Time{}, on(100.1))
	var wide, fine int
	for i, l := range got {
		if i > 0 && !got[i-1].To.Equal(l.From) {
			t.Errorf("%s follows on %s", l.From, got[i-1].To)
		}
		switch l.To.Sub(l.From) {
		case time.Second:
			wide++
			if fine > 0 {
				t.Error("a whole second follows on a part")
			}
		case 250 * time.Millisecond:
			fine++
			if len(l.Endpoints) != 1 {
				t.Errorf("at %s: endpoints %+v", l.From, l.Endpoints)
			}
		default:
			t.Errorf("a bucket of %s", l.To.Sub(l.From))
		}
	}
	if wide != 90 || fine != 40 {
		t.Errorf("%d whole seconds and %d parts, want 90 and 40", wide, fine)
	}
	if newest := got[len(got)-1].To; !newest.Equal(on(100)) {
		t.Errorf("known up to %s, want up to 100 s", newest)
	}
	if from := b.Loads("split", on(99.5), on(100.1)); len(from) != 2 || !from[0].From.Equal(on(99.5)) || from[0].Issued != 3 {
		t.Errorf("from 99.5 on: %+v", from)
	}
	if all := seconds(got); all[50].Issued != 12 || all[50].Proxies != 1 || all[50].InProgress != 3 || all[80].Endpoints[0].OK != 12 {
		t.Errorf("second 50 is %+v, second 80 %+v", all[50], all[80])
	}
}

// TestBook_partsAreWhatSecondsWouldBe: whenever it begins and ends to be a split's, a cluster's seconds are the same.
func TestBook_partsAreWhatSecondsWouldBe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fine, whole := NewBook(start), NewBook(start)
		var a, c Reporter
		end := on(10)
		for range rapid.IntRange(1, 60).Draw(t, "reports") {
			switch rapid.IntRange(0, 5).Draw(t, "follow") {
			case 0:
				fine.Follow([]string{"x"})
			case 1:
				fine.Follow(nil)
			}
			length := time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond
			end = end.Add(length)
			s := one("x", length, rapid.Uint64Range(0, 50).Draw(t, "n"))
			fine.Add(&a, s, end)
			whole.Add(&c, s, end)
		}
		got, want := seconds(fine.Loads("x", time.Time{}, on(999))), whole.Loads("x", time.Time{}, on(999))
		if over := len(got) - len(want); over > 0 { // the kept time differs
			got = got[over:]
		}
		if diff := cmp.Diff(want[1:], got[1:]); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
