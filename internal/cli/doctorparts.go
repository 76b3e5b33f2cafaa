package cli

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
)

// What is late or far.
const (
	maxOutboxAge = 10 * time.Minute
	maxScrape    = 15 * time.Second
	maxSkew      = 2 * time.Second
)

// The Leases of controllers.
const (
	leaderLease  = "sluice"
	replicaLease = "sluice-replica-"
)

// replicas looks at who runs: by the Leases that replicas renew, and by their Pods.
func (d *doctor) replicas(ctx context.Context) {
	list, err := d.kube.CoordinationV1().Leases(d.cluster.namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		d.unknown(areaController, "replicas", failed("listing leases", err))
		return
	}
	start := "helm upgrade --install sluice charts/sluice -n " + d.cluster.namespace
	var alive, dead []string
	leader, elected := "", false
	for _, lease := range list.Items {
		fresh := d.fresh(&lease)
		name, isReplica := strings.CutPrefix(lease.Name, replicaLease)
		elected = elected || lease.Name == leaderLease && lease.Spec.RenewTime != nil // else it only counts leaders
		switch {
		case lease.Name == leaderLease && fresh && lease.Spec.HolderIdentity != nil:
			leader, _, _ = strings.Cut(*lease.Spec.HolderIdentity, "_")
		case isReplica && fresh:
			alive = append(alive, name)
		case isReplica:
			dead = append(dead, name)
		}
	}
	switch {
	case len(alive) == 0:
		d.fail(areaController, "replicas", "none runs in namespace "+d.cluster.namespace, start)
	case len(dead) > 0:
		d.warn(areaController, "replicas", fmt.Sprintf("%s: alive; %s: silent", strings.Join(alive, ", "), strings.Join(dead, ", ")), "kubectl get pods -n "+d.cluster.namespace)
	default:
		d.ok(areaController, "replicas", "%d: %s", len(alive), strings.Join(alive, ", "))
	}
	d.leader(leader, elected, alive)
	d.versions(ctx)
}

// leader says who decides: the holder of the Lease, or, where there is none since nobody is elected, the one replica.
func (d *doctor) leader(holder string, elected bool, alive []string) {
	next := "kubectl get lease " + leaderLease + " -n " + d.cluster.namespace + " -o yaml"
	switch {
	case holder != "":
		d.ok(areaController, "leader", "%s leads", holder)
	case elected || len(alive) == 0:
		d.fail(areaController, "leader", "nobody leads", next)
	case len(alive) == 1:
		d.ok(areaController, "leader", "%s leads by itself: nobody is elected here", alive[0])
	default:
		d.fail(areaController, "leader", strings.Join(alive, ", ")+" run, and no Lease says which of them leads", next)
	}
}

// fresh reports whether a Lease was renewed in time, by the clock of this machine with some skew.
func (d *doctor) fresh(lease *coordinationv1.Lease) bool {
	if lease.Spec.RenewTime == nil {
		return false
	}
	length := 15 * time.Second
	if s := lease.Spec.LeaseDurationSeconds; s != nil {
		length = time.Duration(*s) * time.Second
	}
	return d.now().Sub(lease.Spec.RenewTime.Time) < 2*length+maxSkew
}

// versions compares what the Pods of controllers run with each other and with this program.
func (d *doctor) versions(ctx context.Context) {
	pods, err := d.kube.CoreV1().Pods(d.cluster.namespace).List(ctx, metav1.ListOptions{LabelSelector: controllerPods})
	if err != nil {
		d.unknown(areaController, "version", failed("listing pods", err))
		return
	}
	var images []string
	for _, p := range pods.Items {
		for _, c := range p.Spec.Containers {
			if c.Name == controllerContainer && !slices.Contains(images, c.Image) {
				images = append(images, c.Image)
			}
		}
	}
	slices.Sort(images)
	switch {
	case len(images) == 0:
		d.warn(areaController, "version", "not known: no Pod of it runs here", "")
	case len(images) > 1:
		d.warn(areaController, "version", "several: "+strings.Join(images, ", "), "kubectl rollout status deployment -n "+d.cluster.namespace)
	case !strings.HasSuffix(images[0], ":"+d.version) && !strings.HasSuffix(images[0], ":"+strings.TrimPrefix(d.version, "v")):
		d.warn(areaController, "version", fmt.Sprintf("%s, and this program is %s", images[0], d.version), "install the same version of both")
	default:
		d.ok(areaController, "version", "%s, as this program", images[0])
	}
}

