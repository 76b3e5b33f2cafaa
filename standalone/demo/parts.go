package demo

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"time"

	example "github.com/sluice-dev/sluice/examples/demo"
	"github.com/sluice-dev/sluice/internal/app"
	"github.com/sluice-dev/sluice/standalone/stack"
	"github.com/sluice-dev/sluice/test/gitserver"
	"github.com/sluice-dev/sluice/test/load"
	"github.com/sluice-dev/sluice/test/receiver"
	"github.com/sluice-dev/sluice/test/service"
)

const (
	endpoints  = 3
	repository = "reviews"
	gitUser    = "demo"
	askTimeout = 2 * time.Second
	scrape     = time.Second
	patience   = 30 * time.Second
)

// Settings are what Parts needs.
type Settings struct {
	Dir       *stack.Dir // of all state
	Envoy     string     // program
	Self      []string   // command that runs a version of the service, given the flags of the verb service
	Run       stack.Run  // the controllers
	Version   string     // of this program, which they tell
	Commit    string     // that it was built from; empty: not known
	RPS       float64
	Seed      uint64
	BadErrors float64 // share of v3's answers
	Journal   *Journal
	Now       func() time.Time
}

// Parts is the real World: every part of the demo, running.
type Parts struct {
	Settings

	stack    *stack.Stack
	api      *api
	forge    forge
	versions []*service.Process
	receiver *receiver.Receiver
	gateway  string // address of the proxy's listener
	secrets  secrets
	control  *control

	mu     sync.Mutex // guards what follows
	load   *load.Generator
	source bool // the Source exists
}

// forge is the Git server with the work tree that is pushed to it.
type forge struct {
	server *gitserver.Server
	work   *gitserver.WorkTree
	pushed chan gitserver.Push // answered and not yet taken note of
}

// secrets are made afresh for each demo.
type secrets struct {
	git  string // password
	hook string // shared by the Git server and Sluice
	note string // signs notes: whsec_ and base64
}

func newSecrets() secrets {
	key := base64.StdEncoding.EncodeToString([]byte(rand.Text()))
	return secrets{git: rand.Text(), hook: rand.Text(), note: "whsec_" + key}
}

// Start starts all parts; each is told to the journal. What has been started is ended by Stop, after an error too.
func (p *Parts) Start(ctx context.Context) error {
	p.secrets, p.forge.pushed = newSecrets(), make(chan gitserver.Push, 16)
	for _, part := range []struct {
		name  string
		start func(context.Context) error
	}{
		{"Git server", p.startGit},
		{"service v1, v2, v3", p.startVersions},
		{"webhook receiver", p.startReceiver},
		{"", p.startStack}, // tells its parts itself
		{"work tree", p.startAccess},
	} {
		begin := p.Now()
		if err := part.start(ctx); err != nil {
			return fmt.Errorf("starting the %s: %w", cmp.Or(part.name, "stack"), err)
		}
		if part.name != "" {
			p.tell(part.name, p.Now().Sub(begin))
		}
	}
	return nil
}

func (p *Parts) tell(part string, took time.Duration) {
	p.Journal.Add(Moment{Kind: KindPart, Text: part, Took: took})
}

func (p *Parts) startGit(ctx context.Context) (err error) {
	hooks := context.WithoutCancel(ctx) // a person can push as long as the demo stays
	p.forge.server, err = gitserver.Start(ctx, gitserver.Config{Root: p.Dir.Path("git-server"), Username: gitUser, Password: p.secrets.git,
		OnPush: func(push gitserver.Push) { p.onPush(hooks, push) }})
	if err != nil {
		return err
	}
	if err := p.forge.server.Create(ctx, repository); err != nil {
		return err
	}
	_, err = p.forge.server.Git(ctx, repository, "config", "uploadpack.allowFilter", "true") // as forges do: history alone can be fetched
	return err
}

// onPush tells Sluice that there is something new, as a forge does, and whoever waits for the push.
func (p *Parts) onPush(ctx context.Context, push gitserver.Push) {
	select {
	case p.forge.pushed <- push:
	default: // a person has pushed, with --stay: nobody waits
	}
	if !p.followed() {
		return // nobody to tell: the Source looks when it is made
	}
	if err := p.hint(ctx); err != nil {
		p.Journal.Add(Moment{Kind: KindFault, Text: "the webhook to Sluice: " + err.Error()})
	}
}

func (p *Parts) startVersions(ctx context.Context) error {
	for i, version := range []string{first, good, bad} {
		args := append(p.Self[1:len(p.Self):len(p.Self)], "--version", version, "--endpoints", strconv.Itoa(endpoints),
			"--seed", strconv.FormatUint(p.Seed+uint64(i), 10))
		if version == bad {
			args = append(args, "--errors", strconv.FormatFloat(p.BadErrors, 'g', -1, 64))
		}
		proc, err := service.Start(ctx, exec.CommandContext(context.WithoutCancel(ctx), p.Self[0], args...)) // Stop ends it
		if err != nil {
			return fmt.Errorf("version %s: %w", version, err)
		}
		p.versions = append(p.versions, proc)
	}
	return nil
}

func (p *Parts) startReceiver(ctx context.Context) (err error) {
	p.receiver, err = receiver.Start(ctx, receiver.Config{Secret: p.secrets.note, OnNote: func(n receiver.Note) {
		p.Journal.Add(Moment{At: n.At, Kind: KindNote, Note: n})
	}})
	return err
}

