package replicas

import (
	"errors"
	"flag"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/poll"
)

var outage = flag.Duration("outage", 20*time.Second, "how long the API server is away")

// scene is a service in a phase: how it gets there, how that is seen, and what lets it go on.
type scene struct {
	name string
	late bool // it gets there only while no weight settles
	plan []func(tw *town, name string)
	last func(tw *town, name string) // into the phase, after the plan
	is   func(st *v1alpha1.RolloutStatus) bool
	on   []v1alpha1.ActionVerb // asked for when all is well again
}

func start(tw *town, name string) {
	tw.want(name)
}

func bakes(weight int32) func(tw *town, name string) {
	return func(tw *town, name string) {
		tw.reaches(name, fmt.Sprintf("baking at %d", weight), func(st *v1alpha1.RolloutStatus) bool {
			return st.Phase == v1alpha1.PhaseBaking && st.Weight == weight
		})
	}
}

func asks(verb v1alpha1.ActionVerb) func(tw *town, name string) {
	return func(tw *town, name string) { tw.act(name, verb) }
}

func in(phase v1alpha1.Phase, weight int32) func(st *v1alpha1.RolloutStatus) bool {
	return func(st *v1alpha1.RolloutStatus) bool { return st.Phase == phase && st.Weight == weight }
}

// scenes are a service for each phase of the engine, and for each kind of wait in it.
func scenes() []scene {
	type plan = []func(*town, string)
	full := []v1alpha1.ActionVerb{v1alpha1.ActionPromoteFull}
	return []scene{
		{name: "idle", is: in(v1alpha1.PhaseIdle, 0)},
		{name: "preparing", plan: plan{func(tw *town, name string) { tw.populate(name, "v1") }, start}, is: in(v1alpha1.PhasePreparing, 0), on: full},
		{name: "shifting", late: true, last: start, is: in(v1alpha1.PhaseShifting, 15), on: full},
		{name: "baking", plan: plan{start}, is: in(v1alpha1.PhaseBaking, 15), on: full},
		{name: "paused", plan: plan{start, bakes(15), asks(v1alpha1.ActionPause)}, is: func(st *v1alpha1.RolloutStatus) bool {
			return st.Weight == 15 && st.Reason == "ManualPause"
		}, on: []v1alpha1.ActionVerb{v1alpha1.ActionResume, v1alpha1.ActionPromoteFull}},
		{name: "approval", plan: plan{start}, is: func(st *v1alpha1.RolloutStatus) bool {
			return st.Phase == v1alpha1.PhaseHolding && st.Reason == "ApprovalNeeded"
		}, on: []v1alpha1.ActionVerb{v1alpha1.ActionApprove}},
		{name: "promoting", late: true, plan: plan{start, bakes(15), asks(v1alpha1.ActionPromote), bakes(50)},
			last: asks(v1alpha1.ActionPromoteFull), is: in(v1alpha1.PhaseShifting, 100)},
		{name: "rollingback", late: true, plan: plan{start, bakes(15)}, last: asks(v1alpha1.ActionAbort), is: in(v1alpha1.PhaseRollingBack, 0)},
		{name: "rolledback", plan: plan{start, bakes(15), asks(v1alpha1.ActionAbort)}, is: in(v1alpha1.PhaseRolledBack, 0)},
		{name: "warmdown", plan: plan{start, bakes(15), asks(v1alpha1.ActionPromoteFull)}, is: func(st *v1alpha1.RolloutStatus) bool {
			return st.Phase == v1alpha1.PhaseIdle && st.Stable.Name == "v2" && st.Previous != nil
		}},
	}
}

// ends are what each scene comes to when nothing happens to any replica.
func ends() map[string]string {
	done := "Idle stable v2 weight 0 attempt 1 completed rejected 0"
	back := "RolledBack stable v1 weight 0 attempt 1 aborted rejected 1"
	return map[string]string{
		"idle": "Idle stable v1 weight 0 attempt 0  rejected 0", "preparing": done, "shifting": done, "baking": done, "paused": done,
		"approval": "Baking stable v1 weight 50 attempt 1 open rejected 0", "promoting": done, "rollingback": back, "rolledback": back, "warmdown": done,
	}
}

