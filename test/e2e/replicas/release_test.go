package replicas

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/authority"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

var noTLS = bootstrap.TLS{}

func completed(st *v1alpha1.RolloutStatus) bool {
	return st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == "v2"
}

// repository is a Git repository with all that a shop has, and a Source of it. The function pushes it with a version wanted.
func (s *site) repository() (push func(version string)) {
	s.t.Helper()
	git := gittest.Start(s.t, gitserver.Config{})
	tree := gittest.Repository(s.t, git, "shop")
	rollout := strings.Replace(s.rollout(2*time.Second, stays), ", annotations: {sluice.dev/digest: v1}", "", 1)
	rollout = strings.Replace(rollout, "  subset: v1\n", "  subset: VERSION\n", 1)
	push = func(version string) {
		s.t.Helper()
		gittest.Push(s.t, tree, version, map[string]string{
			"deploy/mesh.yaml": s.mesh(), "deploy/rollout.yaml": strings.ReplaceAll(rollout, "VERSION", version), "deploy/more.yaml": workloads,
		})
		source := &v1alpha1.Source{ObjectMeta: metav1.ObjectMeta{Namespace: s.shop, Name: "shop"}}
		patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"sluice.dev/reconcile":%q}}}`, version)
		if err := s.client.Patch(s.t.Context(), source, client.RawPatch("application/merge-patch+json", patch)); err != nil && !apierrors.IsNotFound(err) {
			s.t.Fatal(err)
		}
	}
	push("v1")
	s.apply(fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: Source
metadata: {name: shop}
spec: {url: %q, ref: {branch: main}, path: deploy, serviceAccountName: sluice-applier, secretRef: {name: git}, deletionPolicy: Delete,
  substitute: {from: [{kind: ConfigMap, name: variables}]}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: variables}
data: {team: shop}
`, git.URL("shop")))
	return push
}

// synced waits until the Source has applied what was pushed.
func (s *site) synced() {
	s.t.Helper()
	eventually(s.t, "the Source to be synced", func() error {
		source := &v1alpha1.Source{}
		if err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.shop, Name: "shop"}, source); err != nil {
			return err
		}
		if ready := v1alpha1.Condition(source.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.Status != "True" {
			return fmt.Errorf("%+v\n%+v", source.Status.Conditions, source.Status.Problems)
		}
		return nil
	})
}

// workloads are kinds that a shop has besides its mesh.
const workloads = `
apiVersion: v1
kind: ConfigMap
metadata: {name: shop}
data: {k: v}
---
apiVersion: v1
kind: Service
metadata: {name: shop}
spec: {ports: [{port: 80}], selector: {app: shop}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: shop}
spec:
  replicas: 0
  selector: {matchLabels: {app: shop}}
  template: {metadata: {labels: {app: shop}}, spec: {containers: [{name: shop, image: shop}]}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: shop}
spec: {minAvailable: 1, selector: {matchLabels: {app: shop}}}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: shop}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: shop}, maxReplicas: 2}
`

// certificate is a Secret that a Gateway names, and credentials that a Source does.
func (s *site) certificate(name string) {
	s.t.Helper()
	files := authority.New(s.t).Issue(s.t, s.t.TempDir(), "front.example")
	data := map[string][]byte{}
	for key, path := range map[string]string{"tls.crt": files.Cert, "tls.key": files.Key} {
		text, err := os.ReadFile(path)
		if err != nil {
			s.t.Fatal(err)
		}
		data[key] = text
	}
	front := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.shop, Name: name}, Type: corev1.SecretTypeTLS, Data: data}
	git := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.shop, Name: "git"}, StringData: map[string]string{"username": "u", "password": "p"}}
	for _, one := range []*corev1.Secret{front, git} {
		if err := s.client.Create(s.t.Context(), one); err != nil {
			s.t.Fatal(err)
		}
	}
	s.apply(fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: front}
spec:
  selector: {istio: %s-1}
  servers: [{port: {number: %d, name: https, protocol: HTTPS}, hosts: ["front.example"], bind: 127.0.0.1, tls: {mode: SIMPLE, credentialName: %s}}]
---
apiVersion: sluice.dev/v1alpha1
kind: MetricTemplate
metadata: {name: queue}
spec: {ratio: {bad: 'failed_total{version="{{subset}}"}', total: 'asked_total{version="{{subset}}"}'}}
`, s.shop, proxy.FreePort(s.t), name))
}

// servers is the file of Prometheus servers: one, with nobody there.
func (s *site) servers() string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "servers.yaml")
	text := fmt.Sprintf("servers:\n  default: {url: 'http://127.0.0.1:%d'}\n", proxy.FreePort(s.t))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// ask asks something of the Rollout, and waits until it is done.
func (s *site) ask(verb v1alpha1.ActionVerb) {
	s.t.Helper()
	a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: s.shop, Name: strings.ToLower(string(verb))},
		Spec: v1alpha1.RolloutActionSpec{Rollout: "reviews", Verb: verb, IfAttempt: 1, Actor: "sluice-admin", Reason: "for the test"}}
	if err := s.client.Create(s.t.Context(), a); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, string(verb)+" to be done", func() error {
		err := s.client.Get(s.t.Context(), client.ObjectKeyFromObject(a), a)
		if err == nil && a.Status.Result != v1alpha1.ActionAccepted {
			err = fmt.Errorf("%+v", a.Status)
		}
		return client.IgnoreNotFound(err)
	})
}

// gone waits until an old action is removed.
func (s *site) gone(name string) {
	s.t.Helper()
	eventually(s.t, "an old action to be removed", func() error {
		err := s.client.Get(s.t.Context(), client.ObjectKey{Namespace: s.shop, Name: name}, &v1alpha1.RolloutAction{})
		if err == nil {
			err = fmt.Errorf("%s is still there", name)
		}
		return client.IgnoreNotFound(err)
	})
}

// removeRollout deletes the Rollout and its Source as people do, and waits until they are gone.
func (s *site) removeRollout() {
	s.t.Helper()
	meta := metav1.ObjectMeta{Namespace: s.shop}
	source, ro := &v1alpha1.Source{ObjectMeta: meta}, &v1alpha1.Rollout{ObjectMeta: meta}
	source.Name, ro.Name = "shop", "reviews"
	for _, o := range []client.Object{source, ro} {
		if err := client.IgnoreNotFound(s.client.Delete(s.t.Context(), o)); err != nil {
			s.t.Fatal(err)
		}
		eventually(s.t, o.GetName()+" to be gone", func() error {
			err := s.client.Get(s.t.Context(), client.ObjectKeyFromObject(o), o)
			if err == nil {
				err = fmt.Errorf("it is there, with %v", o.GetFinalizers())
			}
			return client.IgnoreNotFound(err)
		})
	}
}
