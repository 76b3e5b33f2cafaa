// Package watch draws a Rollout while it moves, as `sluice get rollout NAME --watch` shows it. Of makes a Frame of stored
// objects and of what was seen since the watch began; Text gives it as lines. Both are pure: what they are given decides,
// so that pictures are compared as text. Terminals, keys and clocks are the caller's.
//
//	seen = seen.With(ro)
//	fmt.Print(watch.Of(ro, src, seen, now).Text(watch.Style{Width: 120}))
package watch
