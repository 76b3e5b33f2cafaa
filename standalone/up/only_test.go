package up_test

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/standalone/stack"
	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/kube"
)

// command is a run of the full build with its state in dir.
func command(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	program, err := kube.Program()
	if err != nil {
		t.Fatal(err)
	}
	return exec.Command(program, append(args, "--state", dir)...)
}

// up starts `sluice up` in the background and waits until it has said what runs.
func up(t *testing.T, dir string, args ...string) (*child.Process, stack.Document) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "output")
	output, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	cmd := command(t, dir, append([]string{"up"}, args...)...)
	cmd.Stdout, cmd.Stderr = output, output
	p, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.Ended() == nil {
			if err := p.Stop(time.Minute); err != nil {
				t.Errorf("stopping up: %v", err)
			}
		}
		if t.Failed() {
			t.Logf("up has said:\n%s", child.Tail(name, 4<<10))
		}
	})
	var d stack.Document
	err = p.Await(60*time.Second, func() error {
		var err error
		if d, err = stack.ReadDocument(dir); err == nil && d.Process.PID != p.Pid() {
			err = fmt.Errorf("up.json is of pid %d, not %d", d.Process.PID, p.Pid())
		}
		return err
	})
	if err != nil {
		t.Fatalf("up: %v\n%s", err, child.Tail(name, 4<<10))
	}
	return p, d
}

func kubectl(t *testing.T, d stack.Document, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("kubectl", args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+d.Kubeconfig, "HOME="+d.State)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl %v: %v: %s", args, err, out)
	}
	return string(out)
}

const note = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"note"},"data":{"text":"kept"}}`

// occupyDefaultPort makes every up of this test choose a port that no other test wants: another one's server would take
// the default port while this test's is down. Somebody else having it is as good.
func occupyDefaultPort(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:6443")
	if err != nil {
		return
	}
	t.Cleanup(func() { _ = l.Close() })
}

func TestUpOnly_keepsObjectsWhenStoppedAndWhenKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	occupyDefaultPort(t)
	first, d := up(t, dir, "--only", "apiserver")
	kubectl(t, d, note, "apply", "-f", "-")
	crds := kubectl(t, d, "", "get", "crd", "-o", "name")
	for _, want := range []string{"rollouts.sluice.dev", "sources.sluice.dev", "virtualservices.networking.istio.io"} {
		if !strings.Contains(crds, want) {
			t.Errorf("there is no CustomResourceDefinition %s in\n%s", want, crds)
		}
	}
	if got := kubectl(t, d, "", "get", "rollouts", "-A"); !strings.Contains(got, "No resources found") {
		t.Errorf("kubectl get rollouts -A says %q", got)
	}
	if err := first.Kill(); err != nil {
		t.Fatal(err)
	}

	second, again := up(t, dir, "--only", "apiserver")
	if again.APIServer != d.APIServer {
		t.Errorf("after a kill the API server is at %s, was at %s", again.APIServer, d.APIServer)
	}
	if got := kubectl(t, again, "", "get", "configmap", "note", "-o", "jsonpath={.data.text}"); got != "kept" {
		t.Errorf("after a kill the note says %q", got)
	}
	if err := second.Stop(time.Minute); err != nil {
		t.Errorf("stopping: %v", err)
	}

	_, d = up(t, dir, "--only", "apiserver")
	if got := kubectl(t, d, "", "get", "configmap", "note", "-o", "jsonpath={.data.text}"); got != "kept" {
		t.Errorf("after a stop the note says %q", got)
	}
}

func TestUpOnly_twoNamesRunBesideEachOtherAndOneNameOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, d := up(t, dir, "--only", "apiserver")
	_, other := up(t, t.TempDir(), "--only", "apiserver")
	if d.APIServer == other.APIServer {
		t.Errorf("two servers are at %s", d.APIServer)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the state directory has mode %v (%v), want 0700", info.Mode(), err)
	}
	info, err = os.Stat(d.Kubeconfig)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig has mode %v (%v), want 0600", info.Mode(), err)
	}

	out, err := command(t, dir, "up", "--only", "apiserver", "-o", "json").Output()
	if err != nil {
		t.Fatalf("a second up: %v", err)
	}
	var second stack.Document
	if err := json.Unmarshal(out, &second); err != nil || second != d {
		t.Errorf("a second up says %s (%v), want %+v", out, err, d)
	}
	if out, err := command(t, dir, "down", "--purge").CombinedOutput(); err != nil {
		t.Fatalf("down: %v: %s", err, out)
	}
	select {
	case <-first.Done():
	case <-time.After(time.Minute):
		t.Error("after down the first up still runs")
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("after down --purge the state directory is still there (%v)", err)
	}
}

func TestUp_saysWhatIsWrongWithTheCommand(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"up", "--only", "kubelet"}, `"kubelet"`},
		{[]string{"up", "--name", "../x"}, `"../x"`},
		{[]string{"up", "-o", "yaml"}, `"yaml"`},
		{[]string{"up", t.TempDir()}, "git init"},
		{[]string{"up", "file:///x"}, "not supported"},
	} {
		out, err := command(t, t.TempDir(), c.args...).CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 2 || !strings.Contains(string(out), c.want) {
			t.Errorf("%v: got %v and %q, want exit 2 with %s", c.args, err, out, c.want)
		}
	}
}
