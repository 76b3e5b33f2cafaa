package registry_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/xds/registry"
)

func TestMerge_kubernetesFirstThenTheOlderThenTheName(t *testing.T) {
	svc := func(kind, name string, created int64) registry.Service {
		s := registry.Service{Host: "a.example", Namespace: "n", Origin: registry.Origin{Kind: kind, Namespace: "n", Name: name}}
		if created > 0 {
			s.Origin.Created = time.Unix(created, 0)
		}
		return s
	}
	for _, c := range []struct {
		name string
		in   []registry.Service
		want string
	}{
		{"kubernetes beats an older entry", []registry.Service{svc("ServiceEntry", "old", 1), svc("Service", "k", 9)}, "k"},
		{"older", []registry.Service{svc("ServiceEntry", "a", 5), svc("ServiceEntry", "b", 2)}, "b"},
		{"unknown age comes last", []registry.Service{svc("ServiceEntry", "a", 0), svc("ServiceEntry", "b", 2)}, "b"},
		{"name", []registry.Service{svc("ServiceEntry", "b", 0), svc("ServiceEntry", "a", 0)}, "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, conflicts := registry.Merge(registry.Snapshot{Services: c.in[:1]}, registry.Snapshot{Services: c.in[1:]})
			if len(got.Services) != 1 || got.Services[0].Origin.Name != c.want || len(conflicts) != 1 || conflicts[0].Kept.Name != c.want {
				t.Errorf("got %v with conflicts %v, want %s", got.Services, conflicts, c.want)
			}
		})
	}
}

func TestMerge_keepsOneHostOfSeveralNamespaces(t *testing.T) {
	in := registry.Snapshot{Services: []registry.Service{{Host: "b", Namespace: "y"}, {Host: "a", Namespace: "x"}, {Host: "a", Namespace: "w"}}}
	got, conflicts := registry.Merge(in)
	want := []registry.Service{{Host: "a", Namespace: "w"}, {Host: "a", Namespace: "x"}, {Host: "b", Namespace: "y"}}
	if diff := cmp.Diff(want, got.Services); diff != "" || len(conflicts) > 0 {
		t.Errorf("services (-want +got):\n%sconflicts %v", diff, conflicts)
	}
	if in.Services[0].Host != "b" {
		t.Error("the input was sorted")
	}
}

func TestExported(t *testing.T) {
	for _, c := range []struct {
		exportTo []string
		user     string
		want     bool
	}{
		{nil, "other", true}, {[]string{"*"}, "other", true}, {[]string{"."}, "own", true}, {[]string{"."}, "other", false},
		{[]string{"~"}, "own", false}, {[]string{"other"}, "other", true}, {[]string{"other"}, "own", false},
	} {
		if got := registry.Exported(c.exportTo, "own", c.user); got != c.want {
			t.Errorf("%v exported to %s: %v, want %v", c.exportTo, c.user, got, c.want)
		}
	}
}
