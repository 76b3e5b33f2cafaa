package render

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
)

// Limits bound one build. Zero fields mean their defaults.
type Limits struct {
	Files              int           // that are read; 5,000
	FileBytes          int64         // of one file; 1 MiB
	ReadBytes          int64         // of all files; 32 MiB
	Nodes              int           // of one file with aliases expanded; 200,000
	Depth              int           // of nesting within a file; 100
	Resources          int           // that are rendered; 4,000
	KustomizeResources int           // that go into kustomize; 2,000
	Kustomizations     int           // that a build visits; 500
	KustomizeDepth     int           // of kustomizations over kustomizations; 16
	BuildTime          time.Duration // of kustomize; 30 s
}

func (l Limits) withDefaults() Limits {
	for _, d := range []struct {
		field *int
		value int
	}{{&l.Files, 5000}, {&l.Nodes, 200_000}, {&l.Depth, 100}, {&l.Resources, 4000}, {&l.KustomizeResources, 2000},
		{&l.Kustomizations, 500}, {&l.KustomizeDepth, 16}} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if l.FileBytes == 0 {
		l.FileBytes = 1 << 20
	}
	if l.ReadBytes == 0 {
		l.ReadBytes = 32 << 20
	}
	if l.BuildTime == 0 {
		l.BuildTime = 30 * time.Second
	}
	return l
}

// Renderer implements gitsync.Renderer.
type Renderer struct {
	limits  Limits
	busy    chan struct{} // holds one token: kustomize runs once at a time in a process
	past    *past
	compile func(filesys.FileSystem) (resmap.ResMap, error)
}

// New makes a Renderer that forgets, with the process, which builds took too long.
func New(l Limits) *Renderer {
	return &Renderer{limits: l.withDefaults(), busy: make(chan struct{}, 1), past: &past{}, compile: runKustomize}
}

// NewIn makes a Renderer that also remembers, in a directory that outlives the process, during which builds it was killed:
// what did so twice is not built again.
func NewIn(dir string, l Limits) (*Renderer, error) {
	r := New(l)
	if err := r.past.open(filepath.Join(dir, "builds")); err != nil {
		return nil, err
	}
	return r, nil
}

// Render implements gitsync.Renderer.
func (r *Renderer) Render(ctx context.Context, tree gitsync.Tree, o gitsync.Options) (gitsync.Build, error) {
	b := &build{files: newReader(tree, r.limits), options: o, limits: r.limits, root: path.Clean(o.Path), room: r.limits.ReadBytes}
	if o.Path == "" {
		b.root = "."
	}
	err := r.run(ctx, b)
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return gitsync.Build{}, fmt.Errorf("rendering: %w", err)
	}
	return b.finish(), nil
}

func (r *Renderer) run(ctx context.Context, b *build) error {
	if !fs.ValidPath(b.root) {
		b.refuse(gitsync.PathNotFound, problem.Problem{Code: "S208", Field: "spec.path", Message: fmt.Sprintf("path %q leaves the tree", b.options.Path)})
		return nil
	}
	if b.files.kind(b.root) != directory {
		b.refuse(gitsync.PathNotFound, problem.Problem{Code: "S208", Field: "spec.path", Message: fmt.Sprintf("the commit has no directory %q", b.root),
			Hint: "correct spec.path, or add the directory"})
		return nil
	}
	switch found := b.kustomizationsIn(b.root); len(found) {
	case 0:
		b.plain()
	case 1:
		return r.kustomize(ctx, b)
	default:
		b.several(b.root, found)
	}
	return nil
}

// build is one rendering under way.
type build struct {
	files   *reader
	options gitsync.Options
	limits  Limits
	root    string

	objects  []gitsync.Object
	problems []problem.Problem
	reason   gitsync.Reason
	docs     documents
	patterns []pattern // of what is left out
	room     int64     // bytes that variables may still add
}

// report records an error in the files.
func (b *build) report(p problem.Problem) {
	if p.Severity == "" {
		p.Severity = problem.Error
	}
	p.Message = problem.Clean(p.Message, problem.MaxMessage)
	b.problems = append(b.problems, p)
}

