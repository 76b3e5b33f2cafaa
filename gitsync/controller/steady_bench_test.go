package controller

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/poll"
)

const patience = 5 * time.Minute // of benchmarks on a busy machine

// stream writes commits into the bare repository as git fast-import reads them: much faster than a push for each.
func (w *world) stream(commits ...map[string]string) {
	w.Helper()
	var in bytes.Buffer
	for i, files := range commits {
		if i == 0 {
			in.WriteString("reset refs/heads/main\n")
			if tip := w.tip("refs/heads/main"); tip != "" {
				in.WriteString("from " + tip + "\n\n")
			}
		}
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter Demo <demo@sluice.example> %d +0000\ndata 1\nc\n", 1_700_000_000+i)
		for path, text := range files {
			fmt.Fprintf(&in, "M 100644 inline %s\ndata %d\n%s\n", path, len(text), text)
		}
	}
	dir, err := w.git.Git(w.Context(), "app", "rev-parse", "--absolute-git-dir")
	if err != nil {
		w.Fatal(err)
	}
	cmd := exec.CommandContext(w.Context(), "git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Env, cmd.Stdin = dir, gitserver.Environment(dir), &in
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("git fast-import: %v: %s", err, out)
	}
}

// rss gives the memory that this process has resident, once what is free was given back.
func rss(b *testing.B) float64 {
	b.Helper()
	runtime.GC()
	debug.FreeOSMemory()
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(text))[1], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	return float64(pages*int64(os.Getpagesize())) / (1 << 20)
}

// disk gives the bytes of all files below a directory.
func disk(b *testing.B, dir string) (sum float64) {
	b.Helper()
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return nil //nolint:nilerr // what is gone meanwhile takes nothing
		}
		if info, err := e.Info(); err == nil {
			sum += float64(info.Size())
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return sum
}

// noisy gives text that cannot be made smaller.
func noisy(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 7))
	out := make([]byte, n)
	for i := range out {
		out[i] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"[r.IntN(64)]
	}
	return string(out)
}

// applied waits until Sources say that a commit is applied.
func (w *world) applied(commit string, sources ...string) {
	w.Helper()
	for _, name := range sources {
		err := poll.Until(patience, func() error {
			src := &v1alpha1.Source{}
			if err := w.client.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: name}, src); err != nil {
				return err
			}
			if !strings.HasSuffix(src.Status.LastAppliedRevision, commit) {
				return fmt.Errorf("%s: %+v, want %s applied", name, src.Status.Conditions, commit)
			}
			return nil
		})
		if err != nil {
			w.Fatal(err)
		}
	}
}

// hinted lets Sources look, as webhooks do.
func (w *world) hinted(commit string, sources ...string) {
	for _, name := range sources {
		w.controller.Hint(types.NamespacedName{Namespace: w.ns, Name: name}, commit)
	}
}

// BenchmarkSteadyMemory has ten Sources with ten Rollouts each follow one repository of 100 MB through 1,000 commits (100 with
// -short): most change nothing that is read, every tenth an object of one Source. It tells what the process has resident at the
// end, the API server and git apart, and how large the cache has become against what it was after the first fetch.
func BenchmarkSteadyMemory(b *testing.B) {
	w := newWorld(b)
	commits := 1000
	if testing.Short() {
		commits = 100
	}
	const sources, rollouts = 10, 10
	files, names := map[string]string{}, []string{}
	for i := range 100 {
		files[fmt.Sprintf("big/%d", i)] = noisy(uint64(i), 1<<20)
	}
	for s := range sources {
		names = append(names, fmt.Sprint("s", s))
		files[fmt.Sprintf("s%d/cm.yaml", s)] = configMap(fmt.Sprint("cm", s), "start")
		for r := range rollouts {
			name := fmt.Sprintf("s%dr%d", s, r)
			files[fmt.Sprintf("s%d/%s.yaml", s, name)] = strings.ReplaceAll(rolloutV1+"---\n"+routing+"---\n"+reviewsService, "reviews", name)
		}
	}
	w.stream(files)
	for _, name := range names {
		w.another(name, name)
	}
	w.applied(w.tip("refs/heads/main"), names...)
	first := disk(b, w.cache)
	begun := time.Now()
	for i := range commits {
		change := map[string]string{"README": fmt.Sprint(i)}
		if i%10 == 0 {
			s := i / 10 % sources
			change[fmt.Sprintf("s%d/cm.yaml", s)] = configMap(fmt.Sprint("cm", s), fmt.Sprint("v", i))
		}
		w.stream(change)
		tip := w.tip("refs/heads/main")
		w.fetched(tip)
		if i%100 == 99 {
			w.hinted(tip, names...)
			w.applied(tip, names...)
		}
	}
	took, resident, grown := time.Since(begun), rss(b), disk(b, w.cache)/first
	for b.Loop() { // one world is enough
		runtime.KeepAlive(w)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds()*1e3/float64(commits), "ms/fetch")
	b.ReportMetric(resident, "RSS-MiB")
	b.ReportMetric(grown, "disk/first")
}

