package controller_test

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/test/kube"
)

// TestServer_refusesWhatANotifierCannotBe holds the rules of the schema, which the API server keeps without us.
func TestServer_refusesWhatANotifierCannotBe(t *testing.T) {
	cfg := kube.Start(t)
	ns := kube.Namespace(t, cfg)
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	const key = "{name: s, key: k}"
	for i, row := range []struct{ spec, want string }{
		{"{slack: {tokenSecretRef: " + key + ", channel: '#deploys', plot: false, mentionAuthor: true, mentionOnRollback: [S0123]}}", ""},
		{"{slack: {webhookSecretRef: " + key + "}, templates: {RolledBack: '{{.Name}}'}, namespaces: All}", ""},
		{"{teams: {urlSecretRef: " + key + "}}", ""},
		{"{grafana: {url: 'https://g.example.com/grafana', tokenSecretRef: " + key + ", tags: [eu]}}", ""},
		{"{webhook: {url: 'https://h.example.com/', signingSecretRef: " + key + ", headersSecretRef: " + key + ", caSecretRef: " + key + ", timeout: 30s}}", ""},
		{"{webhook: {url: 'http://h.example.com/', unsigned: true, insecure: true}}", ""},
		{"{}", "exactly one of slack, webhook, teams, gitStatus and grafana"},
		{"{teams: {urlSecretRef: " + key + "}, slack: {webhookSecretRef: " + key + "}}", "exactly one of slack, webhook, teams, gitStatus and grafana"},
		{"{slack: {}}", "exactly one of tokenSecretRef and webhookSecretRef"},
		{"{slack: {tokenSecretRef: " + key + "}}", "channel is required with tokenSecretRef"},
		{"{slack: {webhookSecretRef: " + key + ", channel: '#a'}}", "channel is required with tokenSecretRef"},
		{"{slack: {webhookSecretRef: " + key + ", plot: true}}", "need tokenSecretRef"},
		{"{slack: {tokenSecretRef: " + key + ", channel: deploys}}", "spec.slack.channel"},
		{"{slack: {webhookSecretRef: " + key + ", mentionOnRollback: ['<!channel>']}}", "mentionOnRollback"},
		{"{grafana: {url: 'http://g.example.com', tokenSecretRef: " + key + "}}", "url must be https"},
		{"{grafana: {url: 'https://a:b@g.example.com', tokenSecretRef: " + key + "}}", "spec.grafana.url"},
		{"{webhook: {url: 'https://h.example.com/'}}", "signingSecretRef, or unsigned: true"},
		{"{webhook: {url: 'https://h.example.com/', unsigned: true, signingSecretRef: " + key + "}}", "signingSecretRef, or unsigned: true"},
		{"{webhook: {url: 'http://h.example.com/', unsigned: true}}", "url must be https"},
		{"{webhook: {url: 'https://a@h.example.com/', unsigned: true}}", "without user and password"},
		{"{webhook: {unsigned: true}}", "exactly one of url and urlSecretRef"},
		{"{webhook: {url: 'https://h.example.com/', urlSecretRef: " + key + ", unsigned: true}}", "exactly one of url and urlSecretRef"},
		{"{webhook: {url: 'https://h.example.com/', unsigned: true, timeout: 31s}}", "timeout must be 1s to 30s"},
		{"{webhook: {url: 'https://h.example.com/', unsigned: true, timeout: 999ms}}", "timeout must be 1s to 30s"},
		{"{teams: {urlSecretRef: " + key + "}, templates: {Back: x}}", "kinds of notes"},
		{"{teams: {urlSecretRef: " + key + "}, templates: {RolledBack: '" + strings.Repeat("x", 4097) + "'}}", "spec.templates.RolledBack"},
		{"{teams: {urlSecretRef: " + key + "}, kinds: [Back]}", "spec.kinds[0]"},
		{"{teams: {urlSecretRef: " + key + "}, minSeverity: Fatal}", "spec.minSeverity"},
		{"{teams: {urlSecretRef: " + key + "}, namespaces: Some}", "spec.namespaces"},
		{"{teams: {urlSecretRef: " + key + "}, environment: " + strings.Repeat("x", 33) + "}", "spec.environment"},
	} {
		n := &v1alpha1.Notifier{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: fmt.Sprint("n", i)}}
		if err := yaml.UnmarshalStrict([]byte(row.spec), &n.Spec); err != nil {
			t.Fatalf("%s: %v", row.spec, err)
		}
		err := c.Create(t.Context(), n, client.DryRunAll)
		if row.want == "" && err != nil || row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)) {
			t.Errorf("%.120s: %v, want %q", row.spec, err, row.want)
		}
	}
}