// refuse records an error after which nothing of the build may be applied.
func (b *build) refuse(r gitsync.Reason, p problem.Problem) {
	if b.reason == "" {
		b.reason = r
	}
	b.report(p)
}

func (b *build) several(dir string, found []string) {
	b.refuse(gitsync.BuildFailed, problem.Problem{Code: "S310", Path: path.Join(dir, found[0]), Message: "several kustomization files in one directory: " + strings.Join(found, ", "),
		Hint: "keep one of them"})
}

// finish checks the whole and sorts it.
func (b *build) finish() gitsync.Build {
	if f := b.files.failure; f != nil {
		p := problem.Problem{Code: "S209", Message: f.Error()}
		if f.Problem != nil {
			p = *f.Problem
		}
		b.refuse(f.Reason, p)
	}
	b.dropTwins()
	if len(b.objects) > b.limits.Resources {
		b.refuse(gitsync.LimitExceeded, problem.Problem{Code: "S306", Message: fmt.Sprintf("%d objects, %d are allowed", len(b.objects), b.limits.Resources)})
	}
	if b.reason == "" && len(b.objects) == 0 && !problem.HasError(b.problems) {
		b.refuse(gitsync.EmptyBuild, problem.Problem{Code: "S326", Path: b.root, Message: "no object was rendered",
			Hint: "nothing is applied or removed; to remove everything, delete the Source"})
	}
	if b.reason != "" {
		b.objects = nil
	}
	slices.SortFunc(b.objects, func(x, y gitsync.Object) int { return gitsync.CompareID(x.ID, y.ID) })
	problem.Sort(b.problems)
	return gitsync.Build{Objects: b.objects, Problems: b.problems, Reads: b.files.reads, Reason: b.reason, Position: b.docs.position}
}

// dropTwins reports objects that stand in two places; the first place wins so that the unit can be named.
func (b *build) dropTwins() {
	first := map[gitsync.ID]gitsync.Object{}
	b.objects = slices.DeleteFunc(b.objects, func(o gitsync.Object) bool {
		other, twice := first[o.ID]
		if !twice {
			first[o.ID] = o
			return false
		}
		b.report(problem.Problem{Code: "S322", Object: o.ID.Ref(), Path: o.Path, Line: o.Line,
			Message: fmt.Sprintf("the same object stands at %s:%d too", other.Path, other.Line), Hint: "keep one of them"})
		return true
	})
}

// plain reads every YAML and JSON file below the root.
func (b *build) plain() {
	b.patterns = b.readPatterns()
	paths := b.walk(b.root, nil)
	slices.Sort(paths)
	for _, p := range paths {
		switch b.files.kind(p) {
		case symlink:
			b.report(problem.Problem{Code: "S303", Path: p, Message: "a symbolic link", Hint: "replace it by the file it points to"})
			continue
		case submodule:
			b.report(problem.Problem{Code: "S304", Path: p, Message: "a submodule", Hint: "copy its files into this repository"})
			continue
		case absent, directory, regular:
		}
		content, ok := b.read(p)
		if !ok {
			continue
		}
		if docs, ok := b.parse(p, content); ok {
			b.docs.keep(p, docs)
			b.collect(p, docs)
		}
	}
}

// walk lists the files that plain rendering reads; directories with a kustomization are a mistake.
func (b *build) walk(dir string, into []string) []string {
	for _, e := range b.files.list(dir) {
		name := path.Join(dir, e.Name())
		switch {
		case strings.HasPrefix(e.Name(), "."), b.leftOut(name, e.IsDir()):
		case e.IsDir():
			if found := b.kustomizationsIn(name); len(found) > 0 {
				b.report(problem.Problem{Code: "S313", Path: path.Join(name, found[0]), Message: "a kustomization below a directory of plain files",
					Hint: "add a kustomization.yaml to " + b.root + " that names it under resources"})
				continue
			}
			into = b.walk(name, into)
		case slices.Contains([]string{".yaml", ".yml", ".json"}, path.Ext(e.Name())):
			into = append(into, name)
		}
	}
	return into
}

// read gives a file for parsing, or reports why not.
func (b *build) read(p string) ([]byte, bool) {
	content, why := b.files.read(p)
	if why != nil {
		b.report(*why)
		return nil, false
	}
	return content, content != nil
}
