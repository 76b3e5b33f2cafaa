package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

// version is one version of the service: real HTTP servers on loopback.
type version struct {
	name    string
	ports   []int
	errors  atomic.Int64 // per mille of answers that are 500, or failure
	failure int          // instead of 500; 0: 500
	answers atomic.Int64
}

func startVersion(t *testing.T, name string, endpoints int) *version {
	t.Helper()
	v := &version{name: name}
	for range endpoints {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := &http.Server{Handler: v, ReadHeaderTimeout: patience}
		done := make(chan struct{})
		go func() { defer close(done); _ = srv.Serve(l) }()
		t.Cleanup(func() { _ = srv.Close(); <-done })
		v.ports = append(v.ports, l.Addr().(*net.TCPAddr).Port)
	}
	return v
}

// ServeHTTP answers as the version, with as many errors as it was told: evenly, so that no version fails by luck.
func (v *version) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set(load.VersionHeader, v.name)
	n, share := v.answers.Add(1), v.errors.Load()
	if n*share/1000 != (n-1)*share/1000 {
		w.WriteHeader(cmp.Or(v.failure, http.StatusInternalServerError))
	}
}

// shop is one service with its repository, versions and users.
type shop struct {
	t         *testing.T
	site      *site
	client    client.Client
	namespace string
	port      int // of the gateway
	git       *gitserver.Server
	tree      *gitserver.WorkTree
	versions  map[string]*version
	rollout   rolloutSpec
}

// rolloutSpec is what the tests vary of the Rollout.
type rolloutSpec struct {
	subset string
	paused bool
	text   string // instead of the manifest; empty: the manifest
	extra  string // more lines of the spec
	route  string // instead of the VirtualService; empty: that one
}

var shops atomic.Int64

// openShop makes a namespace, a repository and three versions; nothing is pushed yet.
func openShop(t *testing.T, s *site) *shop {
	t.Helper()
	sh := newShop(t, s.client)
	sh.site = s
	if err := s.stack.EnsureApplier(t.Context(), sh.namespace); err != nil {
		t.Fatal(err)
	}
	sh.createSource()
	return sh
}

func newShop(t *testing.T, c client.Client) *shop {
	t.Helper()
	sh := &shop{t: t, client: c, namespace: fmt.Sprintf("shop-%d", shops.Add(1)), port: proxy.FreePort(t),
		versions: map[string]*version{}, rollout: rolloutSpec{subset: "v1"}}
	for _, name := range []string{"v1", "v2", "v3"} {
		sh.versions[name] = startVersion(t, name, 3)
	}
	sh.git = gittest.Start(t, gitserver.Config{OnPush: func(gitserver.Push) { sh.hint() }})
	sh.tree = gittest.Repository(t, sh.git, "shop")
	if c == nil {
		return sh
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: sh.namespace}}
	if err := c.Create(t.Context(), ns); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return sh
}

func (sh *shop) createSource(changes ...func(spec *v1alpha1.SourceSpec)) {
	sh.t.Helper()
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: "main", Namespace: sh.namespace},
		Spec: v1alpha1.SourceSpec{URL: sh.git.URL("shop"), Ref: v1alpha1.SourceRef{Branch: "main"}, Path: "deploy",
			ServiceAccountName: "sluice-applier"}}
	for _, change := range changes {
		change(&src.Spec)
	}
	if err := sh.client.Create(sh.t.Context(), src); err != nil {
		sh.t.Fatal(err)
	}
}

// hint asks the Source to look now, as a webhook would.
func (sh *shop) hint() {
	if sh.client == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"sluice.dev/reconcile":"%d"}}}`, rand.Int64())
	src := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Name: "main", Namespace: sh.namespace}}
	_ = sh.client.Patch(ctx, src, client.RawPatch("application/merge-patch+json", patch)) // the poll comes anyway
}

// push commits the shop as it is now, with changes (path to text; empty: without that file) on top, and gives the commit.
func (sh *shop) push(subject string, changes map[string]string) string {
	sh.t.Helper()
	files := sh.files()
	for path, text := range changes {
		files[path] = text
		if text == "" {
			delete(files, path)
		}
	}
	return gittest.Push(sh.t, sh.tree, subject, files)
}

func (sh *shop) files() map[string]string {
	var entries strings.Builder
	for _, name := range []string{"v1", "v2", "v3"} {
		for _, p := range sh.versions[name].ports {
			fmt.Fprintf(&entries, "  - {address: 127.0.0.1, ports: {http: %d}, labels: {version: %s}}\n", p, name)
		}
	}
	r := strings.NewReplacer("NAMESPACE", sh.namespace, "PORT", fmt.Sprint(sh.port), "ENDPOINTS\n", entries.String(),
		"SUBSET", sh.rollout.subset, "PAUSED", fmt.Sprint(sh.rollout.paused), "EXTRA\n", sh.rollout.extra)
	files := map[string]string{}
	for name, text := range manifests {
		switch name {
		case "rollout.yaml":
			text = cmp.Or(sh.rollout.text, text)
		case "virtualservice.yaml":
			text = cmp.Or(sh.rollout.route, text)
		}
		files["deploy/"+name] = r.Replace(text)
	}
	return files
}

var manifests = map[string]string{
	"gateway.yaml": `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - port: {number: PORT, name: http, protocol: HTTP}
    hosts: ["reviews.NAMESPACE.example"]
