// Package forge knows how GitHub, GitLab and Gitea (Forgejo too) are told the state of a commit and asked to merge a branch.
//
// It makes requests and reads answers as values, and sends nothing: notify and gitsync/controller do, each through its own
// guard and with its own patience.
//
//	repo, err := forge.Of("https://github.com/shop/deploy.git", "", "")
//	request := repo.Status(token, forge.Status{Commit: id, Context: "sluice/shop/reviews", State: forge.Success})
//	answer := repo.Judge(code, header, body, forge.Success, now)
package forge
