package istio

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/sluice-dev/sluice/api/problem"
)

// decoder walks an object's JSON beside the schema.
type decoder struct{ object *Object }

// message returns a copy of in that holds only fields of the schema md, each in the form that protobuf's JSON wants.
func (d *decoder) message(at string, md protoreflect.MessageDescriptor, in map[string]any) map[string]any {
	names := make([]string, 0, len(in))
	for name := range in {
		names = append(names, name)
	}
	slices.Sort(names)
	out := make(map[string]any, len(in))
	for _, name := range names {
		field := md.Fields().ByJSONName(name)
		if field == nil {
			field = md.Fields().ByName(protoreflect.Name(name))
		}
		if field == nil {
			d.object.report("S001", problem.Error, at+"."+name, fmt.Sprintf("unknown field %q", name), d.similar(md, name))
			continue
		}
		if in[name] == nil {
			continue
		}
		out[name] = d.field(at+"."+name, field, in[name])
	}
	return out
}

func (d *decoder) field(at string, field protoreflect.FieldDescriptor, v any) any {
	switch {
	case field.IsMap():
		entries, ok := v.(map[string]any)
		if !ok || field.MapValue().Message() == nil {
			return v
		}
		out := make(map[string]any, len(entries))
		for _, key := range sortedKeys(entries) {
			out[key] = d.value(fmt.Sprintf("%s[%q]", at, key), field.MapValue(), entries[key])
		}
		return out
	case field.IsList():
		items, ok := v.([]any)
		if !ok {
			return v
		}
		out := make([]any, len(items))
		for i, item := range items {
			out[i] = d.value(fmt.Sprintf("%s[%d]", at, i), field, item)
		}
		return out
	default:
		return d.value(at, field, v)
	}
}

func (d *decoder) value(at string, field protoreflect.FieldDescriptor, v any) any {
	md := field.Message()
	if md == nil {
		return v
	}
	if md.FullName() == "google.protobuf.Duration" {
		return duration(v)
	}
	in, ok := v.(map[string]any)
	if !ok || strings.HasPrefix(string(md.FullName()), "google.protobuf.") {
		return v
	}
	return d.message(at, md, in)
}

// duration turns a Go duration such as 1m30s into the seconds that protobuf's JSON knows; anything else stays as it is.
func duration(v any) any {
	text, ok := v.(string)
	if !ok {
		return v
	}
	parsed, err := time.ParseDuration(text)
	if err != nil {
		return v
	}
	return strconv.FormatFloat(parsed.Seconds(), 'f', 9, 64) + "s"
}

func (d *decoder) similar(md protoreflect.MessageDescriptor, name string) string {
	known := make([]string, md.Fields().Len())
	for i := range known {
		known[i] = md.Fields().Get(i).JSONName()
	}
	if near := problem.Nearest(name, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "remove it, or correct its name"
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
