package cli_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/poll"
)

// decide answers the next action on a rollout as the controller would, and gives what was asked.
func (d *desk) decide(t *testing.T, rollout string, st v1alpha1.RolloutActionStatus) <-chan v1alpha1.RolloutActionSpec {
	asked := make(chan v1alpha1.RolloutActionSpec, 1)
	go func() {
		defer close(asked)
		err := poll.Until(15*time.Second, func() error {
			list := &v1alpha1.RolloutActionList{}
			if err := d.client.List(t.Context(), list, client.InNamespace(d.ns)); err != nil {
				return err
			}
			for _, a := range list.Items {
				if a.Spec.Rollout != rollout || a.Status.Result != "" {
					continue
				}
				a.Status = st
				if err := d.client.Status().Update(t.Context(), &a); err != nil {
					return err
				}
				asked <- a.Spec
				return nil
			}
			return fmt.Errorf("no action on %s yet", rollout)
		})
		if err != nil {
			t.Error(err)
		}
	}()
	return asked
}

func TestAct_saysWhatCameOfIt(t *testing.T) {
	d := newDesk(t)
	accepted := func(message string) v1alpha1.RolloutActionStatus {
		return v1alpha1.RolloutActionStatus{Result: v1alpha1.ActionAccepted, Message: message}
	}
	for _, c := range []struct {
		args   []string
		status v1alpha1.RolloutActionStatus
		verb   v1alpha1.ActionVerb
		step   string
		code   int
		out    string // NAME stands for the rollout
		err    string
	}{
		{args: []string{"promote"}, status: accepted("step 1/3 is passed"), verb: v1alpha1.ActionPromote,
			out: "promote NAME (attempt 2): step 1/3 is passed\nundo: sluice rollback NAME -n NS --reason WHY\n"},
		{args: []string{"promote", "--full", "--reason", "outage"}, status: accepted(""), verb: v1alpha1.ActionPromoteFull,
			out: "promoteFull NAME (attempt 2): accepted\nundo: sluice rollback NAME -n NS --reason WHY\n"},
		{args: []string{"pause"}, status: accepted("paused"), verb: v1alpha1.ActionPause,
			out: "pause NAME (attempt 2): paused\nundo: sluice resume NAME -n NS\n"},
		{args: []string{"skip", "--step", "3", "--reason", "known"}, status: accepted("at step 3"), verb: v1alpha1.ActionSkip, step: "3",
			out: "skip NAME (attempt 2): at step 3\nundo: sluice rollback NAME -n NS --reason WHY\n"},
		{args: []string{"approve"}, status: v1alpha1.RolloutActionStatus{Result: v1alpha1.ActionRefused, Code: "NothingToApprove", Message: "step 1 asks for no approval"},
			verb: v1alpha1.ActionApprove, code: 1,
			err: "error: approve NAME (attempt 2): refused: NothingToApprove: step 1 asks for no approval\nnext: sluice status NAME -n NS\n"},
		{args: []string{"retry"}, status: v1alpha1.RolloutActionStatus{Result: v1alpha1.ActionExpired, Message: "nobody decided within 10m0s"},
			verb: v1alpha1.ActionRetry, code: 1, err: "error: retry NAME (attempt 2): expired: expired: nobody decided within 10m0s\nnext: sluice status NAME -n NS\n"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			name := "act-" + c.args[0] + fmt.Sprint(len(c.args))
			d.put(t, name, baking())
			asked := d.decide(t, name, c.status)
			code, out, errs := d.run(t, append([]string{c.args[0], name}, c.args[1:]...)...)
			got := [3]string{fmt.Sprint(code), out, errs}
			filled := strings.NewReplacer("NAME", name, "-n NS", "-n "+d.ns)
			want := [3]string{fmt.Sprint(c.code), filled.Replace(c.out), filled.Replace(c.err)}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("exit code and outputs (-want +got):\n%s", diff)
			}
			spec := <-asked
			if spec.Verb != c.verb || spec.IfAttempt != 2 || spec.Step != c.step || spec.Actor == "" {
				t.Errorf("asked for %+v, want verb %s of attempt 2, step %q, by somebody", spec, c.verb, c.step)
			}
		})
	}
}

