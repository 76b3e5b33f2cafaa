package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli/lines"
)

// What the chart calls the controllers.
const (
	controllerPods      = "app.kubernetes.io/name=sluice,app.kubernetes.io/component=controller"
	controllerContainer = "sluice"
)

// The bounds of logs.
const (
	maxLogs = 64 << 20 // bytes of one replica
	maxLine = 1 << 20
)

// logsOptions are the flags of `sluice logs`.
type logsOptions struct {
	cluster *cluster
	output  *output
	root    string // of the state directories of up
	system  string
	state   string
	watch   bool
	since   time.Duration
	attempt int64
	timeout time.Duration
	errs    io.Writer // what cannot be read is said there
}

func newLogs(s Streams, stateRoot string) *cobra.Command {
	o := &logsOptions{root: stateRoot}
	cmd := &cobra.Command{
		Use:   "logs NAME",
		Short: "Print what the controllers say of one rollout",
		Long: "Print the lines that the controllers, all replicas of them, have written of one rollout, oldest first. Without a cluster,\n" +
			"or where no Pod of them runs, those of `sluice up` on this machine. With --watch, go on until the rollout rests.\n\n" +
			"Exit code: 0 printed, 2 usage, 5 not found, 6 no answer, 7 not authorised, 124 --timeout, 130 interrupted.",
		Example: "  sluice logs reviews -n bookinfo\n" +
			"  sluice logs reviews --since 10m --attempt 3\n" +
			"  sluice logs reviews --watch -o json",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return o.run(cmd.Context(), s, args[0]) },
	}
	o.cluster, o.output = addCluster(cmd), addOutput(cmd)
	f := cmd.Flags()
	f.BoolVarP(&o.watch, "watch", "w", false, "go on until the rollout rests")
	f.DurationVar(&o.since, "since", 0, "only of the last this long (default: all)")
	f.Int64Var(&o.attempt, "attempt", 0, "only lines about that attempt")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "with --watch: at most this long")
	f.StringVar(&o.system, "system-namespace", "sluice-system", "namespace that Sluice runs in")
	f.StringVar(&o.state, "state", "", "state directory of a sluice up, whose log is read in place of Pods")
	o.cluster.completeAttempt(cmd)
	return cmd
}

func (o *logsOptions) run(ctx context.Context, s Streams, arg string) error {
	name, err := rolloutName(arg)
	if err != nil {
		return err
	}
	if o.since < 0 || o.attempt < 0 || o.timeout <= 0 {
		return &Exit{Code: ExitUsage, Err: errors.New("--since, --attempt and --timeout must be above 0")}
	}
	if err := o.output.ready(); err != nil {
		return err
	}
	o.output.stream, o.errs = true, s.Err
	read, err := o.reader()
	if err != nil {
		return err
	}
	p := &logPrinter{options: o, streams: s, want: lines.Filter{Namespace: o.cluster.namespace, Rollout: name, Attempt: o.attempt}, printed: map[string]bool{}}
	if o.since > 0 {
		p.want.From = app.Now().Add(-o.since)
	}
	if o.watch {
		return o.follow(ctx, name, func() error { return p.show(ctx, read) })
	}
	if err := p.show(ctx, read); err != nil {
		return err
	}
	if len(p.printed) == 0 {
		fmt.Fprintf(s.Err, "no lines about rollout %s in namespace %s\n", name, o.cluster.namespace)
	}
	return nil
}

// follow shows lines whenever the rollout changes, until it rests or waits for somebody.
func (o *logsOptions) follow(ctx context.Context, name string, show func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.timeout, errTimeout)
	defer cancel()
	err := o.cluster.observe(ctx, "rollouts", name, func(object runtime.Object) (bool, error) {
		ro, ok := object.(*v1alpha1.Rollout)
		if !ok {
			return false, fmt.Errorf("getting rollout %s: the server sent a %T", name, object)
		}
		return view.Status(ro).Standing != view.Moving, show()
	})
	if err != nil && context.Cause(ctx) != nil {
		return ended(ctx, "rollout "+name+" is not at rest", o.timeout, statusOf(o.cluster.namespace, name))
	}
	return err
}

// reads gives what controllers have written, as one text for each.
type reads func(ctx context.Context) ([]io.ReadCloser, error)

