package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/poll"
	"github.com/sluice-dev/sluice/test/proxy"
)

// patience is how long a command may take, on a machine that does much else.
const patience = 120 * time.Second

// state names what a stage can make: where the Rollout is, or which files there are.
type state string

// how says what is special about a command here; of most commands nothing is.
type how struct {
	why       string   // for every difference from what the page says
	state     state    // what the page speaks of is made first
	meanwhile state    // what is made while it runs
	code      int      // exit code, where that is not 0
	until     string   // it does not end by itself: it is ended once it has printed this
	keeps     bool     // with until: it goes on until the page is over
	lacks     []string // rows of the page that are not printed here
	adds      string   // what is added to the command
	instead   string   // what is run in its place
	none      bool     // nothing is run
}

// stage is where commands are typed: a directory, an environment, and what names of the pages stand for.
type stage struct {
	t        *testing.T
	root     string // of the repository
	home     string // of the programs
	dir      string // commands are typed here
	env      []string
	standIns []string // in pairs, as strings.NewReplacer has them
	states   map[state]func()
	before   func(command) // what is made ahead of every command; nil: nothing
}

// newStage makes an empty directory, and puts the programs of `make build`, `make helm` and `make envoy` on PATH.
func newStage(t *testing.T) *stage {
	t.Helper()
	root, err := child.Repository()
	if err != nil {
		t.Fatal(err)
	}
	full, err := kube.Program()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, root: root, home: t.TempDir(), dir: t.TempDir()}
	bin := filepath.Join(s.home, "bin")
	s.link(map[string]string{filepath.Join(bin, "sluice"): full, filepath.Join(bin, "helm"): filepath.Join(root, ".cache", "bin", "helm"), filepath.Join(bin, "envoy"): proxy.Binary(t)})
	at := func(name string) string { return filepath.Join(s.home, name) }
	s.env = append(os.Environ(), "HOME="+s.home, "USER=ana", "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "KUBECONFIG="+at("kubeconfig"),
		"XDG_STATE_HOME="+at("state"), "XDG_CONFIG_HOME="+at("config"), "XDG_CACHE_HOME="+at("cache"), "SLUICE="+full, "SLUICE_ENVOY="+proxy.Binary(t),
		"HELM_CACHE_HOME="+at("helm"), "HELM_CONFIG_HOME="+at("helm"), "HELM_DATA_HOME="+at("helm"), "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ana", "GIT_AUTHOR_EMAIL=ana@example.com", "GIT_COMMITTER_NAME=Ana", "GIT_COMMITTER_EMAIL=ana@example.com")
	return s
}

