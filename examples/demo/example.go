// Package example holds the repository that the demo pushes: templates of six objects, in which only ports, addresses
// and the subset are open. It renders them and does nothing else.
//
//	files, err := example.Render(example.Values{Gateway: 8080, Subset: "v1", Versions: versions, Receiver: url})
//	// files["deploy/rollout.yaml"] ...
package example

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"text/template"
)

//go:embed deploy/*.yaml
var deploy embed.FS

// The names that the objects carry.
const (
	Namespace = "bookinfo"
	Rollout   = "reviews"
	Path      = "deploy"       // directory of the objects within the repository
	Notifier  = "team"         // the Notifier
	Secret    = "team-webhook" // the Secret with the signing secret, under the key "secret"
	Request   = "/reviews/1"   // a path that is routed
)

// Values are what the templates leave open.
type Values struct {
	Gateway  int       // port of the proxy's listener
	Subset   string    // what the Rollout wants to run
	Versions []Version // the subsets and their endpoints
	Receiver string    // URL that notes are posted to
}

// Version is one subset with the loopback ports it is served on.
type Version struct {
	Name  string
	Ports []int
}

// NotedKinds are the kinds of notes that the Notifier asks for, in lower case as events have them.
func NotedKinds() []string {
	return []string{"started", "steppassed", "completed", "rolledback", "gitinsync"}
}

// Render gives the files by their paths within the repository.
func Render(v Values) (map[string]string, error) {
	out := map[string]string{}
	names, err := fs.Glob(deploy, "deploy/*.yaml")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		t, err := template.New("").Option("missingkey=error").ParseFS(deploy, name)
		if err != nil {
			return nil, fmt.Errorf("reading the example %s: %w", name, err)
		}
		var text bytes.Buffer
		if err := t.ExecuteTemplate(&text, name[len("deploy/"):], v); err != nil {
			return nil, fmt.Errorf("filling in the example %s: %w", name, err)
		}
		out[name] = text.String()
	}
	return out, nil
}
