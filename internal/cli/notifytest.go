package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/notify"
)

// notifyOptions are the flags of `sluice notify test`.
type notifyOptions struct {
	cluster  *cluster
	loopback bool
	timeout  time.Duration
}

func newNotify(s Streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "notify",
		Short:   "Try a notifier",
		Long:    "Send a note that tells of nothing, to see whether a Notifier is heard.",
		Example: "  sluice notify test team -n bookinfo",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return &Exit{Code: ExitUsage, Err: errors.New("say what: test NOTIFIER"), Next: "sluice notify test NOTIFIER"}
		},
	}
	o := &notifyOptions{}
	test := &cobra.Command{
		Use:   "test NOTIFIER",
		Short: "Send a test note through a notifier, from this machine",
		Long: "Send a note that tells of nothing through a Notifier, as the controller would, but from this machine and with your own\n" +
			"right to read its Secrets. What the receiver says is printed; no secret ever is.\n\n" +
			"Exit code: 0 delivered, 1 the receiver did not take it, 2 wrong usage, 5 not found, 6 no answer of the API server,\n" +
			"7 not authorised, 130 interrupted.",
		Example: "  sluice notify test team -n bookinfo\n" +
			"  sluice notify test local --allow-loopback",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.test(cmd.Context(), s, args[0]) },
	}
	o.cluster = addCluster(test)
	test.Flags().BoolVar(&o.loopback, "allow-loopback", false, "let the receiver be on this machine")
	test.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "give up after this long")
	test.ValidArgsFunction = o.cluster.nameOf("notifiers", 0)
	cmd.AddCommand(test)
	return cmd
}

// readSecrets reads Secrets with the caller's own rights.
type readSecrets struct{ client corev1client.SecretsGetter }

// Secret implements notify.Secrets.
func (r readSecrets) Secret(ctx context.Context, key types.NamespacedName) (map[string][]byte, error) {
	secret, err := r.client.Secrets(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("secret %s: %w", key, notify.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading secret %s: %w", key, err)
	}
	return secret.Data, nil
}

func (o *notifyOptions) test(ctx context.Context, s Streams, arg string) error {
	kind, name, err := subject([]string{"notifier", arg})
	if slashed, other, serr := subject([]string{arg}); serr == nil && other != "" {
		kind, name, err = slashed, other, nil
	}
	if err != nil || kind.kind != v1alpha1.KindNotifier || name == "" {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("%q does not name a notifier", arg), Next: "sluice get notifiers"}
	}
	if o.timeout <= 0 {
		return &Exit{Code: ExitUsage, Err: errors.New("--timeout must be above 0")}
	}
	if err := o.cluster.connect(); err != nil {
		return err
	}
	n := &v1alpha1.Notifier{}
	if err := o.cluster.client.Get().Namespace(o.cluster.namespace).Resource("notifiers").Name(name).Do(ctx).Into(n); err != nil {
		return failed("getting notifier "+name, err)
	}
	if n.Spec.GitStatus != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("notifier %s shows states of commits: a test has no commit to show one on", name), Next: "kubectl get notifier " + name + " -n " + o.cluster.namespace}
	}
	core, err := corev1client.NewForConfig(o.cluster.config)
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	outer := ctx
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	note, lacks := notify.Prepare(n, notify.Trial(n, string(uuid.NewUUID()), app.Now()))
	if lacks != "" {
		fmt.Fprintf(s.Err, "the template is left out: %s\n", problem.Clean(lacks, problem.MaxMessage))
	}
	out := &notify.Outlet{Guard: egress.New(egress.Policy{AllowLoopback: o.loopback}), Secrets: readSecrets{core}, Now: app.Now}
	receipt, err := deliver(ctx, out, n, note)
	if receipt.Lacks != "" {
		fmt.Fprintf(s.Err, "it took the note without: %s\n", problem.Clean(receipt.Lacks, problem.MaxMessage))
	}
	if err != nil {
		if outer.Err() != nil {
			return &Exit{Code: ExitInterrupted}
		}
		return &Exit{Code: ExitNo, Err: fmt.Errorf("notifier %s: %s", name, problem.Clean(err.Error(), problem.MaxMessage)), Next: nextOfFailure(err, name, o.cluster.namespace)}
	}
	_, err = fmt.Fprintf(s.Out, "notifier %s took the note %s\n", name, note.ID)
	return err
}

// deliver opens the sink of a Notifier and sends a note.
func deliver(ctx context.Context, out *notify.Outlet, n *v1alpha1.Notifier, note notify.Note) (notify.Receipt, error) {
	sink, err := out.Open(ctx, n)
	if err != nil {
		return notify.Receipt{}, err
	}
	return sink.Send(ctx, note)
}

// nextOfFailure names the reason that a Notifier would have.
func nextOfFailure(err error, name, namespace string) string {
	if f, ok := errors.AsType[*notify.Failure](err); ok && f.Reason != "" {
		return "sluice explain " + f.Reason
	}
	return "kubectl describe notifier " + name + " -n " + namespace
}
