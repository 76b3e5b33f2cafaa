package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/receiver"
)

const secret = "whsec_c2x1aWNlLWUyZS1zaWduaW5nLWtleS0wMDAx"

func TestRelease_goodVersionIsPromotedByShares(t *testing.T) {
	s := theSite(t)
	sh := openShop(t, s)
	sh.adopt()
	users := sh.visit(400)
	start := app.Now()

	sh.rollout.subset = "v2"
	sh.push("reviews: v2", nil)
	sh.until("15%", 20*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseBaking && st.Weight == 15
	})
	dumpAgrees(t, s, sh)
	sh.until("v2 promoted", 90*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Stable.Name == "v2" && st.Outcome == v1alpha1.OutcomeCompleted && ready(st)
	})

	checkShares(t, sh, users.Record(), start)
	tally := users.Record().Tally(start, time.Time{})
	if n := tally.FailedBut(nobody); n != 0 {
		t.Errorf("%d requests failed during a good release: %+v", n, tally)
	}
	eventsTell(t, sh, "StepPassed", "Completed")
	kubectlShows(t, s, sh)
}

// untilTold gives the events since an instant, once a transition for the reason is among them: it is told after it is stored.
func (sh *shop) untilTold(reason string, since time.Time) (events []app.Event) {
	sh.t.Helper()
	err := poll.Until(20*time.Second, func() error {
		events = sh.site.eventsOf(sh.namespace, "reviews", since)
		if !slices.ContainsFunc(events, func(e app.Event) bool { return e.Kind == app.EventTransition && e.Reason == reason }) {
			return fmt.Errorf("no %s among %+v", reason, events)
		}
		return nil
	})
	if err != nil {
		sh.t.Error(err)
	}
	return events
}

// checkShares holds what the client saw between each acknowledgement and the end of its step against the weight.
func checkShares(t *testing.T, sh *shop, record *load.Record, since time.Time) {
	t.Helper()
	events := sh.untilTold(v1alpha1.ReasonCompleted, since)
	ro, err := sh.get()
	if err != nil {
		t.Fatal(err)
	}
	gates, seen := ro.Status.Gates, map[int]bool{}
	for i, e := range events {
		if e.Kind != app.EventAcked || e.Weight == 0 || seen[e.Weight] {
			continue
		}
		end := passed(events[i:], gates, e.Seq)
		if end.IsZero() {
			continue
		}
		seen[e.Weight] = true
		tally := record.Tally(e.At.Add(time.Second), end)
		w := float64(e.Weight) / 100
		share := float64(tally.Requests("v2")) / float64(max(tally.Total, 1))
		band := 5 * math.Sqrt(w*(1-w)/float64(max(tally.Total, 1))) // once in two million
		t.Logf("step %d: weight %d%%, seen %.2f%% of %d requests (band %.2f%%)", e.Step, e.Weight, 100*share, tally.Total, 100*band)
		if tally.Total < 20 || math.Abs(share-w) > band+1e-9 { // how many they are is a matter of the machine
			t.Errorf("step of %d%%: %d of %d requests on v2 (%.2f%%), want within %.2f points", e.Weight, tally.Requests("v2"), tally.Total, 100*share, 100*band)
		}
	}
	for _, w := range []int{15, 50, 100} {
		if !seen[w] {
			t.Errorf("no step at %d%% was seen acknowledged and ended; events: %+v", w, events)
		}
	}
}

// passed is when the step of seq was decided to be over. That is before proxies can know of the next weight; that it is told
// comes later, and on a busy machine much later.
func passed(events []app.Event, gates []v1alpha1.Gate, seq uint64) time.Time {
	for _, g := range gates {
		if uint64(g.Seq) > seq {
			return g.At.Time
		}
	}
	for _, e := range events {
		if e.Kind == app.EventTransition && e.Seq > seq && e.Phase != string(v1alpha1.PhaseBaking) {
			return e.At
		}
	}
	return time.Time{}
}

