package notify_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/notify"
)

func TestMatching_reachesNamespaces(t *testing.T) {
	t.Parallel()
	in := func(namespace, name string, scope v1alpha1.NotifierScope) v1alpha1.Notifier {
		n := notifier(name, func(s *v1alpha1.NotifierSpec) { s.Namespaces = scope })
		n.Namespace = namespace
		return n
	}
	all := []v1alpha1.Notifier{
		in("bookinfo", "team", ""), in("bookinfo", "greedy", v1alpha1.ScopeAll), in("shop", "other", v1alpha1.ScopeSame), in("shop", "greedy", v1alpha1.ScopeAll),
		in("sluice", "ops", v1alpha1.ScopeAll), in("sluice", "own", v1alpha1.ScopeSame),
	}
	for _, row := range []struct{ namespace, system, want string }{
		{"bookinfo", "sluice", "sluice/ops team"},
		{"shop", "sluice", "other sluice/ops"},
		{"sluice", "sluice", "ops own"},
		{"bookinfo", "", "team"},
	} {
		about := notify.About{Kind: v1alpha1.NoteRolledBack, Namespace: row.namespace, System: row.system}
		if got := strings.Join(notify.Matching(all, about), " "); got != row.want {
			t.Errorf("of %s with the controller in %q: %s, want %s", row.namespace, row.system, got, row.want)
		}
	}
	if got := notify.KeyOf("bookinfo", "sluice/ops"); got != (types.NamespacedName{Namespace: "sluice", Name: "ops"}) {
		t.Errorf("the key is %v", got)
	}
	if got := notify.ID(uid, v1alpha1.PendingNote{Attempt: 3, Seq: 11, Notifier: "sluice/ops"}); got != string(uid)+".3.11.sluice/ops" {
		t.Errorf("the id is %s", got)
	}
}

func TestMatching_defaultKindsOfEachSink(t *testing.T) {
	t.Parallel()
	key := &v1alpha1.SecretKeyRef{}
	milestones := "Started Completed ApprovalNeeded RolledBack Aborted Blocked SourceFailed"
	for name, row := range map[string]struct {
		spec v1alpha1.NotifierSpec
		want string
	}{
		"slack webhook": {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{WebhookSecretRef: key}}, milestones},
		"teams":         {v1alpha1.NotifierSpec{Teams: &v1alpha1.TeamsSink{}}, milestones},
		"git":           {v1alpha1.NotifierSpec{GitStatus: &v1alpha1.GitStatusSink{}}, "Started Completed RolledBack Aborted Blocked GitInSync SourceFailed"},
		"grafana":       {v1alpha1.NotifierSpec{Grafana: &v1alpha1.GrafanaSink{}}, "StepPassed Completed Superseded Paused ApprovalNeeded WaitingForTraffic Suspicious RolledBack Aborted"},
		"slack token":   {v1alpha1.NotifierSpec{Slack: &v1alpha1.SlackSink{TokenSecretRef: key}}, "all"},
		"webhook":       {v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{}}, "all"},
	} {
		n := v1alpha1.Notifier{Spec: row.spec}
		n.Name = "team"
		var got []string
		for _, kind := range v1alpha1.NoteKinds() {
			if len(notify.Matching([]v1alpha1.Notifier{n}, notify.About{Kind: kind})) > 0 {
				got = append(got, string(kind))
			}
		}
		if text := strings.Join(got, " "); text != row.want && (row.want != "all" || len(got) != len(v1alpha1.NoteKinds())) {
			t.Errorf("%s: %s, want %s", name, text, row.want)
		}
	}
}

// A Notifier that may not speak of all sends nothing, as one that is suspended.
func TestWorker_sendsNothingWithoutPermission(t *testing.T) {
	w := newWorld("team")
	w.notifiers["team"].Spec.Namespaces = v1alpha1.ScopeAll
	running(t, w, func(t *testing.T, k *notify.Worker, pass func(time.Duration)) {
		k.Stored(outbox([]string{"team"}, 5))
		pass(10 * time.Minute)
		if n := len(w.tried()); n != 0 {
			t.Errorf("%d tries, want none", n)
		}
	})
}

func TestWebhook_sendsFurtherHeaders(t *testing.T) {
	t.Parallel()
	got := make(chan http.Header, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case got <- r.Header:
		default:
			http.Error(w, "you sent "+r.Header.Get("Authorization"), http.StatusBadRequest)
		}
	}))
	t.Cleanup(srv.Close)
	spec := v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: srv.URL, Unsigned: true, HeadersSecretRef: ref("h", "ok")}}
	o := outlet(secrets{"bookinfo/h": {"ok": []byte("Authorization: Bearer canary-123456\r\n\nx-team:  shop \nX-Team: two\n"),
		"words": []byte("canary words"), "own": []byte("webhook-id: canary"), "line": []byte("A: \x01canary"), "none": []byte("\n")}})
	if err := send(t, o, spec); err != nil {
		t.Fatal(err)
	}
	h := <-got
	if h.Get("Authorization") != "Bearer canary-123456" || strings.Join(h["X-Team"], ",") != "shop,two" || h.Get("Webhook-Id") != rolledBack().ID {
		t.Errorf("headers %v", h)
	}
	got <- nil
	if err := send(t, o, spec); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("a receiver that repeats headers: %v", err)
	}
	for key, want := range map[string]string{"words": "not of the form", "own": "Sluice's own", "line": "not of the form", "none": "no header"} {
		spec.Webhook.HeadersSecretRef = ref("h", key)
		if err := send(t, o, spec); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want %s", key, err, want)
		}
	}
}

