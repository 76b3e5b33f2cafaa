package image

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// program is where ko puts ours.
const program = "ko-app/sluice"

// TestImage_holdsOneProgramAndNothingElse builds the image as `make image` does.
func TestImage_holdsOneProgramAndNothingElse(t *testing.T) {
	at := startRegistry(t)
	push(t, at+"/base:nonroot", base(t))
	ref := build(t, at)
	img, err := remote.Image(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.User; got != "65532" {
		t.Errorf("user = %q, want 65532: the chart runs it as that", got)
	}
	if got := config.Config.Entrypoint; !slices.Equal(got, []string{"/" + program}) {
		t.Errorf("entrypoint = %v, want /%s", got, program)
	}
	files := contents(t, img)
	for file := range files {
		if b := path.Base(file); slices.Contains([]string{"sh", "bash", "busybox", "git", "kubectl", "envoy"}, b) {
			t.Errorf("the image holds %s", file)
		}
	}
	if len(files) != 3 { // ours, the certificates and the users of the base
		t.Errorf("files = %d, want 3", len(files))
	}
	checkProgram(t, files[program])
	checkBill(t, ref, img)
}

// startRegistry serves an empty registry; the result is its host and port.
func startRegistry(t *testing.T) string {
	t.Helper()
	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	return strings.TrimPrefix(srv.URL, "http://")
}

// base is what a static distroless image is: certificates and a user.
func base(t *testing.T) v1.Image {
	t.Helper()
	var text bytes.Buffer
	w := tar.NewWriter(&text)
	for file, body := range map[string]string{"etc/passwd": "nonroot:x:65532:65532::/:/\n", "etc/ssl/certs/ca-certificates.crt": "# none\n"} {
		if err := w.WriteHeader(&tar.Header{Name: file, Mode: 0o644, Size: int64(len(body))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil })
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Config.User = "linux", runtime.GOARCH, "65532"
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func push(t *testing.T, to string, img v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(to)
	if err == nil {
		err = remote.Write(ref, img, remote.WithContext(t.Context()))
	}
	if err != nil {
		t.Fatal(err)
	}
}

// build runs ko with the repository's own configuration.
func build(t *testing.T, registry string) name.Reference {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	ko := filepath.Join(root, ".cache", "bin", "ko")
	if _, err := os.Stat(ko); err != nil {
		t.Fatalf("no ko: %v\nnext: make .cache/bin/ko", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, ko, "build", "--bare", "--platform", "linux/"+runtime.GOARCH, "--tags", "test", "./cmd/sluice")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "VERSION=v9.9.9", "COMMIT=c07aa19f0012", "KO_DOCKER_REPO="+registry+"/sluice", "KO_DEFAULTBASEIMAGE="+registry+"/base:nonroot")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("ko: %v\n%s", err, &stderr)
	}
	ref, err := name.ParseReference(strings.TrimSpace(stdout.String()))
	if err != nil {
		t.Fatalf("%v in %q", err, &stdout)
	}
	return ref
}

// contents is every regular file of an image, by its path without a leading slash.
func contents(t *testing.T, img v1.Image) map[string][]byte {
	t.Helper()
	flat := mutate.Extract(img)
	defer func() { _ = flat.Close() }()
	files := map[string][]byte{}
	for r := tar.NewReader(flat); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(path.Clean(h.Name), "/")] = body
	}
}

// checkProgram runs it: a static one needs nothing of the image.
func checkProgram(t *testing.T, body []byte) {
	t.Helper()
	file, err := elf.NewFile(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", program, err)
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the program wants a dynamic linker, and the image has none")
		}
	}
	exe := filepath.Join(t.TempDir(), "sluice")
	if err := os.WriteFile(exe, body, 0o755); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), exe, "version").Output()
	if err != nil || !strings.Contains(string(out), "v9.9.9 (commit c07aa19, ") {
		t.Errorf("sluice version = %q, %v; want the version and the commit of the build", out, err)
	}
}

// checkBill reads the bill of materials that ko has put beside the image.
func checkBill(t *testing.T, ref name.Reference, img v1.Image) {
	t.Helper()
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	bill, err := remote.Image(ref.Context().Tag(strings.Replace(digest.String(), ":", "-", 1)+".sbom"), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	layers, err := bill.Layers()
	if err != nil || len(layers) == 0 {
		t.Fatalf("layers of the bill of materials: %v, %v", layers, err)
	}
	text, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Packages []struct{ Name string }
	}
	if err := json.NewDecoder(text).Decode(&document); err != nil {
		t.Fatal(err)
	}
	for _, p := range document.Packages {
		if strings.HasPrefix(p.Name, "k8s.io/client-go") {
			return
		}
	}
	t.Errorf("k8s.io/client-go is not in the bill of materials: %+v", document.Packages)
}
