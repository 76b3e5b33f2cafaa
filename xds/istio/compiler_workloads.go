package istio

import (
	"reflect"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/registry"
)

type workloadKey struct{ namespace, name string }

// SetWorkload takes a pod or machine as it is now. It must not be changed afterwards.
func (c *Compiler) SetWorkload(w registry.Workload) {
	k := workloadKey{w.Namespace, w.Name}
	before, had := c.workloads[k]
	if had && reflect.DeepEqual(before, w) {
		return
	}
	c.workloads[k] = w
	c.workloadMoved(w.Namespace, before.Endpoint.Labels, w.Endpoint.Labels)
}

// DropWorkload takes a pod or machine away.
func (c *Compiler) DropWorkload(namespace, name string) {
	k := workloadKey{namespace, name}
	if before, had := c.workloads[k]; had {
		delete(c.workloads, k)
		c.workloadMoved(namespace, before.Endpoint.Labels)
	}
}

// workloadMoved has everything planned again where a workload with some of the labels is, or was, selected.
func (c *Compiler) workloadMoved(namespace string, labels ...map[string]string) {
	if c.index == nil {
		return
	}
	for _, l := range labels {
		if len(l) > 0 && c.index.selected(namespace, l) {
			c.index = nil
			return
		}
	}
}

// selected reports whether a ServiceEntry of the namespace selects workloads with the labels.
func (x *index) selected(namespace string, labels map[string]string) bool {
	for _, o := range x.in.Objects {
		se, ok := o.Spec.(*networking.ServiceEntry)
		if ok && o.Namespace == namespace && len(se.GetWorkloadSelector().GetLabels()) > 0 && contains(labels, se.GetWorkloadSelector().GetLabels()) {
			return true
		}
	}
	return false
}
