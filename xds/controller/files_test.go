package controller

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/kube"
)

// machine is a service of one machine outside the cluster.
func machine(address string) string {
	return fmt.Sprintf(`
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: stock, namespace: vms}
spec:
  hosts: [stock.vms.internal]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  location: MESH_INTERNAL
  workloadSelector: {labels: {app: stock}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: stock-1, namespace: vms}
spec: {address: %s, labels: {app: stock}}
`, address)
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFiles_aBadFileStaysAsItWas(t *testing.T) {
	dir := t.TempDir()
	f := &files{dir: dir, good: map[string][]byte{}}
	for i, step := range []struct {
		do       func()
		changed  bool
		objects  int
		problems []string // parts of them
	}{
		{func() { write(t, dir, "a.yaml", machine("10.0.0.1")) }, true, 2, nil},
		{func() {}, false, 2, nil},
		{func() { write(t, dir, "notes.txt", "no manifest") }, false, 2, nil},
		{func() { write(t, dir, "b.yml", "kind: {") }, true, 2, []string{"b.yml"}},
		{func() { write(t, dir, "a.yaml", "no object") }, true, 2, []string{"a.yaml", "b.yml"}},
		{func() { write(t, dir, "b.yml", "---\n") }, true, 2, []string{"a.yaml"}},
		{func() {
			write(t, dir, "a.yaml", machine("10.0.0.2")+"---\napiVersion: sluice.dev/v1alpha1\nkind: Rollout\nmetadata: {name: r, namespace: vms}\nspec: {host: stock, subset: v1}\n")
		}, true, 2, []string{"S003: Rollout/vms/r"}},
		{func() {
			write(t, dir, "c.json", `{"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry", "metadata": {"name": "stock-1", "namespace": "vms"}}`)
		}, true, 2, []string{"S003", "S004: WorkloadEntry/vms/stock-1"}},
		{func() { _ = os.Remove(filepath.Join(dir, "c.json")); _ = os.Remove(filepath.Join(dir, "a.yaml")) }, true, 0, nil},
	} {
		step.do()
		if _, early, err := f.read(); early && i > 0 {
			t.Fatalf("step %d: taken at first sight (%v)", i, err)
		} else if i == 0 {
			f.known = false
		}
		got, changed, err := f.read()
		if err != nil || changed != step.changed {
			t.Fatalf("step %d: changed %v (%v), want %v", i, changed, err, step.changed)
		}
		if !changed {
			continue
		}
		if len(got.objects) != step.objects || len(got.problems) != len(step.problems) {
			t.Errorf("step %d: %d objects, problems %v; want %d objects and %v", i, len(got.objects), got.problems, step.objects, step.problems)
			continue
		}
		for j, p := range got.problems {
			if !strings.Contains(p.String(), step.problems[j]) {
				t.Errorf("step %d: problem %s, want %s", i, p, step.problems[j])
			}
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := f.read(); err == nil || changed {
		t.Errorf("a directory that is gone: changed %v, error %v", changed, err)
	}
}

func TestFiles_mountedConfigMap(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "..2026"), 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "..2026/vm.yaml", machine("10.0.0.1"))
	if err := errors.Join(os.Symlink("..2026", filepath.Join(dir, "..data")), os.Symlink("..data/vm.yaml", filepath.Join(dir, "vm.yaml"))); err != nil {
		t.Fatal(err)
	}
	got, _, err := (&files{dir: dir, good: map[string][]byte{}}).read()
	if err != nil || len(got.objects) != 2 || len(got.problems) > 0 {
		t.Errorf("got %d objects, problems %v, error %v", len(got.objects), got.problems, err)
	}
}

func TestNew_needsTheRegistryDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	write(t, filepath.Dir(file), "f", "")
	for _, dir := range []string{file, file + "-nosuch"} {
		if err := checkDir(dir); err == nil {
			t.Errorf("%s was taken", dir)
		}
	}
}

// endpoints waits until the newest assignment of a cluster holds just these addresses.
func (s *site) endpoints(cluster string, want ...string) {
	s.t.Helper()
	kube.Eventually(s.t, 20*time.Second, func() error {
		all := s.proxies.all()
		if len(all) == 0 {
			return errors.New("nothing is published")
		}
		var got []string
		for _, r := range all[len(all)-1].Endpoints {
			if r.Name != cluster {
				continue
			}
			a := &endpointv3.ClusterLoadAssignment{}
			if err := r.Any.UnmarshalTo(a); err != nil {
				return err
			}
			for _, l := range a.GetEndpoints() {
				for _, e := range l.GetLbEndpoints() {
					got = append(got, l.GetLocality().GetRegion()+"/"+e.GetEndpoint().GetAddress().GetSocketAddress().GetAddress())
				}
			}
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%s has %v, want %v (problems %v)", cluster, got, want, s.mesh.Problems())
		}
		return nil
	})
}

