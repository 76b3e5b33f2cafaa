package gogit

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what packs end with
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"

	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

func serverGit(t *testing.T, s *gitserver.Server, args ...string) string {
	t.Helper()
	out, err := s.Git(t.Context(), "app", args...)
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return out
}

// TestLimits_holdAtTheLimitAndNotBeyond sets each limit to exactly what a repository takes, and to one less.
func TestLimits_holdAtTheLimitAndNotBeyond(t *testing.T) {
	t.Parallel()
	s := gittest.Start(t, gitserver.Config{})
	w := gittest.Repository(t, s, "app")
	serverGit(t, s, "config", "pack.window", "0") // no deltas: every size is known
	tip := gittest.Push(t, w, "first", map[string]string{"a": strings.Repeat("x", 5000), "b": "1", "d/e/f": "2", "d/" + strings.Repeat("g", 40): "3"})
	const others = 40
	for i := range others {
		serverGit(t, s, "update-ref", fmt.Sprintf("refs/heads/main-%02d", i), tip)
	}
	var objects, inflated int64
	for line := range strings.Lines(serverGit(t, s, "cat-file", "--batch-all-objects", "--batch-check=%(objectsize)")) {
		size, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		objects, inflated = objects+1, inflated+size
	}
	probe := repositories(t, Limits{})
	fetch(t, probe, branch(s, "app"), "")
	pack := probe.handles[onlyKey(t, probe)].now.bytes
	line := int64(len("0000 refs/heads/main\n") + 40)
	for name, limit := range map[string]func(less int64) Limits{
		"listBytes": func(less int64) Limits {
			return Limits{ListBytes: line + others*(line+int64(len("-00"))) + int64(len("0000")) - less}
		},
		"packBytes":     func(less int64) Limits { return Limits{PackBytes: pack - less} },
		"objects":       func(less int64) Limits { return Limits{Objects: objects - less} },
		"objectBytes":   func(less int64) Limits { return Limits{ObjectBytes: 5000 - less} },
		"inflatedBytes": func(less int64) Limits { return Limits{InflatedBytes: inflated - less} },
		"treeEntries":   func(less int64) Limits { return Limits{TreeEntries: 3 - int(less)} },
		"pathDepth":     func(less int64) Limits { return Limits{PathDepth: 3 - int(less)} },
		"pathBytes":     func(less int64) Limits { return Limits{PathBytes: len("d/") + 40 - int(less)} },
	} {
		for less, want := range map[int64]gitsync.Reason{0: "", 1: gitsync.LimitExceeded} {
			if err := readAll(t, limit(less), branch(s, "app")); gitsync.ReasonOf(err, "no Failure at all") != want {
				t.Errorf("%s, %d less than needed: %v, want %q", name, less, err, want)
			}
		}
	}
}

// readAll fetches and reads every file.
func readAll(t *testing.T, l Limits, ref gitsync.Ref) error {
	t.Helper()
	tree, err := repositories(t, l).Fetch(t.Context(), ref, "")
	if err != nil {
		return err
	}
	defer tree.Close()
	return fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			_, err = fs.ReadFile(tree, name)
		}
		return err
	})
}

// packOf writes a pack of one blob and a chain of deltas upon it, each of which copies its base; the trailer is whatever.
func packOf(t testing.TB, deltas int) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("PACK\x00\x00\x00\x02")
	_ = binary.Write(&out, binary.BigEndian, uint32(deltas+1))
	last := out.Len()
	out.WriteByte(3<<4 | 4)
	out.Write(deflated(t, []byte("base")))
	for range deltas {
		at := out.Len()
		out.WriteByte(6<<4 | 4)
		out.Write(backwards(at - last))
		out.Write(deflated(t, []byte{4, 4, 0x90, 4})) // of 4 bytes, to 4 bytes: copy 4 from 0
		last = at
	}
	out.Write(make([]byte, 20))
	return out.Bytes()
}

