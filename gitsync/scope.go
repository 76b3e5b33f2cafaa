package gitsync

import "slices"

// ClusterScoped reports whether objects of this kind have no namespace. It knows Kubernetes' own kinds; others count
// as namespaced.
func ClusterScoped(id ID) bool {
	switch id.Group {
	case "":
		return slices.Contains([]string{"Namespace", "Node", "PersistentVolume", "ComponentStatus"}, id.Kind)
	case "rbac.authorization.k8s.io":
		return id.Kind == "ClusterRole" || id.Kind == "ClusterRoleBinding"
	case "networking.k8s.io":
		return id.Kind == "IngressClass" || id.Kind == "IPAddress" || id.Kind == "ServiceCIDR"
	case "storage.k8s.io":
		return id.Kind != "CSIStorageCapacity"
	case "apiextensions.k8s.io", "admissionregistration.k8s.io", "apiregistration.k8s.io", "scheduling.k8s.io", "node.k8s.io",
		"flowcontrol.apiserver.k8s.io":
		return true
	case "certificates.k8s.io":
		return id.Kind == "CertificateSigningRequest" || id.Kind == "ClusterTrustBundle"
	}
	return false
}
