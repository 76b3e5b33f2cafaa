package story_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/report"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/cli/story"
)

var rewrite = flag.Bool("rewrite", false, "write the goldens anew")

func start() time.Time { return time.Date(2026, 5, 12, 9, 14, 0, 0, time.UTC) }

func at(seconds int) *time.Time {
	t := start().Add(time.Duration(seconds) * time.Second)
	return &t
}

// told is a bad release with everything that a report can hold.
func told(t *testing.T) story.Document {
	t.Helper()
	ratio := 12.5
	points := make([]view.StoryPoint, 0, 64)
	curves := report.Curves{Sentence: "rolled back", Metric: "errors", Canary: "v3", Stable: "v2", Alpha: 0.01, Beta: 0.05, Margin: 1.25, Start: start(), End: *at(330)}
	for i := range 64 {
		p := view.StoryPoint{At: *at(5 * i), Step: 1 + i/40, Ratio: &ratio, Harm: 0.08 * float64(i), Safe: 1 - 0.05*float64(i)}
		points = append(points, p)
		curves.Points = append(curves.Points, report.Point{At: p.At, Step: p.Step, Ratio: p.Ratio, AtLeast: 1.25, Harm: p.Harm, Safe: p.Safe})
	}
	curves.Marks = []report.Mark{{At: start(), Weight: 15}, {At: *at(200), Weight: 50}, {Kind: report.Decision, At: *at(330), Verdict: analysis.Rollback, Text: "rolled back"}}
	svg, err := report.SVG(curves)
	if err != nil {
		t.Fatal(err)
	}
	needed := int64(-1)
	return story.Document{At: *at(600), Plot: svg, Report: view.EvidenceReport{
		APIVersion: view.APIVersion, Kind: view.KindEvidenceReport, Rollout: view.Object{Namespace: "bookinfo", Name: "reviews"}, Attempt: 3, Seq: 11, ZeroAt: at(331),
		Sentence: "rolled back to v2 at step 2/3 (50%): errors 20.1% (84/418) against 0.042% (1/2380), at least 43.3x (99%); v2 serves 100%",
		Version:  &view.Version{Name: "v3", Commit: "c07aa19f0012", Author: "A. Martin", Subject: "Retry budget for ratings"},
		Stable:   &view.Version{Name: "v2"},
		Metrics: []v1alpha1.MetricStatus{
			{Name: "errors", Canary: v1alpha1.ArmStatus{Requests: 418, Bad: 84}, Stable: v1alpha1.ArmStatus{Requests: 2380, Bad: 1}, Ratio: "478", AtLeast: "43.3", Harm: "118", Safe: "0.02", Needed: &needed},
			{Name: "latency", NotJudged: "NoSeries"},
			{Name: "queue", Gate: &v1alpha1.GateStatus{State: v1alpha1.GatePassed, Passed: 3, Value: "12.3"}},
		},
		Story: &view.Story{
			Outcome: v1alpha1.OutcomeRolledBack, Reason: "RegressionDetected", StartedAt: at(0), EndedAt: at(330),
			Steps: []view.StoryStep{
				{Step: 1, Name: "first", Weight: 15, From: at(0), Acked: at(1), To: at(200), Result: "Override", Actor: "ana"},
				{Step: 2, Weight: 50, From: at(200), To: at(330), Result: "rolledBack"},
			},
			Acts:    []view.StoryAct{{At: at(200), Verb: v1alpha1.ActionPromote, Actor: "ana", Reason: "looks | fine", Result: v1alpha1.ActionAccepted}},
			Events:  []view.StoryEvent{{At: *at(330), About: "rollout/reviews", Reason: "RegressionDetected", Note: "rolled back to v2"}},
			Queries: []view.StoryQuery{{Metric: "errors", Server: "http://127.0.0.1:9090", Query: `{__name__=~"a|b",envoy_cluster_name="outbound|9080|v3|reviews"}[130s]`}},
			Proxies: &v1alpha1.ProxiesStatus{Connected: 3, Acked: 2, Laggards: []string{"gw-3"}},
			Now:     view.StoryNow{Sentence: "Git asks for v3, which was rejected; v2 serves"},
			Curves:  &view.StoryCurves{Metric: "errors", Server: "http://127.0.0.1:9090", Alpha: 0.01, Beta: 0.05, Margin: 1.25, Points: points},
			Missing: []string{"metric checkout over time: MetricTemplate checkout: not found"},
		},
	}}
}

func TestDocument_goldenOfEachForm(t *testing.T) {
	d := told(t)
	page, err := story.HTML(d)
	if err != nil {
		t.Fatal(err)
	}
	for name, got := range map[string]string{"told.md": story.Markdown(d), "told.html": string(page)} {
		golden := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil { //nolint:gosec // a golden
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// What is not known is left out or n/a; nothing is made up.
func TestDocument_ofLittleIsShort(t *testing.T) {
	d := story.Document{At: start(), Report: view.EvidenceReport{Rollout: view.Object{Namespace: "a", Name: "b"}, Attempt: 1, Sentence: "step 1/3 (15%): nothing judged yet",
		Story: &view.Story{Outcome: v1alpha1.OutcomeOpen, Now: view.StoryNow{Sentence: "Git asks for v2, and it is on the way"}}}}
	text := story.Markdown(d)
	for _, part := range []string{"| Ended | it goes on |", "| Author | n/a |", "| Compared with | n/a |"} {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
	for _, part := range []string{"## Evidence", "## Steps", "## Queries", "## Proxies"} {
		if strings.Contains(text, part) {
			t.Errorf("a section %q of nothing", part)
		}
	}
	if page, err := story.HTML(d); err != nil || bytes.Contains(page, []byte("<figure>")) {
		t.Errorf("a figure of nothing, %v", err)
	}
}

func TestDocument_hostileTextIsText(t *testing.T) {
	d := told(t)
	const bad = "</title><script>alert(1)</script>\x1b[31m\u202e | [x](javascript:alert(1)) ![i](http://evil/x.png) @everyone `` ``` **b** {{.}}"
	d.Report.Sentence, d.Report.Version.Subject, d.Report.Version.Author = bad, bad, bad
	s := d.Report.Story
	s.Acts[0].Reason, s.Events[0].Note, s.Queries[0].Query, s.Now.Sentence, s.Missing[0], s.Steps[0].Name = bad, bad, bad, bad, bad, bad
	d.Report.Metrics[0].Name = bad
	page, err := story.HTML(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range []string{"<script", "<img", "javascript:alert(1)\"", "\x1b", "\u202e"} {
		if strings.Contains(strings.ToLower(string(page)), tag) {
			t.Errorf("the page holds %q", tag)
		}
	}
	if tags := regexp.MustCompile(`(?i)<(script|iframe|link|img|object|base)\b|\son[a-z]+=|\s(src|href)=`).FindAll(page, -1); len(tags) > 0 {
		t.Errorf("the page holds %q", tags)
	}
	text := story.Markdown(d)
	outside := regexp.MustCompile("(?s)```+text\n.*?\n```+\n").ReplaceAllString(text, "")                 // a block shows what is in it
	if live := regexp.MustCompile(`(^|[^\\])[\[\]`+"`"+`*!]`).FindAllString(outside, -1); len(live) > 2 { // the sentence is bold
		t.Errorf("the text holds %q", live)
	}
	for _, part := range []string{"<script", "@everyone", "http://evil", "\x1b", "\u202e"} {
		if strings.Contains(outside, part) {
			t.Errorf("the text holds %q:\n%s", part, outside)
		}
	}
}
