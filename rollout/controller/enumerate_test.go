package controller_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/analysis/prom"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/controller"
	"github.com/sluice-dev/sluice/test/fault"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
)

var enumerate = flag.String("enumerate", "", "crash points: all, or the number of a part; nothing: today's part")

// A point is a write: the k-th with its key in the undisturbed run. Each is disturbed in four ways, and what comes of it
// is compared with the undisturbed run.
type point struct {
	key  fault.Key
	k    int
	mode fault.Mode
}

func (p point) String() string { return fmt.Sprintf("%s #%d %s", p.key, p.k, p.mode) }

// kills reports that the process dies of it.
func (p point) kills() bool { return p.mode == fault.Before || p.mode == fault.Applied }

var modes = []fault.Mode{fault.Before, fault.Applied, fault.Conflict, fault.Late}

// play is one run of a story: a process with simple surroundings behind a proxy, in virtual time.
type play struct {
	*world
	proxy *fault.Proxy
	door  *fault.Door
	it    *controller.Controller
	clock time.Time
	rule  *fault.Active
	point point
	asked []string // names of actions
	err   error    // the first thing that took too long
}

// newPlay makes one in a namespace of its own.
func newPlay(of *world, p point) *play {
	w := &world{t: of.t, config: of.config, ns: kube.Namespace(of.t, of.config), client: of.client, fleet: newFleet(), mesh: newMesh(),
		prom: newPrometheus(), outbox: &outbox{delivered: true}, loads: newLoads()}
	out := &play{world: w, proxy: fault.Start(of.t, of.config), clock: time.Now().Truncate(time.Second).Add(time.Second / 2), point: p}
	out.prom.start = out.clock.Add(-time.Hour) // windows begin at the same places in every run
	if p.k > 0 {
		out.rule = out.proxy.Add(fault.Rule{Match: fault.Key{Verb: p.key.Verb, Resource: p.key.Resource, Subresource: p.key.Subresource, Name: p.key.Name},
			Nth: p.k, Mode: p.mode, Kill: p.kills()})
	}
	out.begin()
	return out
}

