package gogit

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

// wire counts the bytes of connections, both ways.
type wire struct{ bytes atomic.Int64 }

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	return wired{conn, w}, err
}

type wired struct {
	net.Conn
	on *wire
}

func (c wired) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.on.bytes.Add(int64(n))
	return n, err
}

func (c wired) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.on.bytes.Add(int64(n))
	return n, err
}

// bench is a repository at a server, and a cache that fetches from it over a counted wire.
type bench struct {
	*testing.B
	wire wire
	git  *gitserver.Server
	tree *gitserver.WorkTree
	bare string
	r    *Repositories
}

func newBench(b *testing.B) *bench {
	b.Helper()
	root := b.TempDir()
	w := &bench{B: b, bare: filepath.Join(root, "app.git")}
	w.git = gittest.Start(b, gitserver.Config{Root: root})
	w.tree = gittest.Repository(b, w.git, "app")
	if _, err := w.git.Git(b.Context(), "app", "config", "uploadpack.allowFilter", "true"); err != nil {
		b.Fatal(err)
	}
	r, err := New(Config{Dir: b.TempDir(), Now: time.Now, Dial: w.wire.dial})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Close)
	w.r = r
	return w
}

// look fetches main and expects a commit.
func (w *bench) look(have, want string) {
	w.Helper()
	tree, err := w.r.Fetch(w.Context(), branch(w.git, "app"), have)
	if err != nil {
		w.Fatal(err)
	}
	if got := tree.Commit().ID; got != want {
		w.Fatalf("main is %s, want %s", got, want)
	}
	if err := tree.Close(); err != nil {
		w.Fatal(err)
	}
}

// report gives the middle and the bytes of what was timed.
func (w *bench) report(took []time.Duration, bytes int64) {
	slices.Sort(took)
	w.ReportMetric(took[len(took)/2].Seconds()*1e3, "p50-ms")
	w.ReportMetric(float64(bytes)/float64(len(took)), "wire-B/op")
}

// BenchmarkPoll looks at a branch that has not moved, beside many other refs. The server's CGI process counts.
func BenchmarkPoll(b *testing.B) {
	for _, refs := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("refs=%dk", refs/1000), func(b *testing.B) {
			w := newBench(b)
			tip := gittest.Push(b, w.tree, "first", map[string]string{"prod/a.yaml": "a: 1\n"})
			packed := bytes.NewBufferString("# pack-refs with: peeled fully-peeled sorted\n")
			for n := range refs {
				fmt.Fprintf(packed, "%s refs/pull/%07d/head\n", tip, n)
			}
			if err := os.WriteFile(filepath.Join(w.bare, "packed-refs"), packed.Bytes(), 0o600); err != nil {
				b.Fatal(err)
			}
			w.look("", tip)
			bytes, before := w.wire.bytes.Load(), w.requests()
			var took []time.Duration
			for b.Loop() {
				begun := time.Now()
				w.look(tip, tip)
				took = append(took, time.Since(begun))
			}
			w.report(took, w.wire.bytes.Load()-bytes)
			b.ReportMetric(float64(w.requests()-before)/float64(len(took)), "requests/op")
		})
	}
}

func (w *bench) requests() int {
	return w.git.Count("/app.git/info/refs") + w.git.Count("/app.git/git-upload-pack")
}

