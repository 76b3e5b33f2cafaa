package load

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/xds/ir"
)

func nothing(string) Gauge { return Gauge{} }

// heard is a process that judges what others tell it.
type heard struct {
	name  string
	book  *Book
	from  map[int]*Other // by process of the teller
	shown time.Time
	took  Stats // judged so far
}

// judge takes what is known up to an instant, and never again.
func (h *heard) judge(until time.Time) {
	for _, l := range h.book.Loads("x", h.shown, until) {
		h.took.Issued, h.took.OK, h.took.Failed, h.took.Dropped = h.took.Issued+l.Issued, h.took.OK+l.OK, h.took.Failed+l.Failed, h.took.Dropped+l.Dropped
		h.shown = l.To
	}
}

func (h *heard) hear(t *rapid.T, process int, text string, shown, now time.Time) {
	share, err := ParseShare(text)
	if err != nil {
		t.Fatal(err)
	}
	if share.To != h.name {
		return
	}
	if h.from[process] == nil {
		h.from[process] = &Other{}
	}
	for name, s := range share.Sum {
		if h.book.Take(h.from[process], name, s, shown, now) != Added {
			t.Fatalf("%s of process %d is refused: %+v", name, process, s)
		}
	}
}

// TestShare_countsNothingTwice lets proxies report to a process that is started anew now and then, and tells whoever decides, who
// changes. Texts get lost, are read late, and are read twice. Nobody ever judges more than there was; all together neither; and
// when the last text is read, whoever decides has all that was never handed out for another.
func TestShare_countsNothingTwice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := 100.0
		var truth uint64
		process, till := 1, &Till{}
		till.Follow([][]string{{"x"}})
		judges := []*heard{{name: "a", book: NewBook(start), from: map[int]*Other{}}, {name: "b", book: NewBook(start), from: map[int]*Other{}}}
		who, lost := judges[0], uint64(0)
		type told struct {
			process int
			text    string
		}
		var texts []told
		unsent := uint64(0) // by this process, since the last text
		judged := func() (n uint64) {
			for _, h := range judges {
				n += h.took.Issued
			}
			return n
		}
		for range rapid.IntRange(1, 60).Draw(t, "moves") {
			at += float64(rapid.IntRange(1, 2000).Draw(t, "ms")) / 1000
			switch rapid.IntRange(0, 10).Draw(t, "move") { // mostly all is judged, so that what is twice shows
			case 0: // it starts anew: what it has not told is lost
				process, till, lost, unsent = process+1, &Till{}, lost+unsent, 0
				till.Follow([][]string{{"x"}})
			case 1: // another decides
				for _, h := range judges {
					if h != who {
						who = h
						break
					}
				}
			case 2, 3, 4:
				n := rapid.Uint64Range(0, 50).Draw(t, "requests")
				bad := rapid.Uint64Range(0, n).Draw(t, "bad")
				till.Add(Stats{Cluster: "x", Issued: n, OK: n - bad, Failed: bad, Endpoints: []ir.EndpointLoad{{ID: 7, OK: n - bad, Failed: bad}}})
				truth, unsent = truth+n, unsent+n
			case 5, 6:
				text, _ := till.Take(who.name, time.Duration(at*1e9), 1<<20, nothing)
				texts, unsent = append(texts, told{process, text}), 0
				if rapid.IntRange(0, 3).Draw(t, "late") > 0 {
					who.hear(t, process, text, who.shown, on(at))
					at++
					who.judge(on(at))
				}
			case 7, 8: // one of the newest texts is read: a watch gives the newest, but may have been late
				if n := len(texts); n > 0 {
					one := texts[n-1]
					for _, h := range judges {
						h.hear(t, one.process, one.text, h.shown, on(at))
					}
				}
			case 9:
				who.judge(on(at))
			case 10: // the Lease is gone for a while, or could not be read
				if o := who.from[process]; o != nil {
					who.book.Fade(o, on(at))
				}
			}
			if judged() > truth {
				t.Fatalf("%d requests were judged of %d", judged(), truth)
			}
		}
		before := judged()
		for _, h := range judges {
			h.judge(on(at + 2))
		}
		if judged() > truth || judged() < before {
			t.Fatalf("%d requests were judged of %d", judged(), truth)
		}
		// From here on nothing is lost.
		till.Take(who.name, time.Duration(at*1e9)+1, 1<<20, nothing)
		had := who.took
		text, _ := till.Take(who.name, time.Duration(at*1e9)+2, 1<<20, nothing)
		who.hear(t, process, text, who.shown, on(at+3))
		who.judge(on(at + 5))
		base := who.took.Issued
		till.Add(Stats{Cluster: "x", Issued: 17, OK: 11, Failed: 6})
		text, news := till.Take(who.name, time.Duration(at*1e9)+3, 1<<20, nothing)
		who.hear(t, process, text, who.shown, on(at+6))
		who.hear(t, process, text, who.shown, on(at+7))
		who.judge(on(at + 9))
		if !news || who.took.Issued != base+17 || who.took.Issued < had.Issued {
			t.Fatalf("17 requests more: %d judged after %d, news %t", who.took.Issued, base, news)
		}
	})
}