// begin starts a process.
func (p *play) begin() {
	p.door = p.proxy.Open(p.t, "one")
	c, err := client.New(p.door.Config(), client.Options{Scheme: p.client.Scheme(), Mapper: p.client.RESTMapper()})
	if err != nil {
		p.t.Fatal(err)
	}
	p.it, err = controller.New(controller.Config{
		Client: c, Live: c, Recorder: events.NewFakeRecorder(10000), Fleet: p.proxies(), Mesh: p.mesh, Servers: p.prom, CheckSource: prom.CheckSource,
		Now: func() time.Time { return p.clock }, Outbox: p.outbox, Observe: p.observe,
		Lead: controller.Lead{Lease: p.lease(), Braker: p.mesh, Patience: controller.Patience{Write: time.Minute, Rollback: time.Minute, Read: time.Minute, Action: time.Minute}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.it.Ask(p.t.Context())
	p.it.Thawed(p.ns)
}

// pass lets a second go by, and a process that died of the fault be started again.
func (p *play) pass() {
	key := types.NamespacedName{Namespace: p.ns, Name: "reviews"}
	_, _ = p.it.Reconcile(p.t.Context(), ctrl.Request{NamespacedName: key}) // it is told again, as a queue would
	if err := poll.Until(patience, func() error {
		if p.it.Asking(key) {
			return errors.New("a query is under way")
		}
		return nil
	}); err != nil {
		p.err = errors.Join(p.err, err)
	}
	if p.rule != nil && p.rule.HasFired() && p.point.kills() {
		p.rule.Remove()
		p.rule = nil
		p.begin()
	}
	p.clock = p.clock.Add(time.Second)
}

// goes on until the object is as described; nil: it is gone.
func (p *play) goes(what string, holds func(*v1alpha1.Rollout) bool) {
	for range 60 {
		if p.err != nil {
			return
		}
		p.pass()
		if holds(p.now()) {
			return
		}
	}
	p.err = fmt.Errorf("not %s: %s", what, summary(p.now(), 0))
}

// now is the object; nil: there is none.
func (p *play) now() *v1alpha1.Rollout {
	ro := &v1alpha1.Rollout{}
	err := p.client.Get(p.t.Context(), types.NamespacedName{Namespace: p.ns, Name: "reviews"}, ro)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		p.err = errors.Join(p.err, err)
	}
	return ro
}

// rests goes on until nothing is left to do.
func (p *play) rests() {
	p.goes("settled at rest", func(ro *v1alpha1.Rollout) bool {
		return ro == nil || ro.Status != nil && ro.Status.Phase.AtRest() && ro.Status.SettledSeq == ro.Status.Traffic.Seq && len(ro.Status.Notes) == 0 &&
			ro.Status.ObservedGeneration == ro.Generation
	})
}

func at(phase v1alpha1.Phase, weight int32) func(*v1alpha1.Rollout) bool {
	return func(ro *v1alpha1.Rollout) bool {
		return ro != nil && ro.Status != nil && ro.Status.Phase == phase && ro.Status.Weight == weight
	}
}

// fails lets every request of the canary fail from now on.
func (p *play) fails() {
	for range 3 { // what was good is judged and stored
		p.pass()
	}
	p.prom.set(func(prom *prometheus) { prom.bad, prom.since = 1, p.clock.Truncate(time.Second) })
}

// begins makes the object in three steps, adopted.
func (p *play) begins() {
	p.rollout("v1", func(ro *v1alpha1.Rollout) {
		ro.Spec.Steps = []v1alpha1.Step{{Weight: 15}, {Weight: 50}, {Weight: 100}}
		ro.Spec.Analysis.Bake = v1alpha1.DurationOf(12 * time.Second)
	})
	p.rests()
}

// result is what a run came to.
type result struct {
	End         string
	Transitions []int64 // seqs stored, in order
	Finalizers  int
	Twice       []string // actions that were told their result twice
	Told        []string
	Notes       []string
}

// result waits for writes that are still on their way, and says what came of the run.
func (p *play) result() (result, error) {
	if err := poll.Until(patience, func() error {
		for _, w := range p.proxy.Writes() {
			if w.Code == 0 && (w.Fault == fault.Late || w.Fault == fault.Applied) {
				return fmt.Errorf("%s is still on its way", w.Key)
			}
		}
		return nil
	}); err != nil {
		return result{}, err
	}
	if p.err == nil {
		p.rests() // what came late may have made something to be confirmed
	}
	out := result{}
	said, told := int64(0), p.outbox.all() // transitions that only told something
	var stored stored
	answered := map[string]int{}
	for _, w := range p.proxy.Writes() {
		switch {
		case !w.Accepted():
		case w.Key.Resource == "rollouts.sluice.dev" && w.Key.Subresource == "status":
			was, is := stored.take(p.t, w.Body)
			switch {
			case rollout.Tells(was, is):
				told = without(told, int64(is.Seq)-said)
				said++
			case is.Seq != was.Seq:
				out.Transitions = append(out.Transitions, int64(is.Seq)-said)
			}
		case w.Key.Resource == "rollouts.sluice.dev":
			out.Finalizers++
		case w.Key.Resource == "rolloutactions.sluice.dev":
			if answered[w.Key.Name]++; answered[w.Key.Name] == 2 {
				out.Twice = append(out.Twice, w.Key.Name)
			}
		}
	}
	for _, name := range p.asked {
		out.Told = append(out.Told, name+" "+p.answerTo(name))
	}
	out.End, out.Notes = summary(p.now(), said), told
	return out, p.err
}

// without leaves out the notes of a transition, and gives those of later ones the seq that they would have without it.
func without(notes []string, seq int64) []string {
	var out []string
	for _, id := range notes {
		var attempt, of int64
		var rest string
		if n, _ := fmt.Sscanf(id, "%d.%d.%s", &attempt, &of, &rest); n < 3 || of == seq {
			continue
		}
		_, rest, _ = strings.Cut(id[strings.Index(id, ".")+1:], ".")
		if of > seq {
			of--
		}
		out = append(out, fmt.Sprintf("%d.%d.%s", attempt, of, rest))
	}
	return out
}

// stored is a status as one patch after the other left it.
type stored struct{ status map[string]any }

// take applies a patch, and gives the state before and after it.
func (s *stored) take(t *testing.T, patch []byte) (was, is rollout.State) {
	t.Helper()
	was = s.state(t)
	var body struct {
		Status map[string]any `json:"status"`
	}
	if err := json.Unmarshal(patch, &body); err != nil {
		t.Fatalf("a patch of a status that is none: %v\n%s", err, patch)
	}
	s.status = merged(s.status, body.Status)
	return was, s.state(t)
}

func (s *stored) state(t *testing.T) rollout.State {
	t.Helper()
	text, err := json.Marshal(s.status)
	var status *v1alpha1.RolloutStatus
	err = errors.Join(err, json.Unmarshal(text, &status))
	out, wrong := controller.StateOf(status)
	if err = errors.Join(err, wrong); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return out
}

// merged is an object after a merge patch.
func merged(of, patch map[string]any) map[string]any {
	out := maps.Clone(of)
	if out == nil {
		out = map[string]any{}
	}
	for key, v := range patch {
		inner, deeper := v.(map[string]any)
		switch {
		case v == nil:
			delete(out, key)
		case deeper:
			was, _ := out[key].(map[string]any)
			out[key] = merged(was, inner)
		default:
			out[key] = v
		}
	}
	return out
}

// summary is all of an object that is the same in every run. What is only told, said transitions, is none of it: where its
// write is lost, the next look may have nothing to tell. A story that waits for it shows that it is not lost for good.
func summary(ro *v1alpha1.Rollout, said int64) string {
	if ro == nil {
		return "gone"
	}
	s := ro.Status
	if s == nil {
		return "never written"
	}
	out := []string{fmt.Sprintf("%s %s %d/%d %d%% stable=%s attempt=%d seq=%d attempted=%s", s.Phase, s.Outcome, s.Step, s.Steps, s.Weight, s.Stable.Name, s.Attempt, s.Seq-said, s.Attempted)}
	for _, r := range s.Rejected {
		out = append(out, "rejected "+r.Digest+" "+r.Reason)
	}
	for _, h := range s.History {
		out = append(out, fmt.Sprintf("history %d %s %s %s at %d", h.Attempt, h.Name, h.Outcome, h.Reason, h.Step))
	}
	for _, c := range s.Conditions {
		out = append(out, fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason))
	}
	for _, a := range s.Consumed {
		out = append(out, fmt.Sprintf("consumed %s %s", a.Verb, a.Result))
	}
	// How far the judge was, which a restart changes, is what Healthy says as long as nothing is decided.
	for i, line := range out {
		if undecided, is := strings.CutPrefix(line, "Healthy Unknown "); is && undecided != "" {
			out[i] = "Healthy Unknown"
		}
	}
	// How harm is first proven depends on where windows begin, which a restart changes.
	return strings.NewReplacer("HardFail", "Harm", "RegressionDetected", "Harm", "SLOBreach", "Harm").Replace(strings.Join(out, "\n"))
}

// story is what happens in a run, and to what it must come.
type story struct {
	name string
	tell func(p *play)
}

func stories() []story {
	return append([]story{
		{"E1 adopted", func(p *play) { p.begins() }},
		{"E2 good", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("completed", func(ro *v1alpha1.Rollout) bool { return ro.Status.Outcome == v1alpha1.OutcomeCompleted })
		}},
		{"E3 bad at 50", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 50", at(v1alpha1.PhaseBaking, 50))
			p.fails()
		}},
		{"E4 superseded, then reverted", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 15", at(v1alpha1.PhaseBaking, 15))
			p.push("v2", "digest-v2-newer")
			p.goes("at 15 again", func(ro *v1alpha1.Rollout) bool {
				return ro.Status.Attempt == 2 && ro.Status.Phase == v1alpha1.PhaseBaking
			})
			p.push("v1", "digest-v1")
		}},
		{"E5 rejected by a proxy", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("judged at 15", judged(15))
			p.fleet.set(func(f *fleet) { f.nack = "no cluster" })
			p.goes("rolling back", at(v1alpha1.PhaseRollingBack, 0))
			p.fleet.set(func(f *fleet) { f.nack = "" })
		}},
		{"E6 deleted in a bake", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 15", at(v1alpha1.PhaseBaking, 15))
			if err := p.client.Delete(p.t.Context(), p.get()); err != nil {
				p.t.Fatal(err)
			}
			p.goes("gone", func(ro *v1alpha1.Rollout) bool { return ro == nil })
		}},
		{"E7 stable empty", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 15", at(v1alpha1.PhaseBaking, 15))
			p.mesh.set(func(m *mesh) { m.facts.StableReady = 0 })
			p.fails()
			p.goes("rolling back with traffic, and told", func(ro *v1alpha1.Rollout) bool {
				return at(v1alpha1.PhaseRollingBack, 15)(ro) && ro.Status.Reason == string(rollout.StableIsEmpty)
			})
			p.mesh.set(func(m *mesh) { m.facts.StableReady = 4 })
		}},
		{"E8 with notes", func(p *play) {
			n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: p.ns, Name: "team"}}
			n.Spec.Webhook = &v1alpha1.WebhookSink{URL: "https://example.com/hook", Unsigned: true}
			if err := p.client.Create(p.t.Context(), n); err != nil {
				p.t.Fatal(err)
			}
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 15", at(v1alpha1.PhaseBaking, 15))
			p.fails()
		}},
		{"E9 rejected, then fixed", func(p *play) {
			p.begins()
			p.fails()
			p.push("v2", "digest-v2")
			p.goes("rejected", func(ro *v1alpha1.Rollout) bool { return ro.Status.Phase == v1alpha1.PhaseRolledBack })
			p.prom.set(func(p *prometheus) { p.bad = 0 })
			p.push("v2", "digest-v2-fixed")
			p.goes("completed", func(ro *v1alpha1.Rollout) bool { return ro.Status.Outcome == v1alpha1.OutcomeCompleted })
		}},
		{"E10 paused in Git", func(p *play) {
			p.begins()
			p.push("v2", "digest-v2")
			p.goes("at 15", at(v1alpha1.PhaseBaking, 15))
			p.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Paused = true })
			p.goes("holding", at(v1alpha1.PhaseHolding, 15))
			p.push("v2", "digest-v2", func(ro *v1alpha1.Rollout) { ro.Spec.Paused = false })
			p.goes("completed", func(ro *v1alpha1.Rollout) bool { return ro.Status.Outcome == v1alpha1.OutcomeCompleted })
		}},
	}, peoplesStories()...)
}

