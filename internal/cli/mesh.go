package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/ir"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry/kube"
)

// meshFiles is what the files given to `sluice route` hold.
type meshFiles struct {
	objects  []istio.Object
	services []*corev1.Service
	slices   []*discoveryv1.EndpointSlice
	pods     map[string]map[string]string // labels by namespace/name
	rollouts map[string]*v1alpha1.Rollout // by namespace/name
	places   map[string]string            // file of each object, by "Kind/namespace/name"
	problems []problem.Problem
}

func newMeshFiles() *meshFiles {
	return &meshFiles{pods: map[string]map[string]string{}, rollouts: map[string]*v1alpha1.Rollout{}, places: map[string]string{}}
}

// read adds a file, all YAML and JSON files below a directory in path order, or in for "-".
func (m *meshFiles) read(path string, in io.Reader) error {
	if path == "-" {
		return m.readDocuments("standard input", in)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	paths := []string{path}
	if info.IsDir() {
		if paths, err = manifests(path); err != nil {
			return fmt.Errorf("listing %s: %w", path, err)
		}
	}
	for _, p := range paths {
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		err = errors.Join(m.readDocuments(p, f), f.Close())
		if err != nil {
			return err
		}
	}
	return nil
}

func manifests(root string) ([]string, error) {
	var out []string
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(path)) {
			out = append(out, path)
		}
		return err
	})
	slices.Sort(out)
	return out, err
}

func (m *meshFiles) readDocuments(name string, in io.Reader) error {
	docs := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for n := 1; ; n++ {
		doc, err := docs.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", name, err)
		}
		if err := m.readDocument(name, doc); err != nil {
			return fmt.Errorf("reading %s, document %d: %w", name, n, err)
		}
	}
}

func (m *meshFiles) readDocument(name string, doc []byte) error {
	if len(bytes.TrimSpace(doc)) == 0 {
		return nil
	}
	data, err := yaml.YAMLToJSON(doc)
	if err != nil {
		return err
	}
	if string(data) == "null" {
		return nil
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return errors.New("it is not an object with apiVersion and kind")
	}
	return m.add(name, object)
}

func (m *meshFiles) add(name string, object map[string]any) error {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if apiVersion == "" || kind == "" {
		return errors.New("it has no apiVersion or no kind")
	}
	if items, ok := object["items"].([]any); ok && strings.HasSuffix(kind, "List") {
		for _, item := range items {
			if one, ok := item.(map[string]any); ok {
				if err := m.add(name, one); err != nil {
					return err
				}
			}
		}
		return nil
	}
	ref := refOf(kind, object)
	if first, twice := m.places[ref]; twice {
		m.problems = append(m.problems, problem.Problem{
			Code: "S004", Severity: problem.Error, Object: ref, Path: name,
			Message: "the object stands also in " + first + ", which holds", Hint: "remove one of the two",
		})
		return nil
	}
	m.places[ref] = name
	return m.keep(apiVersion, kind, object)
}

func refOf(kind string, object map[string]any) string {
	meta, _ := object["metadata"].(map[string]any)
	namespace, _ := meta["namespace"].(string)
	name, _ := meta["name"].(string)
	if namespace == "" {
		namespace = "default"
	}
	return kind + "/" + namespace + "/" + name
}

// keep sorts an object to its kind. Kinds of Sluice that say nothing about traffic are passed over.
func (m *meshFiles) keep(apiVersion, kind string, object map[string]any) error {
	_, key, _ := strings.Cut(refOf(kind, object), "/")
	namespace, _, _ := strings.Cut(key, "/")
	switch {
	case apiVersion == "v1" && kind == "Service":
		svc := &corev1.Service{}
		m.services = append(m.services, svc)
		return into(object, svc, &svc.Namespace, namespace)
	case apiVersion == "discovery.k8s.io/v1" && kind == "EndpointSlice":
		slice := &discoveryv1.EndpointSlice{}
		m.slices = append(m.slices, slice)
		return into(object, slice, &slice.Namespace, namespace)
	case apiVersion == "v1" && kind == "Pod":
		pod := &corev1.Pod{}
		err := into(object, pod, &pod.Namespace, namespace)
		m.pods[key] = pod.Labels
		return err
	case apiVersion == v1alpha1.GroupVersion().String() && kind == "Rollout":
		ro := &v1alpha1.Rollout{}
		m.rollouts[key] = ro
		return into(object, ro, &ro.Namespace, namespace)
	case strings.HasPrefix(apiVersion, v1alpha1.GroupVersion().Group+"/"):
		return nil
	default:
		m.objects = append(m.objects, istio.Decode(object))
		return nil
	}
}

func into(object map[string]any, target any, namespace *string, value string) error {
	data, err := json.Marshal(object)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, target); err != nil {
		return fmt.Errorf("%s: %w", refOf(fmt.Sprint(object["kind"]), object), err)
	}
	*namespace = value
	return nil
}

// readRollouts replaces Rollouts by those of a file, as `kubectl get rollouts -o yaml` prints them.
func (m *meshFiles) readRollouts(path string, in io.Reader) error {
	other := newMeshFiles()
	if err := other.read(path, in); err != nil {
		return err
	}
	for key, ro := range other.rollouts {
		m.rollouts[key] = ro
	}
	return nil
}

// input is what the compiler reads.
func (m *meshFiles) input(suffix, root string) istio.Input {
	in := istio.Input{Objects: m.objects, DomainSuffix: suffix, RootNamespace: root}
	in.Registry = kube.Snapshot(kube.Input{
		Services: m.services, Slices: m.slices, DomainSuffix: suffix,
		PodLabels: func(namespace, name string) map[string]string { return m.pods[namespace+"/"+name] },
	})
	for _, ro := range m.rollouts {
		in.Splits = append(in.Splits, splitOf(ro))
	}
	return in
}

// splitOf is the split that a Rollout renders. One without status is taken as just adopted.
func splitOf(ro *v1alpha1.Rollout) ir.Split {
	s := ir.Split{
		Key: ro.Namespace + "/" + ro.Name, UID: string(ro.UID), Host: ro.Spec.Host, Stable: ro.Spec.Subset,
		Routes: ro.Spec.Routes, Created: ro.CreationTimestamp.Time,
	}
	if st := ro.Status; st != nil && st.Stable.Name != "" {
		s.Stable, s.Weight, s.Seq, s.Managed = st.Stable.Name, int(st.Weight), uint64(max(0, st.Traffic.Seq)), st.Managed
		if st.Canary != nil {
			s.Canary = st.Canary.Name
		}
	}
	return s
}

// placed adds the files to problems.
func (m *meshFiles) placed(ps []problem.Problem) []problem.Problem {
	out := slices.Concat(ps, m.problems)
	for i := range out {
		if out[i].Path == "" {
			out[i].Path = m.places[out[i].Object]
		}
	}
	problem.Sort(out)
	return out
}