// TestTill_oneThatJudgesTellsNobody: what a process has judged itself it never tells, however it comes to tell another.
func TestTill_oneThatJudgesTellsNobody(t *testing.T) {
	var till Till
	till.Follow([][]string{{"x"}})
	counts := func(text string) (n uint64) {
		if text == "" {
			return 0
		}
		s, err := ParseShare(text)
		if err != nil {
			t.Fatal(err)
		}
		return s.Sum["x"].Counts[issued]
	}
	till.Add(one("x", time.Second, 5))
	till.Drop()
	till.Add(one("x", time.Second, 7))
	till.Drop()
	till.Add(one("x", time.Second, 11))
	text, _ := till.Take("b", time.Second, 1<<20, nothing)
	if n := counts(text); n != 0 {
		t.Errorf("%d requests of its own time are told", n)
	}
	till.Add(one("x", time.Second, 13))
	text, news := till.Take("b", 2*time.Second, 1<<20, nothing)
	if n := counts(text); n != 13 || !news {
		t.Errorf("%d requests are told, want 13", n)
	}
	text, _ = till.Take("c", 3*time.Second, 1<<20, nothing)
	if n := counts(text); n != 0 {
		t.Errorf("%d requests are told to a second one", n)
	}
	if text, news := till.Take("", 4*time.Second, 1<<20, nothing); text != "" || news {
		t.Errorf("nobody is told %q", text)
	}
}

func TestTill_keepsToItsRoomAndLetsAllHaveTheirTurn(t *testing.T) {
	var till Till
	var names [][]string
	for i := range 100 {
		names = append(names, []string{fmt.Sprintf("outbound|8080|v%d|reviews.shop.svc.cluster.local", i)})
	}
	till.Follow(names)
	seen := map[string]bool{}
	for i := range 10 {
		text, _ := till.Take("b", time.Duration(i+1)*time.Second, 2000, nothing)
		if len(text) > 2200 {
			t.Errorf("%d bytes", len(text))
		}
		s, err := ParseShare(text)
		if err != nil {
			t.Fatal(err)
		}
		for name := range s.Sum {
			seen[name] = true
		}
	}
	if len(seen) != 100 {
		t.Errorf("%d of 100 clusters were told of", len(seen))
	}
}

// TestTill_endpointsThatNeverFailedGoTogether: the rule of hard fails looks at those that fail, and at the sum of all others.
func TestTill_endpointsThatNeverFailedGoTogether(t *testing.T) {
	var till Till
	till.Follow([][]string{{"x"}})
	add := func(ok1, bad1, ok2, bad2 uint64) {
		till.Add(Stats{Cluster: "x", Endpoints: []ir.EndpointLoad{{ID: 11, OK: ok1, Failed: bad1}, {ID: 22, OK: ok2, Failed: bad2}}})
	}
	add(5, 0, 6, 0)
	add(1, 2, 7, 0)
	add(3, 0, 8, 0)
	text, _ := till.Take("b", time.Second, 1<<20, nothing)
	s, err := ParseShare(text)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][3]uint64{{0, 26, 0}, {11, 4, 2}}, s.Sum["x"].Endpoints); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for i := range uint32(1000) {
		till.Add(Stats{Cluster: "x", Endpoints: []ir.EndpointLoad{{ID: 1000 + i, Failed: 1}}})
	}
	text, _ = till.Take("b", 2*time.Second, 1<<20, nothing)
	s, err = ParseShare(text)
	if err != nil {
		t.Fatal(err)
	}
	var failed uint64
	for _, e := range s.Sum["x"].Endpoints {
		failed += e[2]
	}
	if failed != 1002 {
		t.Errorf("%d failures at endpoints, want 1002", failed)
	}
}

