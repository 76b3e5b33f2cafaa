package controller_test

import (
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestRest_writesNothing: where nothing happens nothing is written, at rest and while proxies are waited for, however often one
// looks; but how long they were waited for is stored each 15 s.
func TestRest_writesNothing(t *testing.T) {
	w := newWorld(t)
	server := &stormy{Client: w.client}
	pass, clock := w.shifted(&cached{Client: server})
	w.rollout("v1")
	must(t, pass(), pass())
	quiet := func(what string, every time.Duration) {
		t.Helper()
		version, began, was := w.get().ResourceVersion, time.Now(), *clock
		server.writes = 0
		must(t, pass(), pass(), pass())
		allowed := 0
		if every > 0 {
			allowed = int((time.Since(began) + *clock - was + 10*time.Second) / every)
		}
		if got := w.get().ResourceVersion; server.writes > allowed || allowed == 0 && got != version {
			t.Errorf("%s: %d writes in three passes, version %s, then %s", what, server.writes, version, got)
		}
	}
	quiet("at rest", 0)
	w.fleet.set(func(f *fleet) { f.silent = true })
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	if st := w.get().Status; st.Phase != v1alpha1.PhasePreparing {
		t.Fatalf("%s, want Preparing", st.Phase)
	}
	quiet("while proxies are waited for", 15*time.Second)
}
