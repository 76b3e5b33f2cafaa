package notify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/notify"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

const secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

// rolledBack is the note of a rollback.
func rolledBack() notify.Note {
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews", UID: uid, Annotations: map[string]string{
			v1alpha1.AnnotationCommit: "c07aa19f00", v1alpha1.AnnotationCommitAuthor: "A. Martin", v1alpha1.AnnotationCommitSubject: "reviews: v3",
		}},
		Status: &v1alpha1.RolloutStatus{
			Attempt: 3, Seq: 12, Steps: 3, Phase: v1alpha1.PhaseRolledBack, Reason: v1alpha1.ReasonRolledBack,
			Since:   metav1.NewMicroTime(time.Date(2026, 1, 1, 0, 0, 0, 410e6, time.UTC)),
			Proxies: &v1alpha1.ProxiesStatus{Connected: 3, Acked: 3},
			Stable:  v1alpha1.VersionStatus{Name: "v2", Digest: "d2", Commit: "3f9c2ab000"},
			Canary:  &v1alpha1.VersionStatus{Name: "v3", Digest: "d3", Commit: "c07aa19f00"},
			Analysis: &v1alpha1.AnalysisStatus{Metrics: []v1alpha1.MetricStatus{{
				Name: "errors", Canary: v1alpha1.ArmStatus{Requests: 418, Bad: 84}, Stable: v1alpha1.ArmStatus{Requests: 2380, Bad: 1},
				Ratio: "478", AtLeast: "43.3", Harm: "118",
			}}},
		},
	}
	pending := v1alpha1.PendingNote{
		Notifier: "team", Kind: v1alpha1.NoteRolledBack, Attempt: 3, Seq: 11, Step: 1, Weight: 15,
		At:   metav1.NewMicroTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		Text: "rolled back to v2 at step 1/3 (15%): errors 20.1% (84/418) against 0.042% (1/2380), at least 43.3x (99%); v2 serves 100%",
	}
	return notify.Note{ID: notify.ID(uid, pending), Environment: "prod-eu", Report: view.Evidence(ro, pending)}
}

