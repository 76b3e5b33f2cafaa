package pages

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gittest"
)

const released state = "v2 is committed, and waits for a person"

// TestPages_alone types what the pages say of `sluice up`, in a Git work tree.
func TestPages_alone(t *testing.T) {
	s := newStage(t)
	git := gittest.Start(t, gitserver.Config{})
	tree := gittest.Repository(t, git, "shop")
	settings := map[string]string{"deploy/settings.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {language: en}\n"}
	gittest.Push(t, tree, "first version", settings)
	s.standIns = []string{"https://git.example.com/shop.git", git.URL("shop")}
	s.dir = tree.Dir
	s.env = append(s.env, "KUBECONFIG="+filepath.Join(s.home, "state", "sluice", "default", "kubeconfig"))
	s.ports("default")
	s.play(at(t, withoutOne))
	if left, err := os.ReadDir(filepath.Join(s.home, "state", "sluice")); err == nil && len(left) > 0 {
		t.Errorf("`sluice down --purge` has left %s", left[0].Name())
	}
}

// TestPages_demo types what the pages say beside a demo, which has to run for that, and no longer.
func TestPages_demo(t *testing.T) {
	s := newStage(t)
	s.link(map[string]string{filepath.Join(s.dir, "bin", "full", "sluice"): filepath.Join(s.home, "bin", "sluice")})
	demo := s.start("exec sluice demo --stay --plain --rps 50")
	t.Cleanup(func() {
		_ = demo.process.Stop(40 * time.Second) // by a signal, which is an error of its own
		if t.Failed() {
			t.Logf("sluice demo printed\n%s", demo.printed())
		}
	})
	s.eventually("a demo that takes orders", func() error { return s.try("sluice demo fault v2 --off") })
	s.play(at(t, atTheDemo))
}

// shifted are the ports of the examples, moved away from those that the tutorial's test has at the same time.
var shifted = regexp.MustCompile(`\b19(\d{3})\b`)

// openExample copies the examples.
func openExample(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	from := filepath.Join(s.root, "examples")
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		to := filepath.Join(s.dir, "examples", strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, shifted.ReplaceAll(text, []byte("31$1")), info.Mode().Perm())
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestPages_examples types what the page of each example says: in the repository what begins with examples/, all else in the
// work tree that `examples/try` has made.
func TestPages_examples(t *testing.T) {
	byPage, order := map[string][]command{}, []string{}
	for _, c := range at(t, inTheExample) {
		if byPage[c.page] == nil {
			order = append(order, c.page)
		}
		c.text = shifted.ReplaceAllString(c.text, "31$1")
		byPage[c.page] = append(byPage[c.page], c)
	}
	for _, page := range order {
		name := filepath.Base(filepath.Dir(page))
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openExample(t)
			repository, tree := s.dir, filepath.Join(s.home, "tree")
			if name == "demo" {
				git := gittest.Start(t, gitserver.Config{})
				tree = gittest.Repository(t, git, "demo").Dir
				s.do(fmt.Sprintf("cp -r examples/demo/. %[1]s && cd %[1]s && sed -i 's/{{.Subset}}/v1/' deploy/rollout.yaml && git add -A && git commit -qm 'first version' && git push -q origin HEAD:main", tree))
			}
			s.standIns = []string{"examples/try " + name, "examples/try " + name + " " + tree}
			s.env = append(s.env, "KUBECONFIG="+filepath.Join(s.home, "state", "sluice", name, "kubeconfig"))
			s.ports(name)
			s.states = map[state]func(){released: func() {
				s.eventually("v1 to serve", func() error {
					return s.try("kubectl get rollouts -o jsonpath='{.items[*].status.stable.name}' | grep -w v1")
				})
				s.do("sed -i 's/subset: v1/subset: v2/' deploy/*.yaml && git commit -qam v2")
			}}
			s.before = func(c command) {
				if s.dir = repository; !strings.HasPrefix(c.text, "examples/") {
					s.dir = tree
				}
			}
			s.play(byPage[page])
		})
	}
}
