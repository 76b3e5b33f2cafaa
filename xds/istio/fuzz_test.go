package istio_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	networking "istio.io/api/networking/v1alpha3"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/manifest"
)

// cases are the manifests of all goldens, each as one file.
func cases(f *testing.F) []string {
	f.Helper()
	paths, err := filepath.Glob("../sim/testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		f.Fatalf("%d cases, error %v", len(paths), err)
	}
	var out []string
	for _, path := range paths {
		a, err := txtar.ParseFile(path)
		if err != nil {
			f.Fatal(err)
		}
		var docs []string
		for _, file := range a.Files {
			if strings.HasSuffix(file.Name, ".yaml") {
				docs = append(docs, string(file.Data))
			}
		}
		out = append(out, strings.Join(docs, "\n---\n"))
	}
	return out
}

// FuzzCompile compiles whatever can be read as manifests: it never panics, nothing that comes out is unsound, and no route
// matches more than the rule it comes from says.
func FuzzCompile(f *testing.F) {
	for _, c := range cases(f) {
		f.Add(c, false)
	}
	f.Fuzz(func(t *testing.T, text string, trust bool) {
		if len(text) > 1<<16 {
			return
		}
		mesh := manifest.New()
		if err := mesh.Read("fuzz.yaml", strings.NewReader(text)); err != nil {
			return
		}
		in := mesh.Input("", "")
		in.TrustSecrets = trust
		rules := writtenRules(text)
		for _, class := range classesIn(in) {
			cfg, ps := istio.Translate(in, class)
			if !trust {
				for _, wrong := range unsound(cfg, ps) {
					t.Errorf("%+v: %s", class, wrong)
				}
			}
			for _, table := range cfg.Tables {
				for _, h := range table.VirtualHosts {
					for _, r := range h.Routes {
						if wider := rules.wider(r); wider != "" {
							t.Errorf("%+v: table %s, route %q of %+v: %s", class, table.Name, r.Name, r.Origins, wider)
						}
					}
				}
			}
		}
	})
}

// classesIn are a few classes that the objects concern.
func classesIn(in istio.Input) []ir.ProxyClass {
	out := []ir.ProxyClass{
		{Kind: ir.KindSidecar, Namespace: "shop"}, {Kind: ir.KindSidecar, Namespace: "default", Capture: ir.CaptureRedirect}, {Kind: ir.KindGRPC, Namespace: "shop"},
	}
	for _, o := range in.Objects {
		if g, ok := o.Spec.(*networking.Gateway); ok && len(out) < 6 {
			out = append(out, ir.ProxyClass{Kind: ir.KindGateway, Namespace: o.Namespace, Labels: istio.FormatLabels(g.GetSelector())})
		}
	}
	return out
}

// written are http rules as their author wrote them, by VirtualService and index; nil where it is not plain which it is.
type written map[[2]string]map[string]any

// writtenRules reads the rules out of the text, past all decoding.
func writtenRules(text string) written {
	out := written{}
	for doc := range strings.SplitSeq(text, "\n---") {
		var o struct {
			Kind     string
			Metadata struct{ Namespace, Name string }
			Spec     struct{ HTTP []map[string]any }
		}
		if yaml.Unmarshal([]byte(doc), &o) != nil || o.Kind != "VirtualService" {
			continue
		}
		if o.Metadata.Namespace == "" {
			o.Metadata.Namespace = "default"
		}
		for i, rule := range o.Spec.HTTP {
			k := [2]string{o.Metadata.Namespace + "/" + o.Metadata.Name, "spec.http[" + string(rune('0'+i)) + "]"}
			if _, twice := out[k]; twice || i > 9 {
				rule = nil
			}
			out[k] = rule
		}
	}
	return out
}

// wider says what of a rule a route does not ask for; empty: all that every entry of its match asks for.
func (w written) wider(r ir.Route) string {
	if len(r.Origins) == 0 || r.Origins[0].Kind != "VirtualService" {
		return ""
	}
	o := r.Origins[0]
	entries, _ := w[[2]string{o.Namespace + "/" + o.Name, o.Field}]["match"].([]any)
	if len(entries) == 0 {
		return ""
	}
	every := func(field string) bool {
		for _, e := range entries {
			entry, _ := e.(map[string]any)
			if of, _ := entry[field].(map[string]any); len(of) == 0 {
				return false
			}
		}
		return true
	}
	switch {
	case every("headers") && len(r.Match.Headers) == 0:
		return "it asks for no header"
	case every("queryParams") && len(r.Match.Query) == 0:
		return "it asks for no query parameter"
	case every("method") && len(r.Match.Headers) == 0:
		return "it asks for no method"
	case (every("headers") || every("withoutHeaders") || every("queryParams") || every("method")) && r.Match.CatchAll():
		return "it matches everything"
	default:
		return ""
	}
}
