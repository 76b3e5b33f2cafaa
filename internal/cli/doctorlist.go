package cli

import (
	"context"

	"k8s.io/apimachinery/pkg/runtime"
)

// places are the namespaces whose objects are looked at; an empty name: all of them.
func (d *doctor) places() []string {
	if len(d.within) == 0 {
		return []string{""}
	}
	return d.within
}

// list reads the objects of a resource in each place, into the list; took is called after each.
func (d *doctor) list(ctx context.Context, resource string, into runtime.Object, took func()) error {
	for _, namespace := range d.places() {
		if err := d.cluster.client.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).Do(ctx).Into(into); err != nil {
			return err
		}
		took()
	}
	return nil
}
