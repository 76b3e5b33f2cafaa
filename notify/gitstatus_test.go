package notify_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/receiver"
)

const sha = "c07aa19f00c07aa19f00c07aa19f00c07aa19f00"

// about is a note of a kind about a commit that a Source brought.
func about(kind v1alpha1.NoteKind, url string) notify.Note {
	n := rolledBack()
	states := map[v1alpha1.NoteKind]string{v1alpha1.NoteStarted: "pending", v1alpha1.NoteCompleted: "success", v1alpha1.NoteRolledBack: "failure", v1alpha1.NoteAborted: "failure", v1alpha1.NoteBlocked: "error"}
	n.Report.Note, n.Report.Git = kind, &view.Git{URL: url, Commit: sha, Context: "sluice/bookinfo/reviews", State: states[kind]}
	return n
}

func forgeSpec(f *receiver.Forge, provider v1alpha1.ForgeProvider) (*notify.Outlet, v1alpha1.NotifierSpec) {
	o := outlet(secrets{"bookinfo/forge": {"token": []byte("canary-t0ken\n"), "ca": f.CA()}})
	return o, v1alpha1.NotifierSpec{GitStatus: &v1alpha1.GitStatusSink{Provider: provider, APIURL: f.URL(), TokenSecretRef: *ref("forge", "token"), CASecretRef: ref("forge", "ca")}}
}

func show(t *testing.T, o *notify.Outlet, spec v1alpha1.NotifierSpec, n notify.Note) error {
	t.Helper()
	sink, err := o.Open(t.Context(), &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "team"}, Spec: spec})
	if err != nil {
		t.Fatal(err)
	}
	_, err = sink.Send(t.Context(), n)
	return err
}

func TestGitStatus_showsEachStateOnce(t *testing.T) {
	t.Parallel()
	for provider, row := range map[v1alpha1.ForgeProvider]struct {
		path, header, token, context string
		states                       []string
	}{
		v1alpha1.ForgeGitHub: {"/repos/shop/deploy/statuses/" + sha, "Authorization", "Bearer canary-t0ken", "context", []string{"pending", "success", "failure", "error"}},
		v1alpha1.ForgeGitLab: {"/api/v4/projects/shop%2Fdeploy/statuses/" + sha, "Private-Token", "canary-t0ken", "name", []string{"running", "success", "failed", "canceled", "failed"}},
		v1alpha1.ForgeGitea:  {"/api/v1/repos/shop/deploy/statuses/" + sha, "Authorization", "token canary-t0ken", "context", []string{"pending", "success", "failure", "error"}},
	} {
		f := receiver.StartForge(nil)
		t.Cleanup(f.Close)
		o, spec := forgeSpec(f, provider)
		for _, kind := range []v1alpha1.NoteKind{v1alpha1.NoteStarted, v1alpha1.NoteStarted, v1alpha1.NoteStepPassed, v1alpha1.NoteCompleted, v1alpha1.NoteRolledBack, v1alpha1.NoteRolledBack, v1alpha1.NoteAborted, v1alpha1.NoteBlocked} {
			if err := show(t, o, spec, about(kind, "https://git.example.com/shop/deploy.git")); err != nil {
				t.Fatalf("%s, %s: %v", provider, kind, err)
			}
		}
		var states []string
		for _, a := range f.Asked() {
			state, _ := a.Body["state"].(string)
			text, _ := a.Body["description"].(string)
			states = append(states, state)
			if a.Method != "POST" || a.Path != row.path || a.Header.Get(row.header) != row.token || a.Body[row.context] != "sluice/bookinfo/reviews" || !strings.HasPrefix(text, "rolled back to v2") || len([]rune(text)) > 140 {
				t.Errorf("%s: asked %+v", provider, a)
			}
		}
		if !slices.Equal(states, row.states) {
			t.Errorf("%s: states %q, want %q", provider, states, row.states)
		}
	}
}

// The state of a commit leads to Sluice's own page where the operator names one, else to the next best, else nowhere.
func TestGitStatus_leadsToThePage(t *testing.T) {
	t.Parallel()
	const page, plots = "https://sluice.example.com/bookinfo/reviews", "https://grafana.example.com/d/1?var-rollout=reviews"
	for _, provider := range []v1alpha1.ForgeProvider{v1alpha1.ForgeGitHub, v1alpha1.ForgeGitLab, v1alpha1.ForgeGitea} {
		for _, row := range []struct {
			links []view.Link
			want  any
		}{{[]view.Link{{Name: "page", URL: page}, {Name: "grafana", URL: plots}}, page}, {[]view.Link{{Name: "grafana", URL: plots}}, plots}, {nil, nil}} {
			f := receiver.StartForge(nil)
			t.Cleanup(f.Close)
			o, spec := forgeSpec(f, provider)
			n := about(v1alpha1.NoteRolledBack, "https://git.example.com/shop/deploy.git")
			n.Report.Links = row.links
			if err := show(t, o, spec, n); err != nil {
				t.Fatal(err)
			}
			if asked := f.Asked(); len(asked) != 1 || asked[0].Body["target_url"] != row.want {
				t.Errorf("%s with links %v: asked %+v, want target_url %v", provider, row.links, asked, row.want)
			}
		}
	}
}