// fetched brings a commit into the cache, as a look does.
func (w *world) fetched(commit string) {
	w.Helper()
	src := w.of("s0")
	ref, err := (&pass{controller: w.controller, src: src, memory: &memory{}}).remote(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	tree, err := w.controller.config.Fetcher.Fetch(w.Context(), ref, "")
	if err != nil {
		w.Fatal(err)
	}
	if got := tree.Commit().ID; got != commit {
		w.Fatalf("fetched %s, want %s", got, commit)
	}
	if err := tree.Close(); err != nil {
		w.Fatal(err)
	}
}

// BenchmarkUntouchedCommit lets 100 Sources hear of a commit that is outside of all their paths. It tells what one Source costs
// without its status write and its fetch, and how long all of them take with these.
func BenchmarkUntouchedCommit(b *testing.B) {
	b.Run("sources=100", func(b *testing.B) {
		w := newWorld(b)
		files, names := map[string]string{"README": "0"}, []string{}
		for s := range 100 {
			names = append(names, fmt.Sprint("s", s))
			for o := range 10 {
				files[fmt.Sprintf("s%d/%d.yaml", s, o)] = configMap(fmt.Sprintf("s%d-%d", s, o), "v")
			}
		}
		w.stream(files)
		for _, name := range names {
			w.another(name, name)
		}
		w.applied(w.tip("refs/heads/main"), names...)
		var alone, all []time.Duration
		for i := range b.N {
			w.stream(map[string]string{"README": fmt.Sprint(i + 1)})
			tip := w.tip("refs/heads/main")
			alone = append(alone, w.alone(b, "s0"))
			w.calm()
			begun := time.Now()
			w.hinted(tip, names...)
			w.applied(tip, names...)
			all = append(all, time.Since(begun)/time.Duration(len(names)))
		}
		b.ReportMetric(middle(alone), "own-ms/source")
		b.ReportMetric(middle(all), "all-ms/source")
	})
}

// alone gives how long a Source takes to see that a commit changes nothing it reads.
func (w *world) alone(b *testing.B, name string) time.Duration {
	b.Helper()
	m := w.controller.recall(types.NamespacedName{Namespace: w.ns, Name: name}, w.of(name).UID)
	p := &pass{controller: w.controller, src: w.of(name), memory: &memory{revision: m.revision, settled: true}, started: time.Now()}
	ref, err := p.remote(w.Context())
	if err != nil {
		b.Fatal(err)
	}
	tree, err := w.controller.config.Fetcher.Fetch(w.Context(), ref, "")
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	p.memory.resync = p.started.Add(time.Hour)
	begun := time.Now()
	options, err := p.options(w.Context())
	if err != nil {
		b.Fatal(err)
	}
	before := p.memory.revision
	kept, err := p.render(w.Context(), tree, options)
	if err != nil || !kept || !p.untouched(before) {
		b.Fatalf("kept %v, untouched %v, %v", kept, p.untouched(before), err)
	}
	return time.Since(begun)
}

func middle(took []time.Duration) float64 {
	slices.Sort(took)
	return took[len(took)/2].Seconds() * 1e3
}

// BenchmarkDriftRepair is the time from a foreign edit to the object as Git has it.
func BenchmarkDriftRepair(b *testing.B) {
	const objects = 64
	w := newWorld(b)
	files := map[string]string{}
	for n := range objects {
		files[fmt.Sprintf("app/c%d.yaml", n)] = configMap(fmt.Sprint("c", n), "git")
	}
	w.stream(files)
	w.source(nil)
	w.applied(w.tip("refs/heads/main"), "shop")
	w.still()
	var took []time.Duration
	for i := range b.N {
		name := fmt.Sprint("c", i%objects) // each is left alone before it is contested
		begun := time.Now()
		w.tamper(name, `{"data":{"k":"foreign"}}`)
		w.restored(name, "git")
		took = append(took, time.Since(begun))
	}
	b.ReportMetric(middle(took), "p50-ms")
}

// still waits until what was applied is watched and no event of it is waited for.
func (w *world) still() {
	w.Helper()
	since := time.Now()
	if err := poll.Until(patience, func() error {
		if time.Since(since) < 2*time.Second {
			return errors.New("the watches have just begun")
		}
		return nil
	}); err != nil {
		w.Fatal(err)
	}
}

// BenchmarkSourceOf4000 applies as many objects as a Source may have, and then a change of one of them.
func BenchmarkSourceOf4000(b *testing.B) {
	const objects = 4000
	w := newWorld(b)
	files := map[string]string{}
	for f := range objects / 100 {
		var text strings.Builder
		for o := range 100 {
			text.WriteString("---\n" + configMap(fmt.Sprintf("c%d", f*100+o), "v"))
		}
		files[fmt.Sprintf("app/%d.yaml", f)] = text.String()
	}
	w.stream(files)
	begun := time.Now()
	w.source(nil)
	w.applied(w.tip("refs/heads/main"), "shop")
	b.ReportMetric(time.Since(begun).Seconds(), "first-s")
	src := w.of("shop")
	size := 0
	for _, line := range src.Status.Inventory {
		size += len(line) + 6 // as a list of YAML
	}
	if len(src.Status.Inventory) != objects {
		b.Fatalf("%d objects in the inventory, want %d", len(src.Status.Inventory), objects)
	}
	b.ReportMetric(float64(size)/1024, "inventory-KiB")
	var took []time.Duration
	for i := range b.N {
		w.stream(map[string]string{"app/0.yaml": strings.Replace(files["app/0.yaml"], "k: v", fmt.Sprint("k: w", i), 1)})
		w.calm()
		tip := w.tip("refs/heads/main")
		begun := time.Now()
		w.hinted(tip, "shop")
		w.applied(tip, "shop")
		took = append(took, time.Since(begun))
	}
	if got := w.data("c0")["k"]; got != fmt.Sprint("w", b.N-1) {
		b.Fatalf("the first object has %q", got)
	}
	b.ReportMetric(middle(took), "change-ms")
}
