package controller_test

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/ir"
)

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	flag.Parse()
	if err := flag.Set("test.parallel", "16"); err != nil { // they wait more than they work
		panic(err)
	}
	kube.Main(m)
}

// patience is how long a test waits for one thing to happen.
const patience = 40 * time.Second

// world is a namespace of the real API server with a controller in it, and simple proxies, mesh and metrics that the
// test holds in its hand.
type world struct {
	t      *testing.T
	config *rest.Config
	ns     string
	system string        // namespace of the controller; empty: ns
	client client.Client // uncached
	live   client.Reader // the server to controllers whose passes the test makes; nil: client
	fleet  *fleet
	mesh   *mesh
	prom   *prometheus
	outbox *outbox
	loads  *loads
	lead   func(*controller.Lead) // changes what the next controller gets; nil: nothing
	it     *controller.Controller // the newest

	mu     sync.Mutex // guards events
	events []controller.Event
}

func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return newWorldAt(t, kube.Start(t))
}

// newWorldAt is one at a server.
func newWorldAt(t *testing.T, cfg *rest.Config) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, eventsv1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return &world{t: t, config: cfg, ns: kube.Namespace(t, cfg), client: c,
		fleet: newFleet(), mesh: newMesh(), prom: newPrometheus(), outbox: &outbox{}, loads: newLoads()}
}

// manager has a controller in it, and is not started yet.
func (w *world) manager() ctrl.Manager {
	w.t.Helper()
	mgr, err := ctrl.NewManager(w.config, ctrl.Options{
		Scheme: w.client.Scheme(), Logger: logr.Discard(),
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{w.ns: {}, w.lease().Namespace: {}}},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	lead := controller.Lead{Lease: w.lease(), Braker: w.mesh, Patience: controller.Patience{Rollback: 10 * time.Second}} // the machine may be busy
	if w.lead != nil {
		w.lead(&lead)
	}
	c, err := controller.New(controller.Config{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("sluice"),
		Fleet: w.proxies(), Mesh: w.mesh, Servers: w.prom, CheckSource: prom.CheckSource, Now: time.Now, Outbox: w.outbox, Observe: w.observe,
		Lead: lead,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.it = c
	if err := c.SetupWithManager(mgr); err != nil {
		w.t.Fatal(err)
	}
	return mgr
}

// run starts a controller that ends with the test, or with the function it returns.
func (w *world) run() (stop func()) {
	w.t.Helper()
	return w.start(w.manager())
}

// start is run with a manager that has the controller in it.
func (w *world) start(mgr ctrl.Manager) (stop func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the controller ended: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// lease is the one whose annotation keeps the epoch.
func (w *world) lease() types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(w.system, w.ns), Name: "sluice"}
}

func (w *world) observe(e controller.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// reasons are those of all transitions so far, as "seq reason".
func (w *world) reasons() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, e := range w.events {
		if e.Transition != nil {
			out = append(out, fmt.Sprintf("%d %s", e.Transition.Seq, e.Transition.Reason))
		}
	}
	return out
}

// rollout makes the object that a test is about. Its bakes are as short as they can be.
func (w *world) rollout(subset string, edit ...func(*v1alpha1.Rollout)) {
	w.t.Helper()
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "reviews"}}
	ro.Spec = v1alpha1.RolloutSpec{Host: "reviews", Subset: subset}
	ro.Spec.Analysis.Bake = v1alpha1.DurationOf(time.Second)
	for _, name := range []string{"errors", "latency"} {
		ro.Spec.Analysis.Metrics = append(ro.Spec.Analysis.Metrics, v1alpha1.Metric{Name: name, Window: v1alpha1.DurationOf(time.Second), Warmup: v1alpha1.DurationOf(0)})
	}
	ro.Spec.Steps = []v1alpha1.Step{{Weight: 15}, {Weight: 100}}
	ro.Annotations = map[string]string{v1alpha1.AnnotationDigest: "digest-" + subset, v1alpha1.AnnotationCommit: "c07aa19f00"}
	for _, e := range edit {
		e(ro)
	}
	if err := w.client.Create(w.t.Context(), ro); err != nil {
		w.t.Fatal(err)
	}
}

// push changes what Git wants: subset, digest and commit, as a Source would.
func (w *world) push(subset, digest string, edit ...func(*v1alpha1.Rollout)) {
	w.t.Helper()
	kube.Eventually(w.t, patience, func() error {
		ro := w.get()
		ro.Spec.Subset = subset
		ro.Annotations[v1alpha1.AnnotationDigest] = digest
		for _, e := range edit {
			e(ro)
		}
		return w.client.Update(w.t.Context(), ro)
	})
}

