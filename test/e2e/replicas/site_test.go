package replicas

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/proxy"
)

// site is a shop of two versions, with a Rollout, behind gateways; controllers and gateways are started by the test.
type site struct {
	t          *testing.T
	client     client.WithWatch
	kubeconfig string
	shop       string // namespace of the shop
	system     string // namespace of Sluice
	gateways   []int  // ports; gateway i is for proxies labelled istio: edge-<i+1>
	versions   map[string]string
	config     *rest.Config // of the API server itself
	broken     atomic.Bool  // v2 answers 500
	flags      []string     // of every controller, besides its own
	lease      time.Duration
}

// open makes a site with n gateways. What is applied to it goes with the test.
func open(t *testing.T, n int) *site {
	t.Helper()
	s := found(t, kube.Start(t), n)
	s.apply(s.mesh())
	return s
}

// found makes a site on an API server that has no service yet.
func found(t *testing.T, cfg *rest.Config, n int) *site {
	t.Helper()
	sch := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(sch), v1alpha1.AddToScheme(sch), apiextensionsv1.AddToScheme(sch)); err != nil {
		t.Fatal(err)
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: sch})
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, client: c, kubeconfig: filepath.Join(t.TempDir(), "kubeconfig"), shop: kube.Namespace(t, cfg), system: kube.Namespace(t, cfg), versions: map[string]string{}, config: cfg,
		lease: *shortLease}
	s.define()
	writeKubeconfig(t, cfg, s.kubeconfig)
	for _, name := range []string{"v1", "v2"} {
		s.versions[name] = s.serve(name)
	}
	for range n {
		s.gateways = append(s.gateways, proxy.FreePort(t))
	}
	return s
}

