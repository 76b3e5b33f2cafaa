package scenario

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-dev/sluice/analysis"
	"github.com/sluice-dev/sluice/rollout"
)

// Play runs a script and gives it back with its outputs made new.
func Play(script string) (string, error) { return NewWorld().Play(script) }

// PlayFor runs a script in a world whose spec is given; what it sets besides steps and bakes changes that.
func PlayFor(spec rollout.Spec, script string) (string, error) {
	w := NewWorld()
	w.spec.take(spec)
	return w.Play(script)
}

// Play runs a script in this world.
func (w *World) Play(script string) (string, error) {
	var out strings.Builder
	inputs := true
	flush := func() {
		if !inputs {
			for _, line := range w.Take() {
				out.WriteString(line + "\n")
			}
		}
		inputs = true
	}
	for i, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		switch {
		case line == "----":
			inputs = false
			out.WriteString("----\n")
		case line == "":
			flush()
			out.WriteString("\n")
		case inputs:
			out.WriteString(line + "\n")
			if err := w.Do(line); err != nil {
				return "", fmt.Errorf("line %d: %s: %w", i+1, line, err)
			}
		}
	}
	flush()
	return out.String(), nil
}

// Do runs one command.
func (w *World) Do(line string) error {
	if given, err := w.given(line); given || err != nil {
		return err
	}
	if i := strings.Index(line, "#"); i >= 0 && (i == 0 || line[i-1] == ' ') {
		line = line[:i]
	}
	words, err := split(line)
	if err != nil || len(words) == 0 {
		return err
	}
	c := command{world: w, name: words[0]}
	for _, word := range words[1:] {
		if k, v, pair := strings.Cut(word, "="); pair {
			c.options = append(c.options, [2]string{k, v})
			continue
		}
		c.args = append(c.args, word)
	}
	done, err := c.timed()
	if err != nil || done {
		return err
	}
	if err := c.apply(); err != nil {
		return err
	}
	return w.run()
}

