package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	authorizationv1 "k8s.io/api/authorization/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/version"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// leastKubernetes is the oldest version that the definitions and the chart work with.
const leastKubernetes = ">=1.31.0-0"

// client looks at the kubeconfig and at the server that it names; it reports whether that answers.
func (d *doctor) client(ctx context.Context) bool {
	if err := d.cluster.connect(); err != nil {
		if d.pre {
			d.warn(areaClient, "kubeconfig", err.Error()+": only what runs without a cluster is looked at", "")
			return false
		}
		d.fail(areaClient, "kubeconfig", err.Error(), "sluice doctor --kubeconfig FILE")
		return false
	}
	d.cluster.config.Timeout = checkWithin
	d.ok(areaClient, "kubeconfig", "it names %s", d.cluster.config.Host)
	var err error
	if d.kube, err = kubernetes.NewForConfig(d.cluster.config); err != nil {
		d.fail(areaClient, "kubeconfig", err.Error(), "kubectl version")
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	before := d.now()
	raw, err := d.kube.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(ctx)
	info := &version.Info{}
	if err == nil {
		err = json.Unmarshal(raw, info)
	}
	if err != nil {
		d.fail(areaCluster, "server", failed("asking for its version", err).Error(), "kubectl version")
		return false
	}
	d.serverVersion(info.GitVersion, d.now().Sub(before))
	return true
}

func (d *doctor) serverVersion(said string, took time.Duration) {
	least, err := semver.NewConstraint(leastKubernetes)
	if err != nil {
		d.unknown(areaCluster, "server", err)
		return
	}
	v, err := semver.NewVersion(said)
	switch {
	case err != nil:
		d.unknown(areaCluster, "server", fmt.Errorf("its version %q: %w", said, err))
	case !least.Check(v):
		d.fail(areaCluster, "server", fmt.Sprintf("Kubernetes %s, of which %s is wanted", said, leastKubernetes), "upgrade the cluster")
	default:
		d.ok(areaCluster, "server", "Kubernetes %s answers in %dms", said, took.Milliseconds())
	}
}

// definitions compares the cluster's CRDs with those that this program was built with.
func (d *doctor) definitions(ctx context.Context) {
	own, err := crd.Own()
	if err != nil {
		d.unknown(areaCluster, "definitions", err)
		return
	}
	var missing, other []string
	for _, want := range own {
		found := &apiextensionsv1.CustomResourceDefinition{}
		raw, err := d.kube.Discovery().RESTClient().Get().AbsPath("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", want.Name).DoRaw(ctx)
		if err == nil {
			err = unmarshal(raw, found)
		}
		switch code := codeOf(err); {
		case code == ExitNotFound:
			missing = append(missing, want.Name)
		case err != nil:
			d.unknown(areaCluster, "definitions", err)
			return
		case !sameVersions(want, found):
			other = append(other, want.Name)
		}
	}
	install := "helm upgrade --install sluice charts/sluice -n " + d.cluster.namespace
	switch {
	case len(missing) > 0:
		d.fail(areaCluster, "definitions", "missing: "+strings.Join(missing, ", "), install)
	case len(other) > 0:
		d.fail(areaCluster, "definitions", "not those of this program: "+strings.Join(other, ", "), install)
	default:
		d.ok(areaCluster, "definitions", "all %d are those of this program", len(own))
	}
}

// codeOf is the exit code that an error of a request has; 0: there is no error.
func codeOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := errors.AsType[*Exit](failed("", err)); ok {
		return exit.Code
	}
	return ExitUsage
}

// sameVersions reports whether two definitions have the same versions with the same schemas.
func sameVersions(a, b *apiextensionsv1.CustomResourceDefinition) bool {
	return canonical(a.Spec.Versions) == canonical(b.Spec.Versions)
}

// canonical is a value as JSON with sorted keys.
func canonical(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	var tree any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return err.Error()
	}
	sorted, err := json.Marshal(tree)
	if err != nil {
		return err.Error()
	}
	return string(sorted)
}

