package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/apply"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/gitsync/gogit"
	"github.com/sluice-dev/sluice/gitsync/hook"
	"github.com/sluice-dev/sluice/gitsync/render"
	"github.com/sluice-dev/sluice/gitsync/watch"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/kube"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	kube.Main(m)
}

const (
	token = "a token that both sides know"
	soon  = 60 * time.Second
)

// world is one controller over a namespace, a Git server and a repository.
type world struct {
	testing.TB
	client     client.WithWatch
	controller *Controller
	appliers   Identities
	hooks      *httptest.Server
	ns         string
	cache      string // directory of the repositories
	git        *gitserver.Server
	tree       *gitserver.WorkTree
	deliveries int
	told
	forges func(roots []byte) (*http.Client, error)
	meddle atomic.Pointer[func()] // called once in the middle of a pass
	after  atomic.Pointer[func()] // called once when a pass has changed something, before that is told
	pushed atomic.Pointer[func()] // called once after the next commit that is written back
	valve  valve
}

// As implements Identities.
func (w *world) As(namespace, account string) (gitsync.Applier, error) {
	if meddle := w.meddle.Swap(nil); meddle != nil {
		(*meddle)()
	}
	applier, err := w.appliers.As(namespace, account)
	return followedUp{applier, w}, err
}

// meddled is a Writer after whose work something may happen.
type meddled struct {
	Writer
	world *world
}

func (m meddled) Push(ctx context.Context, p gitsync.Push) (string, error) {
	commit, err := m.Writer.Push(ctx, p)
	if p.Content != nil {
		if then := m.world.pushed.Swap(nil); then != nil {
			(*then)()
		}
	}
	return commit, err
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldWith(t, special{})
}

func newWorldThatLogs(t testing.TB, logger logr.Logger) *world {
	t.Helper()
	return newWorldWith(t, special{logger: logger})
}

// special is what a world has that others have not.
type special struct {
	logger     logr.Logger
	policy     decode.Policy
	namespaces []string // of others
}

func newWorldWith(t testing.TB, want special) *world {
	t.Helper()
	config := kube.Start(t)
	w := &world{TB: t, ns: kube.Namespace(t, config)}
	namespaces := map[string]cache.Config{w.ns: {}} // the controllers of other tests look after theirs
	for _, one := range want.namespaces {
		namespaces[one] = cache.Config{}
	}
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{Scheme: scheme, Logger: want.logger, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache:  cache.Options{DefaultNamespaces: namespaces},
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}}})
	if err != nil {
		t.Fatal(err)
	}
	if w.client, err = client.NewWithWatch(config, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	w.cache = t.TempDir()
	repositories, err := gogit.New(gogit.Config{Dir: w.cache, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(repositories.Close)
	decoder, err := decode.New(want.policy)
	if err != nil {
		t.Fatal(err)
	}
	seen, err := watch.New(config, mgr.GetRESTMapper())
	if err != nil {
		t.Fatal(err)
	}
	w.appliers = apply.New(w.valve.before(config), mgr.GetRESTMapper(), seen)
	w.controller, err = New(Config{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("sluice"), Fetcher: repositories,
		Renderer: render.New(render.Limits{}), Decoder: decoder, Appliers: w, Watch: seen, Now: time.Now, Random: func() float64 { return 0.5 }, Defaults: Defaults{Account: "applier"}})
	if err != nil {
		t.Fatal(err)
	}
	w.controller.Tell(Back{Outbox: w, Writer: meddled{repositories, w}, Cluster: "prod", Forges: func(roots []byte) (*http.Client, error) { return w.forges(roots) }})
	if err := w.controller.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	w.run(mgr)
	w.hooks = httptest.NewServer(w.controller.Hooks())
	t.Cleanup(w.hooks.Close)
	w.git = gittest.Start(t, gitserver.Config{})
	w.tree = gittest.Repository(t, w.git, "app")
	w.prepare()
	return w
}

// run starts the manager and waits for its end at the end of the test.
func (w *world) run(mgr ctrl.Manager) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := mgr.Start(ctx); err != nil {
			w.Errorf("manager: %v", err)
		}
	})
	w.Cleanup(func() { cancel(); running.Wait() })
}

