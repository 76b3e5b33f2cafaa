package istio

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/api/problem"
)

// The kinds that have an effect.
const (
	kindGateway         = "Gateway"
	kindVirtualService  = "VirtualService"
	kindDestinationRule = "DestinationRule"
	kindServiceEntry    = "ServiceEntry"
	kindWorkloadEntry   = "WorkloadEntry"
	kindSidecar         = "Sidecar"
)

// orderAnnotation places an object before and behind others of its kind; without it the place is 0.
const orderAnnotation = "sluice.dev/order"

// apiGroup is the API group of all of them; its three versions share one schema.
const apiGroup = "networking.istio.io"

// Handles reports whether objects of the group and kind are read by this package.
func Handles(apiVersion, kind string) bool {
	g, version, _ := strings.Cut(apiVersion, "/")
	return g == apiGroup && (version == "v1" || version == "v1beta1" || version == "v1alpha3") && newSpec(kind) != nil
}

func newSpec(kind string) proto.Message {
	switch kind {
	case kindGateway:
		return &networking.Gateway{}
	case kindVirtualService:
		return &networking.VirtualService{}
	case kindDestinationRule:
		return &networking.DestinationRule{}
	case kindServiceEntry:
		return &networking.ServiceEntry{}
	case kindWorkloadEntry:
		return &networking.WorkloadEntry{}
	case kindSidecar:
		return &networking.Sidecar{}
	default:
		return nil
	}
}

// Decode reads an object as it comes out of JSON or YAML. It does not change its argument. Every unknown field is
// reported (S001) and skipped; a value that cannot be read drops the smallest part that owns it (S002); a kind
// without effect gives an Object without Spec (S003).
func Decode(from map[string]any) Object {
	o := Object{Meta: readMeta(from)}
	apiVersion, _ := from["apiVersion"].(string)
	if !Handles(apiVersion, o.Kind) {
		o.report("S003", withoutEffect(apiVersion, o.Kind), "", fmt.Sprintf("%s %s has no effect here", apiVersion, o.Kind),
			"remove it, or configure the proxy in another way")
		return o
	}
	if text, set := o.Annotations[orderAnnotation]; set {
		if _, err := strconv.Atoi(text); err != nil {
			o.report("S002", problem.Error, "metadata.annotations", fmt.Sprintf("%s is %q, which is no whole number", orderAnnotation, text), "write a number; until then it is 0")
		}
	}
	spec, ok := from["spec"].(map[string]any)
	if !ok && from["spec"] != nil {
		o.report("S002", problem.Error, "spec", "spec is not an object", "write its fields below spec")
		return o
	}
	d := decoder{object: &o}
	spec = d.message("spec", newSpec(o.Kind).ProtoReflect().Descriptor(), spec)
	o.Spec = d.decode(o.Kind, spec)
	return o
}

func withoutEffect(apiVersion, kind string) problem.Severity {
	if strings.HasPrefix(apiVersion, "security.istio.io/") || kind == "EnvoyFilter" {
		return problem.Error
	}
	return problem.Warning
}

func (o *Object) report(code string, s problem.Severity, field, message, hint string) {
	o.Problems = append(o.Problems, o.of(problem.Problem{Code: code, Severity: s, Field: field, Message: message, Hint: hint}))
}

func readMeta(from map[string]any) Meta {
	text := func(in map[string]any, key string) string { s, _ := in[key].(string); return s }
	meta, _ := from["metadata"].(map[string]any)
	m := Meta{
		Kind: text(from, "kind"), Namespace: text(meta, "namespace"), Name: text(meta, "name"), UID: text(meta, "uid"),
		Labels: texts(meta["labels"]), Annotations: texts(meta["annotations"]),
	}
	if m.Namespace == "" {
		m.Namespace = "default"
	}
	if at, err := time.Parse(time.RFC3339, text(meta, "creationTimestamp")); err == nil {
		m.Created = at.UTC()
	}
	switch g := meta["generation"].(type) {
	case int64:
		m.Generation = g
	case float64:
		m.Generation = int64(g)
	}
	return m
}

func texts(v any) map[string]string {
	in, _ := v.(map[string]any)
	if len(in) == 0 {
		return nil
	}
	out := make(map[string]string, len(in))
	for k, v := range in {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

// droppable are, per kind, the lists whose elements can be dropped without the rest, outermost first.
func droppable(kind string) []string {
	switch kind {
	case kindVirtualService:
		return []string{"http", "tcp", "tls"}
	case kindGateway:
		return []string{"servers"}
	case kindDestinationRule:
		return []string{"subsets"}
	case kindServiceEntry:
		return []string{"endpoints"}
	case kindSidecar:
		return []string{"ingress", "egress"}
	default:
		return nil
	}
}

// decode makes a message of spec, dropping what cannot be read. nil: nothing is left.
func (d *decoder) decode(kind string, spec map[string]any) proto.Message {
	whole, err := unmarshal(kind, spec)
	if err == nil {
		return whole
	}
	for _, list := range droppable(kind) {
		spec = d.pruned(kind, list, spec)
	}
	whole, err = unmarshal(kind, spec)
	if err != nil {
		d.invalid("spec", err)
		return nil
	}
	return whole
}

// pruned returns spec without the elements of list that cannot be read. A rule of a VirtualService loses single match entries, but
// goes as a whole when none would be left: a rule without match entries matches everything.
func (d *decoder) pruned(kind, list string, spec map[string]any) map[string]any {
	elements, _ := spec[list].([]any)
	kept := make([]any, 0, len(elements))
	for i, e := range elements {
		at := fmt.Sprintf("spec.%s[%d]", list, i)
		_, err := unmarshal(kind, map[string]any{list: []any{e}})
		if err != nil && kind == kindVirtualService {
			e, err = d.withoutMatches(list, at, e, err)
		}
		if err != nil {
			d.invalid(at, err)
			continue
		}
		kept = append(kept, e)
	}
	out := make(map[string]any, len(spec))
	for k, v := range spec {
		out[k] = v
	}
	out[list] = kept
	return out
}

func (d *decoder) withoutMatches(list, at string, rule any, cause error) (any, error) {
	in, _ := rule.(map[string]any)
	entries, _ := in["match"].([]any)
	rest := make(map[string]any, len(in))
	for k, v := range in {
		if k != "match" {
			rest[k] = v
		}
	}
	try := func(r map[string]any) error {
		_, err := unmarshal(kindVirtualService, map[string]any{list: []any{r}})
		return err
	}
	if len(entries) == 0 || try(rest) != nil {
		return rule, cause
	}
	var kept []any
	for i, e := range entries {
		if err := try(map[string]any{"match": []any{e}}); err != nil {
			d.invalid(fmt.Sprintf("%s.match[%d]", at, i), err)
			continue
		}
		kept = append(kept, e)
	}
	if len(kept) == 0 {
		return rule, cause
	}
	rest["match"] = kept
	return rest, nil
}

func (d *decoder) invalid(at string, err error) {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "): "); ok {
		text = after
	}
	d.object.report("S002", problem.Error, at, "the value cannot be read: "+text, "correct it; until then this part has no effect")
}

func unmarshal(kind string, spec map[string]any) (proto.Message, error) {
	data, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", kind, err)
	}
	m := newSpec(kind)
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return nil, err
	}
	return m, nil
}
