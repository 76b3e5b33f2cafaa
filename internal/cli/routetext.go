package cli

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/sim"
)

// printRouteText says the answer in a few lines: the request, what becomes of it, the policies, the problems.
func printRouteText(out io.Writer, req sim.Request, class ir.ProxyClass, a routeAnswer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s at %s\n", line(req), asked(class, req))
	fmt.Fprintf(&b, "%s\n", headline(a))
	writePlace(&b, a)
	if len(a.Destinations) > 0 {
		b.WriteString("\n")
		w := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
		for _, d := range a.Destinations {
			subset := d.Subset
			if subset == "" {
				subset = "(all)"
			}
			to := d.Cluster
			if d.Host != "" {
				to = fmt.Sprintf("%s:%d", d.Host, d.Port)
			}
			fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n", percent(d.Probability), subset, to, orNone(d.LB, "no such cluster"))
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	writePolicies(&b, a)
	writeProblems(&b, a.Problems)
	_, err := out.Write(b.Bytes())
	return err
}

// writePlace says who decided it.
func writePlace(b *bytes.Buffer, a routeAnswer) {
	switch {
	case a.VirtualHost != "" && a.Outcome != sim.NoRoute && a.Outcome != sim.TLSRequired:
		fmt.Fprintf(b, "  by route %q of virtual host %s, listener %s\n", a.RouteName, a.VirtualHost, a.Listener)
	case a.VirtualHost != "":
		fmt.Fprintf(b, "  by virtual host %s, listener %s\n", a.VirtualHost, a.Listener)
	case a.RouteName != "":
		fmt.Fprintf(b, "  by chain %q of listener %s\n", a.RouteName, a.Listener)
	case a.Listener != "":
		fmt.Fprintf(b, "  by listener %s\n", a.Listener)
	}
	if a.Body != "" {
		fmt.Fprintf(b, "  with the body %q\n", a.Body)
	}
}

// line is the request itself. The server name is said where it is not the host of the request.
func line(req sim.Request) string {
	text := fmt.Sprintf("%s http%s://%s%s", req.Method, map[bool]string{true: "s"}[req.TLS], req.Host, req.Path)
	if req.Raw {
		text = "a connection to " + req.Host
	}
	switch {
	case !req.TLS || !req.Raw && req.SNI == hostOf(req.Host):
		return text
	case req.SNI == "":
		return text + " by TLS without a server name"
	default:
		return text + " by TLS for " + req.SNI
	}
}

func asked(class ir.ProxyClass, req sim.Request) string {
	who := fmt.Sprintf("the %s of namespace %s", class.Kind, class.Namespace)
	if class.Labels != "" {
		who += " (" + class.Labels + ")"
	}
	return fmt.Sprintf("%s, port %d", who, req.Port)
}

func headline(a routeAnswer) string {
	switch a.Outcome {
	case sim.Routed:
		return "is forwarded"
	case sim.NoRoute:
		return "is answered 404: no route matches"
	case sim.NoListener:
		return "finds no listener: the connection fails"
	case sim.Redirected, sim.TLSRequired:
		return fmt.Sprintf("is redirected (%d) to %s", a.Status, a.Redirect.V.Location)
	case sim.DirectResponse:
		return fmt.Sprintf("is answered %d by the proxy itself", a.Status)
	case sim.NoHealthyUpstream:
		if a.VirtualHost == "" {
			return "is closed: no endpoint is ready"
		}
		return "is answered 503: no endpoint is ready"
	default:
		return string(a.Outcome)
	}
}

func percent(p float64) string {
	text := strings.TrimRight(fmt.Sprintf("%.3f", 100*p), "0")
	return fmt.Sprintf("%7s%%", strings.TrimSuffix(text, "."))
}

func orNone(s, none string) string {
	if s == "" {
		return none
	}
	return s
}

func writePolicies(b *bytes.Buffer, a routeAnswer) {
	if a.Outcome != sim.Routed && a.Outcome != sim.NoHealthyUpstream {
		return
	}
	b.WriteString("\n")
	timeout := a.Timeout
	if timeout == "0s" {
		timeout = "none"
	}
	fmt.Fprintf(b, "  timeout   %s\n", timeout)
	if r := a.Retries.V; r != nil {
		fmt.Fprintf(b, "  retries   %d on %s\n", r.Attempts, strings.ReplaceAll(r.RetryOn, ",", ", "))
	} else {
		b.WriteString("  retries   none\n")
	}
	if r := a.Rewrite.V; r != nil {
		fmt.Fprintf(b, "  rewrite   path %s%s\n", r.Path, map[bool]string{true: ", host " + r.Authority}[r.Authority != ""])
	}
	for _, m := range a.Mirrors {
		fmt.Fprintf(b, "  mirror    %s of it to %s\n", strings.TrimSpace(percent(m.Fraction)), m.Cluster)
	}
	writeFault(b, a.Fault.V)
	writeCors(b, a.Cors.V)
	for _, h := range a.Hash {
		fmt.Fprintf(b, "  hash      %s\n", hashed(h))
	}
	writeEdits(b, "request ", a.Headers.Request)
	writeEdits(b, "response", a.Headers.Response)
}

func writeFault(b *bytes.Buffer, f *sim.Fault) {
	if f == nil {
		return
	}
	const whole = 100
	if d := f.Delay.V; d != nil {
		fmt.Fprintf(b, "  fault     %s of it delayed by %s\n", strings.TrimSpace(percent(d.Percent/whole)), d.FixedDelay)
	}
	if a := f.Abort.V; a != nil {
		status := fmt.Sprint(a.HTTPStatus)
		if a.GRPCStatus != "" {
			status = "with gRPC status " + a.GRPCStatus
		}
		fmt.Fprintf(b, "  fault     %s of it answered %s by the proxy itself\n", strings.TrimSpace(percent(a.Percent/whole)), status)
	}
}

func writeCors(b *bytes.Buffer, c *sim.Cors) {
	if c == nil {
		return
	}
	var origins []string
	for _, o := range c.AllowOrigins {
		switch {
		case o.Prefix != "":
			origins = append(origins, o.Prefix+"*")
		case o.Regex != "":
			origins = append(origins, "/"+o.Regex+"/")
		default:
			origins = append(origins, o.Exact)
		}
	}
	fmt.Fprintf(b, "  cors      origins %s", orNone(strings.Join(origins, ", "), "none"))
	if len(c.AllowMethods) > 0 {
		fmt.Fprintf(b, "; methods %s", strings.Join(c.AllowMethods, ", "))
	}
	if c.AllowCredentials {
		b.WriteString("; with credentials")
	}
	b.WriteString("\n")
}

func hashed(h sim.Hash) string {
	switch {
	case h.Header != "":
		return "header " + h.Header
	case h.Cookie != "":
		return "cookie " + h.Cookie
	case h.QueryParameter != "":
		return "query parameter " + h.QueryParameter
	default:
		return "source IP"
	}
}

func writeEdits(b *bytes.Buffer, what string, e sim.Edits) {
	line := func(verb string, headers map[string]string) {
		names := make([]string, 0, len(headers))
		for n := range headers {
			names = append(names, n)
		}
		slices.Sort(names)
		for _, n := range names {
			fmt.Fprintf(b, "  %s  %s %s: %s\n", what, verb, n, headers[n])
		}
	}
	line("set", e.Set)
	line("add", e.Add)
	for _, n := range e.Remove {
		fmt.Fprintf(b, "  %s  remove %s\n", what, n)
	}
}

func writeProblems(b *bytes.Buffer, ps []problem.Problem) {
	if len(ps) == 0 {
		return
	}
	b.WriteString("\nproblems\n")
	for _, p := range ps {
		fmt.Fprintf(b, "  %s\n", p)
	}
}
