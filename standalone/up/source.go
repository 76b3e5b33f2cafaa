package up

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/file"
	"github.com/sluice-dev/sluice/standalone/server"
	"github.com/sluice-dev/sluice/standalone/stack"
)

// The objects that up makes; all else comes from Git.
const (
	sourceNamespace = "default"
	sourceName      = "main"
	hookSecret      = "sluice-hook"
	tokenKey        = "token"
)

// secrets are made once per state directory.
type secrets struct {
	Git  string `json:"git"`  // path at which the work tree is served
	Hook string `json:"hook"` // shared by the one who sends hints and the one who takes them
}

func loadSecrets(dir *stack.Dir) (secrets, error) {
	var s secrets
	path := dir.Path("secrets.json")
	if err := file.ReadJSON(path, &s); err != nil {
		return s, err
	}
	if s.Git != "" && s.Hook != "" {
		return s, nil
	}
	s = secrets{Git: rand.Text(), Hook: rand.Text()}
	return s, file.WriteJSON(path, s)
}

// readSecret reads the manifest of --secret, nil without one.
func readSecret(path string) (*corev1.Secret, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, &cli.Exit{Code: cli.ExitUsage, Err: fmt.Errorf("reading --secret: %w", err)}
	}
	var s corev1.Secret
	if err := yaml.UnmarshalStrict(text, &s); err != nil {
		return nil, usage("reading --secret %s: it is no Secret manifest", path) // the parser's words might show a value
	}
	if s.Kind != "Secret" || s.Name == "" || s.Namespace != "" && s.Namespace != sourceNamespace {
		return nil, usage("reading --secret %s: it must be a Secret with a name, in namespace %s", path, sourceNamespace)
	}
	s.Namespace = sourceNamespace
	return &s, nil
}

// wanted is what putSource makes the one Source of.
type wanted struct {
	url    string
	branch string
	path   string
	hook   string         // token
	login  *corev1.Secret // nil: the repository needs none
}

// putSource writes the one Source with all that it needs: the account it applies as, and its secrets.
func putSource(ctx context.Context, cfg *rest.Config, w wanted) error {
	if err := server.EnsureApplier(ctx, cfg, sourceNamespace); err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	hook := &corev1.Secret{ObjectMeta: meta(hookSecret)}
	if err := putSecret(ctx, c, hook, map[string][]byte{tokenKey: []byte(w.hook)}); err != nil {
		return err
	}
	if w.login != nil {
		data := w.login.Data
		if data == nil {
			data = map[string][]byte{}
		}
		for k, v := range w.login.StringData {
			data[k] = []byte(v)
		}
		if err := putSecret(ctx, c, &corev1.Secret{ObjectMeta: meta(w.login.Name), Type: w.login.Type}, data); err != nil {
			return err
		}
	}
	src := &v1alpha1.Source{ObjectMeta: meta(sourceName)}
	if _, err := controllerutil.CreateOrUpdate(ctx, c, src, func() error { fill(&src.Spec, w); return nil }); err != nil {
		return fmt.Errorf("writing Source %s/%s: %w", sourceNamespace, sourceName, err)
	}
	return nil
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: sourceNamespace, Name: name}
}

func putSecret(ctx context.Context, c client.Client, s *corev1.Secret, data map[string][]byte) error {
	if _, err := controllerutil.CreateOrUpdate(ctx, c, s, func() error { s.Data = data; return nil }); err != nil {
		return fmt.Errorf("writing Secret %s/%s: %w", s.Namespace, s.Name, err)
	}
	return nil
}

func fill(spec *v1alpha1.SourceSpec, w wanted) {
	spec.URL, spec.Path, spec.ServiceAccountName = w.url, w.path, server.Applier
	spec.Ref.Branch = w.branch
	spec.Webhook = &v1alpha1.SourceWebhook{Provider: v1alpha1.WebhookGeneric, SecretRef: v1alpha1.LocalRef{Name: hookSecret}}
	spec.SecretRef = nil
	if w.login != nil {
		spec.SecretRef = &v1alpha1.LocalRef{Name: w.login.Name}
	}
}
