package controller

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/kube"
)

// What is gone from the remote as a whole, or renders to nothing, is no order to delete: everything stays, and goes on once it
// is back.
func TestSource_whatIsGoneIsNotPruned(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		reason     string
		take, give func(w *world)
	}{
		{string(gitsync.RefNotFound), func(w *world) { w.gitdo("push", "--quiet", "origin", "--delete", "main") }, func(w *world) { w.gitdo("push", "--quiet", "origin", "HEAD:refs/heads/main") }},
		{string(gitsync.PathNotFound), func(w *world) {
			w.push("moved", map[string]string{"app/a.yaml": "", "other/a.yaml": configMap("a", "two")})
		},
			func(w *world) { w.push("back", map[string]string{"app/a.yaml": configMap("a", "one")}) }},
		{string(gitsync.EmptyBuild), func(w *world) { w.push("emptied", map[string]string{"app/a.yaml": "# nothing\n"}) },
			func(w *world) { w.push("back", map[string]string{"app/a.yaml": configMap("a", "one")}) }},
	} {
		t.Run(row.reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.git.Git(t.Context(), "app", "config", "receive.denyDeleteCurrent", "false"); err != nil {
				t.Fatal(err)
			}
			first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "README": "x"})
			w.source(nil)
			w.ready(v1alpha1.ReasonApplied, first)
			row.take(w)
			w.hint("")
			s := w.until("failing", func(s v1alpha1.SourceStatus) bool {
				return slices.ContainsFunc(s.Conditions, func(c metav1.Condition) bool { return c.Reason == row.reason })
			})
			if w.data("a")["k"] != "one" || len(s.Inventory) != 1 || !strings.HasSuffix(s.LastAppliedRevision, first) {
				t.Errorf("a = %v, inventory %v, applied %s; want everything as it was", w.data("a"), s.Inventory, s.LastAppliedRevision)
			}
			row.give(w)
			w.hint("")
			w.until("well again", func(s v1alpha1.SourceStatus) bool {
				return readyBy(s, v1alpha1.ReasonApplied) && v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReconciling) == nil
			})
		})
	}
}

// Trouble of the API server while objects are applied leaves Ready as it was and the union of inventories stored, and the
// commit is applied to its end: after an overload, a server that fails, and an answer that was lost.
func TestSource_troubleOfTheServerIsTriedAgain(t *testing.T) {
	t.Parallel()
	answer := func(code int, header string) func(http.RoundTripper, *http.Request) (*http.Response, error) {
		return func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
			body := fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","status":"Failure","message":"trouble","code":%d}`, code)
			h := http.Header{"Content-Type": {"application/json"}}
			if header != "" {
				h.Set("Retry-After", header)
			}
			return &http.Response{StatusCode: code, Header: h, Request: req, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body))}, nil
		}
	}
	for _, row := range []struct {
		name, reason string
		breaks       func(http.RoundTripper, *http.Request) (*http.Response, error)
	}{
		{"overload", string(gitsync.Throttled), answer(http.StatusTooManyRequests, "")},
		{"server error", string(gitsync.ApplyFailed), answer(http.StatusInternalServerError, "")},
		{"lost answer", string(gitsync.ApplyFailed), func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			if res, err := next.RoundTrip(req); err == nil {
				res.Body.Close()
			}
			return nil, io.ErrUnexpectedEOF
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
			w.source(nil)
			w.ready(v1alpha1.ReasonApplied, first)
			w.valve.spoil(row.breaks)
			second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two"), "app/b.yaml": configMap("b", "one")})
			w.hint(second)
			s := w.until("in trouble", func(s v1alpha1.SourceStatus) bool {
				c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReconciling)
				return c != nil && c.Reason == row.reason
			})
			if len(s.Inventory) != 2 || !strings.HasSuffix(s.LastAppliedRevision, first) {
				t.Errorf("inventory %v, applied %s; want the union stored and the first commit", s.Inventory, s.LastAppliedRevision)
			}
			if c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady); c.Status == metav1.ConditionFalse {
				t.Errorf("Ready %+v after the first trouble", c)
			}
			w.valve.spoil(nil)
			if s = w.ready(v1alpha1.ReasonApplied, second); w.data("a")["k"] != "two" || w.data("b")["k"] != "one" || len(s.Inventory) != 2 {
				t.Errorf("a = %v, b = %v, inventory %v; want the second commit applied", w.data("a"), w.data("b"), s.Inventory)
			}
			for _, line := range s.Inventory {
				if !strings.HasSuffix(line, " Created") && row.name != "lost answer" {
					t.Errorf("%s: an object that we made", line)
				}
			}
		})
	}
}

