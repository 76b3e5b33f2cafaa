package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/proxy"
)

// shop is what most pages speak of: `sluice up`, beside it a Git server with the repository shop/deploy, two Sources of the
// namespace bookinfo, and in it the Rollout reviews, whose steps wait for people. Users ask all the time.
type shop struct {
	*stage
	tree  *gitserver.WorkTree
	files map[string]string
	url   string            // of the repository
	wants string            // the version that Git asks for
	up    map[string]string // what runs where, as `sluice up -o json` says
}

// openShop returns when v1 serves and three attempts have been made.
func openShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{stage: newStage(t), wants: "v1", up: map[string]string{}}
	git := gittest.Start(t, gitserver.Config{})
	s.tree = gittest.Repository(t, git, "shop/deploy")
	port := proxy.FreePort(t)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(hook.Close)
	s.files = map[string]string{
		"deploy/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {language: en}\n",
		"extra/settings.yaml":  "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: more-settings}\ndata: {language: en}\n",
		"prod/reviews.yaml":    s.mesh(port), "prod/rollout.yaml": s.rollout(),
	}
	gittest.Push(t, s.tree, "first version", s.files)
	s.url = git.URL("shop/deploy")
	s.ports("default")
	s.begin(git.URL("shop/deploy"))
	s.overSSH(git)
	s.do("kubectl apply -f - <<'END'\n" + fmt.Sprintf(town, git.URL("shop/deploy"), hook.URL) + "\nEND\nkubectl config set-context --current --namespace bookinfo")
	s.eventually("v1 to serve", func() error { return s.try("sluice wait reviews --for=condition=Ready --timeout 5s") })
	users, err := load.Start(t.Context(), load.Config{URL: fmt.Sprintf("http://127.0.0.1:%d/", port), RPS: 40, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(users.Stop)
	for range 3 {
		s.held()
		s.rejected()
	}
	s.papers()
	s.before = s.desk
	s.states = map[state]func(){held: s.held, approved: s.approved, paused: s.paused, halfway: s.halfway, done: s.done, rejected: s.rejected}
	return s
}

// begin starts `sluice up`.
func (s *shop) begin(url string) {
	s.t.Helper()
	r := s.start("exec sluice up " + url + " --ref main --path deploy --scrape 1s")
	s.t.Cleanup(func() {
		if s.t.Failed() {
			now := s.start("kubectl get -n bookinfo rollouts.sluice.dev,sources.sluice.dev,rolloutactions -o yaml")
			_, err := s.ended(now)
			s.t.Logf("sluice up printed\n%s\nnow there is (%v)\n%s", r.printed(), err, now.printed())
		}
		_ = r.process.Stop(40 * time.Second) // by a signal, which is an error of its own
	})
	err := r.process.Await(patience, func() error {
		if !strings.Contains(r.printed(), "look  ") {
			return errors.New("it does not say that it is ready")
		}
		return nil
	})
	if err != nil {
		s.t.Fatalf("sluice up: %v\n%s", err, r.printed())
	}
	all := map[string]any{}
	if err := json.Unmarshal([]byte(s.do("sluice up -o json 2>/dev/null")), &all); err != nil {
		s.t.Fatal(err)
	}
	for key, value := range all {
		s.up[key] = fmt.Sprint(value)
	}
	s.do("cp " + s.up["kubeconfig"] + " " + filepath.Join(s.home, "kubeconfig"))
	s.standIns = []string{"http://127.0.0.1:9090", s.up["prometheus"], "127.0.0.1:15010", s.up["xds"], "https://git.example.com/shop/deploy.git", url, "127.0.0.1:8082", s.up["decisions"],
		"2026-05-12T09:00:00Z", "$(date -u -d '40 seconds ago' +%FT%TZ)", "2026-05-12T11:00:00Z", "$(date -u +%FT%TZ)"}
}

// town is what the pages take for granted: %[1]s is where Git is, %[2]s who is told.
const town = `
apiVersion: v1
kind: Namespace
metadata: {name: bookinfo}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: v1
kind: Namespace
metadata: {name: bakery}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sluice-applier, namespace: bookinfo}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: sluice-applier, namespace: bookinfo}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: sluice-applier}
subjects: [{kind: ServiceAccount, name: sluice-applier, namespace: bookinfo}]
---
apiVersion: sluice.dev/v1alpha1
kind: Source
metadata: {name: shop, namespace: bookinfo}
spec: {url: "%[1]s", ref: {branch: main}, path: prod, serviceAccountName: sluice-applier, interval: 10s}
---
apiVersion: sluice.dev/v1alpha1
kind: Source
metadata: {name: main, namespace: bookinfo}
spec: {url: "%[1]s", ref: {branch: main}, path: extra, serviceAccountName: sluice-applier, interval: 10s}
---
apiVersion: sluice.dev/v1alpha1
kind: Notifier
metadata: {name: team, namespace: bookinfo}
spec: {webhook: {url: "%[2]s", insecure: true, unsigned: true}}
---
apiVersion: sluice.dev/v1alpha1
kind: Notifier
metadata: {name: local, namespace: bookinfo}
spec: {webhook: {url: "%[2]s", insecure: true, unsigned: true}}`

// mesh is what brings users to the versions, which it starts, and their Deployments, of which nothing runs here.
func (s *shop) mesh(port int) string {
	s.t.Helper()
	var subsets, endpoints, deployments []string
	for _, v := range []string{"v1", "v2", "v3"} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set(load.VersionHeader, v) }))
		s.t.Cleanup(srv.Close)
		host, at, _ := strings.Cut(srv.Listener.Addr().String(), ":")
		subsets = append(subsets, fmt.Sprintf("{name: %[1]s, labels: {version: %[1]s}}", v))
		endpoints = append(endpoints, fmt.Sprintf("{address: %s, ports: {http: %s}, labels: {version: %s}}", host, at, v))
		deployments = append(deployments, fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reviews-%[1]s, labels: {app: reviews, version: %[1]s}}
