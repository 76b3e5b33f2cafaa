package app

import (
	"fmt"
	"net"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/notify"
	notifycontroller "github.com/sluice-dev/sluice/notify/controller"
	rolloutcontroller "github.com/sluice-dev/sluice/rollout/controller"
	xdscontroller "github.com/sluice-dev/sluice/xds/controller"
	"github.com/sluice-dev/sluice/xds/fleet"
)

// deliveryParts are what the rollout controller is wired to.
type deliveryParts struct {
	guard  *egress.Guard
	fleet  *fleet.Reader
	loads  rolloutcontroller.Loads // what proxies report to this replica
	mesh   *xdscontroller.Controller
	outbox *outbox
	lead   *leadership
	runs   *commits
	traces *tracer
}

// delivery is the control loop of Rollouts.
func delivery(mgr ctrl.Manager, c Config, p deliveryParts) error {
	servers, err := newServers(c, p.guard, mgr.GetAPIReader())
	if err != nil {
		return err
	}
	rollbacks, err := apart(mgr)
	if err != nil {
		return err
	}
	lead := rolloutcontroller.Lead{
		Lease: types.NamespacedName{Namespace: c.Namespace, Name: leaseName}, Rollbacks: rollbacks, Braker: p.mesh, ActionTTL: c.Leader.ActionTTL,
		Namespaces: c.scope(),
	}
	if c.Leader.Election {
		lead.Confirmed = p.lead.confirmed
	}
	rollouts, err := rolloutcontroller.New(rolloutcontroller.Config{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("sluice"),
		Fleet: p.heard(c), Mesh: p.mesh, Servers: servers, CheckSource: prom.CheckSource, Now: Now,
		Outbox: p.outbox.worker, Observe: observer(c.Observe), Digest: newLiveDigest(mgr.GetClient(), c.Mesh.DomainSuffix).of,
		Lead: lead,
	})
	if err != nil {
		return err
	}
	rollouts.Tell(rolloutcontroller.Telling{Together: !c.Telemetry.PerRollout.On(), Arrival: p.runs.arrival,
		Span: p.traces.tell, Environment: c.Telemetry.Traces.Environment})
	p.lead.whenReplaced(rollouts.Replaced)
	if err := register(rollouts.Collectors()); err != nil {
		return fmt.Errorf("registering what is measured of Rollouts: %w", err)
	}
	p.outbox.wakeRollout, p.outbox.plots.of = rollouts.Wake, rollouts.Curves
	if c.Listen.Decisions != "0" {
		err := localOnly(c.Listen.Decisions)
		if err == nil {
			err = mgr.Add(&decisions{addr: c.Listen.Decisions, of: rollouts.Decisions, log: c.Log})
		}
		if err != nil {
			return err
		}
	}
	return rollouts.SetupWithManager(mgr)
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
	wakeSource  func(types.NamespacedName)
	plots       plots
}

// notes is the delivery of notes, and the status of those who ask for them.
func notes(mgr ctrl.Manager, c Config, guard *egress.Guard, traces *tracer) (*outbox, error) {
	o := &outbox{}
	var err error
	o.worker, err = notifycontroller.Setup(mgr, notifycontroller.Config{
		Guard: guard, Now: Now, System: c.Namespace, Links: c.Links, Cluster: c.Git.ClusterName, Plot: &o.plots, Settled: func(key types.NamespacedName) { o.wakeRollout(key) },
		SettledSource: func(key types.NamespacedName) { o.wakeSource(key) }, Tried: traces.noted()})
	if err != nil {
		return nil, err
	}
	if err := register(o.worker.Collectors()); err != nil {
		return nil, fmt.Errorf("registering what is measured of notes: %w", err)
	}
	return o, nil
}

// Requests that store rollbacks: few, and not to be delayed by any others.
const (
	rollbacksPerSecond = 100
	rollbacksBurst     = 200
	connectWithin      = 1 * time.Second
)

// apart is a client with a connection and a rate of its own.
func apart(mgr ctrl.Manager) (client.Client, error) {
	cfg := rest.CopyConfig(mgr.GetConfig())
	cfg.QPS, cfg.Burst = rollbacksPerSecond, rollbacksBurst
	cfg.Dial = (&net.Dialer{Timeout: connectWithin}).DialContext // a failure is told at once, and no connection is shared
	out, err := client.New(cfg, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return nil, fmt.Errorf("making the client of rollbacks: %w", err)
	}
	return out, nil
}