// run plays a story with one point disturbed.
func (s story) run(of *world, p point) (result, *play, error) {
	play := newPlay(of, p)
	s.tell(play)
	play.rests()
	out, err := play.result()
	play.door.Close()
	return out, play, errors.Join(err, play.leave())
}

// leave removes the object: each process that starts reads the epochs of all that are there.
func (p *play) leave() error {
	ro := &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: p.ns, Name: "reviews"}}
	unheld := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	return client.IgnoreNotFound(errors.Join(p.client.Patch(p.t.Context(), ro, unheld), p.client.Delete(p.t.Context(), ro)))
}

// points are the writes of an undisturbed run, each in every mode. Writes to the lease are among them.
func points(writes []fault.Write) []point {
	seen := map[fault.Key]int{}
	var out []point
	for _, w := range writes {
		key := w.Key
		key.Namespace, key.Door = "", ""
		if key.Resource == "notifiers.sluice.dev" || key.Verb == "create" && key.Resource != "leases.coordination.k8s.io" {
			continue
		}
		if key.Verb == "create" {
			key.Name = ""
		}
		seen[key]++
		for _, m := range modes {
			out = append(out, point{key, seen[key], m})
		}
	}
	return out
}

// TestCrash_atEveryWrite disturbs every write of every story in four ways: lost with its process, stored with its reply
// and its process lost, refused because of another write, and stored a while after the process got no reply. Every run comes to
// the same end by the same transitions, each stored once. Without -enumerate=all a part of the points is tried, another one each day.
func TestCrash_atEveryWrite(t *testing.T) {
	of := newWorld(t)
	part := partOf(t, *enumerate)
	var mu sync.Mutex // guards tried
	tried := 0
	for i, s := range stories() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w := &world{t: t, config: of.config, client: of.client}
			want, undisturbed, err := s.run(w, point{})
			if err != nil {
				t.Fatalf("the undisturbed run: %v", err)
			}
			again, _, err := s.run(w, point{})
			if diff := cmp.Diff(want, again); err != nil || diff != "" {
				t.Fatalf("two undisturbed runs differ: %v\n%s", err, diff)
			}
			all := points(undisturbed.proxy.Writes())
			if part >= 0 {
				all = chosen(all, i, part)
			}
			t.Logf("%d points; the undisturbed run stores seqs %v and ends as\n%s", len(all), want.Transitions, want.End)
			for _, p := range all {
				t.Run(p.String(), func(t *testing.T) {
					t.Parallel()
					got, play, err := s.run(&world{t: t, config: of.config, client: of.client}, p)
					if diff := cmp.Diff(want, got); err != nil || diff != "" {
						t.Errorf("%s: %v (-undisturbed +disturbed)\n%s%s", p, err, diff, writesOf(play))
					}
					if play.rule != nil && !play.rule.HasFired() {
						t.Errorf("%s never came", p)
					}
					mu.Lock()
					tried++
					mu.Unlock()
				})
			}
		})
	}
	t.Cleanup(func() { t.Logf("%d points tried", tried) })
}