// TestBook_takesWhatOthersTellIntoTimeThatNobodyWasShown: it stands beside what is reported here, with what is in progress.
func TestBook_takesWhatOthersTellIntoTimeThatNobodyWasShown(t *testing.T) {
	b, r, o := NewBook(start), &Reporter{}, &Other{}
	b.Follow([]string{"x"})
	sum := func(n uint64) Sum {
		return Sum{Count: 1, Counts: [counted]uint64{n, n, 0, 0}, InProgress: 4, Proxies: 9, Endpoints: [][3]uint64{{0, n, 0}}}
	}
	b.Add(r, one("x", 500*time.Millisecond, 10), on(100))
	if b.Take(o, "x", sum(40), on(99.75), on(100)) != Added {
		t.Fatal("refused")
	}
	var all, late uint64
	for _, l := range b.Loads("x", on(0), on(101)) {
		all += l.Issued
		if !l.From.Before(on(99.75)) {
			late += l.Issued
		}
	}
	if all != 50 || late != 45 {
		t.Errorf("%d requests, %d of them since 99.75; want 50 and 45", all, late)
	}
	b.Add(r, one("x", 500*time.Millisecond, 10), on(100.5))
	last := b.Loads("x", on(100.25), on(101))
	if len(last) != 1 || last[0].Proxies != 10 || last[0].InProgress != 7 {
		t.Errorf("with what another sees: %+v", last)
	}
	if b.Take(o, "x", sum(39), on(100), on(101)) != Unsound {
		t.Error("a sum that shrinks is taken")
	}
	b.Fade(o, on(101))
	b.Add(r, one("x", 500*time.Millisecond, 10), on(101))
	if last := b.Loads("x", on(100.75), on(102)); len(last) != 1 || last[0].Proxies != 1 || last[0].InProgress != 3 {
		t.Errorf("without: %+v", last)
	}
}

