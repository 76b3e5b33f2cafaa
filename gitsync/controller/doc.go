// Package controller keeps the objects of Sources applied: it decides when to look at a remote, runs one pass (fetch,
// render, decode, plan, apply, prune) and writes the Source's status, once before the first apply of a new object and
// once with the result. It also receives webhooks, which only make the next look come sooner.
//
// What to apply and what to delete is decided by gitsync; how, by the packages that the Config injects. Trouble on
// the way leaves everything that is applied as it is. internal/app builds it:
//
//	c, err := controller.New(controller.Config{Client: client, Fetcher: repositories, ...})
//	err = c.SetupWithManager(manager)
//	http.Handle("/hooks/", c.Hooks())
package controller
