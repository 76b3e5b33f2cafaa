package controller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
	"github.com/sluice-dev/sluice/xds/registry"
)

const (
	readFiles    = time.Second // how often the directory is read
	maxFiles     = 1000
	maxFileBytes = 16 << 20 // of all files together
)

// files follows a directory of manifests: the registry of machines that no cluster knows. A file that cannot be read
// stays as it was when it could be; a directory that cannot be read stays as a whole.
type files struct {
	dir    string
	suffix string
	good   map[string][]byte // the newest content of each file that could be read, by path
	digest [sha256.Size]byte // of what was taken last
	latest [sha256.Size]byte // of what was found last
	known  bool              // something was taken

	failure string // why nothing could be read the last time; empty: it could
}

// written is what the files say.
type written struct {
	objects  []istio.Object
	registry registry.Snapshot
	problems []problem.Problem
}

// read gives what the files say now; false: nothing has changed since the last time. A change is taken when it is found
// twice, so that no file is taken while it is being written.
func (f *files) read() (written, bool, error) {
	found, err := f.list()
	if err != nil {
		return written{}, false, fmt.Errorf("reading the registry directory: %w", err)
	}
	digest := digestOf(found)
	still := digest == f.latest
	f.latest = digest
	if f.known && (digest == f.digest || !still) {
		return written{}, false, nil
	}
	f.known, f.digest = true, digest
	maps.DeleteFunc(f.good, func(name string, _ []byte) bool { _, there := found[name]; return !there })
	mesh := manifest.New()
	var out written
	for _, name := range slices.Sorted(maps.Keys(found)) {
		if err := manifest.New().Read(name, bytes.NewReader(found[name])); err != nil {
			out.problems = append(out.problems, unreadable(name, err, f.good[name] != nil))
		} else {
			f.good[name] = found[name]
		}
		if good, ok := f.good[name]; ok {
			if err := mesh.Read(name, bytes.NewReader(good)); err != nil {
				return written{}, false, err // it was read before
			}
		}
	}
	in := mesh.Input(f.suffix, "")
	out.objects, out.registry = in.Objects, in.Registry
	for _, s := range in.Splits {
		out.problems = append(out.problems, effectless("Rollout/"+s.Key))
	}
	for _, s := range in.Secrets {
		out.problems = append(out.problems, effectless("Secret/"+s.Namespace+"/"+s.Name))
	}
	out.problems = mesh.Placed(out.problems)
	return out, true, nil
}

func unreadable(name string, err error, had bool) problem.Problem {
	hint := "correct it; until then none of it counts"
	if had {
		hint = "correct it; until then it counts as it was before"
	}
	return problem.Problem{Code: "S002", Severity: problem.Error, Path: name, Message: problem.Clean(err.Error(), problem.MaxMessage), Hint: hint}
}

func effectless(ref string) problem.Problem {
	return problem.Problem{
		Code: "S003", Severity: problem.Warning, Object: ref, Message: "the object has no effect in a registry file", Hint: "apply it to the cluster",
	}
}

// list reads the manifests below the directory, by their path in it. Hidden directories are passed over: a mounted
// ConfigMap keeps its versions there.
func (f *files) list() (map[string][]byte, error) {
	out, size := map[string][]byte{}, 0
	err := filepath.WalkDir(f.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && path != f.dir
		if entry.IsDir() && hidden {
			return fs.SkipDir
		}
		if entry.IsDir() || hidden || !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			return nil
		}
		data, err := readBounded(path, maxFileBytes-size)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(f.dir, path)
		out[filepath.ToSlash(name)] = data
		if size += len(data); len(out) > maxFiles {
			return fmt.Errorf("there are more than %d files in %s", maxFiles, f.dir)
		}
		return err
	})
	return out, err
}

func readBounded(path string, limit int) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > int64(limit) {
		return nil, fmt.Errorf("%s is no plain file, or the files are larger than %d MiB together", path, maxFileBytes>>20)
	}
	return os.ReadFile(path)
}

func digestOf(found map[string][]byte) [sha256.Size]byte {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(h, "%q %d\n", name, len(found[name]))
		h.Write(found[name])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// refresh takes what the files say now into the world.
func (c *Controller) refresh() {
	said, changed, err := c.files.read()
	if err != nil {
		if text := err.Error(); text != c.files.failure { // once for each cause
			c.files.failure = text
			c.config.Log.Error("the registry stays as it was", "err", err)
		}
		return
	}
	c.files.failure = ""
	if !changed {
		return
	}
	for _, p := range said.problems {
		c.config.Log.Warn("registry file", "reason", p.String())
	}
	c.note(c.world.setWritten(said))
}

// follow reads the files again and again until ctx ends. The loop that compiles never waits for a disk.
func (c *Controller) follow(ctx context.Context) {
	again := time.NewTicker(c.reread)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
			c.refresh()
		}
	}
}

// checkDir says early that a directory cannot be read.
func checkDir(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("reading the registry directory: %w", err)
	}
	if !info.IsDir() {
		return errors.New("reading the registry directory: " + dir + " is no directory")
	}
	return nil
}

// setWritten puts what files say in the place of what they said before.
func (w *world) setWritten(said written) urgency {
	return w.change(func() urgency {
		w.written = said
		w.asked = w.asked || slices.ContainsFunc(said.objects, asksForPods)
		return gathered
	})
}

// fileProblems are those of reading the files.
func (w *world) fileProblems() []problem.Problem {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written.problems
}

// withWritten adds what files say. An object that the cluster has, too, counts as it is there.
func (w *world) withWritten(in istio.Input) istio.Input {
	for _, o := range w.written.objects {
		if _, twice := w.objects[keyOf(o)]; twice {
			o.Spec = nil
			o.Problems = []problem.Problem{{
				Code: "S004", Severity: problem.Error, Object: o.Kind + "/" + o.Namespace + "/" + o.Name,
				Message: "the object of a registry file is in the cluster, too, which holds", Hint: "remove one of the two",
			}}
		}
		in.Objects = append(in.Objects, o)
	}
	in.Registry.Services = append(in.Registry.Services, w.written.registry.Services...)
	in.Registry.Workloads = append(in.Registry.Workloads, w.written.registry.Workloads...)
	return in
}
