package pages

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/sluice-dev/sluice/test/kube"
	"github.com/sluice-dev/sluice/test/proxy"
)

// The states of a cluster.
const (
	removed   state = "the chart is not installed"
	installed state = "the chart is installed"
	runs      state = "the programs of its Pods run"
	testPod   state = "the Pod of helm test is run"
)

const system = "sluice-system"

// cluster is an API server without machines: where a kubelet would run what Pods say, the test runs it, with the arguments,
// and as the account, that the chart gave it.
type cluster struct {
	*stage
	running []*running
}

func openCluster(t *testing.T) *cluster {
	t.Helper()
	s := &cluster{stage: newStage(t)}
	config := kube.Own(t, kube.Options{Port: proxy.FreePort(t)}).Config(t)
	file := clientcmdapi.NewConfig()
	file.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData, CertificateAuthority: config.CAFile}
	file.AuthInfos["admin"] = &clientcmdapi.AuthInfo{Token: config.BearerToken, ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	file.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "admin"}
	file.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*file, filepath.Join(s.home, "kubeconfig")); err != nil {
		t.Fatal(err)
	}
	s.link(map[string]string{filepath.Join(s.dir, "charts"): filepath.Join(s.root, "charts")})
	s.write(map[string]string{"sluice.yaml": "apiVersion: config.sluice.dev/v1alpha1\nkind: Controller\n"})
	s.do("kubectl delete crd --all --wait=false; for d in $(kubectl get crd -o name); do kubectl patch $d --type=merge -p '{\"metadata\": {\"finalizers\": null}}' || true; done")
	s.eventually("a cluster without our kinds", func() error { return s.try("[ -z \"$(kubectl get crd -o name)\" ]") })
	s.do("kubectl create namespace shop; kubectl create namespace books; kubectl create namespace istio-system")
	s.states = map[state]func(){removed: s.removed, installed: s.installed, runs: s.runs, testPod: s.testPod}
	t.Cleanup(s.stop)
	return s
}

func (s *cluster) removed() {
	s.t.Helper()
	s.stop()
	s.do("helm uninstall sluice -n " + system + " --ignore-not-found")
}

func (s *cluster) installed() {
	s.t.Helper()
	if s.try("helm status sluice -n "+system) == nil {
		return
	}
	s.do("helm install sluice charts/sluice -n " + system + " --create-namespace --set gateway.enabled=true --set 'xds.statusReaders={spiffe://cluster.local/ns/" + system + "/sa/sluice-gateway}'")
}

// stop ends the programs.
func (s *cluster) stop() {
	for _, r := range s.running {
		if r.process.Ended() == nil {
			_ = r.process.Stop(40 * time.Second) // by a signal, which is an error of its own
		}
		if s.t.Failed() {
			s.t.Logf("a replica printed\n%s", r.printed())
		}
	}
	s.running = nil
}

// podOf is what a Deployment or a Pod runs.
func (s *cluster) podOf(kind, name string) corev1.PodSpec {
	s.t.Helper()
	var out struct {
		Spec struct {
			corev1.PodSpec
			Template struct{ Spec corev1.PodSpec }
		}
	}
	if err := json.Unmarshal([]byte(s.do("kubectl get "+kind+" "+name+" -n "+system+" -o json")), &out); err != nil {
		s.t.Fatal(err)
	}
	if kind == "pod" {
		return out.Spec.PodSpec
	}
	return out.Spec.Template.Spec
}

// as makes the file of a client that is an account.
func (s *cluster) as(account string) string {
	s.t.Helper()
	path := filepath.Join(s.home, account)
	s.do("cp ~/kubeconfig " + path + "; export KUBECONFIG=" + path +
		"; kubectl config set-credentials it --token=$(kubectl create token " + account + " -n " + system + "); kubectl config set-context --current --user it")
	return path
}