// clash looks for other groups that serve a kind called rollouts.
func (d *doctor) clash(context.Context) {
	_, lists, err := d.kube.Discovery().ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		d.unknown(areaCluster, "names", err)
		return
	}
	var others []string
	for _, list := range lists {
		group, _, slashed := strings.Cut(list.GroupVersion, "/")
		if !slashed || group == v1alpha1.Group {
			continue
		}
		if slices.ContainsFunc(list.APIResources, func(r metav1.APIResource) bool { return r.Name == "rollouts" }) && !slices.Contains(others, group) {
			others = append(others, group)
		}
	}
	if len(others) > 0 {
		d.warn(areaCluster, "names", strings.Join(others, ", ")+" serves rollouts too: kubectl may mean those", "kubectl get rollouts."+v1alpha1.Group+" -A")
		return
	}
	d.ok(areaCluster, "names", "rollouts are those of %s alone", v1alpha1.Group)
}

// may asks whether the caller has a right, in all namespaces that are looked at; a question that fails counts as not.
func (d *doctor) may(ctx context.Context, r right) (bool, error) {
	for _, namespace := range d.places() {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: namespace, Group: r.group, Resource: r.resource, Verb: r.verb},
		}}
		out, err := d.kube.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
		if err != nil || !out.Status.Allowed {
			return false, err
		}
	}
	return true, nil
}

// right is something that a person wants to do.
type right struct{ group, resource, verb string }

func (r right) String() string { return r.verb + " " + r.resource }

// rights looks at what the caller may do.
func (d *doctor) rights(ctx context.Context) {
	d.allowed(ctx, []right{{v1alpha1.Group, "rollouts", "list"}, {v1alpha1.Group, "sources", "list"}, {v1alpha1.Group, "rolloutactions", "create"}},
		"kubectl create clusterrolebinding NAME --clusterrole sluice-approver --user USER")
}

// allowed says which rights the caller lacks.
func (d *doctor) allowed(ctx context.Context, wanted []right, next string) {
	var lacking []string
	for _, r := range wanted {
		allowed, err := d.may(ctx, r)
		if err != nil {
			d.unknown(areaCluster, "rights", err)
			return
		}
		if !allowed {
			lacking = append(lacking, r.String())
		}
	}
	if len(lacking) > 0 {
		d.warn(areaCluster, "rights", "you may not "+strings.Join(lacking, ", "), next)
		return
	}
	d.ok(areaCluster, "rights", "you may do all of it")
}

// before looks at a cluster that Sluice is to be installed in.
func (d *doctor) before(ctx context.Context) {
	d.clash(ctx)
	d.allowed(ctx, []right{
		{"apiextensions.k8s.io", "customresourcedefinitions", "create"}, {"rbac.authorization.k8s.io", "clusterroles", "create"},
		{"", "namespaces", "create"}, {"apps", "deployments", "create"},
	}, "kubectl auth can-i --list")
	var lacking []string
	for _, resource := range []string{"virtualservices", "destinationrules", "gateways", "serviceentries"} {
		_, err := d.kube.Discovery().RESTClient().Get().AbsPath("/apis/networking.istio.io/v1", resource).Param("limit", "1").DoRaw(ctx)
		switch {
		case codeOf(err) == ExitNotFound:
			lacking = append(lacking, resource)
		case err != nil:
			d.unknown(areaCluster, "mesh kinds", failed("listing "+resource, err))
			return
		}
	}
	if len(lacking) > 0 {
		d.warn(areaCluster, "mesh kinds", "the cluster does not serve "+strings.Join(lacking, ", ")+" of networking.istio.io/v1", "helm upgrade --install sluice charts/sluice --set istioCRDs.install=true")
		return
	}
	d.ok(areaCluster, "mesh kinds", "the cluster serves those of networking.istio.io/v1")
}
