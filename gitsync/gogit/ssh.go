package gogit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/gitsync"
)

const (
	sshTimeout  = 10 * time.Second // to connect, and again to shake hands
	stderrBytes = 4 << 10
)

// shell speaks with git-upload-pack at the other end of SSH. It reads no configuration, agent or environment of the
// machine. One connection serves all questions of a fetch and ends with it.
type shell struct {
	origin  string // scheme and host, for people
	address string
	user    string
	command string
	signer  ssh.Signer
	hosts   knownHosts
	dial    Dial
	now     func() time.Time
	limit   int64 // bytes of an advertisement that nobody asked for

	mu   sync.Mutex
	open *ssh.Client // guarded by mu; nil between fetches
}

func newShell(remote gitsync.Remote, dial Dial, cfg Config) (*shell, error) {
	u, err := url.Parse(remote.URL)
	if err != nil {
		return nil, gitsync.Fail(gitsync.AddressRefused, errors.New("the URL cannot be parsed"))
	}
	s := &shell{origin: u.Scheme + "://" + u.Host, user: "git", dial: dial, now: cfg.Now, limit: 4 * cfg.Limits.ListBytes}
	if name := u.User.Username(); name != "" {
		s.user = name
	}
	port := u.Port()
	if port == "" {
		port = "22"
	}
	s.address = net.JoinHostPort(u.Hostname(), port)
	path := u.Path
	if strings.HasPrefix(path, "/~") {
		path = path[1:] // the home of an account
	}
	s.command = "git-upload-pack '" + path + "'" // CheckRemote lets no quote through
	if s.signer, err = readIdentity(remote.Secret); err != nil {
		return nil, err
	}
	s.hosts, err = readKnownHosts(remote.Secret.KnownHosts, s.address)
	return s, err
}

// advertise implements transport.
func (s *shell) advertise(ctx context.Context) (io.ReadCloser, error) {
	return s.run(ctx, true, nil)
}

// ask implements transport. The server speaks first over SSH, so its advertisement is read and dropped.
func (s *shell) ask(ctx context.Context, body []byte, version2 bool) (io.ReadCloser, error) {
	return s.run(ctx, version2, body)
}

// run starts git-upload-pack. With a request it skips what the server says before, sends it and gives the answer.
func (s *shell) run(ctx context.Context, version2 bool, request []byte) (io.ReadCloser, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return nil, err
	}
	e := &exchange{end: s.hangUp}
	e.stop = context.AfterFunc(ctx, s.hangUp)
	if err := e.start(client, s.command, version2); err != nil {
		e.Close()
		return nil, s.explain(ctx, err)
	}
	body := newPatient(e, s.hangUp)
	if request == nil {
		return body, nil
	}
	err = skipAdvertisement(&bounded{from: body, left: s.limit, what: "listing"})
	if err == nil {
		_, err = e.stdin.Write(request)
	}
	if err == nil {
		err = e.stdin.Close()
	}
	if err != nil {
		body.Close()
		return nil, s.explain(ctx, fmt.Errorf("asking: %w", err))
	}
	return body, nil
}

// skipAdvertisement reads packets up to the flush without reading further.
func skipAdvertisement(in io.Reader) error {
	for {
		_, kind, err := readPacket(in)
		if err != nil || kind == flush {
			return err
		}
	}
}

// connect gives the connection of this fetch.
func (s *shell) connect(ctx context.Context) (*ssh.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		return s.open, nil
	}
	dialing, cancel := context.WithTimeout(ctx, sshTimeout)
	defer cancel()
	raw, err := s.dial(dialing, "tcp", s.address)
	if err != nil {
		return nil, s.explain(dialing, err)
	}
	shaking, done := context.WithTimeout(ctx, sshTimeout)
	defer done()
	stop := context.AfterFunc(shaking, func() { raw.Close() })
	defer stop()
	s.open, err = s.shake(raw)
	if err == nil {
		return s.open, nil
	}
	raw.Close()
	if shaking.Err() != nil {
		err = shaking.Err()
	}
	return nil, s.explain(shaking, err)
}

