package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/client/clientset/clientset"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// SystemNamespace is Sluice's own namespace, made at the start.
const SystemNamespace = "sluice-system"

// Applier names the service account as which a Source applies, and the role with what it may apply.
const Applier = "sluice-applier"

// install brings what every Sluice needs in its API server. All of it is idempotent.
func install(ctx context.Context, cfg *rest.Config, defs []*apiextensionsv1.CustomResourceDefinition) error {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1 // a handful of requests, once
	core, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	if err := ensureNamespace(ctx, core, SystemNamespace); err != nil {
		return err
	}
	if err := ensureApplierRole(ctx, core); err != nil {
		return err
	}
	ext, err := apiextensions.NewForConfig(cfg)
	if err != nil {
		return err
	}
	return installCRDs(ctx, ext, defs)
}

func installCRDs(ctx context.Context, client apiextensions.Interface, defs []*apiextensionsv1.CustomResourceDefinition) error {
	for _, def := range defs {
		if err := putCRD(ctx, client, def); err != nil {
			return fmt.Errorf("installing CustomResourceDefinition %s: %w", def.Name, err)
		}
	}
	for _, def := range defs {
		if err := awaitEstablished(ctx, client, def.Name); err != nil {
			return err
		}
	}
	return nil
}

func putCRD(ctx context.Context, client apiextensions.Interface, want *apiextensionsv1.CustomResourceDefinition) error {
	api := client.ApiextensionsV1().CustomResourceDefinitions()
	_, err := api.Create(ctx, want, metav1.CreateOptions{})
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	have, err := api.Get(ctx, want.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	want = want.DeepCopy()
	want.ResourceVersion = have.ResourceVersion
	_, err = api.Update(ctx, want, metav1.UpdateOptions{})
	return err
}

func awaitEstablished(ctx context.Context, client apiextensions.Interface, name string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		crd, err := client.ApiextensionsV1().CustomResourceDefinitions().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		why := errors.New("no condition yet")
		for _, c := range crd.Status.Conditions {
			if c.Type == apiextensionsv1.Established && c.Status == apiextensionsv1.ConditionTrue {
				return nil
			}
			if c.Type == apiextensionsv1.NamesAccepted && c.Status == apiextensionsv1.ConditionFalse {
				why = errors.New(c.Message)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("CustomResourceDefinition %s is not established: %w", name, why)
		case <-tick.C:
		}
	}
}

func ensureNamespace(ctx context.Context, core kubernetes.Interface, name string) error {
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	_, err := core.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	return existing(err)
}

// existing takes the word of the API server that the object is there for success.
func existing(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// applierRules are the kinds that a Source may apply unless its operator says otherwise, and no more.
func applierRules() []rbacv1.PolicyRule {
	verbs := []string{"get", "list", "watch", "create", "update", "patch", "delete"}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{"sluice.dev"}, Resources: []string{"rollouts", "metrictemplates", "notifiers"}, Verbs: verbs},
		{APIGroups: []string{"networking.istio.io"}, Verbs: verbs, Resources: []string{
			"gateways", "virtualservices", "destinationrules", "serviceentries", "workloadentries", "sidecars"}},
		{APIGroups: []string{""}, Resources: []string{"services", "configmaps"}, Verbs: verbs},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: verbs},
		{APIGroups: []string{"autoscaling"}, Resources: []string{"horizontalpodautoscalers"}, Verbs: verbs},
		{APIGroups: []string{"policy"}, Resources: []string{"poddisruptionbudgets"}, Verbs: verbs},
	}
}

func ensureApplierRole(ctx context.Context, core kubernetes.Interface) error {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: Applier}, Rules: applierRules()}
	_, err := core.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		_, err = core.RbacV1().ClusterRoles().Update(ctx, role, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("writing ClusterRole %s: %w", Applier, err)
	}
	return nil
}

// EnsureApplier makes the namespace, the service account sluice-applier in it, and the RoleBinding that lets this
// account apply there. A Source of that namespace names it in spec.serviceAccountName.
func EnsureApplier(ctx context.Context, cfg *rest.Config, namespace string) error {
	core, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	if err := ensureNamespace(ctx, core, namespace); err != nil {
		return fmt.Errorf("making namespace %s: %w", namespace, err)
	}
	meta := metav1.ObjectMeta{Name: Applier, Namespace: namespace}
	account := &corev1.ServiceAccount{ObjectMeta: meta}
	if _, err := core.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{}); existing(err) != nil {
		return fmt.Errorf("making ServiceAccount %s/%s: %w", namespace, Applier, err)
	}
	binding := &rbacv1.RoleBinding{
		ObjectMeta: meta,
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: Applier},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Name: Applier, Namespace: namespace}},
	}
	if _, err := core.RbacV1().RoleBindings(namespace).Create(ctx, binding, metav1.CreateOptions{}); existing(err) != nil {
		return fmt.Errorf("making RoleBinding %s/%s: %w", namespace, Applier, err)
	}
	return nil
}