func end(st *v1alpha1.RolloutStatus) string {
	return fmt.Sprintf("%s stable %s weight %d attempt %d %s rejected %d", st.Phase, st.Stable.Name, st.Weight, st.Attempt, st.Outcome, len(st.Rejected))
}

// TestPhases_whateverHappensToReplicas has a service in every phase of the engine while replicas die, are replaced, or lose
// their API server. No user notices, no step is made twice or left out, and each service comes to the end to which it
// comes when nothing happens.
func TestPhases_whateverHappensToReplicas(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		calm   func(tw *town) // while weights settle
		storm  func(tw *town) // while none does
		limits []string
	}{
		{name: "nothing happens"},
		{name: "killed: a follower, the leader, all", storm: func(tw *town) {
			tw.killFollower()
			tw.killLeader()
			tw.killAll()
		}},
		{name: "replaced one by one, then without the API server", calm: (*town).roll, storm: (*town).loseServer,
			limits: []string{"--drain-delay", "500ms", "--drain-time", "1s"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var names []string
			for _, s := range scenes() {
				names = append(names, s.name)
			}
			tw := openTown(t, names, tc.limits...)
			tw.play(func(s scene) bool { return !s.late })
			if tc.calm != nil {
				tc.calm(tw)
			}
			tw.far.signal(syscall.SIGSTOP)
			t.Cleanup(func() { _ = syscall.Kill(tw.far.envoy.Pid(), syscall.SIGCONT) })
			for _, s := range scenes() {
				if s.late {
					s.last(tw, s.name)
					tw.reaches(s.name, "its phase", s.is)
				}
			}
			if tc.storm != nil {
				tc.storm(tw)
			}
			tw.far.signal(syscall.SIGCONT)
			tw.goOn()
			tw.nobodyFailed()
			tw.eachStepOnce()
		})
	}
}

// play brings every service to its phase, or to the last state before it.
func (tw *town) play(now func(scene) bool) {
	tw.t.Helper()
	for step := 0; ; step++ { // all services go side by side
		more := false
		for _, s := range scenes() {
			if step < len(s.plan) {
				more = true
				s.plan[step](tw, s.name)
			}
		}
		if !more {
			break
		}
	}
	for _, s := range scenes() {
		if now(s) {
			tw.reaches(s.name, "its phase", s.is)
		}
	}
}