func TestParseShare_refusesNonsense(t *testing.T) {
	for name, text := range map[string]string{
		"no text":      "",
		"no object":    "[1]",
		"for nobody":   `{"at":1}`,
		"no time":      `{"to":"a"}`,
		"huge":         `{"to":"a","at":1,"of":{"x":{"n":1,"c":[281474976710657,0,0,0]}}}`,
		"below zero":   `{"to":"a","at":1,"of":{"x":{"n":1,"c":[-1,0,0,0]}}}`,
		"out of order": `{"to":"a","at":1,"of":{"x":{"n":1,"c":[1,0,0,0],"e":[[2,1,1],[1,1,1]]}}}`,
		"long ids":     `{"to":"a","at":1,"of":{"x":{"n":1,"c":[1,0,0,0],"e":[[4294967296,1,1]]}}}`,
		"many":         `{"to":"a","at":1,"of":{"x":{"n":1,"c":[1,0,0,0],"e":[` + strings.Repeat("[1,1,1],", 200) + `[1,1,1]]}}}`,
	} {
		if got, err := ParseShare(text); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// FuzzParseShare: whatever stands in a Lease, a Book that takes it adds nothing that is not in it.
func FuzzParseShare(f *testing.F) {
	f.Add(`{"to":"a","at":1000,"of":{"x":{"n":1,"c":[10,7,3,0],"w":2,"p":1,"e":[[0,5,0],[9,2,3]]}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		share, err := ParseShare(text)
		if err != nil {
			return
		}
		b, o := NewBook(start), &Other{}
		for name, s := range share.Sum {
			if b.Take(o, name, s, on(10), on(11)) != Added {
				continue
			}
			var got uint64
			for _, l := range b.Loads(name, time.Time{}, on(20)) {
				got += l.Issued
			}
			if got != s.Counts[issued] {
				t.Fatalf("%q: %d requests are in the book, %d were told", name, got, s.Counts[issued])
			}
			b.Take(o, name, s, on(11), on(12))
		}
	})
}

// TestTill_costs: what is told of a hundred releases of ten endpoints each, behind a thousand proxies, fits into one text; where every
// endpoint of every version has failed something, into a few.
func TestTill_costs(t *testing.T) {
	for _, c := range []struct {
		name string
		bad  uint64
		most int
	}{{"all is well", 0, 32 << 10}, {"everything fails", 1, 96 << 10}} {
		var till Till
		var names []string
		for i := range 200 {
			names = append(names, fmt.Sprintf("outbound|8080|v%d|service-of-a-team-%d.namespace.svc.cluster.local", 1+i%2, i/2))
		}
		till.Follow(slices.Collect(slices.Chunk(names, 2)))
		for _, name := range names {
			s := Stats{Cluster: name, Issued: 123456, OK: 123000, Failed: 456}
			for e := range uint32(10) {
				s.Endpoints = append(s.Endpoints, ir.EndpointLoad{ID: 4000000000 + e, OK: 12300, Failed: 45 * c.bad})
			}
			till.Add(s)
		}
		text, _ := till.Take("sluice-7c9f5d6b8-abcde_0b8e7c1e-9f0a-4b43-9d3e-0123456789ab", time.Hour, 96<<10, func(string) Gauge { return Gauge{InProgress: 100, Proxies: 1000} })
		t.Logf("%s: %d bytes", c.name, len(text))
		if len(text) > c.most {
			t.Errorf("%s: %d bytes, want %d at most", c.name, len(text), c.most)
		}
	}
}

// TestTill_nonsenseOfAProxyDoesNotMuteTheOthers: a count that grows beyond all bounds begins anew, and all that is told can be read.
func TestTill_nonsenseOfAProxyDoesNotMuteTheOthers(t *testing.T) {
	var till Till
	till.Follow([][]string{{"x"}, {"y"}})
	for range 3 {
		till.Add(Stats{Cluster: "x", Issued: maxTold / 2, Endpoints: []ir.EndpointLoad{{ID: 7, Failed: maxTold / 2}}})
	}
	till.Add(Stats{Cluster: "y", Issued: 3, OK: 3})
	till.Add(Stats{Cluster: "x", Issued: 5, Failed: 5})
	text, _ := till.Take("b", time.Second, 1<<20, func(string) Gauge { return Gauge{InProgress: 1 << 60} })
	s, err := ParseShare(text)
	if err != nil || s.Sum["y"].Counts[ok] != 3 || s.Sum["x"].Counts[failed] != 5 {
		t.Errorf("%v: %+v", err, s)
	}
}

// TestParseShare_leavesOutOnlyWhatIsWrong: of a text with a sum out of bounds the others count.
func TestParseShare_leavesOutOnlyWhatIsWrong(t *testing.T) {
	s, err := ParseShare(`{"to":"a","at":1,"of":{"x":{"n":1,"c":[281474976710657,0,0,0]},"y":{"n":1,"c":[3,3,0,0]}}}`)
	if _, bad := s.Sum["x"]; err == nil || bad || s.To != "a" || s.Sum["y"].Counts[ok] != 3 {
		t.Errorf("%v: %+v", err, s)
	}
}

// TestBook_takesIntoNoPartThatWasShown: neither where what is told comes in the part of a second that was shown last, nor where nobody
// was shown anything.
func TestBook_takesIntoNoPartThatWasShown(t *testing.T) {
	sum := Sum{Count: 1, Counts: [counted]uint64{8, 8, 0, 0}}
	for _, c := range []struct{ shown, from time.Time }{{on(100), on(100)}, {on(99.75), on(99.75)}, {time.Time{}, on(99.75)}} {
		b := NewBook(start)
		b.Follow([]string{"x"})
		b.Take(&Other{}, "x", sum, c.shown, on(100))
		if got := b.Loads("x", c.from, on(102)); len(got) != 1 || got[0].Issued != 8 {
			t.Errorf("shown until %s: %+v", c.shown, got)
		}
	}
}

// TestTill_tellsTheClustersOfASplitTogether: else the canary's failures would be judged before the requests of stable arrive.
func TestTill_tellsTheClustersOfASplitTogether(t *testing.T) {
	var till Till
	var splits [][]string
	for i := range 20 {
		splits = append(splits, []string{fmt.Sprintf("outbound|8080|v1|s%02d", i), fmt.Sprintf("outbound|8080|v2|s%02d", i)})
	}
	splits = append(splits, []string{splits[3][0], "another"}) // stable of two canaries
	till.Follow(splits)
	seen := map[string]bool{}
	for at := range 10 {
		for _, names := range splits {
			till.Add(Stats{Cluster: names[at%2], Issued: 1, OK: 1})
		}
		text, _ := till.Take("b", time.Duration(at+1)*time.Second, 700, nothing)
		s, err := ParseShare(text)
		if err != nil || len(text) > 900 {
			t.Fatalf("%v: %s", err, text)
		}
		for _, names := range splits {
			_, stable := s.Sum[names[0]]
			_, canary := s.Sum[names[1]]
			if stable != canary {
				t.Errorf("only one of %q is told", names)
			}
			seen[names[0]] = seen[names[0]] || stable
		}
	}
	if len(seen) != 20 {
		t.Errorf("%d splits had their turn", len(seen))
	}
	for name, did := range seen {
		if !did {
			t.Errorf("%s is never told", name)
		}
	}
}
