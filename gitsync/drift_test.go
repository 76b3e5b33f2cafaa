package gitsync

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestRepairs_contestedAfterThreeWithinTenMinutes(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	for _, row := range []struct {
		repairs   []int // minutes
		now       int
		contested bool
		next      int
	}{
		{nil, 0, false, 0},
		{[]int{0, 1}, 1, false, 1},
		{[]int{0, 1, 2}, 2, true, 7},
		{[]int{0, 1, 2}, 11, true, 7},
		{[]int{0, 1, 2}, 12, false, 12},
		{[]int{0, 5, 10}, 10, false, 10},
		{[]int{0, 1, 2, 7}, 7, true, 12},
		{[]int{0, 1, 2, 7, 12}, 12, true, 17},
		{[]int{0, 1, 2, 13}, 13, false, 13},
	} {
		var r Repairs
		for _, m := range row.repairs {
			r = r.Add(at(m), Drift{})
		}
		if got, next := r.Contested(at(row.now)), r.Next(at(row.now)); got != row.contested || !next.Equal(at(row.next)) {
			t.Errorf("repairs at %v, minute %d: contested %v, next at %s; want %v, minute %d", row.repairs, row.now, got, next.Sub(start), row.contested, row.next)
		}
	}
}

func TestRepairs_problemNamesWhoAndWhat(t *testing.T) {
	t.Parallel()
	cm := ID{"", "ConfigMap", "bookinfo", "a"}
	edited := Repairs{}.Add(time.Time{}, Drift{ID: cm, Managers: []string{"kubectl-edit"}, Fields: []string{"data.x", "data.y"}}).Problem()
	if edited.Code != "S411" || edited.Field != "data.x" || !strings.Contains(edited.Message, "kubectl-edit keeps changing data.x, data.y") || !strings.Contains(edited.Message, "every 5m") {
		t.Errorf("edited: %v", edited)
	}
	if deleted := (Repairs{}).Add(time.Time{}, Drift{ID: cm}).Problem(); !strings.Contains(deleted.Message, "somebody keeps deleting it") {
		t.Errorf("deleted: %v", deleted)
	}
}

func TestRepair_leavesWhatAnotherOwnerHasTaken(t *testing.T) {
	t.Parallel()
	set := Plan(Input{Owner: bookinfo, Commit: Commit{ID: "c0"}, Domain: "cluster.local", Want: shop()})
	other := Owner{"bookinfo", "other"}
	live := alive(bookinfo, shop()...)
	cm := find(shop(), "ConfigMap").ID
	taken := alive(other, find(shop(), "ConfigMap"))
	live[cm] = taken[cm]
	got := Repair(bookinfo, set.Items, created(live), live, []Owner{bookinfo, other})
	if len(got.Items) != len(set.Items)-1 || slices.ContainsFunc(got.Items, func(it Item) bool { return it.Object.ID == cm }) {
		t.Errorf("%d of %d items, want all but the one that the other Source has", len(got.Items), len(set.Items))
	}
	if !slices.IsSortedFunc(got.Items, func(a, b Item) int { return int(a.Stage) - int(b.Stage) }) {
		t.Error("items are not in the order of stages")
	}
	for _, it := range got.Items {
		if got.Units[it.Unit].Objects[0] != it.Object.ID {
			t.Errorf("%s is not a unit of its own", it.Object.ID)
		}
	}
	if again := Repair(bookinfo, set.Items, created(live), live, []Owner{bookinfo}); len(again.Items) != len(set.Items) {
		t.Error("the labels of a Source that is gone keep an object from being repaired")
	}
}

func TestDifferences_namesPathsAndNoValues(t *testing.T) {
	t.Parallel()
	before := map[string]any{"metadata": map[string]any{"resourceVersion": "1", "labels": map[string]any{"a.b/c": "1"}}, "status": map[string]any{"x": 1},
		"data": map[string]any{"k": "secret", "gone": "1"}, "spec": map[string]any{"ports": []any{map[string]any{"port": int64(1)}}, "list": []any{"a"}, "same": 1.0}}
	after := map[string]any{"metadata": map[string]any{"resourceVersion": "2", "labels": map[string]any{"a.b/c": "2"}},
		"data": map[string]any{"k": "other", "new": "1"}, "spec": map[string]any{"ports": []any{map[string]any{"port": int64(2)}}, "list": []any{"a", "b"}, "same": int64(1)}}
	want := []string{"data.gone", "data.k", "data.new", "metadata.labels[a.b/c]", "spec.list", "spec.ports[0].port"}
	if got := Differences(before, after, 10); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := Differences(before, after, 2); len(got) != 2 {
		t.Errorf("got %v, want two", got)
	}
}
