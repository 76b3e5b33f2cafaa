package cli_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/kube"
)

const commitID = "c07aa19f00c07aa19f00c07aa19f00c07aa19f00"

func (d *desk) putSource(t *testing.T, name string) {
	t.Helper()
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: name}, Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/shop/deploy.git"}}
	if err := d.client.Create(t.Context(), src); err != nil {
		t.Fatal(err)
	}
}

// answering writes, as the controller would, once the Source is as it was asked to be.
func (d *desk) answering(t *testing.T, name string, asked func(*v1alpha1.Source) bool, say func(*v1alpha1.Conditions)) *sync.WaitGroup {
	t.Helper()
	var running sync.WaitGroup
	running.Go(func() {
		kube.Eventually(t, 15*time.Second, func() error {
			src := &v1alpha1.Source{}
			if err := d.client.Get(t.Context(), types.NamespacedName{Namespace: d.ns, Name: name}, src); err != nil {
				return err
			}
			if !asked(src) {
				return fmt.Errorf("%+v was not asked yet", src.ObjectMeta)
			}
			c := v1alpha1.NewConditions(src.Status.Conditions, src.Generation, since.Time)
			say(c)
			src.Status.Conditions, src.Status.ObservedGeneration = c.List(), src.Generation
			src.Status.LastHandledReconcile = src.Annotations[v1alpha1.AnnotationReconcile]
			return d.client.Status().Update(t.Context(), src)
		})
	})
	return &running
}

func marked(s *v1alpha1.Source) bool  { return s.Annotations[v1alpha1.AnnotationReconcile] != "" }
func stopped(s *v1alpha1.Source) bool { return s.Spec.Suspend }
func running(s *v1alpha1.Source) bool { return s.Generation > 1 && !s.Spec.Suspend }

func TestSourceVerbs_waitForTheAnswer(t *testing.T) {
	d := newDesk(t)
	applied := func(c *v1alpha1.Conditions) { c.Ready(v1alpha1.ReasonApplied, "applied main@c07aa19") }
	suspended := func(c *v1alpha1.Conditions) { c.Ready(v1alpha1.ReasonSuspended, "suspended") }
	stalled := func(c *v1alpha1.Conditions) {
		c.Stalled(v1alpha1.ReasonContentInvalid, "1 problem \x1b[31mhostile")
	}
	for i, row := range []struct {
		verb  string
		asked func(*v1alpha1.Source) bool
		say   func(*v1alpha1.Conditions)
		code  int
		out   string
		next  string
	}{
		{"reconcile source NAME", marked, applied, 0, "source NAME Applied: applied main@c07aa19\n", ""},
		{"reconcile source/NAME", marked, stalled, cli.ExitNo, "source NAME ContentInvalid: 1 problem  [31mhostile\n", "next: kubectl describe source NAME"},
		{"reconcile source NAME", marked, suspended, cli.ExitNo, "source NAME Suspended: suspended\n", "next: sluice resume source NAME"},
		{"suspend source NAME", stopped, suspended, 0, "source NAME Suspended: suspended\n", ""},
	} {
		name := fmt.Sprint("shop-", i)
		d.putSource(t, name)
		answer := d.answering(t, name, row.asked, row.say)
		code, out, errs := d.run(t, strings.Fields(strings.ReplaceAll(row.verb, "NAME", name))...)
		answer.Wait()
		if code != row.code || out != strings.ReplaceAll(row.out, "NAME", name) || !strings.HasPrefix(errs, strings.ReplaceAll(row.next, "NAME", name)) {
			t.Errorf("%s: exit %d, %q, %q; want %d, %q, %q", row.verb, code, out, errs, row.code, row.out, row.next)
		}
	}
	answer := d.answering(t, "shop-3", running, applied)
	code, out, errs := d.run(t, "resume", "source", "shop-3")
	answer.Wait()
	if code != 0 || out != "source shop-3 Applied: applied main@c07aa19\n" {
		t.Errorf("resume: exit %d, %q, %q", code, out, errs)
	}
	for name, row := range map[string]struct {
		args []string
		code int
	}{
		"no wait":     {[]string{"reconcile", "source", "shop-0", "--no-wait"}, 0},
		"nobody acts": {[]string{"reconcile", "source", "shop-0", "--timeout", "300ms"}, cli.ExitTimeout},
		"no such":     {[]string{"suspend", "source", "absent"}, cli.ExitNotFound},
		"a rollout":   {[]string{"reconcile", "rollout", "reviews"}, cli.ExitUsage},
		"no name":     {[]string{"suspend", "source"}, cli.ExitUsage},
	} {
		if code, out, errs := d.run(t, row.args...); code != row.code {
			t.Errorf("%s: exit %d, %q, %q; want %d", name, code, out, errs, row.code)
		}
	}
}

