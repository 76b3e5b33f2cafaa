package story_test

import (
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluice-dev/sluice/internal/cli/story"
	"github.com/sluice-dev/sluice/test/browser"
)

var pictures = flag.String("pictures", "", "a directory to write PNGs of the page to, for looking at")

// views are a phone and a desk, by day and by night.
func views() []browser.View {
	return []browser.View{{Width: 360, Height: 740}, {Width: 360, Height: 740, Dark: true}, {Width: 1280, Height: 900}, {Width: 1280, Height: 900, Dark: true}}
}

// faint gives the texts on the page that are too small, or whose contrast with what is behind them is below 4.5 to 1.
const faint = `(() => {
  const parts = c => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m.slice(0, 3) };
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4 }); return 0.2126 * r + 0.7152 * g + 0.0722 * b };
  const behind = e => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c) return c } return [255, 255, 255] };
  const out = [];
  for (const e of document.body.querySelectorAll('*')) {
    const own = [...e.childNodes].filter(n => n.nodeType === 3).map(n => n.textContent).join('').trim();
    if (!own || e.tagName === 'title') continue;
    const style = getComputedStyle(e), svg = e.namespaceURI.endsWith('svg');
    const a = light(parts(svg ? style.fill : style.color)), b = light(behind(e));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const scale = svg ? e.getScreenCTM().d : 1, size = parseFloat(style.fontSize) * Math.abs(scale);
    if (contrast < 4.5 || size < 10.5) out.push(own.slice(0, 40) + ': ' + contrast.toFixed(1) + ' to 1, ' + size.toFixed(1) + ' px');
  }
  return out })()`

// A person sees the report as it is meant: all of it, legible, in the colours that they asked for, and nothing from elsewhere.
func TestHTML_asPeopleSeeIt(t *testing.T) {
	d := told(t)
	page, err := story.HTML(d)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "report.html")
	if err := os.WriteFile(file, page, 0o600); err != nil {
		t.Fatal(err)
	}
	address := (&url.URL{Scheme: "file", Path: file}).String()
	b := browser.Start(t)
	for _, v := range views() {
		p := b.Open(t, address, v)
		if *pictures != "" {
			p.Picture(t, filepath.Join(*pictures, strings.NewReplacer(" ", "", ",", "-").Replace(v.String())+".png"))
		}
		if got, want := browser.Value[string](t, p, "document.title"), "bookinfo/reviews, attempt 3: "+d.Report.Sentence; got != want {
			t.Errorf("%v: the title is %q, want %q", v, got, want)
		}
		if got := browser.Value[string](t, p, "document.querySelector('h1').innerText"); got != d.Report.Sentence {
			t.Errorf("%v: the page is headed %q, want %q", v, got, d.Report.Sentence)
		}
		if trouble := p.Trouble(); len(trouble) > 0 {
			t.Errorf("%v: the console says %q", v, trouble)
		}
		if diff := cmp.Diff([]string{address}, p.Requests()); diff != "" {
			t.Errorf("%v: what was loaded (-want +got):\n%s", v, diff)
		}
		if wide := browser.Value[int](t, p, "document.documentElement.scrollWidth"); wide > v.Width {
			t.Errorf("%v: the page is %d px wide", v, wide)
		}
		plot := browser.Value[[]float64](t, p, "(r => [r.width, r.height, r.left])(document.querySelector('figure svg').getBoundingClientRect())")
		if plot[0] < 300 || plot[1] < 180 || plot[2] < 0 {
			t.Errorf("%v: the plot is %.0f by %.0f px at %.0f", v, plot[0], plot[1], plot[2])
		}
		if bad := browser.Value[[]string](t, p, faint); len(bad) > 0 {
			t.Errorf("%v: %d texts are hard to read: %s", v, len(bad), fmt.Sprintf("%.12q", bad))
		}
		paper := browser.Value[string](t, p, "getComputedStyle(document.body).backgroundColor")
		if dark := paper != "rgb(255, 255, 255)"; dark != v.Dark {
			t.Errorf("%v: the paper is %s", v, paper)
		}
	}
}