// fleet looks at the proxies, as the replicas report them.
func (d *doctor) fleet(ctx context.Context) {
	list := &v1alpha1.FleetReportList{}
	if err := d.cluster.client.Get().Namespace(d.cluster.namespace).Resource("fleetreports").Do(ctx).Into(list); err != nil {
		d.unknown(areaProxies, "connected", failed("listing fleetreports", err))
		return
	}
	d.address(ctx)
	p := view.Fleet(list.Items).Proxies
	status := "sluice proxy-status -n " + d.cluster.namespace
	if p.Connected == 0 {
		d.warn(areaProxies, "connected", "no proxy is: nothing moves traffic", "sluice bootstrap --help")
		return
	}
	d.ok(areaProxies, "connected", "%d", p.Connected)
	if p.Rejected > 0 {
		d.fail(areaProxies, "rejected", fmt.Sprintf("%d of %d reject something, or are kept from it", p.Rejected, p.Connected), status)
	} else {
		d.ok(areaProxies, "rejected", "none of %d", p.Connected)
	}
	if p.Pending+p.Lost > 0 {
		d.warn(areaProxies, "stale", fmt.Sprintf("%d have not answered, %d went away meanwhile", p.Pending, p.Lost), status)
	} else {
		d.ok(areaProxies, "stale", "none of %d", p.Connected)
	}
}

// address looks whether proxies find a controller behind the Service.
func (d *doctor) address(ctx context.Context) {
	services, err := d.kube.CoreV1().Services(d.cluster.namespace).List(ctx, metav1.ListOptions{LabelSelector: controllerPods})
	if err != nil {
		d.unknown(areaProxies, "xds address", failed("listing services", err))
		return
	}
	for _, s := range services.Items {
		for _, port := range s.Spec.Ports {
			if port.Name != "grpc-xds" { // the chart's name
				continue
			}
			at := fmt.Sprintf("%s.%s.svc:%d", s.Name, s.Namespace, port.Port)
			slices, err := d.kube.DiscoveryV1().EndpointSlices(s.Namespace).List(ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=" + s.Name})
			if err != nil {
				d.unknown(areaProxies, "xds address", failed("listing the endpoints of service "+s.Name, err))
				return
			}
			ready := 0
			for _, slice := range slices.Items {
				for _, e := range slice.Endpoints {
					if e.Conditions.Ready == nil || *e.Conditions.Ready {
						ready++
					}
				}
			}
			if ready == 0 {
				d.fail(areaProxies, "xds address", at+" has no ready endpoint", "kubectl get endpointslices -n "+s.Namespace)
			} else {
				d.ok(areaProxies, "xds address", "%s, with %d ready", at, ready)
			}
			return
		}
	}
	d.warn(areaProxies, "xds address", "not known: no Service of it in namespace "+d.cluster.namespace, "")
}

// metrics looks at what is judged by: through the Rollouts, and at the Prometheus where its URL is given.
func (d *doctor) metrics(ctx context.Context) {
	list := &v1alpha1.RolloutList{}
	d.rollouts = nil
	if err := d.list(ctx, "rollouts", list, func() { d.rollouts = append(d.rollouts, list.Items...) }); err != nil {
		d.unknown(areaMetrics, "rollouts", failed("listing rollouts", err))
		d.unlisted = failed("listing rollouts", err)
	}
	var blind, oneArmed []string
	for _, ro := range d.rollouts {
		st := ro.Status
		if st == nil || st.Analysis == nil || !st.Phase.Open() {
			continue
		}
		name := ro.Namespace + "/" + ro.Name
		if st.Analysis.Verdict == "Blind" {
			blind = append(blind, name)
		}
		if slices.ContainsFunc(st.Analysis.Metrics, func(m v1alpha1.MetricStatus) bool {
			return m.Gate == nil && m.NotJudged == "" && (m.Canary.Requests == 0) != (m.Stable.Requests == 0)
		}) {
			oneArmed = append(oneArmed, name)
		}
	}
	if len(blind) > 0 {
		ns, name, _ := strings.Cut(blind[0], "/")
		d.fail(areaMetrics, "answers", "blind: "+strings.Join(blind, ", "), "sluice describe "+name+" -n "+ns)
	}
	if len(oneArmed) > 0 {
		d.warn(areaMetrics, "both versions", "only one is counted: "+strings.Join(oneArmed, ", "), "sluice get rollouts -A")
	}
	if d.prometheus == "" {
		if len(blind) == 0 {
			d.warn(areaMetrics, "answers", "not known: Prometheus is not asked without --prometheus", "")
		}
		return
	}
	d.askPrometheus(ctx)
}

// askPrometheus asks it what people ask themselves.
func (d *doctor) askPrometheus(ctx context.Context) {
	server, err := prom.New(prom.Config{URL: d.prometheus, Gather: -1})
	if err != nil {
		d.fail(areaMetrics, "answers", "--prometheus: "+err.Error(), "sluice doctor --help")
		return
	}
	defer server.Close()
	at := d.now()
	if _, err := server.Value(ctx, "vector(1)", at); err != nil {
		d.fail(areaMetrics, "answers", err.Error(), "curl "+strings.TrimSuffix(d.prometheus, "/")+"/-/ready")
		return
	}
	d.ok(areaMetrics, "answers", "%s", d.prometheus)
	samples, err := server.Value(ctx, "min(count_over_time(envoy_cluster_upstream_rq_total[2m]))", at)
	switch {
	case err != nil || samples == 0:
		d.warn(areaMetrics, "scrape", "it has no series of proxies (envoy_cluster_upstream_rq_total)", "kubectl get servicemonitors,podmonitors -A")
	case 2*time.Minute > time.Duration(samples+1)*maxScrape:
		d.warn(areaMetrics, "scrape", fmt.Sprintf("proxies are read about every %.0fs: at most %v is wanted", 120/samples, maxScrape), "kubectl get servicemonitors,podmonitors -A")
	default:
		d.ok(areaMetrics, "scrape", "proxies are read about every %.0fs", 120/samples)
	}
	d.skew(ctx)
}

// skew compares the clock of Prometheus with that of this machine, by the Date of an answer, which has whole seconds.
func (d *doctor) skew(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(d.prometheus, "/")+"/-/ready", nil)
	if err != nil {
		d.unknown(areaMetrics, "clock", err)
		return
	}
	client := &http.Client{Timeout: checkWithin, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(req)
	if err != nil {
		d.unknown(areaMetrics, "clock", err)
		return
	}
	_ = answer.Body.Close()
	said, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		d.warn(areaMetrics, "clock", "not known: it does not say", "")
		return
	}
	if off := d.now().Sub(said).Abs(); off > maxSkew+time.Second {
		d.warn(areaMetrics, "clock", fmt.Sprintf("%v apart from this machine: at most %v is wanted", off.Round(time.Second), maxSkew), "chronyc tracking")
		return
	}
	d.ok(areaMetrics, "clock", "as that of this machine, within %v", maxSkew)
}

