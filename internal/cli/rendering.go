package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/gitsync/render"
	"github.com/sluice-dev/sluice/internal/app"
)

// rendering is what a Source would make of a directory: the flags that say so, and the engine.
type rendering struct {
	git       app.Git
	namespace string
	path      string
	ignore    []string
	set       map[string]string
	from      []string // files with the manifests of ConfigMaps and Secrets
}

// options are those of the engine for a directory of a tree.
func (r rendering) options(dir string) (gitsync.Options, error) {
	o := gitsync.Options{Path: dir, Namespace: r.namespace, Ignore: r.ignore}
	if len(r.set)+len(r.from) == 0 {
		return o, nil
	}
	var from []gitsync.Given
	for _, name := range r.from {
		given, err := givenBy(name)
		if err != nil {
			return o, err
		}
		from = append(from, given)
	}
	v, wrong := gitsync.GatherVariables(from, r.set)
	if wrong != nil {
		return o, fmt.Errorf("%s: %s", wrong.Field, wrong.Message)
	}
	o.Variables = v
	return o, nil
}

// givenBy reads the manifest of a ConfigMap or Secret that variables come from.
func givenBy(name string) (gitsync.Given, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return gitsync.Given{}, fmt.Errorf("reading --from: %w", err)
	}
	given := gitsync.Given{Field: "--from " + name, Data: map[string]string{}}
	var kind metav1.TypeMeta
	if err := yaml.Unmarshal(text, &kind); err != nil {
		return given, fmt.Errorf("reading --from %s: it is no manifest", name) // the parser's words might show a value
	}
	switch kind.Kind {
	case "ConfigMap":
		cm := &corev1.ConfigMap{}
		err = yaml.UnmarshalStrict(text, cm)
		given.Data = cm.Data
	case "Secret":
		s := &corev1.Secret{}
		err = yaml.UnmarshalStrict(text, s)
		given.Secret, given.Data = true, textOf(s)
	default:
		return given, fmt.Errorf("reading --from %s: it is no manifest of a ConfigMap or Secret", name)
	}
	if err != nil {
		return given, fmt.Errorf("reading --from %s: it is no %s manifest", name, kind.Kind)
	}
	return given, nil
}

// textOf gives the entries of a Secret's manifest.
func textOf(s *corev1.Secret) map[string]string {
	out := map[string]string{}
	for k, v := range s.Data {
		out[k] = string(v)
	}
	maps.Copy(out, s.StringData)
	return out
}

// rendition is what came of it.
type rendition struct {
	commit   gitsync.Commit // zero: files on disk
	objects  []gitsync.Object
	problems []problem.Problem
}

// refused reports whether something in it would not be applied.
func (r rendition) refused() bool { return problem.HasError(r.problems) }

// directory renders a directory on disk.
func (r rendering) directory(ctx context.Context, name string) (rendition, error) {
	if _, err := os.Stat(name); err != nil {
		return rendition{}, err
	}
	d, err := openDir(name)
	if err != nil {
		return rendition{}, err
	}
	out, err := r.tree(ctx, d.tree, path.Join(d.path, r.path))
	for i, p := range out.problems {
		if p.Path != "" {
			out.problems[i].Path = d.shown(p.Path)
		}
	}
	return out, err
}

// tree renders a directory of a tree and checks its objects, as a Source of the namespace would.
func (r rendering) tree(ctx context.Context, tree gitsync.Tree, dir string) (rendition, error) {
	decoder, err := r.git.Decoder()
	if err != nil {
		return rendition{}, err
	}
	options, err := r.options(dir)
	if err != nil {
		return rendition{}, err
	}
	build, err := render.New(r.git.Render).Render(ctx, tree, options)
	if err != nil {
		return rendition{}, err
	}
	out := rendition{commit: tree.Commit(), objects: build.Objects, problems: build.Problems}
	if build.Reason == "" {
		scope := decode.Scope{Namespace: r.namespace}
		if r.git.CrossNamespace {
			scope.Namespaces = []string{"*"}
		}
		objects, problems := decoder.Check(build, scope)
		out.objects, out.problems = objects, slices.Concat(build.Problems, problems)
	}
	problem.Sort(out.problems)
	for i := range out.problems {
		p := &out.problems[i]
		p.Object, p.Field, p.Message, p.Hint = options.Variables.Hide(p.Object), options.Variables.Hide(p.Field), options.Variables.Hide(p.Message), options.Variables.Hide(p.Hint)
	}
	return out, nil
}