// runs starts two replicas, and writes what the cluster's own controllers would write of them.
func (s *cluster) runs() {
	s.t.Helper()
	s.stop()
	s.installed()
	s.do("kubectl delete lease --all -n " + system) // of programs that ended without the right to release theirs
	spec := s.podOf("deployment", "sluice")
	kubeconfig := s.as(spec.ServiceAccountName)
	for i := range 2 {
		pod := fmt.Sprintf("sluice-%d", i)
		args := strings.NewReplacer("$(NAMESPACE)", system, "$(POD)", pod).Replace(strings.Join(spec.Containers[0].Args, " "))
		door, health := fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(s.t)), fmt.Sprintf("127.0.0.1:%d", proxy.FreePort(s.t))
		r := s.start("exec sluice " + args + " --kubeconfig " + kubeconfig + " --xds-tls-addr " + door + " --xds-names 127.0.0.1 --health-addr " + health +
			" --metrics-addr 127.0.0.1:0 --hook-addr 127.0.0.1:0 --decisions-addr 127.0.0.1:0 --git-cache-dir " + filepath.Join(s.home, pod))
		s.running = append(s.running, r)
		s.standIns = []string{"sluice.example:15012", door}
		if err := r.process.Await(patience, func() error { return ready(health) }); err != nil {
			s.t.Fatalf("%s %s: %v\n%s", pod, args, err, r.printed())
		}
	}
	s.eventually("a leader", func() error {
		return s.try("[ -n \"$(kubectl get lease sluice -n " + system + " -o jsonpath='{.spec.holderIdentity}')\" ]")
	})
	s.do(`kubectl patch deployment sluice -n ` + system + ` --subresource=status --type=merge -p '{"status": {"observedGeneration": '$(kubectl get deployment sluice -n ` + system +
		` -o jsonpath='{.metadata.generation}')', "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}}'
kubectl apply -n ` + system + ` -f - <<'END'
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: sluice, labels: {kubernetes.io/service-name: sluice}}
addressType: IPv4
ports: [{name: xds, port: 15012}]
endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}, {addresses: [10.0.0.2], conditions: {ready: true}}]
END`)
	for _, key := range []string{"tls.crt", "tls.key", "ca.crt"} {
		s.eventually("the gateway's certificate", func() error {
			return s.try("kubectl get secret sluice-gateway -n " + system + " -o go-template='{{index .data \"" + key + "\" | base64decode}}' > " + key + " || helm get values sluice -n " + system + " | grep namespaces")
		})
	}
}

func ready(address string) error {
	client := http.Client{Timeout: 5 * time.Second}
	resp, err := client.Get("http://" + address + "/readyz")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// testPod runs the Pod of `helm test`, as soon as that has made it, and writes down how it ended.
func (s *cluster) testPod() {
	s.t.Helper()
	s.eventually("the Pod of helm test", func() error { return s.try("kubectl get pod sluice-test -n " + system) })
	spec := s.podOf("pod", "sluice-test")
	r := s.start("sluice " + strings.Join(spec.Containers[0].Args, " ") + " --kubeconfig " + s.as(spec.ServiceAccountName))
	code, err := s.ended(r)
	phase := "Succeeded"
	if code != 0 || err != nil || !strings.Contains(r.printed(), "leads") {
		s.t.Errorf("the Pod of helm test ends with %d, %v\n%s", code, err, r.printed())
		phase = "Failed"
	}
	s.do("kubectl patch pod sluice-test -n " + system + " --subresource=status --type=merge -p '{\"status\": {\"phase\": \"" + phase + "\"}}'")
}

// TestPages_cluster types what the pages say of a cluster, and what the chart's notes say after the installation.
func TestPages_cluster(t *testing.T) {
	s := openCluster(t)
	noted := 0
	for _, c := range at(t, inACluster) {
		s.play([]command{c})
		if !strings.HasPrefix(c.text, "helm install") {
			continue
		}
		found, wrong := read("NOTES.txt", s.do("helm get notes sluice -n "+system))
		for _, w := range wrong {
			t.Error(w)
		}
		s.runs()
		for _, c := range found {
			h := how{}
			if strings.HasPrefix(c.text, "helm test") {
				h.meanwhile = testPod
			}
			s.act(c, h)
		}
		noted += len(found)
	}
	if noted < 2 {
		t.Errorf("the notes of the chart have %d commands", noted)
	}
	kept := s.do("kubectl get crd -o name")
	if n := strings.Count(kept, "sluice.dev"); n != 6 {
		t.Errorf("after helm uninstall %d kinds of Sluice are left, want 6:\n%s", n, kept)
	}
}
