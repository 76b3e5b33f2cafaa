package gitserver

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Environment is what git runs under here: no configuration of the machine or the user, no prompt, no proxy, and the
// author of every commit fixed. home stands for the home directory.
func Environment(home string) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + home,
		"LC_ALL=C",
		"GIT_CONFIG_GLOBAL=" + os.DevNull,
		"GIT_CONFIG_SYSTEM=" + os.DevNull,
		"GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0",
		"GIT_ASKPASS=true",
		"GIT_AUTHOR_NAME=Demo", "GIT_AUTHOR_EMAIL=demo@sluice.example",
		"GIT_COMMITTER_NAME=Demo", "GIT_COMMITTER_EMAIL=demo@sluice.example",
	}
}

// run runs git in dir and gives what it printed, without the last line end.
func run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = Environment(dir)
	// git talks HTTP by a child of its own, which has to go with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}

// WorkTree is a checkout that the real git program works in, on branch main with the remote origin.
type WorkTree struct {
	Dir string
}

// Git runs one git command in the work tree and gives what it printed on its standard output.
func (w *WorkTree) Git(ctx context.Context, args ...string) (string, error) {
	return run(ctx, w.Dir, args...)
}

// Write puts files, by slash-separated path, into the work tree; an empty text deletes the file.
func (w *WorkTree) Write(files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(w.Dir, filepath.FromSlash(name))
		if text == "" {
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("deleting %s: %w", name, err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}

// CommitAll writes the files, commits all that differs and gives the commit's hash.
func (w *WorkTree) CommitAll(ctx context.Context, message string, files map[string]string) (string, error) {
	if err := w.Write(files); err != nil {
		return "", err
	}
	if _, err := w.Git(ctx, "add", "--all"); err != nil {
		return "", err
	}
	if _, err := w.Git(ctx, "commit", "--quiet", "--message", message); err != nil {
		return "", err
	}
	return w.Head(ctx)
}

// Revert commits the opposite of a commit and gives the new commit's hash.
func (w *WorkTree) Revert(ctx context.Context, commit string) (string, error) {
	if _, err := w.Git(ctx, "revert", "--no-edit", commit); err != nil {
		return "", err
	}
	return w.Head(ctx)
}

// Head gives the hash of the commit that is checked out.
func (w *WorkTree) Head(ctx context.Context) (string, error) {
	return w.Git(ctx, "rev-parse", "HEAD")
}

// Push pushes what is checked out to main of origin. It returns when the server has answered.
func (w *WorkTree) Push(ctx context.Context) error {
	_, err := w.Git(ctx, "push", "--quiet", "origin", "HEAD:refs/heads/main")
	return err
}

// ForcePush pushes what is checked out to main of origin, whatever was there.
func (w *WorkTree) ForcePush(ctx context.Context) error {
	_, err := w.Git(ctx, "push", "--quiet", "--force", "origin", "HEAD:refs/heads/main")
	return err
}
