// Command provenance says where the files of a release come from, as an in-toto statement with a SLSA provenance: what was
// built, by its digests, from which commit, with which modules and which Go. It signs nothing: who publishes the files does.
//
//	provenance -o provenance.intoto.json bin/release/checksums.txt
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// source is where the repository is.
const source = "git+https://github.com/sluice-dev/sluice"

func main() {
	c := config{}
	flag.StringVar(&c.dir, "dir", ".", "root of the repository")
	flag.StringVar(&c.builder, "builder", "urn:sluice:builder:local", "URI of who runs the build; whoever trusts the statement trusts that")
	flag.StringVar(&c.only, "only", "", "what the build was narrowed to")
	out := flag.String("o", "-", "file to write; -: standard output")
	flag.Parse()
	if err := run(context.Background(), c, flag.Args(), *out); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// config is what is told besides the files.
type config struct{ dir, builder, only string }

// The parts of https://in-toto.io/Statement/v1 and https://slsa.dev/provenance/v1 that are known here.
type (
	statement struct {
		Type          string     `json:"_type"`
		Subject       []resource `json:"subject"`
		PredicateType string     `json:"predicateType"`
		Predicate     predicate  `json:"predicate"`
	}
	resource struct {
		Name   string            `json:"name,omitempty"`
		URI    string            `json:"uri,omitempty"`
		Digest map[string]string `json:"digest,omitempty"`
	}
	predicate struct {
		BuildDefinition definition `json:"buildDefinition"`
		RunDetails      details    `json:"runDetails"`
	}
	definition struct {
		BuildType            string            `json:"buildType"`
		ExternalParameters   map[string]string `json:"externalParameters"`
		InternalParameters   map[string]string `json:"internalParameters"`
		ResolvedDependencies []resource        `json:"resolvedDependencies"`
	}
	details struct {
		Builder struct {
			ID string `json:"id"`
		} `json:"builder"`
	}
)

func run(ctx context.Context, c config, args []string, out string) error {
	if len(args) != 1 {
		return errors.New("name the file of checksums\nnext: provenance -o provenance.intoto.json bin/release/checksums.txt")
	}
	s := statement{Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1"}
	var err error
	if s.Subject, err = subjects(args[0]); err != nil {
		return err
	}
	if s.Predicate.BuildDefinition, err = c.definition(ctx); err != nil {
		return err
	}
	s.Predicate.RunDetails.Builder.ID = c.builder
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if out == "-" {
		_, err = os.Stdout.Write(text)
		return err
	}
	return os.WriteFile(out, text, 0o644)
}

// subjects are the files of a list of checksums. Each is read: a list that says otherwise is not repeated.
func subjects(path string) ([]resource, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []resource
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) != 2 {
			return nil, fmt.Errorf("%s: %q is not a digest and a name", path, line)
		}
		sum, err := digest(filepath.Join(filepath.Dir(path), words[1]))
		if err != nil {
			return nil, err
		}
		if sum != words[0] {
			return nil, fmt.Errorf("%s says that %s is %s, and it is %s", path, words[1], words[0], sum)
		}
		out = append(out, resource{Name: words[1], Digest: map[string]string{"sha256": sum}})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s names no file", path)
	}
	return out, nil
}

// definition says what the files are made from. A work tree that differs from its commit is no commit, and is told as such.
func (c config) definition(ctx context.Context) (definition, error) {
	d := definition{BuildType: "https://github.com/sluice-dev/sluice/blob/main/Makefile", ExternalParameters: map[string]string{"target": "release"}, InternalParameters: map[string]string{"platform": runtime.GOOS + "/" + runtime.GOARCH}}
	if c.only != "" {
		d.ExternalParameters["only"] = c.only
	}
	commit, err := c.git(ctx, "rev-parse", "HEAD")
	if err != nil {
		return d, err
	}
	changed, err := c.git(ctx, "status", "--porcelain", "--untracked-files=no")
	if err != nil {
		return d, err
	}
	tree := resource{URI: source, Digest: map[string]string{"gitCommit": commit}}
	if changed != "" {
		tree.Digest, d.InternalParameters["changedSince"] = nil, commit
	}
	d.ResolvedDependencies = append(d.ResolvedDependencies, tree)
	for _, name := range []string{"go.sum", "standalone/go.sum"} {
		sum, err := digest(filepath.Join(c.dir, name))
		if err != nil {
			return d, err
		}
		d.ResolvedDependencies = append(d.ResolvedDependencies, resource{Name: name, Digest: map[string]string{"sha256": sum}})
	}
	d.ResolvedDependencies = append(d.ResolvedDependencies, resource{Name: "go", URI: "pkg:golang/std@" + strings.TrimPrefix(runtime.Version(), "go")})
	return d, nil
}

func (c config) git(ctx context.Context, args ...string) (string, error) {
	var errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "git", append([]string{"-C", c.dir}, args...)...)
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(string(out)), nil
}

func digest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
