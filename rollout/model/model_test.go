package model_test

import (
	"flag"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/rollout"
	"github.com/sluice-dev/sluice/rollout/model"
)

var deep = flag.Bool("deep", false, "search the large spaces, which takes minutes and gigabytes")

// space is searched whole.
type space struct {
	name   string
	bounds model.Bounds
	deep   bool
}

func spaces() []space {
	return []space{
		{"people", model.Bounds{Replicas: 1, Proxies: 1, Actions: 1, Verbs: rollout.Verbs()}, false},
		{"people who are late", model.Bounds{Replicas: 1, Proxies: 1, Actions: 1, Late: true, Verbs: rollout.Verbs()}, false},
		{"a commit and a rejection", model.Bounds{Replicas: 1, Proxies: 1, Commits: 1, Rejects: 1}, false},
		{"a commit and a crash", model.Bounds{Replicas: 1, Proxies: 1, Commits: 1, Crashes: 1}, false},
		{"an outage, and stable empty", model.Bounds{Replicas: 1, Proxies: 1, Outages: 1, Empties: 1}, false},
		{"two replicas and a takeover", model.Bounds{Replicas: 2, Proxies: 1, Takeovers: 1}, false},
		{"two replicas and an outage", model.Bounds{Replicas: 2, Proxies: 1, Outages: 1}, false},
		{"paused in Git", model.Bounds{Replicas: 1, Proxies: 1, Commits: 1, Rejects: 1, Paused: true}, false},
		{"two proxies that move", model.Bounds{Replicas: 2, Proxies: 2, Takeovers: 1}, true},
		{"people, a commit and a rejection", model.Bounds{Replicas: 1, Proxies: 1, Commits: 1, Actions: 1, Rejects: 1, Verbs: rollout.Verbs()}, true},
		{"people and a crash", model.Bounds{Replicas: 1, Proxies: 1, Actions: 1, Crashes: 1, Verbs: rollout.Verbs()}, true},
		{"a commit, an outage, and stable empty", model.Bounds{Replicas: 1, Proxies: 1, Commits: 1, Outages: 1, Empties: 1}, true},
		{"two replicas, a takeover and a commit", model.Bounds{Replicas: 2, Proxies: 1, Commits: 1, Takeovers: 1}, true},
		{"two replicas, a takeover and an outage", model.Bounds{Replicas: 2, Proxies: 1, Takeovers: 1, Outages: 1}, true},
		{"two replicas and two proxies, a takeover and a rejection", model.Bounds{Replicas: 2, Proxies: 2, Takeovers: 1, Rejects: 1}, true},
	}
}

// In each space, whatever happens in whatever order, no write breaks a rule, and where nothing more fails it comes to rest.
func TestSearch_findsNoBehaviourThatBreaksARule(t *testing.T) {
	for _, s := range spaces() {
		if s.deep && !*deep {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r := model.Search(s.bounds, model.Mutant{})
			t.Logf("%d states, %d moves, depth %d in %v", r.States, r.Edges, r.Depth, time.Since(began).Round(time.Millisecond))
			if r.Violation != nil {
				t.Fatalf("%s\n%s", r.Violation.Text, strings.Join(r.Violation.Moves, "\n"))
			}
			if !r.Complete {
				t.Error("the space was not searched whole")
			}
		})
	}
}
