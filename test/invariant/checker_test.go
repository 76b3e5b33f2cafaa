package invariant

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// good is a log that breaks nothing and puts everything to the test: an attempt that fails, one that completes, and the
// object made again. Its events are a second apart.
func good() []Event {
	one := func(seq int64, at Position, of Versions, more ...func(*Stored)) Stored {
		s := Stored{Object: "a", Epoch: 3, Seq: seq, Position: at, Versions: of}
		for _, change := range more {
			change(&s)
		}
		return s
	}
	v2, v3 := Versions{Stable: "v1", Canary: "v2"}, Versions{Stable: "v1", Canary: "v3"}
	gate := func(s *Stored) { s.Gates = []Gate{{Step: 1, Seq: s.Seq}} }
	rejected := func(s *Stored) { s.Rejected = []string{"d-v2"} }
	consumed := func(s *Stored) { s.Consumed = []Consumed{{ID: "abort", Seq: 5}} }
	note := func(seq int64, id string) Noted { return Noted{Receiver: "hook", ID: id, Object: "a", Seq: seq} }
	bodies := []any{
		Endpoints{Known: true, Stable: 4, Canary: 4},
		one(1, Position{}, Versions{Stable: "v1"}),
		one(2, Position{Attempt: 1, Open: true}, v2),
		note(2, "a.1.2.hook"),
		one(3, Position{Attempt: 1, Open: true, Step: 1, Weight: 15}, v2),
		Served{Proxy: "edge-1", Canary: 15, Total: 100},
		Answered{"v2"},
		one(4, Position{Attempt: 1, Open: true, Step: 2, Weight: 50}, v2, gate),
		one(5, Position{Attempt: 1, Failed: true, Step: 2}, v2, gate, rejected, consumed),
		note(5, "a.1.5.hook"),
		Answered{"v2"},
		Served{Proxy: "edge-1", Canary: 50, Total: 100},
		Answered{"v1"},
		Served{Proxy: "edge-1", Canary: 0, Total: 1},
		one(6, Position{Attempt: 1, Failed: true}, Versions{Stable: "v1"}, rejected, consumed),
		Answered{"v1"},
		one(7, Position{Attempt: 2, Open: true}, v3, rejected, consumed),
		one(8, Position{Attempt: 2, Open: true, Step: 1, Weight: 15}, v3),
		Stored{Object: "b", Epoch: 3, Seq: 1, Versions: Versions{Stable: "v1"}},
	}
	var out []Event
	for i, b := range bodies {
		out = append(out, Event{At: time.Duration(i) * time.Second, Body: b})
	}
	return out
}

const patience = 4 * time.Second

func check(log []Event) (found []Violation, exercised map[Rule]int) {
	c := New(patience)
	for _, e := range log {
		found = append(found, c.Add(e)...)
	}
	return found, c.Exercised()
}

func TestChecker_acceptsAGoodLog(t *testing.T) {
	found, exercised := check(good())
	for _, v := range found {
		t.Errorf("%+v: %s", v.Event, v.Text)
	}
	for _, r := range Rules() {
		if exercised[r] == 0 && r != Recreated {
			t.Errorf("%s is not put to the test", r)
		}
	}
}

// change gives the good log with another body at i, made of the one that stands there.
func change[T any](i int, edit func(*T)) []Event {
	log := good()
	body, ok := log[i].Body.(T)
	if !ok {
		panic("another kind of event")
	}
	edit(&body)
	log[i].Body = body
	return log
}