func (w *world) get() *v1alpha1.Rollout {
	w.t.Helper()
	ro := &v1alpha1.Rollout{}
	if err := w.client.Get(w.t.Context(), types.NamespacedName{Namespace: w.ns, Name: "reviews"}, ro); err != nil {
		w.t.Fatal(err)
	}
	if ro.Status == nil {
		ro.Status = &v1alpha1.RolloutStatus{}
	}
	return ro
}

// until waits for the object to be as described.
func (w *world) until(what string, holds func(*v1alpha1.Rollout) bool) *v1alpha1.Rollout {
	w.t.Helper()
	var ro *v1alpha1.Rollout
	kube.Eventually(w.t, patience, func() error {
		if ro = w.get(); !holds(ro) {
			return fmt.Errorf("not %s: %s, weight %d, reasons %v, ready %+v", what, ro.Status.Phase, ro.Status.Weight, w.reasons(),
				v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionReady))
		}
		return nil
	})
	return ro
}

func (w *world) untilPhase(phase v1alpha1.Phase) *v1alpha1.Rollout {
	w.t.Helper()
	return w.until("in phase "+string(phase), func(ro *v1alpha1.Rollout) bool { return ro.Status.Phase == phase })
}

// raised says that the canary has a weight, or had all of them: at the end it has none again.
func raised(ro *v1alpha1.Rollout) bool {
	return ro.Status.Weight > 0 || ro.Status.Outcome == v1alpha1.OutcomeCompleted
}

func (w *world) untilReady(status metav1.ConditionStatus, reason string) *v1alpha1.Rollout {
	w.t.Helper()
	return w.until("Ready "+reason, func(ro *v1alpha1.Rollout) bool {
		c := v1alpha1.Condition(ro.Status.Conditions, v1alpha1.ConditionReady)
		return c != nil && c.Status == status && c.Reason == reason
	})
}

// fleet is a number of proxies that answer as the test says.
type fleet struct {
	mu      sync.Mutex // guards all
	proxies int
	nack    string
	silent  bool
	changed chan struct{}
}

func newFleet() *fleet { return &fleet{proxies: 2, changed: make(chan struct{})} }

func (f *fleet) set(change func(*fleet)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *fleet) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

func (f *fleet) Convergence(string, string, uint64) ir.Convergence {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := ir.Convergence{Rendered: true, Connected: f.proxies, Acked: f.proxies}
	if f.silent && f.proxies > 0 {
		out.Acked, out.Laggards = f.proxies-1, []string{"gw-2"}
	}
	if f.nack != "" {
		out.Acked, out.Nacked = f.proxies-1, 1
		out.First = &ir.Rejection{Node: "gw-1", Resource: "route http.8080", Message: f.nack}
	}
	return out
}

// mesh says the same of every split.
type mesh struct {
	mu      sync.Mutex // guards all
	facts   ir.SplitFacts
	unknown []string // subsets that are not defined
	brake   int64    // attempt
	changed chan struct{}
}

func (m *mesh) Brake(_, _ string, attempt int64) { m.set(func(m *mesh) { m.brake = attempt }) }

func (m *mesh) Release(string, string) { m.set(func(m *mesh) { m.brake = 0 }) }

// braked is the attempt whose canary is kept at 0; 0: none.
func (m *mesh) braked() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.brake
}

func newMesh() *mesh {
	return &mesh{changed: make(chan struct{}), facts: ir.SplitFacts{Known: true, StableReady: 4, CanaryReady: 4, SubsetDefined: true,
		StableClusters: []string{"stable"}, CanaryClusters: []string{"canary"}}}
}

func (m *mesh) set(change func(*mesh)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *mesh) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

func (m *mesh) Facts(s ir.Split) ir.SplitFacts {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := m.facts
	subset := s.Canary
	if subset == "" {
		subset = s.Stable
	}
	out.SubsetDefined = !slices.Contains(m.unknown, subset)
	return out
}

// prometheus has counters and buckets that grow steadily, scraped each second.
type prometheus struct {
	mu     sync.Mutex // guards all
	start  time.Time
	bad    float64   // share of the canary's requests
	since  time.Time // from when on they fail; zero: always
	err    error
	blocks chan struct{} // not nil: queries wait for it
	asked  int
	ended  int                     // those that waited
	value  func() (float64, error) // of conditions: they pass below 100
	gate   analysis.Query          // the last of a condition
	last   analysis.Query
}

