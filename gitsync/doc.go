// Package gitsync decides what a commit means for the cluster: which objects belong together, which content
// digest a Rollout has, in which order objects are applied, and what may be deleted.
//
// It is pure: it fetches nothing, renders nothing and applies nothing. Fetcher, Renderer and Applier are the
// seams that gitsync/gogit, gitsync/render and gitsync/apply implement and gitsync/controller drives:
//
//	tree, err := fetcher.Fetch(ctx, ref, have)
//	build, err := renderer.Render(ctx, tree, options)
//	set := gitsync.Plan(gitsync.Input{Want: build.Objects, Have: inventory})
//	outcome, err := applier.Apply(ctx, set)
//	prune := gitsync.Prune(gitsync.Proof{...})
//
// Two rules stand above all: trouble with Git never removes anything, and the objects of one Rollout are
// applied together or not at all.
package gitsync
