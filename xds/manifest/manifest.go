// Package manifest reads a mesh from the text of manifests: Istio objects, Services, EndpointSlices, pods and Rollouts.
//
// It decides what counts of a directory of YAML: which kinds say something about traffic, and which of two objects of
// one name. It opens no file; `sluice route` hands it their content:
//
//	mesh := manifest.New()
//	err := mesh.Read("mesh/shop.yaml", file)
//	cfg, problems := istio.Translate(mesh.Input("cluster.local", "istio-system"), class)
package manifest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
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

// Mesh is what has been read so far.
type Mesh struct {
	objects  []istio.Object
	services []*corev1.Service
	slices   []*discoveryv1.EndpointSlice
	pods     map[string]map[string]string // labels by namespace/name
	rollouts map[string]*v1alpha1.Rollout // by namespace/name
	places   map[string]string            // file of each object, by "Kind/namespace/name"
	problems []problem.Problem
}

// New is a mesh without anything in it.
func New() *Mesh {
	return &Mesh{pods: map[string]map[string]string{}, rollouts: map[string]*v1alpha1.Rollout{}, places: map[string]string{}}
}

// Read adds the YAML or JSON documents of a file. Objects of kinds without effect become Problems; text that is no
// Kubernetes object is an error.
func (m *Mesh) Read(name string, in io.Reader) error {
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

func (m *Mesh) readDocument(name string, doc []byte) error {
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

func (m *Mesh) add(name string, object map[string]any) error {
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
func (m *Mesh) keep(apiVersion, kind string, object map[string]any) error {
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

// ReplaceRollouts puts the Rollouts of other, as `kubectl get rollouts -o yaml` prints them, in place of those read.
func (m *Mesh) ReplaceRollouts(other *Mesh) {
	maps.Copy(m.rollouts, other.rollouts)
}

// Input is what the compiler reads. The arguments are those of istio.Input.
func (m *Mesh) Input(suffix, root string) istio.Input {
	in := istio.Input{Objects: m.objects, DomainSuffix: suffix, RootNamespace: root}
	in.Registry = kube.Snapshot(kube.Input{
		Services: m.services, Slices: m.slices, DomainSuffix: suffix,
		PodLabels: func(namespace, name string) map[string]string { return m.pods[namespace+"/"+name] },
	})
	for _, ro := range m.rollouts {
		in.Splits = append(in.Splits, SplitOf(ro))
	}
	return in
}

// SplitOf is the split that a Rollout renders. One without status is taken as just adopted.
func SplitOf(ro *v1alpha1.Rollout) ir.Split {
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

// Placed joins Problems with those found while reading, and says of each in which file its object stands.
func (m *Mesh) Placed(ps []problem.Problem) []problem.Problem {
	out := slices.Concat(ps, m.problems)
	for i := range out {
		if out[i].Path == "" {
			out[i].Path = m.places[out[i].Object]
		}
	}
	problem.Sort(out)
	return out
}
