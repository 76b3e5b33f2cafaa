package demo

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The limits within which the numbers have to be. Those of time are what is promised, each a multiple of what a machine with
// nothing else to do needs; for how long the machine stood still is added to them.
const (
	maxFirstAcked  = 5 * time.Second
	maxDetect      = 30 * time.Second
	maxDetectRare  = 90 * time.Second
	maxZeroAcked   = 2 * time.Second
	maxLastRequest = 2 * time.Second
	maxShedPart    = 0.001
	shareSigmas    = 5
	acts           = 5
)

// Check says, one sentence each, what was not as it should be.
func Check(n Numbers, story Result, s script) []string {
	c := checks{still: n.Still}
	for _, act := range story.Acts {
		c.must(act.Problem == "", "act %d, %s: %s", act.N, act.Title, act.Problem)
	}
	c.must(len(story.Acts) == acts || len(c.failed) > 0, "the story ended after act %d of %d", len(story.Acts), acts)
	c.release(n.Good)
	c.release(n.Bad)
	c.must(n.Good.Outcome == "" || n.Good.Outcome == OutcomePromoted, "%s ended as %s", good, n.Good.Outcome)
	c.must(n.Bad.Outcome == "" || n.Bad.Outcome == OutcomeRolledBack, "%s ended as %s", bad, n.Bad.Outcome)
	if f := n.Bad.Failure; f != nil {
		limit := maxDetect
		if s.Subtle {
			limit = maxDetectRare
		}
		c.within(f.Detect, limit, "%s failed first, and that was found after %s", bad)
		c.within(f.ZeroAcked, maxZeroAcked, "proxies ran weight 0 for %s %s after the decision", bad)
		c.within(f.LastRequest, maxLastRequest, "the last request on %s began %s after the decision", bad)
	}
	c.must(n.NoVersion == 0, "%d answers came from no version", n.NoVersion)
	c.must(float64(n.Shed) <= maxShedPart*float64(n.Due), "%d of %d requests were shed, at most %v%% may be", n.Shed, n.Due, 100*maxShedPart)
	if len(story.Acts) == acts {
		c.must(len(n.Notes.Missing) == 0, "notes that did not come: %s", strings.Join(n.Notes.Missing, ", "))
	}
	c.must(len(n.Notes.Unexpected) == 0, "notes beyond the expected ones: %s", strings.Join(n.Notes.Unexpected, ", "))
	c.must(n.Notes.Duplicate == 0, "%d notes came twice", n.Notes.Duplicate)
	c.must(n.Notes.Verified == n.Notes.Sent, "%d of %d notes had no valid signature", n.Notes.Sent-n.Notes.Verified, n.Notes.Sent)
	return c.failed
}

type checks struct {
	still  time.Duration
	failed []string
}

func (c *checks) must(ok bool, format string, args ...any) {
	if !ok {
		c.failed = append(c.failed, fmt.Sprintf(format, args...))
	}
}

// within demands a number of at most limit; text takes the version and the number.
func (c *checks) within(d *time.Duration, limit time.Duration, text, version string) {
	limit += c.still
	switch {
	case d == nil:
		c.must(false, text, version, "n/a")
	case *d > limit:
		c.must(false, text+", at most %s is allowed", version, span(*d), span(limit))
	}
}

func (c *checks) release(r Release) {
	if r.Outcome == "" {
		return
	}
	c.within(r.FirstAcked, maxFirstAcked, "the push of %s was ACKed after %s", r.Version)
	for _, s := range r.Steps {
		c.must(s.Requests > 0, "%s at %d%%: no request was sent", r.Version, s.Weight)
		off := math.Abs(s.Share() - float64(s.Weight)/100)
		c.must(s.Requests == 0 || off <= band(s.Weight, s.Requests), "%s at %d%%: %.2f%% of %d requests, at most %.2f points off are allowed",
			r.Version, s.Weight, 100*s.Share(), s.Requests, 100*band(s.Weight, s.Requests))
	}
	c.must(r.StableErrors == 0, "%d requests failed in the release of %s that %s did not answer", r.StableErrors, r.Version, bad)
}

// band is how far a share may be from the weight: five standard deviations of the share of n requests; 0 at 100 %.
func band(weight, n int) float64 {
	if n == 0 {
		return 0
	}
	w := float64(weight) / 100
	return shareSigmas * math.Sqrt(w*(1-w)/float64(n))
}
