package notify_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/notify"
	"github.com/sluice-dev/sluice/test/receiver"
)

// said are sentences as the engine writes them.
func said(kind v1alpha1.NoteKind) string {
	switch kind {
	case v1alpha1.NoteStarted:
		return "v3 (c07aa19) against v2: steps 15%, 50%, 100%"
	case v1alpha1.NoteStepPassed:
		return "step 1/3 (15%) passed: errors 0.048% (2/4190) against 0.042% (10/23800); asking for 50%"
	case v1alpha1.NoteCompleted:
		return "v3 is stable: errors 0.048% (2/4190) against 0.042% (10/23800); v2 is kept until 2026-01-01T00:10:00Z"
	case v1alpha1.NoteResumed:
		return "step 1/3 (15%): resumed by ana"
	case v1alpha1.NoteSuperseded:
		return "v3 ends at step 1/3 (15%): Git asks for v4 9be01f2 instead; v2 serves 100%"
	case v1alpha1.NotePaused:
		return "step 1/3 (15%): paused here by the plan"
	case v1alpha1.NoteApprovalNeeded:
		return "step 2/3 (50%): waits for 1 of 2 approvals"
	case v1alpha1.NoteWaitingForTraffic:
		return "step 1/3 (15%): needs about 640 more requests on v3, 1h11m at this rate"
	case v1alpha1.NoteSuspicious:
		return "step 1/3 (15%): errors 2.1% (9/418) against 0.042% (1/2380), not yet sure"
	case v1alpha1.NoteAborted:
		return "v3 ends at step 1/3 (15%): aborted by ana: wrong image; v2 serves 100%"
	case v1alpha1.NoteBlocked:
		return "step 1/3 (15%): 0 proxies are connected, 1 are needed"
	case v1alpha1.NoteGitDrift:
		return "Git asks for v3, which was rejected in attempt 3 (RegressionDetected); v2 serves 100%"
	case v1alpha1.NoteGitInSync:
		return "Git asks for v2 again, which is stable"
	case v1alpha1.NoteSourceFailed:
		return "BuildFailed: deploy/kustomization.yaml:3: there is no file rollout.yaml"
	case v1alpha1.NoteRolledBack:
	}
	return rolledBack().Report.Sentence
}

// each is a note of a kind as the golden files show it.
func each(kind v1alpha1.NoteKind) notify.Note {
	n := of(kind, said(kind))
	if kind == v1alpha1.NoteSourceFailed {
		n.Report = view.EvidenceReport{Source: &view.Object{Namespace: "bookinfo", Name: "shop"}, Note: kind, At: n.Report.At, Sentence: said(kind),
			Git: &view.Git{URL: "https://git.example.com/shop/deploy.git", Commit: sha, Context: "sluice/bookinfo/source/shop", State: "error"}}
	}
	if kind == v1alpha1.NoteCompleted || kind == v1alpha1.NoteStepPassed {
		n.Report.Metrics = []v1alpha1.MetricStatus{{Name: "errors", Canary: v1alpha1.ArmStatus{Requests: 4190, Bad: 2}, Stable: v1alpha1.ArmStatus{Requests: 23800, Bad: 10}}}
	}
	switch kind {
	case v1alpha1.NoteAborted: // sent before the proxies had answered
		n.Report.ZeroAt = nil
	case v1alpha1.NoteSuspicious:
		n.Report.Proxies = &v1alpha1.ProxiesStatus{Connected: 4, Acked: 2, Nacked: 1, Laggards: []string{"gw-3"}}
	case v1alpha1.NoteBlocked:
		n.Report.Proxies = &v1alpha1.ProxiesStatus{}
	default:
	}
	n.Report.Links = view.LinkTemplates{Page: "https://sluice.example.com/{namespace}/{name}/{attempt}"}.For(view.LinkTarget{Object: n.Report.Rollout, Attempt: n.Report.Attempt})
	return n
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := "testdata/" + name
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func TestGolden_eachKindInWords(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	for _, kind := range v1alpha1.NoteKinds() {
		n := each(kind)
		fmt.Fprintf(&out, "%s\n", n.Line())
		for _, d := range n.Details() {
			fmt.Fprintf(&out, "    %s\n", d)
		}
		out.WriteString("\n")
		first, _, _ := strings.Cut(n.Line(), ";")
		if len(first) > 160 {
			t.Errorf("%s: the first clause has %d bytes", kind, len(first))
		}
	}
	golden(t, "kinds.txt", out.String())
}

// attempt are the notes of an attempt that fails in its second step.
func attempt() []notify.Note {
	kinds := []v1alpha1.NoteKind{v1alpha1.NoteStarted, v1alpha1.NoteStepPassed, v1alpha1.NoteSuspicious, v1alpha1.NoteRolledBack}
	var out []notify.Note
	for i, kind := range kinds {
		n := each(kind)
		n.Report.At = n.Report.At.Add(time.Duration(i) * time.Minute)
		if i > 0 {
			at := each(kind).Report.At.Add(time.Duration(min(i, 2)) * 30 * time.Second) // step 1, then step 2
			n.Report.AckedAt = &at
		}
		out = append(out, n)
	}
	return out
}

func TestGolden_anAttemptInSlack(t *testing.T) {
	t.Parallel()
	c := newChat(t)
	c.spec.MentionOnRollback = []string{"S0ONCALL"}
	var out strings.Builder
	for _, n := range attempt() {
		before := len(c.Calls(""))
		c.must(t, n)
		fmt.Fprintf(&out, "# %s\n", n.Report.Note)
		for _, call := range c.Calls("")[before:] {
			args, err := json.MarshalIndent(call.Args, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s %s\n", call.Method, args)
		}
		out.WriteString("\n")
	}
	golden(t, "slackapi.txt", out.String())
}

func TestGolden_anAttemptInGrafana(t *testing.T) {
	t.Parallel()
	d := newDrawer(t, func(receiver.Asked) receiver.Answer { return receiver.Answer{Status: 200, Body: `{"id":7}`} })
	var out strings.Builder
	for _, n := range attempt()[1:] {
		before := len(d.Asked())
		if err := d.tell(t, n); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "# %s\n", n.Report.Note)
		for _, a := range d.Asked()[before:] {
			body, err := json.MarshalIndent(a.Body, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(&out, "%s %s %s\n", a.Method, a.Path, body)
		}
		out.WriteString("\n")
	}
	golden(t, "grafana.txt", out.String())
}

func TestGolden_teams(t *testing.T) {
	t.Parallel()
	raw, err := notify.TeamsMessage(each(v1alpha1.NoteRolledBack))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "teams.json", string(indent(t, raw)))
}
