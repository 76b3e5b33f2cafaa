package controller_test

import (
	"testing"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// TestRest_writesNothing: where nothing happens nothing is written, at rest and while proxies are waited for, however often one
// looks.
func TestRest_writesNothing(t *testing.T) {
	w := newWorld(t)
	server := &stormy{Client: w.client}
	pass := w.driven(&cached{Client: server}, nil)
	w.rollout("v1")
	must(t, pass(), pass())
	quiet := func(what string) {
		t.Helper()
		version := w.get().ResourceVersion
		server.writes = 0
		must(t, pass(), pass(), pass())
		if got := w.get().ResourceVersion; server.writes != 0 || got != version {
			t.Errorf("%s: %d writes in three passes, version %s, then %s", what, server.writes, version, got)
		}
	}
	quiet("at rest")
	w.fleet.set(func(f *fleet) { f.silent = true })
	w.push("v2", "digest-v2")
	must(t, pass(), pass())
	if st := w.get().Status; st.Phase != v1alpha1.PhasePreparing {
		t.Fatalf("%s, want Preparing", st.Phase)
	}
	quiet("while proxies are waited for")
}
