package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/test/kube"
)

// scriptLine is a command of a case: "$ sluice ...", "$ sluice@nobody ..." without rights, "$ sluice@gone ..." at a server that
// does not answer, "$ sluice@none ..." without any, "$ sluice@stopped ..." that is interrupted after a moment, "$ sluice@dead ..." before it begins.
var scriptLine = regexp.MustCompile(`^\$ sluice(@[a-z]+)? (.*)$`)

// TestClusterScripts_printWhatTheySay plays the cases of testdata/cluster beside a real API server: their objects are stored in
// a namespace of their own, with their status, and the commands of "run" are run in it. What they print stands below them as
// in TestScripts.
func TestClusterScripts_printWhatTheySay(t *testing.T) {
	d := newDesk(t)
	d.serveReports(t)
	paths, err := filepath.Glob("testdata/cluster/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			room := d.room(t)
			run := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == "run" })
			if run < 0 {
				t.Fatal("the case has no run")
			}
			for _, f := range archive.Files {
				switch f.Name {
				case "objects":
					room.store(t, f.Data)
				case "log":
					room.state = t.TempDir()
					if err := os.MkdirAll(filepath.Join(room.state, "log"), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(filepath.Join(room.state, "log", "sluice.log"), []byte(strings.ReplaceAll(string(f.Data), "NS", room.ns)), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			want := string(archive.Files[run].Data)
			got := room.play(t, want)
			if flag.Lookup("rewrite").Value.String() == "true" {
				archive.Files[run].Data = []byte(got)
				if err := os.WriteFile(path, txtar.Format(archive), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got); if that is meant: go test ./internal/cli -run ClusterScripts -rewrite\n%s", diff)
			}
		})
	}
}

// room is the desk in another namespace.
func (d *desk) room(t *testing.T) *desk {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", d.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	other := *d
	other.ns = kube.Namespace(t, cfg)
	return &other
}

// store creates objects with their status.
func (d *desk) store(t *testing.T, text []byte) {
	t.Helper()
	for _, doc := range strings.Split(string(text), "\n---\n") {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(doc, "NS", d.ns)), &object.Object); err != nil || object.Object == nil {
			t.Fatalf("%v in %s", err, doc)
		}
		object.SetNamespace(d.ns)
		status := object.Object["status"]
		if err := d.client.Create(t.Context(), object); err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
		if status == nil {
			continue
		}
		object.Object["status"] = status
		if err := unstructured.SetNestedField(object.Object, object.GetGeneration(), "status", "observedGeneration"); err != nil {
			t.Fatal(err)
		}
		if object.GetKind() == "FleetReport" {
			unstructured.RemoveNestedField(object.Object, "status", "observedGeneration")
		}
		if err := d.client.Status().Update(t.Context(), object); err != nil {
			t.Fatalf("%v in %s", err, doc)
		}
	}
}

// play runs the commands of a case and gives the case with what they print.
func (d *desk) play(t *testing.T, script string) string {
	t.Helper()
	var b strings.Builder
	ran := 0
	for line := range strings.Lines(script) {
		m := scriptLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		if ran++; ran > 1 {
			b.WriteString("\n")
		}
		b.WriteString(line)
		code, out, errs := d.as(t, strings.TrimPrefix(m[1], "@"), strings.Fields(strings.NewReplacer("-n NS", "-n "+d.ns, "--state STATE", "--state "+d.state).Replace(m[2])))
		if code == cli.ExitTimeout {
			errs = "" // how far it came depends on how busy the machine is
		}
		b.WriteString(d.constant(out))
		for text := range strings.Lines(d.constant(errs)) {
			b.WriteString("! " + text)
		}
		if code != 0 {
			fmt.Fprintf(&b, "exit %d\n", code)
		}
	}
	if ran == 0 {
		t.Fatal("nothing was run")
	}
	return b.String()
}

// as runs a command as somebody, or in some trouble.
func (d *desk) as(t *testing.T, who string, args []string) (int, string, string) {
	t.Helper()
	wait := 2 * time.Minute
	config := d.kubeconfig
	switch who {
	case "nobody":
		config = d.anonymous(t)
	case "gone":
		config = kubeconfig(t, &rest.Config{Host: "https://127.0.0.1:1"})
	case "none":
		config = filepath.Join(t.TempDir(), "none")
	case "stopped":
		wait = time.Second
		if slices.Contains(args, "--watch") { // it is to print something before
			wait = 3 * time.Second
		}
	case "dead":
		wait = 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if wait == 0 {
		cancel()
	}
	defer time.AfterFunc(wait, cancel).Stop()
	var out, errs bytes.Buffer
	line := append(slices.Clone(args), "--kubeconfig", config)
	if !slices.Contains(args, "-A") && !slices.Contains(args, "-n") {
		line = append(line, "-n", d.ns)
	}
	code := cli.Main(ctx, line, cli.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}, cli.Build{Version: "v1.2.3", State: t.TempDir()})
	return code, out.String(), errs.String()
}

var (
	scriptDates = regexp.MustCompile(`20[0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9:.]+Z`)
	scriptIDs   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)
	scriptPlace = regexp.MustCompile(`https://127\.0\.0\.1:[0-9]+|/tmp/[^ :"]+`)
	scriptTook  = regexp.MustCompile(`in [0-9]+ms`)
	scriptNamed = regexp.MustCompile(`(-(?:promote|pause|abort|retry|resume|approve|skip|rollback|promotefull)-)[a-z0-9]{5}`)
)

// constant hides what differs from run to run.
func (d *desk) constant(text string) string {
	text = strings.ReplaceAll(text, d.ns, "NS")
	text = scriptIDs.ReplaceAllString(text, "UID")
	text = scriptNamed.ReplaceAllString(text, "${1}XXXXX")
	text = scriptTook.ReplaceAllString(text, "in TOOK")
	text = scriptPlace.ReplaceAllString(text, "PLACE")
	text = ago.ReplaceAllString(text, "AGO")
	text = scriptDates.ReplaceAllStringFunc(text, func(at string) string {
		if strings.HasPrefix(at, "2026-01-") {
			return at
		}
		return "AT"
	})
	var lines []string
	for line := range strings.Lines(text) {
		line = dates.ReplaceAllString(ages.ReplaceAllString(line, " AGE$2"), " AGE$2")
		if strings.Contains(line, "AGE") || strings.HasPrefix(line, "SPLIT") || strings.HasPrefix(line, "NS/") {
			line = strings.Join(strings.Fields(line), "  ") + "\n"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}