`,
	"virtualservice.yaml": `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: ["reviews.NAMESPACE.example"]
  gateways: [shop]
  http:
  - name: primary
    retries: {attempts: 0}
    route:
    - destination: {host: reviews.NAMESPACE.svc.cluster.local}
`,
	"destinationrule.yaml": `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews.NAMESPACE.svc.cluster.local
  subsets:
  - {name: v1, labels: {version: v1}}
  - {name: v2, labels: {version: v2}}
  - {name: v3, labels: {version: v3}}
`,
	"serviceentry.yaml": `apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.NAMESPACE.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  endpoints:
ENDPOINTS
`,
	"rollout.yaml": `apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews}
spec:
  host: reviews.NAMESPACE.svc.cluster.local
  subset: SUBSET
  paused: PAUSED
  steps:
  - {weight: 15, bake: {min: 3s, max: 300s}}
  - {weight: 50, bake: {min: 3s, max: 300s}}
  - {weight: 100, bake: {min: 2s, max: 300s}}
  analysis:
    metrics:
    - {name: errors, window: 1s, warmup: 1s, harmful: {ratio: "2", rate: 2%}}
    - {name: latency, disabled: true}
    - {name: attempts, disabled: true}
EXTRA
`,
}

// nobody is no version: what failed but for it is all that failed.
const nobody = "nobody"

// patience is how long a request, a process or a person waits on a machine that is busy. Late is not failed.
const patience = time.Minute

// visit starts users of the shop, until the end of the test.
func (sh *shop) visit(rps float64) *load.Generator {
	sh.t.Helper()
	g, err := load.Start(sh.t.Context(), load.Config{
		URL: fmt.Sprintf("http://127.0.0.1:%d/", sh.port), Host: "reviews." + sh.namespace + ".example", RPS: rps, Seed: 1, Timeout: patience})
	if err != nil {
		sh.t.Fatal(err)
	}
	sh.t.Cleanup(g.Stop)
	return g
}

// get reads the Rollout.
func (sh *shop) get() (*v1alpha1.Rollout, error) {
	ro := &v1alpha1.Rollout{}
	err := sh.client.Get(sh.t.Context(), client.ObjectKey{Namespace: sh.namespace, Name: "reviews"}, ro)
	return ro, err
}

// until waits for a state of the Rollout and gives it.
func (sh *shop) until(what string, timeout time.Duration, ok func(st *v1alpha1.RolloutStatus) bool) *v1alpha1.Rollout {
	sh.t.Helper()
	var last *v1alpha1.Rollout
	err := poll.Until(timeout, func() error {
		ro, err := sh.get()
		if err != nil {
			return err
		}
		last = ro
		if ro.Status == nil || !ok(ro.Status) {
			return errors.New(brief(ro.Status))
		}
		return nil
	})
	if err != nil {
		sh.t.Fatalf("waiting for %s: %v\n%s", what, err, sh.sourceText())
	}
	return last
}

func brief(st *v1alpha1.RolloutStatus) string {
	if st == nil {
		return "no status yet"
	}
	s := fmt.Sprintf("%s (%s) step %d weight %d stable %s outcome %s", st.Phase, st.Reason, st.Step, st.Weight, st.Stable.Name, st.Outcome)
	if st.Canary != nil {
		s += " canary " + st.Canary.Name
	}
	if st.Analysis != nil {
		s += fmt.Sprintf(" verdict %s (%s) %s", st.Analysis.Verdict, st.Analysis.Reason, st.Analysis.Message)
	}
	for _, c := range st.Conditions {
		s += fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return s
}

func (sh *shop) source() *v1alpha1.Source {
	src := &v1alpha1.Source{}
	if err := sh.client.Get(sh.t.Context(), client.ObjectKey{Namespace: sh.namespace, Name: "main"}, src); err != nil {
		sh.t.Fatal(err)
	}
	return src
}

func (sh *shop) sourceText() string {
	src := sh.source()
	s := fmt.Sprintf("source: applied %s attempted %s", src.Status.LastAppliedRevision, src.Status.LastAttemptedRevision)
	for _, c := range src.Status.Conditions {
		s += fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	for _, p := range src.Status.Problems {
		s += fmt.Sprintf("\n  %+v", p)
	}
	return s
}

func ready(st *v1alpha1.RolloutStatus) bool {
	return meta.IsStatusConditionTrue(st.Conditions, v1alpha1.ConditionReady)
}

// adopt pushes the first commit and waits until v1 serves.
func (sh *shop) adopt() {
	sh.t.Helper()
	sh.push("shop: first version", nil)
	sh.until("v1 adopted", 30*time.Second, func(st *v1alpha1.RolloutStatus) bool {
		return st.Stable.Name == "v1" && st.Phase == v1alpha1.PhaseIdle && ready(st)
	})
	sh.answers("v1")
}

// answers waits until the gateway answers as that version.
func (sh *shop) answers(want string) {
	sh.t.Helper()
	err := poll.Until(15*time.Second, func() error {
		status, got, err := sh.ask()
		if err != nil {
			return err
		}
		if status != http.StatusOK || got != want {
			return fmt.Errorf("status %d from %q, want 200 from %s", status, got, want)
		}
		return nil
	})
	if err != nil {
		sh.t.Fatal(err)
	}
}

func (sh *shop) ask() (int, string, error) {
	ctx, cancel := context.WithTimeout(sh.t.Context(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", sh.port), nil)
	if err != nil {
		return 0, "", err
	}
	req.Host = "reviews." + sh.namespace + ".example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	return resp.StatusCode, resp.Header.Get(load.VersionHeader), nil
}