// sources looks whether each Source reaches its repository and is applied.
func (d *doctor) sources(ctx context.Context) {
	list := &v1alpha1.SourceList{}
	d.sourced = nil
	if err := d.list(ctx, "sources", list, func() { d.sourced = append(d.sourced, list.Items...) }); err != nil {
		d.unlisted = failed("listing sources", err)
		d.unknown(areaGit, "sources", d.unlisted)
		return
	}
	fine := 0
	for i := range d.sourced {
		src := &d.sourced[i]
		name := src.Namespace + "/" + src.Name
		ready := v1alpha1.Condition(src.Status.Conditions, v1alpha1.ConditionReady)
		switch {
		case src.Spec.Suspend:
			d.warn(areaGit, name, "suspended", "sluice resume source "+src.Name+" -n "+src.Namespace)
		case ready == nil:
			d.warn(areaGit, name, "not known: no controller has looked at it", "kubectl describe source "+src.Name+" -n "+src.Namespace)
		case ready.Status == metav1.ConditionFalse:
			d.fail(areaGit, name, ready.Reason+": "+ready.Message, "kubectl describe source "+src.Name+" -n "+src.Namespace)
		case ready.Status != metav1.ConditionTrue:
			d.warn(areaGit, name, ready.Reason+": "+ready.Message, "kubectl describe source "+src.Name+" -n "+src.Namespace)
		default:
			fine++
		}
	}
	if fine == len(d.sourced) {
		d.ok(areaGit, "sources", "all %d are reached and applied", fine)
	}
}

// outbox looks for a note that waits for long, of a Rollout or a Source.
func (d *doctor) outbox() {
	oldest, owner := time.Time{}, ""
	look := func(of metav1.ObjectMeta, notes []v1alpha1.PendingNote) {
		if len(notes) > 0 && (owner == "" || notes[0].At.Time.Before(oldest)) {
			oldest, owner = notes[0].At.Time, of.Namespace+"/"+of.Name
		}
	}
	for _, ro := range d.rollouts {
		if ro.Status != nil {
			look(ro.ObjectMeta, ro.Status.Notes)
		}
	}
	for _, src := range d.sourced {
		look(src.ObjectMeta, src.Status.Notes)
	}
	switch age := d.now().Sub(oldest); {
	case owner != "" && age > maxOutboxAge:
		ns, _, _ := strings.Cut(owner, "/")
		d.fail(areaNotes, "outbox", fmt.Sprintf("a note of %s waits for %v", owner, age.Round(time.Second)), "kubectl get notifiers -n "+ns)
	case d.unlisted != nil:
		d.unknown(areaNotes, "outbox", d.unlisted)
	default:
		d.ok(areaNotes, "outbox", "no note waits longer than %v", maxOutboxAge)
	}
}

// notes looks at what is still to be sent, and at those who send it.
func (d *doctor) notes(ctx context.Context) {
	d.outbox()
	list, all := &v1alpha1.NotifierList{}, []v1alpha1.Notifier{}
	if err := d.list(ctx, "notifiers", list, func() { all = append(all, list.Items...) }); err != nil {
		d.unknown(areaNotes, "notifiers", failed("listing notifiers", err))
		return
	}
	fine := 0
	for i := range all {
		n := &all[i]
		if ready := v1alpha1.Condition(n.Status.Conditions, v1alpha1.ConditionReady); ready != nil && ready.Status == metav1.ConditionFalse {
			d.fail(areaNotes, n.Namespace+"/"+n.Name, ready.Reason+": "+ready.Message, "sluice notify test "+n.Name+" -n "+n.Namespace)
			continue
		}
		fine++
	}
	if fine == len(all) {
		d.ok(areaNotes, "notifiers", "none of %d is in trouble", fine)
	}
}
