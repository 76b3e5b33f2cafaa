package crd_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// object reads one YAML document and puts it into ns under a name of its own.
func object(t *testing.T, ns, kind, spec string) *unstructured.Unstructured {
	t.Helper()
	out := map[string]any{}
	if err := yaml.Unmarshal([]byte("spec: {"+spec+"}"), &out); err != nil {
		t.Fatalf("%s: %v", spec, err)
	}
	u := &unstructured.Unstructured{Object: out}
	u.SetAPIVersion(v1alpha1.GroupVersion().String())
	u.SetKind(kind)
	u.SetNamespace(ns)
	u.SetGenerateName("spec-")
	return u
}

func TestSpec_isChecked(t *testing.T) {
	c, ns := server(t)
	for _, row := range []struct{ kind, spec, why string }{
		{"Rollout", `host: reviews, subset: v2`, ""},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 15, bake: {min: 8s, max: 90s}}, {weight: 100}], analysis: {metrics: [{name: errors, window: 1s, warmup: 2s}]}`, ""},
		{"Rollout", `host: reviews, subset: v2, steps: [{name: a, weight: 5}, {name: b, weight: 5}], capacity: {ratio: 0}`, ""},
		{"Rollout", `subset: v2`, "spec.host: Required value"},
		{"Rollout", `host: reviews`, "spec.subset: Required value"},
		{"Rollout", `host: Re_views, subset: v2`, "spec.host in body should match"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: -1}]`, "spec.steps[0].weight in body should be greater than or equal to 0"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 50}, {weight: 15}]`, "weights must never fall"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 100}, {weight: 100}]`, "weight 100 can stand in one step only"},
		{"Rollout", `host: reviews, subset: v2, steps: [{name: a, weight: 1}, {name: a, weight: 2}]`, "step names must be unique"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 1, bake: {min: 2m, max: 1m}}]`, "bake.min must not be longer"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 1, bake: {min: 721h}}]`, "at most 720h"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 1, bake: {min: 1.5s}}]`, "bake.min in body should match"},
		{"Rollout", `host: reviews, subset: v2, progressDeadline: 1s`, "progressDeadline must be"},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: latncy}]}`, "any other name needs a template"},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: attempts, promotion: required, fromStep: 2}, {name: clientErrors, dryRun: true, promotion: ignored}]}`, ""},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: errors, promotion: maybe}]}`, "Unsupported value"},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: errors, fromStep: 17}]}`, "less than or equal to 16"},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: errors, dryRun: true, promotion: required}]}`, "cannot require a metric in dryRun"},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: m0, template: t}, {name: m1, template: t}, {name: m2, template: t}, {name: m3, template: t}, {name: m4, template: t}, {name: m5, template: t}, {name: m6, template: t}, {name: m7, template: t}, {name: m8, template: t}, {name: m9, template: t}, {name: attempts}]}`, "at most 12 metrics with those that are on by themselves"},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: m0, template: t}, {name: m1, template: t}, {name: m2, template: t}, {name: m3, template: t}, {name: m4, template: t}, {name: m5, template: t}, {name: m6, template: t}, {name: m7, template: t}, {name: m8, template: t}, {name: m9, template: t}, {name: attempts, disabled: true}]}`, ""},
		{"Rollout", `host: reviews, subset: v2, analysis: {falseRollback: "0.01"}`, "falseRollback in body should match"},
		{"Rollout", `host: reviews, subset: v2, analysis: {metrics: [{name: errors, window: 100ms}]}`, "window must be 1s"},
		{"Rollout", `host: reviews, subset: v2, convergence: {timeout: 1h}`, "convergence.timeout must be"},
		{"Rollout", `host: reviews, subset: v2, previewHost: next, steps: [{weight: 0, approval: {}, pause: {}}, {weight: 0, match: [{headers: [{name: x-beta, exact: "1"}], cookies: [{name: a, regex: "b.*"}]}]}, {weight: 5, mirror: {percent: 10}, metrics: [errors]}, {weight: 100, pause: {for: 10m}}]`, ""},
		{"Rollout", `host: reviews, subset: v2, affinity: {cookie: {}}, dryRun: true, rollbackWindow: {versions: 0, maxAge: 0s}, notify: [{name: team, kinds: [Aborted]}]`, ""},
		{"Rollout", `host: reviews, subset: v2, windows: [{days: [Mon, Fri], from: "09:00", to: "17:00", timeZone: Europe/Berlin}], freezes: [{from: "2026-11-27T00:00:00Z", to: "2026-11-28T00:00:00Z", reason: x}]`, ""},
		{"Rollout", `host: reviews, subset: v2, previewHost: reviews`, "previewHost must be another host"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 100, mirror: {percent: 10}}]`, "neither match nor mirror"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, match: [{}]}]`, "at least one header or cookie"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, match: [{headers: [{name: a}]}]}]`, "exactly one of exact, prefix and regex"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, match: [{headers: [{name: a, exact: b, prefix: c}]}]}]`, "exactly one of exact, prefix and regex"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, match: [{headers: [{name: "a:b", exact: b}]}]}]`, "name in body should match"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, match: []}]`, "should have at least 1 items"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, mirror: {percent: 0}}]`, "greater than or equal to 1"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, mirror: {percent: 5, methods: [BREW]}}]`, "Unsupported value"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, pause: {for: 0s}}]`, "pause.for must be"},
		{"Rollout", `host: reviews, subset: v2, steps: [{weight: 5, approval: {count: 6}}]`, "less than or equal to 5"},
		{"Rollout", `host: reviews, subset: v2, affinity: {}`, "exactly one of cookie and header"},
		{"Rollout", `host: reviews, subset: v2, affinity: {cookie: {}, header: {name: x-user}}`, "exactly one of cookie and header"},
		{"Rollout", `host: reviews, subset: v2, affinity: {cookie: {maxAge: 1s}}`, "maxAge must be"},
		{"Rollout", `host: reviews, subset: v2, affinity: {cookie: {sameSite: none, secure: false}}`, "secure cookies only"},
		{"Rollout", `host: reviews, subset: v2, windows: [{from: "9:00", to: "17:00"}]`, "from in body should match"},
		{"Rollout", `host: reviews, subset: v2, windows: [{from: "09:00", to: "09:00"}]`, "from and to must differ"},
		{"Rollout", `host: reviews, subset: v2, windows: [{days: [Monday], from: "09:00", to: "17:00"}]`, "Unsupported value"},
		{"Rollout", `host: reviews, subset: v2, freezes: [{from: "2026-11-28T00:00:00Z", to: "2026-11-27T00:00:00Z", reason: x}]`, "from must be before to"},
		{"Rollout", `host: reviews, subset: v2, rollbackWindow: {versions: 6}`, "less than or equal to 5"},
		{"Rollout", `host: reviews, subset: v2, rollbackWindow: {maxAge: 721h}`, "rollbackWindow.maxAge must be"},
		{"Rollout", `host: reviews, subset: v2, notify: [{name: a}, {name: a}]`, "Duplicate value"},
		{"RolloutAction", `rollout: reviews, verb: promote, ifAttempt: 2, actor: ana`, ""},
		{"RolloutAction", `rollout: reviews, verb: promoteFull, ifRevision: 0a1b2c3d, overrideWindow: true, reason: urgent, actor: ana`, ""},
		{"RolloutAction", `rollout: reviews, verb: pause, ifSeq: 7, actor: "system:serviceaccount:ci:bot"`, ""},
		{"RolloutAction", `rollout: reviews, verb: skip, ifAttempt: 2, step: last, reason: known, actor: ana`, ""},
		{"RolloutAction", `rollout: reviews, verb: promote, actor: ana`, "need ifAttempt or ifRevision"},
		{"RolloutAction", `rollout: reviews, verb: skip, ifAttempt: 2, reason: x, actor: ana`, "skip needs step"},
		{"RolloutAction", `rollout: reviews, verb: promote, ifAttempt: 2, step: last, actor: ana`, "only skip and approve take a step"},
		{"RolloutAction", `rollout: reviews, verb: rollback, actor: ana`, "need reason"},
		{"RolloutAction", `rollout: reviews, verb: promote, ifAttempt: 2, overrideWindow: true, actor: ana`, "overrideWindow belongs to"},
		{"RolloutAction", `rollout: reviews, verb: pause, overrideWindow: true, reason: x, actor: ana`, "overrideWindow belongs to"},
		{"RolloutAction", `rollout: reviews, verb: promote, ifRevision: "123", actor: ana`, "ifRevision in body should match"},
		{"RolloutAction", `rollout: reviews, verb: delete, actor: ana`, "Unsupported value"},
		{"RolloutAction", `rollout: reviews, verb: pause`, "spec.actor: Required value"},
		{"Source", `url: "https://git.example.com/shop/deploy.git"`, ""},
		{"Source", `url: "http://127.0.0.1:8080/r.git", ref: {branch: main}, path: deploy/prod, interval: 10s`, ""},
		{"Source", `url: "https://u:p@h/r"`, "without password"},
		{"Source", `url: "https://h/r?x"`, "without password, query or fragment"},
		{"Source", `url: "file:///r/r/r"`, "url must be https"},
		{"Source", `url: "ssh://git.example.com/r"`, ""},
		{"Source", `url: "ssh://ana@git.example.com:2222/~ana/r.git", ref: {semver: ">=1.0.0 <2.0.0", tagPrefix: shop/}, proxySecretRef: {name: proxy}`, ""},
		{"Source", `url: "ssh://u:p@h/r"`, "url must be https"},
		{"Source", `url: "ssh://h/a'b"`, "url must be https"},
		{"Source", `url: "ssh://h/a%27b"`, "url must be https"},
		{"Source", `url: "ssh://-o@h/r"`, "url must be https"},
		{"Source", `url: "git@h:o/r"`, "git@host:path is ssh://git@host/path"},
		{"Source", `url: "https://h/a", ref: {tag: v1.0.0}`, ""},
		{"Source", `url: "https://h/a", ref: {name: refs/pull/7/head}`, ""},
		{"Source", `url: "https://h/a", ref: {commit: "0123456789abcdef0123456789abcdef01234567"}`, ""},
		{"Source", `url: "https://h/a", ref: {branch: main, tag: v1}`, "at most one of"},
		{"Source", `url: "https://h/a", ref: {tagPrefix: v}`, "tagPrefix needs semver"},
		{"Source", `url: "https://h/a", ref: {commit: abc}`, "spec.ref.commit"},
		{"Source", `url: "https://h/a", ref: {name: heads/main}`, "spec.ref.name"},
		{"Source", `url: "https://h/a/../b"`, "must not contain .."},
		{"Source", `url: "https://h/a", path: ../x`, "path must be relative"},
		{"Source", `url: "https://h/a", path: /etc`, "path must be relative"},
		{"Source", `url: "https://h/a", interval: 1s`, "interval must be"},
		{"MetricTemplate", `ratio: {bad: 'a{b="{{subset}}"}', total: 'c{b="{{subset}}"}'}`, ""},
		{"MetricTemplate", `ratio: {bad: a, good: b, total: c}`, "exactly one of bad and good"},
		{"MetricTemplate", `ratio: {total: c}`, "exactly one of bad and good"},
		{"MetricTemplate", `args: []`, "exactly one of ratio, histogram and condition"},
		{"MetricTemplate", `ratio: {bad: a, total: c}, histogram: {buckets: b}`, "exactly one of ratio, histogram and condition"},
		{"MetricTemplate", `shared: true, histogram: {buckets: b, unit: ms}`, ""},
		{"MetricTemplate", `shared: true, histogram: {buckets: b}, prometheus: {url: "http://p"}`, "a shared template names its prometheus"},
		{"MetricTemplate", `histogram: {buckets: b, unit: h}`, "Unsupported value"},
		{"MetricTemplate", `condition: {query: q, pass: p, interval: 5s, initialDelay: 0s, failureLimit: -1, consecutiveErrorLimit: 0, onFail: hold}`, ""},
		{"MetricTemplate", `condition: {query: q}`, "pass, fail or both"},
		{"MetricTemplate", `condition: {query: q, pass: p, interval: 4s}`, "interval must be 5s"},
		{"MetricTemplate", `condition: {query: q, pass: p, failureLimit: -2}`, "greater than or equal to -1"},
		{"MetricTemplate", `condition: {query: q, pass: p, count: 2, consecutiveSuccessLimit: 3}`, "consecutiveSuccessLimit must be at most count"},
		{"Notifier", `webhook: {url: "https://h/x", signingSecretRef: {name: a, key: b}}`, ""},
		{"Notifier", `webhook: {url: "http://h/x", insecure: true, unsigned: true}`, ""},
		{"Notifier", `slack: {webhookSecretRef: {name: a, key: b}}, kinds: [RolledBack]`, ""},
		{"Notifier", `gitStatus: {provider: Gitea, tokenSecretRef: {name: a, key: b}}`, ""},
		{"Notifier", `gitStatus: {tokenSecretRef: {name: a, key: b}}, slack: {webhookSecretRef: {name: a, key: b}}`, "exactly one of slack"},
		{"Notifier", `gitStatus: {provider: Other, tokenSecretRef: {name: a, key: b}}`, "Unsupported value"},
		{"Notifier", `environment: prod`, "exactly one of slack, webhook, teams, gitStatus and grafana"},
		{"Notifier", `slack: {webhookSecretRef: {name: a, key: b}}, kinds: [Rolledback]`, "Unsupported value"},
		{"Notifier", `webhook: {url: "https://h/x"}`, "signingSecretRef, or unsigned"},
		{"Notifier", `webhook: {url: "http://h/x", unsigned: true}`, "url must be https"},
		{"Notifier", `webhook: {unsigned: true}`, "exactly one of url and urlSecretRef"},
		{"Notifier", `webhook: {url: "https://a@b/x", unsigned: true}`, "without user and password"},
	} {
		err := c.Create(t.Context(), object(t, ns, row.kind, row.spec))
		what := row.kind + " " + row.spec
		if row.why != "" {
			refused(t, what, err, row.why)
		} else if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		validated(t, row.kind, row.spec, row.why == "")
	}
}

// validated holds Validate against the server: it finds an error exactly where the server refuses.
func validated(t *testing.T, kind, spec string, good bool) {
	t.Helper()
	text, err := object(t, "bookinfo", kind, spec).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	obj := map[string]interface{ Validate() []problem.Problem }{
		v1alpha1.KindRollout: &v1alpha1.Rollout{}, v1alpha1.KindSource: &v1alpha1.Source{},
		v1alpha1.KindMetricTemplate: &v1alpha1.MetricTemplate{}, v1alpha1.KindNotifier: &v1alpha1.Notifier{},
		v1alpha1.KindRolloutAction: &v1alpha1.RolloutAction{},
	}[kind]
	if err := yaml.UnmarshalStrict(text, obj); err != nil {
		if good {
			t.Errorf("%s %s: %v", kind, spec, err)
		}
		return
	}
	found := obj.Validate()
	if problem.HasError(found) == good {
		t.Errorf("%s %s: Validate finds %v, the server agrees: %v", kind, spec, found, good)
	}
	for _, p := range found {
		if p.Field == "" || p.Message == "" || p.Object != kind+"/bookinfo/" {
			t.Errorf("%s %s: incomplete problem %+v", kind, spec, p)
		}
	}
}

// TestSpec_defaultsAreThoseOfTheTypes holds the two places that know the defaults against each other.
func TestSpec_defaultsAreThoseOfTheTypes(t *testing.T) {
	c, ns := server(t)
	ro := reviews(ns, "bare")
	if err := c.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	want := reviews(ns, "bare").Spec
	want.Default()
	if diff := cmp.Diff(want, get(t.Context(), t, c, ro).Spec); diff != "" {
		t.Errorf("the server's defaults (+) are not those of Default (-):\n%s", diff)
	}
	src := &v1alpha1.Source{Spec: v1alpha1.SourceSpec{URL: "https://h/r"}}
	src.Namespace, src.Name = ns, "bare"
	wantSource := src.DeepCopy().Spec
	wantSource.Default()
	if err := c.Create(t.Context(), src); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wantSource, src.Spec); diff != "" {
		t.Errorf("the server's defaults (+) are not those of Default (-):\n%s", diff)
	}
}

func TestSpec_anActionIsForEver(t *testing.T) {
	c, ns := server(t)
	a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "stop"},
		Spec: v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: v1alpha1.ActionPause, Actor: "ana"}}
	if err := c.Create(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	a.Spec.Verb = v1alpha1.ActionResume
	refused(t, "another verb", c.Update(t.Context(), a), "an action cannot change")
}

func TestSpec_hostIsForEver(t *testing.T) {
	c, ns := server(t)
	ro := reviews(ns, "host")
	if err := c.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	ro.Spec.Host = "ratings"
	refused(t, "another host", c.Update(t.Context(), ro), "host cannot change")
}

// TestStatus_fitsAtItsBounds stores a status whose every field is as long as it may be.
func TestStatus_fitsAtItsBounds(t *testing.T) {
	c, ns := server(t)
	st := baking(passed(1))
	long := func(n int) string { return strings.Repeat("x", n) }
	st.Analysis = &v1alpha1.AnalysisStatus{Evidence: long(32768), Verdict: "Inconclusive", Reason: long(64), Message: long(256)}
	for i := range 12 {
		st.Analysis.Metrics = append(st.Analysis.Metrics, v1alpha1.MetricStatus{Name: fmt.Sprintf("m%d", i), Ratio: long(16)})
	}
	for i := range 64 {
		st.Notes = append(st.Notes, v1alpha1.PendingNote{
			Notifier: long(20), Kind: v1alpha1.NoteStepPassed, Attempt: 1, Seq: int64(i), At: at, Text: long(200), LastError: long(64),
		})
	}
	for range 10 {
		st.History = append(st.History, v1alpha1.HistoryEntry{
			Name: long(63), Digest: long(64), Commit: long(40), StartedAt: at, EndedAt: at, Outcome: v1alpha1.OutcomeSuperseded, Reason: long(64), Text: long(120),
		})
	}
	ro := stored(t, c, ns, st, "update")
	if ro.Status.Since.UTC() != at.Time {
		t.Errorf("since came back as %v, want %v: microseconds matter", ro.Status.Since, at)
	}
	if n := len(get(t.Context(), t, c, ro).Status.Notes); n != 64 {
		t.Errorf("%d notes came back, want 64", n)
	}
	if got := v1alpha1.DurationOf(90 * time.Second); ro.Status.Plan[0].Bake.Max.String() != got.String() {
		t.Errorf("bake.max came back as %v, want %v", ro.Status.Plan[0].Bake.Max, got)
	}
}