// TestChecker_findsEachViolation changes one event of the good log, and wants that rule and no other to be named.
func TestChecker_findsEachViolation(t *testing.T) {
	for name, tc := range map[string]struct {
		rule Rule
		log  []Event
	}{
		"a weight below 0":                 {Sum, change(17, func(s *Stored) { s.Weight = -1 })},
		"a share that is no percent":       {Sum, change(5, func(s *Served) { s.Canary, s.Total = 16, 101 })},
		"a share that nobody asked for":    {Sum, change(5, func(s *Served) { s.Canary = 33 })},
		"no endpoint of the canary":        {Capacity, fewer()},
		"a step without its gate":          {GateFirst, change(7, func(s *Stored) { s.Gates = nil })},
		"a step left out":                  {GateFirst, change(7, func(s *Stored) { s.Step = 3 })},
		"a weight that grows in a step":    {GateFirst, change(7, func(s *Stored) { s.Step, s.Gates = 1, nil })},
		"a gate that is taken over":        {Attempt, change(16, func(s *Stored) { s.Gates = []Gate{{Step: 1, Seq: 4}} })},
		"an old gate":                      {Attempt, change(17, func(s *Stored) { s.Gates = []Gate{{Step: 1, Seq: 4}} })},
		"an attempt that ends and rises":   {Absorbed, change(14, func(s *Stored) { s.Open = true })},
		"a proxy that goes on":             {Absorbed, change(13, func(s *Served) { s.Canary, s.Total = 50, 100 })},
		"a user of the failed version":     {Absorbed, change(15, func(a *Answered) { a.Version = "v2" })},
		"an epoch that falls":              {Writer, change(16, func(s *Stored) { s.Epoch = 2 })},
		"a sequence with a gap":            {Sequence, change(17, func(s *Stored) { s.Seq = 9 })},
		"an action consumed twice":         {Once, change(14, func(s *Stored) { s.Consumed = []Consumed{{ID: "abort", Seq: 6}} })},
		"notes out of order":               {Notes, change(9, func(n *Noted) { n.Seq = 1 })},
		"two ids for one transition":       {Notes, change(9, func(n *Noted) { n.Seq = 2; n.ID = "a.1.5.hook" })},
		"a rejection that is inherited":    {Recreated, remade(func(s *Stored) { s.Rejected = []string{"d-v2"} })},
		"an attempt that is inherited":     {Recreated, remade(func(s *Stored) { s.Attempt = 2 })},
		"stable empty and the weight gone": {WayBack, emptied()},
	} {
		found, _ := check(tc.log)
		var rules []Rule
		for _, v := range found {
			rules = append(rules, v.Rule)
			if !strings.HasPrefix(v.Text, string(tc.rule)+": ") {
				t.Errorf("%s: %s", name, v.Text)
			}
		}
		if !slices.Contains(rules, tc.rule) {
			t.Errorf("%s: %s is not found", name, tc.rule)
		}
	}
}

// remade is the good log with another first status of the object that was made again.
func remade(edit func(*Stored)) []Event { return change(len(good())-1, edit) }

// emptied is the good log in which stable has lost its endpoints before the weight drops.
func emptied() []Event {
	return slices.Insert(good(), 8, Event{At: 7 * time.Second, Body: Endpoints{Known: true, Stable: 0, Canary: 4}})
}

// fewer is the good log in which the canary has one endpoint before the weight is raised to the half.
func fewer() []Event {
	return slices.Insert(good(), 7, Event{At: 6 * time.Second, Body: Endpoints{Known: true, Stable: 4, Canary: 0}})
}

func TestChecker_knowsItsEvents(t *testing.T) {
	if found := New(patience).Add(Event{Body: "a text"}); len(found) != 1 {
		t.Errorf("%v", found)
	}
}

// TestChecker_bounds says at which number of endpoints a weight may be raised.
func TestChecker_bounds(t *testing.T) {
	for _, tc := range []struct{ weight, stable, need int }{{15, 10, 1}, {50, 10, 3}, {100, 10, 5}, {100, 1, 1}, {1, 4, 1}} {
		for _, canary := range []int{tc.need - 1, tc.need} {
			log := good()[1:5]
			log[3] = Event{Body: Stored{Object: "a", Epoch: 3, Seq: 3, Position: Position{Attempt: 1, Open: true, Step: 1, Weight: tc.weight}}}
			found, _ := check(append([]Event{{Body: Endpoints{Known: true, Stable: tc.stable, Canary: canary}}}, log...))
			if (len(found) == 0) != (canary == tc.need) {
				t.Errorf("%d%% of %d with %d: %v", tc.weight, tc.stable, canary, found)
			}
		}
	}
}
