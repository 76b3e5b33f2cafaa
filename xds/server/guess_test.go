package server

import "testing"

// In state-of-the-world form nobody learns what becomes of a version that is replaced before it is answered. When it is
// wanted again after its successor was rejected, only its answer shows whether the client has it.
func TestSotw_aGuessedVersionIsSentWhenItIsWantedAgain(t *testing.T) {
	b := newBench(t, true).publish(guarded("k1")).say(request{typeURL: secrets.typeURL(), names: []string{"s1"}}).expect("sds s1=k1")
	b.publish(guarded("k2")).expect("sds s1=k2")
	no := request{typeURL: secrets.typeURL(), nonce: b.last[secrets].nonce, names: []string{"s1"}, refused: true, nack: "s1"}
	b.say(no).expect()
	b.publish(guarded("k1")).expect("sds s1=k1").expect() // once
	b.ack(secrets, "s1").expect()
}
