package up

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sluice-dev/sluice/api/crd"
	"github.com/sluice-dev/sluice/internal/cli"
	"github.com/sluice-dev/sluice/standalone/server"
)

// startServer starts etcd and the API server with every CRD there is.
func startServer(ctx context.Context, env Env, st *state, port int) (*server.Server, error) {
	defs, err := crd.All()
	if err != nil {
		return nil, err
	}
	return server.Start(ctx, server.Config{Dir: st.dir, Port: port, CRDs: defs, Now: env.Now})
}

// runOnly runs the API server alone until the context ends.
func runOnly(ctx context.Context, s cli.Streams, env Env, st *state, o options) error {
	srv, err := startServer(ctx, env, st, 0)
	if err != nil {
		return err
	}
	self, err := identify(os.Getpid())
	if err != nil {
		return errors.Join(err, srv.Stop())
	}
	d := Document{
		Name: o.name, PID: self.PID, Started: self.Started, State: st.dir,
		Kubeconfig: srv.Kubeconfig(), APIServer: srv.RESTConfig().Host,
	}
	if err := errors.Join(writeJSON(st.path(documentFile), d), d.print(s, o.output)); err != nil {
		return errors.Join(err, srv.Stop())
	}
	select {
	case <-ctx.Done():
		err = nil
	case <-srv.Done():
		err = fmt.Errorf("the API server ended by itself")
	}
	return errors.Join(err, srv.Stop())
}
