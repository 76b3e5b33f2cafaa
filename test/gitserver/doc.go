// Package gitserver serves bare Git repositories over smart HTTP on loopback: git's own http-backend behind a small
// handler that knows basic auth, tells who listens of each push, and breaks answers on demand. Beside it is WorkTree,
// the real git program under an empty configuration. Tests and the demo use it; gittest starts it in a test.
//
//	s, err := gitserver.Start(ctx, gitserver.Config{Root: dir, OnPush: wake})
//	err = s.Create(ctx, "app")
//	w, err := s.Clone(ctx, "app", workDir)
//	hash, err := w.CommitAll(ctx, "reviews: v2", map[string]string{"deploy/rollout.yaml": text})
//	err = w.Push(ctx)
package gitserver
