package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"k8s.io/cli-runtime/pkg/printers"
	"k8s.io/client-go/util/jsonpath"

	"github.com/sluice-dev/sluice/api/problem"
)

// columns are those of -o custom-columns=NAME:PATH,NAME:PATH.
type columns struct {
	names []string
	paths []*jsonpath.JSONPath
}

func parseColumns(spec string) (*columns, error) {
	if spec == "" {
		return nil, errors.New("custom-columns: want NAME:PATH,NAME:PATH, such as NAME:.metadata.name")
	}
	out := &columns{}
	for _, part := range strings.Split(spec, ",") {
		name, path, ok := strings.Cut(part, ":")
		if !ok || name == "" || path == "" {
			return nil, fmt.Errorf("custom-columns: %q: want NAME:PATH, such as NAME:.metadata.name", part)
		}
		path = strings.TrimSuffix(strings.TrimPrefix(path, "{"), "}")
		if !strings.HasPrefix(path, ".") && !strings.HasPrefix(path, "[") {
			path = "." + path
		}
		p := jsonpath.New(name).AllowMissingKeys(true)
		if err := p.Parse("{" + path + "}"); err != nil {
			return nil, fmt.Errorf("custom-columns: %q: %w", part, err)
		}
		out.names, out.paths = append(out.names, name), append(out.paths, p)
	}
	return out, nil
}

// print writes a row for the document, or for each item of a list, below the names.
func (c *columns) print(w io.Writer, doc map[string]any, _ any) error {
	rows := []any{doc}
	if items, ok := doc["items"].([]any); ok {
		rows = items
	}
	tw := printers.GetNewTabWriter(w)
	fmt.Fprintln(tw, strings.Join(c.names, "\t"))
	for _, row := range rows {
		cells := make([]string, 0, len(c.paths))
		for _, path := range c.paths {
			cells = append(cells, cell(path, row))
		}
		fmt.Fprintln(tw, strings.Join(cells, "\t"))
	}
	return tw.Flush()
}

// cell is what stands at a path, <none> where nothing does.
func cell(path *jsonpath.JSONPath, row any) string {
	found, err := path.FindResults(row)
	if err != nil {
		return "<none>"
	}
	var said []string
	for _, values := range found {
		for _, v := range values {
			var b bytes.Buffer
			if !v.IsValid() || !v.CanInterface() || v.Interface() == nil {
				continue
			}
			fmt.Fprint(&b, v.Interface())
			said = append(said, problem.Clean(b.String(), problem.MaxMessage))
		}
	}
	if len(said) == 0 {
		return "<none>"
	}
	return strings.Join(said, ",")
}