func TestGitStatus_leavesOutWhatHasNoPlace(t *testing.T) {
	t.Parallel()
	f := receiver.StartForge(nil)
	t.Cleanup(f.Close)
	o, spec := forgeSpec(f, v1alpha1.ForgeGitHub)
	alone := about(v1alpha1.NoteCompleted, "")
	nothing := about(v1alpha1.NoteCompleted, "https://h/a/b")
	nothing.Report.Git = nil
	for _, n := range []notify.Note{alone, nothing, about(v1alpha1.NotePaused, "https://h/a/b")} {
		if err := show(t, o, spec, n); err != nil {
			t.Errorf("%+v: %v", n.Report.Git, err)
		}
	}
	if asked := f.Asked(); len(asked) > 0 {
		t.Errorf("asked %+v, want nothing", asked)
	}
}

func TestGitStatus_readsTheAnswer(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		provider v1alpha1.ForgeProvider
		answer   receiver.Answer
		hope     notify.Hope // -1: delivered
		after    time.Duration
	}{
		{v1alpha1.ForgeGitHub, receiver.Answer{Status: 201}, -1, 0},
		{v1alpha1.ForgeGitHub, receiver.Answer{Status: 404, Body: `{"message":"Not Found"}`}, notify.Dropped, 0},
		{v1alpha1.ForgeGitHub, receiver.Answer{Status: 422, Body: `{"message":"No commit found for SHA"}`}, notify.Dropped, 0},
		{v1alpha1.ForgeGitHub, receiver.Answer{Status: 401}, notify.Thrice, 0},
		{v1alpha1.ForgeGitHub, receiver.Answer{Status: 403, Header: map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1767225720"}}, notify.Retry, 2 * time.Minute},
		{v1alpha1.ForgeGitea, receiver.Answer{Status: 429, Header: map[string]string{"Retry-After": "7"}}, notify.Retry, 7 * time.Second},
		{v1alpha1.ForgeGitLab, receiver.Answer{Status: 400, Body: `{"message":"Cannot transition status via :succeed from :success"}`}, -1, 0},
		{v1alpha1.ForgeGitLab, receiver.Answer{Status: 400, Body: `{"message":"Cannot transition status via :succeed from :failed"}`}, notify.Dropped, 0},
		{v1alpha1.ForgeGitLab, receiver.Answer{Status: 500}, notify.Retry, 0},
	} {
		f := receiver.StartForge(func(receiver.Asked) receiver.Answer { return row.answer })
		t.Cleanup(f.Close)
		o, spec := forgeSpec(f, row.provider)
		err := show(t, o, spec, about(v1alpha1.NoteCompleted, "https://h/a/b"))
		if row.hope < 0 {
			if err != nil {
				t.Errorf("%+v: %v, want delivered", row.answer, err)
			}
			continue
		}
		failed, ok := errors.AsType[*notify.Failure](err)
		if !ok || failed.Hope != row.hope || failed.After != row.after || strings.Contains(err.Error(), "canary") {
			t.Errorf("%+v: %+v, want hope %d after %v", row.answer, failed, row.hope, row.after)
		}
	}
}

func TestGitStatus_saysWhatIsMissing(t *testing.T) {
	t.Parallel()
	f := receiver.StartForge(nil)
	t.Cleanup(f.Close)
	o, spec := forgeSpec(f, "")
	if err := show(t, o, spec, about(v1alpha1.NoteCompleted, "https://git.example.com/a/b")); err == nil || !strings.Contains(err.Error(), "set provider") {
		t.Errorf("unknown forge: %v", err)
	}
	spec.GitStatus.APIURL = "http://forge.example.com"
	if err := send(t, o, spec); err == nil || !strings.Contains(err.Error(), "plain http") {
		t.Errorf("plain http: %v", err)
	}
}

func TestCloudEvent_ofASource(t *testing.T) {
	t.Parallel()
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "shop", UID: uid}, Spec: v1alpha1.SourceSpec{URL: "https://git.example.com/shop/deploy.git"}}
	pending := v1alpha1.PendingNote{Notifier: "team", Kind: v1alpha1.NoteSourceFailed, Seq: 7, Text: "BuildFailed: no", Commit: sha}
	n := notify.Note{ID: notify.SourceID(uid, pending), Report: view.SourceEvidence(src, pending)}
	if n.ID != string(uid)+".7.team" || n.Line() != "✖ shop: BuildFailed: no" {
		t.Errorf("id %s, line %s", n.ID, n.Line())
	}
	raw, err := notify.CloudEvent(n, "local")
	if err != nil {
		t.Fatal(err)
	}
	var e struct {
		Source, Type, Subject string
		Data                  map[string]any
	}
	if err := json.Unmarshal(raw, &e); err != nil {
		t.Fatal(err)
	}
	git, _ := e.Data["git"].(map[string]any)
	if _, about := e.Data["rollout"]; about || e.Source != "/local/bookinfo/sources/shop" || e.Type != "dev.sluice.source.sourcefailed.v1" || e.Subject != "bookinfo/shop" ||
		git["url"] != src.Spec.URL || git["commit"] != sha || git["state"] != "error" || git["context"] != "sluice/bookinfo/source/shop" {
		t.Errorf("got %s", raw)
	}
}
