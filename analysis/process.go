package analysis

import (
	"encoding/json"
	"math"
)

// logw is ln of a wealth. In JSON, a wealth of zero is null.
type logw float64

// MarshalJSON implements json.Marshaler.
func (l logw) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(l), -1) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(l))
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *logw) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*l = logw(math.Inf(-1))
		return nil
	}
	return json.Unmarshal(text, (*float64)(l))
}

// harmState is the evidence of harm of one stream: wealth put on each ratio of the grid, and a reserve that is
// handed out with time, so that a late fault need not first undo a healthy past. Of a histogram it is that of several
// streams, one after the other, with the same reserve in each.
type harmState struct {
	bounds
	Elapsed float64 `json:"t,omitempty"` // s of closed windows in the attempt
	Reserve logw    `json:"r,omitempty"`
	Clip    []logw  `json:"clip,omitempty"`
	Vote    []logw  `json:"vote,omitempty"` // with Bursty only
	Sup     float64 `json:"sup,omitempty"`  // the largest logE so far
}

func newHarm(m Mixture, noise Noise, b bounds) harmState {
	h := harmState{bounds: b, Reserve: logw(math.Log(1 - m.Start))}
	for range b.streams() {
		h.Clip = append(h.Clip, wealth(m.Start, len(m.Grid))...)
		if noise == Bursty {
			h.Vote = append(h.Vote, wealth(m.Start, len(m.Grid))...)
		}
	}
	return h
}

func wealth(start float64, parts int) []logw {
	w := make([]logw, parts)
	for i := range w {
		w[i] = logw(math.Log(start / float64(parts)))
	}
	return w
}

// handOut leaves the reserve the share stays and gives the rest to all ratios alike.
func (h *harmState) handOut(stays float64) {
	h.Reserve = spend(h.Reserve, stays, len(h.Clip)/h.streams(), h.Clip, h.Vote)
}

// spend hands the reserve out to pots that hold the wealth of streams with parts each.
func spend(reserve logw, stays float64, parts int, pots ...[]logw) logw {
	for _, pot := range pots {
		each := float64(reserve) + math.Log((1-stays)/float64(parts))
		for i, w := range pot {
			pot[i] = logw(logAdd(float64(w), each))
		}
	}
	return reserve + logw(math.Log(stays))
}

// pass lets dt seconds go by before a window is folded in.
func (h *harmState) pass(dt, tau float64) {
	h.handOut((tau + h.Elapsed) / (tau + h.Elapsed + dt))
	h.Elapsed += dt
}

// fold multiplies in the factors of one window, given as the counts of each stream.
func (h *harmState) fold(dt float64, streams []Pair, c Criterion, m Mixture) {
	h.pass(dt, m.Tau.Seconds())
	for i, p := range streams {
		h.bet(i*len(m.Grid), p, c, m)
	}
	h.Sup = max(h.Sup, h.logE())
}

// bet folds the counts of the stream whose wealth starts there.
func (h *harmState) bet(from int, p Pair, c Criterion, m Mixture) {
	rho0 := c.rho0()
	against, _ := Vote(p.Canary, p.Stable, rho0)
	for k, g := range m.Grid {
		f := factorsOf(p.Canary, p.Stable, g*rho0, rho0)
		i := from + k
		if c.Noise == Independent {
			h.Clip[i] = logw(keep(float64(h.Clip[i]) + f.whole()))
			continue
		}
		h.Clip[i] = logw(keep(float64(h.Clip[i]) + f.clipped()))
		h.Vote[i] = logw(keep(float64(h.Vote[i]) + f.voted(against)))
	}
}

func (h *harmState) logClip() float64 { return h.mean(h.Clip) }

func (h *harmState) logVote() float64 {
	if h.Vote == nil {
		return 0
	}
	return h.mean(h.Vote)
}

// logE is ln of the evidence: the mean over the streams, and in each over its two processes.
func (h *harmState) logE() float64 {
	return h.both(h.logClip(), h.logVote())
}

// both is logE of what the two processes have come to.
func (h *harmState) both(clip, vote float64) float64 {
	if h.Vote == nil {
		return clip
	}
	return logSum(clip, vote) - math.Ln2
}

// mean is ln of the mean wealth of the streams in a pot.
func (h *harmState) mean(pot []logw) float64 {
	k := h.streams()
	if k == 1 {
		return total(pot, h.Reserve)
	}
	return total(pot, h.Reserve+logw(math.Log(float64(k)))) - math.Log(float64(k))
}

// stream is ln of the evidence of one stream alone.
func (h *harmState) stream(i int) float64 {
	parts := len(h.Clip) / h.streams()
	one := harmState{Reserve: h.Reserve, Clip: h.Clip[i*parts : (i+1)*parts]}
	if h.Vote != nil {
		one.Vote = h.Vote[i*parts : (i+1)*parts]
	}
	return one.logE()
}

// total is ln of the sum of all wealth in a pot and of the reserve.
func total(pot []logw, reserve logw) float64 {
	top := math.Inf(-1)
	for _, w := range pot {
		top = max(top, float64(w))
	}
	if top = max(top, float64(reserve)); math.IsInf(top, -1) {
		return top
	}
	var sum float64
	for _, w := range pot {
		sum += math.Exp(float64(w) - top)
	}
	return top + math.Log(sum+math.Exp(float64(reserve)-top))
}

// guardState watches the canary's own bad share once it has all the traffic and there is nothing to compare with.
type guardState struct {
	P0      float64 `json:"p0"`
	Elapsed float64 `json:"t"`
	Reserve logw    `json:"r"`
	Wealth  []logw  `json:"l"`
}

const guarded = 4 // alternatives of the guard

// guardSteps are the alternatives of the guard as multiples of p0.
func guardSteps() [guarded]float64 { return [guarded]float64{2, 5, 20, 100} }

// newGuard freezes what is tolerated: twice stable's own bad share in this attempt, or the objective's.
func newGuard(stable Counts, objective float64, m Mixture) *guardState {
	p0 := max(slo(objective), 0.05)
	if stable.N > 0 {
		p0 = max(slo(objective), 2*(float64(stable.Bad)+3)/float64(stable.N))
	}
	return &guardState{P0: min(0.5, p0), Reserve: logw(math.Log(1 - m.Start)), Wealth: wealth(m.Start, guarded)}
}

// slo is the bad share above which an arm is in trouble whatever the other does.
func slo(objective float64) float64 {
	if objective == 0 {
		return 0.01
	}
	return 10 * (1 - objective)
}

func (g *guardState) fold(w Window, m Mixture) {
	dt, tau := w.End.Sub(w.Start).Seconds(), m.Tau.Seconds()
	g.Reserve = spend(g.Reserve, (tau+g.Elapsed)/(tau+g.Elapsed+dt), guarded, g.Wealth)
	g.Elapsed += dt
	for i, times := range guardSteps() {
		p1 := min(0.99, times*g.P0)
		g.Wealth[i] = logw(keep(float64(g.Wealth[i]) + min(logRate(w.Canary, p1, g.P0), math.Log(p1/g.P0))))
	}
}

func (g *guardState) logE() float64 { return total(g.Wealth, g.Reserve) }