// remote renders a ref of a remote. A name that is no branch may be a tag.
func (r rendering) remote(ctx context.Context, from gitsync.Remote, name string) (rendition, error) {
	var out rendition
	use := func(tree gitsync.Tree) error {
		var err error
		out, err = r.tree(ctx, tree, path.Clean(r.path))
		return err
	}
	ref := refNamed(name)
	ref.Remote = from
	err := r.git.FetchOnce(ctx, ref, use)
	if ref.Branch != "" && gitsync.ReasonOf(err, "") == gitsync.RefNotFound {
		ref.Branch, ref.Tag = "", name
		if again := r.git.FetchOnce(ctx, ref, use); gitsync.ReasonOf(again, "") != gitsync.RefNotFound {
			err = again
		}
	}
	return out, err
}

var fullCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// refNamed reads a commit id, a full ref name or a branch; empty is the remote's HEAD.
func refNamed(name string) gitsync.Ref {
	switch {
	case fullCommit.MatchString(name):
		return gitsync.Ref{Commit: name}
	case strings.HasPrefix(name, "refs/"):
		return gitsync.Ref{Name: name}
	}
	return gitsync.Ref{Branch: name}
}

// remoteOf gives a remote with the credentials of a Secret manifest.
func remoteOf(url, secret string) (gitsync.Remote, error) {
	remote := gitsync.Remote{URL: url}
	if secret == "" {
		return remote, nil
	}
	text, err := os.ReadFile(secret)
	if err != nil {
		return remote, fmt.Errorf("reading --secret: %w", err)
	}
	s := &corev1.Secret{}
	if err := yaml.UnmarshalStrict(text, s); err != nil || s.Kind != "Secret" {
		return remote, fmt.Errorf("reading --secret %s: it is no Secret manifest", secret) // the parser's words might show a value
	}
	data := s.Data
	if data == nil {
		data = map[string][]byte{}
	}
	for k, v := range s.StringData {
		data[k] = []byte(v)
	}
	if remote.Secret, err = gitsync.ReadSecret(url, data); err != nil {
		return remote, fmt.Errorf("reading --secret %s: %w", secret, err)
	}
	return remote, nil
}

// fetchExit turns a failure of Git into the exit code that says what kind it is.
func fetchExit(err error) error {
	failure, ok := errors.AsType[*gitsync.Failure](err)
	if !ok {
		if errors.Is(err, fs.ErrNotExist) {
			return &Exit{Code: ExitNotFound, Err: err}
		}
		return &Exit{Code: ExitUsage, Err: err}
	}
	exit := &Exit{Code: ExitUsage, Err: fmt.Errorf("%s: %s", failure.Reason, problem.Clean(failure.Error(), problem.MaxMessage))}
	if failure.Problem != nil {
		exit.Next = failure.Problem.Hint
	}
	is := func(reasons ...gitsync.Reason) bool { return slices.Contains(reasons, failure.Reason) }
	switch {
	case is(gitsync.RefNotFound, gitsync.PathNotFound):
		exit.Code = ExitNotFound
	case is(gitsync.Unreachable, gitsync.Timeout, gitsync.TLSFailed, gitsync.Throttled):
		exit.Code = ExitUnreachable
	case is(gitsync.AuthFailed, gitsync.HostKeyUnknown, gitsync.HostKeyMismatch):
		exit.Code = ExitUnauthorized
	}
	return exit
}

// printProblems writes them a line each, most of it as editors read places.
func printProblems(s Streams, problems []problem.Problem) {
	for _, p := range problems {
		fmt.Fprintln(s.Err, problem.Clean(p.String(), 2*problem.MaxMessage))
	}
}