// Two connections in a row that are cut in the middle of a pack are no failure yet: the Source is as ready as it was, and the
// third look brings the commit.
func TestSource_cutTwiceInARow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two"), "large": noisy(1, 300_000)})
	w.git.SetFault("/app.git/git-upload-pack", gitserver.Fault{CutAfter: 100_000}) // a listing is shorter
	for n, ask := range []func(){func() { w.hint(second) }, func() { w.look("again") }} {
		ask()
		s := w.until("cut", func(s v1alpha1.SourceStatus) bool { return s.Failures > int32(n) })
		c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReconciling)
		if s.Failures > 2 {
			continue // it has looked by itself meanwhile, and may say so
		}
		if !readyBy(s, v1alpha1.ReasonApplied) || c == nil || c.Reason != string(gitsync.Unreachable) || !strings.HasSuffix(s.LastAppliedRevision, first) || w.data("a")["k"] != "one" {
			t.Errorf("after %d cuts: %+v, applied %s, a = %v; want all as it was", n+1, s.Conditions, s.LastAppliedRevision, w.data("a"))
		}
	}
	w.git.LiftFault("/app.git/git-upload-pack")
	w.look("once more")
	if s := w.ready(v1alpha1.ReasonApplied, second); s.Failures != 0 || w.data("a")["k"] != "two" {
		t.Errorf("then: %d failures, a = %v; want the second commit", s.Failures, w.data("a"))
	}
}

// A repository that does not let the last good commit be pushed is an event and an entry; the Source stays ready.
func TestLastGood_refusedPushLeavesTheSourceReady(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.writes(nil)
	if _, err := w.git.Git(t.Context(), "app", "config", "http.receivepack", "false"); err != nil {
		t.Fatal(err)
	}
	w.stream(map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(back(v1alpha1.RevertNone))
	s := w.until("told", func(s v1alpha1.SourceStatus) bool { return len(s.WriteBack) == 1 })
	if e := s.WriteBack[0]; e.Kind != backLastGood || e.Result != backFailed || e.Message == "" || !readyBy(s, v1alpha1.ReasonApplied) || w.data("a")["k"] != "one" {
		t.Errorf("write back %+v, conditions %+v; want the failure told and the Source ready", e, s.Conditions)
	}
	w.event("WriteBack")
}

// A definition that is removed under us holds the objects of its kind (S412) and nothing else; once it is back they are applied.
func TestSource_definitionRemovedUnderUs(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, special{policy: custom()})
	w.rule()
	define := func() *unstructured.Unstructured {
		definition := definitionOf()
		if err := yaml.Unmarshal([]byte(crdYAML(w.group(), "Namespaced")), &definition.Object); err != nil {
			t.Fatal(err)
		}
		w.create(definition)
		kube.Eventually(t, soon, func() error {
			if err := w.thing(w.ns, "none"); client.IgnoreNotFound(err) != nil || strings.Contains(fmt.Sprint(err), "could not find") {
				return err
			}
			return nil
		})
		return definition
	}
	definition := define()
	first := w.push("first", map[string]string{"app/thing.yaml": thingYAML(w.group(), "a", "size: 1"), "app/c.yaml": configMap("c", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	if err := w.client.Delete(t.Context(), definition); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, soon, func() error {
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(definition), definition); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the definition is still there: %w", err)
		}
		return nil
	})
	second := w.push("second", map[string]string{"app/thing.yaml": thingYAML(w.group(), "a", "size: 2"), "app/c.yaml": configMap("c", "two")})
	w.hint(second)
	s := w.ready(v1alpha1.ReasonContentInvalid, second)
	if len(s.Problems) != 1 || s.Problems[0].Code != "S412" || s.Problems[0].Path != "app/thing.yaml" || w.data("c")["k"] != "two" {
		t.Errorf("problems %+v, c = %v; want S412 for the custom object alone", s.Problems, w.data("c"))
	}
	define()
	w.look("again")
	w.until("applied", func(s v1alpha1.SourceStatus) bool { return readyBy(s, v1alpha1.ReasonApplied) })
	if err := w.thing(w.ns, "a"); err != nil {
		t.Errorf("once the definition is back: %v", err)
	}
}
