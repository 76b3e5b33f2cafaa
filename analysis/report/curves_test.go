package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/analysis/report"
)

var (
	rewrite  = flag.Bool("rewrite", false, "write the goldens anew")
	pictures = flag.String("pictures", "", "a directory to write PNGs to, for looking at")
)

// world is traffic with a fixed sequence of failures, judged window by window.
type world struct {
	t      *testing.T
	cfg    analysis.Config
	ev     analysis.Evidence
	at     time.Time
	since  time.Time // the step's weight was asked for
	dice   uint64
	curves report.Curves
}

func newWorld(t *testing.T) *world {
	t.Helper()
	start := time.Date(2026, 5, 12, 9, 14, 0, 0, time.UTC)
	return &world{t: t, cfg: analysis.Default(), at: start, dice: 12345, curves: report.Curves{
		Metric: "errors", Canary: "v2", Stable: "v1", Alpha: 0.01, Beta: 0.05, Start: start,
	}}
}

// failures of n requests, each with probability p.
func (w *world) failures(n int, p float64) uint64 {
	var bad uint64
	for range n {
		w.dice = w.dice*6364136223846793005 + 1442695040888963407
		if float64(w.dice>>11)/(1<<53) < p {
			bad++
		}
	}
	return bad
}

// traffic is how a step goes.
type traffic struct {
	step, weight int
	windows      int
	canary       float64 // share of bad requests
	gap          int     // windows at its end without data
	more         bool    // it goes on with the step before
}

// step judges a step, until it is decided; it reports how.
func (w *world) step(x traffic) analysis.Verdict {
	if !x.more {
		w.since = w.at
		w.curves.Marks = append(w.curves.Marks, report.Mark{At: w.at, Weight: x.weight}, report.Mark{Kind: report.Acked, At: w.at.Add(2 * time.Second)})
		w.at = w.at.Add(12 * time.Second)
	}
	for i := range x.windows + x.gap {
		from := w.at
		w.at = w.at.Add(5 * time.Second)
		n := 5 * x.weight
		batch := analysis.Batch{Moment: analysis.Moment{At: w.at, Step: x.step, Weight: x.weight, Endpoints: 3, Since: w.since, Settled: w.since.Add(12 * time.Second)}}
		if i < x.windows {
			batch.Windows = []analysis.Window{{Metric: "errors", Start: from, End: w.at, Canary: counts(uint64(n), w.failures(n, x.canary)),
				Stable: counts(uint64(500-n), w.failures(500-n, 0.002))}}
			batch.Coverage = []analysis.Coverage{{Metric: "errors", Length: 5 * time.Second, Interval: 5 * time.Second, Cursor: w.at, Newest: w.at, LastCanary: w.at, LastStable: w.at, Total: true}}
		} else {
			batch.Gaps = []analysis.Gap{{Metric: "errors", Reason: analysis.Timeout}}
		}
		var r analysis.Report
		w.ev, r = analysis.Judge(w.cfg, w.ev, batch)
		w.curves.Add(r, x.step)
		if r.Verdict == analysis.Rollback {
			w.decide(r.Verdict, "rolled back", report.Sentence(report.Place{Stable: "v1", Canary: "v2", Step: x.step, Steps: 3, Weight: x.weight}, r))
			return r.Verdict
		}
		w.curves.Sentence = report.Sentence(report.Place{Stable: "v1", Canary: "v2", Step: x.step, Steps: 3, Weight: x.weight}, r)
	}
	return analysis.Inconclusive
}

func (w *world) decide(v analysis.Verdict, words, sentence string) {
	w.curves.Sentence = sentence
	w.curves.Marks = append(w.curves.Marks, report.Mark{Kind: report.Decision, At: w.at, Verdict: v, Text: words})
}

