package controller

import (
	"encoding/json"
	"sync"

	"github.com/sluice-dev/sluice/analysis"
)

// checks remembers what became of sources: each pass asks, and to parse queries and compile rules costs more than the pass.
type checks struct {
	check func(analysis.Source) error

	mu  sync.Mutex // guards all
	all map[string]error
}

// maxChecks is how many sources are remembered.
const maxChecks = 10_000

// of says why a source would not be taken; nil: it would.
func (c *checks) of(s analysis.Source) error {
	text, err := json.Marshal(s)
	if err != nil { // it has texts only
		return c.check(s)
	}
	key := string(text)
	c.mu.Lock()
	found, known := c.all[key]
	c.mu.Unlock()
	if known {
		return found
	}
	found = c.check(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) >= maxChecks {
		c.all = map[string]error{}
	}
	c.all[key] = found
	return found
}
