// Package apply brings planned objects into the cluster: it looks at what is there, tries a whole unit by dry run,
// applies stage by stage with server-side apply, and deletes what the plan has proven superfluous.
//
// It decides nothing: order, units and deletions come from gitsync. Every request is made as the service account that
// the Source names. Writes are conditional: on the version that was read, or on there being no object yet.
// gitsync/controller drives it:
//
//	appliers := apply.New(config, mapper, stamps)
//	applier, err := appliers.As("bookinfo", "sluice-applier")
//	outcome, err := applier.Apply(ctx, set)
package apply
