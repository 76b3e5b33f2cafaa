package pages

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/gitserver/gitssh"
)

// example reads a file of the examples.
func (s *stage) example(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "examples", name))
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// papers puts the files before a person that pages name: those of the examples.
func (s *stage) papers() {
	s.t.Helper()
	page, err := os.ReadFile(filepath.Join(s.root, "docs", "analysis.md"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, b := range blocks(string(page)) {
		if b.kind == "jsonl" {
			s.write(map[string]string{"windows.jsonl": strings.Join(b.lines, "\n") + "\n"})
		}
	}
	s.link(map[string]string{filepath.Join(s.dir, "examples"): filepath.Join(s.root, "examples")})
	s.write(map[string]string{"whsec.txt": s.example("webhook/whsec.txt"), "body.json": s.example("webhook/delivery.json"),
		"canary.yaml": s.example("convert/flagger.yaml"), "mesh/shop.yaml": mesh, "rollout.yaml": s.example("bakery/rollout.yaml")})
	s.env = append(s.env, "WEBHOOK_ID=0b7f3c1e-5a52-4f0b-9a44-2f6c1d3e8a90.3.11.team", "WEBHOOK_TIMESTAMP=1767225600",
		"WEBHOOK_SIGNATURE=v1,KAN1brgp8/AoTyNnOORKaH4Oi102iuqTWJ85jRIGNCg=")
	s.do("mkdir -p ~/.local/bin")
}

// mesh is what the pages about routes ask of.
const mesh = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example]
  gateways: [shop]
  http: [{route: [{destination: {host: reviews.example}}]}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews.example]
  ports: [{number: 9080, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
`

// desk puts what a person has before him when he types a command that is about files: Argo's to convert, the work tree that
// he changed.
func (s *shop) desk(c command) {
	s.t.Helper()
	if strings.HasPrefix(c.text, "sluice convert rollout.yaml") {
		argo := strings.SplitN(s.example("convert/argo.yaml"), "---\n", 3)
		s.write(map[string]string{"rollout.yaml": argo[0], "analysis.yaml": argo[1], "istio.yaml": strings.Join(argo[2:], "")})
	} else {
		s.write(map[string]string{"rollout.yaml": s.example("bakery/rollout.yaml")})
	}
	if strings.Contains(c.text, "--from 2026") {
		s.write(map[string]string{"rollout.yaml": s.rollout()})
	}
	if third := "--attempt 3"; strings.Contains(c.text, third) { // which is forgotten after ten more
		s.standIns = append([]string{third, fmt.Sprintf("--attempt %d", max(3, s.status().Attempt-1))}, s.standIns...)
	}
	if strings.HasPrefix(c.text, "sluice init") {
		s.do("rm -rf reviews.yaml deploy") // nothing is written over
	}
	if strings.Contains(c.text, " deploy") && !strings.Contains(c.text, "deployment") && c.page != "docs/howto.md" {
		s.do("rm -rf deploy && git clone -q " + s.url + " deploy && sed -i 's/timeout: 5s/timeout: 7s/; s/^  subset: v[23]/  subset: v1/' deploy/prod/*.yaml")
	}
}

// overSSH serves the repository by SSH as well, and writes the Secret for it.
func (s *shop) overSSH(git *gitserver.Server) {
	s.t.Helper()
	host, hostKey := s.sshKey()
	user, userKey := s.sshKey()
	server, err := gitssh.Start(s.t.Context(), gitssh.Config{Dir: s.t.TempDir(), HostKeys: [][]byte{[]byte(host)}, Authorized: []ssh.PublicKey{userKey}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(server.Close)
	dir, err := git.Git(s.t.Context(), "shop/deploy", "rev-parse", "--absolute-git-dir")
	if err != nil {
		s.t.Fatal(err)
	}
	ip, port, _ := strings.Cut(server.Addr, ":")
	secret := corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Name: "shop-git"}, StringData: map[string]string{
		"identity": user, "known_hosts": "[" + ip + "]:" + port + " " + string(ssh.MarshalAuthorizedKey(hostKey))}}
	text, err := yaml.Marshal(secret)
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(map[string]string{"shop-git.yaml": string(text)})
	s.standIns = append(s.standIns, "ssh://git.example.com/shop/deploy.git", server.URL(strings.TrimSpace(dir)))
}

func (s *stage) sshKey() (private string, public ssh.PublicKey) {
	s.t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		s.t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(pem.EncodeToMemory(block)), signer.PublicKey()
}
