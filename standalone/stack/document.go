package stack

import (
	"net"
	"net/url"
	"strconv"

	"github.com/sluice-dev/sluice/standalone/file"
)

// BootstrapFile is the file in the state directory that the gateway Envoy starts with.
const BootstrapFile = "envoy-bootstrap.json"

const documentFile = "up.json"

// Document says what runs and where. It is up.json in the state directory and the answer to `up -o json`; keys are only
// added. Addresses are host:port, URLs have no path.
type Document struct {
	Name       string  `json:"name"`
	Process    Process `json:"process"`
	State      string  `json:"state"`
	Kubeconfig string  `json:"kubeconfig"`
	APIServer  string  `json:"apiServer"`            // URL
	Prometheus string  `json:"prometheus,omitempty"` // URL; of somebody else's where one was given
	XDS        string  `json:"xds,omitempty"`
	Doors
	EnvoyAdmin string `json:"envoyAdmin,omitempty"`
	Repository string `json:"repository,omitempty"` // that objects come from
}

// Doors are where the controllers listen besides XDS. They stand in the Document itself.
type Doors struct {
	Hook      string `json:"hook,omitempty"`
	Metrics   string `json:"metrics,omitempty"`
	Health    string `json:"health,omitempty"`
	Decisions string `json:"decisions,omitempty"` // where `sluice report --scenario` asks
}

// ReadDocument reads up.json of the state directory dir; without one all is empty.
func ReadDocument(dir string) (Document, error) {
	var d Document
	err := file.ReadJSON((&Dir{path: dir}).Path(documentFile), &d)
	return d, err
}

// Port gives the port that an address or URL of an earlier run had, else the one wanted.
func Port(earlier string, wanted int) int {
	if u, err := url.Parse(earlier); err == nil && u.Host != "" {
		earlier = u.Host
	}
	_, text, err := net.SplitHostPort(earlier)
	if err != nil {
		return wanted
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return wanted
	}
	return n
}
