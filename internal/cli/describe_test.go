package cli_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli"
)

// core is a client of Kubernetes' own kinds.
func (d *desk) core(t *testing.T) kubernetes.Interface {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", d.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// happen records an event of a Rollout.
func (d *desk) happen(t *testing.T, rollout, reason, note string, after int) {
	t.Helper()
	at := metav1.NewMicroTime(since.Add(time.Minute + time.Second + time.Duration(after)*time.Minute))
	e := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, GenerateName: rollout + "-"}, EventTime: at, Reason: reason, Note: note, Type: "Normal", Action: "Transition",
		ReportingController: "sluice", ReportingInstance: "sluice",
		Regarding: corev1.ObjectReference{APIVersion: v1alpha1.GroupVersion().String(), Kind: v1alpha1.KindRollout, Namespace: d.ns, Name: rollout},
	}
	if _, err := d.core(t).EventsV1().Events(d.ns).Create(t.Context(), e, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

var ago = regexp.MustCompile(`\b\d+[dhmsy0-9]* ago\b`)

func TestDescribe_tellsAll(t *testing.T) {
	d := newDesk(t)
	st := baking()
	st.Plan = []v1alpha1.PlanStep{
		{Name: "first", Weight: 15, Bake: v1alpha1.Bake{Min: v1alpha1.DurationOf(60e9), Max: v1alpha1.DurationOf(300e9)}, Promotion: "evidence"},
		{Name: "all", Weight: 100, Bake: v1alpha1.Bake{Min: v1alpha1.DurationOf(60e9), Max: v1alpha1.DurationOf(60e9)}, Promotion: "evidence", Approvals: 2},
	}
	st.Steps = 2
	started := since
	st.Progress = &v1alpha1.Progress{StartedAt: &started}
	st.History = []v1alpha1.HistoryEntry{{Attempt: 1, Name: "v2", Commit: "0123456789", StartedAt: since, EndedAt: since, Outcome: v1alpha1.OutcomeCompleted, Reason: "Completed"}}
	d.put(t, "told", st)
	d.happen(t, "told", "AttemptStarted", "v3 from c07aa19: \x1b[31mred", 0)
	d.happen(t, "told", "WeightProgrammed", "15% in 3 proxies", 1)
	d.happen(t, "other", "WeightProgrammed", "50%", 1)
	code, out, errs := d.run(t, "describe", "told")
	want := strings.TrimLeft(`
Rollout:    NS/told
Host:       told
Standing:   Moving (Baking)
Says:       step 1/3 (15%): needs about 640 more requests on v3, 1h11m at this rate
Git wants:  v3 from c07aa19
Stable:     v2
Canary:     v3 from c07aa19
Attempt:    2
Place:      step 1 of 2, 15% wanted
Proxies:    3 of 3 run it, 0 refuse it
Steps:
  STEP   NAME    WEIGHT   WAITS FOR
  1      first   15%      bake 60s to 5m          now: Baking
  2      all     100%     bake 60s, 2 approvals
Conditions:
`, "\n")
	got := strings.ReplaceAll(out, d.ns, "NS")
	head, _, _ := strings.Cut(got, "Conditions:\n")
	if code != 0 || head+"Conditions:\n" != want {
		t.Errorf("exit %d, %q (-want +got):\n%s", code, errs, cmp.Diff(want, head+"Conditions:\n"))
	}
	_, tail, _ := strings.Cut(ago.ReplaceAllString(got, "AGO"), "History:\n")
	want = "  ATTEMPT   VERSION   COMMIT    OUTCOME     REASON      ENDED   TOOK\n" +
		"  1         v2        0123456   completed   Completed   AGO   0s\n" +
		"Events:\n" +
		"  SEEN       OBJECT         REASON             MESSAGE\n" +
		"  AGO   rollout/told   AttemptStarted     v3 from c07aa19:  [31mred\n" +
		"  AGO   rollout/told   WeightProgrammed   15% in 3 proxies\n"
	if diff := cmp.Diff(squeeze(want), squeeze(tail)); diff != "" {
		t.Errorf("the end (-want +got):\n%s", diff)
	}
	if code, _, errs := d.run(t, "describe", "nobody"); code != 5 {
		t.Errorf("a rollout that is not there: exit %d, %q; want 5", code, errs)
	}
}

// squeeze makes runs of blanks one.
func squeeze(text string) string { return regexp.MustCompile(` +`).ReplaceAllString(text, " ") }

func TestEvents_areThoseOfTheAttempt(t *testing.T) {
	d := newDesk(t)
	st := baking()
	started := metav1.NewMicroTime(since.Add(100e9))
	st.Progress = &v1alpha1.Progress{StartedAt: &started}
	st.History = []v1alpha1.HistoryEntry{{Attempt: 1, Name: "v2", StartedAt: since, EndedAt: since, Outcome: v1alpha1.OutcomeCompleted}}
	d.put(t, "eventful", st)
	d.happen(t, "eventful", "First", "one", 0)  // 61 s after the start
	d.happen(t, "eventful", "Second", "two", 1) // 121 s
	for _, c := range []struct {
		args []string
		code int
		want string // reasons
		says string
	}{
		{nil, 0, "First Second", ""},
		{[]string{"--no-headers"}, 0, "First Second", ""},
		{[]string{"--attempt", "2"}, 0, "Second", ""},
		{[]string{"--attempt", "7"}, 1, "", "attempt 7 of rollout eventful is not known"},
		{[]string{"--since", "1m"}, 0, "", "no events"},
		{[]string{"--since", "-1m"}, 2, "", "above 0"},
		{[]string{"--watch", "--timeout", "3s"}, 124, "First Second", "not at rest"},
	} {
		code, out, errs := d.run(t, append([]string{"events", "eventful"}, c.args...)...)
		var reasons []string
		if headed := strings.HasPrefix(out, "SEEN "); headed != (c.want != "" && !slices.Contains(c.args, "--no-headers")) {
			t.Errorf("sluice events %v: there are names of columns: %v", c.args, headed)
		}
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "SEEN ") {
				continue
			}
			reasons = append(reasons, strings.Fields(ago.ReplaceAllString(line, "AGO"))[2])
		}
		if code != c.code || strings.Join(reasons, " ") != c.want || !strings.Contains(errs, c.says) {
			t.Errorf("sluice events %v: exit %d, %q, %q; want exit %d, %q and %q", c.args, code, out, errs, c.code, c.want, c.says)
		}
	}
}

