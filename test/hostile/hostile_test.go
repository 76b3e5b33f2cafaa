package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/gogit"
	"github.com/sluice-dev/sluice/gitsync/render"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

const childURL = "HOSTILE_URL" // set: be the process that strace watches

// outcome is what became of one branch.
type outcome struct {
	Reason  string
	Codes   []string
	Objects int
}

func TestMain(m *testing.M) {
	if url := os.Getenv(childURL); url != "" {
		if err := child(context.Background(), url); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child fetches and renders the branches that it reads, and writes what became of them.
func child(ctx context.Context, url string) error {
	var branches []string
	if err := json.NewDecoder(os.Stdin).Decode(&branches); err != nil {
		return err
	}
	dir := os.Getenv("HOSTILE_DIR")
	repositories, err := gogit.New(gogit.Config{Dir: dir, Now: time.Now})
	if err != nil {
		return err
	}
	defer repositories.Close()
	renderer := render.New(render.Limits{})
	out := map[string]outcome{}
	for _, branch := range branches {
		out[branch] = attempt(ctx, repositories, renderer, gitsync.Ref{Remote: gitsync.Remote{URL: url}, Branch: branch})
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

func attempt(ctx context.Context, f gitsync.Fetcher, r gitsync.Renderer, ref gitsync.Ref) outcome {
	tree, err := f.Fetch(ctx, ref, "")
	if err != nil {
		return outcome{Reason: string(gitsync.ReasonOf(err, "no Failure: "+gitsync.Reason(err.Error())))}
	}
	defer tree.Close()
	build, err := r.Render(ctx, tree, gitsync.Options{Namespace: "shop"})
	if err != nil {
		return outcome{Reason: string(gitsync.ReasonOf(err, "no Failure: "+gitsync.Reason(err.Error())))}
	}
	o := outcome{Reason: string(build.Reason), Objects: len(build.Objects)}
	for _, p := range build.Problems {
		o.Codes = append(o.Codes, p.Code)
	}
	return o
}

// watched runs the child under strace and gives its outcomes, its trace and its peak of memory in KiB.
func watched(t *testing.T, url string, branches []string) (map[string]outcome, string, int) {
	t.Helper()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Fatal("hostile trees are watched by strace: install the package strace")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	trace := filepath.Join(t.TempDir(), "trace")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, strace, "-f", "-qq", "--seccomp-bpf", "-e", "trace=execve,execveat,connect", "-o", trace, self)
	cmd.Env = []string{childURL + "=" + url, "HOSTILE_DIR=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	in, err := json.Marshal(branches)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatalf("the watched process: %v", err)
	}
	var out map[string]outcome
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	calls, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	return out, string(calls), peak(cmd)
}

func TestHostileTrees_areRefusedAndTouchNothing(t *testing.T) {
	s := gittest.Start(t, gitserver.Config{})
	if err := s.Create(t.Context(), "evil"); err != nil {
		t.Fatal(err)
	}
	dir, err := s.Git(t.Context(), "evil", "rev-parse", "--absolute-git-dir")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0") // who connects is caught by strace
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	sentinels := t.TempDir()
	sentinel := filepath.Join(sentinels, "secret.yaml")
	if err := os.WriteFile(sentinel, []byte("apiVersion: v1\nkind: Secret\nmetadata: {name: stolen}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, sentinels)
	p := plumbing{t, dir}
	p.commit("honest", p.files(map[string]string{"kustomization.yaml": "resources: [x.yaml]\n", "x.yaml": good}))
	attacks := slices.Concat([]attack{{"honest", "", ""}}, p.names(), p.links(sentinel), p.bases(sentinel, listener.Addr().String()), p.bombs())
	var branches []string
	for _, a := range attacks {
		branches = append(branches, a.Branch)
	}
	out, trace, kib := watched(t, s.URL("evil"), branches)
	for _, a := range attacks {
		got := out[a.Branch]
		honest := a.Reason == "" && a.Code == ""
		switch {
		case got.Reason != a.Reason, a.Code != "" && !slices.Contains(got.Codes, a.Code), honest && (got.Objects != 1 || len(got.Codes) > 0):
			t.Errorf("%s: %+v, want %+v", a.Branch, got, a)
		case a.Reason != "" && got.Objects > 0:
			t.Errorf("%s: %d objects in spite of %s", a.Branch, got.Objects, a.Reason)
		}
	}
	if n := strings.Count(trace, "execve"); n != 1 {
		t.Errorf("%d programs were started, want the watched one alone:\n%s", n-1, trace)
	}
	_, port, _ := strings.Cut(s.Addr(), ":")
	connects := regexp.MustCompile(`connect\(\d+, (\{.*?\}),`).FindAllStringSubmatch(trace, -1)
	for _, c := range connects {
		if !strings.Contains(c[1], "htons("+port+")") || !strings.Contains(c[1], "127.0.0.1") {
			t.Errorf("a connection to %s", c[1])
		}
	}
	if len(connects) == 0 {
		t.Error("strace saw no connection at all, not even to the Git server: it watches nothing")
	}
	if after := snapshot(t, sentinels); after != before {
		t.Errorf("the sentinels were %s, are %s", before, after)
	}
	if kib > 512<<10 {
		t.Errorf("%d KiB of memory at the most, want 512 MiB", kib)
	}
	t.Logf("%d attacks, %d connections, %d MiB", len(attacks), len(connects), kib>>10)
}

// snapshot tells of every file below a directory: name, size, mode and when it was changed.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Name()+" "+strconv.FormatInt(info.Size(), 10)+" "+info.Mode().String()+" "+info.ModTime().String())
	}
	return strings.Join(out, "\n")
}
