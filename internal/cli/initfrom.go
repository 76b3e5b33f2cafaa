package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
)

// labelVersion tells the Pods of one version from those of another.
const labelVersion = "version"

// take reads name, namespace, version and port from a Deployment and the Service that selects its Pods.
func (o *initOptions) take(ctx context.Context) error {
	kind, name, _ := strings.Cut(o.from, "/")
	if (kind != "deployment" && kind != "deploy") || name == "" {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("--from %q: want deployment/NAME", o.from)}
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	o.Namespace = o.cluster.namespace
	client, err := kubernetes.NewForConfig(o.cluster.config)
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	d, err := client.AppsV1().Deployments(o.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return failed("getting deployment "+name, err)
	}
	pods := d.Spec.Template.Labels
	version := pods[labelVersion]
	if version == "" {
		return &Exit{Code: ExitNo, Err: fmt.Errorf("the Pods of deployment %s have no label %s: versions could not be told apart", name, labelVersion),
			Next: "add the label " + labelVersion + ": v1 to its template, and make the next version a Deployment of its own"}
	}
	services, err := client.CoreV1().Services(o.Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return failed("listing services", err)
	}
	i := slices.IndexFunc(services.Items, func(s corev1.Service) bool { return frontOf(&s, pods) })
	if i < 0 {
		return &Exit{Code: ExitNo, Err: fmt.Errorf("no Service of namespace %s selects the Pods of every version of deployment %s", o.Namespace, name),
			Next: "make a Service whose selector leaves the label " + labelVersion + " out"}
	}
	service := services.Items[i]
	o.Name, o.Service, o.Stable = cmp.Or(o.Name, service.Name), service.Name, version
	o.Port = service.Spec.Ports[0].Port
	return nil
}

// frontOf reports that a Service has Pods with these labels, of every version, behind a port.
func frontOf(s *corev1.Service, pods map[string]string) bool {
	_, pinned := s.Spec.Selector[labelVersion]
	return len(s.Spec.Selector) > 0 && !pinned && len(s.Spec.Ports) > 0 && labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(pods))
}
