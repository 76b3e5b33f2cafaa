package gitssh

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sluice-dev/sluice/test/gitserver"
)

// Start serves git-upload-pack by a small SSH server in this process, for machines that have no sshd.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	server, err := serverConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("starting an SSH server: %w", err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting an SSH server: %w", err)
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	w := &waits{conns: map[net.Conn]bool{}}
	w.group.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			if !w.add(conn) {
				conn.Close()
				return
			}
			w.group.Go(func() { serveSSH(running, conn, server, cfg) })
		}
	})
	return &Server{Addr: l.Addr().String(), User: "git", stop: func() { cancel(); l.Close(); w.close() }}, nil
}

func serverConfig(cfg Config) (*ssh.ServerConfig, error) {
	server := &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if slices.ContainsFunc(cfg.Authorized, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), key.Marshal()) }) {
			return nil, nil
		}
		return nil, errors.New("unknown key")
	}}
	for i, text := range cfg.HostKeys {
		key, err := ssh.ParsePrivateKey(text)
		if err != nil {
			return nil, err
		}
		server.AddHostKey(key)
		if i == 0 && cfg.Certificate != nil {
			certified, err := ssh.NewCertSigner(cfg.Certificate, key)
			if err != nil {
				return nil, err
			}
			server.AddHostKey(certified)
		}
	}
	return server, nil
}

func serveSSH(ctx context.Context, raw net.Conn, server *ssh.ServerConfig, cfg Config) {
	defer raw.Close()
	conn, channels, requests, err := ssh.NewServerConn(raw, server)
	if err != nil {
		return // who may not come in is told so
	}
	defer conn.Close()
	w := &waits{}
	defer w.group.Wait()
	w.group.Go(func() { ssh.DiscardRequests(requests) })
	for asked := range channels {
		if asked.ChannelType() != "session" {
			_ = asked.Reject(ssh.UnknownChannelType, "only sessions")
			continue
		}
		channel, requests, err := asked.Accept()
		if err != nil {
			return
		}
		w.group.Go(func() { serveSession(ctx, channel, requests, cfg) })
	}
}

func serveSession(ctx context.Context, channel ssh.Channel, requests <-chan *ssh.Request, cfg Config) {
	defer channel.Close()
	env := gitserver.Environment(cfg.Dir)
	for r := range requests {
		switch r.Type {
		case "env":
			var pair struct{ Name, Value string }
			ok := ssh.Unmarshal(r.Payload, &pair) == nil && pair.Name == "GIT_PROTOCOL" && !cfg.RefuseEnv
			if ok {
				env = append(env, pair.Name+"="+pair.Value)
			}
			_ = r.Reply(ok, nil)
		case "exec":
			var command struct{ Line string }
			ok := ssh.Unmarshal(r.Payload, &command) == nil
			program, path, _ := strings.Cut(strings.TrimSuffix(command.Line, "'"), " '")
			ok = ok && (program == "git-upload-pack" || program == "git-receive-pack")
			_ = r.Reply(ok, nil)
			if ok {
				status := serve(channel, exec.CommandContext(ctx, program, path), env)
				_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{status}))
			}
			return
		default:
			_ = r.Reply(false, nil)
		}
	}
}

// serve runs git and gives how it ended.
func serve(channel ssh.Channel, cmd *exec.Cmd, env []string) uint32 {
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
	cmd.WaitDelay = time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return 1
	}
	if err := cmd.Start(); err != nil {
		return 127
	}
	go func() { // ends with the channel
		_, _ = io.Copy(stdin, channel)
		stdin.Close()
	}()
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return uint32(max(exit.ExitCode(), 1))
	}
	return 0
}
