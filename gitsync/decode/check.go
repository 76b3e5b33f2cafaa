package decode

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubernetes "k8s.io/client-go/kubernetes/scheme"
	strictjson "sigs.k8s.io/json"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/gitsync"
)

// Decoder checks objects. The zero value is not usable: use New.
type Decoder struct {
	scheme      *runtime.Scheme
	policy      Policy
	definitions map[string]Definition // of custom kinds, by "Kind.group"
}

// New makes a Decoder for one policy.
func New(p Policy) (*Decoder, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	s := runtime.NewScheme()
	if err := kubernetes.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("registering Kubernetes' kinds: %w", err)
	}
	if err := v1alpha1.AddToScheme(s); err != nil {
		return nil, fmt.Errorf("registering Sluice's kinds: %w", err)
	}
	return &Decoder{scheme: s, policy: p}, nil
}

// Check gives the objects of a build without what only the server writes, and everything that is wrong with them, for
// a Source of that scope. An object with a Problem stays in the list, so that its unit is known.
func (d *Decoder) Check(b gitsync.Build, s Scope) ([]gitsync.Object, []problem.Problem) {
	c := &check{Decoder: d, build: b, scope: s}
	out := make([]gitsync.Object, 0, len(b.Objects))
	for _, o := range b.Objects {
		o.Content, _ = runtime.DeepCopyJSONValue(o.Content).(map[string]any)
		c.object(o)
		out = append(out, o)
	}
	problem.Sort(c.problems)
	return out, c.problems
}

type check struct {
	*Decoder
	build    gitsync.Build
	scope    Scope
	problems []problem.Problem
}

func (c *check) report(o gitsync.Object, code, field, message, hint string) {
	severity := problem.Error
	if code == "S802" {
		severity = problem.Warning
	}
	p := problem.Problem{Code: code, Severity: severity, Object: o.ID.Ref(), Field: field, Message: problem.Clean(message, problem.MaxMessage), Hint: hint,
		Path: o.Path, Line: o.Line}
	if c.build.Position != nil {
		p.Line, p.Column = c.build.Position(o, field)
	}
	c.problems = append(c.problems, p)
}

func (c *check) object(o gitsync.Object) {
	clean(o.Content)
	c.reserved(o)
	if !c.allowed(o) {
		return
	}
	if _, encrypted := o.Content["sops"]; encrypted {
		c.report(o, "S324", "sops", "the object is encrypted; it is never applied as ciphertext", "decrypt it in the cluster with another tool")
		return
	}
	if o.ID.GroupKind() == "Secret" && (o.Content["data"] != nil || o.Content["stringData"] != nil) {
		c.report(o, "S802", "data", "Secret data stands in Git", "keep secrets out of Git")
	}
	c.types(o)
}

// allowed reports what the operator's lists or the Source's own forbid.
func (c *check) allowed(o gitsync.Object) bool {
	switch {
	case !c.policy.allows(o.ID):
		c.report(o, "S401", "kind", o.ID.GroupKind()+" may not be applied from Git here", "apply it by other means, or ask the operator to allow the kind")
	case !c.scope.takes(o.ID):
		c.report(o, "S401", "kind", o.ID.GroupKind()+" is not among the Source's spec.kinds", "add the kind to spec.kinds, or move the object to another Source")
	case !c.policy.reaches(c.scope, o.ID.Namespace):
		place := "namespace " + o.ID.Namespace
		if o.ID.Namespace == "" {
			place = "the cluster as a whole"
		}
		hint := "move the object to a Source of that namespace"
		if c.policy.CrossNamespace {
			hint = "name the namespace in spec.namespaces of the Source"
		}
		c.report(o, "S402", "metadata.namespace", "this Source of "+c.scope.Namespace+" may not apply to "+place, hint)
	default:
		return true
	}
	return false
}

