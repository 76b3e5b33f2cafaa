package controller

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/poll"
)

const changedObjects = 20

// BenchmarkPushToApplied is the way from a webhook to twenty changed objects applied and the status that says so: a real
// Git server, a real API server, this controller. The push itself and the second between two hints do not count.
func BenchmarkPushToApplied(b *testing.B) {
	w := newWorld(b)
	first := w.push("first", changed(-1))
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	applied := w.watchApplied()
	var took []time.Duration
	for i := range b.N {
		b.StopTimer()
		commit := w.push(fmt.Sprintf("change %d", i), changed(i))
		w.calm()
		b.StartTimer()
		begun := time.Now()
		if code := w.hint(commit); code != http.StatusAccepted {
			b.Fatalf("webhook: %d, want 202", code)
		}
		at := applied(commit)
		b.StopTimer()
		took = append(took, at.Sub(begun))
		for n := range changedObjects {
			if got := w.data(fmt.Sprintf("c%d", n))["k"]; got != fmt.Sprintf("v%d", i) {
				b.Fatalf("object %d after change %d: %q", n, i, got)
			}
		}
		b.StartTimer()
	}
	slices.Sort(took)
	at := func(quantile float64) float64 { return took[int(quantile*float64(len(took)-1))].Seconds() * 1e3 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(1), "max-ms")
}

// changed are the files of the objects, all with another content.
func changed(i int) map[string]string {
	files := map[string]string{}
	for n := range changedObjects {
		files[fmt.Sprintf("app/c%d.yaml", n)] = configMap(fmt.Sprintf("c%d", n), fmt.Sprintf("v%d", i))
	}
	return files
}

// calm waits until the next hint is not merged with the one before.
func (w *world) calm() {
	w.Helper()
	since := time.Now()
	if err := poll.Until(soon, func() error {
		if time.Since(since) < betweenHints {
			return errors.New("a look was just now")
		}
		return nil
	}); err != nil {
		w.Fatal(err)
	}
}

// watchApplied gives a function that waits until the status says that a commit is applied, and tells when it was seen.
func (w *world) watchApplied() func(commit string) time.Time {
	w.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	w.Cleanup(cancel)
	events, err := w.client.Watch(ctx, &v1alpha1.SourceList{}, client.InNamespace(w.ns))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(events.Stop)
	return func(commit string) time.Time {
		w.Helper()
		late := time.NewTimer(soon)
		defer late.Stop()
		for {
			select {
			case e, open := <-events.ResultChan():
				src, ok := e.Object.(*v1alpha1.Source)
				if !open || !ok {
					w.Fatalf("the watch ended with %+v", e)
				}
				ready := v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady)
				if strings.HasSuffix(src.Status.LastAppliedRevision, commit) && ready != nil && ready.Reason == v1alpha1.ReasonApplied {
					return time.Now()
				}
			case <-late.C:
				w.Fatalf("%s was not applied within %s", commit, soon)
			}
		}
	}
}
