package server

import "sync/atomic"

// bell wakes the sending goroutine of a stream.
type bell struct {
	rung  chan struct{} // of size one
	moved atomic.Bool   // the stream may belong to another class
	later atomic.Bool   // changes of endpoints wait: it will look for newer ones by itself
}

// poke wakes the stream's sending goroutine.
func (ss *session) poke() {
	select {
	case ss.wake.rung <- struct{}{}:
	default: // it is awake already
	}
}

// move makes the stream look which class it belongs to.
func (ss *session) move() {
	ss.wake.moved.Store(true)
	ss.poke()
}
