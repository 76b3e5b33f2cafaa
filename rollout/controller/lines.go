package controller

import (
	"context"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/trace"
)

// lineOf is the log of passes over one object.
func lineOf(base logr.Logger) func(*reconcile.Request) logr.Logger {
	return func(r *reconcile.Request) logr.Logger {
		if r == nil {
			return base
		}
		return base.WithValues("namespace", r.Namespace, "rollout", r.Name)
	}
}

// line is the log with what every line about a Rollout says.
func (c *Controller) line(ctx context.Context, p *pass, st rollout.State) logr.Logger {
	of := []any{"attempt", st.Attempt, "seq", st.Seq} // namespace and rollout are those of the context
	if st.Traffic.Step > 0 {
		of = append(of, "step", st.Traffic.Step)
	}
	if key := sourceOf(p.object); key.Name != "" {
		of = append(of, "source", key.String())
	}
	if commit := or(st.Canary.Commit, st.Stable.Commit); commit != "" {
		of = append(of, "revision", commit)
	}
	if c.tracing(st) {
		of = append(of, "traceID", trace.Attempt{UID: string(p.object.UID), Number: st.Attempt}.TraceText())
	}
	return log.FromContext(ctx).WithValues(of...)
}

// logged writes the line of a stored transition.
func (c *Controller) logged(ctx context.Context, p *pass, d decision) {
	m := d.actions.Transition
	c.line(ctx, p, d.next).Info(m.From.String()+" to "+m.To.String()+": "+problem.Clean(m.Text, maxNote), "reason", string(m.Reason))
}