// shake does the handshake: the host proves itself, then we do.
func (s *shell) shake(raw net.Conn) (*ssh.Client, error) {
	var refused error
	proven := false
	conn, channels, requests, err := ssh.NewClientConn(raw, s.address, &ssh.ClientConfig{
		User: s.user, Auth: []ssh.AuthMethod{ssh.PublicKeys(s.signer)}, ClientVersion: "SSH-2.0-sluice", HostKeyAlgorithms: s.hosts.algorithms(),
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			refused = s.hosts.check(s.address, key, s.now)
			proven = refused == nil
			return refused
		},
	})
	mismatch, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	switch {
	case err == nil:
		return ssh.NewClient(conn, channels, requests), nil
	case refused != nil:
		return nil, refused
	case ok && mismatch.What == "host key":
		return nil, s.hosts.refuse(gitsync.HostKeyMismatch, "has no host key of the types that known_hosts lists", "ask the host's owner whether the keys were changed; if not, somebody stands between")
	case proven && !errors.Is(err, net.ErrClosed):
		return nil, gitsync.Fail(gitsync.AuthFailed, fmt.Errorf("%s does not take key %s for user %s: check the Secret and the rights of the account",
			s.origin, ssh.FingerprintSHA256(s.signer.PublicKey()), s.user))
	}
	return nil, fmt.Errorf("handshake: %w", err)
}

// explain implements transport.
func (s *shell) explain(ctx context.Context, err error) error {
	return explainNetwork(ctx, s.origin, err)
}

// spoken implements transport.
func (s *shell) spoken() []string { return nil }

// rest implements transport.
func (s *shell) rest() { s.hangUp() }

// hangUp implements transport.
func (s *shell) hangUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open != nil {
		_ = s.open.Close()
		s.open = nil
	}
}

// exchange is one run of the command. Reading it gives what the command prints; a command that fails is an error.
type exchange struct {
	session *ssh.Session
	stdin   io.WriteCloser
	stdout  io.Reader
	stderr  beginning
	end     func()      // breaks the connection
	stop    func() bool // watching the context
}

func (e *exchange) start(client *ssh.Client, command string, version2 bool) (err error) {
	if e.session, err = client.NewSession(); err != nil {
		return fmt.Errorf("opening a session: %w", err)
	}
	if e.stdin, err = e.session.StdinPipe(); err != nil {
		return err
	}
	if e.stdout, err = e.session.StdoutPipe(); err != nil {
		return err
	}
	e.session.Stderr = &e.stderr
	if version2 { // without waiting: a server that refuses speaks version 0
		env := ssh.Marshal(struct{ Name, Value string }{"GIT_PROTOCOL", "version=2"})
		if _, err := e.session.SendRequest("env", false, env); err != nil {
			return fmt.Errorf("choosing a protocol: %w", err)
		}
	}
	if err := e.session.Start(command); err != nil {
		return fmt.Errorf("starting git-upload-pack: %w", err)
	}
	return nil
}

// Read implements io.Reader.
func (e *exchange) Read(b []byte) (int, error) {
	n, err := e.stdout.Read(b)
	if !errors.Is(err, io.EOF) {
		return n, err
	}
	wait := e.session.Wait()
	if exit, ok := errors.AsType[*ssh.ExitError](wait); ok {
		return n, fmt.Errorf("git-upload-pack ended with status %d: %q", exit.ExitStatus(), clean(string(e.stderr.b)))
	}
	if wait != nil {
		return n, errors.New("the connection broke")
	}
	return n, io.EOF
}

// Close implements io.Closer.
func (e *exchange) Close() error {
	e.stop()
	if e.session == nil {
		return nil
	}
	return e.session.Close()
}

// beginning keeps the first bytes that are written to it.
type beginning struct{ b []byte }

// Write implements io.Writer.
func (h *beginning) Write(b []byte) (int, error) {
	if room := stderrBytes - len(h.b); room > 0 {
		h.b = append(h.b, b[:min(room, len(b))]...)
	}
	return len(b), nil
}
