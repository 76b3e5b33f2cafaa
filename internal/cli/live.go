package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/api/view"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/internal/cli/watch"
)

// liveReason is why an action was asked for by a key.
const liveReason = "asked for in the watch view"

// liveKeys is the line below the view.
const liveKeys = "p promote   r roll back   e evidence   q quit"

// liveView is what a person watches: one rollout, and keys to act on it.
type liveView struct {
	context  context.Context //nolint:containedctx // of the commands that keys start; the library hands none over
	cluster  *cluster
	style    watch.Style
	now      func() time.Time
	rollout  *v1alpha1.Rollout // nil: not read yet
	source   *v1alpha1.Source
	seen     watch.Seen
	evidence bool
	asking   v1alpha1.ActionVerb // that is to be confirmed; empty: none
	foot     string
	end      error
}

// The messages of a liveView.
type (
	liveChanged struct {
		rollout *v1alpha1.Rollout
		source  *v1alpha1.Source
	}
	liveActed string
	liveTick  time.Time
	liveEnd   struct{ err error }
)

// errQuit says that a person has seen enough.
var errQuit = errors.New("quit")

// live shows one rollout until it rests.
func (o *getOptions) live(ctx context.Context, s Streams, on screen, name string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.watching.timeout, errTimeout)
	defer cancel()
	m := liveView{context: ctx, cluster: o.cluster, now: app.Now, foot: liveKeys,
		style: watch.Style{Width: on.width, Colour: on.colour, ASCII: on.ascii, Zone: time.Local}}
	options := []tea.ProgramOption{tea.WithContext(ctx), tea.WithInput(s.In), tea.WithOutput(s.Out), tea.WithoutSignalHandler(), tea.WithFPS(10)}
	if _, terminal := s.Out.(*os.File); !terminal {
		options = append(options, tea.WithWindowSize(on.width, 50))
	}
	program := tea.NewProgram(m, options...)
	observed := make(chan struct{})
	go func() {
		defer close(observed)
		err := o.observeLive(ctx, name, program.Send)
		if err != nil && context.Cause(ctx) != nil {
			err = ended(ctx, "rollout "+name+" does not rest", o.watching.timeout, statusOf(o.cluster.namespace, name))
		}
		program.Send(liveEnd{err})
	}()
	final, err := program.Run()
	over := context.Cause(ctx)
	cancel()
	<-observed
	last, ok := final.(liveView)
	switch {
	case ok && errors.Is(last.end, errQuit):
		return nil
	case ok && last.end != nil:
		return last.end
	case err != nil && over != nil:
		return endedBy(over, "rollout "+name+" does not rest", o.watching.timeout, statusOf(o.cluster.namespace, name))
	case err != nil:
		return fmt.Errorf("showing rollout %s: %w", name, err)
	case ok && last.rollout != nil:
		return (&statusOptions{}).verdict(view.Status(last.rollout))
	}
	return nil
}

// observeLive sends each change of the rollout until it rests.
func (o *getOptions) observeLive(ctx context.Context, name string, send func(tea.Msg)) error {
	var source *v1alpha1.Source
	return o.cluster.observe(ctx, "rollouts", name, func(object runtime.Object) (bool, error) {
		ro, ok := object.(*v1alpha1.Rollout)
		if !ok {
			return false, fmt.Errorf("getting rollout %s: the server sent a %T", name, object)
		}
		if commit := ro.Annotations[v1alpha1.AnnotationCommit]; source == nil || source.Status.Commit == nil || source.Status.Commit.ID != commit {
			source = o.cluster.sourceOf(ctx, ro)
		}
		send(liveChanged{ro.DeepCopy(), source})
		standing := view.Status(ro).Standing
		rests := standing == view.Ready || standing == view.RolledBack || standing == view.Failing
		return rests && !o.watching.follow, nil
	})
}

// sourceOf reads the Source that ro comes from; nil where there is none, or none may be read.
func (c *cluster) sourceOf(ctx context.Context, ro *v1alpha1.Rollout) *v1alpha1.Source {
	name := ro.Labels[v1alpha1.LabelSourceName]
	if name == "" {
		return nil
	}
	src := &v1alpha1.Source{}
	namespace := cmp.Or(ro.Labels[v1alpha1.LabelSourceNamespace], ro.Namespace)
	if err := c.client.Get().Namespace(namespace).Resource("sources").Name(name).Do(ctx).Into(src); err != nil {
		return nil
	}
	return src
}

