package up

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"

	"github.com/sluice-dev/sluice/internal/cli"
)

const documentFile = "up.json"

// Document says what runs and where: it is up.json in the state directory and the answer to -o json. Keys are only added.
type Document struct {
	Name       string `json:"name"`
	PID        int    `json:"pid"`
	Started    string `json:"started"` // of the process, as the system tells it; with PID it names the process for good
	State      string `json:"state"`
	Kubeconfig string `json:"kubeconfig"`
	APIServer  string `json:"apiServer"`
}

func readDocument(dir string) (Document, error) {
	var d Document
	err := readJSON(filepath.Join(dir, documentFile), &d)
	return d, err
}

// print says what a person types next, or everything as JSON.
func (d Document) print(s cli.Streams, format string) error {
	if format == "json" {
		return printJSON(s.Out, d)
	}
	_, err := fmt.Fprintf(s.Out, "export KUBECONFIG=%s\n", d.Kubeconfig)
	return err
}

func printJSON(w io.Writer, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}
