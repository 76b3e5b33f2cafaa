package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/kube"
)

// desk is a command line beside a real API server.
type desk struct {
	client     client.Client
	ns         string
	kubeconfig string
	state      string // directory of a sluice up; empty: none
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	return deskOf(t, kube.Start(t))
}

// newDeskAlone is a desk at a server that no other test has anything on: for what looks at the whole cluster, or changes it.
func newDeskAlone(t *testing.T) *desk {
	t.Helper()
	return deskOf(t, kube.Alone(t))
}

func deskOf(t *testing.T, cfg *rest.Config) *desk {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &desk{client: c, ns: kube.Namespace(t, cfg), kubeconfig: kubeconfig(t, cfg)}
}

func kubeconfig(t *testing.T, cfg *rest.Config) string {
	t.Helper()
	out := clientcmdapi.NewConfig()
	out.Clusters["c"] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: cfg.CAData, CertificateAuthority: cfg.CAFile}
	out.AuthInfos["u"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData, ClientCertificate: cfg.CertFile, ClientKey: cfg.KeyFile,
	}
	out.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	out.CurrentContext = "x"
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*out, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// run calls the program and gives its exit code and outputs; the desk's namespace is the default.
func (d *desk) run(t *testing.T, args ...string) (int, string, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	args = append(args, "--kubeconfig", d.kubeconfig)
	if !strings.Contains(strings.Join(args, " "), " -A") {
		args = append(args, "-n", d.ns)
	}
	code := cli.Main(ctx, args, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, cli.Build{})
	if strings.HasPrefix(out.String(), "{\n  \"apiVersion\": \"view.") {
		conforms(t, out.String()) // whatever else a test wants of it
	}
	return code, out.String(), errs.String()
}

var since = metav1.NewMicroTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))

// put stores a Rollout of that name and status.
func (d *desk) put(t *testing.T, name string, st *v1alpha1.RolloutStatus) *v1alpha1.Rollout {
	t.Helper()
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: name, Annotations: map[string]string{v1alpha1.AnnotationCommit: "c07aa19f00"}},
		Spec:       v1alpha1.RolloutSpec{Host: name, Subset: "v3"},
	}
	if err := d.client.Create(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
	d.set(t, ro, st)
	return ro
}

func (d *desk) set(t *testing.T, ro *v1alpha1.Rollout, st *v1alpha1.RolloutStatus) {
	t.Helper()
	st = st.DeepCopy()
	st.ObservedGeneration = ro.Generation
	ro.Status = st
	if err := d.client.Status().Update(t.Context(), ro); err != nil {
		t.Fatal(err)
	}
}

func baking() *v1alpha1.RolloutStatus {
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Moving(v1alpha1.ReasonBaking, "step 1/3 (15%): needs about 640 more requests on v3, 1h11m at this rate")
	return &v1alpha1.RolloutStatus{
		Seq: 8, Attempt: 2, Phase: v1alpha1.PhaseBaking, Outcome: v1alpha1.OutcomeOpen, Since: since, Step: 1, Steps: 3, Weight: 15,
		Stable: v1alpha1.VersionStatus{Name: "v2", Digest: "d2"}, Canary: &v1alpha1.VersionStatus{Name: "v3", Digest: "d3", Commit: "c07aa19f00"},
		Conditions: c.List(), Proxies: &v1alpha1.ProxiesStatus{Connected: 3, Acked: 3},
		Display: &v1alpha1.DisplayStatus{Step: "1/3", Weight: "15%", Verdict: "NeedsRequests", Commit: "c07aa19", Proxies: "3/3"},
	}
}

func rollingBack() *v1alpha1.RolloutStatus {
	st := baking()
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Moving(v1alpha1.ReasonRollingBack, "rolled back to v2 at step 1/3 (15%): errors 20.1% (84/418) against 0.042% (1/2380), at least 43.3x (99%); v2 serves 100%")
	st.Seq, st.Phase, st.Outcome, st.Weight, st.Conditions = 9, v1alpha1.PhaseRollingBack, v1alpha1.OutcomeRolledBack, 0, c.List()
	st.Rejected = []v1alpha1.RejectedVersion{{Digest: "d3", Name: "v3", Commit: "c07aa19f00", Attempt: 2, Reason: "RegressionDetected", At: since}}
	st.Display = &v1alpha1.DisplayStatus{Step: "1/3", Weight: "0%", Verdict: "Rollback", Commit: "c07aa19", Proxies: "2/3"}
	return st
}