// stories are attempts of each kind.
func stories(t *testing.T) map[string]report.Curves {
	t.Helper()
	good := newWorld(t)
	good.step(traffic{step: 1, weight: 15, windows: 40, canary: 0.002})
	good.step(traffic{step: 2, weight: 50, windows: 30, canary: 0.002})
	good.step(traffic{step: 3, weight: 100, windows: 20, canary: 0.002})
	good.decide(analysis.Promote, "completed", "v2 serves 100% after 3 steps in 7m: no worse than v1")

	bad := newWorld(t)
	bad.step(traffic{step: 1, weight: 15, windows: 40, canary: 0.002})
	if v := bad.step(traffic{step: 2, weight: 50, windows: 60, canary: 0.02}); v != analysis.Rollback {
		t.Fatalf("a canary that is ten times worse: %s", v)
	}
	blind := newWorld(t)
	blind.step(traffic{step: 1, weight: 15, windows: 12, canary: 0.002, gap: 14})
	blind.step(traffic{step: 1, weight: 15, windows: 10, canary: 0.002, more: true})

	quiet := newWorld(t)
	quiet.curves.Canary = "a-version-with-a-name-as-long-as-they-can-be-in-clusters"
	quiet.step(traffic{step: 1, weight: 15, windows: 1, canary: 0})
	taken := bad.curves // by another process than began it
	taken.Points, taken.Marks = taken.Points[30:], taken.Marks[2:]
	taken.Watched = taken.Points[0].At
	return map[string]report.Curves{"good": good.curves, "bad": bad.curves, "blind": blind.curves, "quiet": quiet.curves, "taken": taken}
}

func TestSVG_goldenOfEachStory(t *testing.T) {
	for name, c := range stories(t) {
		got, err := report.SVG(c)
		if err != nil {
			t.Fatal(err)
		}
		if *pictures != "" {
			dots, err := report.PNG(c)
			if err == nil {
				err = os.WriteFile(filepath.Join(*pictures, name+".png"), dots, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		golden := filepath.Join("testdata", name+".svg")
		if *rewrite {
			if err := os.WriteFile(golden, got, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(got), "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		wellFormed(t, name, got)
	}
}

// wellFormed reads the picture as XML, and looks for what must not be in it.
func wellFormed(t *testing.T, name string, svg []byte) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(svg))
	titles := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "title":
			titles++
		case "svg", "path", "text":
		default:
			t.Errorf("%s: an element <%s>", name, e.Name.Local)
		}
		for _, a := range e.Attr {
			if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") || strings.Contains(a.Name.Local, "href") || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
				t.Errorf("%s: <%s %s=%q>", name, e.Name.Local, a.Name.Local, a.Value)
			}
		}
	}
	if titles != 1 {
		t.Errorf("%s: %d titles", name, titles)
	}
}

func TestPNG_isThePictureInDotsAndAlwaysTheSameBytes(t *testing.T) {
	c := stories(t)["bad"]
	first, err := report.PNG(c)
	if err != nil {
		t.Fatal(err)
	}
	second, err := report.PNG(c)
	if err != nil || !bytes.Equal(first, second) {
		t.Errorf("the second picture differs, %v", err)
	}
	img, err := png.Decode(bytes.NewReader(first))
	if err != nil || img.Bounds().Dx() != 1520 || img.Bounds().Dy() != 940 {
		t.Errorf("%v, %v", img.Bounds(), err)
	}
}

func TestSVG_whatIsNoNumberIsNotDrawn(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	none, endless := math.NaN(), math.Inf(1)
	c := report.Curves{Sentence: "a <script>alert(1)</script> \x1b[31m & \"quotes\"", Metric: "m", Points: []report.Point{
		{At: at, Step: 1, Ratio: &none, AtLeast: endless, Harm: none, Safe: math.Inf(-1)},
		{At: at.Add(time.Second), Step: 1, Ratio: &endless, AtLeast: none, Harm: endless, Safe: none},
	}}
	got, err := report.SVG(c)
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "hostile", got)
	if bytes.Contains(got, []byte("<script")) || bytes.ContainsAny(got, "\x1b") {
		t.Errorf("got %s", got)
	}
	if _, err := report.PNG(c); err != nil {
		t.Error(err)
	}
	for _, draw := range []func(report.Curves) ([]byte, error){report.SVG, report.PNG} {
		if out, err := draw(report.Curves{Sentence: "nothing"}); !errors.Is(err, report.ErrNothingToDraw) || out != nil {
			t.Errorf("of nothing: %v", err)
		}
	}
	one, err := report.SVG(report.Curves{Points: c.Points[:1]})
	if err != nil {
		t.Fatal(err)
	}
	wellFormed(t, "one point", one)
}
