package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/test/receiver"
)

// TestViews_conformToTheirSchemas holds what each verb prints, of objects that exist, against the schema of its kind.
func TestViews_conformToTheirSchemas(t *testing.T) {
	d := newDesk(t)
	d.serveReports(t)
	begin := since.Add(61 * time.Second)
	back := rolledBack()
	back.History = []v1alpha1.HistoryEntry{{Attempt: 2, Name: "v3", Commit: "c07aa19f00", StartedAt: metav1.NewMicroTime(begin),
		EndedAt: metav1.NewMicroTime(begin.Add(2 * time.Minute)), Outcome: v1alpha1.OutcomeRolledBack, Reason: "RegressionDetected", Step: 1}}
	for name, st := range map[string]*v1alpha1.RolloutStatus{"reviews": baking(), "told": back, "details": completed(), "product": paused(), "broken": invalid()} {
		d.put(t, name, st)
	}
	bare := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: "bare"}, Spec: v1alpha1.RolloutSpec{Host: "bare", Subset: "v1"}}
	if err := d.client.Create(t.Context(), bare); err != nil {
		t.Fatal(err)
	}
	d.putSource(t, "shop")
	d.happen(t, "told", "RegressionDetected", "rolled back to v2 at step 1/3 (15%): errors", 2)
	d.report(t, "sluice-0", v1alpha1.FleetReportStatus{
		Proxies:    v1alpha1.FleetProxies{Connected: 3, Synced: 1, Pending: 1, Rejected: 1},
		Splits:     []v1alpha1.FleetSplit{{Split: d.ns + "/reviews", UID: "u", Seq: 7, Weight: 15, Rendered: true, Connected: 3, Acked: 1, Nacked: 1}},
		Exceptions: []v1alpha1.FleetException{{Node: "gw-1", Namespace: "shop", Kind: "gateway", State: v1alpha1.FleetRejected, Resource: "http.80", Message: "no cluster", Since: since}},
	})
	repository := checkout(t, map[string]string{"mesh.yaml": edgeMesh})
	write(t, repository, map[string]string{"mesh.yaml": strings.ReplaceAll(edgeMesh, "timeout: 5s", "timeout: 7s")})
	server, replica := samplesOf(t, d.ns, begin), oneProxy(t)
	seen := map[string]bool{}
	for _, line := range []string{
		"status reviews", "status bare", "status told", "status broken", "describe reviews", "describe told", "describe bare", "tree reviews", "tree bare",
		"events told", "events bare", "trace rollout/reviews", "doctor", "doctor --pre", "report told --prometheus " + server.URL, "report reviews",
		"proxy-status", "get rollout reviews", "get rollout told", "get source shop",
	} {
		args := append(strings.Fields(line), "-o", "json")
		code, out, errs := d.run(t, args...)
		if out == "" {
			t.Errorf("sluice %s: exit %d, %s", line, code, errs)
			continue
		}
		seen[conforms(t, out)] = true
	}
	converted := filepath.Join(t.TempDir(), "report.json")
	for _, line := range []string{
		"diff " + repository + " --base base -n shop -o json", "lint ../../examples/lint -o json", "lint " + repository + " -o json", "explain -o json", "explain S301 -o json",
		"version -o json", "proxy-status gw-1 --xds " + replica + " -o json", "convert ../../examples/convert/argo.yaml --report " + converted,
	} {
		code, out, errs := offline(t, strings.Fields(line)...)
		if strings.HasPrefix(line, "convert ") {
			text, err := os.ReadFile(converted)
			if err != nil {
				t.Fatal(err)
			}
			out = string(text)
		}
		if out == "" {
			t.Errorf("sluice %s: exit %d, %s", line, code, errs)
			continue
		}
		seen[conforms(t, out)] = true
	}
	for _, kind := range view.Schemas() {
		if !seen[kind] {
			t.Errorf("no verb has printed a %s", kind)
		}
	}
}

// TestNotifyTest_deliversAndTellsWhatTheReceiverSays sends through a Notifier of a real API server, whose Secret signs.
func TestNotifyTest_deliversAndTellsWhatTheReceiverSays(t *testing.T) {
	d := newDesk(t)
	const signing = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	r, err := receiver.Start(t.Context(), receiver.Config{Secret: signing})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "hook"}, StringData: map[string]string{"signing": signing}}
	if _, err := d.core(t).CoreV1().Secrets(d.ns).Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: "team"}, Spec: v1alpha1.NotifierSpec{
		Webhook: &v1alpha1.WebhookSink{URL: r.URL(), Insecure: true, SigningSecretRef: &v1alpha1.SecretKeyRef{Name: "hook", Key: "signing"}}}}
	if err := d.client.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		args  string
		reply receiver.Reply
		code  int
		says  string
		notes int // that have come so far
	}{
		{"team", receiver.Reply{}, 1, "127.0.0.1 (loopback): address is not allowed", 0},
		{"team --allow-loopback", receiver.Reply{}, 0, "notifier team took the note ", 1},
		{"notifier/team --allow-loopback", receiver.Reply{Status: 503}, 1, "503", 2},
		{"team --allow-loopback", receiver.Reply{Status: 302, Location: "http://127.0.0.1:1/"}, 1, "redirects are refused", 3},
		{"team --allow-loopback --timeout 100ms", receiver.Reply{Status: 200, Delay: time.Minute}, 1, "deadline", 3}, // it is kept when it is answered
		{"absent --allow-loopback", receiver.Reply{}, 5, "not found", 3},
	} {
		if row.reply.Status != 0 {
			r.Script(row.reply)
		}
		code, out, errs := d.run(t, append([]string{"notify", "test"}, strings.Fields(row.args)...)...)
		if code != row.code || !strings.Contains(out+errs, row.says) || strings.Contains(out+errs, signing) || strings.Contains(out+errs, signing[6:]) {
			t.Errorf("sluice notify test %s: exit %d, %s%s; want %d and %q, and no secret", row.args, code, out, errs, row.code, row.says)
		}
		if got := len(r.Notes()); got != row.notes {
			t.Fatalf("sluice notify test %s: %d notes have come, want %d", row.args, got, row.notes)
		}
	}
	first := r.Notes()[0]
	var event struct{ ID, Type string }
	if err := json.Unmarshal(first.Body, &event); err != nil || !first.Verified() || !first.Accepted() || event.ID != first.ID {
		t.Errorf("%+v, %v: want a note that the secret signed", first, err)
	}
	ids := []string{}
	for _, note := range r.Notes() {
		if slices.Contains(ids, note.ID) {
			t.Errorf("id %s came twice: each test is a note of its own", note.ID)
		}
		ids = append(ids, note.ID)
	}
}