func TestTrace_followsAnObjectToItsProxies(t *testing.T) {
	d := newDesk(t)
	d.putSource(t, "shop")
	ro := d.put(t, "reviews", baking())
	marks := map[string]string{
		v1alpha1.AnnotationCommit: commitID, v1alpha1.AnnotationCommitAuthor: "A. Martin", v1alpha1.AnnotationCommitSubject: "Retry \x1b[31mbudget",
		v1alpha1.AnnotationCommitTime: "2026-01-01T00:00:00Z", v1alpha1.AnnotationPath: "prod/rollout.yaml",
	}
	labels := map[string]string{v1alpha1.LabelSourceName: "shop", v1alpha1.LabelSourceNamespace: d.ns}
	ro.Labels, ro.Annotations = labels, marks
	if err := d.client.Update(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	service := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Service",
		"spec": map[string]any{"ports": []any{map[string]any{"port": int64(80)}}}}}
	service.SetNamespace(d.ns)
	service.SetName("reviews")
	other := service.DeepCopy()
	other.SetName("ratings")
	service.SetLabels(labels)
	service.SetAnnotations(marks)
	report := &v1alpha1.FleetReport{ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: "sluice-0"}}
	for _, o := range []*unstructured.Unstructured{service, other} {
		if err := d.client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.client.Create(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	report.Status = v1alpha1.FleetReportStatus{Splits: []v1alpha1.FleetSplit{{Split: d.ns + "/reviews", Seq: 8, Weight: 15, Connected: 3, Acked: 2}},
		Exceptions: []v1alpha1.FleetException{{Node: "gw-2", Namespace: "shop", Kind: "gateway", State: "Pending", Resource: "http.80"}}}
	if err := d.client.Status().Update(t.Context(), report); err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(`object    KIND/NS/reviews
source    NS/shop https://git.example.com/shop/deploy.git n/a
file      prod/rollout.yaml
commit    c07aa19 "Retry \x1b[31mbudget" by A. Martin, 2026-01-01T00:00:00Z
signature not asked for by the Source
rollout   NS/reviews Baking: step 1/3 (15%): needs about 640 more requests on v3, 1h11m at this rate
xds       seq 8 at 15%: 2 of 3 proxies of replica sluice-0 run it, 0 reject it
proxy     gw-2 (shop) Pending http.80 
`, "NS", d.ns)
	for _, kind := range []string{"rollout", "service"} {
		name := strings.ToUpper(kind[:1]) + kind[1:]
		code, out, errs := d.run(t, "trace", kind+"/reviews")
		if code != 0 || out != strings.ReplaceAll(want, "KIND", name) {
			t.Errorf("%s: exit %d, %s\n%s\nwant\n%s", kind, code, errs, out, want)
		}
	}
	code, out, errs := d.run(t, "trace", "svc", "reviews", "-o", "json")
	if code != 0 || !strings.Contains(out, `"kind": "TraceView"`) || !strings.Contains(out, `"signer": null`) {
		t.Errorf("json: exit %d, %s%s", code, out, errs)
	}
	if code, out, _ := d.run(t, "trace", "service/ratings"); code != cli.ExitNo || !strings.Contains(out, "not applied from Git") {
		t.Errorf("not from Git: exit %d, %s", code, out)
	}
	for name, row := range map[string]struct {
		arg  string
		code int
	}{"absent": {"service/absent", cli.ExitNotFound}, "no kind": {"reviews", cli.ExitUsage}} {
		if code, out, errs := d.run(t, "trace", row.arg); code != row.code {
			t.Errorf("%s: exit %d, %q, %q; want %d", name, code, out, errs, row.code)
		}
	}
}