// namedChain writes a pack of one blob and a chain of deltas, each of which names its base by id and has other content; a thin
// one lacks the blob.
func namedChain(t testing.TB, deltas int, thin bool) []byte {
	t.Helper()
	var out bytes.Buffer
	out.WriteString("PACK\x00\x00\x00\x02")
	content := []byte("base")
	if thin {
		_ = binary.Write(&out, binary.BigEndian, uint32(deltas))
	} else {
		_ = binary.Write(&out, binary.BigEndian, uint32(deltas+1))
		out.WriteByte(3<<4 | 4)
		out.Write(deflated(t, content))
	}
	for i := range deltas {
		base := plumbing.ComputeHash(plumbing.BlobObject, content)
		content = fmt.Appendf(nil, "%04d", i)
		out.WriteByte(7<<4 | 7)
		out.Write(base[:])
		out.Write(deflated(t, append([]byte{4, 4, 4}, content...))) // of 4 bytes, to 4 bytes: these
	}
	sum := sha1.Sum(out.Bytes()) //nolint:gosec // what packs end with
	out.Write(sum[:])
	return out.Bytes()
}

// backwards writes how far a delta's base lies behind, as packs do.
func backwards(distance int) []byte {
	out := []byte{byte(distance & 0x7f)}
	for distance >>= 7; distance > 0; distance >>= 7 {
		distance--
		out = append([]byte{byte(distance&0x7f) | 0x80}, out...)
	}
	return out
}

func TestCheckPack_depthOfDeltas(t *testing.T) {
	t.Parallel()
	none := func(string) bool { return false }
	for depth, want := range map[int]gitsync.Reason{7: "", 8: gitsync.LimitExceeded} {
		_, err := checkPack(bytes.NewReader(packOf(t, depth)), Limits{DeltaDepth: 7}.withDefaults(), none)
		if gitsync.ReasonOf(err, "no Failure at all") != want {
			t.Errorf("a chain of %d deltas where 7 are allowed: %v, want %q", depth, err, want)
		}
	}
	for depth, want := range map[int]gitsync.Reason{7: "", 8: gitsync.LimitExceeded} { // of deltas that name their bases
		pack := namedChain(t, depth, false)
		seen, err := checkPack(bytes.NewReader(pack), Limits{DeltaDepth: 7}.withDefaults(), none)
		if err == nil {
			err = (&resolving{inspection: seen, room: deltaMemory}).resolve(bytes.NewReader(pack))
		}
		if gitsync.ReasonOf(err, "no Failure at all") != want {
			t.Errorf("a chain of %d deltas upon named objects where 7 are allowed: %v, want %q", depth, err, want)
		}
	}
	for objects, want := range map[int]gitsync.Reason{4: "", 5: gitsync.LimitExceeded} {
		_, err := checkPack(bytes.NewReader(packOf(t, objects-1)), Limits{Objects: 4}.withDefaults(), none)
		if gitsync.ReasonOf(err, "no Failure at all") != want {
			t.Errorf("%d objects where 4 are allowed: %v, want %q", objects, err, want)
		}
	}
	lie := packOf(t, 1)
	binary.BigEndian.PutUint32(lie[8:], 1<<31)
	if _, err := checkPack(bytes.NewReader(lie), Limits{}.withDefaults(), none); reasonOf(t, err) != gitsync.LimitExceeded {
		t.Errorf("a header of 2^31 objects: %v, want LimitExceeded", err)
	}
}

// tamper passes requests on, and changes the packs in the answers.
type tamper struct {
	next http.Handler

	mu     sync.Mutex
	change func(pack []byte) []byte // nil: nothing; guarded by mu
	packs  int                      // seen; guarded by mu
}

func (p *tamper) set(change func(pack []byte) []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.change, p.packs = change, 0
}

// once changes the next pack alone.
func (p *tamper) once(change func(pack []byte) []byte) {
	p.set(func(pack []byte) []byte {
		p.change = nil // called with mu held
		return change(pack)
	})
}

func (p *tamper) seen() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.packs
}

// ServeHTTP implements http.Handler.
func (p *tamper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := httptest.NewRecorder()
	p.next.ServeHTTP(rec, r)
	body := rec.Body.Bytes()
	if at := bytes.Index(body, []byte("PACK")); at >= 0 && r.Method == http.MethodPost {
		p.mu.Lock()
		p.packs++
		if p.change != nil {
			body = p.repack(body, at-5)
		}
		p.mu.Unlock()
	}
	w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
	w.WriteHeader(rec.Code)
	_, _ = w.Write(body)
}