// prepare makes what a namespace needs: an account with rights and the webhook's Secret.
func (w *world) prepare() {
	w.Helper()
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: w.ns, Name: name} }
	for _, o := range []client.Object{
		&rbacv1.Role{ObjectMeta: meta("applier"), Rules: []rbacv1.PolicyRule{{APIGroups: []string{"", "apps", "networking.istio.io", "sluice.dev"}, Verbs: []string{"*"},
			Resources: []string{"configmaps", "services", "deployments", "virtualservices", "destinationrules", "serviceentries", "rollouts"}}}},
		&rbacv1.RoleBinding{ObjectMeta: meta("applier"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "applier"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.ns, Name: "applier"}}},
		&corev1.Secret{ObjectMeta: meta("hook"), StringData: map[string]string{"token": token}},
	} {
		if err := w.client.Create(w.Context(), o); err != nil {
			w.Fatal(err)
		}
	}
}

func (w *world) push(message string, files map[string]string) string {
	w.Helper()
	return gittest.Push(w, w.tree, message, files)
}

// source creates the Source; it looks by itself only once an hour.
func (w *world) source(change func(s *v1alpha1.SourceSpec)) {
	w.Helper()
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shop"}, Spec: v1alpha1.SourceSpec{
		URL: w.git.URL("app"), Ref: v1alpha1.SourceRef{Branch: "main"}, Path: "app", Interval: v1alpha1.DurationOf(time.Hour),
		Webhook: &v1alpha1.SourceWebhook{Provider: v1alpha1.WebhookGeneric, SecretRef: v1alpha1.LocalRef{Name: "hook"}}}}
	if change != nil {
		change(&src.Spec)
	}
	if err := w.client.Create(w.Context(), src); err != nil {
		w.Fatal(err)
	}
}

// hint sends a signed webhook.
func (w *world) hint(commit string) int {
	w.Helper()
	w.deliveries++
	body := fmt.Appendf(nil, `{"ref":"refs/heads/main","after":%q}`, commit)
	id, at := fmt.Sprintf("msg_%d", w.deliveries), time.Now()
	return w.post(body, map[string]string{"Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": fmt.Sprint(at.Unix()),
		"webhook-signature": hook.Sign([]byte(token), id, at, body)}, "shop")
}

func (w *world) post(body []byte, header map[string]string, name string) int {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.hooks.URL+"/hooks/"+w.ns+"/"+name, bytes.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); len(text) > 0 {
		w.Errorf("the answer has a body: %q", text)
	}
	return res.StatusCode
}

func (w *world) status() v1alpha1.SourceStatus {
	w.Helper()
	src := &v1alpha1.Source{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "shop"}, src); err != nil {
		w.Fatal(err)
	}
	return src.Status
}

// ready waits until Ready has the reason and the newest look was at the commit.
func (w *world) ready(reason, commit string) v1alpha1.SourceStatus {
	w.Helper()
	var s v1alpha1.SourceStatus
	kube.Eventually(w, soon, func() error {
		s = w.status()
		c := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Reason != reason || !strings.HasSuffix(s.LastAttemptedRevision, commit) {
			return fmt.Errorf("want %s at %s, the status is %+v", reason, commit, s)
		}
		return nil
	})
	return s
}

func (w *world) data(name string) map[string]string {
	w.Helper()
	cm := &corev1.ConfigMap{}
	err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: name}, cm)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.Fatal(err)
	}
	if cm.Data == nil {
		return map[string]string{}
	}
	return cm.Data
}

func configMap(name, value string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n  k: " + value + "\n"
}

