package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/apply"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/gitsync/gogit"
	"github.com/sluice-dev/sluice/gitsync/render"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
	"github.com/sluice-dev/sluice/test/kube"
)

const childURL = "HOSTILE_URL" // set: be the process that strace watches

// outcome is what became of one branch.
type outcome struct {
	Reason  string
	Codes   []string
	Objects int // rendered
	Held    int // units
	Applied int // objects
	Failed  string
}

func TestMain(m *testing.M) {
	ctrl.SetLogger(logr.Discard())
	if remote := os.Getenv(childURL); remote != "" {
		if err := child(context.Background(), remote); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	kube.Main(m)
}

// child fetches, renders and applies the branches that it reads, and writes what became of them.
func child(ctx context.Context, remote string) error {
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
	w, err := newWay(repositories)
	if err != nil {
		return err
	}
	out := map[string]outcome{}
	for _, branch := range branches {
		out[branch] = w.attempt(ctx, gitsync.Ref{Remote: gitsync.Remote{URL: remote}, Branch: branch})
	}
	return json.NewEncoder(os.Stdout).Encode(out)
}

// way is what a tree goes through, from the fetch to the objects in the cluster.
type way struct {
	fetcher  gitsync.Fetcher
	renderer gitsync.Renderer
	decoder  *decode.Decoder
	applier  gitsync.Applier
	space    string // namespace
}

func newWay(f gitsync.Fetcher) (*way, error) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("HOSTILE_KUBECONFIG"))
	if err != nil {
		return nil, err
	}
	decoder, err := decode.New(decode.Policy{})
	if err != nil {
		return nil, err
	}
	c, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	space := os.Getenv("HOSTILE_NAMESPACE")
	applier, err := apply.New(config, c.RESTMapper(), nil).As(space, "applier")
	return &way{f, render.New(render.Limits{}), decoder, applier, space}, err
}

func (w *way) attempt(ctx context.Context, ref gitsync.Ref) outcome {
	tree, err := w.fetcher.Fetch(ctx, ref, "")
	if err != nil {
		return outcome{Reason: string(gitsync.ReasonOf(err, "no Failure: "+gitsync.Reason(err.Error())))}
	}
	defer tree.Close()
	build, err := w.renderer.Render(ctx, tree, gitsync.Options{Namespace: w.space})
	if err != nil {
		return outcome{Reason: string(gitsync.ReasonOf(err, "no Failure: "+gitsync.Reason(err.Error())))}
	}
	o := outcome{Reason: string(build.Reason), Objects: len(build.Objects)}
	if build.Reason == "" {
		w.apply(ctx, tree.Commit(), &build, &o)
	}
	for _, p := range build.Problems {
		o.Codes = append(o.Codes, p.Code)
	}
	return o
}

// apply takes what could be rendered on to the API server, as a Source does.
func (w *way) apply(ctx context.Context, commit gitsync.Commit, build *gitsync.Build, o *outcome) {
	objects, problems := w.decoder.Check(*build, decode.Scope{Namespace: w.space})
	build.Problems = append(build.Problems, problems...)
	owner := gitsync.Owner{Namespace: w.space, Name: "evil"}
	live, _, err := w.applier.Look(ctx, gitsync.Inventory{}.Union(objects))
	if err != nil {
		o.Failed = "looking: " + err.Error()
		return
	}
	set := gitsync.Plan(gitsync.Input{Owner: owner, Commit: commit, Domain: "cluster.local", Want: objects, Problems: build.Problems, Live: live})
	done, err := w.applier.Apply(ctx, set)
	if err != nil {
		o.Failed = "applying: " + err.Error()
		return
	}
	o.Held, o.Applied = len(set.Held), len(done.Confirmed)
	for _, refused := range done.Refused {
		o.Failed += refused.ID.Ref() + ": " + refused.Problem.Message + " "
	}
}

// watched runs the child under strace and gives its outcomes, its trace and its peak of memory in KiB.
func watched(t *testing.T, remote, namespace string, branches []string) (map[string]outcome, string, int) {
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
	cmd.Env = []string{childURL + "=" + remote, "HOSTILE_DIR=" + t.TempDir(), "HOSTILE_KUBECONFIG=" + os.Getenv("SLUICE_TEST_KUBECONFIG"), "HOSTILE_NAMESPACE=" + namespace, "PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
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
	config := kube.Start(t)
	server, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	namespace := kube.Namespace(t, config)
	mayApply(t, config, namespace)
	out, trace, kib := watched(t, s.URL("evil"), namespace, branches)
	for _, a := range attacks {
		got := out[a.Branch]
		honest := a.Reason == "" && a.Code == ""
		switch {
		case got.Reason != a.Reason, a.Code != "" && !slices.Contains(got.Codes, a.Code), honest && (got.Objects != 1 || len(got.Codes) > 0):
			t.Errorf("%s: %+v, want %+v", a.Branch, got, a)
		case a.Reason != "" && got.Objects+got.Applied > 0:
			t.Errorf("%s: %d objects in spite of %s", a.Branch, got.Objects, a.Reason)
		case got.Failed != "", got.Applied > 1, honest && got.Applied != 1:
			t.Errorf("%s: %+v, want the good object applied at most", a.Branch, got)
		}
	}
	if n := strings.Count(trace, "execve"); n != 1 {
		t.Errorf("%d programs were started, want the watched one alone:\n%s", n-1, trace)
	}
	_, port, _ := strings.Cut(s.Addr(), ":")
	applied := 0
	connects := regexp.MustCompile(`connect\(\d+, (\{.*?\}),`).FindAllStringSubmatch(trace, -1)
	for _, c := range connects {
		toServer := strings.Contains(c[1], "htons("+server.Port()+")")
		if toServer {
			applied++
		}
		if !toServer && !strings.Contains(c[1], "htons("+port+")") || !strings.Contains(c[1], "127.0.0.1") {
			t.Errorf("a connection to %s", c[1])
		}
	}
	if applied == 0 || applied == len(connects) {
		t.Errorf("strace saw %d connections, %d of them to the API server: it watches nothing", len(connects), applied)
	}
	if after := snapshot(t, sentinels); after != before {
		t.Errorf("the sentinels were %s, are %s", before, after)
	}
	if kib > 512<<10 {
		t.Errorf("%d KiB of memory at the most, want 512 MiB", kib)
	}
	t.Logf("%d attacks, %d connections, %d MiB", len(attacks), len(connects), kib>>10)
}

// mayApply gives the account of the Source its rights.
func mayApply(t *testing.T, config *rest.Config, namespace string) {
	t.Helper()
	c, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "applier"}
	for _, o := range []client.Object{
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Verbs: []string{"*"}, Resources: []string{"configmaps"}}}},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "applier"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "applier"}}},
	} {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
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