func TestAct_refusesWhatCannotBe(t *testing.T) {
	d := newDesk(t)
	d.put(t, "calm", baking())
	fresh := &v1alpha1.Rollout{Spec: v1alpha1.RolloutSpec{Host: "fresh", Subset: "v1"}}
	fresh.Namespace, fresh.Name = d.ns, "fresh"
	if err := d.client.Create(t.Context(), fresh); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"rollback", "calm"}, 2, "it needs a --reason"},
		{[]string{"promote", "calm", "--override-window"}, 2, "it needs a --reason"},
		{[]string{"skip", "calm", "--reason", "x"}, 2, "it needs --step"},
		{[]string{"pause", "calm", "--reason", strings.Repeat("x", 281)}, 2, "more than 280"},
		{[]string{"pause", "source/calm"}, 2, "does not name a rollout"},
		{[]string{"pause", "calm", "--timeout", "0s"}, 2, "must be above 0"},
		{[]string{"pause", "nobody"}, 5, "not found"},
		{[]string{"promote", "fresh"}, 1, "has had no attempt yet"},
		{[]string{"pause", "calm", "--timeout", "3s"}, 124, "nobody has decided"},
	} {
		code, out, errs := d.run(t, c.args...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) {
			t.Errorf("sluice %s: exit %d, %q, %q; want exit %d and %q", strings.Join(c.args, " "), code, out, errs, c.code, c.says)
		}
	}
	code, out, errs := d.run(t, "pause", "calm", "--no-wait", "--attempt", "2")
	if code != 0 || !strings.HasPrefix(out, "asked: pause calm (attempt 2) (rolloutaction/calm-pause-") {
		t.Errorf("--no-wait: exit %d, %q, %q", code, out, errs)
	}
}

func TestWait_endsWhenItIsThere(t *testing.T) {
	d := newDesk(t)
	d.put(t, "baking", baking())
	d.put(t, "paused", paused())
	d.put(t, "back", rolledBack())
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"baking", "--for=step=1"}, 0, ""},
		{[]string{"baking", "--for=weight=15"}, 0, ""},
		{[]string{"baking", "--for=weight=50", "--timeout", "300ms"}, 124, "rollout baking is not weight=50 after 300ms"},
		{[]string{"baking", "--for=condition=Ready=False", "--timeout", "300ms"}, 124, "is not condition=Ready=False"},
		{[]string{"baking", "--for=condition=Ready=unknown"}, 0, ""},
		{[]string{"baking", "--for=completed", "--attempt", "1"}, 1, "attempt 1 of rollout baking was followed by attempt 2"},
		{[]string{"paused", "--for=paused"}, 0, ""},
		{[]string{"back", "--for=rolledback"}, 0, ""},
		{[]string{"back", "--for=completed"}, 3, "Git wants v3"},
		{[]string{"back", "--for=step=2"}, 3, "Git wants v3"},
		{[]string{"nobody", "--for=paused"}, 5, "does not exist"},
		{[]string{"baking", "--for=done"}, 2, "want completed, paused"},
		{[]string{"baking", "--for=weight=101"}, 2, "want completed, paused"},
		{[]string{"baking", "--for=paused=1"}, 2, "want completed, paused"},
	} {
		code, out, errs := d.run(t, append([]string{"wait"}, c.args...)...)
		if code != c.code || out != "" || !strings.Contains(errs, c.says) {
			t.Errorf("sluice wait %s: exit %d, %q, %q; want exit %d and %q", strings.Join(c.args, " "), code, out, errs, c.code, c.says)
		}
	}
}