func (p *Parts) startStack(ctx context.Context) (err error) {
	p.stack, err = stack.Start(ctx, stack.Config{
		Name: "demo", Dir: p.Dir, Envoy: p.Envoy, Ephemeral: true, Scrape: scrape, Run: p.Run, Now: p.Now,
		App: app.Config{Observe: p.observe, Proxies: app.Proxies{Version: p.Version, Commit: p.Commit}}, Ready: p.tell,
	})
	if err != nil {
		return err
	}
	p.api, err = newAPI(p.stack.RESTConfig())
	return err
}

func (p *Parts) observe(e app.Event) {
	if e.Namespace == example.Namespace && e.Name == example.Rollout {
		p.Journal.Observe(e)
	}
}

func (p *Parts) startAccess(ctx context.Context) (err error) {
	if p.gateway, err = freeAddress(ctx); err != nil {
		return err
	}
	if err = p.stack.EnsureApplier(ctx, example.Namespace); err != nil {
		return err
	}
	if err = p.api.createSecrets(ctx, p.secrets); err != nil {
		return err
	}
	if p.forge.work, err = p.forge.server.Clone(ctx, repository, p.Dir.Path("work")); err != nil {
		return err
	}
	p.control, err = startControl(ctx, p.Dir.Path(socketName), p.switchFault)
	return err
}

// freeAddress gives a loopback address that nobody listens on.
func freeAddress(ctx context.Context) (string, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// Push implements World. The first push brings all files; with it the Source is made.
func (p *Parts) Push(ctx context.Context, c Change) (Push, error) {
	commit, err := p.commit(ctx, c)
	if err != nil {
		return Push{}, err
	}
	if err := p.forge.work.Push(ctx); err != nil {
		return Push{}, err
	}
	out := Push{Commit: commit, Subject: c.Subject}
	select {
	case answered := <-p.forge.pushed:
		out.At = answered.At
	case <-ctx.Done():
		return Push{}, ctx.Err()
	}
	if p.followed() {
		return out, nil
	}
	if err := p.api.createSource(ctx, p.forge.server.URL(repository)); err != nil {
		return out, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.source = true
	return out, nil
}

// followed reports whether the Source exists.
func (p *Parts) followed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.source
}

func (p *Parts) commit(ctx context.Context, c Change) (string, error) {
	if c.Revert != "" {
		return p.forge.work.Revert(ctx, c.Revert)
	}
	files := map[string]string{}
	if c.Readme != "" {
		files["README.md"] = c.Readme
	}
	if c.Subset != "" {
		values, err := p.values(c.Subset)
		if err != nil {
			return "", err
		}
		if files, err = example.Render(values); err != nil {
			return "", err
		}
	}
	return p.forge.work.CommitAll(ctx, c.Subject, files)
}

func (p *Parts) values(subset string) (example.Values, error) {
	v := example.Values{Subset: subset, Receiver: p.receiver.URL()}
	var err error
	if v.Gateway, err = portOf(p.gateway); err != nil {
		return v, err
	}
	for _, proc := range p.versions {
		version := example.Version{Name: proc.Version}
		for _, addr := range proc.Endpoints {
			port, err := portOf(addr)
			if err != nil {
				return v, err
			}
			version.Ports = append(version.Ports, port)
		}
		v.Versions = append(v.Versions, version)
	}
	return v, nil
}

func portOf(addr string) (int, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(port)
}

func (p *Parts) url() string { return "http://" + p.gateway + example.Request }

// Ask implements World: one request by way of Envoy.
func (p *Parts) Ask(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url(), nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers %s", p.url(), resp.Status)
	}
	return resp.Header.Get(load.VersionHeader), nil
}

// StartLoad implements World.
func (p *Parts) StartLoad(ctx context.Context) (Load, error) {
	g, err := load.Start(context.WithoutCancel(ctx), load.Config{URL: p.url(), RPS: p.RPS, Seed: p.Seed,
		Timeout: patience, MaxInFlight: int(p.RPS * patience.Seconds())}) // users are patient: late is not failed
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.load = g
	return g, nil
}

// Look implements World.
func (p *Parts) Look(ctx context.Context) (Look, error) { return p.api.look(ctx) }

// record gives what the load has recorded, nil before it began.
func (p *Parts) record() *load.Record {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.load == nil {
		return nil
	}
	return p.load.Record()
}

// Wait blocks until the context ends, which gives nil, or a part has ended by itself, which gives the reason.
func (p *Parts) Wait(ctx context.Context) error { return p.stack.Wait(ctx) }

// Stop ends all parts; those that depend on others first. It works on after the context's end.
func (p *Parts) Stop(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	if p.control != nil {
		errs = append(errs, p.control.Close())
	}
	p.mu.Lock()
	running := p.load
	p.mu.Unlock()
	if running != nil {
		running.Stop()
	}
	if p.forge.server != nil {
		errs = append(errs, p.forge.server.Close())
	}
	if p.stack != nil {
		errs = append(errs, p.stack.Stop(ctx))
	}
	for _, proc := range p.versions {
		errs = append(errs, proc.Stop())
	}
	if p.receiver != nil {
		errs = append(errs, p.receiver.Close())
	}
	return errors.Join(errs...)
}
