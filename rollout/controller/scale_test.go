package controller_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/xds/ir"
)

// BenchmarkScale is one controller with many Rollouts on the real API server: how long it takes to look at all of them
// after a start, to bring a tenth of them to their first weight, what it costs to judge those by load reports each second,
// and how long it is until the canaries of a hundredth of them, which fail at the same instant, are stored at 0: once because a
// proxy rejects them, once because their requests do.
func BenchmarkScale(b *testing.B) {
	for range b.N {
		many(b, *scale)
	}
}

var scale = flag.Int("scale", 1000, "how many Rollouts BenchmarkScale has")

// Times of a benchmark.
const (
	steady    = 10 * time.Second // for which the cost of judging is measured
	scaleWait = 5 * time.Minute
	creators  = 32
)

// crowd is what many Rollouts share: the API server, proxies that take everything a short time later, and reports.
type crowd struct {
	b      *testing.B
	client client.Client // uncached
	all    []types.NamespacedName

	mu       sync.Mutex // guards the rest
	asked    map[string]uint64
	acked    map[string]uint64
	changed  chan struct{}
	reported chan struct{}
	now      time.Time
	failing  map[string]bool // by cluster of the canary
	nacked   map[string]bool // by key
	phases   map[string]rollout.Phase
	zero     map[string]time.Time
	passes   atomic.Int64
	writes   atomic.Int64
}

// counted counts requests that change something.
type counted struct {
	http.RoundTripper
	writes *atomic.Int64
}

func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		c.writes.Add(1)
	}
	return c.RoundTripper.RoundTrip(r)
}