// goOn asks of every service what lets it go on, and waits for the ends.
func (tw *town) goOn() {
	tw.t.Helper()
	tw.populate("preparing", "v1", "v2")
	for _, s := range scenes() {
		for _, verb := range s.on {
			tw.act(s.name, verb)
		}
	}
	want, began := ends(), time.Now()
	err := poll.Until(3*patience, func() error { // a replica that ended counts for 15 s
		tw.revive()
		got := map[string]string{}
		var last []string
		for _, name := range tw.names {
			all := tw.statuses(name)
			st := all[len(all)-1].status
			if got[name] = end(&st); got[name] != want[name] {
				last = append(last, name+": "+brief(&st))
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			return errors.New(diff + strings.Join(last, "\n"))
		}
		return nil
	})
	if err != nil {
		tw.t.Fatalf("waiting for the ends: %v", err)
	}
	tw.t.Logf("every service is at its end %v after all is well again", time.Since(began).Round(time.Millisecond))
}

// killFollower kills a replica that does not lead, and starts it again.
func (tw *town) killFollower() {
	tw.t.Helper()
	leader, _, err := tw.leads()
	if err != nil {
		tw.t.Fatal(err)
	}
	one := tw.replicas[(leader+1)%3]
	if one == tw.replicas[2] { // the far gateway is there
		one = tw.replicas[(leader+2)%3]
	}
	one.kill()
	one.start()
	if after, _, err := tw.leads(); err != nil || after != leader {
		tw.t.Errorf("a follower died, and replica %d leads instead of %d (%v)", after, leader, err)
	}
}

// killLeader kills the replica that leads, waits until another does, and starts it again.
func (tw *town) killLeader() {
	tw.t.Helper()
	leader, changes, err := tw.leads()
	if err != nil {
		tw.t.Fatal(err)
	}
	tw.replicas[leader].kill()
	died := time.Now()
	tw.led(changes)
	tw.t.Logf("another replica leads %v after the leader was killed", time.Since(died).Round(time.Millisecond))
	tw.replicas[leader].start()
}

// led waits until the lease has changed hands.
func (tw *town) led(changes int32) {
	tw.t.Helper()
	eventually(tw.t, "another leader", func() error {
		i, n, err := tw.leads()
		if err == nil && n == changes {
			err = fmt.Errorf("replica %d leads", i)
		}
		return err
	})
}

// killAll kills every replica at once. Users go on; then the replicas come back.
func (tw *town) killAll() {
	tw.t.Helper()
	_, changes, err := tw.leads()
	if err != nil {
		tw.t.Fatal(err)
	}
	for _, r := range tw.replicas {
		r.kill()
	}
	since := time.Now()
	eventually(tw.t, "users without any replica", func() error {
		if n := tw.users["baking"].Record().Tally(since, time.Time{}).Total; n < 20 {
			return fmt.Errorf("%d requests", n)
		}
		return nil
	})
	for _, r := range tw.replicas {
		r.start()
	}
	tw.led(changes)
}

// roll replaces the replicas one after the other, as a Deployment does: each leaves in order, and the proxies that it had
// go to others, which give them nothing that they have.
func (tw *town) roll() {
	tw.t.Helper()
	for _, name := range tw.names { // what was decided last may still be on its way
		tw.reaches(name, "settled", func(st *v1alpha1.RolloutStatus) bool { return st.SettledSeq == st.Traffic.Seq })
	}
	tw.bothInSync()
	before := givenTo([]*edge{tw.near, tw.far})
	for _, r := range tw.replicas {
		began := time.Now()
		if err := r.process.Stop(2 * patience); err != nil {
			tw.t.Errorf("%s: %v", r.name, err)
		}
		tw.t.Logf("%s left within %v", r.name, time.Since(began).Round(time.Millisecond))
		r.start()
	}
	tw.bothInSync()
	if diff := cmp.Diff(before, givenTo([]*edge{tw.near, tw.far})); diff != "" {
		tw.t.Errorf("proxies were given something by the replicas they went to (-before +now)\n%s", diff)
	}
}

// bothInSync waits until both gateways have all that they are to have.
func (tw *town) bothInSync() {
	tw.t.Helper()
	eventually(tw.t, "both gateways to be connected", func() error {
		n := int32(0)
		for _, st := range tw.reports() {
			n += st.Proxies.Synced
		}
		if n != 2 {
			return fmt.Errorf("%d are in sync: %+v", n, tw.reports())
		}
		return nil
	})
}

// loseServer takes the API server away for a time.
func (tw *town) loseServer() {
	tw.t.Helper()
	tw.server.Kill(tw.t)
	away := time.Now()
	timer := time.NewTimer(*outage)
	<-timer.C
	for _, r := range tw.replicas {
		if err := r.process.Ended(); err != nil {
			tw.t.Errorf("%s did not live on without the API server: %v", r.name, err)
		}
	}
	tw.server.Start(tw.t)
	tw.t.Logf("the API server was away for %v", time.Since(away).Round(time.Millisecond))
}

// revive starts a replica again that has ended, as a cluster does: one that led, and finds that another took the lease while
// it could not renew it, ends.
func (tw *town) revive() {
	tw.t.Helper()
	for _, r := range tw.replicas {
		if err := r.process.Ended(); err != nil {
			tw.t.Logf("%s starts again: %v", r.name, err)
			r.start()
		}
	}
}
