package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/receiver"
)

// pages is where the site says that the page of a Rollout is.
const pages = "https://sluice.example/{namespace}/{name}"

// told is one state of a commit as a forge was told.
type told struct{ commit, context, state, target string }

// openOwned opens a shop whose repository has an owner, as forges have it.
func openOwned(t *testing.T, s *site) *shop {
	t.Helper()
	sh := newShop(t, s.client)
	sh.site = s
	if err := s.stack.EnsureApplier(t.Context(), sh.namespace); err != nil {
		t.Fatal(err)
	}
	sh.tree = gittest.Repository(t, sh.git, "acme/deploy")
	sh.createSource(func(spec *v1alpha1.SourceSpec) { spec.URL = sh.git.URL("acme/deploy") })
	return sh
}

// forgeOf starts a forge, and a Notifier of the shop that tells it the state of commits.
func (sh *shop) forgeOf(provider v1alpha1.ForgeProvider, token string) *receiver.Forge {
	sh.t.Helper()
	f := receiver.StartForge(nil)
	sh.t.Cleanup(f.Close)
	name := strings.ToLower(string(provider))
	for _, o := range []client.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: sh.namespace, Name: name}, StringData: map[string]string{"token": token, "ca": string(f.CA())}},
		&v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: sh.namespace, Name: name}, Spec: v1alpha1.NotifierSpec{GitStatus: &v1alpha1.GitStatusSink{
			Provider: provider, APIURL: f.URL(), TokenSecretRef: v1alpha1.SecretKeyRef{Name: name, Key: "token"}, CASecretRef: &v1alpha1.SecretKeyRef{Name: name, Key: "ca"}}}},
	} {
		if err := sh.client.Create(sh.t.Context(), o); err != nil {
			sh.t.Fatal(err)
		}
	}
	return f
}

// forgeAPI is how a provider is told.
type forgeAPI struct {
	path, context                   string // before the commit; the name of the context
	header, scheme                  string // that carry the token
	pending, success, failed, wrong string
}

var forgeAPIs = map[v1alpha1.ForgeProvider]forgeAPI{
	v1alpha1.ForgeGitHub: {"/repos/acme/deploy/statuses/", "context", "Authorization", "Bearer ", "pending", "success", "failure", "error"},
	v1alpha1.ForgeGitLab: {"/api/v4/projects/acme%2Fdeploy/statuses/", "name", "Private-Token", "", "running", "success", "failed", "failed"},
	v1alpha1.ForgeGitea:  {"/api/v1/repos/acme/deploy/statuses/", "context", "Authorization", "token ", "pending", "success", "failure", "error"},
}

// read gives what a forge was told, in order, once every request is found to be one to it with the token in one header alone.
func (a forgeAPI) read(t *testing.T, f *receiver.Forge, token string) []told {
	t.Helper()
	var out []told
	for _, asked := range f.Asked() {
		commit, found := strings.CutPrefix(asked.Path, a.path)
		if asked.Method != "POST" || !found || asked.Header.Get(a.header) != a.scheme+token {
			t.Fatalf("asked %s %s with %s %q", asked.Method, asked.Path, a.header, asked.Header.Get(a.header))
		}
		rest := asked.Header.Clone()
		rest.Del(a.header)
		if text := fmt.Sprint(asked.Path, asked.Body, rest); strings.Contains(text, token) {
			t.Errorf("the token is not in its header alone: %s", text)
		}
		word := func(key string) string { s, _ := asked.Body[key].(string); return s }
		if d := word("description"); d == "" || len([]rune(d)) > 140 {
			t.Errorf("the description is %q", d)
		}
		out = append(out, told{commit, word(a.context), word("state"), word("target_url")})
	}
	return out
}