func TestSign_vector(t *testing.T) {
	t.Parallel()
	keys, err := notify.ParseSecrets([]byte(secret + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	body := []byte(`{"specversion":"1.0","type":"dev.sluice.rollout.rolledback.v1"}`)
	got := notify.Sign(keys, "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90.3.11.team", 1767225600, body)
	if want := "v1,tv9OqFrSwF097Ay7ob26YJOD779fZ0ZNJLjse7kKNcw="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	both := notify.Sign(append(keys, keys[0]), "i", 1, nil)
	if parts := strings.Split(both, " "); len(parts) != 2 || parts[0] != parts[1] {
		t.Errorf("two secrets sign as %q, want two signatures", both)
	}
}

func TestParseSecrets_refusesWhatIsTooWeak(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "\n", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "whsec_???", "whsec_AAEC", secret + "\nwhsec_AAEC"} {
		if _, err := notify.ParseSecrets([]byte(bad)); err == nil {
			t.Errorf("%q was taken", bad)
		} else if strings.Contains(err.Error(), "AAEC") {
			t.Errorf("%v shows the secret", err)
		}
	}
}

func TestNote_goldens(t *testing.T) {
	t.Parallel()
	n := rolledBack()
	raw, err := notify.CloudEvent(n, "local")
	if err != nil {
		t.Fatal(err)
	}
	e := event.New()
	if err := json.Unmarshal(raw, &e); err != nil || e.Validate() != nil {
		t.Errorf("not a CloudEvent: %v, %v", err, e.Validate())
	}
	slack, err := json.Marshal(notify.SlackMessage(n, []string{"U012AB3CD", "S0123"}))
	if err != nil {
		t.Fatal(err)
	}
	if doc, err := os.ReadFile("../docs/notifier.md"); err != nil || !*rewrite && !bytes.Contains(doc, append([]byte("```json\n"), indent(t, raw)...)) {
		t.Errorf("docs/notifier.md does not show the event of testdata/cloudevent.json (%v)", err)
	}
	text := n.Line() + "\n" + strings.Join(n.Details(), "\n") + "\n"
	for name, got := range map[string][]byte{"cloudevent.json": indent(t, raw), "slack.json": indent(t, slack), "note.txt": []byte(text)} {
		path := "testdata/" + name
		if *rewrite {
			if err := os.WriteFile(path, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func indent(t *testing.T, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, raw, "", "  "); err != nil {
		t.Fatal(err)
	}
	return append(b.Bytes(), '\n')
}

func TestSlackMessage_hostileTextStaysText(t *testing.T) {
	t.Parallel()
	n := rolledBack()
	n.Report.Sentence = "<!channel> <https://evil.example|ok> a&b \x1b[31m\n\u202e"
	n.Report.Version.Subject = "<!here> *bold*"
	raw, err := json.Marshal(notify.SlackMessage(n, nil))
	if err != nil {
		t.Fatal(err)
	}
	var text struct {
		Text   string
		Blocks []struct {
			Text     struct{ Type, Text string }
			Elements []struct{ Type, Text string }
		}
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		t.Fatal(err)
	}
	shown := text.Text
	for _, b := range text.Blocks {
		if b.Text.Type == "mrkdwn" {
			t.Errorf("a block is formatted: %+v", b)
		}
		shown += b.Text.Text
		for _, e := range b.Elements {
			if e.Type != "plain_text" {
				t.Errorf("an element is formatted: %+v", e)
			}
			shown += e.Text
		}
	}
	if strings.ContainsAny(shown, "<>\x1b\n\u202e") || !strings.Contains(shown, "&lt;!channel&gt;") || !strings.Contains(shown, "a&amp;b") {
		t.Errorf("shown as %q", shown)
	}
}

// secrets is a namespace's Secrets.
type secrets map[string]map[string][]byte

// Secret implements notify.Secrets.
func (s secrets) Secret(_ context.Context, key types.NamespacedName) (map[string][]byte, error) {
	if data, ok := s[key.Namespace+"/"+key.Name]; ok {
		return data, nil
	}
	return nil, notify.ErrNotFound
}

func outlet(s secrets) *notify.Outlet {
	return &notify.Outlet{
		Guard: egress.New(egress.Policy{AllowLoopback: true}), Secrets: s, Cluster: "local",
		Now: func() time.Time { return time.Unix(1767225600, 0) },
	}
}

func send(t *testing.T, o *notify.Outlet, spec v1alpha1.NotifierSpec) error {
	t.Helper()
	sink, err := o.Open(t.Context(), &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "team"}, Spec: spec})
	if err != nil {
		return err
	}
	_, err = sink.Send(t.Context(), rolledBack())
	return err
}

func ref(name, key string) *v1alpha1.SecretKeyRef {
	return &v1alpha1.SecretKeyRef{Name: name, Key: key}
}

func TestWebhook_isSignedOverItsBody(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	body := make(chan []byte, 1)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusTeapot)
		}
		got <- r
		body <- b
	}))
	t.Cleanup(srv.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})
	o := outlet(secrets{"bookinfo/hook": {"key": []byte(secret), "ca": ca, "url": []byte(srv.URL + "/in?x=1\n")}})
	if err := send(t, o, v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{
		URLSecretRef: ref("hook", "url"), SigningSecretRef: ref("hook", "key"), CASecretRef: ref("hook", "ca"),
	}}); err != nil {
		t.Fatal(err)
	}
	r, b := <-got, <-body
	keys, err := notify.ParseSecrets([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"Content-Type": "application/cloudevents+json", "Webhook-Id": rolledBack().ID, "Webhook-Timestamp": "1767225600",
		"Webhook-Signature": notify.Sign(keys, rolledBack().ID, 1767225600, b),
	}
	for name, value := range want {
		if r.Header.Get(name) != value {
			t.Errorf("%s is %q, want %q", name, r.Header.Get(name), value)
		}
	}
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/in?x=1" {
		t.Errorf("asked %s %s", r.Method, r.URL)
	}
}

