package lint

import (
	"cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/istio"
)

// Hosts are the full names of the hosts of all Rollouts, by the reference of the Rollout.
func Hosts(in Input, o Options) map[string]string {
	out := map[string]string{}
	for _, u := range in.Units {
		for _, it := range u.Mesh.Items() {
			if it.Content["kind"] != v1alpha1.KindRollout {
				continue
			}
			meta, _ := it.Content["metadata"].(map[string]any)
			spec, _ := it.Content["spec"].(map[string]any)
			host, _ := spec["host"].(string)
			namespace, _ := meta["namespace"].(string)
			if host != "" {
				out[it.Ref] = istio.ResolveHost(host, cmp.Or(namespace, "default"), cmp.Or(o.DomainSuffix, "cluster.local"))
			}
		}
	}
	return out
}
