package lint

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// The codes of an object's form. That of a bound is v1alpha1's.
const (
	codeUnknown  = "S502" // an unknown field
	codeUnserved = "S505" // a kind or version that is not served
)

// forms know how objects look: Sluice's own by their definitions, Kubernetes' by their Go types.
type forms struct {
	own     map[string]*apiextensionsv1.JSONSchemaProps // by kind
	decoder *decode.Decoder
}

func newForms() (*forms, error) {
	defs, err := crd.Own()
	if err != nil {
		return nil, err
	}
	f := &forms{own: map[string]*apiextensionsv1.JSONSchemaProps{}}
	for _, d := range defs {
		for _, v := range d.Spec.Versions {
			if v.Name == v1alpha1.Version && v.Schema != nil {
				f.own[d.Spec.Names.Kind] = v.Schema.OpenAPIV3Schema
			}
		}
	}
	f.decoder, err = decode.New(decode.Policy{})
	return f, err
}

// check is a Rule: the form of each object, whatever else there is in the mesh.
func (f *forms) check(m *manifest.Mesh, _ Options) []problem.Problem {
	var out []problem.Problem
	for _, it := range m.Items() {
		for _, p := range f.object(it) {
			p.Object, p.Path, p.Line, p.Column = it.Ref, "", 0, 0 // placed with all others
			out = append(out, p)
		}
	}
	return out
}

func (f *forms) object(it manifest.Item) []problem.Problem {
	apiVersion, _ := it.Content["apiVersion"].(string)
	kind, _ := it.Content["kind"].(string)
	group, version, _ := strings.Cut(apiVersion, "/")
	switch {
	case group == v1alpha1.Group && (version != v1alpha1.Version || f.own[kind] == nil):
		return []problem.Problem{f.unserved(apiVersion, kind)}
	case group == v1alpha1.Group:
		return f.ownObject(kind, it)
	case group == "networking.istio.io" && !istio.Handles(apiVersion, kind) && istio.Handles(group+"/v1", kind):
		return []problem.Problem{{
			Code: codeUnserved, Severity: problem.Error, Field: "apiVersion", Message: fmt.Sprintf("there is no %s in %s", kind, apiVersion), Hint: "use " + group + "/v1",
		}}
	case istio.Handles(apiVersion, kind):
		return metadata(it.Content)
	default:
		return f.foreign(group, version, apiVersion, it)
	}
}

func (f *forms) unserved(apiVersion, kind string) problem.Problem {
	p := problem.Problem{Code: codeUnserved, Severity: problem.Error, Field: "kind", Message: fmt.Sprintf("there is no %s in %s", kind, apiVersion)}
	kinds := make([]string, 0, len(f.own))
	for k := range f.own {
		kinds = append(kinds, k)
	}
	slices.Sort(kinds)
	if near := problem.Nearest(kind, kinds); near != "" {
		kind = near
	}
	p.Hint = "the kinds are " + strings.Join(kinds, ", ")
	if f.own[kind] != nil {
		p.Field, p.Hint = "apiVersion", fmt.Sprintf("use %s %s", v1alpha1.GroupVersion(), kind)
	}
	return p
}

// foreign is an object of Kubernetes, or of a group that nobody here knows.
func (f *forms) foreign(group, version, apiVersion string, it manifest.Item) []problem.Problem {
	if version == "" {
		group, version = "", apiVersion
	}
	kind, _ := it.Content["kind"].(string)
	return f.decoder.Form(gitsync.Object{ID: gitsync.ID{Group: group, Kind: kind}, Version: version, Content: it.Content})
}

// ownObject holds an object against the definition of its kind, and then against what only code can say of it.
func (f *forms) ownObject(kind string, it manifest.Item) []problem.Problem {
	s := &shape{}
	s.object("", f.own[kind], it.Content)
	out := append(metadata(it.Content), s.found...)
	data, err := json.Marshal(it.Content)
	if err != nil {
		return out
	}
	object := map[string]interface{ Validate() []problem.Problem }{
		v1alpha1.KindRollout: &v1alpha1.Rollout{}, v1alpha1.KindSource: &v1alpha1.Source{},
		v1alpha1.KindMetricTemplate: &v1alpha1.MetricTemplate{}, v1alpha1.KindNotifier: &v1alpha1.Notifier{},
		v1alpha1.KindRolloutAction: &v1alpha1.RolloutAction{},
	}[kind]
	if err := json.Unmarshal(data, object); err != nil {
		if !problem.HasError(out) {
			out = append(out, problem.Problem{Code: v1alpha1.CodeBound, Severity: problem.Error, Message: strings.TrimPrefix(err.Error(), "json: "), Hint: "give values of the types that the kind has"})
		}
		return out
	}
	for _, p := range object.Validate() {
		said := slices.ContainsFunc(out, func(q problem.Problem) bool { return q.Field == p.Field && q.Severity == problem.Error })
		if !said {
			out = append(out, p)
		}
	}
	return out
}

// metadata finds unknown fields beside spec and in metadata, where the definitions of kinds do not look.
func metadata(content map[string]any) []problem.Problem {
	var out []problem.Problem
	unknown := func(at string, in map[string]any, known ...string) {
		for _, name := range slices.Sorted(maps.Keys(in)) {
			if !slices.Contains(known, name) {
				out = append(out, unknownField(at, name, known))
			}
		}
	}
	unknown("", content, "apiVersion", "kind", "metadata", "spec", "status")
	if meta, ok := content["metadata"].(map[string]any); ok {
		unknown("metadata", meta, "name", "namespace", "labels", "annotations", "generateName", "uid", "resourceVersion", "generation",
			"creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "finalizers", "ownerReferences", "managedFields", "selfLink")
	}
	return out
}

func unknownField(at, name string, known []string) problem.Problem {
	p := problem.Problem{
		Code: codeUnknown, Severity: problem.Error, Field: strings.TrimPrefix(at+"."+name, "."),
		Message: fmt.Sprintf("there is no field %q", name), Hint: "remove it, or correct its name",
	}
	if near := problem.Nearest(name, known); near != "" {
		p.Hint = fmt.Sprintf("did you mean %q?", near)
	}
	return p
}