// serve starts a server of a version and gives its address.
func (s *site) serve(version string) string {
	s.t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set(load.VersionHeader, version)
		if version == "v2" && s.broken.Load() {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	s.t.Cleanup(srv.Close)
	return srv.Listener.Addr().String()
}

// define makes the API server know the kinds as this code has them.
func (s *site) define() {
	s.t.Helper()
	all, err := crd.All()
	if err != nil {
		s.t.Fatal(err)
	}
	for _, def := range all {
		have := &apiextensionsv1.CustomResourceDefinition{}
		err := s.client.Get(s.t.Context(), client.ObjectKeyFromObject(def), have)
		switch {
		case apierrors.IsNotFound(err):
			err = s.client.Create(s.t.Context(), def)
		case err == nil:
			def.ResourceVersion = have.ResourceVersion
			err = s.client.Update(s.t.Context(), def)
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	kube.Eventually(s.t, patience, func() error { return s.client.List(s.t.Context(), &v1alpha1.FleetReportList{}) })
}

// writeKubeconfig makes a file of a client's configuration, for other processes.
func writeKubeconfig(t *testing.T, cfg *rest.Config, path string) {
	t.Helper()
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: cfg.Host, CertificateAuthorityData: cfg.CAData, CertificateAuthority: cfg.CAFile}
	file.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: cfg.BearerToken, ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData,
		ClientCertificate: cfg.CertFile, ClientKey: cfg.KeyFile}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	file.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*file, path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// host is the service's name.
func (s *site) host() string { return "reviews." + s.shop + ".example" }

// mesh is the text of everything but the Rollout.
func (s *site) mesh() string {
	s.t.Helper()
	var endpoints, gateways, names []string
	for _, v := range []string{"v1", "v2"} {
		ip, port, err := net.SplitHostPort(s.versions[v])
		if err != nil {
			s.t.Fatal(err)
		}
		endpoints = append(endpoints, fmt.Sprintf("{address: %s, ports: {http: %s}, labels: {version: %s}}", ip, port, v))
	}
	for i, port := range s.gateways {
		names = append(names, fmt.Sprintf("edge-%d", i+1))
		gateways = append(gateways, fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge-%[1]d}
spec:
  selector: {istio: %[3]s-%[1]d}
  servers: [{port: {number: %[2]d, name: http, protocol: HTTP}, hosts: ["*"], bind: 127.0.0.1}]
---`, i+1, port, s.shop))
	}
	return strings.Join(gateways, "") + fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews}
spec:
  hosts: [%[1]s]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [%[2]s]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: %[1]s
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [%[1]s]
  gateways: [%[3]s]
  http: [{route: [{destination: {host: %[1]s}}], retries: {attempts: 0}}]
`, s.host(), strings.Join(endpoints, ", "), strings.Join(names, ", "))
}

// stays is a bake that outlasts any test: the step is to be held meanwhile.
const stays = 10 * time.Minute

// rollout is the text of the Rollout, which adopts v1. Time alone passes its steps, here after bakes: no Prometheus takes part.
func (s *site) rollout(bake15, bake50 time.Duration) string {
	return fmt.Sprintf(`
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: reviews, annotations: {sluice.dev/digest: v1}}
spec:
  host: %s
  subset: v1
  steps:
  - {weight: 15, promotion: timeOnly, bake: {min: %s, max: 900s}}
  - {weight: 50, promotion: timeOnly, bake: {min: %s, max: 900s}}
  - {weight: 100, promotion: timeOnly, bake: {min: 1s, max: 900s}}
  convergence: {timeout: 5m}
  analysis: {metrics: [{name: errors, disabled: true}, {name: latency, disabled: true}, {name: attempts, disabled: true}]}
`, s.host(), bake15, bake50)
}

// want makes Git ask for a version.
func (s *site) want(version string) {
	s.t.Helper()
	ro := &v1alpha1.Rollout{}
	ro.Namespace, ro.Name = s.shop, "reviews"
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{"sluice.dev/digest":%[1]q}},"spec":{"subset":%[1]q}}`, version)
	if err := s.client.Patch(s.t.Context(), ro, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		s.t.Fatal(err)
	}
}

// apply makes every object of a text, in the shop. They go with the test, after the controllers.
func (s *site) apply(text string) {
	s.t.Helper()
	for doc := range strings.SplitSeq(strings.TrimSpace(text), "\n---") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(doc), &o.Object); err != nil {
			s.t.Fatal(err)
		}
		o.SetNamespace(s.shop)
		if err := s.client.Create(s.t.Context(), o); err != nil {
			s.t.Fatalf("creating %s %s: %v", o.GetKind(), o.GetName(), err)
		}
		s.t.Cleanup(func() { s.remove(o) })
	}
}

// remove deletes an object for which no controller works any more.
func (s *site) remove(o client.Object) {
	ctx, cancel := withoutEnd(s.t.Context(), 2*patience)
	defer cancel()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := errors.Join(client.IgnoreNotFound(s.client.Patch(ctx, o, patch)), client.IgnoreNotFound(s.client.Delete(ctx, o))); err != nil {
		s.t.Errorf("removing %s: %v", o.GetName(), err)
	}
}

// programmed is the condition; a zero one while there is none.
func programmed(st *v1alpha1.RolloutStatus) (status, reason, message string) {
	c := v1alpha1.Condition(st.Conditions, v1alpha1.ConditionProgrammed)
	if c == nil {
		return "", "", ""
	}
	return string(c.Status), c.Reason, c.Message
}

func brief(st *v1alpha1.RolloutStatus) string {
	if st == nil {
		return "no status yet"
	}
	text := fmt.Sprintf("%s (%s) step %d weight %d seq %d traffic %d settled %d stable %s", st.Phase, st.Reason, st.Step, st.Weight, st.Seq, st.Traffic.Seq, st.SettledSeq, st.Stable.Name)
	for _, c := range st.Conditions {
		text += fmt.Sprintf("\n  %s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
	}
	return text
}

// reports are what the replicas say of their proxies.
func (s *site) reports() map[string]v1alpha1.FleetReportStatus {
	s.t.Helper()
	list := &v1alpha1.FleetReportList{}
	if err := s.client.List(s.t.Context(), list, client.InNamespace(s.system)); err != nil {
		s.t.Fatal(err)
	}
	out := map[string]v1alpha1.FleetReportStatus{}
	for _, r := range list.Items {
		out[r.Name] = r.Status
	}
	return out
}
