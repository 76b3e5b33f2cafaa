package istio

import (
	"cmp"
	"slices"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/registry"
)

// translator makes the configuration of one class.
type translator struct {
	*index
	class    ir.ProxyClass
	labels   map[string]string
	visible  []registry.Service // one per host, sorted by host
	policies map[string]policy  // by host
	clusters map[string]bool    // names that exist
	hashes   map[string]ir.Hash // of the clusters that hash, by name
	owners   owners             // empty for gateways
	uses     map[int]map[string]bool
	cfg      ir.Config
}

// Translate makes everything that proxies of a class are given, and says what of the input has no effect, or not the
// effect written. Problems are sorted; each object costs at most itself.
func Translate(in Input, class ir.ProxyClass) (ir.Config, []problem.Problem) {
	t := newTranslator(newIndex(in), class)
	return t.run(), t.found.sorted()
}

func newTranslator(x *index, class ir.ProxyClass) *translator {
	t := &translator{
		index: x, class: class, labels: parseLabels(class.Labels), policies: map[string]policy{},
		clusters: map[string]bool{}, hashes: map[string]ir.Hash{}, uses: map[int]map[string]bool{}, cfg: ir.Config{Kind: class.Kind},
	}
	t.visible = t.visibleServices()
	return t
}

func (t *translator) run() ir.Config {
	t.readClusters()
	switch t.class.Kind {
	case ir.KindGateway:
		t.gatewayListeners()
	case ir.KindSidecar:
		t.readOwners()
		t.sidecarListeners()
	case ir.KindGRPC:
		t.readOwners()
		t.grpcListeners()
	}
	t.checkSplits()
	t.cfg.Splits = t.splitUses()
	t.sort()
	return t.cfg
}

func (t *translator) sort() {
	slices.SortFunc(t.cfg.Listeners, func(a, b *ir.Listener) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(t.cfg.Tables, func(a, b *ir.RouteTable) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(t.cfg.Clusters, func(a, b *ir.Cluster) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(t.cfg.Endpoints, func(a, b *ir.Endpoints) int { return cmp.Compare(a.Cluster, b.Cluster) })
}

// service finds the service of a host as this class sees it.
func (t *translator) service(host string) (registry.Service, bool) {
	i, ok := slices.BinarySearchFunc(t.visible, host, func(s registry.Service, host string) int { return cmp.Compare(s.Host, host) })
	if !ok {
		return registry.Service{}, false
	}
	return t.visible[i], true
}

func parseLabels(text string) map[string]string {
	out := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			out[k] = v
		}
	}
	return out
}

// FormatLabels is the form that labels have in a ProxyClass.
func FormatLabels(labels map[string]string) string {
	pairs := make([]string, 0, len(labels))
	for _, k := range sortedKeys(labels) {
		pairs = append(pairs, k+"="+labels[k])
	}
	return strings.Join(pairs, ",")
}