func TestController_servesMachinesOfFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "vms.yaml", machine("10.8.0.1"))
	s := open(t, func(_ *rest.Config, c *Config) { c.RegistryDir = dir })
	s.mesh.reread = 20 * time.Millisecond
	s.start()
	<-s.ready
	const cluster = "outbound|80||stock.vms.internal"
	s.endpoints(cluster, "/10.8.0.1")
	write(t, dir, "vms.yaml", machine("10.8.0.2"))
	s.endpoints(cluster, "/10.8.0.2")
	write(t, dir, "vms.yaml", "kind: [")
	kube.Eventually(t, 10*time.Second, func() error {
		if ps := s.mesh.Problems(); len(ps) != 1 || ps[0].Path != "vms.yaml" {
			return fmt.Errorf("problems %v", ps)
		}
		return nil
	})
	s.endpoints(cluster, "/10.8.0.2")
	write(t, dir, "vms.yaml", machine("10.8.0.3"))
	s.endpoints(cluster, "/10.8.0.3")
	if ps := s.mesh.Problems(); len(ps) > 0 {
		t.Errorf("problems %v", ps)
	}
}

func TestController_servesPodsThatAnEntrySelects(t *testing.T) {
	s := open(t)
	s.start()
	<-s.ready
	s.apply(`
apiVersion: v1
kind: Pod
metadata: {name: p, labels: {app: stock}}
spec: {containers: [{name: c, image: i}]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: stock}
spec:
  hosts: [stock.example]
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}]
  resolution: STATIC
  location: MESH_INTERNAL
  workloadSelector: {labels: {app: stock}}`)
	const cluster = "outbound|80||stock.example"
	s.endpoints(cluster)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "p"}}
	run := func(ready corev1.ConditionStatus) {
		pod.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.9.0.1", PodIPs: []corev1.PodIP{{IP: "10.9.0.1"}},
			Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}}
		if err := s.client.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.client.Get(t.Context(), client.ObjectKeyFromObject(pod), pod); err != nil {
		t.Fatal(err)
	}
	run(corev1.ConditionTrue)
	s.endpoints(cluster, "/10.9.0.1")
	run(corev1.ConditionFalse)
	s.endpoints(cluster)
}

const placed = `
apiVersion: v1
kind: Service
metadata: {name: stock}
spec: {clusterIP: None, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: stock-1, labels: {kubernetes.io/service-name: stock}}
addressType: IPv4
ports: [{name: http, port: 80}]
endpoints: [{addresses: [10.9.0.1], nodeName: NODE}]`

func TestController_regionsFromNodes(t *testing.T) {
	s := open(t)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n-" + s.namespace, Labels: map[string]string{"topology.kubernetes.io/region": "eu"}}}
	if err := s.client.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	s.apply(strings.ReplaceAll(placed, "NODE", node.Name))
	s.start()
	<-s.ready
	s.endpoints("outbound|80||stock."+s.namespace+".svc.cluster.local", "eu/10.9.0.1")
}

func TestController_startsWithoutRightToNodes(t *testing.T) {
	s := open(t, func(cfg *rest.Config, _ *Config) { cfg.Impersonate.UserName = "blind" })
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}}
	for group, kinds := range map[string][]string{"": {"services", "pods"}, "discovery.k8s.io": {"*"}, "networking.istio.io": {"*"}, "sluice.dev": {"*"}} {
		role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: kinds, Verbs: []string{"list", "watch", "get"}})
	}
	if err := s.client.Create(t.Context(), role); err != nil {
		t.Fatal(err)
	}
	if err := s.client.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: s.namespace},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "blind"}}}); err != nil {
		t.Fatal(err)
	}
	s.apply(strings.ReplaceAll(placed, "NODE", "n1"))
	s.start()
	select {
	case <-s.ready:
	case <-time.After(time.Minute):
		t.Fatal("it waits for Nodes that it may not read")
	}
	s.endpoints("outbound|80||stock."+s.namespace+".svc.cluster.local", "/10.9.0.1")
}

func TestWorld_filesMayAskForPodsToo(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "vm.yaml", machine("10.0.0.1"))
	said, _, err := (&files{dir: dir, good: map[string][]byte{}}).read()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld("", "")
	if w.selectsWorkloads() {
		t.Error("nobody has asked for pods")
	}
	if w.setWritten(said); !w.selectsWorkloads() {
		t.Error("the ServiceEntry of a file asks for pods")
	}
}
