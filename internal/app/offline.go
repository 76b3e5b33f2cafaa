package app

import (
	"context"
	"fmt"
	"os"

	"github.com/sluice-dev/sluice/egress"
	"github.com/sluice-dev/sluice/gitsync"
	"github.com/sluice-dev/sluice/gitsync/decode"
	"github.com/sluice-dev/sluice/gitsync/gogit"
)

// Decoder checks what is rendered as the controller with this configuration does.
func (g Git) Decoder() (*decode.Decoder, error) {
	return decode.New(decode.Policy{Kinds: g.Kinds, CrossNamespace: g.CrossNamespace, Sound: sound})
}

// FetchOnce fetches a ref as the controller does, and hands its tree to use. What was fetched is gone afterwards. This
// machine may be the remote.
func (g Git) FetchOnce(ctx context.Context, ref gitsync.Ref, use func(gitsync.Tree) error) error {
	dir, err := os.MkdirTemp("", "sluice-git-")
	if err != nil {
		return fmt.Errorf("making the directory of the repository: %w", err)
	}
	defer os.RemoveAll(dir)
	guard := egress.New(egress.Policy{AllowLoopback: true})
	repositories, err := gogit.New(gogit.Config{Dir: dir, Dial: guard.DialContext, Vet: guard.Vet, Now: Now, Insecure: g.InsecureHosts, Limits: g.Fetch})
	if err != nil {
		return err
	}
	defer repositories.Close()
	tree, err := repositories.Fetch(ctx, ref, "")
	if err != nil {
		return err
	}
	defer tree.Close()
	return use(tree)
}
