package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite the golden files")

// telling is a story that was played in a scripted world, on virtual time.
type telling struct {
	journal *Journal
	world   *scripted
	result  Result
	numbers Numbers
	failed  []string
	err     error
}

func tell(t *testing.T, breaks breakage, s script, limit time.Duration) telling {
	t.Helper()
	var out telling
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		out.journal = NewJournal(time.Now)
		out.world = &scripted{journal: out.journal, breaks: breaks, ctx: ctx}
		limited, stop := interruptible(ctx, limit)
		defer stop()
		story := &Story{World: out.world, Journal: out.journal, Script: s}
		out.result, out.err = story.Play(limited)
		cancel()
		synctest.Wait()
		out.numbers = Measure(out.journal.Moments(), out.result)
		out.failed = Check(out.numbers, out.result, s)
	})
	return out
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got; -rewrite writes it anew):\n%s", name, diff)
	}
}

func (o telling) plain() string {
	var text strings.Builder
	p := &plain{out: &text, start: o.journal.Start()}
	for _, m := range o.journal.Moments() {
		p.Show(m)
	}
	return text.String()
}

func TestStory_goesAsItShould(t *testing.T) {
	o := tell(t, breakage{}, script{}, 5*time.Minute)
	if o.err != nil || len(o.failed) > 0 {
		t.Errorf("got %v, %q, want a story that passes", o.err, o.failed)
	}
	golden(t, "passed.txt", o.plain()+"\n"+Table(o.numbers)+"\n"+Verdict(o.failed, 0)+"\n")
	text, err := json.MarshalIndent(Summarize(o.numbers, o.failed, "reviews True Stable"), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "passed.json", string(text)+"\n")
	var lines bytes.Buffer
	tl := &timeline{out: json.NewEncoder(&lines), start: o.journal.Start()}
	for _, m := range o.journal.Moments() {
		if err := tl.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "passed.timeline", lines.String())
}

func TestStory_goesOtherwise(t *testing.T) {
	for name, tc := range map[string]struct {
		breaks breakage
		want   []string
	}{
		"first apply": {breakage{notAdopted: true}, []string{
			`act 1, first apply: not within 1m0s: commit 1000000 is not applied: Problems: deploy/rollout.yaml:7: unknown field "subst"`}},
		"good fails": {breakage{goodFails: true}, []string{
			"act 2, a good release: v2 was rolled back: RegressionDetected at 50%",
			"v2 ended as RolledBack"}},
		"bad promoted": {breakage{badPromoted: true}, []string{
			"act 3, a bad release: v3 was promoted",
			"v3 ended as StepPassed",
			"notes beyond the expected ones: steppassed, steppassed"}},
		"retried": {breakage{retried: true}, []string{
			"act 4, not retried: AttemptStarted v3: the rejected version was tried again",
			"notes beyond the expected ones: started"}},
		"answers lost": {breakage{lost: true}, []string{
			"v2 at 100%: 99.90% of 4000 requests, at most 0.00 points off are allowed",
			"16 requests failed in the release of v2 that v3 did not answer",
			"3 requests failed in the release of v3 that v3 did not answer",
			"27 answers came from no version"}},
		"slow proxies": {breakage{slowAck: true}, []string{
			"the push of v2 was ACKed after 6.3s, at most 5s is allowed",
			"the push of v3 was ACKed after 6.3s, at most 5s is allowed",
			"proxies ran weight 0 for v3 6s after the decision, at most 2s is allowed",
			"the last request on v3 began 6s after the decision, at most 2s is allowed"}},
		"note lost":  {breakage{noteLost: true}, []string{"notes that did not come: completed"}},
		"note twice": {breakage{noteTwice: true}, []string{"1 notes came twice"}},
		"shed":       {breakage{sheds: true}, []string{"1000 of 28690 requests were shed, at most 0.1% may be"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := tell(t, tc.breaks, script{}, 5*time.Minute)
			if o.err != nil {
				t.Errorf("got error %v, want none", o.err)
			}
			if diff := cmp.Diff(tc.want, o.failed); diff != "" {
				t.Errorf("failed checks (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStory_sharesBesideTheWeightFail(t *testing.T) {
	o := tell(t, breakage{skewed: true}, script{}, 5*time.Minute)
	if len(o.failed) < 2 || !strings.HasPrefix(o.failed[0], "v2 at 15%: 29.99%") {
		t.Errorf("failed checks: got %q, want first that v2 was seen about 30%% at 15%%", o.failed)
	}
}

func TestStory_endsAtItsTimeout(t *testing.T) {
	o := tell(t, breakage{}, script{}, 20*time.Second)
	if !errors.Is(o.err, errTimeout) {
		t.Errorf("got %v, want %v", o.err, errTimeout)
	}
	if code := exitCode(o.err); code != 124 {
		t.Errorf("exit code: got %d, want 124", code)
	}
}

func TestStory_endsWhenInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outer, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		journal := NewJournal(time.Now)
		world := &scripted{journal: journal, ctx: outer}
		ctx, stop := interruptible(outer, time.Hour)
		defer stop()
		time.AfterFunc(3*time.Second, interrupt)
		_, err := (&Story{World: world, Journal: journal}).Play(ctx)
		if !errors.Is(err, errInterrupted) {
			t.Errorf("got %v, want %v", err, errInterrupted)
		}
		if code := exitCode(err); code != 130 {
			t.Errorf("exit code: got %d, want 130", code)
		}
		synctest.Wait()
	})
}

func TestFrame_inTheMiddleOfTheBadRelease(t *testing.T) {
	o := tell(t, breakage{}, script{}, 5*time.Minute)
	moments := o.journal.Moments()
	at := 0
	for i, m := range moments {
		if m.Kind == KindTransition && m.Event.Phase == "Baking" && m.Event.Subset == bad {
			at = i + 1
		}
	}
	s := scene{now: moments[at-1].At.Add(2 * time.Second), start: o.journal.Start(), moments: moments[:at], record: o.world.record,
		look: Look{Harm: "64.2"}, width: 110}
	golden(t, "frame.txt", strings.Join(frame(s), "\n")+"\n")
	s.width = 40
	for _, line := range frame(s) {
		if n := len([]rune(line)); n > 40 {
			t.Errorf("%q has %d columns, want at most 40", line, n)
		}
	}
	early := frame(scene{now: o.journal.Start(), start: o.journal.Start(), width: 80})
	if got := early[0]; !strings.HasPrefix(got, "Sluice demo   starting") {
		t.Errorf("before anything has happened: got %q", got)
	}
}

func TestScreen_clearsWhatALongerFrameLeft(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &screen{out: &out}
	s.Draw([]string{"one", "two"})
	s.Draw([]string{"three"})
	want := "\r\x1b[2Kone\n\r\x1b[2Ktwo\n\x1b[2A\r\x1b[2Kthree\n\x1b[J"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