// split cuts a line into words; double quotes keep blanks together.
func split(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	quoted, inWord := false, false
	for _, r := range line {
		switch {
		case r == '"':
			quoted, inWord = !quoted, true
		case r == ' ' && !quoted:
			if inWord {
				words = append(words, word.String())
				word.Reset()
			}
			inWord = false
		default:
			word.WriteRune(r)
			inWord = true
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is open")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// command is a line taken apart.
type command struct {
	world   *World
	name    string
	args    []string
	options [][2]string
}

func (c command) option(key, otherwise string) string {
	for _, o := range c.options {
		if o[0] == key {
			return o[1]
		}
	}
	return otherwise
}

func (c command) number(key string, otherwise int) (int, error) {
	text := c.option(key, strconv.Itoa(otherwise))
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("%s=%s is no number", key, text)
	}
	return n, nil
}

func (c command) arg() string {
	if len(c.args) == 0 {
		return ""
	}
	return c.args[0]
}

// timed runs the commands that let time pass or only look, and so step by themselves or not at all.
func (c command) timed() (bool, error) {
	w := c.world
	switch c.name {
	case "tick":
		d, err := time.ParseDuration(c.arg())
		if err != nil {
			return true, err
		}
		return true, w.tick(d)
	case "windows":
		return true, c.windows()
	case "loads":
		return true, c.loads()
	case "expect":
		return true, c.expect()
	case "notes":
		for _, n := range w.told {
			w.sayf("note %s", n)
		}
		w.told = nil
		return true, nil
	case "write":
		return true, c.write()
	}
	return false, nil
}

// apply changes the world.
func (c command) apply() (err error) {
	w := c.world
	switch c.name {
	case "spec":
		for _, o := range c.options {
			if err := w.spec.set(o[0], o[1]); err != nil {
				return err
			}
		}
	case "want":
		c.want()
	case "delete":
		w.want.Deleting = true
	case "ready":
		return c.endpoints()
	case "problem":
		w.problems = nil
		for _, code := range c.args {
			w.problems = append(w.problems, rollout.Reason(code))
		}
	case "verdict":
		w.judge.given = analysis.Report{Verdict: analysis.Verdict(c.arg()), Reason: analysis.Reason(c.option("reason", "")), Message: c.option("message", "")}
	case "jump":
		var d time.Duration
		d, err = time.ParseDuration(c.arg())
		w.wall = w.wall.Add(d)
	case "crash":
		var d time.Duration
		d, err = time.ParseDuration(c.option("down", "0s"))
		w.mono, w.wall = w.mono+d, w.wall.Add(d)
		w.restarted()
	case "takeover":
		w.epoch++
		w.sayf("takeover epoch=%d", w.epoch)
		w.restarted()
	case "act":
		return c.act()
	case "window":
		return c.calendar()
	case "brake":
		w.setBrake(c.arg())
	case "lag":
		w.fault.lag, err = strconv.Atoi(c.arg())
	case "stale":
		return w.stale()
	default:
		return c.proxies()
	}
	return err
}

func (c command) proxies() (err error) {
	w := c.world
	var n int
	switch c.name {
	case "proxies":
		if n, err = strconv.Atoi(c.arg()); err == nil {
			w.fleet.connect(n)
		}
	case "ack":
		if n, err = strconv.Atoi(c.arg()); err == nil {
			w.fleet.ack(n, w.mono)
		}
	case "settle":
		w.fleet.settle(w.mono - time.Second)
	case "nack":
		if len(c.args) != 2 {
			return fmt.Errorf("nack needs a proxy and a text")
		}
		w.fleet.nack = fmt.Sprintf("proxy %s rejected the routes: %s", c.args[0], c.args[1])
	case "drop":
		w.fleet.connect(max(0, w.fleet.proxies-1))
	default:
		return fmt.Errorf("unknown command %q", c.name)
	}
	return err
}

func (c command) want() {
	w, name := c.world, c.arg()
	if name == "unknown" {
		w.want.Known = false
		return
	}
	w.want.Known = true
	w.want.Version = rollout.Version{Name: name, Digest: c.option("digest", "d-"+name), Commit: c.option("commit", "")}
}

func (c command) endpoints() (err error) {
	w := c.world
	if c.arg() == "unknown" {
		w.ready.Known = false
		return nil
	}
	after, err := time.ParseDuration(c.option("after", "0s"))
	if err != nil {
		return err
	}
	w.mono, w.wall = w.mono+after, w.wall.Add(after)
	w.ready.Known = true
	if w.ready.Stable, err = c.number("stable", w.ready.Stable); err == nil {
		w.ready.Canary, err = c.number("canary", w.ready.Canary)
	}
	return err
}

// stale offers an observation of another state, which must change nothing.
func (w *World) stale() error {
	st := w.State()
	obs := w.observe(st)
	obs.Seq--
	obs.Fleet.Nacked, obs.Report.Verdict = 1, analysis.Promote
	if next, acts := rollout.Step(w.spec.engine(), st, obs, w.wall); acts.Transition != nil || !reflect.DeepEqual(next, st) {
		return fmt.Errorf("a stale observation changed seq %d", st.Seq)
	}
	return nil
}

// expect compares the state with what the line says; each difference is an output line.
func (c command) expect() error {
	st := c.world.State()
	have := map[string]string{
		"phase": st.Phase.String(), "outcome": string(st.Outcome), "reason": string(st.Reason), "hold": string(st.Progress.Hold),
		"weight": strconv.Itoa(st.Traffic.Weight), "step": strconv.Itoa(st.Traffic.Step), "attempt": strconv.FormatInt(st.Attempt, 10),
		"seq": strconv.FormatUint(st.Seq, 10), "stable": st.Stable.Name, "canary": st.Canary.Name, "previous": st.Previous.Name,
		"managed": strings.Join(st.Managed, ","), "final": strconv.FormatBool(c.world.final), "clock": st.Progress.Clocks.Step.String(),
		"consumed": strconv.Itoa(len(st.Consumed)), "approvals": strconv.Itoa(len(st.Approved)), "gates": gates(st), "kind": strings.TrimSpace(kind(st.Kind)),
		"paused": strconv.FormatBool(st.Progress.Wishes.Paused), "extra": strings.TrimSpace(extra(st.Traffic)), "epoch": strconv.Itoa(c.world.epoch),
		"observe": strconv.FormatBool(st.Kind.Observe),
	}
	var rejected []string
	for _, r := range st.Rejected {
		rejected = append(rejected, r.Digest)
	}
	have["rejected"] = strings.Join(rejected, ",")
	for _, o := range c.options {
		got, known := have[o[0]]
		if !known {
			return fmt.Errorf("cannot expect %q", o[0])
		}
		if got != o[1] {
			c.world.sayf("expected %s=%s, got %s", o[0], o[1], got)
		}
	}
	return nil
}

// gates are the results of the attempt's gates, by step.
func gates(st rollout.State) string {
	var out []string
	for _, g := range st.Gates {
		out = append(out, fmt.Sprintf("%d:%s", g.Step, g.Result))
	}
	return strings.Join(out, ",")
}

// windows lets the real Judge see a number of equal windows, one after the other, as time passes.
func (c command) windows() error {
	w := c.world
	var n [5]int
	for i, key := range []string{"n", "bad", "canary.n", "canary.bad", "count"} {
		v, err := c.number(key, [5]int{425, 0, 75, 0, 1}[i])
		if err != nil || v < 0 {
			return fmt.Errorf("%s: %w", key, err)
		}
		n[i] = v
	}
	dt, err := time.ParseDuration(c.option("dt", "5s"))
	if err != nil {
		return err
	}
	stable := analysis.Counts{N: uint64(n[0]), Bad: uint64(n[1])}
	canary := analysis.Counts{N: uint64(n[2]), Bad: uint64(n[3])}
	for range n[4] {
		if err := w.tick(dt); err != nil {
			return err
		}
		w.judge.window(w.State(), w.wall, dt, [2]analysis.Counts{stable, canary})
		if err := w.run(); err != nil {
			return err
		}
	}
	return nil
}

// window folds one window that ends now into the evidence, for as long as a weight is baking.
func (j *judge) window(st rollout.State, wall time.Time, dt time.Duration, arms [2]analysis.Counts) {
	if st.Phase != rollout.Baking && st.Phase != rollout.Holding {
		return
	}
	cfg := analysis.Default()
	cfg.Bake = st.Stage().Min
	batch := analysis.Batch{Moment: analysis.Moment{At: wall, Seq: st.Traffic.Seq, Step: st.Traffic.Step, Weight: st.Traffic.Weight,
		Endpoints: 3, Since: st.Since, Settled: st.Progress.SettledAt}}
	w := analysis.Window{Metric: cfg.Criteria[0].Name, Seq: st.Traffic.Seq, Start: wall.Add(-dt), End: wall, Stable: arms[0], Canary: arms[1]}
	batch.Windows = []analysis.Window{w}
	batch.Rules = batch.Windows
	batch.Coverage = []analysis.Coverage{{Metric: w.Metric, Length: dt, Interval: dt, Cursor: wall, Newest: wall, LastCanary: wall,
		LastStable: wall, Expected: 1, Total: true}}
	j.evidence, j.given = analysis.Judge(cfg, j.evidence, batch)
}