const (
	rolloutV1 = "apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: reviews}\nspec: {host: reviews, subset: v1}\n"
	routing   = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
`
)

func TestSource_appliesThenPrunes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first: all", map[string]string{"app/a.yaml": configMap("a", "one"), "app/b.yaml": configMap("b", "one"), "app/rollout.yaml": rolloutV1, "app/dr.yaml": routing})
	w.source(nil)
	s := w.ready(v1alpha1.ReasonApplied, first)
	if len(s.Inventory) != 4 || s.Commit == nil || s.Commit.Subject != "first: all" || len(s.History) != 1 || s.History[0].Changed != 4 {
		t.Errorf("status = %+v, want four objects from the commit", s)
	}
	ro := &v1alpha1.Rollout{}
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, ro); err != nil {
		t.Fatal(err)
	}
	if a := ro.Annotations; len(a[v1alpha1.AnnotationDigest]) != 64 || a[v1alpha1.AnnotationCommit] != first || a[v1alpha1.AnnotationPath] != "app/rollout.yaml" {
		t.Errorf("annotations of the Rollout = %v, want digest, commit and path", a)
	}
	second := w.push("second", map[string]string{"app/b.yaml": "", "app/a.yaml": configMap("a", "two")})
	if code := w.hint(second); code != http.StatusAccepted {
		t.Errorf("webhook: %d, want 202", code)
	}
	s = w.ready(v1alpha1.ReasonApplied, second)
	if w.data("a")["k"] != "two" || w.data("b") != nil || len(s.Inventory) != 3 || s.History[0].Pruned != 1 {
		t.Errorf("a = %v, b = %v, status %+v; want a changed and b gone", w.data("a"), w.data("b"), s)
	}
	kube.Eventually(t, soon, func() error {
		events := &corev1.EventList{}
		if err := w.client.List(t.Context(), events, client.InNamespace(w.ns)); err != nil {
			return err
		}
		for _, e := range events.Items {
			if strings.Contains(e.Message, "1 of 3 objects changed, 1 pruned") {
				return nil
			}
		}
		return fmt.Errorf("no event with the numbers of the second apply among %d", len(events.Items))
	})
}

func TestSource_gitTroubleChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	before := w.ready(v1alpha1.ReasonApplied, first)
	w.push("second", map[string]string{"app/a.yaml": ""})
	w.git.SetFault("/app.git", gitserver.Fault{Status: 503})
	w.hint("")
	kube.Eventually(t, soon, func() error {
		s := w.status()
		moving := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReconciling)
		if s.Failures == 0 || moving == nil || moving.Reason != v1alpha1.ReasonUnreachable {
			return fmt.Errorf("status %+v, want Reconciling by Unreachable", s)
		}
		return nil
	})
	s := w.status()
	if ready := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionReady); ready.Status != metav1.ConditionTrue {
		t.Errorf("Ready = %+v after one failure, want it as it was", ready)
	}
	if w.data("a")["k"] != "one" || s.LastAppliedRevision != before.LastAppliedRevision || len(s.Inventory) != 1 {
		t.Errorf("a = %v, status %+v; want everything as before", w.data("a"), s)
	}
}

func TestSource_invalidFileHoldsOnlyItsUnit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one"), "app/rollout.yaml": rolloutV1, "app/dr.yaml": routing, "app/gone.yaml": configMap("gone", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two"), "app/gone.yaml": "", "app/dr.yaml": "kind: [\n",
		"app/rollout.yaml": strings.Replace(rolloutV1, "v1}", "v2}", 1)})
	w.hint(second)
	s := w.ready(v1alpha1.ReasonContentInvalid, second)
	if w.data("a")["k"] != "two" || w.data("gone") == nil {
		t.Errorf("a = %v, gone = %v; want a changed and nothing pruned", w.data("a"), w.data("gone"))
	}
	ro := &v1alpha1.Rollout{}
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, ro); err != nil {
		t.Fatal(err)
	}
	if ro.Spec.Subset != "v1" {
		t.Errorf("subset = %s, want the Rollout held at v1", ro.Spec.Subset)
	}
	if len(s.Held) != 1 || len(s.Held[0].Rollouts) != 1 || s.Held[0].Revision != "main@sha1:"+first || len(s.Problems) != 2 || s.Problems[0].Code != "S501" || s.Problems[1].Code != "S410" ||
		s.Problems[0].Path != "app/dr.yaml" || s.Problems[0].Line == 0 || s.PruneHeld == nil || s.LastAppliedRevision != "main@sha1:"+first {
		t.Errorf("status = %+v, want the unit held by S501 with its line, and the prune withheld", s)
	}
	third := w.push("third", map[string]string{"app/dr.yaml": routing})
	w.hint(third)
	s = w.ready(v1alpha1.ReasonApplied, third)
	if w.data("gone") != nil || len(s.Held) != 0 || s.PruneHeld != nil || len(s.Problems) != 0 {
		t.Errorf("gone = %v, status %+v; want the hold lifted and the prune made up for", w.data("gone"), s)
	}
}

func TestSource_remoteBaseFailsTheBuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two"), "app/kustomization.yaml": "resources:\n- a.yaml\n- https://example.com/base\n"})
	w.hint(second)
	s := w.ready(v1alpha1.ReasonBuildFailed, second)
	if w.data("a")["k"] != "one" || len(s.Problems) != 1 || s.Problems[0].Code != "S805" || s.Problems[0].Line != 3 || len(s.Inventory) != 1 {
		t.Errorf("a = %v, status %+v; want nothing applied and S805 in line 3", w.data("a"), s)
	}
	if stalled := v1alpha1.Condition(s.Conditions, v1alpha1.ConditionStalled); stalled == nil || stalled.Status != metav1.ConditionTrue {
		t.Errorf("Stalled = %v, want True", stalled)
	}
}

func TestSource_barrierWaitsForTheOpenAttempt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	canary := func(image string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: reviews-v2}\nspec:\n  selector: {matchLabels: {app: reviews, version: v2}}\n" +
			"  template:\n    metadata: {labels: {app: reviews, version: v2}}\n    spec: {containers: [{name: c, image: " + image + "}]}\n"
	}
	service := "apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {selector: {app: reviews}, ports: [{port: 80}]}\n"
	v2 := strings.Replace(rolloutV1, "v1}", "v2}", 1)
	first := w.push("first", map[string]string{"app/d.yaml": canary("one"), "app/s.yaml": service, "app/dr.yaml": routing, "app/r.yaml": v2})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	ro := w.setPhase(v1alpha1.PhasePreparing, "")
	old := ro.Annotations[v1alpha1.AnnotationDigest]
	second := w.push("second", map[string]string{"app/d.yaml": canary("two")})
	w.hint(second)
	s := w.ready(v1alpha1.ReasonWaitingForRollout, second)
	ro = w.rollout()
	next := ro.Annotations[v1alpha1.AnnotationDigest]
	if w.image() != "one" || next == old || s.LastAppliedRevision != "main@sha1:"+first {
		t.Errorf("image %s, digest changed %v, applied %s; want only the Rollout applied", w.image(), next != old, s.LastAppliedRevision)
	}
	if len(s.Held) != 1 || len(s.Held[0].Codes) != 0 || !slices.Equal(s.Held[0].Rollouts, []string{"Rollout/" + ro.Namespace + "/" + ro.Name}) {
		t.Errorf("held %+v, want the Rollout that waits, without codes", s.Held)
	}
	w.setPhase(v1alpha1.PhasePreparing, next)
	w.ready(v1alpha1.ReasonApplied, second)
	if w.image() != "two" {
		t.Errorf("image %s, want two after the Rollout has heard of it", w.image())
	}
}

func (w *world) rollout() *v1alpha1.Rollout {
	w.Helper()
	ro := &v1alpha1.Rollout{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, ro); err != nil {
		w.Fatal(err)
	}
	return ro
}

func (w *world) image() string {
	w.Helper()
	d := &appsv1.Deployment{}
	if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews-v2"}, d); err != nil {
		w.Fatal(err)
	}
	return d.Spec.Template.Spec.Containers[0].Image
}

// setPhase writes what the rollout controller would: an attempt that is open, and the digest it last acted on.
func (w *world) setPhase(phase v1alpha1.Phase, attempted string) *v1alpha1.Rollout {
	w.Helper()
	ro := w.rollout()
	base := ro.DeepCopy()
	seq := int64(0)
	if ro.Status != nil {
		seq = ro.Status.Seq
	}
	ro.Status = &v1alpha1.RolloutStatus{Epoch: 1, Seq: seq + 1, Attempt: 1, Phase: phase, Outcome: v1alpha1.OutcomeOpen, Attempted: attempted,
		Stable: v1alpha1.VersionStatus{Name: "v1"}, Canary: &v1alpha1.VersionStatus{Name: "v2"}, Since: metav1.NewMicroTime(time.Now())}
	if err := w.client.Status().Patch(w.Context(), ro, client.MergeFrom(base)); err != nil {
		w.Fatal(err)
	}
	return ro
}

func TestSource_withoutIdentityAppliesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(func(s *v1alpha1.SourceSpec) { s.ServiceAccountName = "nobody" })
	w.ready(v1alpha1.ReasonForbidden, first)
	if w.data("a") != nil {
		t.Error("an account without rights has applied something")
	}
}

func TestSource_changedDuringAPassIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	second := w.push("second", map[string]string{"app/a.yaml": configMap("a", "two"), "app/b.yaml": configMap("b", "one")})
	touch := func() {
		src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shop"}}
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"touched":"1"}}}`))
		if err := w.client.Patch(context.WithoutCancel(w.Context()), src, patch); err != nil {
			w.Error(err)
		}
	}
	w.meddle.Store(&touch)
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	if w.data("a")["k"] != "two" || w.data("b")["k"] != "one" || w.meddle.Load() != nil {
		t.Errorf("a = %v, b = %v; want both applied after the conflict", w.data("a"), w.data("b"))
	}
}

