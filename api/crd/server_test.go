package crd_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	restclient "k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

func TestMain(m *testing.M) { kube.Main(m) }

// server gives a client of a server that runs the definitions of this tree, and a namespace of the test's own.
func server(t *testing.T) (client.Client, string) {
	t.Helper()
	return clientOf(t, kube.Start(t))
}

func clientOf(t *testing.T, cfg *restclient.Config) (client.Client, string) {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, apiextensionsv1.AddToScheme, corev1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	own, err := crd.Own()
	if err != nil {
		t.Fatal(err)
	}
	for _, def := range own {
		install(t, c, def)
	}
	return c, kube.Namespace(t, cfg)
}

// install makes the server serve def as it stands and waits until it does.
func install(t *testing.T, c client.Client, def *apiextensionsv1.CustomResourceDefinition) {
	t.Helper()
	kube.Eventually(t, 10*time.Second, func() error {
		have := &apiextensionsv1.CustomResourceDefinition{}
		err := c.Get(t.Context(), client.ObjectKeyFromObject(def), have)
		if apierrors.IsNotFound(err) {
			return again(c.Create(t.Context(), def.DeepCopy()))
		}
		if err != nil {
			return err
		}
		want := def.DeepCopy()
		want.ResourceVersion = have.ResourceVersion
		want.Status = have.Status
		if err := c.Update(t.Context(), want); err != nil {
			return err
		}
		for _, cond := range want.Status.Conditions {
			if cond.Type == apiextensionsv1.NonStructuralSchema && cond.Status == apiextensionsv1.ConditionTrue {
				return fmt.Errorf("%s: %s", def.Name, cond.Message)
			}
			if cond.Type == apiextensionsv1.Established && cond.Status == apiextensionsv1.ConditionTrue && want.Generation == have.Generation {
				return nil
			}
		}
		return fmt.Errorf("%s is not established: %v", def.Name, want.Status.Conditions)
	})
}

func again(err error) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("created; not yet served")
}

func TestServer_servesAllKinds(t *testing.T) {
	c, ns := server(t)
	for _, list := range []client.ObjectList{
		&v1alpha1.RolloutList{}, &v1alpha1.SourceList{}, &v1alpha1.MetricTemplateList{}, &v1alpha1.NotifierList{}, &v1alpha1.RolloutActionList{},
	} {
		if err := c.List(t.Context(), list, client.InNamespace(ns)); err != nil {
			t.Errorf("listing %T: %v", list, err)
		}
	}
}

// refused fails the test unless err is the server's refusal and says why.
func refused(t *testing.T, what string, err error, why string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("%s: accepted, want a refusal that says %q", what, why)
	case !apierrors.IsInvalid(err) && !apierrors.IsBadRequest(err):
		t.Errorf("%s: got %v, want the server's refusal", what, err)
	case !strings.Contains(err.Error(), why):
		t.Errorf("%s: refused with %v, want it to say %q", what, err, why)
	}
}

func get(ctx context.Context, t *testing.T, c client.Client, of client.Object) *v1alpha1.Rollout {
	t.Helper()
	ro := &v1alpha1.Rollout{}
	if err := c.Get(ctx, client.ObjectKeyFromObject(of), ro); err != nil {
		t.Fatal(err)
	}
	return ro
}

func reviews(ns, name string) *v1alpha1.Rollout {
	return &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name},
		Spec:       v1alpha1.RolloutSpec{Host: "reviews", Subset: "v2"},
	}
}
