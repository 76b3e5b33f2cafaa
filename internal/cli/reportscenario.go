package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/sluice-dev/sluice/api/problem"
)

// maxDecisions is the longest answer with decisions, in bytes.
const maxDecisions = 16 << 20

// decisions prints the last decisions on a Rollout, as the replica that leads tells them.
func (o *reportOptions) decisions(ctx context.Context, s Streams, name string) error {
	namespace, _, err := o.cluster.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("reading the kubeconfig: %w", err)}
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	where := url.URL{Scheme: "http", Host: o.leader, Path: "/decisions/" + url.PathEscape(namespace) + "/" + url.PathEscape(name)}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, where.String(), nil)
	if err != nil {
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("--leader %q: %w", o.leader, err), Next: "sluice report --help"}
	}
	leader := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: askWithin} // and without the proxies of the environment
	answer, err := leader.Do(req)
	if err != nil {
		var asked *url.Error
		if errors.As(err, &asked) {
			err = asked.Err
		}
		return &Exit{Code: ExitUnreachable, Err: fmt.Errorf("asking %s for decisions: %w", o.leader, err), Next: "name the replica that leads by --leader"}
	}
	defer answer.Body.Close() //nolint:errcheck // it was read
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxDecisions))
	if err != nil {
		return &Exit{Code: ExitUnreachable, Err: fmt.Errorf("reading the decisions of %s: %w", o.leader, err)}
	}
	switch answer.StatusCode {
	case http.StatusOK:
		_, err = s.Out.Write(text)
		return err
	case http.StatusNotFound:
		return &Exit{Code: ExitNotFound, Err: fmt.Errorf("%s knows no decision on Rollout %s/%s: another replica leads, or there is none", o.leader, namespace, name),
			Next: "kubectl get leases -A"}
	default:
		return &Exit{Code: ExitUsage, Err: fmt.Errorf("%s answers %s: %s", o.leader, answer.Status, problem.Clean(strings.TrimSpace(string(text)), maxWords))}
	}
}