func TestWebhook_readsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		code   int
		header string
		reason string
		hope   notify.Hope
		after  time.Duration
	}{
		{200, "", "", 0, 0},
		{204, "", "", 0, 0},
		{301, "", v1alpha1.ReasonRefused, notify.None, 0},
		{400, "", v1alpha1.ReasonRefused, notify.Thrice, 0},
		{401, "", v1alpha1.ReasonUnauthorized, notify.Thrice, 0},
		{403, "", v1alpha1.ReasonUnauthorized, notify.Thrice, 0},
		{404, "", v1alpha1.ReasonRefused, notify.Thrice, 0},
		{408, "", v1alpha1.ReasonUnreachable, notify.Retry, 0},
		{410, "", v1alpha1.ReasonGone, notify.Gone, 0},
		{425, "", v1alpha1.ReasonUnreachable, notify.Retry, 0},
		{429, "30", v1alpha1.ReasonThrottled, notify.Retry, 30 * time.Second},
		{429, "Sun, 22 Nov 2026 12:01:30 GMT", v1alpha1.ReasonThrottled, notify.Retry, 90 * time.Second},
		{429, "Sun, 22 Nov 2026 11:00:00 GMT", v1alpha1.ReasonThrottled, notify.Retry, 0},
		{429, "-5", v1alpha1.ReasonThrottled, notify.Retry, 0},
		{429, "never", v1alpha1.ReasonThrottled, notify.Retry, 0},
		{429, "99999999", v1alpha1.ReasonThrottled, notify.Retry, 6 * time.Hour},
		{500, "", v1alpha1.ReasonUnreachable, notify.Retry, 0},
		{503, "7", v1alpha1.ReasonUnreachable, notify.Retry, 7 * time.Second},
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if row.code == 301 {
				w.Header().Set("Location", "http://127.0.0.1:1/token")
			}
			if row.header != "" {
				w.Header().Set("Retry-After", row.header)
				w.Header().Set("Date", "Sun, 22 Nov 2026 12:00:00 GMT")
			}
			w.WriteHeader(row.code)
			if row.code >= 400 {
				if _, err := io.WriteString(w, "no\x1b\n"+strings.Repeat("x", 1<<20)); err != nil {
					return
				}
			}
		}))
		err := send(t, outlet(nil), v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: srv.URL, Unsigned: true}})
		srv.Close()
		f, failed := errors.AsType[*notify.Failure](err)
		if failed != (row.reason != "") {
			t.Errorf("%d: %v, want a failure: %v", row.code, err, row.reason != "")
			continue
		}
		if failed && (f.Reason != row.reason || f.Hope != row.hope || f.After != row.after || len(f.Error()) > 128 || strings.ContainsAny(f.Error(), "\x1b\n")) {
			t.Errorf("%d: %+v, want %s, hope %d, after %v", row.code, f, row.reason, row.hope, row.after)
		}
		if failed && strings.Contains(f.Error(), "token") {
			t.Errorf("%d: %v shows the URL", row.code, f)
		}
	}
}

func TestSlack_postsToTheSecretURL(t *testing.T) {
	t.Parallel()
	body := make(chan []byte, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil || r.Header.Get("Content-Type") != "application/json" {
			b = nil
		}
		body <- b
	}))
	t.Cleanup(srv.Close)
	o := outlet(secrets{"bookinfo/chat": {"url": []byte(srv.URL + "/services/T/B/x")}})
	if err := send(t, o, v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: ref("chat", "url")}}); err != nil {
		t.Fatal(err)
	}
	var got struct{ Text, Parse string }
	if err := json.Unmarshal(<-body, &got); err != nil || got.Parse != "none" || !strings.HasPrefix(got.Text, "✖ prod-eu reviews v3: rolled back to v2") {
		t.Errorf("got %+v (%v)", got, err)
	}
}

func TestOpen_saysWhatIsMissing(t *testing.T) {
	t.Parallel()
	o := outlet(secrets{"bookinfo/s": {"weak": []byte("whsec_AAEC"), "pem": []byte("no"), "plain": []byte("http://hooks.slack.example/T")}})
	for _, row := range []struct {
		spec   v1alpha1.NotifierSpec
		reason string
		text   string
	}{
		{v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://h/", SigningSecretRef: ref("none", "k")}}, v1alpha1.ReasonSecretNotFound, "secret bookinfo/none does not exist"},
		{v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://h/", SigningSecretRef: ref("s", "k")}}, v1alpha1.ReasonSecretNotFound, "has no key k"},
		{v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://h/", SigningSecretRef: ref("s", "weak")}}, v1alpha1.ReasonSecretInvalid, "has 3 bytes"},
		{v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://h/", Unsigned: true, CASecretRef: ref("s", "pem")}}, v1alpha1.ReasonSecretInvalid, "no PEM"},
		{v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "http://h/", Unsigned: true}}, v1alpha1.ReasonRefused, "plain http"},
		{v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://169.254.169.254/", Unsigned: true}}, v1alpha1.ReasonRefused, "link-local"},
		{v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: ref("s", "plain")}}, v1alpha1.ReasonRefused, "plain http"},
	} {
		err := send(t, o, row.spec)
		f, ok := errors.AsType[*notify.Failure](err)
		if !ok || f.Reason != row.reason || !strings.Contains(f.Error(), row.text) {
			t.Errorf("%+v: %v, want %s that says %q", row.spec, err, row.reason, row.text)
		}
	}
}

func TestWebhook_verifiesTheReceiver(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a note arrived") }))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	err := send(t, outlet(nil), v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: srv.URL, Unsigned: true}})
	if f, ok := errors.AsType[*notify.Failure](err); !ok || f.Reason != v1alpha1.ReasonUnreachable || !strings.Contains(f.Error(), "certificate") {
		t.Errorf("got %v, want the certificate refused", err)
	}
}
