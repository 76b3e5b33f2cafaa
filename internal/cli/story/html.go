package story

import (
	"bytes"
	"fmt"
	"html/template"
	"strings"

	"github.com/sluice-dev/sluice/api/v1alpha1"
)

// HTML is the document as one file: no script, nothing that is loaded from anywhere.
func HTML(d Document) ([]byte, error) {
	page, err := template.New("story").Parse(pageText)
	if err != nil {
		return nil, fmt.Errorf("reading the page: %w", err)
	}
	data := struct {
		Title, Sentence, Outcome, Mark, Told string
		Sections                             []part
	}{Title: d.title(), Sentence: d.sentence(), Told: instant(&d.At)}
	data.Outcome, data.Mark = standing(d.Report.Story.Outcome)
	for _, s := range d.sections() {
		data.Sections = append(data.Sections, d.part(s))
	}
	var out bytes.Buffer
	if err := page.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("writing the page: %w", err)
	}
	return out.Bytes(), nil
}

// part is a section as the page takes it.
type part struct {
	Title string
	Facts bool // a table of names and values
	Text  []string
	Plot  template.HTML
	Head  []string
	Rows  [][]string
	Code  string
}

func (d Document) part(s section) part {
	out := part{Title: s.title, Text: s.text, Head: s.head, Rows: s.rows, Code: strings.Join(s.code, "\n")}
	out.Facts = len(s.head) == 2 && s.head[0] == ""
	if s.plot {
		out.Plot = template.HTML(d.Plot) //nolint:gosec // drawn by analysis/report, which escapes every text
	}
	return out
}

// standing is an outcome as a word with a sign: colour alone says nothing.
func standing(o v1alpha1.Outcome) (word, mark string) {
	switch o {
	case v1alpha1.OutcomeCompleted:
		return "good", "✔ completed"
	case v1alpha1.OutcomeRolledBack:
		return "bad", "✖ rolled back"
	case v1alpha1.OutcomeOpen:
		return "open", "● open"
	case v1alpha1.OutcomeAborted, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeReverted, v1alpha1.OutcomeRestarted, v1alpha1.OutcomeDeleted:
	}
	return "ended", "■ " + string(o)
}

const pageText = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{{.Title}}: {{.Sentence}}</title>
<style>
:root{--paper:#fff;--ink:#1f2328;--soft:#59636e;--line:#d8dde3;--raised:#f6f8fa;--good:#00734f;--bad:#a84a00;--open:#0060a0;--ended:#59636e}
@media (prefers-color-scheme:dark){:root{--paper:#12161b;--ink:#e6eaef;--soft:#a3adb8;--line:#333b45;--raised:#1b2129;--good:#4fd1a5;--bad:#ff9c5a;--open:#6cc0f5;--ended:#a3adb8}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Helvetica,Arial,sans-serif}
main{max-width:68rem;margin:0 auto;padding:2.5rem 1.25rem 4rem}
h1{font-size:1.45rem;line-height:1.3;margin:.4rem 0 1.6rem;overflow-wrap:anywhere}
h2{font-size:1.05rem;margin:2.2rem 0 .7rem}
.where{color:var(--soft);margin:0;display:flex;gap:.9rem;flex-wrap:wrap;align-items:center;overflow-wrap:anywhere}
.mark{border:1.5px solid currentColor;border-radius:2rem;padding:.05rem .75rem;font-weight:600;font-size:.9rem}
.good{color:var(--good)}.bad{color:var(--bad)}.open{color:var(--open)}.ended{color:var(--ended)}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.42rem .9rem .42rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;white-space:nowrap}
td{overflow-wrap:anywhere}
.facts th{width:11rem}
pre{background:var(--raised);border:1px solid var(--line);border-radius:.5rem;padding:.8rem 1rem;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;font-size:.84rem}
figure{margin:0;border:1px solid var(--line);border-radius:.5rem;padding:.4rem}
figure svg{display:block;width:100%;height:auto}
.fill-paper{fill:var(--paper)}.fill-ink{fill:var(--ink)}.fill-soft{fill:var(--soft)}
.line-ink{stroke:var(--ink)}.line-soft{stroke:var(--soft)}.line-grid{stroke:var(--line)}
figcaption,footer{color:var(--soft);font-size:.88rem;padding:.3rem .6rem}
footer{padding:2.5rem 0 0}
@media (prefers-color-scheme:dark){figure svg [fill="#a84a00"]{fill:var(--bad)}figure svg [fill="#00734f"]{fill:var(--good)}figure svg [fill="#805800"]{fill:#f0bd4f}}
@media print{:root{--paper:#fff;--ink:#000;--soft:#444;--line:#bbb;--raised:#fff;--good:#00734f;--bad:#a84a00;--open:#0060a0}
main{padding:0;max-width:none}body{font-size:11pt}section{break-inside:avoid}pre{white-space:pre-wrap}figure svg [fill="#a84a00"]{fill:#a84a00}}
</style>
</head>
<body>
<main>
<p class="where"><span class="mark {{.Outcome}}">{{.Mark}}</span><span>{{.Title}}</span></p>
<h1>{{.Sentence}}</h1>
{{range .Sections}}<section>
<h2>{{.Title}}</h2>
{{if .Plot}}<figure>
{{.Plot}}{{range .Text}}<figcaption>{{.}}</figcaption>
{{end}}</figure>
{{else}}{{range .Text}}<p>{{.}}</p>
{{end}}{{end}}{{if .Facts}}<table class="facts">
{{range .Rows}}<tr>{{range $i, $cell := .}}{{if $i}}<td>{{$cell}}</td>{{else}}<th scope="row">{{$cell}}</th>{{end}}{{end}}</tr>
{{end}}</table>
{{else if .Rows}}<div class="wide"><table>
<tr>{{range .Head}}<th scope="col">{{.}}</th>{{end}}</tr>
{{range .Rows}}<tr>{{range .}}<td>{{.}}</td>{{end}}</tr>
{{end}}</table></div>
{{end}}{{if .Code}}<pre><code>{{.Code}}</code></pre>
{{end}}</section>
{{end}}<footer>Told by Sluice at {{.Told}}.</footer>
</main>
</body>
</html>
`