// reader chooses between Pods and the log of `sluice up`.
func (o *logsOptions) reader() (reads, error) {
	trouble := o.cluster.connect()
	if trouble != nil {
		o.cluster.namespace = cmp.Or(*o.cluster.flags.Namespace, "default")
	}
	if o.state != "" {
		return o.file(o.state)
	}
	if trouble == nil {
		return o.pods, nil
	}
	if o.watch {
		return nil, trouble
	}
	read, err := o.file(filepath.Join(o.root, "default"))
	if err != nil {
		return nil, trouble
	}
	return read, nil
}

// file reads the log of a state directory.
func (o *logsOptions) file(dir string) (reads, error) {
	path := filepath.Join(dir, "log", "sluice.log")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, &Exit{Code: ExitNotFound, Err: fmt.Errorf("there is no log at %s: no sluice up has run there", path), Next: "sluice up, or sluice logs NAME --state DIR"}
	}
	return func(context.Context) ([]io.ReadCloser, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the log: %w", err)}
		}
		if at, err := f.Seek(0, io.SeekEnd); err == nil {
			_, err = f.Seek(max(0, at-maxLogs), io.SeekStart) // the newest lines; one that is cut is no JSON, and left out
			if err != nil {
				return nil, errors.Join(&Exit{Code: ExitUsage, Err: fmt.Errorf("reading the log: %w", err)}, f.Close())
			}
		}
		return []io.ReadCloser{f}, nil
	}, nil
}

// pods reads the logs of the Pods of all replicas.
func (o *logsOptions) pods(ctx context.Context) ([]io.ReadCloser, error) {
	client, err := kubernetes.NewForConfig(o.cluster.config)
	if err != nil {
		return nil, &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	pods, err := client.CoreV1().Pods(o.system).List(ctx, metav1.ListOptions{LabelSelector: controllerPods})
	if err != nil {
		return nil, failed("listing the Pods of Sluice", err)
	}
	if len(pods.Items) == 0 {
		if read, err := o.file(filepath.Join(o.root, "default")); err == nil {
			return read(ctx)
		}
		return nil, &Exit{Code: ExitNotFound, Err: fmt.Errorf("no Pod of Sluice runs in namespace %s", o.system), Next: "sluice doctor -n " + o.system}
	}
	limit := int64(maxLogs)
	options := &corev1.PodLogOptions{Container: controllerContainer, LimitBytes: &limit}
	if o.since > 0 {
		seconds := max(1, int64(o.since.Seconds()))
		options.SinceSeconds = &seconds
	}
	var (
		out    []io.ReadCloser
		silent []error
	)
	for _, p := range pods.Items {
		stream, err := client.CoreV1().Pods(o.system).GetLogs(p.Name, options).Stream(ctx)
		if err != nil { // a replica that starts has none yet; the others' lines are worth reading
			silent = append(silent, failed("reading the log of pod "+p.Name, err))
			continue
		}
		out = append(out, stream)
	}
	if len(out) == 0 {
		return nil, silent[0]
	}
	for _, err := range silent {
		fmt.Fprintf(o.errs, "left out: %s\n", problem.Clean(err.Error(), problem.MaxMessage))
	}
	return out, nil
}

// logPrinter prints lines that it has not printed yet.
type logPrinter struct {
	options *logsOptions
	streams Streams
	want    lines.Filter
	printed map[string]bool
}

func (p *logPrinter) show(ctx context.Context, read reads) error {
	texts, err := read(ctx)
	if err != nil {
		return err
	}
	var found []lines.Line
	for _, text := range texts {
		in := bufio.NewScanner(io.LimitReader(text, maxLogs))
		in.Buffer(make([]byte, 0, 64<<10), maxLine)
		for in.Scan() {
			if line, ok := lines.Parse(in.Text()); ok && p.want.Takes(line) && !p.printed[in.Text()] {
				p.printed[in.Text()] = true
				found = append(found, line)
			}
		}
		if err := errors.Join(in.Err(), text.Close()); err != nil {
			return &Exit{Code: ExitUsage, Err: fmt.Errorf("reading logs: %w", err)}
		}
	}
	slices.SortStableFunc(found, func(a, b lines.Line) int { return a.At.Compare(b.At) })
	for _, line := range found {
		if !p.options.output.people() {
			if err := p.options.output.document(p.streams.Out, line.Document()); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintln(p.streams.Out, strings.TrimSpace(line.Text())); err != nil {
			return err
		}
	}
	return nil
}