// What became of notes, and who does not run it, stand among the events; what may not be read is said.
func TestEvents_joinNotesAndProxies(t *testing.T) {
	d := newDesk(t)
	st := baking()
	st.Notes = []v1alpha1.PendingNote{{Notifier: "team", Kind: v1alpha1.NoteStarted, Attempt: 2, Seq: 5, At: since, Tries: 2, LastError: "answered 503"}}
	d.serveReports(t)
	ro := d.put(t, "joined", st)
	d.happen(t, "joined", "First", "one", 0)
	d.report(t, "replica", v1alpha1.FleetReportStatus{
		Splits: []v1alpha1.FleetSplit{{Split: d.ns + "/joined", UID: string(ro.UID), Seq: 4, Nacked: 1,
			FirstNack: &v1alpha1.FleetNack{Node: "gw-1", Type: "RDS", Resource: "http.80", Message: "no such cluster", At: metav1.NewMicroTime(since.Add(2 * time.Hour))}}}})
	code, out, errs := d.run(t, "events", "joined")
	want := "SEEN OBJECT REASON MESSAGE\n" +
		"AGO notifier/team NotePending Started: 2 tries failed, the last by: answered 503 (2 times)\n" +
		"AGO rollout/joined First one\n" +
		"AGO proxy/gw-1 ProxyRejected refuses RDS http.80: no such cluster\n"
	if got := squeeze(ago.ReplaceAllString(out, "AGO")); code != 0 || got != want || errs != "" {
		t.Errorf("exit %d, %q (-want +got):\n%s", code, errs, cmp.Diff(want, got))
	}
}

func TestInit_takesADeployment(t *testing.T) {
	d := newDesk(t)
	core := d.core(t)
	for name, labels := range map[string]map[string]string{"ratings-v3": {"app": "ratings", "version": "v3"}, "bare": {"app": "bare"}, "lonely-v1": {"app": "lonely", "version": "v1"}} {
		_, err := core.AppsV1().Deployments(d.ns).Create(t.Context(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "a"}}}},
		}}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := core.CoreV1().Services(d.ns).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "ratings"}, Spec: corev1.ServiceSpec{
		Selector: map[string]string{"app": "ratings"}, Ports: []corev1.ServicePort{{Port: 9080}}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	code, out, errs := d.run(t, "init", "--from", "deployment/ratings-v3", "--dir", dir)
	text, err := os.ReadFile(filepath.Join(dir, "ratings.yaml"))
	if code != 0 || err != nil {
		t.Fatalf("exit %d, %q, %q, %v", code, out, errs, err)
	}
	for _, part := range []string{"namespace: " + d.ns, "host: ratings", "subset: v3", "number: 9080", "{name: v3, labels: {version: v3}}"} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the file lacks %q:\n%s", part, text)
		}
	}
	for from, c := range map[string]struct {
		code int
		says string
	}{
		"deployment/bare": {1, "no label version"}, "deployment/lonely-v1": {1, "no Service"}, "deployment/none": {5, "not found"}, "pod/x": {2, "want deployment/NAME"},
	} {
		if code, _, errs := d.run(t, "init", "--from", from, "--dir", dir); code != c.code || !strings.Contains(errs, c.says) {
			t.Errorf("--from %s: exit %d, %q; want %d and %q", from, code, errs, c.code, c.says)
		}
	}
}

// The schema of each kind is a document that says no to a field that the server does not know.
func TestSchema_isClosed(t *testing.T) {
	for _, kind := range []string{"rollout", "sources", "notifiers.sluice.dev", "mtpl", "rolloutaction", "fleetreport"} {
		var buffer, errs bytes.Buffer
		code := cli.Main(t.Context(), []string{"schema", kind}, cli.Streams{Out: &buffer, Err: &errs}, cli.Build{})
		out := buffer.String()
		doc := struct {
			AdditionalProperties any            `json:"additionalProperties"`
			Properties           map[string]any `json:"properties"`
		}{}
		if err := json.Unmarshal([]byte(out), &doc); code != 0 || err != nil || doc.AdditionalProperties != false || doc.Properties["kind"] == nil {
			t.Errorf("sluice schema %s: exit %d, %v, %q, %.200s", kind, code, err, errs.String(), out)
		}
	}
}
