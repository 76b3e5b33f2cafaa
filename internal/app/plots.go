package app

import (
	"errors"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/analysis/report"
	"github.com/sluice-dev/sluice/notify"
)

// plots draws what the deciding process knows of attempts.
type plots struct {
	of func(rollout types.NamespacedName, attempt int64) (report.Curves, bool)
}

// Plot implements notify.Plotter.
func (p *plots) Plot(n notify.Note) ([]byte, error) {
	if p.of == nil || n.Report.Source != nil {
		return nil, nil
	}
	r := n.Report
	curves, ok := p.of(types.NamespacedName{Namespace: r.Rollout.Namespace, Name: r.Rollout.Name}, r.Attempt)
	if !ok {
		return nil, nil
	}
	curves.Sentence = r.Sentence
	if r.Version != nil {
		curves.Canary = r.Version.Name
	}
	if r.Stable != nil && (r.Version == nil || r.Stable.Name != r.Version.Name) {
		curves.Stable = r.Stable.Name
	}
	png, err := report.PNG(curves)
	if errors.Is(err, report.ErrNothingToDraw) {
		return nil, nil
	}
	return png, err
}