func TestSource_suspended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(func(s *v1alpha1.SourceSpec) { s.Suspend = true })
	w.ready(v1alpha1.ReasonSuspended, "")
	if n := w.git.Count("/app.git/info/refs"); n > 2 {
		t.Errorf("the remote was asked %d times, want only the push's requests", n)
	}
	src := &v1alpha1.Source{}
	if err := w.client.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "shop"}, src); err != nil {
		t.Fatal(err)
	}
	base := src.DeepCopy()
	src.Spec.Suspend, src.Spec.Prune = false, ptr.To(false)
	if err := w.client.Patch(t.Context(), src, client.MergeFrom(base)); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, soon, func() error {
		if w.data("a") == nil {
			return errors.New("not applied after resuming")
		}
		return nil
	})
	second := w.push("second", map[string]string{"app/a.yaml": "", "app/b.yaml": configMap("b", "one")})
	w.hint(second)
	w.ready(v1alpha1.ReasonApplied, second)
	if w.data("a") == nil || w.data("b") == nil {
		t.Errorf("a = %v, b = %v; want both with pruning off", w.data("a"), w.data("b"))
	}
}

func TestReceiver_answers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.push("first", map[string]string{"app/a.yaml": configMap("a", "one")})
	w.source(nil)
	w.ready(v1alpha1.ReasonApplied, first)
	body := []byte(`{}`)
	at := time.Now()
	signed := func(id string, body []byte) map[string]string {
		return map[string]string{"Content-Type": "application/json", "webhook-id": id, "webhook-timestamp": fmt.Sprint(at.Unix()), "webhook-signature": hook.Sign([]byte(token), id, at, body)}
	}
	form := signed("f", body)
	form["Content-Type"] = "application/x-www-form-urlencoded"
	wrong := signed("w", body)
	wrong["webhook-signature"] = "v1,AAAA"
	for _, row := range []struct {
		name   string
		source string
		body   []byte
		header map[string]string
		want   int
	}{
		{"genuine", "shop", body, signed("a", body), http.StatusAccepted},
		{"replayed", "shop", body, signed("a", body), http.StatusOK},
		{"wrong proof", "shop", body, wrong, http.StatusUnauthorized},
		{"unknown Source", "none", body, signed("u", body), http.StatusUnauthorized},
		{"form", "shop", body, form, http.StatusUnsupportedMediaType},
		{"not JSON", "shop", []byte("{"), signed("j", []byte("{")), http.StatusBadRequest},
		{"too large", "shop", make([]byte, maxBody+1), signed("l", body), http.StatusRequestEntityTooLarge},
	} {
		if got := w.post(row.body, row.header, row.source); got != row.want {
			t.Errorf("%s: %d, want %d", row.name, got, row.want)
		}
	}
	res, err := http.Get(w.hooks.URL + "/hooks/" + w.ns + "/shop")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d, want 405", res.StatusCode)
	}
}
