package chart_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/sluice-dev/sluice/test/helm"
	"github.com/sluice-dev/sluice/test/kube"
)

// Names that Helm and Kubernetes take, however much they look like something else to YAML, and as long as they may be.
func TestChart_oddNamesStayNames(t *testing.T) {
	c, err := client.New(kube.Start(t), client.Options{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatal(err)
	}
	ns := kube.Namespace(t, kube.Start(t))
	values := func(name string) []string {
		var out []string
		for _, at := range []string{"imagePullSecrets[0]", "git.defaultServiceAccount", "git.accounts[0]", "mesh.rootNamespace", "certificates[0].namespace", "certificates[0].names[0]",
			"xds.tls.secretName", "xds.tls.proxies[0].secret", "xds.tls.proxies[0].account", "priorityClassName", "traces.headersSecret",
			"namespaces[0]", "image.tag", "podLabels.odd", "podAnnotations.odd", "nodeSelector.odd", "gateway.labels.odd", "gateway.image.tag", "xds.tls.certManager.issuer.name"} {
			out = append(out, "--set-string", at+"="+name)
		}
		return append(out, "--set", "gateway.enabled=true,traces.endpoint=http://collector:4318,metrics.dashboards.enabled=true", "--set-string", "gateway.tlsSecretName="+name+"-gateway", "--set-string", "xds.tls.proxies[0].namespace=0"+name)
	}
	for _, name := range []string{"123", "1e3", "0x1f", "true", "null", "no", "7.5", "a.b-c", strings.Repeat("a", 53), "0" + strings.Repeat("b", 51) + "1"} {
		as := strings.ReplaceAll(name, ".", "-") // as that of a namespace
		for which, flags := range map[string][]string{"release": {"--set", "gateway.enabled=true,xds.tls.mode=secret,metrics.dashboards.enabled=true"}, "release and values": values(as)} {
			text, err := helm.Run(t, append([]string{"template", name, chart, "--namespace", as, "--set", "crds.install=false"}, flags...)...)
			if err != nil {
				t.Errorf("%s of %s: %v", which, name, err)
				continue
			}
			taken(t, c, ns, which+" "+name, text)
		}
	}
}

func TestChart_refusesValuesThatContradictEachOther(t *testing.T) {
	const proxy = "xds.tls.proxies[0].namespace=shop,xds.tls.proxies[0].secret=a,xds.tls.proxies[0].account=b"
	for _, c := range []struct{ set, says string }{
		{"xds.tls.secretName=a,gateway.enabled=true,gateway.tlsSecretName=a", "gateway.tlsSecretName is the Secret default/a, which is that of xds.tls.secretName, too"},
		{proxy + ",xds.tls.proxies[1].namespace=shop,xds.tls.proxies[1].secret=a,xds.tls.proxies[1].account=c", "xds.tls.proxies[1] is the Secret shop/a, which is that of xds.tls.proxies[0], too"},
		{"xds.tls.proxies[0].namespace=default,xds.tls.proxies[0].secret=sluice-xds,xds.tls.proxies[0].account=b", "which is that of xds.tls.secretName, too"},
		{"certificates[0].namespace=a,certificates[0].names={x},certificates[1].namespace=a,certificates[1].names={y}", "certificates names a twice"},
		{"metrics.port=15012", "is 15012, which is"},
		{"xds.port=8081", "xds.port is 8081, which is the port of health, too"},
		{"metrics.port=9292", "metrics.port is 9292, which is the port of webhooks, too"},
		{"gateway.enabled=true,gateway.labels.istio=null", "gateway.labels is empty"},
		{"gateway.enabled=true,gateway.labels.app\\.kubernetes\\.io/name=x", "gateway.labels has app.kubernetes.io/name: the chart sets that label itself"},
		{"podLabels.app\\.kubernetes\\.io/instance=x", "podLabels has app.kubernetes.io/instance"},
		{"metrics.dashboards.enabled=true,metrics.dashboards.labels.helm\\.sh/chart=x", "metrics.dashboards.labels has helm.sh/chart"},
		{"gateway.enabled=true,gateway.service.ports[0].name=a,gateway.service.ports[0].port=80,gateway.service.ports[0].targetPort=8080,gateway.service.ports[1].name=a,gateway.service.ports[1].port=81,gateway.service.ports[1].targetPort=8081",
			"gateway.service.ports has a twice"},
		{"gateway.enabled=true,gateway.service.ports[0].name=a,gateway.service.ports[0].port=80,gateway.service.ports[0].targetPort=8080,gateway.service.ports[1].name=b,gateway.service.ports[1].port=80,gateway.service.ports[1].targetPort=8081",
			"gateway.service.ports has port 80 twice"},
		{"gateway.service.ports[0].name=averylongportname,gateway.service.ports[0].port=80,gateway.service.ports[0].targetPort=8080", "maxLength"},
		{"gateway.enabled=true,gateway.service.ports=null", "gateway.service.ports is empty"},
		{"gateway.enabled=true,gateway.service.ports[0].name=a,gateway.service.ports[0].port=80,gateway.service.ports[0].targetPort=15021", "at which Envoy says that it is ready"},
		{"xds.tls.secretName=My_Secret", "does not match pattern"},
		{"mesh.trustDomain=", "does not match pattern"},
		{"mesh.rootNamespace=", "does not match pattern"},
		{"image.repository=", "does not match pattern"},
		{"image.tag=10", "got number, want string"},
		{"replicas=two", "got string, want integer"},
		{"namespaces=shop", "got string, want array"},
		{"gateway.enabled=yes", "got string, want boolean"},
		{"networkPolicy.egressPorts={}", "networkPolicy"},
	} {
		_, err := helm.Run(t, "template", "sluice", chart, "--set", c.set)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("--set %s: %v, want an error with %q", c.set, err, c.says)
		}
	}
}
