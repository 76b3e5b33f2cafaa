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
// handed out with time, so that a late fault need not first undo a healthy past.
type harmState struct {
	Elapsed float64 `json:"t"` // s of closed windows in the attempt
	Reserve logw    `json:"r"`
	Clip    []logw  `json:"clip"`
	Vote    []logw  `json:"vote,omitempty"` // with Bursty only
	Sup     float64 `json:"sup"`            // the largest logE so far
}

func newHarm(m Mixture, noise Noise) harmState {
	h := harmState{Reserve: logw(math.Log(1 - m.Start)), Clip: wealth(m.Start, len(m.Grid))}
	if noise == Bursty {
		h.Vote = wealth(m.Start, len(m.Grid))
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
	h.Reserve = spend(h.Reserve, stays, h.Clip, h.Vote)
}

func spend(reserve logw, stays float64, pots ...[]logw) logw {
	for _, pot := range pots {
		each := float64(reserve) + math.Log((1-stays)/float64(len(pot)))
		for i, w := range pot {
			pot[i] = logw(logSum(float64(w), each))
		}
	}
	return reserve + logw(math.Log(stays))
}

// pass lets dt seconds go by before a window is folded in.
func (h *harmState) pass(dt, tau float64) {
	h.handOut((tau + h.Elapsed) / (tau + h.Elapsed + dt))
	h.Elapsed += dt
}

// fold multiplies in the factors of one window.
func (h *harmState) fold(w Window, c Criterion, m Mixture) {
	h.pass(w.End.Sub(w.Start).Seconds(), m.Tau.Seconds())
	rho0 := c.rho0()
	against, _ := Vote(w.Canary, w.Stable, rho0)
	for i, g := range m.Grid {
		rho := g * rho0
		if c.Noise == Independent {
			h.Clip[i] = logw(keep(float64(h.Clip[i]) + LogFactor(w.Canary, w.Stable, rho, rho0)))
			continue
		}
		h.Clip[i] = logw(keep(float64(h.Clip[i]) + logClipped(w.Canary, w.Stable, rho, rho0)))
		h.Vote[i] = logw(keep(float64(h.Vote[i]) + logVoted(w.Canary, w.Stable, against, rho, rho0)))
	}
	h.Sup = max(h.Sup, h.logE())
}

func (h *harmState) logClip() float64 { return total(h.Clip, h.Reserve) }

func (h *harmState) logVote() float64 {
	if h.Vote == nil {
		return 0
	}
	return total(h.Vote, h.Reserve)
}

// logE is ln of the stream's evidence.
func (h *harmState) logE() float64 {
	if h.Vote == nil {
		return h.logClip()
	}
	return logSum(h.logClip(), h.logVote()) - math.Ln2
}

func total(pot []logw, reserve logw) float64 {
	values := make([]float64, 0, len(pot)+1)
	for _, w := range pot {
		values = append(values, float64(w))
	}
	return logSum(append(values, float64(reserve))...)
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
	g.Reserve = spend(g.Reserve, (tau+g.Elapsed)/(tau+g.Elapsed+dt), g.Wealth)
	g.Elapsed += dt
	for i, times := range guardSteps() {
		p1 := min(0.99, times*g.P0)
		g.Wealth[i] = logw(keep(float64(g.Wealth[i]) + min(logRate(w.Canary, p1, g.P0), math.Log(p1/g.P0))))
	}
}

func (g *guardState) logE() float64 { return total(g.Wealth, g.Reserve) }
