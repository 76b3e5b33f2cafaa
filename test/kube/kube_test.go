package kube_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/test/kube"
)

func TestMain(m *testing.M) { kube.Main(m) }

func client(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNamespace_givesEachTestItsOwn(t *testing.T) {
	cfg := kube.Start(t)
	a, b := kube.Namespace(t, cfg), kube.Namespace(t, cfg)
	if a == b || !strings.HasPrefix(a, "testnamespace-giveseachtestitsown-") {
		t.Errorf("got %q and %q, want two names after the test", a, b)
	}
	c := client(t, cfg)
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "x"}, Data: map[string]string{"k": "v"}}
	if _, err := c.CoreV1().ConfigMaps(a).Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	kube.Eventually(t, 5*time.Second, func() error {
		have, err := c.CoreV1().ConfigMaps(a).Get(t.Context(), "x", metav1.GetOptions{})
		if err == nil && have.Data["k"] != "v" {
			err = fmt.Errorf("got %v", have.Data)
		}
		return err
	})
}

func TestStart_servesIstioKindsInAllVersions(t *testing.T) {
	c := client(t, kube.Start(t))
	for _, version := range []string{"v1", "v1beta1", "v1alpha3"} {
		list, err := c.Discovery().ServerResourcesForGroupVersion("networking.istio.io/" + version)
		if err != nil {
			t.Fatal(err)
		}
		kinds := map[string]bool{}
		for _, r := range list.APIResources {
			kinds[r.Kind] = true
		}
		for _, want := range []string{"Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "WorkloadEntry", "Sidecar"} {
			if !kinds[want] {
				t.Errorf("%s has no %s", version, want)
			}
		}
	}
}

func TestStart_refusesWhoHasNoCertificate(t *testing.T) {
	cfg := rest.AnonymousClientConfig(kube.Start(t))
	_, err := client(t, cfg).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("an anonymous list gives %v, want Unauthorized", err)
	}
}

func TestStart_checksTheRightsOfWhomAClientActsAs(t *testing.T) {
	cfg := rest.CopyConfig(kube.Start(t))
	cfg.Impersonate.UserName = "system:serviceaccount:default:nobody"
	_, err := client(t, cfg).CoreV1().ConfigMaps("default").List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a list as nobody gives %v, want Forbidden", err)
	}
}

// recorder is a test that may fail without failing this one.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Helper()      {}
func (r *recorder) Fatal(...any) { r.failed = true }

func TestEventually_failsTheTestAtTheDeadline(t *testing.T) {
	r := &recorder{TB: t}
	kube.Eventually(r, time.Millisecond, func() error { return errors.New("never") })
	if !r.failed {
		t.Error("the test goes on")
	}
}