// repack changes the pack that the side band holds from a place on.
func (p *tamper) repack(body []byte, from int) []byte {
	var pack []byte
	for in := bytes.NewReader(body[from:]); ; {
		line, kind, err := rawPacket(in)
		if err != nil || kind == flush {
			break
		}
		if line[0] == 1 {
			pack = append(pack, line[1:]...)
		}
	}
	out := bytes.Clone(body[:from])
	for pack = p.change(pack); len(pack) > 0; {
		n := min(len(pack), 1000)
		out = append(out, fmt.Sprintf("%04x\x01%s", n+5, pack[:n])...)
		pack = pack[n:]
	}
	return append(out, "0000"...)
}

// rawPacket reads a packet with its line end.
func rawPacket(in io.Reader) ([]byte, packetKind, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, data, err
	}
	size, err := strconv.ParseUint(string(head), 16, 16)
	if err != nil || size < 5 {
		return nil, flush, err
	}
	line := make([]byte, size-4)
	_, err = io.ReadFull(in, line)
	return line, data, err
}

// spools gives the directories of the cache that no repository at work owns.
func spools(t *testing.T, r *Repositories) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(r.cfg.Dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// TestFetch_corruptPacksAreFetchedOnceMore breaks packs in every way: they are never taken, what was there stays readable,
// and one fresh fetch is tried.
func TestFetch_corruptPacksAreFetchedOnceMore(t *testing.T) {
	t.Parallel()
	flip := func(at func(n int) int) func([]byte) []byte {
		return func(pack []byte) []byte { pack[at(len(pack))] ^= 0x55; return pack }
	}
	ways := map[string]func([]byte) []byte{
		"magic": flip(func(int) int { return 0 }), "version": flip(func(int) int { return 7 }), "count": func(pack []byte) []byte { pack[11]--; return pack },
		"first object": flip(func(int) int { return 12 }), "middle": flip(func(n int) int { return n / 2 }),
		"last object": flip(func(n int) int { return n - 21 }), "trailing hash": flip(func(n int) int { return n - 1 }),
		"no trailing hash": func(pack []byte) []byte { return pack[:len(pack)-20] }, "half of it": func(pack []byte) []byte { return pack[:len(pack)/2] },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := gittest.Start(t, gitserver.Config{})
			p := &tamper{next: s}
			front := httptest.NewServer(p)
			t.Cleanup(front.Close)
			w := gittest.Repository(t, s, "app")
			first := gittest.Push(t, w, "first", map[string]string{"a": "1\n", "b": strings.Repeat("b\n", 50)})
			ref := gitsync.Ref{Remote: gitsync.Remote{URL: front.URL + "/app.git"}, Branch: "main"}
			r := repositories(t, Limits{})
			p.set(way)
			if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.StorageFailed || p.seen() != 2 {
				t.Errorf("the first fetch: %v after %d packs, want StorageFailed after two", err, p.seen())
			}
			if left := spools(t, r); len(left) > 0 {
				t.Errorf("%v stay of fetches that failed", left)
			}
			p.once(way)
			if err := fetch(t, r, ref, "").Close(); err != nil || p.seen() != 2 {
				t.Errorf("a pack that is broken once: %v after %d packs, want it fetched again", err, p.seen())
			}
			p.set(nil)
			tree := fetch(t, r, ref, "")
			second := gittest.Push(t, w, "second", map[string]string{"a": "2\n"})
			p.set(way)
			if _, err := r.Fetch(t.Context(), ref, ""); reasonOf(t, err) != gitsync.StorageFailed || p.seen() != 2 {
				t.Errorf("a later fetch: %v after %d packs, want StorageFailed after two", err, p.seen())
			}
			if got, err := fs.ReadFile(tree, "a"); err != nil || string(got) != "1\n" || tree.Commit().ID != first {
				t.Errorf("the tree before: %q, %v", got, err)
			}
			p.set(nil)
			if got, err := fs.ReadFile(fetch(t, r, ref, ""), "a"); err != nil || string(got) != "2\n" {
				t.Errorf("when all is well again: %q, %v, want %s", got, err, second)
			}
		})
	}
}
