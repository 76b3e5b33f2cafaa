// Package kube gives component tests the real API server: the full build's `up --only apiserver` as a child process
// with a state directory of its own, and every CRD installed. There is no fake client anywhere.
//
//	func TestMain(m *testing.M) { kube.Main(m) } // one server for all tests of the package
//
//	func TestX(t *testing.T) {
//		cfg := kube.Start(t)
//		ns := kube.Namespace(t, cfg)
//		...
//		kube.Eventually(t, 5*time.Second, func() error { ... })
//	}
//
// The program is SLUICE_FULL, else bin/full/sluice of the repository. SLUICE_TEST_KUBECONFIG names a server that runs
// already, to be used instead.
package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/sluice-dev/sluice/test/child"
	"github.com/sluice-dev/sluice/test/poll"
)

const (
	envKubeconfig = "SLUICE_TEST_KUBECONFIG"
	envProgram    = "SLUICE_FULL"

	startTimeout = 60 * time.Second // of a cold page cache on a busy machine; two seconds otherwise
	stopGrace    = 60 * time.Second
)

// Main is the TestMain of a package whose tests call Start: they all get one server, which ends with them.
func Main(m *testing.M) {
	if os.Getenv(envKubeconfig) != "" {
		os.Exit(m.Run())
	}
	s, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := 1
	if err = os.Setenv(envKubeconfig, s.kubeconfig()); err == nil {
		code = m.Run()
	}
	if err := errors.Join(err, s.stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Alone is Start of a server that is the test's own, for tests that change what all share, such as the CRDs.
func Alone(t testing.TB) *rest.Config {
	t.Helper()
	s, err := run()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	return config(t, s.kubeconfig())
}

// Start gives a client configuration with all rights: for the server of Main or of SLUICE_TEST_KUBECONFIG, else for
// one that is started for this test alone. Requests are not held back at the client.
func Start(t testing.TB) *rest.Config {
	t.Helper()
	path := os.Getenv(envKubeconfig)
	if path == "" {
		return Alone(t)
	}
	return config(t, path)
}

func config(t testing.TB, path string) *rest.Config {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	return cfg
}

// server is the child process.
type server struct {
	dir     string
	process *child.Process
}

func (s *server) kubeconfig() string { return filepath.Join(s.dir, "kubeconfig") }

// Program gives the full build of sluice: SLUICE_FULL, else bin/full/sluice of the repository. Without one the error
// says what to do.
func Program() (string, error) {
	path := os.Getenv(envProgram)
	if path == "" {
		root, err := child.Repository()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "full", "sluice")
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the component tests need the full build: %w\nnext: make build", err)
	}
	return path, nil
}

func run() (*server, error) {
	path, err := Program()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "sluice-kube-")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir}
	if err := s.start(path); err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

func (s *server) start(path string) error {
	name := filepath.Join(s.dir, "output")
	output, err := os.Create(name)
	if err != nil {
		return err
	}
	defer output.Close()
	cmd := exec.Command(path, "up", "--only", "apiserver", "--state", s.dir)
	cmd.Stdout, cmd.Stderr = output, output
	written := filepath.Join(s.dir, "up.json") // anew by each process, when all is there
	before, _ := os.ReadFile(written)
	if s.process, err = child.Start(cmd); err != nil {
		return err
	}
	err = s.process.Await(startTimeout, func() error {
		now, err := os.ReadFile(written)
		if err == nil && bytes.Equal(now, before) {
			err = errors.New("it does not say that it is ready")
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("starting the API server: %w\n%s", err, child.Tail(name, 4<<10))
	}
	return nil
}

func (s *server) stop() error {
	var err error
	if s.process != nil && s.process.Ended() == nil {
		err = s.process.Stop(stopGrace)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// Namespace makes a new namespace, named after the test. It stays: without a controller manager none is ever removed.
func Namespace(t testing.TB, cfg *rest.Config) string {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	name = strings.Trim(name[:min(len(name), 40)], "-")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"}}
	made, err := client.CoreV1().Namespaces().Create(ctx, ns, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("making a namespace: %v", err)
	}
	return made.Name
}

// Eventually calls cond until it gives nil; the test fails with cond's last error when that takes longer than timeout.
func Eventually(t testing.TB, timeout time.Duration, cond func() error) {
	t.Helper()
	if err := poll.Until(timeout, cond); err != nil {
		t.Fatal(err)
	}
}
