package replicas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/proxy"
	"github.com/sluice-dev/sluice/xds/bootstrap"
)

// town is many services behind the same two gateways, under three replicas. Users come by the first gateway; the other is
// far away, and nobody but Sluice speaks with it: while it is stopped, no weight settles.
type town struct {
	*site
	server   *kube.Server
	replicas []*replica
	near     *edge
	far      *edge
	names    []string
	users    map[string]*load.Generator
	began    time.Time

	mu      sync.Mutex // guards what follows
	history map[string][]entry
	version map[string]string // of the newest object seen
}

// aside is the service that comes in by another port, so by a table of its own: while a weight of a table does not settle,
// none in it is raised.
const aside = "promoting"

// openTown founds a town of services that all run v1, with users.
func openTown(t *testing.T, names []string, more ...string) *town {
	t.Helper()
	server := kube.Own(t, kube.Options{Port: proxy.FreePort(t)})
	tw := &town{site: found(t, server.Config(t), 4), server: server, names: names, users: map[string]*load.Generator{},
		history: map[string][]entry{}, version: map[string]string{}}
	tw.lease = 10 * time.Second // a town is much work for one machine
	for _, name := range names {
		tw.apply(tw.service(name))
	}
	for i := range 3 {
		tw.replicas = append(tw.replicas, tw.replica(fmt.Sprintf("sluice-%d", i), more...))
	}
	tw.follow()
	addr := func(order ...int) (out []string) {
		for _, i := range order {
			out = append(out, tw.replicas[i].xds)
		}
		return out
	}
	tw.near = tw.edge(0, front(t, addr(0, 1, 2)...), bootstrap.TLS{})
	tw.far = tw.edge(1, front(t, addr(2, 1, 0)...), bootstrap.TLS{})
	for _, name := range names {
		tw.reaches(name, "v1 adopted", func(st *v1alpha1.RolloutStatus) bool {
			return st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == "v1" && st.Seq > 0 && st.SettledSeq == st.Traffic.Seq
		})
	}
	tw.began = time.Now()
	for i, name := range names {
		tw.visit(name, uint64(i))
	}
	return tw
}

func (tw *town) hostOf(name string) string { return name + "." + tw.shop + ".example" }

// visit lets users come to a service until the end of the test. They are patient: late is not failed.
func (tw *town) visit(name string, seed uint64) {
	tw.t.Helper()
	port := tw.near.port
	if name == aside {
		port = tw.gateways[2]
	}
	users, err := load.Start(tw.t.Context(), load.Config{URL: fmt.Sprintf("http://127.0.0.1:%d/", port), Host: tw.hostOf(name),
		RPS: 12, Seed: seed, Timeout: time.Minute, Connections: 4})
	if err != nil {
		tw.t.Fatal(err)
	}
	tw.t.Cleanup(users.Stop)
	tw.users[name] = users
}

// endpointsOf are those of a service in the versions given.
func (tw *town) endpointsOf(versions ...string) []any {
	var out []any
	for _, v := range versions {
		ip, port, err := net.SplitHostPort(tw.versions[v])
		if err != nil {
			tw.t.Fatal(err)
		}
		out = append(out, map[string]any{"address": ip, "ports": map[string]any{"http": json.Number(port)}, "labels": map[string]any{"version": v}})
	}
	return out
}

// populate makes versions the endpoints of a service.
func (tw *town) populate(name string, versions ...string) {
	tw.t.Helper()
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"endpoints": tw.endpointsOf(versions...)}})
	if err != nil {
		tw.t.Fatal(err)
	}
	o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry"}}
	o.SetNamespace(tw.shop)
	o.SetName(name)
	if err := tw.client.Patch(tw.t.Context(), o, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		tw.t.Fatal(err)
	}
}

// service is the text of a service and its Rollout, whose steps wait for a person.
func (tw *town) service(name string) string {
	tw.t.Helper()
	endpoints, err := json.Marshal(tw.endpointsOf("v1", "v2"))
	if err != nil {
		tw.t.Fatal(err)
	}
	gateways := ""
	if name == tw.names[0] {
		for i, port := range tw.gateways {
			gateways += fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: %[4]s-%[1]d}
spec:
  selector: {istio: %[3]s-%[1]d}
  servers: [{port: {number: %[2]d, name: http, protocol: HTTP}, hosts: ["*"], bind: 127.0.0.1}]
---`, i%2+1, port, tw.shop, []string{"edge", "side"}[i/2])
		}
	}
	door := "edge"
	if name == aside {
		door = "side"
	}
	approval := ""
	if name == "approval" {
		approval = ", approval: {}"
	}
	bake := "600s"
	if approval != "" {
		bake = "1s"
	}
	return gateways + fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: %[1]s}
spec:
  hosts: [%[2]s]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: %[3]s
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: %[1]s}
spec:
  host: %[2]s
  subsets: [{name: v1, labels: {version: v1}}, {name: v2, labels: {version: v2}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: %[1]s}
spec:
  hosts: [%[2]s]
  gateways: [%[6]s-1, %[6]s-2]
  http: [{route: [{destination: {host: %[2]s}}], retries: {attempts: 0}}]
---
apiVersion: sluice.dev/v1alpha1
kind: Rollout
metadata: {name: %[1]s, annotations: {sluice.dev/digest: v1}}
spec:
  host: %[2]s
  subset: v1
  steps:
  - {weight: 15, promotion: timeOnly, bake: {min: %[5]s, max: 900s}%[4]s}
  - {weight: 50, promotion: timeOnly, bake: {min: 600s, max: 900s}}
  - {weight: 100, promotion: timeOnly, bake: {min: 1s, max: 900s}}
  convergence: {timeout: 10m}
  analysis: {metrics: [{name: errors, disabled: true}, {name: latency, disabled: true}, {name: attempts, disabled: true}]}
`, name, tw.hostOf(name), endpoints, approval, bake, door)
}