// types decodes into the Go type where there is one; custom kinds are compared with their definition, and without one left to the
// server.
func (c *check) types(o gitsync.Object) {
	gvk := schema.GroupVersionKind{Group: o.ID.Group, Version: o.Version, Kind: o.ID.Kind}
	if !c.scheme.Recognizes(gvk) {
		if c.scheme.IsGroupRegistered(o.ID.Group) {
			c.report(o, "S505", "apiVersion", fmt.Sprintf("there is no %s in %s", o.ID.Kind, o.APIVersion()), c.nearestVersion(o))
		}
		if d, ok := c.definitions[o.ID.GroupKind()]; ok && !c.custom(o, d) {
			return
		}
		c.sound(o)
		return
	}
	typed, err := c.scheme.New(gvk)
	if err != nil {
		c.report(o, "S505", "apiVersion", err.Error(), "")
		return
	}
	raw, err := json.Marshal(o.Content)
	if err != nil {
		c.report(o, "S504", "", err.Error(), "")
		return
	}
	strict, err := strictjson.UnmarshalStrict(raw, typed, strictjson.DisallowUnknownFields)
	for _, e := range strict {
		c.unknown(o, e.Error())
	}
	if err != nil {
		field, message := mismatch(err)
		c.report(o, "S504", field, message, "give a value of that type")
	}
	if err == nil && len(strict) == 0 {
		c.sound(o)
	}
}

// sound passes on what those who know the kind say of the content.
func (c *check) sound(o gitsync.Object) {
	if c.policy.Sound == nil {
		return
	}
	for _, p := range c.policy.Sound(o.Content) {
		c.report(o, p.Code, p.Field, p.Message, p.Hint)
	}
}

var unknownField = regexp.MustCompile(`^unknown field "([^"]+)"$`)

func (c *check) unknown(o gitsync.Object, text string) {
	m := unknownField.FindStringSubmatch(text)
	if m == nil {
		c.report(o, "S504", "", text, "")
		return
	}
	name := m[1][strings.LastIndexByte(m[1], '.')+1:]
	c.report(o, "S502", m[1], fmt.Sprintf("there is no field %q", name), "correct the name, or remove the field")
}

var (
	mistyped = regexp.MustCompile(`^json: cannot unmarshal (\S+) into Go struct field \w+\.(\S+) of type (.+)$`)
	goTypes  = strings.NewReplacer("*", "", "int64", "integer", "int32", "integer", "float64", "number", "bool", "truth value")
)

// mismatch finds the field of an error of the decoder and says it without Go's words.
func mismatch(err error) (field, message string) {
	if m := mistyped.FindStringSubmatch(err.Error()); m != nil {
		return m[2], fmt.Sprintf("%s is not a %s", m[1], goTypes.Replace(m[3]))
	}
	return "", strings.TrimPrefix(err.Error(), "json: ")
}

// nearestVersion names versions of the group that have the kind.
func (c *check) nearestVersion(o gitsync.Object) string {
	var found []string
	for gvk := range c.scheme.AllKnownTypes() {
		if gvk.Group == o.ID.Group && gvk.Kind == o.ID.Kind && gvk.Version != runtime.APIVersionInternal {
			found = append(found, gvk.GroupVersion().String())
		}
	}
	if len(found) == 0 {
		return "correct kind or apiVersion"
	}
	slices.Sort(found)
	return "use " + strings.Join(found, " or ")
}

// clean removes what only the server writes and tools like to leave behind.
func clean(content map[string]any) {
	delete(content, "status")
	dropNullTimes(content)
}

func dropNullTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		if at, ok := v["creationTimestamp"]; ok && at == nil {
			delete(v, "creationTimestamp")
		}
		for _, item := range v {
			dropNullTimes(item)
		}
	case []any:
		for _, item := range v {
			dropNullTimes(item)
		}
	}
}

// reserved finds metadata that Git may not set.
func (c *check) reserved(o gitsync.Object) {
	meta, _ := o.Content["metadata"].(map[string]any)
	for _, key := range []string{"uid", "resourceVersion", "managedFields", "ownerReferences", "selfLink", "generation", "deletionTimestamp", "creationTimestamp"} {
		if _, set := meta[key]; set {
			c.report(o, "S323", "metadata."+key, "the field is written by the server", "remove it")
		}
	}
	for _, group := range []string{"labels", "annotations"} {
		values, _ := meta[group].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(values)) {
			if !gitsync.ValidKey(key) {
				c.report(o, "S323", fmt.Sprintf("metadata.%s[%s]", group, key), "keys of sluice.dev are written by Sluice", "remove it")
			}
		}
	}
}
