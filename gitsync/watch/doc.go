// Package watch sees what becomes of the objects that Sources have applied: it follows the metadata of each kind that
// some Source has in its inventory, of the objects with our label only, and tells whose object changed.
//
// It never reads content and changes nothing. What a stamp stands for is decided here; gitsync/apply compares it with
// the one that its own write has left, and gitsync/controller repairs. Secrets are not followed: to list them would
// read them.
//
//	w, err := watch.New(config, mapper)
//	w.Subscribe(func(owner gitsync.Owner, id gitsync.ID) { ... })
//	w.Follow(owner, inventory)
//	err = w.Start(ctx)
package watch
