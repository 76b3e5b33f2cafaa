package view

// VersionView says which build of the program this is.
type VersionView struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Version    string `json:"version"`
	Go         string `json:"go"`
	Platform   string `json:"platform"`
	Commit     string `json:"commit,omitempty"` // where the build knows it
}
