package gitsync

import (
	"slices"
	"testing"
	"time"
)

func TestDismantle_rolloutsFirstThenTheRestInReverse(t *testing.T) {
	t.Parallel()
	live := alive(bookinfo, shop()...)
	have := created(live)
	adopted, kept := ID{"", "ConfigMap", "bookinfo", "other"}, ID{"", "ConfigMap", "bookinfo", "cfg-v1"}
	have = have.Update(Entry{ID: adopted, Version: "v1", UID: live[adopted].UID, Origin: Adopted})
	annotate(live[kept], AnnotationPrune, "disabled")
	first := Dismantle(bookinfo, have, live, 0)
	if len(first.Delete) != 1 || first.Delete[0].ID.Kind != "Rollout" || len(first.Left) != len(have)-2 {
		t.Errorf("at first %v, left %d; want the Rollout alone, all but two left", first.Delete, len(first.Left))
	}
	late := Dismantle(bookinfo, have, live, RolloutsFirst)
	if len(late.Delete) != len(have)-2 {
		t.Errorf("after a minute %d deleted, want all but two: the Rollout did not go by itself", len(late.Delete))
	}
	mapping(live[first.Delete[0].ID].Object.Content, "metadata")["deletionTimestamp"] = "2026-01-01T00:00:00Z"
	if again := Dismantle(bookinfo, have, live, time.Second); len(again.Delete) != 0 || len(again.Left) != len(have)-2 {
		t.Errorf("while it goes: %v, want nothing new", again.Delete)
	}
	delete(live, first.Delete[0].ID)
	rest := Dismantle(bookinfo, have, live, time.Second)
	if len(rest.Delete) != len(have)-3 {
		t.Errorf("once it is gone: %d deleted, want %d", len(rest.Delete), len(have)-3)
	}
	if !slices.IsSortedFunc(rest.Delete, func(a, b Removal) int { return int(StageOf(b.ID)) - int(StageOf(a.ID)) }) {
		t.Errorf("order %v, want the reverse of applying", rest.Delete)
	}
	for _, r := range append(rest.Delete, late.Delete...) {
		if r.ID == adopted || r.ID == kept || r.UID == "" {
			t.Errorf("%v is deleted", r)
		}
	}
}

func TestCycle_table(t *testing.T) {
	t.Parallel()
	depends := map[string][]string{"a": {"b"}, "b": {"c", "x"}, "c": {"a"}, "d": {"a"}, "e": {"e"}, "f": {"missing"}}
	for from, want := range map[string][]string{"a": {"a", "b", "c", "a"}, "b": {"b", "c", "a", "b"}, "d": nil, "e": {"e", "e"}, "f": nil, "missing": nil} {
		if got := Cycle(from, depends); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", from, got, want)
		}
	}
}
