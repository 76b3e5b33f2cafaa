package notify

import (
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// ErrSignature is wrapped by the error for a delivery that no secret has signed.
var ErrSignature = errors.New("no signature fits")

// Verify checks the signature of a delivery: one v1 signature of the header Webhook-Signature has to be that of id, Unix
// time and body by one of the secrets (ParseSecrets). How old the delivery may be is for the caller to say.
func Verify(secrets [][]byte, id string, timestamp int64, signature string, body []byte) error {
	if id == "" {
		return errors.New("there is no Webhook-Id")
	}
	fits := false
	for given := range strings.FieldsSeq(signature) {
		version, text, _ := strings.Cut(given, ",")
		mac, err := base64.StdEncoding.DecodeString(text)
		if version != "v1" || err != nil {
			continue
		}
		for _, key := range secrets {
			fits = hmac.Equal(mac, sum(key, id, timestamp, body)) || fits
		}
	}
	if !fits {
		return fmt.Errorf("delivery %.64q: %w", id, ErrSignature)
	}
	return nil
}