// Over a version that is promoted, a commit with a mistake, and a version that users are harmed by, each kind of forge is told what
// becomes of each commit, in order and once, with a link; and a webhook is told the same.
func TestStatuses_eachForgeIsToldWhatBecomesOfACommit(t *testing.T) {
	s := theSite(t)
	sh := openOwned(t, s)
	first := sh.push("shop: first version", nil)
	sh.until("v1 adopted", 30*time.Second, func(st *v1alpha1.RolloutStatus) bool { return st.Stable.Name == "v1" && ready(st) })
	sh.answers("v1")
	forges, tokens := map[v1alpha1.ForgeProvider]*receiver.Forge{}, map[v1alpha1.ForgeProvider]string{}
	for provider := range forgeAPIs {
		tokens[provider] = "canary-" + sh.namespace + "-" + string(provider)
		forges[provider] = sh.forgeOf(provider, tokens[provider])
	}
	hook := startReceiver(t, sh)
	sh.visit(200)

	sh.rollout.subset = "v2"
	good := sh.push("reviews: v2", nil)
	sh.until("v2 promoted", 2*time.Minute, func(st *v1alpha1.RolloutStatus) bool {
		return st.Stable.Name == "v2" && st.Outcome == v1alpha1.OutcomeCompleted && ready(st)
	})
	wrong := sh.push("a mistake", map[string]string{"deploy/wrong.yaml": "a: [\n"})
	sh.eventually(patience, func() error {
		if got := sh.source().Status; !strings.HasSuffix(got.LastAttemptedRevision, wrong) || got.ProblemCount == 0 {
			return fmt.Errorf("attempted %s, %d problems; want %s and one", got.LastAttemptedRevision, got.ProblemCount, wrong)
		}
		return nil
	})
	sh.rollout.subset = "v3"
	sh.versions["v3"].errors.Store(200)
	bad := sh.push("reviews: v3", map[string]string{"deploy/wrong.yaml": "# mended\n"})
	sh.until("v3 rolled back", 2*time.Minute, func(st *v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseRolledBack && st.Stable.Name == "v2" && st.Weight == 0
	})

	rollout, source := "sluice/"+sh.namespace+"/reviews", "sluice/"+sh.namespace+"/source/main"
	wanted := func(a forgeAPI) map[string][]string {
		return map[string][]string{
			good + " " + rollout: {a.pending, a.success}, wrong + " " + source: {a.wrong},
			bad + " " + source: {a.success}, bad + " " + rollout: {a.pending, a.failed},
		}
	}
	for provider, api := range forgeAPIs {
		t.Run(string(provider), func(t *testing.T) {
			if err := poll.Until(patience, func() error { return same(api.read(t, forges[provider], tokens[provider]), wanted(api)) }); err != nil {
				t.Fatal(err)
			}
			for _, one := range api.read(t, forges[provider], tokens[provider]) {
				if want := "https://sluice.example/" + sh.namespace + "/reviews"; one.context == rollout && one.target != want {
					t.Errorf("%+v leads to %q, want %q", one, one.target, want)
				}
			}
		})
	}
	t.Run("Webhook", func(t *testing.T) {
		sh.eventually(patience, func() error {
			return same(hookStates(t, hook, sh.git.URL("acme/deploy"), first), wanted(forgeAPIs[v1alpha1.ForgeGitHub]))
		})
	})
	t.Run("no token anywhere", func(t *testing.T) {
		text := sh.everything() + fmt.Sprint(s.eventsOf(sh.namespace, "reviews", time.Time{}))
		for _, n := range hook.Notes() {
			text += string(n.Body)
		}
		if !strings.Contains(text, bad) {
			t.Error("what is searched does not even have the commit")
		}
		for _, token := range tokens {
			if strings.Contains(text, token) {
				t.Errorf("%s is found outside of its Secret", token)
			}
		}
	})
}

// same holds the states of each commit and context, in their order, against what is wanted; about other commits nothing is said.
func same(all []told, want map[string][]string) error {
	got := map[string][]string{}
	for _, one := range all {
		key := one.commit + " " + one.context
		got[key] = append(got[key], one.state)
	}
	for key, states := range want {
		if !slices.Equal(got[key], states) {
			return fmt.Errorf("%s: %q, want %q; in all %+v", key, got[key], states, got)
		}
	}
	for key := range got {
		if want[key] == nil {
			return fmt.Errorf("%s was told, too: %q", key, got[key])
		}
	}
	return nil
}

// hookStates gives what a webhook was told of commits, each change once; what it hears of the commit before it was there is left out.
func hookStates(t *testing.T, hook *receiver.Receiver, url, before string) []told {
	t.Helper()
	var out []told
	last := map[string]string{}
	for _, n := range hook.Notes() {
		var event struct {
			Data struct {
				Git *struct{ URL, Commit, Context, State string } `json:"git"`
			} `json:"data"`
		}
		if err := json.Unmarshal(n.Body, &event); err != nil || !n.Verified() {
			t.Fatalf("a note that cannot be read: %v %s", err, n.Problem)
		}
		g := event.Data.Git
		if g == nil || g.State == "" || n.Duplicate || g.Commit == before {
			continue
		}
		if g.URL != url {
			t.Errorf("%+v is of another repository than %s", *g, url)
		}
		if key := g.Commit + g.Context; last[key] != g.State {
			last[key] = g.State
			out = append(out, told{g.Commit, g.Context, g.State, ""})
		}
	}
	return out
}

// everything gives, as text, all objects of the shop that Sluice writes or makes, events among them, but no Secrets.
func (sh *shop) everything() string {
	sh.t.Helper()
	var out strings.Builder
	for _, list := range []client.ObjectList{&v1alpha1.RolloutList{}, &v1alpha1.SourceList{}, &v1alpha1.NotifierList{}, &corev1.EventList{}, &corev1.ConfigMapList{}} {
		if err := sh.client.List(sh.t.Context(), list, client.InNamespace(sh.namespace)); err != nil {
			sh.t.Fatal(err)
		}
		text, err := json.Marshal(list)
		if err != nil {
			sh.t.Fatal(err)
		}
		out.Write(text)
	}
	return out.String()
}
