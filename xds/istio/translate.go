package istio

import (
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
)

// Translate makes everything that proxies of a class are given, and says what of the input has no effect, or not the
// effect written. Problems are sorted; each object costs at most itself.
func Translate(in Input, class ir.ProxyClass) (ir.Config, []problem.Problem) {
	p := newPlanner(class)
	p.follow(newIndex(in, nil))
	return *p.cfg, p.all
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