func many(b *testing.B, n int) {
	b.Helper()
	c := newCrowd(b, n)
	b.Logf("%d Rollouts made in %s, load of the machine %s", n, c.make(n), load())
	c.start()
	open, failing := c.all[:n/10], c.all[:n/50]
	report := func(v float64, unit string) { b.ReportMetric(v, unit) }

	report(c.until("all were looked at", func() bool { return len(c.asked) == n }).Seconds(), "s/start")
	began := time.Now()
	c.each(open, func(ctx context.Context, key types.NamespacedName) error {
		patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"digest-v2"}},"spec":{"subset":"v2"}}`, v1alpha1.AnnotationDigest)
		ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		return c.client.Patch(ctx, ro, client.RawPatch(types.MergePatchType, []byte(patch)))
	})
	c.until("a tenth bakes", func() bool { return count(c.phases, rollout.Baking) == len(open) })
	report(time.Since(began).Seconds(), "s/first-weight")

	passes, writes, spent := c.passes.Load(), c.writes.Load(), spentCPU(b)
	c.rest(steady)
	report((spentCPU(b)-spent).Seconds()/steady.Seconds(), "cores/steady")
	report(float64(c.passes.Load()-passes)/steady.Seconds(), "passes/s")
	report(float64(c.writes.Load()-writes)/steady.Seconds(), "writes/s")
	heap, resident := memory(b)
	report(heap, "MB/heap")
	report(resident, "MB/resident")

	writes = c.writes.Load()
	report(c.fail(failing[:len(failing)/2], c.nacked, types.NamespacedName.String).Seconds(), "s/zero-nack")
	report(float64(c.writes.Load()-writes), "writes/zero-nack")
	report(c.fail(failing[len(failing)/2:], c.failing, canaryOf).Seconds(), "s/zero-loads")
	b.ReportMetric(0, "ns/op")
}

// fail makes some fail, all at once, and waits until the last one is stored at 0.
func (c *crowd) fail(some []types.NamespacedName, list map[string]bool, name func(types.NamespacedName) string) time.Duration {
	c.mu.Lock()
	began := time.Now()
	for _, key := range some {
		list[name(key)] = true
	}
	c.signal(&c.changed)
	c.mu.Unlock()
	c.until("all that fail are at 0", func() bool {
		for _, key := range some {
			if c.zero[key.String()].IsZero() {
				return false
			}
		}
		return true
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	var last time.Duration
	for _, key := range some {
		last = max(last, c.zero[key.String()].Sub(began))
	}
	return last
}

func canaryOf(key types.NamespacedName) string { return "canary/" + key.String() }

func newCrowd(b *testing.B, n int) *crowd {
	b.Helper()
	cfg := kube.Start(b)
	scheme := kruntime.NewScheme()
	for _, add := range []func(*kruntime.Scheme) error{v1alpha1.AddToScheme, corev1.AddToScheme, coordinationv1.AddToScheme} {
		if err := add(scheme); err != nil {
			b.Fatal(err)
		}
	}
	direct, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		b.Fatal(err)
	}
	c := &crowd{b: b, client: direct, asked: map[string]uint64{}, acked: map[string]uint64{}, changed: make(chan struct{}), reported: make(chan struct{}),
		now: time.Now(), failing: map[string]bool{}, nacked: map[string]bool{}, phases: map[string]rollout.Phase{}, zero: map[string]time.Time{}}
	namespaces := make([]string, 20)
	for i := range namespaces {
		namespaces[i] = kube.Namespace(b, cfg)
	}
	for i := range n {
		c.all = append(c.all, types.NamespacedName{Namespace: namespaces[i%len(namespaces)], Name: fmt.Sprintf("r%05d", i)})
	}
	return c
}

// make stores Rollouts that are at rest.
func (c *crowd) make(n int) time.Duration {
	began := time.Now()
	since := metav1.NewMicroTime(began.UTC().Truncate(time.Microsecond))
	c.each(c.all[:n], func(ctx context.Context, key types.NamespacedName) error {
		ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Finalizers: []string{v1alpha1.RolloutFinalizer},
			Annotations: map[string]string{v1alpha1.AnnotationDigest: "digest-v1", v1alpha1.AnnotationCommit: "c07aa19f00"}}}
		ro.Spec = v1alpha1.RolloutSpec{Host: key.Name, Subset: "v1"}
		ro.Spec.Analysis.Bake = v1alpha1.DurationOf(time.Hour)
		ro.Spec.Analysis.MaxDuration = v1alpha1.DurationOf(3 * time.Hour)
		ro.Spec.Analysis.Metrics = []v1alpha1.Metric{{Name: "errors"}}
		if err := c.client.Create(ctx, ro); err != nil {
			return err
		}
		ro.Status = &v1alpha1.RolloutStatus{ObservedGeneration: ro.Generation, Seq: 1, Phase: v1alpha1.PhaseIdle, Reason: "Adopted", Since: since, SettledSeq: 1,
			Traffic: v1alpha1.TrafficStatus{Seq: 1}, Stable: v1alpha1.VersionStatus{Name: "v1", Digest: "digest-v1", Commit: "c07aa19f00"}, Attempted: "digest-v1"}
		return c.client.Status().Update(ctx, ro)
	})
	return time.Since(began).Round(time.Second / 10)
}

// each does something for all keys, many at a time.
func (c *crowd) each(keys []types.NamespacedName, do func(context.Context, types.NamespacedName) error) {
	var next atomic.Int64
	var running sync.WaitGroup
	for range creators {
		running.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(keys)); i = next.Add(1) - 1 {
				if err := do(c.b.Context(), keys[i]); err != nil {
					c.b.Error(err)
					return
				}
			}
		})
	}
	if running.Wait(); c.b.Failed() {
		c.b.FailNow()
	}
}

// start runs a controller until the benchmark ends.
func (c *crowd) start() {
	cfg := kube.Start(c.b)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return counted{next, &c.writes} })
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{Scheme: c.client.Scheme(), Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{ByObject: map[client.Object]cache.ByObject{&v1alpha1.Rollout{}: {Transform: controller.Slim()}}}}) // as the process has it
	if err != nil {
		c.b.Fatal(err)
	}
	it, err := controller.New(controller.Config{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("sluice"), Fleet: c, Mesh: plain{make(chan struct{})}, Servers: newPrometheus(),
		CheckSource: prom.CheckSource, Now: time.Now, Observe: c.observe,
		Lead: controller.Lead{Lease: types.NamespacedName{Namespace: c.all[0].Namespace, Name: "sluice"}, Patience: controller.Patience{Rollback: 10 * time.Second}},
	})
	if err != nil {
		c.b.Fatal(err)
	}
	if err := it.SetupWithManager(mgr); err != nil {
		c.b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(c.b.Context())
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	go c.clock(ctx)
	c.b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			c.b.Errorf("the controller ended: %v", err)
		}
	})
}

// clock lets proxies report each second, and take what was asked for within a twentieth.
func (c *crowd) clock(ctx context.Context) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		c.mu.Lock()
		news := false
		for key, seq := range c.asked {
			if c.acked[key] != seq {
				c.acked[key], news = seq, true
			}
		}
		if news {
			c.signal(&c.changed)
		}
		if now := time.Now().Truncate(time.Second); now.After(c.now) {
			c.now = now
			c.signal(&c.reported)
		}
		c.mu.Unlock()
	}
}

func (c *crowd) signal(news *chan struct{}) {
	close(*news)
	*news = make(chan struct{})
}

func (c *crowd) observe(e controller.Event) {
	if e.Transition == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := e.Namespace + "/" + e.Name
	c.phases[key] = e.Transition.To
	if e.Transition.To == rollout.RollingBack && e.Transition.Weight == 0 {
		c.zero[key] = time.Now()
	}
}

// until waits for something and says how long that took.
func (c *crowd) until(what string, holds func() bool) time.Duration {
	c.b.Helper()
	began := time.Now()
	kube.Eventually(c.b, scaleWait, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if !holds() {
			return errors.New("not " + what)
		}
		return nil
	})
	return time.Since(began)
}

// rest lets time pass.
func (c *crowd) rest(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	<-timer.C
}

func count(phases map[string]rollout.Phase, of rollout.Phase) (n int) {
	for _, p := range phases {
		if p == of {
			n++
		}
	}
	return n
}

func (c *crowd) Convergence(key, _ string, seq uint64) ir.Convergence {
	c.passes.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked[key] != seq {
		c.asked[key] = seq
	}
	out := ir.Convergence{Rendered: true, Connected: 2, Acked: 2}
	switch {
	case c.nacked[key]:
		out.Acked, out.Nacked, out.First = 1, 1, &ir.Rejection{Node: "gw-1", Resource: "route http.8080", Message: "no cluster"}
	case c.acked[key] != seq && seq > 1:
		out.Acked = 0
	}
	return out
}

func (c *crowd) Changed() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed
}

func (c *crowd) Reported() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reported
}

func (c *crowd) LoadsOf(clusters []string, since time.Time) []ir.Load {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []ir.Load
	for at := since.Truncate(time.Second).Add(time.Second); !at.Add(time.Second).After(c.now); at = at.Add(time.Second) {
		for _, name := range clusters {
			one := ir.Load{Cluster: name, From: at, To: at.Add(time.Second), Proxies: 1, Issued: 85, OK: 85}
			if strings.HasPrefix(name, "canary/") {
				one.Issued, one.OK = 15, 15
				if c.failing[name] {
					one.OK, one.Failed = 0, 15
				}
				for id := range uint32(3) {
					one.Endpoints = append(one.Endpoints, ir.EndpointLoad{ID: id, OK: one.OK / 3, Failed: one.Failed / 3})
				}
			}
			out = append(out, one)
		}
	}
	return out
}

// plain is a mesh that does not change, in which each Rollout has clusters of its own.
type plain struct{ never chan struct{} }

func (p plain) Changed() <-chan struct{} { return p.never }

func (p plain) Facts(s ir.Split) ir.SplitFacts {
	return ir.SplitFacts{Known: true, StableReady: 4, CanaryReady: 4, SubsetDefined: true,
		StableClusters: []string{"stable/" + s.Key}, CanaryClusters: []string{"canary/" + s.Key}}
}

// spentCPU is what this process has spent; the API server is another one.
func spentCPU(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// memory is what is on the heap after a collection, and what of this process is resident, in MB.
func memory(b *testing.B) (heap, resident float64) {
	b.Helper()
	var before runtime.MemStats
	debug.FreeOSMemory()
	runtime.ReadMemStats(&before)
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var size, pages float64
	if _, err := fmt.Sscan(string(text), &size, &pages); err != nil {
		b.Fatal(err)
	}
	return float64(before.HeapAlloc) / 1e6, pages * float64(os.Getpagesize()) / 1e6
}

// load is the machine's, of the last minute.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}
