package istio_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/test/meshgen"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// built is what a configuration comes to.
func built(t *rapid.T, c ir.Config) envoy.Resources {
	r, err := envoy.Build(c)
	if err != nil {
		t.Fatalf("a valid configuration cannot be built: %v", err)
	}
	return r
}

// TestCompiler_givesWhatTranslateGives changes random things in random meshes. Whatever was compiled before, what comes out
// is what would be made from nothing, and what was given out before is left alone.
func TestCompiler_givesWhatTranslateGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mesh := meshgen.Draw(t)
		c := istio.NewCompiler("", "")
		mesh.Tell(c)
		var log []string
		given := map[ir.ProxyClass]*ir.Config{}
		content := map[ir.ProxyClass]envoy.Resources{}
		builders := map[ir.ProxyClass]*envoy.Builder{}
		for _, class := range meshgen.Classes() {
			builders[class] = envoy.NewBuilder()
		}
		check := func(class ir.ProxyClass) {
			want, wantProblems := istio.Translate(mesh.Input(), class)
			got, problems := c.Compile(class)
			history := func() string { return fmt.Sprintf("class %+v, after\n%s", class, strings.Join(log, "\n")) }
			if !reflect.DeepEqual(want, *got) {
				t.Fatalf("%s\nconfig (-from nothing +step by step):\n%s", history(), cmp.Diff(want, *got))
			}
			if !slices.Equal(wantProblems, problems) {
				t.Fatalf("%s\nproblems (-from nothing +step by step):\n%s", history(), cmp.Diff(wantProblems, problems))
			}
			if before := given[class]; before != nil && !reflect.DeepEqual(built(t, *before), content[class]) {
				t.Fatalf("%s\nwhat was given before has changed", history())
			}
			if again, _ := c.Compile(class); again != got {
				t.Fatalf("%s\nnothing changed, and another configuration is given", history())
			}
			resources, bad := builders[class].Build(got)
			if len(bad) > 0 {
				t.Fatalf("%s\nno proxy would take: %v", history(), bad)
			}
			given[class], content[class] = got, built(t, want)
			if !reflect.DeepEqual(content[class], resources) {
				t.Fatalf("%s\nresources (-from nothing +step by step):\n%s", history(), cmp.Diff(content[class], resources, protocmp.Transform()))
			}
		}
		classes := meshgen.Classes()
		for range rapid.IntRange(1, 12).Draw(t, "edits") {
			if rapid.Bool().Draw(t, "one class only") {
				check(rapid.SampledFrom(classes).Draw(t, "class"))
			} else {
				for _, class := range classes {
					check(class)
				}
			}
			log = append(log, mesh.Edit(t, c))
		}
		for _, class := range classes {
			check(class)
			cfg, problems := c.Compile(class)
			if wrong := unsound(*cfg, problems); len(wrong) > 0 {
				t.Fatalf("class %+v, after\n%s\n%s\nProblems %v", class, strings.Join(log, "\n"), strings.Join(wrong, "\n"), problems)
			}
		}
	})
}
