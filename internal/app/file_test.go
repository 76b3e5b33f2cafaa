package app

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

const fileHead = "apiVersion: config.sluice.dev/v1alpha1\nkind: Controller\n"

func TestRead_takesOverWhatTheFileSays(t *testing.T) {
	t.Parallel()
	c := Config{Namespace: "sluice-system", Replica: "a", Leader: Leader{Election: true}}
	err := c.Read("sluice.yaml", []byte(fileHead+`
replica: b
leader: {election: false, leaseDuration: 30s}
git:
  insecureHosts: [git.internal]
  defaultServiceAccount: sluice-applier
  resync: 5m
  limits: {packBytes: 64Mi, objects: 1000, files: 10, buildTime: 1m30s}
mesh:
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Namespace != "sluice-system" || c.Replica != "b" || c.Leader.Election || c.Leader.Lease != 30*time.Second {
		t.Errorf("config = %+v, want replica b that is alone, and the namespace as it was", c)
	}
	g := c.Git
	if !slices.Equal(g.InsecureHosts, []string{"git.internal"}) || g.ServiceAccount != "sluice-applier" || g.Resync != 5*time.Minute ||
		g.Fetch.PackBytes != 64<<20 || g.Fetch.Objects != 1000 || g.Render.Files != 10 || g.Render.BuildTime != 90*time.Second {
		t.Errorf("git = %+v, want what the file says", g)
	}
}

func TestRead_saysAllThatIsWrongWithItsPlace(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		file string
		want []string
	}{
		"not YAML":       {"a: [", []string{"sluice.yaml:"}},
		"empty":          {"", []string{"sluice.yaml:1:1: 0 documents: want one of apiVersion config.sluice.dev/v1alpha1, kind Controller"}},
		"twice":          {fileHead + "replica: a\nreplica: b\n", []string{"sluice.yaml:4:1: "}},
		"what it is":     {"replica: b\n", []string{"apiVersion: is missing", "kind: is missing; write apiVersion: config.sluice.dev/v1alpha1 and kind: Controller"}},
		"another kind":   {"apiVersion: config.sluice.dev/v1alpha1\nkind: Rollout\n", []string{"sluice.yaml:2:7: kind: the value is not possible here; write Controller"}},
		"unknown":        {fileHead + "git:\n  limits: {packByte: 1}\n", []string{"sluice.yaml:4:22: git.limits.packByte: unknown field; did you mean git.limits.packBytes?"}},
		"no section":     {fileHead + "gti: {}\n", []string{"sluice.yaml:3:6: gti: unknown field; docs/configuration.md lists the fields"}},
		"a flat section": {fileHead + "git: yes\n", []string{"sluice.yaml:3:6: git: the value is not possible here; write fields below it"}},
		"several": {fileHead + "git:\n  resync: 5 minutes\n  insecureHosts: one\nleader: {election: \"true\"}\nreplica: 7\n", []string{
			"sluice.yaml:4:11: git.resync: the value is not possible here; write a length of time above 0, such as 30s or 10m",
			"sluice.yaml:5:18: git.insecureHosts: the value is not possible here; write a list of texts",
			"sluice.yaml:6:20: leader.election: the value is not possible here; write true or false",
			"sluice.yaml:7:10: replica: the value is not possible here; write a text"}},
		"amounts": {fileHead + "git:\n  limits:\n    packBytes: 0\n    objects: -1\n    files: 1.5\n    objectBytes: 1.5Mi\n    listBytes: \"7\"\n    yamlDepth: 2000000000\n", []string{
			":5:16: git.limits.packBytes:", ":6:14: git.limits.objects:", ":7:12: git.limits.files:", ":8:18: git.limits.objectBytes:", ":9:16: git.limits.listBytes:", ":10:16: git.limits.yamlDepth:"}},
	} {
		c := Config{Replica: "before"}
		err := c.Read("sluice.yaml", []byte(row.file))
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(row.want) || c.Replica != "before" || c.Git.Fetch.ObjectBytes != 0 {
			t.Errorf("%s: %q, want %q and nothing taken over", name, lines, row.want)
			continue
		}
		for i, want := range row.want {
			if !strings.Contains(lines[i], want) {
				t.Errorf("%s: %q, want %q in it", name, lines[i], want)
			}
		}
	}
}

// Each field of the file has a row in the documentation, and each row a field; each can be set.
func TestRead_fieldsAreDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(string(page)) {
		if rest, ok := strings.CutPrefix(line, "| `"); ok && !strings.HasPrefix(rest, "--") {
			name, _, _ := strings.Cut(rest, "`")
			documented = append(documented, name)
		}
	}
	slices.Sort(documented)
	if !slices.Equal(documented, Fields()) {
		t.Errorf("docs/configuration.md lists\n%q\nthe fields are\n%q", documented, Fields())
	}
	for field, to := range (&Config{}).fields() {
		if wanted, _ := set(to, nil); strings.HasPrefix(wanted, "nothing") {
			t.Errorf("%s: %s", field, wanted)
		}
	}
}
