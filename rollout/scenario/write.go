package scenario

import "fmt"

// write lets the next write, or the one after some others, go wrong.
func (c command) write() error {
	kind := c.arg()
	if kind != "conflict" && kind != "lost" && kind != "applied" && kind != "refused" {
		return fmt.Errorf("unknown fault %q", kind)
	}
	after, err := c.number("after", 0)
	if err != nil || after < 0 {
		return fmt.Errorf("after=%s is no number of writes", c.option("after", ""))
	}
	f := &c.world.fault
	f.write, f.after, f.dies = kind, after, c.option("crash", "") == "true"
	return nil
}
