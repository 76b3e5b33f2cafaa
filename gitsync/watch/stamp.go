package watch

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Stamp identifies the state of a live object. Equal marks mean that nothing changed which Git could say; the zero
// Stamp is an object that does not exist.
type Stamp struct {
	UID, ResourceVersion string
	Mark                 string
}

// marking is the operation of the entry that holds the mark of a reduced object. No server stores another operation than
// its own two, so nobody can put a mark on a live object.
const marking metav1.ManagedFieldsOperationType = "Mark"

// kept gives the mark of an object that was reduced, or "".
func kept(o metav1.Object) string {
	if fields := o.GetManagedFields(); len(fields) == 1 && fields[0].Operation == marking {
		return fields[0].Manager
	}
	return ""
}

// StampOf reads the stamp of an object. Where the server counts generations, a change of the status leaves the mark
// as it is.
func StampOf(o metav1.Object) Stamp {
	s := Stamp{UID: string(o.GetUID()), ResourceVersion: o.GetResourceVersion()}
	if s.Mark = kept(o); s.Mark != "" {
		return s
	}
	if o.GetGeneration() == 0 {
		s.Mark = s.UID + " " + s.ResourceVersion
		return s
	}
	meta, err := json.Marshal([]any{o.GetLabels(), o.GetAnnotations()})
	if err != nil {
		s.Mark = s.UID + " " + s.ResourceVersion // cannot happen for maps of strings; every write counts then
		return s
	}
	sum := sha256.Sum256(meta)
	s.Mark = fmt.Sprint(s.UID, " ", o.GetGeneration(), " ", hex.EncodeToString(sum[:12]))
	return s
}
