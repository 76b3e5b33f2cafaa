package cli_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/kube"
)

// checkup runs the doctor and gives its checks as "area name: result".
func (d *desk) checkup(t *testing.T, args ...string) (code int, found []string, report view.DoctorReport) {
	t.Helper()
	code, out, errs := d.run(t, append([]string{"doctor", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("exit %d, %s%v", code, errs, err)
	}
	for _, c := range report.Checks {
		found = append(found, c.Area+" "+strings.ReplaceAll(c.Name, d.ns, "NS")+": "+string(c.Result))
		if c.Result == view.DoctorFail && c.Next == "" {
			t.Errorf("%s %s fails, and says not what is next", c.Area, c.Name)
		}
	}
	return code, found, report
}

// leads stores a Lease that was renewed just now.
func (d *desk) leads(t *testing.T, name, holder string, renewed time.Time) {
	t.Helper()
	seconds, at := int32(15), metav1.NewMicroTime(renewed)
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: d.ns},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, RenewTime: &at}}
	if _, err := d.core(t).CoordinationV1().Leases(d.ns).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// counts stores the Lease of a leader that nobody elected: it counts who led, and is never renewed.
func (d *desk) counts(t *testing.T) {
	t.Helper()
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "sluice", Namespace: d.ns, Annotations: map[string]string{"sluice.dev/epoch": "1"}}}
	if _, err := d.core(t).CoordinationV1().Leases(d.ns).Create(t.Context(), lease, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// renews lets a holder, or nobody, have a Lease as of now.
func (d *desk) renews(t *testing.T, name, holder string) {
	t.Helper()
	leases := d.core(t).CoordinationV1().Leases(d.ns)
	lease, err := leases.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	at := metav1.NewMicroTime(time.Now())
	lease.Spec.HolderIdentity, lease.Spec.RenewTime = &holder, &at
	if _, err := leases.Update(t.Context(), lease, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestDoctor_findsWhatIsBroken(t *testing.T) {
	d := newDeskAlone(t)
	d.serveReports(t)
	wants := func(t *testing.T, found []string, wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if !slices.Contains(found, want) {
				t.Errorf("want %q among\n%s", want, strings.Join(found, "\n"))
			}
		}
	}
	code, found, _ := d.checkup(t)
	wants(t, found, "client kubeconfig: ok", "cluster definitions: ok", "cluster names: ok", "cluster rights: ok",
		"controller replicas: fail", "controller leader: fail", "proxies connected: warn", "metrics answers: warn", "notes outbox: ok")
	if code != cli.ExitNo {
		t.Errorf("nothing runs: exit %d, want %d", code, cli.ExitNo)
	}
	d.leads(t, "sluice-replica-sluice-0", "sluice-0", time.Now())
	d.counts(t)
	_, found, alone := d.checkup(t)
	wants(t, found, "controller leader: ok")
	if !slices.ContainsFunc(alone.Checks, func(c view.DoctorCheck) bool { return c.Message == "sluice-0 leads by itself: nobody is elected here" }) {
		t.Errorf("one replica without an election: %+v", alone.Checks)
	}
	if err := d.core(t).CoordinationV1().Leases(d.ns).Delete(t.Context(), "sluice", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	d.leads(t, "sluice", "sluice-0_uid", time.Now().Add(-time.Hour))
	_, found, _ = d.checkup(t)
	wants(t, found, "controller leader: fail")
	d.renews(t, "sluice", "")
	_, found, _ = d.checkup(t)
	wants(t, found, "controller leader: fail")
	d.renews(t, "sluice", "sluice-0_uid")
	d.report(t, "sluice-0", v1alpha1.FleetReportStatus{Proxies: v1alpha1.FleetProxies{Connected: 3, Synced: 3}})
	_, found, _ = d.checkup(t)
	wants(t, found, "controller replicas: ok", "controller leader: ok", "proxies connected: ok", "proxies rejected: ok", "proxies stale: ok",
		"proxies xds address: warn", "controller version: warn")

	d.leads(t, "sluice-replica-sluice-1", "sluice-1", time.Now().Add(-time.Hour))
	d.report(t, "sluice-1", v1alpha1.FleetReportStatus{Proxies: v1alpha1.FleetProxies{Connected: 2, Pending: 1, Rejected: 1}})
	d.serves(t)
	d.break1(t)
	code, found, _ = d.checkup(t)
	wants(t, found, "controller replicas: warn", "controller version: warn", "proxies rejected: fail", "proxies stale: warn", "proxies xds address: fail",
		"metrics answers: fail", "git NS/shop: fail", "git NS/away: warn", "notes outbox: fail", "notes NS/team: fail")
	if code != cli.ExitNo {
		t.Errorf("much is broken: exit %d, want %d", code, cli.ExitNo)
	}
	code, out, _ := d.run(t, "doctor", "--color", "always")
	if code != cli.ExitNo || !strings.Contains(out, "\x1b[31mfail\x1b[m") || !strings.Contains(out, "next: sluice proxy-status -n ") {
		t.Errorf("exit %d, %s", code, out)
	}
}

// serves stores a Service of the controllers without an endpoint, and two Pods of different versions.
func (d *desk) serves(t *testing.T) {
	t.Helper()
	marks := map[string]string{"app.kubernetes.io/name": "sluice", "app.kubernetes.io/component": "controller"}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "sluice", Namespace: d.ns, Labels: marks},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "grpc-xds", Port: 15012}}}}
	if _, err := d.core(t).CoreV1().Services(d.ns).Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for name, image := range map[string]string{"sluice-0": "sluice:v1.2.3", "sluice-1": "sluice:v1.2.2"} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: d.ns, Labels: marks},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "sluice", Image: image}}}}
		if _, err := d.core(t).CoreV1().Pods(d.ns).Create(t.Context(), pod, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

// break1 stores a Rollout that is blind and has an old note, a Source and a Notifier in trouble, and a suspended Source.
func (d *desk) break1(t *testing.T) {
	t.Helper()
	st := baking()
	st.Analysis = &v1alpha1.AnalysisStatus{Verdict: "Blind", Metrics: []v1alpha1.MetricStatus{{Name: "errors", Stable: v1alpha1.ArmStatus{Requests: 9}}}}
	st.Notes = []v1alpha1.PendingNote{{Notifier: "team", Kind: v1alpha1.NoteStarted, Attempt: 2, Seq: 7, At: since}}
	d.put(t, "blind", st)
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Failing(v1alpha1.ReasonAuthFailed, "the remote refuses the credentials")
	shop := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: d.ns}, Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/shop.git"}}
	away := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: "away", Namespace: d.ns}, Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/away.git", Suspend: true}}
	team := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Name: "team", Namespace: d.ns},
		Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://hooks.example.com/", Unsigned: true}}}
	for _, o := range []client.Object{shop, away, team} {
		if err := d.client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	shop.Status.Conditions, team.Status.Conditions = c.List(), c.List()
	for _, o := range []client.Object{shop, team} {
		if err := d.client.Status().Update(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDoctor_comparesDefinitionsAndNames(t *testing.T) {
	d := newDeskAlone(t)
	d.serveReports(t)
	foreign := &apiextensionsv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "rollouts.other.example"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{Group: "other.example", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "rollouts", Singular: "rollout", Kind: "Rollout", ListKind: "RolloutList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object"}}}}},
	}
	if err := d.client.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	ours := &apiextensionsv1.CustomResourceDefinition{}
	if err := d.client.Get(t.Context(), client.ObjectKey{Name: "metrictemplates.sluice.dev"}, ours); err != nil {
		t.Fatal(err)
	}
	before := ours.DeepCopy()
	ours.Spec.Versions[0].Schema.OpenAPIV3Schema.Description = "another one"
	if err := d.client.Update(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, 10*time.Second, func() error {
		_, found, report := d.checkup(t, "--pre")
		if !slices.Contains(found, "cluster names: warn") {
			return errNotYet
		}
		if slices.ContainsFunc(report.Checks, func(c view.DoctorCheck) bool { return c.Name == "definitions" }) || !report.Pre {
			t.Errorf("--pre looks at what is to be installed: %v", found)
		}
		return nil
	})
	if code, _, errs := d.run(t, "trace", "rollout/absent"); code != cli.ExitNotFound || !strings.Contains(errs, `rollouts.sluice.dev "absent" not found`) {
		t.Errorf("trace among two kinds of rollouts: exit %d, %s", code, errs)
	}
	_, found, _ := d.checkup(t)
	if !slices.Contains(found, "cluster definitions: fail") {
		t.Errorf("a changed definition is not found: %v", found)
	}
	ours.Spec = before.Spec
	if err := d.client.Update(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	if err := d.client.Delete(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
}

func TestDoctor_asksPrometheus(t *testing.T) {
	d := newDeskAlone(t)
	d.serveReports(t)
	samples := "8"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path == "/-/ready" {
			w.Header().Set("Date", time.Now().Add(-time.Minute).UTC().Format(http.TimeFormat))
			return
		}
		value := "1"
		if strings.Contains(r.FormValue("query"), "count_over_time") {
			value = samples
		}
		_, _ = w.Write([]byte(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[` +
			r.FormValue("time") + `,"` + value + `"]}]}}`))
	}))
	defer server.Close()
	_, found, report := d.checkup(t, "--prometheus", server.URL)
	for _, want := range []string{"metrics answers: ok", "metrics scrape: ok", "metrics clock: warn"} {
		if !slices.Contains(found, want) {
			t.Errorf("want %q among %v: %+v", want, found, report.Checks)
		}
	}
	samples = "2"
	if _, found, _ = d.checkup(t, "--prometheus", server.URL); !slices.Contains(found, "metrics scrape: warn") {
		t.Errorf("a slow scrape is not found: %v", found)
	}
	if code, found, _ := d.checkup(t, "--prometheus", "http://127.0.0.1:1"); code != cli.ExitNo || !slices.Contains(found, "metrics answers: fail") {
		t.Errorf("exit %d: %v", code, found)
	}
}

var errNotYet = errors.New("not yet")
