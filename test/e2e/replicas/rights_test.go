package replicas

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/sluice-dev/sluice/test/helm"
	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/proxy"
)

// audited writes down what accounts of services ask for.
const audited = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata, userGroups: ["system:serviceaccounts"]}]
`

// right is one thing that may be done.
type right struct{ group, resource, verb string }

func (r right) String() string { return strings.TrimPrefix(r.group+"/"+r.resource, "/") + " " + r.verb }

// asked is a request as the server wrote it down.
type asked struct {
	Verb, RequestURI string
	ImpersonatedUser *struct{ Username string }
	ObjectRef        *struct{ APIGroup, Resource, Subresource, Namespace, Name string }
	ResponseStatus   *struct {
		Code   int
		Reason string
	}
	Annotations map[string]string
}

func (a asked) right() right {
	name := a.ObjectRef.Resource
	if sub := a.ObjectRef.Subresource; sub != "" {
		name += "/" + sub
	}
	return right{a.ObjectRef.APIGroup, name, a.Verb}
}

// installed is the chart's roles on a server, and the file of a client that has these and no other.
func (s *site) installed(flags ...string) (kubeconfig string, granted map[right]bool) {
	s.t.Helper()
	text, err := helm.Run(s.t, append([]string{"template", "sluice", helm.Chart, "--namespace", s.system, "--set", "crds.install=false", "--skip-tests"}, flags...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	granted = map[right]bool{}
	bound := map[string]bool{}
	all := helm.Objects(s.t, text)
	for _, o := range all {
		if k := o.GetKind(); k == "ClusterRoleBinding" || k == "RoleBinding" {
			name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name")
			kind, _, _ := unstructured.NestedString(o.Object, "roleRef", "kind")
			bound[kind+" "+name] = true
		}
	}
	for _, o := range all {
		switch o.GetKind() {
		case "ClusterRole", "Role":
			role := &rbacv1.Role{}
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, role); err != nil {
				s.t.Fatal(err)
			}
			if bound[o.GetKind()+" "+o.GetName()] {
				for _, r := range role.Rules {
					expand(granted, r)
				}
			}
		case "ClusterRoleBinding", "RoleBinding", "ServiceAccount", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Secret":
		default:
			continue
		}
		if err := s.client.Create(s.t.Context(), o); err != nil {
			s.t.Fatalf("%s %s: %v", o.GetKind(), o.GetName(), err)
		}
	}
	return s.identify("sluice"), granted
}

func expand(into map[right]bool, r rbacv1.PolicyRule) {
	for _, group := range r.APIGroups {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				into[right{group, resource, verb}] = true
			}
		}
	}
}

// identify makes the file of a client that is an account of Sluice's namespace.
func (s *site) identify(account string) string {
	s.t.Helper()
	c, err := kubernetes.NewForConfig(s.config)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := c.CoreV1().ServiceAccounts(s.system).CreateToken(s.t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.t.TempDir(), account)
	writeKubeconfig(s.t, &rest.Config{Host: s.config.Host, BearerToken: token.Status.Token, TLSClientConfig: rest.TLSClientConfig{CAData: s.config.CAData, CAFile: s.config.CAFile}}, path)
	return path
}

// asks reads what was asked for so far by an account of Sluice's namespace, in its own name.
func (s *site) asks(log string) []asked {
	s.t.Helper()
	text, err := os.ReadFile(log)
	if err != nil {
		s.t.Fatalf("the API server writes no audit log: build it anew with `make build` (%v)", err)
	}
	var out []asked
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		one := asked{}
		if err := json.Unmarshal(line, &one); err != nil {
			s.t.Fatal(err)
		}
		if one.ObjectRef != nil {
			out = append(out, one)
		}
	}
	return out
}

// seldom are rights that this test has no use for, each with the reason why it is granted.
func seldom() map[right]string {
	const sluice, leases = "sluice.dev", "coordination.k8s.io"
	return map[right]string{
		{leases, "leases", "delete"}:         "what is left of a replica that is dead for ten minutes",
		{sluice, "fleetreports", "delete"}:   "the same",
		{sluice, "fleetreports", "update"}:   "a report belongs to its replica's Lease, and follows one that was made anew",
		{sluice, "rolloutactions", "create"}: "a leader that braked while it lost the lease hands its rollback over",
		{"events.k8s.io", "events", "patch"}: "an event that comes again is counted",
	}
}

// TestRights_whatTheChartGivesIsWhatIsUsed runs two replicas with the rights of the chart and no others through a release
// from Git: nothing that they ask for is denied, and there is no right that they do not use.
func TestRights_whatTheChartGivesIsWhatIsUsed(t *testing.T) {
	t.Parallel()
	server := kube.Own(t, kube.Options{Port: proxy.FreePort(t), Audit: audited})
	s := found(t, server.Config(t), 1)
	s.lease = 10 * time.Second // others run beside it
	kubeconfig, granted := s.installed("--set", "certificates[0].namespace="+s.shop, "--set", "certificates[0].names={front,front-cacert}", "--set", "gateway.enabled=true")
	s.useEverything(kubeconfig)
	usedOf(t, s.asks(server.AuditLog()), granted)
}

// usedOf compares what was asked for with what is granted: nothing was denied, and every right was used.
func usedOf(t *testing.T, all []asked, granted map[right]bool) {
	t.Helper()
	used, denied := map[right]bool{}, map[string]bool{}
	for _, a := range all {
		switch {
		case a.ImpersonatedUser != nil: // with the rights of that account, but for the right to be it
			used[right{"", "serviceaccounts", "impersonate"}] = true
		case a.Annotations["authorization.k8s.io/decision"] == "forbid":
			denied[fmt.Sprintf("%s of %s/%s", a.right(), a.ObjectRef.Namespace, a.ObjectRef.Name)] = true
		default:
			used[a.right()] = true
		}
	}
	for what := range maps.Keys(denied) {
		t.Errorf("denied: %s", what)
	}
	excused := seldom()
	var unused []string
	for r := range granted {
		streamed := r.verb == "list" && used[right{r.group, r.resource, "watch"}] // what servers that cannot stream a list are asked for
		if !used[r] && excused[r] == "" && !streamed {
			unused = append(unused, r.String())
		}
		if used[r] && excused[r] != "" {
			t.Logf("%s is used this time, though it is excused: %s", r, excused[r])
		}
	}
	slices.Sort(unused)
	if len(unused) > 0 {
		t.Errorf("granted and not used:\n%s", strings.Join(unused, "\n"))
	}
	t.Logf("%d rights are granted, %d used, %d excused", len(granted), len(used), len(excused))
}

// useEverything has a release go through two replicas that act as the account of the file.
func (s *site) useEverything(kubeconfig string) []*replica {
	t := s.t
	t.Helper()
	s.applier()
	hook := s.notes()
	s.certificate("front")
	args := []string{"--kubeconfig", kubeconfig, "--action-ttl", "3s", "--prometheus-config", s.servers(),
		"--xds-tls-addr", "127.0.0.1:0", "--xds-secret", "sluice-xds", "--gateway-secret", "sluice-gateway", "--certificate-life", "15s"}
	port, reader := proxy.FreePort(t), s.scraper()
	r := s.replica("sluice-0", args...)
	other := s.replica("sluice-1", append(slices.Clone(args), "--metrics-addr", guarded(port))...)
	h := s.follow()
	push := s.repository()
	s.synced()
	e := s.edge(0, front(t, r.xds, other.xds), noTLS)
	h.adopted()
	e.serves(0)
	push("v2")
	h.settled(15)
	s.ask("pause")
	s.ask("resume")
	h.settled(50)
	r.kill() // whoever comes after it reads what is stored
	r.start()
	s.ask("promoteFull")
	h.first(time.Time{}, "the release to be complete", completed)
	told(t, hook, "completed")
	s.showsMetricsToReaders(port, reader)
	s.gone("pause")
	s.removeRollout()
	return []*replica{r, other}
}

// applier is the account of the shop that Git's objects are applied as, with all rights there.
func (s *site) applier() {
	s.t.Helper()
	meta := metav1.ObjectMeta{Namespace: s.shop, Name: "sluice-applier"}
	role := &rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}}
	binding := &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: meta.Name},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: s.shop, Name: meta.Name}}}
	if err := s.client.Create(s.t.Context(), &corev1.ServiceAccount{ObjectMeta: meta}); err != nil {
		s.t.Fatal(err)
	}
	if err := s.client.Create(s.t.Context(), role); err != nil {
		s.t.Fatal(err)
	}
	if err := s.client.Create(s.t.Context(), binding); err != nil {
		s.t.Fatal(err)
	}
}