func rolledBack() *v1alpha1.RolloutStatus {
	st := rollingBack()
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Stalled(v1alpha1.ReasonRolledBack, "Git wants v3, rejected in attempt 2 (RegressionDetected); v2 serves 100%")
	st.Seq, st.Phase, st.Canary, st.Step, st.Conditions = 10, v1alpha1.PhaseRolledBack, nil, 0, c.List()
	st.Display = &v1alpha1.DisplayStatus{Weight: "0%", Verdict: "Rollback", Commit: "c07aa19", Proxies: "3/3"}
	return st
}

func paused() *v1alpha1.RolloutStatus {
	st := baking()
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Moving(v1alpha1.ReasonPausedInGit, "step 1/3 (15%): paused in Git")
	c.Set(v1alpha1.ConditionPaused, metav1.ConditionTrue, v1alpha1.ReasonPausedInGit, "")
	st.Seq, st.Phase, st.Conditions = 9, v1alpha1.PhaseHolding, c.List()
	return st
}

func completed() *v1alpha1.RolloutStatus {
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Ready(v1alpha1.ReasonCompleted, "v3 serves 100% since attempt 2")
	return &v1alpha1.RolloutStatus{
		Seq: 9, Attempt: 2, Phase: v1alpha1.PhaseIdle, Outcome: v1alpha1.OutcomeCompleted, Since: since, Conditions: c.List(),
		Stable:  v1alpha1.VersionStatus{Name: "v3", Digest: "d3", Commit: "c07aa19f00"},
		Display: &v1alpha1.DisplayStatus{Weight: "100%", Verdict: "Promote", Commit: "c07aa19", Proxies: "3/3"},
	}
}

func invalid() *v1alpha1.RolloutStatus {
	st := completed()
	c := v1alpha1.NewConditions(nil, 1, since.Time)
	c.Stalled(v1alpha1.ReasonInvalidSpec, "weights fall")
	st.Conditions = c.List()
	return st
}

var (
	ages  = regexp.MustCompile(` [0-9]+(s|ms|m[0-9]*s?)(\s|$)`)
	dates = regexp.MustCompile(` [0-9]+(d|y[0-9]*d?)(\s|$)`)
)

// steady hides what depends on the day: ages and the test's namespace.
func (d *desk) steady(text string) string {
	text = strings.ReplaceAll(text, d.ns, "bookinfo")
	text = dates.ReplaceAllString(ages.ReplaceAllString(text, " <age>$2"), " <since>$2")
	var out []string
	for _, line := range strings.Split(text, "\n") {
		out = append(out, strings.Join(strings.Fields(line), "  "))
	}
	return strings.Join(out, "\n")
}

func TestGetAndStatus(t *testing.T) {
	d := newDesk(t)
	for name, st := range map[string]*v1alpha1.RolloutStatus{
		"reviews": baking(), "ratings": rolledBack(), "details": completed(), "product": paused(), "broken": invalid(),
	} {
		d.put(t, name, st)
	}
	t.Run("get", func(t *testing.T) { d.get(t) })
	t.Run("objects", func(t *testing.T) { d.objects(t) })
	t.Run("refused", func(t *testing.T) { d.refused(t) })
	t.Run("status", func(t *testing.T) { d.status(t) })
	t.Run("watch", func(t *testing.T) { d.watch(t) })
}

func (d *desk) get(t *testing.T) {
	for _, row := range []struct{ args, want string }{
		{"get rollouts", `NAME  READY  STATUS  STEP  WEIGHT  VERDICT  COMMIT  AGE
broken  False  InvalidSpec  100%  Promote  c07aa19  <age>
details  True  Completed  100%  Promote  c07aa19  <age>
product  Unknown  PausedInGit  1/3  15%  NeedsRequests  c07aa19  <age>
ratings  False  RolledBack  0%  Rollback  c07aa19  <age>
reviews  Unknown  Baking  1/3  15%  NeedsRequests  c07aa19  <age>
`},
		{"get slr/reviews --no-headers", "reviews  Unknown  Baking  1/3  15%  NeedsRequests  c07aa19  <age>\n"},
		{"get rollout reviews -o wide", `NAME  READY  STATUS  STEP  WEIGHT  VERDICT  COMMIT  AGE  STABLE  CANARY  PROXIES  SINCE  MESSAGE
reviews  Unknown  Baking  1/3  15%  NeedsRequests  c07aa19  <age>  v2  v3  3/3  <since>  step  1/3  (15%):  needs  about  640  more  requests  on  v3,  1h11m  at  this  rate
`},
		{"get rollouts --field-selector metadata.name=reviews,metadata.namespace=" + d.ns + " -A", `NAMESPACE  NAME  READY  STATUS  STEP  WEIGHT  VERDICT  COMMIT  AGE
bookinfo  reviews  Unknown  Baking  1/3  15%  NeedsRequests  c07aa19  <age>
`},
		{"get rollouts reviews -o name", "rollout.sluice.dev/reviews\n"},
		{"get rollouts reviews -o jsonpath={.status.weight}", "15"},
		{"get sources", ""},
	} {
		code, out, errs := d.run(t, strings.Fields(row.args)...)
		if diff := cmp.Diff(row.want, d.steady(out)); code != 0 || diff != "" {
			t.Errorf("sluice %s: exit %d, %s(-want +got)\n%s", row.args, code, errs, diff)
		}
		if row.want == "" && !strings.HasPrefix(errs, "no sources found in namespace ") {
			t.Errorf("sluice %s says %q", row.args, errs)
		}
	}
}

