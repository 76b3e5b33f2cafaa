package app

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/notify"
	notifycontroller "github.com/sluice-dev/sluice/notify/controller"
	rolloutcontroller "github.com/sluice-dev/sluice/rollout/controller"
	xdscontroller "github.com/sluice-dev/sluice/xds/controller"
	xdsserver "github.com/sluice-dev/sluice/xds/server"
)

// deliveryParts are what the rollout controller is wired to.
type deliveryParts struct {
	guard   *egress.Guard
	proxies *xdsserver.Server
	mesh    *xdscontroller.Controller
	outbox  *outbox
}

// delivery is the control loop of Rollouts.
func delivery(mgr ctrl.Manager, c Config, p deliveryParts) error {
	querier, err := newQuerier(c, p.guard)
	if err != nil {
		return err
	}
	rollouts, err := rolloutcontroller.New(rolloutcontroller.Config{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("sluice"),
		Fleet: p.proxies, Mesh: p.mesh, Querier: querier, CheckRatio: prom.CheckRatio, Now: Now,
		Outbox: p.outbox.worker, Observe: observer(c.Observe), Digest: liveDigest{mgr.GetClient(), c.Mesh.DomainSuffix}.of,
	})
	if err != nil {
		return err
	}
	p.outbox.wakeRollout = rollouts.Wake
	return rollouts.SetupWithManager(mgr)
}

func newQuerier(c Config, guard *egress.Guard) (analysis.Querier, error) {
	if c.PrometheusURL == "" {
		return noPrometheus{}, nil
	}
	querier, err := prom.New(prom.Config{URL: c.PrometheusURL, Dial: guard.DialContext})
	if err != nil {
		return nil, fmt.Errorf("using the Prometheus %s: %w", c.PrometheusURL, err)
	}
	return querier, nil
}

// noPrometheus stands where no Prometheus was configured: every look is blind, and says why.
type noPrometheus struct{}

// Series implements analysis.Querier.
func (n noPrometheus) Series(context.Context, analysis.Query) ([]analysis.Series, error) { return nil, n.failure() }

// Base implements analysis.Querier.
func (n noPrometheus) Base(context.Context, analysis.Query) ([]analysis.Bucket, error) { return nil, n.failure() }

// Measure implements analysis.Querier.
func (n noPrometheus) Measure(context.Context, analysis.Query) (analysis.Measurement, error) {
	return analysis.Measurement{}, n.failure()
}

func (noPrometheus) failure() *prom.Failure {
	return &prom.Failure{Reason: analysis.Unreachable, Detail: "no Prometheus is configured; start the controller with --prometheus=URL"}
}

// observer turns what the rollout controller saw into Events.
func observer(tell func(Event)) func(rolloutcontroller.Event) {
	if tell == nil {
		return nil
	}
	return func(e rolloutcontroller.Event) {
		out := Event{At: e.At, Kind: EventAcked, Namespace: e.Namespace, Name: e.Name, Attempt: e.Attempt,
			Seq: e.Acked, Subset: e.Subset, Weight: e.Weight, Connected: e.Connected}
		if t := e.Transition; t != nil {
			out.Kind, out.Seq, out.Phase, out.Reason, out.Step = EventTransition, t.Seq, t.To.String(), string(t.Reason), t.Step
		}
		tell(out)
	}
}

// outbox is the worker that sends notes, with whom it tells of its results.
type outbox struct {
	worker      *notify.Worker
	wakeRollout func(types.NamespacedName)
}

// notes is the delivery of notes, and the status of those who ask for them.
func notes(mgr ctrl.Manager, guard *egress.Guard) (*outbox, error) {
	o := &outbox{}
	var err error
	o.worker, err = notifycontroller.Setup(mgr, notifycontroller.Config{
		Guard: guard, Now: Now, Settled: func(key types.NamespacedName) { o.wakeRollout(key) }})
	return o, err
}