func liveClock() tea.Cmd {
	return tea.Tick(time.Second, func(at time.Time) tea.Msg { return liveTick(at) })
}

// Init implements tea.Model.
func (m liveView) Init() tea.Cmd { return liveClock() }

// Update implements tea.Model.
func (m liveView) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.style.Width = msg.Width
	case liveTick:
		return m, liveClock()
	case liveChanged:
		m.seen = m.seen.With(msg.rollout)
		m.rollout, m.source = msg.rollout, msg.source
	case liveActed:
		m.foot = string(msg)
	case liveEnd:
		if m.end == nil {
			m.end = msg.err
		}
		m.foot, m.asking = "", ""
		return m, tea.Quit
	case tea.KeyPressMsg:
		return m.key(msg.String())
	}
	return m, nil
}

// key is what a key does: at once, or once it is confirmed.
func (m liveView) key(pressed string) (tea.Model, tea.Cmd) {
	if pressed == "ctrl+c" {
		m.end = &Exit{Code: ExitInterrupted}
		return m, tea.Quit
	}
	if m.asking != "" {
		verb := m.asking
		m.asking, m.foot = "", liveKeys
		if pressed != "y" {
			return m, nil
		}
		m.foot = string(verb) + ": asked"
		return m, m.act(verb)
	}
	switch pressed {
	case "q":
		m.end, m.foot = errQuit, ""
		return m, tea.Quit
	case "e":
		m.evidence = !m.evidence
	case "p":
		return m.ask(v1alpha1.ActionPromote, "promote"), nil
	case "r":
		return m.ask(v1alpha1.ActionRollback, "roll back"), nil
	}
	return m, nil
}

// ask asks whether a verb is meant, and names what it is about.
func (m liveView) ask(verb v1alpha1.ActionVerb, words string) liveView {
	if m.rollout == nil || m.rollout.Status == nil {
		return m
	}
	st := m.rollout.Status
	about := "which serves " + cmp.Or(st.Stable.Name, "n/a")
	if st.Canary != nil {
		about = fmt.Sprintf("step %d/%d with %s at %d%%", st.Step, st.Steps, st.Canary.Name, st.Weight)
	}
	m.asking = verb
	m.foot = problem.Clean(fmt.Sprintf("%s %s, attempt %d, %s? y/n", words, m.rollout.Name, st.Attempt, about), problem.MaxMessage)
	return m
}

// act asks for it as the verb of the command line does, of the attempt that is seen.
func (m liveView) act(verb v1alpha1.ActionVerb) tea.Cmd {
	all := acts()
	i := slices.IndexFunc(all, func(a act) bool { return a.verb == verb })
	o := &actOptions{act: all[i], cluster: &cluster{flags: m.cluster.flags}, attempt: m.rollout.Status.Attempt, reason: liveReason, timeout: time.Minute}
	name := m.rollout.Name
	return func() tea.Msg {
		var out bytes.Buffer
		if err := o.run(m.context, Streams{In: strings.NewReader(""), Out: &out, Err: io.Discard}, name); err != nil {
			return liveActed(problem.Clean(err.Error(), problem.MaxMessage))
		}
		return liveActed(problem.Clean(strings.TrimSpace(strings.ReplaceAll(out.String(), "\nundo:", "; undo:")), problem.MaxMessage))
	}
}

// View implements tea.Model.
func (m liveView) View() tea.View { return tea.NewView(strings.TrimSuffix(m.text(), "\n")) }

func (m liveView) text() string {
	if m.rollout == nil {
		return ""
	}
	f := watch.Of(m.rollout, m.source, m.seen, m.now())
	f.Foot = m.foot
	if m.evidence {
		f.Evidence = view.Status(m.rollout).Rows()
		if len(f.Evidence) == 0 {
			f.Evidence = []string{"no evidence in this step yet"}
		}
	}
	return f.Text(m.style)
}
