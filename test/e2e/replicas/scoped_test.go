package replicas

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/helm"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/proxy"
)

// TestScoped_nothingElsewhereIsLookedAt runs two replicas that are to look at one namespace, with the rights that the chart
// gives for that, through a release from Git. They ask for nothing that is elsewhere, but for mesh objects of the mesh's root
// and for what is of no namespace, and say nothing of it; there is no right that they do not use. Then `helm test` finds
// nothing wrong.
func TestScoped_nothingElsewhereIsLookedAt(t *testing.T) {
	t.Parallel()
	server := kube.Own(t, kube.Options{Port: proxy.FreePort(t), Audit: audited})
	s := found(t, server.Config(t), 1)
	s.lease = 10 * time.Second // others run beside it
	outside, root := kube.Namespace(t, s.config), kube.Namespace(t, s.config)
	s.elsewhere(outside)
	scope := []string{"--set", "namespaces={" + s.shop + "}", "--set", "mesh.rootNamespace=" + root, "--set", "gateway.enabled=true"}
	kubeconfig, granted := s.installed(append(scope, "--set", "certificates[0].namespace="+s.shop, "--set", "certificates[0].names={front,front-cacert}")...)
	s.flags = []string{"--namespaces", s.shop, "--mesh-root-namespace", root, "--xds-tls-addr", "127.0.0.1:0", "--xds-secret", "sluice-xds", "--certificate-life", "15s"}
	replicas := s.useEverything(kubeconfig)

	all := s.asks(server.AuditLog())
	usedOf(t, all, granted)
	wide := []string{"nodes", "customresourcedefinitions", "tokenreviews", "subjectaccessreviews"}
	rooted := 0
	for _, a := range all {
		o := a.ObjectRef
		switch {
		case slices.Contains([]string{s.shop, s.system}, o.Namespace), a.ImpersonatedUser != nil && o.Namespace == "":
		case o.Namespace == root && o.APIGroup == "networking.istio.io":
			rooted++
		case o.Namespace == "" && slices.Contains(wide, o.Resource):
		default:
			t.Errorf("asked: %s of %q (%s)", a.right(), o.Namespace, a.RequestURI)
		}
	}
	if rooted == 0 {
		t.Error("mesh objects of the mesh's root were not asked for")
	}
	for _, r := range replicas {
		said, err := os.ReadFile(r.log)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(said)) {
			if strings.Contains(line, outside) || strings.Contains(line, "forbidden") {
				t.Errorf("%s says: %s", r.name, line)
			}
		}
	}
	ro := &v1alpha1.Rollout{}
	if err := s.client.Get(t.Context(), client.ObjectKey{Namespace: outside, Name: "reviews"}, ro); err != nil || ro.Status != nil || len(ro.Finalizers) > 0 {
		t.Errorf("the Rollout elsewhere: %v, status %+v, finalizers %q; want it as it was made", err, ro.Status, ro.Finalizers)
	}
	s.examined(scope...)
}

// elsewhere makes objects of the kinds that are looked at in a namespace that is not.
func (s *site) elsewhere(ns string) {
	s.t.Helper()
	for _, text := range []string{
		"apiVersion: v1\nkind: Service\nmetadata: {name: reviews}\nspec: {ports: [{port: 80}]}",
		"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: reviews}\nspec: {hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}",
		"apiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: reviews}\nspec: {host: reviews, subset: v1}",
		"apiVersion: sluice.dev/v1alpha1\nkind: Source\nmetadata: {name: reviews}\nspec: {url: \"https://git.example.com/a.git\"}",
		"apiVersion: sluice.dev/v1alpha1\nkind: Notifier\nmetadata: {name: reviews}\nspec: {webhook: {url: \"https://hook.example.com\", unsigned: true}}",
	} {
		for _, o := range helm.Objects(s.t, text) {
			o.SetNamespace(ns)
			if err := s.client.Create(s.t.Context(), o); err != nil {
				s.t.Fatalf("%s: %v", o.GetKind(), err)
			}
		}
	}
}

// examined runs what the Pod of `helm test` runs, as its account, with the rights of the chart.
func (s *site) examined(flags ...string) {
	s.t.Helper()
	text, err := helm.Run(s.t, append([]string{"template", "sluice", helm.Chart, "--namespace", s.system, "--show-only", "templates/tests/doctor.yaml"}, flags...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	var args []string
	for _, o := range helm.Objects(s.t, text) {
		if o.GetKind() == "Pod" {
			args = argsOf(s.t, o)
			continue
		}
		if err := s.client.Create(s.t.Context(), o); err != nil {
			s.t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	s.kubeconfig = s.identify("sluice-test")
	eventually(s.t, "the doctor to find nothing wrong", func() error { // new roles count after a moment
		code, out, errs := s.sluice(args...)
		if code != 0 || strings.Contains(out, "forbidden") || !strings.Contains(out, "leads") {
			return fmt.Errorf("sluice %s: %d\n%s%s", strings.Join(args, " "), code, out, errs)
		}
		s.t.Logf("sluice %s:\n%s", strings.Join(args, " "), out)
		return nil
	})
}

// argsOf is what the one container of a Pod runs.
func argsOf(t *testing.T, o *unstructured.Unstructured) []string {
	t.Helper()
	pod := &corev1.Pod{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, pod); err != nil {
		t.Fatal(err)
	}
	return pod.Spec.Containers[0].Args
}
