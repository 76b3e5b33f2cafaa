package notify

import "github.com/sluice-dev/sluice/api/v1alpha1"

// Permitted reports whether a Notifier may speak of the namespaces it asks for: of all only one in the namespace of the
// controller, system.
func Permitted(n *v1alpha1.Notifier, system string) bool {
	return n.Spec.Namespaces != v1alpha1.ScopeAll || n.Namespace == system
}

// Reaches reports whether a Notifier is about the objects of a namespace.
func Reaches(n *v1alpha1.Notifier, namespace, system string) bool {
	if n.Namespace == namespace {
		return Permitted(n, system)
	}
	return n.Spec.Namespaces == v1alpha1.ScopeAll && n.Namespace == system
}

// NameFor is how the outbox of an object of a namespace names a Notifier.
func NameFor(n *v1alpha1.Notifier, namespace string) string {
	if n.Namespace == namespace {
		return n.Name
	}
	return n.Namespace + "/" + n.Name
}

// permits reports whether a Notifier may send anything.
func (w *Worker) permits(n *v1alpha1.Notifier) bool { return Permitted(n, w.cfg.System) }