func TestVerify_knowsItsSignature(t *testing.T) {
	t.Parallel()
	keys, err := notify.ParseSecrets([]byte(secret + "\nwhsec_AQIDBAUGBwgJCgsMDQ4PEBESExQ="))
	if err != nil {
		t.Fatal(err)
	}
	const id, at = "0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90.3.11.team", 1767225600
	body := []byte(`{"specversion":"1.0","type":"dev.sluice.rollout.rolledback.v1"}`)
	const good = "v1,tv9OqFrSwF097Ay7ob26YJOD779fZ0ZNJLjse7kKNcw="
	for name, row := range map[string]struct {
		keys      [][]byte
		id        string
		at        int64
		signature string
		body      []byte
		ok        bool
	}{
		"vector":           {keys[:1], id, at, good, body, true},
		"second signature": {keys[:1], id, at, "v1,AAAA v2,x " + good, body, true},
		"second key":       {keys, id, at, notify.Sign(keys[1:], id, at, body), body, true},
		"rotation":         {keys[1:], id, at, notify.Sign(keys, id, at, body), body, true},
		"other key":        {keys[1:], id, at, good, body, false},
		"no key":           {nil, id, at, good, body, false},
		"other body":       {keys, id, at, good, append(body, ' '), false},
		"other time":       {keys, id, at + 1, good, body, false},
		"other id":         {keys, id + "x", at, good, body, false},
		"no id":            {keys, "", at, notify.Sign(keys, "", at, body), body, false},
		"no signature":     {keys, id, at, "", body, false},
		"asymmetric":       {keys, id, at, "v1a" + good[2:], body, false},
	} {
		if err := notify.Verify(row.keys, row.id, row.at, row.signature, row.body); (err == nil) != row.ok {
			t.Errorf("%s: %v, want ok %v", name, err, row.ok)
		}
	}
}

func TestTrial_canBeSent(t *testing.T) {
	t.Parallel()
	n := notifier("team", func(s *v1alpha1.NotifierSpec) { s.Environment = "prod-eu" })
	n.Namespace = "bookinfo"
	note, lacks := notify.Prepare(&n, notify.Trial(&n, "1", time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)))
	if note.ID != "test.1.team" || note.Line() != "✔ prod-eu test: a test of Notifier team: nothing happened to any Rollout" || lacks != "" {
		t.Errorf("%s %q %q", note.ID, note.Line(), lacks)
	}
	if _, err := notify.CloudEvent(note, "local"); err != nil {
		t.Error(err)
	}
	c := newChat(t)
	n.Spec = v1alpha1.NotifierSpec{Slack: &c.spec}
	lacks, err := c.outlet.Try(t.Context(), &n, notify.Trial(&n, "1", time.Now()))
	if got := c.Messages(); err != nil || lacks != "" || len(got) != 1 || !strings.Contains(got[0].Text, "a test of Notifier team") {
		t.Errorf("%q %v %+v", lacks, err, got)
	}
}

func TestLinks_comeWithTheNote(t *testing.T) {
	t.Parallel()
	links := view.LinkTemplates{Page: "https://s.example.com/r/{namespace}/{name}?a={attempt}", Trace: "https://t.example.com/{trace}", Grafana: "https://g.example.com/?from={from}&to={to}"}
	if err := links.Check(); err != nil {
		t.Fatal(err)
	}
	r := rolledBack().Report
	got := links.For(view.LinkTarget{Object: r.Rollout, Attempt: r.Attempt, To: r.At})
	want := []view.Link{{Name: "page", URL: "https://s.example.com/r/bookinfo/reviews?a=3"}, {Name: "grafana", URL: "https://g.example.com/?from=1767222000000&to=1767225600000"},
		{Name: "trace", URL: "https://t.example.com/d753614f83399d6ecce332879f93186d"}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := links.For(view.LinkTarget{Object: view.Object{Namespace: "a b", Name: "x&y/.."}}); len(got) != 0 {
		t.Errorf("without an attempt: %+v", got)
	}
	for _, bad := range []string{"ftp://h/", "https://{name}.example.com/", "https://a:b@h/", "https://h/{nme}", "h/", "javascript:alert(1)"} {
		if err := (view.LinkTemplates{Kiali: bad}).Check(); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}