// follow keeps every status that any Rollout has, over ends of the server, until the end of the test.
func (tw *town) follow() {
	tw.t.Helper()
	ctx := tw.t.Context()
	var running sync.WaitGroup
	running.Go(func() {
		last, gap := "", false
		for ctx.Err() == nil {
			ctx, cancel := context.WithTimeout(ctx, patience/3) // a connection to a server that was killed may look alive
			w, err := tw.client.Watch(ctx, &v1alpha1.RolloutList{}, client.InNamespace(tw.shop), &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: last}})
			if err != nil {
				again := time.NewTimer(100 * time.Millisecond)
				<-again.C
				cancel()
				continue
			}
			for event := range w.ResultChan() {
				if ro, ok := event.Object.(*v1alpha1.Rollout); ok {
					last = ro.ResourceVersion
					tw.seen(ro, gap)
					continue
				}
				last, gap = "", true // the server knows no more what came after it
			}
			w.Stop()
			cancel()
		}
	})
	tw.t.Cleanup(running.Wait)
}

func (tw *town) seen(ro *v1alpha1.Rollout, gap bool) {
	tw.mu.Lock()
	defer tw.mu.Unlock()
	if ro.Status == nil || tw.version[ro.Name] == ro.ResourceVersion {
		return
	}
	tw.version[ro.Name] = ro.ResourceVersion
	tw.history[ro.Name] = append(tw.history[ro.Name], entry{at: time.Now(), status: *ro.Status, gap: gap})
}

func (tw *town) statuses(name string) []entry {
	tw.mu.Lock()
	defer tw.mu.Unlock()
	return slices.Clone(tw.history[name])
}

// reaches waits until the newest status of a service is as described.
func (tw *town) reaches(name, what string, ok func(*v1alpha1.RolloutStatus) bool) {
	tw.t.Helper()
	eventually(tw.t, name+": "+what, func() error {
		all := tw.statuses(name)
		if len(all) == 0 {
			return errors.New("no status yet")
		}
		if st := &all[len(all)-1].status; !ok(st) {
			return errors.New(brief(st))
		}
		return nil
	})
}

// want makes Git ask for v2 of a service.
func (tw *town) want(name string) {
	tw.t.Helper()
	ro := &v1alpha1.Rollout{}
	ro.Namespace, ro.Name = tw.shop, name
	patch := []byte(`{"metadata":{"annotations":{"sluice.dev/digest":"v2"}},"spec":{"subset":"v2"}}`)
	if err := tw.client.Patch(tw.t.Context(), ro, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		tw.t.Fatal(err)
	}
}

// act asks something of a service's first attempt.
func (tw *town) act(name string, verb v1alpha1.ActionVerb) {
	tw.t.Helper()
	a := &v1alpha1.RolloutAction{ObjectMeta: metav1.ObjectMeta{Namespace: tw.shop, Name: name + "-" + strings.ToLower(string(verb))},
		Spec: v1alpha1.RolloutActionSpec{Rollout: name, Verb: verb, IfAttempt: 1, Actor: "somebody", Reason: "for the test"}}
	if err := tw.client.Create(tw.t.Context(), a); err != nil {
		tw.t.Fatal(err)
	}
}

// leads is the index of the replica that has the lease, and how often it has changed hands.
func (tw *town) leads() (i int, changes int32, err error) {
	lease := &coordinationv1.Lease{}
	if err := tw.client.Get(tw.t.Context(), client.ObjectKey{Namespace: tw.system, Name: "sluice"}, lease); err != nil {
		return 0, 0, err
	}
	holder := ""
	if id := lease.Spec.HolderIdentity; id != nil {
		holder = *id
	}
	for i, r := range tw.replicas {
		if strings.HasPrefix(holder, r.name+"_") {
			return i, *lease.Spec.LeaseTransitions, nil
		}
	}
	return 0, 0, fmt.Errorf("the lease is held by %q", holder)
}

// eachStepOnce checks of every service that its statuses followed from each other by transitions that the engine can make.
func (tw *town) eachStepOnce() {
	tw.t.Helper()
	edges := map[string]bool{}
	for _, e := range rollout.Edges() {
		edges[fmt.Sprintf("%s %s %s", e.From, e.To, e.Reason)] = true
	}
	for _, name := range tw.names {
		all := tw.statuses(name)
		for i := 1; i < len(all); i++ {
			was, is := all[i-1].status, all[i].status
			way := fmt.Sprintf("%s %s %s", was.Phase, is.Phase, is.Reason)
			if is.Epoch < was.Epoch || is.Seq < was.Seq || is.Seq != was.Seq && !all[i].gap && (is.Seq != was.Seq+1 || !edges[way]) {
				tw.t.Errorf("%s: epoch %d seq %d, then %d %d: %s", name, was.Epoch, was.Seq, is.Epoch, is.Seq, way)
			}
		}
	}
}

// nobodyFailed checks that every user got an answer of a version.
func (tw *town) nobodyFailed() {
	tw.t.Helper()
	total, failed := 0, 0
	for _, name := range tw.names {
		tally := tw.users[name].Record().Tally(tw.began, time.Time{})
		total += tally.Total
		if n := tally.FailedBut("nobody"); n != 0 {
			tw.t.Errorf("%s: %d of %d requests failed: %+v", name, n, tally.Total, tally.Versions)
			failed += n
		}
	}
	tw.t.Logf("%d of %d requests failed", failed, total)
}
