// Package gogit reads commits of Git repositories over HTTP(S) and SSH: it lists refs, fetches one commit deep into a bare
// shallow repository that all Sources of a remote share, and gives the commit's tree as a file system.
//
// It runs no program and writes no worktree; nothing of a tree ever becomes a path of the host. Every answer of a
// server is bounded in bytes and time, packs are checked before they are indexed, redirects are refused, and each
// connection is made by the dial function that the caller injects. gitsync/controller is its consumer:
//
//	repositories, err := gogit.New(gogit.Config{Dir: dir, Dial: dial, Now: now})
//	tree, err := repositories.Fetch(ctx, gitsync.Ref{Remote: remote, Branch: "main"}, "")
package gogit