spec:
  selector: {matchLabels: {app: reviews, version: %[1]s}}
  template:
    metadata: {labels: {app: reviews, version: %[1]s}}
    spec: {containers: [{name: reviews, image: "registry.example/reviews:%[1]s", ports: [{name: http, containerPort: 9080}]}]}
`, v))
	}
	return fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: reviews}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: %d, name: http, protocol: HTTP}, bind: 127.0.0.1, hosts: ["*"]}]
---
apiVersion: v1
kind: Service
metadata: {name: reviews}
spec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: ["*"]
  gateways: [reviews]
  http: [{name: primary, route: [{destination: {host: reviews.example}}], timeout: 5s, retries: {attempts: 0}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec: {host: reviews.example, subsets: [%s]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [reviews.example]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [%s]
%s`, port, strings.Join(subsets, ", "), strings.Join(endpoints, ", "), strings.Join(deployments, ""))
}

// rollout waits at each step for a person: for anybody, then for approvals.
func (s *shop) rollout() string {
	return fmt.Sprintf(`apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews}
spec:
  host: reviews.example
  subset: %s
  rollbackWindow: {versions: 0} # it would go straight to what served before
  steps:
  - {weight: 15, pause: {}, bake: {min: 1s, max: 60s}, promotion: timeOnly}
  - {weight: 50, approval: {}, bake: {min: 1s, max: 60s}, promotion: timeOnly}
  - {weight: 100, approval: {}, bake: {min: 1s, max: 60s}, promotion: timeOnly}
  analysis: {metrics: [{name: errors, window: 1s, warmup: 1s}, {name: latency, disabled: true}, {name: attempts, disabled: true}]}
`, s.wants)
}

func (s *shop) status() v1alpha1.RolloutStatus {
	s.t.Helper()
	ro := &v1alpha1.Rollout{}
	if err := json.Unmarshal([]byte(s.do("kubectl get rollouts.sluice.dev reviews -n bookinfo -o json")), ro); err != nil {
		s.t.Fatal(err)
	}
	if ro.Status == nil {
		return v1alpha1.RolloutStatus{}
	}
	return *ro.Status
}

// until waits for a state of the Rollout.
func (s *shop) until(what string, ok func(v1alpha1.RolloutStatus) bool) {
	s.t.Helper()
	s.eventually(what, func() error {
		if st := s.status(); !ok(st) {
			return fmt.Errorf("it is %s (%s), attempt %d, step %d at %d %%", st.Phase, st.Reason, st.Attempt, st.Step, st.Weight)
		}
		return nil
	})
}

func atRest(st v1alpha1.RolloutStatus) bool {
	return st.Phase == v1alpha1.PhaseIdle || st.Phase == v1alpha1.PhaseRolledBack
}

// held has an attempt wait at its first step, at 15 %.
func (s *shop) held() {
	s.t.Helper()
	waits := func(st v1alpha1.RolloutStatus) bool {
		return st.Phase == v1alpha1.PhaseHolding && st.Weight == 15
	}
	st := s.status()
	if waits(st) {
		s.do("sluice resume reviews -n bookinfo || true") // somebody may have paused it
		return
	}
	if !atRest(st) {
		s.aborted()
		st = s.status()
	}
	if st.Phase == v1alpha1.PhaseRolledBack {
		s.do("sluice retry reviews -n bookinfo")
	} else {
		s.wants = map[string]string{"v1": "v2", "v2": "v3", "v3": "v2"}[s.wants]
		s.files["prod/rollout.yaml"] = s.rollout()
		gittest.Push(s.t, s.tree, "reviews: "+s.wants, s.files)
		s.do("sluice resume source shop -n bookinfo && sluice reconcile source shop -n bookinfo") // a page may have suspended it
	}
	s.until("the first step to hold", waits)
}

// approved has it wait at its first step, with all approvals given.
func (s *shop) approved() {
	s.t.Helper()
	s.held()
	s.do("sluice approve reviews -n bookinfo --step 2; sluice approve reviews -n bookinfo --step 3")
}

// paused has it wait there, and somebody has paused it besides.
func (s *shop) paused() {
	s.t.Helper()
	s.held()
	s.do("sluice pause reviews -n bookinfo")
}

// halfway has it wait at 50 %.
func (s *shop) halfway() {
	s.t.Helper()
	s.held()
	s.do("sluice promote reviews -n bookinfo")
	s.until("the second step to hold", func(st v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseHolding && st.Weight == 50 })
}

// done has a version go all the way.
func (s *shop) done() {
	s.t.Helper()
	if st := s.status(); st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == s.wants {
		return
	}
	s.halfway()
	s.do("sluice approve reviews -n bookinfo; sluice approve reviews -n bookinfo --step 3")
	s.until("the end of the attempt", func(st v1alpha1.RolloutStatus) bool { return st.Phase == v1alpha1.PhaseIdle })
}

// rejected has a version be taken back.
func (s *shop) rejected() {
	s.t.Helper()
	for s.status().Phase != v1alpha1.PhaseRolledBack {
		s.held()
		s.aborted()
	}
}

// aborted ends the attempt, where it does not end just then.
func (s *shop) aborted() {
	s.t.Helper()
	_ = s.try("sluice abort reviews -n bookinfo")
	s.until("the end of the attempt", atRest)
}
