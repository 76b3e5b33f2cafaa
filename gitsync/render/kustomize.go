package render

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

const (
	originKey    = "config.kubernetes.io/origin"
	internalKeys = "config.kubernetes.io/"
	buildDir     = "/build"
	sourceDir    = "/src"
)

// kustomize scans, and if nothing is wrong builds, the kustomization at the root. It fails only while a build that was given
// up still runs.
func (r *Renderer) kustomize(ctx context.Context, b *build) error {
	s := b.prescan()
	if b.ended() {
		return nil
	}
	memory := b.mount(s.content)
	if memory == nil {
		return nil
	}
	key := b.key()
	if reason, message := r.past.refuses(key); reason != "" {
		b.refuse(reason, problem.Problem{Code: "S316", Path: b.root, Message: message, Hint: "split the kustomization into several Sources"})
		return nil
	}
	result, err := r.exclusively(ctx, key, memory)
	switch {
	case errors.Is(err, errBusy), ctx.Err() != nil:
		return err
	case errors.Is(err, context.DeadlineExceeded):
		b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S316", Path: b.root, Message: fmt.Sprintf("the build took longer than %s", b.limits.BuildTime),
			Hint: "split the kustomization into several Sources"})
	case err != nil:
		b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S315", Path: b.root, Message: strings.NewReplacer(".."+sourceDir+"/", "", sourceDir+"/", "").Replace(err.Error())})
	default:
		b.results(result)
	}
	return nil
}

// ended reports that the build cannot go on: it is refused, or its files cannot be read.
func (b *build) ended() bool { return b.reason != "" || b.files.failure != nil }

// mount puts the scanned files into memory; nil: it is refused.
func (b *build) mount(content map[string][]byte) filesys.FileSystem {
	memory, err := mounted(content, b.root)
	if err != nil {
		b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S315", Path: b.root, Message: err.Error()})
		return nil
	}
	return memory
}

// mounted puts files into memory, below a kustomization that asks for the origin of each object.
func mounted(content map[string][]byte, root string) (filesys.FileSystem, error) {
	memory := filesys.MakeFsInMemory()
	for _, p := range slices.Sorted(maps.Keys(content)) {
		if err := memory.WriteFile(path.Join(sourceDir, p), content[p]); err != nil {
			return nil, fmt.Errorf("mounting %s: %w", p, err)
		}
	}
	top := fmt.Sprintf("resources: [%q]\nbuildMetadata: [originAnnotations]\n", path.Join("..", "src", root))
	if err := memory.WriteFile(path.Join(buildDir, "kustomization.yaml"), []byte(top)); err != nil {
		return nil, fmt.Errorf("mounting the build: %w", err)
	}
	return memory, nil
}

// errBusy says that a build that was given up still runs.
var errBusy = gitsync.Fail(gitsync.BuildFailed, errors.New("another kustomize build still runs, long after it was given up: this one waits for its end"))

// exclusively runs one build at a time. A build that takes too long is given up: it goes on until it ends by itself, and
// only then lets the next one in.
func (r *Renderer) exclusively(ctx context.Context, key string, memory filesys.FileSystem) (resmap.ResMap, error) {
	waiting, cancel := context.WithTimeout(ctx, r.limits.BuildTime)
	defer cancel()
	select {
	case r.busy <- struct{}{}:
	case <-waiting.Done():
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, errBusy
	}
	if err := r.past.enter(key); err != nil {
		<-r.busy
		return nil, gitsync.Fail(gitsync.StorageFailed, err)
	}
	type outcome struct {
		result resmap.ResMap
		err    error
	}
	done, compile := make(chan outcome, 1), r.compile
	go func() {
		result, err := compile(memory)
		r.past.leave(key)
		<-r.busy
		done <- outcome{result, err}
	}()
	building, stop := context.WithTimeout(ctx, r.limits.BuildTime)
	defer stop()
	select {
	case o := <-done:
		return o.result, o.err
	case <-building.Done():
		if ctx.Err() != nil { // the process ends, or the Source changed: nothing is wrong with the build
			r.past.leave(key)
			return nil, ctx.Err()
		}
		r.past.giveUp(key)
		return nil, building.Err()
	}
}

// runKustomize builds from memory only; a panic of the library becomes an error.
func runKustomize(memory filesys.FileSystem) (result resmap.ResMap, err error) {
	defer func() {
		if v := recover(); v != nil {
			result, err = nil, fmt.Errorf("kustomize panicked: %.200s", fmt.Sprint(v))
		}
	}()
	return krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(memory, buildDir)
}

// results turns what kustomize made into objects at their origin files.
func (b *build) results(result resmap.ResMap) {
	for _, res := range result.Resources() {
		raw, err := res.AsYAML()
		if err != nil {
			b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S315", Path: b.root, Message: err.Error()})
			return
		}
		docs, found := parseDocuments(raw, b.limits)
		if found != nil || len(docs) != 1 {
			b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S315", Path: b.root, Message: "kustomize gave a document that cannot be read for " + res.CurId().String()})
			return
		}
		v, found := document.Value(docs[0])
		content, ok := v.(map[string]any)
		if found != nil || !ok {
			b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S315", Path: b.root, Message: "kustomize gave no object for " + res.CurId().String()})
			return
		}
		p := originPath(content, b.root)
		strip(content)
		more, found := b.expand(p, &yaml.Node{Line: 1, Column: 1}, content)
		if found != nil {
			found.Path = p
			b.refuse(gitsync.BuildFailed, *found)
			return
		}
		for _, o := range more {
			o.Line, _ = b.docs.position(o, "")
			b.objects = append(b.objects, o)
		}
	}
}

// originPath reads the file that an object comes from: its own, or the kustomization that generated it.
func originPath(content map[string]any, root string) string {
	var origin struct {
		Path         string `yaml:"path"`
		ConfiguredIn string `yaml:"configuredIn"`
	}
	if err := yaml.Unmarshal([]byte(gitsync.Annotation(content, originKey)), &origin); err != nil {
		return root
	}
	p := origin.Path
	if p == "" {
		p = origin.ConfiguredIn
	}
	if p == "" {
		return root
	}
	full := path.Clean(path.Join(buildDir, p))
	return strings.TrimPrefix(strings.TrimPrefix(full, sourceDir), "/")
}

// strip removes kustomize's own annotations.
func strip(content map[string]any) {
	meta, _ := content["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	if annotations == nil {
		return
	}
	maps.DeleteFunc(annotations, func(k string, _ any) bool {
		return strings.HasPrefix(k, internalKeys) && k != localConfig || strings.HasPrefix(k, "internal.config.kubernetes.io/")
	})
	if len(annotations) == 0 {
		delete(meta, "annotations")
	}
}