func (d *desk) objects(t *testing.T) {
	code, out, errs := d.run(t, "get", "rollouts", "-o", "json")
	var list struct {
		Kind  string
		Items []v1alpha1.Rollout
	}
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil || list.Kind != "List" || len(list.Items) != 5 {
		t.Errorf("exit %d, %s %v: %d items of a %s, want 5 of a List", code, errs, err, len(list.Items), list.Kind)
	}
	for _, ro := range list.Items {
		if ro.Kind != v1alpha1.KindRollout || len(ro.ManagedFields) > 0 {
			t.Errorf("%s: kind %q with %d managed fields, want a Rollout without", ro.Name, ro.Kind, len(ro.ManagedFields))
		}
	}
	code, out, errs = d.run(t, "get", "rollout", "reviews", "-o", "yaml")
	if code != 0 || !strings.HasPrefix(out, "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\n") {
		t.Errorf("exit %d, %s%s", code, errs, out)
	}
}

func (d *desk) refused(t *testing.T) {
	gone := &desk{ns: d.ns, kubeconfig: kubeconfig(t, &rest.Config{Host: "https://127.0.0.1:1"})}
	nobody := &desk{ns: d.ns, kubeconfig: d.anonymous(t)}
	none := &desk{ns: d.ns, kubeconfig: filepath.Join(t.TempDir(), "none")}
	for _, row := range []struct {
		desk *desk
		args string
		code int
		says string
	}{
		{d, "get rollouts nothing", cli.ExitNotFound, `rollouts.sluice.dev "nothing" not found`},
		{d, "get pods", cli.ExitUsage, `"pods" is not a kind of sluice.dev`},
		{d, "get rollouts reviews -o nope", cli.ExitUsage, "nope"},
		{d, "get rollouts reviews -A", cli.ExitUsage, "neither -A nor a selector"},
		{d, "get rollouts/reviews details", cli.ExitUsage, "KIND NAME or KIND/NAME"},
		{d, "get", cli.ExitUsage, "accepts between 1 and 2 arg(s)"},
		{d, "status nothing", cli.ExitNotFound, "not found"},
		{d, "status nothing --watch", cli.ExitNotFound, "does not exist"},
		{d, "status source/reviews", cli.ExitUsage, "does not name a rollout"},
		{d, "status reviews -o xml", cli.ExitUsage, "want one of json, yaml, name"},
		{d, "status reviews --watch --timeout 1ms", cli.ExitTimeout, "is not at rest after 1ms"},
		{gone, "get rollouts", cli.ExitUnreachable, "does not answer"},
		{gone, "status reviews", cli.ExitUnreachable, "does not answer"},
		{nobody, "get rollouts", cli.ExitUnauthorized, ""},
		{nobody, "status reviews --watch", cli.ExitUnauthorized, ""},
		{none, "get rollouts", cli.ExitUnreachable, "kubeconfig"},
	} {
		code, out, errs := row.desk.run(t, strings.Fields(row.args)...)
		if code != row.code || !strings.HasPrefix(errs, "error: ") || !strings.Contains(errs, row.says) || (out != "" && code != cli.ExitTimeout) {
			t.Errorf("sluice %s: exit %d, %q, %q; want exit %d that says %q", row.args, code, out, errs, row.code, row.says)
		}
	}
}

