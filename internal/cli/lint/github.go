package lint

import (
	"bytes"
	"fmt"
	"io"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/view"
)

// WriteGitHub writes the report as workflow commands of GitHub Actions, which show each finding beside its line.
func WriteGitHub(out io.Writer, r view.LintReport) error {
	var b bytes.Buffer
	for _, p := range r.Problems {
		command := string(p.Severity)
		if p.Severity == problem.Info {
			command = "notice"
		}
		fmt.Fprintf(&b, "::%s ", command)
		if p.Path != "" {
			fmt.Fprintf(&b, "file=%s,", property(p.Path))
		}
		if p.Line > 0 {
			fmt.Fprintf(&b, "line=%d,", p.Line)
		}
		if p.Column > 0 {
			fmt.Fprintf(&b, "col=%d,", p.Column)
		}
		entry, _ := problem.Explain(p.Code)
		fmt.Fprintf(&b, "title=%s::%s\n", property(p.Code+" "+entry.Short), data(sentence(p)))
	}
	_, err := out.Write(b.Bytes())
	return err
}

// sentence is the finding without its place: object, field, message, and what to do on a line of its own.
func sentence(p problem.Problem) string {
	text := p.Message
	if about := strings.TrimSpace(p.Object + " " + p.Field); about != "" {
		text = about + ": " + text
	}
	if p.Hint != "" {
		text += "\n" + p.Hint
	}
	return text
}

// data escapes what stands behind the colons of a workflow command.
func data(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

// property escapes the value of a property of a workflow command.
func property(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C").Replace(s)
}
