package istio_test

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/sluice-dev/sluice/test/meshgen"
	"github.com/sluice-dev/sluice/xds/envoy"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
)

// built is what a configuration comes to, in bytes.
func built(c ir.Config) []byte {
	r, err := envoy.Build(c)
	var out bytes.Buffer
	for _, list := range [][]envoy.Resource{r.Listeners, r.Routes, r.Clusters, r.Endpoints, r.Secrets} {
		for _, one := range list {
			fmt.Fprintf(&out, "%s %s\n", one.Name, one.Version)
		}
	}
	fmt.Fprintln(&out, r.Splits, err)
	return out.Bytes()
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
		content := map[ir.ProxyClass][]byte{}
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
			if before := given[class]; before != nil && !bytes.Equal(built(*before), content[class]) {
				t.Fatalf("%s\nwhat was given before has changed", history())
			}
			if again, _ := c.Compile(class); again != got {
				t.Fatalf("%s\nnothing changed, and another configuration is given", history())
			}
			given[class], content[class] = got, built(*got)
			if !bytes.Equal(content[class], built(want)) {
				t.Fatalf("%s\nequal configurations come to other bytes", history())
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
		}
	})
}
