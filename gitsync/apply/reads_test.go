package apply

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/kube"
)

// An object costs one read, one dry run and one write, new or changed: what was read to plan it is not read again. What somebody
// writes in between is a conflict, and then it is.
func TestApply_readsEachObjectOnce(t *testing.T) {
	t.Parallel()
	const objects = 5
	w := newWorld(t)
	config := kube.Start(t)
	var mu sync.Mutex
	asked := map[string]int{}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return through(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			what := req.Method
			if req.URL.Query().Get("dryRun") != "" {
				what = "dry run"
			}
			asked[what]++
			mu.Unlock()
			return next.RoundTrip(req)
		})
	})
	var err error
	if w.applier, err = New(config, w.admin.RESTMapper(), nil).As(w.ns, "applier"); err != nil {
		t.Fatal(err)
	}
	all := func(value string) (out []gitsync.Object) {
		for n := range objects {
			out = append(out, w.configMap(fmt.Sprint("c", n), map[string]any{"k": value}))
		}
		return out
	}
	counted := func(what string, write string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if asked[http.MethodGet] != objects || asked["dry run"] != objects || asked[write] != objects || len(asked) != 3 {
			t.Errorf("%s: %v, want %d reads, dry runs and writes (%s)", what, asked, objects, write)
		}
		clear(asked)
	}
	w.apply(all("one")...)
	counted("new objects", http.MethodPost)
	w.apply(all("two")...) // which also makes what the creation wrote a part of what is applied
	mu.Lock()
	clear(asked)
	mu.Unlock()
	w.apply(all("three")...)
	counted("changed objects", http.MethodPatch)

	between := w.configMap("c0", map[string]any{"k": "four"})
	live, _, err := w.applier.Look(t.Context(), w.have)
	if err != nil {
		t.Fatal(err)
	}
	foreign := w.get(between)
	foreign.Object["data"] = map[string]any{"k": "foreign", "more": "x"}
	if err := w.admin.Update(t.Context(), foreign, client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	set := gitsync.Plan(gitsync.Input{Owner: gitsync.Owner{Namespace: w.ns, Name: "shop"}, Commit: gitsync.Commit{ID: "c2"}, Domain: "cluster.local",
		Want: []gitsync.Object{between}, Have: w.have, Live: live})
	out, err := w.applier.Apply(t.Context(), set)
	if err != nil || len(out.Changed) != 1 {
		t.Fatalf("%+v, %v; want it applied in spite of the write in between", out, err)
	}
	if got := w.get(between).Object["data"]; fmt.Sprint(got) != "map[k:four more:x]" {
		t.Errorf("data %v, want Git's value and what Git does not say", got)
	}
}
