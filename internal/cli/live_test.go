package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/internal/cli/watch"
	"github.com/sluice-dev/sluice/test/poll"
)

// hands are the clock of a view.
type hands struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hands) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hands) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// filmed is a view whose frames are kept as they are drawn, before a terminal makes differences of them.
type filmed struct {
	liveView
	film *film
}

type film struct {
	mu   sync.Mutex
	last string
}

func (f *film) frame() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

func (m filmed) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	next, cmd := m.liveView.Update(msg)
	view, ok := next.(liveView)
	if !ok {
		return next, cmd
	}
	return filmed{view, m.film}, cmd
}

func (m filmed) View() tea.View {
	m.film.mu.Lock()
	defer m.film.mu.Unlock()
	m.film.last = m.text()
	return m.liveView.View()
}

// theatre is a view that runs, with somebody at the keys.
type theatre struct {
	keys    *io.PipeWriter
	clock   *hands
	film    *film
	program *tea.Program
	ended   chan liveView
}

var liveStart = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func staged() *v1alpha1.Rollout {
	c := v1alpha1.NewConditions(nil, 1, liveStart)
	c.Moving(v1alpha1.ReasonBaking, "step 1/3 (15%): baking")
	deadline := metav1.NewMicroTime(liveStart.Add(10 * time.Minute))
	return &v1alpha1.Rollout{ObjectMeta: metav1.ObjectMeta{Namespace: "bookinfo", Name: "reviews", Generation: 1},
		Spec: v1alpha1.RolloutSpec{Host: "reviews", Subset: "v3"}, Status: &v1alpha1.RolloutStatus{
			ObservedGeneration: 1, Seq: 8, Attempt: 2, Phase: v1alpha1.PhaseBaking, Outcome: v1alpha1.OutcomeOpen, Since: metav1.NewMicroTime(liveStart),
			Deadline: &deadline, Step: 1, Steps: 3, Weight: 15, Stable: v1alpha1.VersionStatus{Name: "v2"}, Canary: &v1alpha1.VersionStatus{Name: "v3"}, Conditions: c.List()}}
}

func stage(t *testing.T) *theatre {
	t.Helper()
	in, keys := io.Pipe()
	th := &theatre{keys: keys, clock: &hands{now: liveStart}, film: &film{}, ended: make(chan liveView, 1)}
	m := liveView{context: t.Context(), cluster: &cluster{}, now: th.clock.Now, foot: liveKeys, style: watch.Style{Width: 100, Zone: time.UTC}}
	th.program = tea.NewProgram(filmed{m, th.film}, tea.WithContext(t.Context()), tea.WithInput(in), tea.WithOutput(&bytes.Buffer{}), tea.WithoutSignalHandler(),
		tea.WithWindowSize(100, 50), tea.WithFPS(60))
	go func() {
		final, err := th.program.Run()
		last, ok := final.(filmed)
		if err != nil || !ok {
			t.Errorf("it ended with %T, %v", final, err)
		}
		th.ended <- last.liveView
	}()
	t.Cleanup(func() { _ = keys.Close() })
	th.program.Send(liveChanged{staged(), nil})
	th.shows(t, "reviews", liveKeys)
	return th
}

func (th *theatre) press(t *testing.T, key string) {
	t.Helper()
	if _, err := io.WriteString(th.keys, key); err != nil {
		t.Fatal(err)
	}
}

// shows waits until the present frame has all of the texts.
func (th *theatre) shows(t *testing.T, texts ...string) {
	t.Helper()
	if err := poll.Until(10*time.Second, func() error {
		frame := th.film.frame()
		for _, text := range texts {
			if !strings.Contains(frame, text) {
				return errors.New("no " + text + " in\n" + frame)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func (th *theatre) end(t *testing.T) liveView {
	t.Helper()
	select {
	case last := <-th.ended:
		return last
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
		return liveView{}
	}
}

func TestLive_keysAskBeforeTheyActAndQEnds(t *testing.T) {
	t.Parallel()
	th := stage(t)
	th.press(t, "p")
	th.shows(t, "promote reviews, attempt 2, step 1/3 with v3 at 15%? y/n")
	th.press(t, "n")
	th.shows(t, liveKeys)
	th.press(t, "r")
	th.shows(t, "roll back reviews, attempt 2, step 1/3 with v3 at 15%? y/n")
	th.press(t, "q") // is no y: it declines, and ends nothing
	th.shows(t, liveKeys)
	th.press(t, "e")
	th.shows(t, "no evidence in this step yet")
	th.press(t, "q")
	last := th.end(t)
	if !errors.Is(last.end, errQuit) || last.asking != "" {
		t.Errorf("it ended with %v, asking %q", last.end, last.asking)
	}
	if frame := th.film.frame(); !strings.Contains(frame, "reviews") || strings.Contains(frame, liveKeys) {
		t.Errorf("the last frame is to stay, without the keys:\n%s", frame)
	}
}

func TestLive_followsTheClockAndEndsWhenTheRolloutRests(t *testing.T) {
	t.Parallel()
	th := stage(t)
	th.shows(t, "(10m")
	th.clock.advance(6 * time.Minute)
	th.program.Send(liveTick(th.clock.Now()))
	th.shows(t, "(4m")
	ro := staged()
	c := v1alpha1.NewConditions(nil, 1, liveStart)
	c.Ready(v1alpha1.ReasonCompleted, "v3 serves 100% since attempt 2")
	ro.Status.Seq, ro.Status.Phase, ro.Status.Outcome, ro.Status.Canary, ro.Status.Deadline, ro.Status.Conditions = 9, v1alpha1.PhaseIdle, v1alpha1.OutcomeCompleted, nil, nil, c.List()
	ro.Status.Stable.Name, ro.Status.Step, ro.Status.Weight = "v3", 0, 0
	th.press(t, "p")
	th.shows(t, "? y/n")
	th.program.Send(liveChanged{ro, nil})
	th.program.Send(liveEnd{})
	last := th.end(t)
	if frame := th.film.frame(); last.end != nil || !strings.Contains(frame, "Completed") || strings.Contains(frame, "y/n") || strings.Contains(frame, liveKeys) {
		t.Errorf("it ended with %v and\n%s\nwant the last frame without a question", last.end, frame)
	}
}

func TestLive_isInterrupted(t *testing.T) {
	t.Parallel()
	th := stage(t)
	th.press(t, "p")
	th.shows(t, "? y/n")
	th.press(t, "\x03")
	var exit *Exit
	if last := th.end(t); !errors.As(last.end, &exit) || exit.Code != ExitInterrupted {
		t.Errorf("it ended with %v, want exit %d", last.end, ExitInterrupted)
	}
}