// partOf is the number of the part that is asked for; below 0: all.
func partOf(t *testing.T, asked string) int {
	t.Helper()
	switch asked {
	case "all":
		return -1
	case "":
		asked = strconv.FormatInt(time.Now().Unix()/(24*60*60), 10)
		t.Logf("part %s of the points; the same again: -args -enumerate=%[1]s", asked)
	}
	n, err := strconv.Atoi(asked)
	if err != nil || n < 0 {
		t.Fatalf("-enumerate=%s: want all, or the number of a part", asked)
	}
	return n
}

// chosen is a part of the points: each write of two stories, in one mode each. Parts that follow each other have them all.
func chosen(all []point, story, part int) []point {
	if n := len(stories()); story != part%n && story != (part+n/2)%n {
		return nil
	}
	var out []point
	for i := 0; i < len(all); i += len(modes) {
		out = append(out, all[i+(i/len(modes)+part/len(stories()))%len(modes)])
	}
	return out
}

func writesOf(p *play) string {
	var out strings.Builder
	for _, w := range p.proxy.Writes() {
		fmt.Fprintf(&out, "%3d %s %s -> %d %.1500s\n", w.N, w.Key, w.Fault, w.Code, w.Body)
	}
	return out.String()
}

// all are the notes that were shown, each once.
func (o *outbox) all() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Sorted(slices.Values(o.seen))
}