// link makes symbolic links, by where they are.
func (s *stage) link(files map[string]string) {
	s.t.Helper()
	for at, to := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.Symlink(to, at)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// write makes files in the directory.
func (s *stage) write(files map[string]string) {
	s.t.Helper()
	for name, text := range files {
		path := filepath.Join(s.dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// ports gives `sluice up` of a name addresses that no other test has: as of a run before.
func (s *stage) ports(name string) {
	s.t.Helper()
	up := map[string]string{}
	for _, key := range []string{"xds", "hook", "metrics", "health", "decisions", "envoyAdmin"} {
		up[key] = fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(s.t))
	}
	for key, scheme := range map[string]string{"apiServer": "https", "prometheus": "http"} {
		up[key] = fmt.Sprintf("%s://127.0.0.1:%d", scheme, proxy.FreePort(s.t))
	}
	text, err := json.Marshal(up)
	dir := filepath.Join(s.home, "state", "sluice", name)
	if err := errors.Join(err, os.MkdirAll(dir, 0o700), os.WriteFile(filepath.Join(dir, "up.json"), text, 0o600)); err != nil {
		s.t.Fatal(err)
	}
}

// running is a command that has not ended.
type running struct {
	process *child.Process
	cmd     *exec.Cmd
	output  string // file
}

func (r *running) printed() string {
	text, _ := os.ReadFile(r.output) // what cannot be read was not printed
	return string(text)
}

// start runs a script.
func (s *stage) start(script string) *running {
	s.t.Helper()
	out, err := os.CreateTemp(s.home, "output")
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, out, out
	p, err := child.Start(cmd)
	if err != nil {
		s.t.Fatal(err)
	}
	return &running{process: p, cmd: cmd, output: out.Name()}
}

// ended waits for the end of a script and gives its exit code.
func (s *stage) ended(r *running) (int, error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case <-r.process.Done():
		return r.cmd.ProcessState.ExitCode(), nil
	case <-limit.C:
		return 0, errors.Join(fmt.Errorf("it does not end; so far it printed\n%s", r.printed()), r.process.Kill())
	}
}

// do runs a script of the test's own, which must succeed, and gives what it prints.
func (s *stage) do(script string) string {
	s.t.Helper()
	r := s.start(script)
	if code, err := s.ended(r); err != nil || code != 0 {
		s.t.Fatalf("%s: exit code %d, %v\n%s", script, code, err, r.printed())
	}
	return r.printed()
}

// act types a command of a page.
func (s *stage) act(c command, h how) {
	s.t.Helper()
	if h.none {
		return
	}
	if s.before != nil {
		s.before(c)
	}
	if h.state != "" {
		s.states[h.state]()
	}
	script := c.text
	if h.instead != "" {
		script = h.instead
	}
	script = strings.NewReplacer(s.standIns...).Replace(script + h.adds)
	begun := time.Now()
	if h.until != "" {
		s.stays(c, script, h)
	} else if strings.HasPrefix(script, "curl ") {
		s.eventually(c.String()+" to print "+c.note, func() error { return s.try(script + " | grep " + c.note) })
	} else {
		r := s.start(script)
		if h.meanwhile != "" {
			s.states[h.meanwhile]()
		}
		code, err := s.ended(r)
		if err != nil || code != h.code {
			s.t.Errorf("%s\nran as %s: exit code %d, want %d; %v\n%s", c, script, code, h.code, err, r.printed())
			return
		}
		if lacks := slices.DeleteFunc(missing(c.prints, r.printed()), func(row string) bool { return slices.Contains(h.lacks, row) }); len(lacks) > 0 {
			s.t.Errorf("%s: no line begins with %q, as the page has it\n%s", c, lacks, r.printed())
		}
	}
	s.t.Logf("%6.1fs %s", time.Since(begun).Seconds(), c)
}

// stays types a command that does not end by itself.
func (s *stage) stays(c command, script string, h how) {
	s.t.Helper()
	if at := strings.LastIndex(script, "&& "); at >= 0 {
		script = script[:at+3] + "exec " + script[at+3:] // the signal is for the program
	} else {
		script = "exec " + script
	}
	want := regexp.MustCompile(h.until)
	r := s.start(script)
	err := r.process.Await(patience, func() error {
		if text := r.printed(); !want.MatchString(text) {
			return fmt.Errorf("it printed\n%s\nwant %s", text, want)
		}
		return nil
	})
	if err != nil && !want.MatchString(r.printed()) { // one may end right after
		s.t.Errorf("%s: %v\n%s", c, err, r.printed())
	}
	end := func() {
		if r.process.Ended() == nil {
			_ = r.process.Stop(40 * time.Second) // by a signal, which is an error of its own
		}
	}
	if h.keeps {
		s.t.Cleanup(end)
		return
	}
	end()
}

// missing are the first words of lines of a page that no line of the output begins with: what a command prints on another
// day has other numbers and names, and the same rows.
func missing(page, got string) []string {
	begins := map[string]bool{}
	for line := range strings.Lines(got) {
		if words := strings.Fields(line); len(words) > 0 {
			begins[words[0]] = true
		}
	}
	var out []string
	for line := range strings.Lines(page) {
		words := strings.Fields(line)
		if len(words) > 0 && words[0] != "…" && !begins[words[0]] && !slices.Contains(out, words[0]) {
			out = append(out, words[0])
		}
	}
	return out
}

// eventually waits for what another process brings about.
func (s *stage) eventually(what string, ok func() error) {
	s.t.Helper()
	if err := poll.Until(patience, ok); err != nil {
		s.t.Fatalf("waiting for %s: %v", what, err)
	}
}

// try runs a script and says what went wrong.
func (s *stage) try(script string) error {
	s.t.Helper()
	r := s.start(script)
	code, err := s.ended(r)
	if err == nil && code != 0 {
		err = fmt.Errorf("%s: exit code %d\n%s", script, code, r.printed())
	}
	return err
}
