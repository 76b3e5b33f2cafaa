package gitssh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/test/poll"
)

// Config says who may fetch by SSH, and how the server proves itself.
type Config struct {
	Dir         string           // for sshd's files; exists
	HostKeys    [][]byte         // private keys in PEM
	Certificate *ssh.Certificate // of the first host key; nil: none
	Authorized  []ssh.PublicKey  // of users
	RefuseEnv   bool             // GIT_PROTOCOL does not reach git, which then speaks version 0
}

// Server is a running SSH server that lets git-upload-pack be run on this machine's directories.
type Server struct {
	Addr string // host and port
	User string // to log in as
	stop func()
}

// URL is the address of a bare repository in dir.
func (s *Server) URL(dir string) string { return "ssh://" + s.User + "@" + s.Addr + dir }

// Close stops the server and what it runs.
func (s *Server) Close() { s.stop() }

// Find finds OpenSSH's server. Its absence is an error that says what to install.
func Find() (string, error) {
	for _, name := range []string{"sshd", "/usr/sbin/sshd", "/usr/local/sbin/sshd"} {
		if path, err := exec.LookPath(name); err == nil {
			return filepath.Abs(path)
		}
	}
	return "", errors.New("no sshd on PATH; next: make sshd, or install the package openssh-server")
}

// StartSSHD runs OpenSSH's own server on loopback, under a configuration of its own, until Close.
func StartSSHD(ctx context.Context, cfg Config) (*Server, error) {
	program, err := Find()
	if err != nil {
		return nil, err
	}
	me, err := user.Current()
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	var last error
	for range 3 { // another process may take the port first
		s, err := runSSHD(ctx, program, me.Username, cfg)
		if err == nil {
			return s, nil
		}
		last = err
	}
	return nil, last
}

func runSSHD(ctx context.Context, program, name string, cfg Config) (*Server, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	file, err := writeConfig(addr, cfg)
	if err != nil {
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	running, kill := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(running, program, "-D", "-e", "-f", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	log := &strings.Builder{}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		kill()
		return nil, fmt.Errorf("starting sshd: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s := &Server{Addr: addr, User: name, stop: func() { kill(); <-ended }}
	err = poll.Until(10*time.Second, func() error {
		select {
		case <-ended:
			return nil
		default:
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	})
	select {
	case <-ended:
		err = fmt.Errorf("sshd ended: %s", strings.TrimSpace(log.String()))
	default:
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// writeConfig writes sshd's configuration and keys.
func writeConfig(addr string, cfg Config) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", err
	}
	at := func(name string) string { return filepath.Join(cfg.Dir, name) }
	lines := []string{"ListenAddress " + host, "Port " + port, "AuthorizedKeysFile " + at("authorized_keys"), "UsePAM no", "StrictModes no",
		"PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password", "PermitUserRC no", "PidFile none", "LogLevel ERROR"}
	if !cfg.RefuseEnv {
		lines = append(lines, "AcceptEnv GIT_PROTOCOL")
	}
	files := map[string][]byte{}
	for i, key := range cfg.HostKeys {
		name := fmt.Sprintf("host%d", i)
		files[name] = key
		lines = append(lines, "HostKey "+at(name))
	}
	if cfg.Certificate != nil {
		files["host0-cert.pub"] = ssh.MarshalAuthorizedKey(cfg.Certificate)
		lines = append(lines, "HostCertificate "+at("host0-cert.pub"))
	}
	for _, key := range cfg.Authorized {
		files["authorized_keys"] = append(files["authorized_keys"], ssh.MarshalAuthorizedKey(key)...)
	}
	files["sshd_config"] = []byte(strings.Join(lines, "\n") + "\n")
	for name, content := range files {
		if err := os.WriteFile(at(name), content, 0o600); err != nil {
			return "", err
		}
	}
	return at("sshd_config"), nil
}

// waits closes connections and waits for those who serve them.
type waits struct {
	mu    sync.Mutex
	conns map[net.Conn]bool // guarded by mu; nil once closed
	group sync.WaitGroup
}

func (w *waits) add(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		return false
	}
	w.conns[c] = true
	return true
}

func (w *waits) close() {
	w.mu.Lock()
	for c := range w.conns {
		c.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.group.Wait()
}