// anonymous is a kubeconfig without a certificate.
func (d *desk) anonymous(t *testing.T) string {
	t.Helper()
	cfg, err := clientcmd.LoadFromFile(d.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.AuthInfos["u"] = &clientcmdapi.AuthInfo{}
	path := filepath.Join(t.TempDir(), "anonymous")
	if err := clientcmd.WriteToFile(*cfg, path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (d *desk) status(t *testing.T) {
	for _, row := range []struct {
		name string
		code int
		out  string
		next string
	}{
		{"reviews", 0, "reviews Baking: step 1/3 (15%): needs about 640 more requests on v3, 1h11m at this rate\n", ""},
		{"details", 0, "details Completed: v3 serves 100% since attempt 2\n", ""},
		{"rollout/ratings", cli.ExitRolledBack, "ratings RolledBack: Git wants v3, rejected in attempt 2 (RegressionDetected); v2 serves 100%\n",
			"next: revert c07aa19 in Git, or push a version with other content\n"},
		{"slr/product", cli.ExitPaused, "product PausedInGit: step 1/3 (15%): paused in Git\n", "next: kubectl describe rollout product -n bookinfo\n"},
		{"broken", cli.ExitNo, "broken InvalidSpec: weights fall\n", "next: kubectl describe rollout broken -n bookinfo\n"},
	} {
		code, out, errs := d.run(t, "status", row.name)
		if errs = strings.ReplaceAll(errs, d.ns, "bookinfo"); code != row.code || out != row.out || errs != row.next {
			t.Errorf("sluice status %s: exit %d, %q, %q; want exit %d, %q, %q", row.name, code, out, errs, row.code, row.out, row.next)
		}
	}
	d.statusRows(t)
	code, out, errs := d.run(t, "status", "reviews", "-o", "json")
	var v view.StatusView
	if err := json.Unmarshal([]byte(out), &v); code != 0 || err != nil {
		t.Fatalf("exit %d, %s %v", code, errs, err)
	}
	want := &view.Place{Step: 1, Steps: 3, Weight: 15}
	if v.APIVersion != view.APIVersion || v.Kind != view.KindStatusView || v.Standing != view.Moving || *v.Place != *want || v.Stable.Name != "v2" || v.Canary.Commit != "c07aa19f00" {
		t.Errorf("got %+v", v)
	}
}

// watch follows a rollout through a failure while it happens.
func (d *desk) watch(t *testing.T) {
	ro := d.put(t, "live", baking())
	go func() {
		for _, st := range []*v1alpha1.RolloutStatus{rollingBack(), rolledBack()} {
			st.ObservedGeneration = ro.Generation
			ro.Status = st
			if err := d.client.Status().Update(t.Context(), ro); err != nil {
				t.Error(err)
			}
		}
	}()
	code, out, errs := d.run(t, "status", "live", "--watch")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := "live RolledBack: Git wants v3, rejected in attempt 2 (RegressionDetected); v2 serves 100%"
	if code != cli.ExitRolledBack || lines[len(lines)-1] != last {
		t.Errorf("exit %d, %s, %s; want exit 3 and the last line %q", code, out, errs, last)
	}
	for i := 1; i < len(lines); i++ {
		if lines[i] == lines[i-1] {
			t.Errorf("a line came twice: %s", lines[i])
		}
	}
	if code, out, _ := d.run(t, "status", "live", "--watch", "-o", "json"); code != cli.ExitRolledBack || strings.Count(out, "\n") != 1 || !json.Valid([]byte(out)) {
		t.Errorf("exit %d, %s; want one document a line", code, out)
	}
	if code, out, _ := d.run(t, "status", "product", "--watch"); code != cli.ExitPaused || strings.Count(out, "\n") != 1 {
		t.Errorf("exit %d, %s; want the pause to end it", code, out)
	}
	if code, _, errs := d.run(t, "status", "product", "--watch", "--through-pauses", "--timeout", "200ms"); code != cli.ExitTimeout {
		t.Errorf("exit %d, %s; want it to go on through the pause", code, errs)
	}
	d.deleted(t, ro)
}

func (d *desk) deleted(t *testing.T, ro *v1alpha1.Rollout) {
	doomed := d.put(t, "doomed", baking())
	go func() {
		if err := d.client.Delete(t.Context(), doomed); err != nil {
			t.Error(err)
		}
	}()
	code, _, errs := d.run(t, "status", "doomed", "--watch")
	if code != cli.ExitNotFound || (!strings.Contains(errs, "was deleted") && !strings.Contains(errs, "does not exist")) {
		t.Errorf("exit %d, %s; want to hear of the deletion", code, errs)
	}
	if err := d.client.Delete(t.Context(), ro); err != nil {
		t.Error(fmt.Errorf("clearing up: %w", err))
	}
}
