package manifest

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/sluice-dev/sluice/xds/istio"
)

// secretOf reads a Kubernetes Secret. What cannot be read is named by its key only.
func secretOf(object map[string]any, ref string) (*istio.Secret, error) {
	meta, _ := object["metadata"].(map[string]any)
	uid, _ := meta["uid"].(string)
	_, key, _ := strings.Cut(ref, "/")
	namespace, name, _ := strings.Cut(key, "/")
	out := &istio.Secret{Namespace: namespace, Name: name, UID: uid, Data: map[string][]byte{}}
	data, _ := object["data"].(map[string]any)
	for k, v := range data {
		text, _ := v.(string)
		value, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return out, errors.New(ref + ": data." + k + " is not in base64")
		}
		out.Data[k] = value
	}
	plain, _ := object["stringData"].(map[string]any)
	for k, v := range plain {
		if text, ok := v.(string); ok {
			out.Data[k] = []byte(text)
		}
	}
	return out, nil
}