// newest is the last query that was made.
func (p *prometheus) newest() analysis.Query {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

func newPrometheus() *prometheus { return &prometheus{start: time.Now().Add(-time.Hour)} }

func (p *prometheus) set(change func(*prometheus)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

func (p *prometheus) queries() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked
}

// over are the queries that waited and are answered, or given up.
func (p *prometheus) over() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

// unjudged lets no query be answered until the function that it gives is called: no step passes meanwhile, however slow the test.
func (w *world) unjudged() (goOn func()) {
	blocks := make(chan struct{})
	w.prom.set(func(p *prometheus) { p.blocks = blocks })
	return func() {
		w.prom.set(func(p *prometheus) { p.blocks = nil })
		close(blocks)
	}
}

func (p *prometheus) Base(context.Context, analysis.Query) ([]analysis.Bucket, error) {
	return nil, errors.New("this Prometheus knows nothing of the last hour")
}

func (p *prometheus) Measure(_ context.Context, q analysis.Query) (analysis.Measurement, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = q
	if p.value == nil {
		return analysis.Measurement{}, errors.New("this Prometheus has no conditions")
	}
	value, err := p.value()
	out := analysis.Measurement{Metric: q.Metric, At: q.Until, Value: value, Outcome: analysis.OutcomePass}
	if value >= 100 {
		out.Outcome = analysis.OutcomeFail
	}
	return out, err
}

// Querier implements controller.Servers: this one is known by every name but two.
func (p *prometheus) Querier(_ string, ref *v1alpha1.PrometheusReference) (analysis.Querier, error) {
	if ref != nil && ref.Name == "unknown" {
		return nil, errors.New("no Prometheus is named unknown")
	}
	if ref != nil && ref.Name == "hangs" {
		return hanging{}, nil
	}
	return p, nil
}

func (p *prometheus) Series(ctx context.Context, q analysis.Query) ([]analysis.Series, error) {
	p.mu.Lock()
	p.asked++
	p.last = q
	bad, err, blocks := p.bad, p.err, p.blocks
	since := max(0, p.since.Sub(p.start).Seconds())
	p.mu.Unlock()
	if blocks != nil {
		select {
		case <-blocks:
		case <-ctx.Done():
		}
		p.set(func(p *prometheus) { p.ended++ })
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	if err != nil {
		return nil, err
	}
	if q.Metric == v1alpha1.MetricLatency {
		return p.buckets(q), nil
	}
	var out []analysis.Series
	for arm, rate := range requests() {
		total := analysis.Series{Target: "gw", Arm: arm, Role: analysis.Total}
		failed := analysis.Series{Target: "gw", Arm: arm, Role: analysis.Bad}
		for at := q.From.Truncate(time.Second).Add(time.Second); !at.After(q.Until); at = at.Add(time.Second) {
			n := float64(int(rate * at.Sub(p.start).Seconds()))
			total.Points = append(total.Points, analysis.Point{T: at.UnixMilli(), V: n})
			share := 0.0
			if arm == analysis.Canary {
				share = bad
			}
			failed.Points = append(failed.Points, analysis.Point{T: at.UnixMilli(), V: float64(int(max(0, n-rate*since) * share))})
		}
		out = append(out, total, failed)
	}
	return out, nil
}

// requests are those a second.
func requests() map[analysis.Arm]float64 {
	return map[analysis.Arm]float64{analysis.Canary: 3000, analysis.Stable: 17000}
}

// buckets are the same for both versions: six in ten answers within 10 ms, two in a hundred beyond 100 ms.
func (p *prometheus) buckets(q analysis.Query) []analysis.Series {
	var out []analysis.Series
	for arm, rate := range requests() {
		for le, share := range map[float64]float64{10: 0.6, 100: 0.98, math.Inf(1): 1} {
			s := analysis.Series{Target: "gw", Arm: arm, Role: analysis.Within, Le: le}
			for at := q.From.Truncate(time.Second).Add(time.Second); !at.After(q.Until); at = at.Add(time.Second) {
				s.Points = append(s.Points, analysis.Point{T: at.UnixMilli(), V: float64(int(share * rate * at.Sub(p.start).Seconds()))})
			}
			out = append(out, s)
		}
	}
	return out
}

// outbox remembers what it was shown and delivers when told to.
type outbox struct {
	mu        sync.Mutex // guards all
	notes     []v1alpha1.PendingNote
	delivered bool
	lost      string   // why what is final was not delivered; empty: it was
	seen      []string // ids of all notes
	forgotten []types.UID
}

func (o *outbox) Stored(ro *v1alpha1.Rollout) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ro.Status != nil {
		o.notes = slices.Clone(ro.Status.Notes)
		for _, n := range o.notes {
			if id := fmt.Sprintf("%d.%d.%s %s", n.Attempt, n.Seq, n.Notifier, n.Kind); !slices.Contains(o.seen, id) {
				o.seen = append(o.seen, id)
			}
		}
	}
}

func (o *outbox) Results(types.UID) []notify.Result {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out []notify.Result
	for _, n := range o.notes {
		if o.delivered {
			out = append(out, notify.Result{Attempt: n.Attempt, Seq: n.Seq, Notifier: n.Notifier, Final: true, Err: o.lost, Ref: "thread of " + n.Notifier})
		}
	}
	return out
}

func (o *outbox) Forget(uid types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.forgotten = append(o.forgotten, uid)
}