// BenchmarkFetch fetches a commit that changes one small file of a large repository, proof of descent included. The first
// fetch, of all of it, is measured once.
func BenchmarkFetch(b *testing.B) {
	for _, size := range []int{10, 100} {
		b.Run(fmt.Sprintf("repo=%dMB", size), func(b *testing.B) {
			w := newBench(b)
			files := map[string]string{"prod/a.yaml": "a: 0\n"}
			for n := range size {
				files[fmt.Sprintf("big/%d", n)] = noise(uint64(n), 1<<20)
			}
			tip, err := w.tree.CommitAll(b.Context(), "all", files)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := w.tree.Git(b.Context(), "push", "--quiet", w.bare, "HEAD:refs/heads/main"); err != nil {
				b.Fatal(err)
			}
			debug.FreeOSMemory()
			peak(b)
			resident := peak(b)
			begun := time.Now()
			w.look("", tip)
			b.ReportMetric(time.Since(begun).Seconds()*1e3, "first-ms")
			b.ReportMetric(float64(peak(b)-resident)/(1<<20), "first-MiB")
			var took []time.Duration
			var bytes int64
			for i := range b.N {
				next := gittest.Push(b, w.tree, "change", map[string]string{"prod/a.yaml": fmt.Sprintf("a: %d\n", i+1)})
				before := w.wire.bytes.Load()
				begun := time.Now()
				w.look(tip, next)
				took = append(took, time.Since(begun))
				bytes += w.wire.bytes.Load() - before
				tip = next
			}
			w.report(took, bytes)
		})
	}
}

// peak gives the most memory that this process had resident since the last call.
func peak(b *testing.B) int64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmHWM:")
	fields := strings.Fields(rest)
	if len(fields) == 0 {
		b.Fatal("the kernel does not tell the peak of resident memory")
	}
	kib, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600); err != nil {
		b.Fatal(err)
	}
	return kib << 10
}

// BenchmarkThousandFetches follows a branch of a repository of 10 MB through 1,000 commits (100 with -short), each of which
// changes two files, and tells the largest that the cache and the resident memory of this process have been on the way.
func BenchmarkThousandFetches(b *testing.B) {
	w := newBench(b)
	commits := 1000
	if testing.Short() {
		commits = 100
	}
	var first strings.Builder
	first.WriteString("reset refs/heads/main\ncommit refs/heads/main\ncommitter Demo <demo@sluice.example> 1700000000 +0000\ndata 1\nc\n")
	for n := range 10 {
		fmt.Fprintf(&first, "M 100644 inline big/%d\ndata %d\n%s\n", n, 1<<20, noise(uint64(n), 1<<20))
	}
	tip := w.fastImport(first.String())
	w.look("", tip)
	size, begun := w.disk(), time.Now()
	debug.FreeOSMemory()
	peak(b)
	resident, largest := peak(b), size
	for i := range commits {
		next := w.fastImport(fmt.Sprintf("commit refs/heads/main\ncommitter Demo <demo@sluice.example> %d +0000\ndata 1\nc\nfrom %s\nM 100644 inline a/%d\ndata 65536\n%s\nM 100644 inline b\ndata 2\n%d\n\n",
			1_700_000_001+i, tip, i%100, noise(uint64(i), 65536), i%10))
		w.look(tip, next)
		tip, largest = next, max(largest, w.disk())
	}
	took, grown := time.Since(begun), peak(b)-resident
	for b.Loop() { // one history is enough
		w.disk()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(took.Seconds()*1e3/float64(commits), "ms/fetch")
	b.ReportMetric(float64(largest)/float64(size), "disk/first")
	b.ReportMetric(float64(grown)/(1<<20), "peak-MiB")
	if largest > 3*size {
		b.Errorf("the cache grew from %d to %d bytes", size, largest)
	}
}

// fastImport writes commits into the bare repository, and gives where main is then.
func (w *bench) fastImport(stream string) string {
	w.Helper()
	cmd := exec.CommandContext(w.Context(), "git", "fast-import", "--quiet", "--force")
	cmd.Dir, cmd.Env, cmd.Stdin = w.bare, gitserver.Environment(w.bare), strings.NewReader(stream)
	if out, err := cmd.CombinedOutput(); err != nil {
		w.Fatalf("git fast-import: %v: %s", err, out)
	}
	tip, err := w.git.Git(w.Context(), "app", "rev-parse", "refs/heads/main")
	if err != nil {
		w.Fatal(err)
	}
	return tip
}

// disk gives the bytes of the cache.
func (w *bench) disk() (sum int64) {
	for _, h := range w.r.handles {
		sum += h.size.Load()
	}
	return sum
}
