package tutorial

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

// patience is how long a command may take to print what the page says.
const patience = 200 * time.Second

// TestTutorial_doesWhatItSays runs the console blocks of docs/tutorial.md. A block names its terminal; terminals live from their
// first block to the end of the page. Below a command stands what it prints, in which … is any text, over lines where it
// stands alone. A command whose output is not complete after a while fails the page; one of the terminals 1 and 2 runs on.
func TestTutorial_doesWhatItSays(t *testing.T) {
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "tutorial.md"))
	if err != nil {
		t.Fatal(err)
	}
	desk := newDesk(t, root)
	steps := parse(string(page))
	if len(steps) < 12 {
		t.Fatalf("only %d commands were found in the tutorial", len(steps))
	}
	for _, s := range steps {
		desk.terminal(s.terminal).run(s)
	}
}

// step is one command of the page.
type step struct {
	terminal string
	command  string
	output   string // a pattern
}

var block = regexp.MustCompile("(?ms)^```console terminal=(\\d)\n(.*?)^```$")

func parse(page string) []step {
	var out []step
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(m[2]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				out = append(out, step{terminal: m[1], command: strings.TrimSpace(command)})
				continue
			}
			if len(out) > 0 {
				out[len(out)-1].output += line
			}
		}
	}
	return out
}

// desk is where the reader sits: a directory like the repository after make build, and terminals.
type desk struct {
	t         *testing.T
	dir       string
	env       []string
	terminals map[string]*terminal
}

func newDesk(t *testing.T, root string) *desk {
	t.Helper()
	full := os.Getenv("SLUICE_FULL")
	if full == "" {
		full = filepath.Join(root, "bin", "full", "sluice")
	}
	if _, err := os.Stat(full); err != nil {
		t.Fatalf("%v; next: make build", err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "bin", "full"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"examples": filepath.Join(root, "examples"), "bin/full/sluice": full} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	env := append(os.Environ(), "SLUICE="+full, "XDG_STATE_HOME="+t.TempDir(), "SLUICE_ENVOY="+proxy.Binary(t),
		"KUBECONFIG=", "GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@example.com", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@example.com")
	return &desk{t: t, dir: dir, env: env, terminals: map[string]*terminal{}}
}

// terminal is a shell.
type terminal struct {
	t     *testing.T
	in    io.Writer
	shell *child.Process
	n     int // commands given

	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (d *desk) terminal(name string) *terminal {
	d.t.Helper()
	if at := d.terminals[name]; at != nil {
		return at
	}
	at := &terminal{t: d.t}
	cmd := exec.Command("bash", "--noprofile", "--norc")
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = d.dir, d.env, at, at
	in, err := cmd.StdinPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	at.in = in
	shell, err := child.Start(cmd)
	if err != nil {
		d.t.Fatal(err)
	}
	at.shell = shell
	d.t.Cleanup(func() {
		_ = in.Close()
		_ = shell.Stop(40 * time.Second) // by a signal, which is an error of its own
	})
	d.terminals[name] = at
	return at
}

// Write takes what the shell prints.
func (at *terminal) Write(p []byte) (int, error) {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.text.Write(p)
}

func (at *terminal) printed() string {
	at.mu.Lock()
	defer at.mu.Unlock()
	return at.text.String()
}

// run types the command and waits until it has printed what the page says; where nobody else waits, also for its end.
func (at *terminal) run(s step) {
	at.t.Helper()
	at.t.Logf("$ %s", s.command)
	at.n++
	end := fmt.Sprintf("-- end of command %d", at.n)
	before := len(at.printed())
	stays := s.terminal != "3"
	script := s.command + "\necho " + "'" + end + "'\n"
	if stays {
		script = "exec " + s.command + "\n" // the signal that ends the test is the command's
	}
	if _, err := io.WriteString(at.in, script); err != nil {
		at.t.Fatal(err)
	}
	want := pattern(s.output, stays)
	err := poll.Until(patience, func() error {
		over := at.shell.Ended() // before its output is read: what it printed last counts
		got, done := strings.CutSuffix(at.printed()[before:], end+"\n")
		if !done && !stays {
			return fmt.Errorf("still running; so far it printed\n%s", got)
		}
		if !want.MatchString(got) {
			if done || over != nil {
				at.t.Fatalf("$ %s printed\n%s\nwant\n%s", s.command, got, s.output)
			}
			return fmt.Errorf("it printed\n%s\nwant\n%s", got, s.output)
		}
		return nil
	})
	if err != nil {
		at.t.Fatalf("$ %s: %v", s.command, err)
	}
}

// pattern is what the page says as a regular expression; of a command that stays, the beginning.
func pattern(output string, stays bool) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`(?s)\A`)
	for line := range strings.Lines(output) {
		if line == "…\n" {
			b.WriteString(`.*?`)
			continue
		}
		b.WriteString(strings.ReplaceAll(regexp.QuoteMeta(line), "…", `[^\n]*`))
	}
	if !stays {
		b.WriteString(`\z`)
	}
	return regexp.MustCompile(b.String())
}
