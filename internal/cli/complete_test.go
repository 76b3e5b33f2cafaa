package cli_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli"
)

// untouched is an input that nobody may read.
type untouched struct{ t *testing.T }

// Read implements io.Reader.
func (u untouched) Read([]byte) (int, error) {
	u.t.Error("something is asked of a person whose shell completes a word")
	return 0, errors.New("nobody is there")
}

// words are what a shell is offered for the last word of a line, and how long it took.
func (d *desk) words(t *testing.T, line ...string) (offered []string, took time.Duration) {
	t.Helper()
	var out, errs bytes.Buffer
	begin := time.Now()
	args := append([]string{"__complete", line[0], "--kubeconfig", d.kubeconfig}, line[1:]...)
	code := cli.Main(t.Context(), args, cli.Streams{In: untouched{t}, Out: &out, Err: &errs}, cli.Build{})
	took = time.Since(begin)
	if code != 0 || strings.Contains(strings.ToLower(errs.String()), "error") {
		t.Errorf("%q: exit %d, %s", line, code, errs.String())
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, ":") {
		t.Errorf("%q: the last line is %q, want a directive", line, last)
	}
	return lines[:len(lines)-1], took
}

// patience is how long a shell waits: what completion allows itself, and what a busy machine adds. Without a limit of its own it
// would wait for ever at a server that is silent.
const patience = 30 * time.Second

func TestComplete_asksTheClusterForWhatMayStandThere(t *testing.T) {
	d := newDesk(t)
	st := baking()
	st.History = []v1alpha1.HistoryEntry{{Attempt: 1, Name: "v2", StartedAt: since, EndedAt: since, Outcome: v1alpha1.OutcomeCompleted, Reason: "Completed"}}
	d.put(t, "reviews", st)
	d.put(t, "ratings", completed())
	d.putSource(t, "shop")
	if err := d.client.Create(t.Context(), &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: d.ns, Name: "team"},
		Spec: v1alpha1.NotifierSpec{Webhook: &v1alpha1.WebhookSink{URL: "https://127.0.0.1:1/", Unsigned: true}}}); err != nil {
		t.Fatal(err)
	}
	in := []string{"-n", d.ns}
	for _, row := range []struct {
		line []string
		want []string // all of them, unless one is "..."
	}{
		{[]string{"status", ""}, []string{"ratings", "reviews"}},
		{[]string{"status", "reviews", ""}, nil},
		{[]string{"rollback", ""}, []string{"ratings", "reviews"}},
		{[]string{"report", "reviews", "--attempt", ""}, []string{"2\tv3, now Baking", "1\tv2, completed"}},
		{[]string{"wait", ""}, []string{"ratings", "reviews"}},
		{[]string{"wait", "reviews", "--for", ""}, []string{"completed", "weight=", "..."}},
		{[]string{"trace", ""}, []string{"rollout/", "source/", "..."}},
		{[]string{"trace", "rollout/"}, []string{"rollout/ratings", "rollout/reviews"}},
		{[]string{"trace", "rollout/reviews", ""}, nil},
		{[]string{"reconcile", ""}, []string{"source/"}},
		{[]string{"reconcile", "source", ""}, []string{"shop"}},
		{[]string{"suspend", "source/"}, []string{"source/shop"}},
		{[]string{"promote", "slr/"}, []string{"slr/ratings", "slr/reviews"}},
		{[]string{"get", "rollouts", ""}, []string{"ratings", "reviews"}},
		{[]string{"get", "sources", ""}, []string{"shop"}},
		{[]string{"get", "source/"}, []string{"source/shop"}},
		{[]string{"get", "pods", ""}, nil},
		{[]string{"promote", "reviews", "--attempt", ""}, []string{"2\tv3, now Baking", "1\tv2, completed"}},
		{[]string{"promote", "ratings", "--attempt", ""}, nil},
		{[]string{"promote", "absent", "--attempt", ""}, nil},
		{[]string{"status", "--context", ""}, []string{"x"}},
		{[]string{"status", "--namespace", ""}, []string{"default", d.ns, "..."}},
	} {
		line := slices.Concat(row.line[:1], in, row.line[1:])
		got, took := d.words(t, line...)
		if took > patience {
			t.Errorf("%q took %v", row.line, took)
		}
		want := slices.DeleteFunc(slices.Clone(row.want), func(w string) bool { return w == "..." })
		if len(want) == len(row.want) && !slices.Equal(got, want) {
			t.Errorf("%q: offered %q, want %q", row.line, got, want)
		}
		for _, w := range want {
			if !slices.Contains(got, w) {
				t.Errorf("%q: offered %q, without %q", row.line, got, w)
			}
		}
	}
	var out, errs bytes.Buffer
	line := []string{"__complete", "notify", "test", "--kubeconfig", d.kubeconfig, "-n", d.ns, ""}
	if code := cli.Main(t.Context(), line, cli.Streams{In: untouched{t}, Out: &out, Err: &errs}, cli.Build{}); code != 0 || !strings.HasPrefix(out.String(), "team\n:") {
		t.Errorf("notifiers: exit %d, %q, %s", code, out.String(), errs.String())
	}
	out.Reset()
	line = []string{"__complete", "explain", "S30"}
	if code := cli.Main(t.Context(), line, cli.Streams{In: untouched{t}, Out: &out, Err: &errs}, cli.Build{}); code != 0 || !strings.Contains(out.String(), "S301") {
		t.Errorf("codes: exit %d, %q", code, out.String())
	}
}

// A server that takes connections and says nothing costs a shell its two seconds; one that is away, or refuses, not even those.
func TestComplete_deadServersOfferNothing(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	asked := filepath.Join(t.TempDir(), "asked")
	program := filepath.Join(t.TempDir(), "login")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nprintf %s \"$KUBERNETES_EXEC_INFO\" >"+asked+"\necho who are you? >&2\nread answer\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		server string
		user   *clientcmdapi.AuthInfo
	}{
		"silent": {"http://" + l.Addr().String(), &clientcmdapi.AuthInfo{}},
		"away":   {"https://127.0.0.1:1", &clientcmdapi.AuthInfo{}},
		"login": {"https://127.0.0.1:1", &clientcmdapi.AuthInfo{Exec: &clientcmdapi.ExecConfig{
			Command: program, APIVersion: "client.authentication.k8s.io/v1", InteractiveMode: clientcmdapi.IfAvailableExecInteractiveMode}}},
	} {
		config := clientcmdapi.NewConfig()
		config.Clusters["c"], config.AuthInfos["u"] = &clientcmdapi.Cluster{Server: row.server}, row.user
		config.Contexts["x"], config.CurrentContext = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}, "x"
		d := &desk{kubeconfig: filepath.Join(t.TempDir(), "kubeconfig")}
		if err := clientcmd.WriteToFile(*config, d.kubeconfig); err != nil {
			t.Fatal(err)
		}
		for _, line := range [][]string{{"status", ""}, {"status", "--namespace", ""}, {"promote", "reviews", "--attempt", ""}} {
			if got, took := d.words(t, line...); len(got) > 0 || took > patience {
				t.Errorf("%s: %q offers %q after %v", name, line, got, took)
			}
		}
	}
	said, err := os.ReadFile(asked)
	if err != nil || !strings.Contains(string(said), `"interactive":false`) {
		t.Errorf("the program that logs in was told %q, %v: want that nobody is there", said, err)
	}
}
