// Package manifest reads a mesh from the text of manifests: Istio objects, Services, EndpointSlices, pods and Rollouts.
//
// It decides what counts of a directory of YAML: which kinds say something about traffic, and which of two objects of
// one name; and it knows where each field of them stands. It opens no file; `sluice route` and `sluice lint` hand it
// their content:
//
//	mesh := manifest.New()
//	err := mesh.Read("mesh/shop.yaml", file)
//	cfg, problems := istio.Translate(mesh.Input("cluster.local", "istio-system"), class)
package manifest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/sluice-dev/sluice/api/document"
	"github.com/sluice-dev/sluice/api/problem"
	"github.com/sluice-dev/sluice/api/v1alpha1"
	"github.com/sluice-dev/sluice/xds/istio"
	"github.com/sluice-dev/sluice/xds/registry/kube"
)

// Mesh is what has been read so far.
type Mesh struct {
	objects  []istio.Object
	services []*corev1.Service
	slices   []*discoveryv1.EndpointSlice
	pods     map[string]*corev1.Pod       // by namespace/name
	nodes    map[string]map[string]string // labels by name
	rollouts map[string]*v1alpha1.Rollout // by namespace/name
	secrets  []*istio.Secret
	items    []Item
	byRef    map[string]int // of items
	problems []problem.Problem
}

// New is a mesh without anything in it.
func New() *Mesh {
	return &Mesh{pods: map[string]*corev1.Pod{}, nodes: map[string]map[string]string{}, rollouts: map[string]*v1alpha1.Rollout{}, byRef: map[string]int{}}
}

// Read adds the YAML or JSON documents of a file. Objects of kinds without effect become Problems; text that is no
// Kubernetes object is an error.
func (m *Mesh) Read(name string, in io.Reader) error {
	content, err := io.ReadAll(in)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	first := len(m.items)
	for _, p := range m.Load(name, content) {
		if p.Code != codeTwice && p.Code != codeKeyTwice {
			return fmt.Errorf("reading %s, line %d: %s", name, p.Line, p.Message)
		}
	}
	for _, it := range m.items[first:] {
		if it.Err != nil {
			return fmt.Errorf("reading %s, line %d: %w", name, it.line(), it.Err)
		}
	}
	return nil
}

// The codes of what can be wrong with a file.
const (
	codeTwice    = "S004" // an object given twice
	codeNoObject = "S320" // a document that is not an object
	codeKeyTwice = "S503" // a key that stands twice
)

// Load adds what can be read of a file, and gives what cannot. All of it also comes back from Placed.
func (m *Mesh) Load(name string, content []byte) []problem.Problem {
	before := len(m.problems)
	docs, found := document.Parse(content, document.Limits{})
	for _, p := range found {
		p.Path = name
		m.problems = append(m.problems, p)
	}
	for _, doc := range docs {
		m.document(name, doc)
	}
	return m.problems[before:]
}

func (m *Mesh) document(name string, doc *yaml.Node) {
	value, found := document.Value(doc)
	if found != nil {
		found.Path = name
		m.problems = append(m.problems, *found)
		return
	}
	m.expand(name, doc, value)
}

// expand adds the object of a document, or the items of a list.
func (m *Mesh) expand(name string, doc *yaml.Node, value any) {
	object, ok := value.(map[string]any)
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	if !ok || apiVersion == "" || kind == "" {
		message := "a document without apiVersion or kind"
		if !ok {
			message = "a document that is not an object with apiVersion and kind"
		}
		p := *document.At(doc, codeNoObject, message, "write them, or move the file elsewhere")
		p.Path = name
		m.problems = append(m.problems, p)
		return
	}
	if items, ok := object["items"].([]any); ok && strings.HasSuffix(kind, "List") {
		list := document.Child(doc, "items")
		for i, item := range items {
			m.expand(name, document.Child(list, fmt.Sprint(i)), item)
		}
		return
	}
	m.Add(Item{Path: name, Content: object, Position: func(field string) (int, int) { return document.Position(doc, field) }})
}

// Add adds one object. Of two of one name the first holds.
func (m *Mesh) Add(it Item) {
	it.Ref = refOf(it.Content)
	if i, twice := m.byRef[it.Ref]; twice {
		first := m.items[i]
		line, column := it.place("")
		m.problems = append(m.problems, problem.Problem{
			Code: codeTwice, Severity: problem.Error, Object: it.Ref, Path: it.Path, Line: line, Column: column,
			Message: fmt.Sprintf("the object stands also in %s:%d, which holds", first.Path, first.line()), Hint: "remove one of the two",
		})
		return
	}
	it.Err = m.keep(it.Content, it.Ref)
	m.byRef[it.Ref] = len(m.items)
	m.items = append(m.items, it)
}

func refOf(object map[string]any) string {
	kind, _ := object["kind"].(string)
	meta, _ := object["metadata"].(map[string]any)
	namespace, _ := meta["namespace"].(string)
	name, _ := meta["name"].(string)
	if namespace == "" {
		namespace = "default"
	}
	return kind + "/" + namespace + "/" + name
}

// keep sorts an object to its kind. Kinds of Sluice that say nothing about traffic are passed over.
func (m *Mesh) keep(object map[string]any, ref string) error {
	apiVersion, _ := object["apiVersion"].(string)
	kind, key, _ := strings.Cut(ref, "/")
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
		m.pods[key] = pod
		return into(object, pod, &pod.Namespace, namespace)
	case apiVersion == "v1" && kind == "Node":
		node := &corev1.Node{}
		err := into(object, node, &node.Namespace, "")
		m.nodes[node.Name] = node.Labels
		return err
	case apiVersion == "v1" && kind == "Secret":
		s, err := secretOf(object, ref)
		m.secrets = append(m.secrets, s)
		return err
	case apiVersion == v1alpha1.GroupVersion().String() && kind == v1alpha1.KindRollout:
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
		return errors.New(refOf(object) + ": " + strings.TrimPrefix(err.Error(), "json: "))
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
	in := istio.Input{Objects: m.objects, Secrets: m.secrets, DomainSuffix: suffix, RootNamespace: root}
	in.Registry = kube.Snapshot(kube.Input{
		Services: m.services, Slices: m.slices, DomainSuffix: suffix, Pods: slices.Collect(maps.Values(m.pods)),
		PodLabels: func(namespace, name string) map[string]string {
			if pod := m.pods[namespace+"/"+name]; pod != nil {
				return pod.Labels
			}
			return nil
		},
		NodeLabels: func(name string) map[string]string { return m.nodes[name] },
	})
	for _, ro := range m.rollouts {
		if s, ok := SplitOf(ro); ok {
			in.Splits = append(in.Splits, s)
		}
	}
	return in
}