// dumpAgrees wants the weight that the status says is settled in Envoy's own dump. It looks again where the next step was faster.
func dumpAgrees(t *testing.T, s *site, sh *shop) {
	t.Helper()
	err := poll.Until(20*time.Second, func() error {
		before, err := sh.get()
		if err != nil {
			return err
		}
		got := dumped(t, s, sh)
		after, err := sh.get()
		if err != nil {
			return err
		}
		st, w := after.Status, int(after.Status.Weight)
		if st.Phase != v1alpha1.PhaseBaking || st.Seq != before.Status.Seq {
			return fmt.Errorf("it moved meanwhile: %s", brief(st))
		}
		if w < 100 && (got["v1"] != 100-w || got["v2"] != w) {
			t.Errorf("Envoy's own dump gives %v at weight %d", got, w)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// dumpShows reads Envoy's own config_dump and wants the clusters' weights there.
func dumpShows(t *testing.T, s *site, sh *shop, want map[string]int) {
	t.Helper()
	got := dumped(t, s, sh)
	for subset, w := range want {
		if got[subset] != w {
			t.Errorf("Envoy's own dump gives %v, want %v", got, want)
			return
		}
	}
}

// dumped are the weights of the shop's clusters in Envoy's own config_dump, by subset.
func dumped(t *testing.T, s *site, sh *shop) map[string]int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.stack.Document().EnvoyAdmin+"/config_dump?resource=dynamic_route_configs", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var dump any
	if err := json.Unmarshal(body, &dump); err != nil {
		t.Fatalf("config_dump: %v", err)
	}
	got := map[string]int{}
	weightsIn(dump, sh.namespace, got)
	return got
}

// weightsIn collects the weights of the clusters of one namespace, by subset, wherever they stand in the dump.
func weightsIn(v any, namespace string, into map[string]int) {
	switch v := v.(type) {
	case map[string]any:
		name, _ := v["name"].(string)
		if part := strings.Split(name, "|"); len(part) == 4 && strings.Contains(part[3], "."+namespace+".") {
			if w, ok := v["weight"].(float64); ok {
				into[part[2]] = int(w)
			}
		}
		for _, child := range v {
			weightsIn(child, namespace, into)
		}
	case []any:
		for _, child := range v {
			weightsIn(child, namespace, into)
		}
	}
}

// eventsTell wants events on the Rollout with numbers in the text: of each of the reasons, where "A|B" is either of two.
func eventsTell(t *testing.T, sh *shop, reasons ...string) {
	t.Helper()
	err := poll.Until(10*time.Second, func() error {
		out, err := kubectl(t, sh.site, "-n", sh.namespace, "describe", "rollout", "reviews")
		if err != nil {
			return err
		}
		events := out[strings.LastIndex(out, "Events:")+1:]
		for _, r := range reasons {
			_, message, _ := strings.Cut(lineWith(events, strings.Split(r, "|")), " sluice ")
			if !strings.ContainsAny(message, "0123456789") {
				return fmt.Errorf("no event %s with numbers in:\n%s\n%s", r, events, out)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// lineWith is the first line that has one of the words.
func lineWith(text string, words []string) string {
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(line, " "+word+" ") }) {
			return line
		}
	}
	return ""
}

func kubectl(t *testing.T, s *site, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("kubectl")
	if err != nil {
		t.Fatal("kubectl is not on PATH; next: make kubectl")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append([]string{"--kubeconfig", s.stack.Document().Kubeconfig}, args...)...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func kubectlShows(t *testing.T, s *site, sh *shop) {
	t.Helper()
	table, err := kubectl(t, s, "get", "rollouts", "-A")
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table)
	head, _, _ := strings.Cut(table, "\n")
	if got, want := strings.Join(strings.Fields(head), " "), "NAMESPACE NAME READY STATUS STEP WEIGHT VERDICT COMMIT AGE"; got != want {
		t.Errorf("columns %q, want %q", got, want)
	}
	if !strings.Contains(table, sh.namespace) || !strings.Contains(table, "Completed") {
		t.Errorf("the Rollout's line is missing or not Completed:\n%s", table)
	}
	if out, err := kubectl(t, s, "-n", sh.namespace, "wait", "--for=condition=Ready", "rollout/reviews", "--timeout=1m"); err != nil {
		t.Errorf("kubectl wait: %v\n%s", err, out)
	}
}

func TestRelease_badVersionComesBackByItself(t *testing.T) {
	t.Parallel()
	s := theSite(t)
	sh := openShop(t, s)
	notes := startReceiver(t, sh)
	sh.adopt()
	users := sh.visit(400)
	start := app.Now()

	sh.versions["v3"].errors.Store(200)
	sh.rollout.subset = "v3"
	bad := sh.push("reviews: v3", nil)
	sh.until("v3 rolled back", 60*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseRolledBack && st.Stable.Name == "v1" && st.Weight == 0
	})
	back := app.Now()
	sh.answers("v1")
	eventsTell(t, sh, "RegressionDetected|HardFail") // what proxies report may show it before the counters do: both are right

	// A commit that changes nothing here is applied, and the version is not tried again.
	commit := sh.push("README: say more", map[string]string{"deploy/README.md": "more\n"})
	if err := poll.Until(20*time.Second, func() error {
		if got := sh.source().Status.LastAppliedRevision; !strings.HasSuffix(got, commit) {
			return fmt.Errorf("applied %s, want %s", got, commit)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ro, err := sh.get()
	if err != nil {
		t.Fatal(err)
	}
	if ro.Status.Attempt != 1 || ro.Status.Weight != 0 {
		t.Errorf("attempt %d weight %d after an unrelated commit, want 1 and 0", ro.Status.Attempt, ro.Status.Weight)
	}

	// The revert brings Git and what runs together again.
	if _, err := sh.tree.Revert(t.Context(), bad); err != nil {
		t.Fatal(err)
	}
	if err := sh.tree.Push(t.Context()); err != nil {
		t.Fatal(err)
	}
	sh.until("Git and running agree", 30*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseIdle && ready(st)
	})

	tally := users.Record().Tally(start, time.Time{})
	if n := tally.FailedBut("v3"); n != 0 {
		t.Errorf("%d requests failed that v3 did not fail: %+v", n, tally)
	}
	if after := users.Record().Tally(back.Add(500*time.Millisecond), time.Time{}); after.Requests("v3") != 0 {
		t.Errorf("%d requests reached v3 after the rollback was complete", after.Requests("v3"))
	}
	wantNotes(t, notes, "started", "rolledback")
}

// startReceiver listens for signed notes and makes a Notifier that sends them there.
func startReceiver(t *testing.T, sh *shop) *receiver.Receiver {
	t.Helper()
	r, err := receiver.Start(t.Context(), receiver.Config{Secret: secret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	objects := []*corev1.Secret{{ObjectMeta: metav1.ObjectMeta{Name: "hook", Namespace: sh.namespace}, StringData: map[string]string{"key": secret}}}
	for _, o := range objects {
		if err := sh.client.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Name: "hook", Namespace: sh.namespace},
		Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: r.URL(), Insecure: true,
			SigningSecretRef: &v1alpha1.SecretKeyRef{Name: "hook", Key: "key"}}}}
	if err := sh.client.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return r
}

func wantNotes(t *testing.T, r *receiver.Receiver, kinds ...string) {
	t.Helper()
	err := poll.Until(20*time.Second, func() error {
		got := map[string]int{}
		for _, n := range r.Notes() {
			if n.Accepted() && n.Verified() && !n.Duplicate {
				got[strings.ToLower(n.Kind)]++
			}
		}
		for _, k := range kinds {
			if got[k] != 1 {
				return fmt.Errorf("notes %v, want one of each of %v", got, kinds)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if c := r.Counts(); c.Refused != 0 {
		t.Errorf("%d notes were refused: %+v", c.Refused, r.Notes())
	}
}
