package webhook

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// connections keeps the number of open connections in bounds. Whoever waits longest goes first, so that a client which
// comes with a request finds room, however many connections others leave idle.
type connections struct {
	most int

	mu   sync.Mutex
	open map[net.Conn]*list.Element // nil while it has a request
	// waiting are those without a request, or with a handshake to finish, longest first.
	waiting *list.List
}

func newConnections(most int) *connections {
	return &connections{most: most, open: map[net.Conn]*list.Element{}, waiting: list.New()}
}

// changed is a ConnState of http.Server.
func (c *connections) changed(connection net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element := c.open[connection]; element != nil {
		c.waiting.Remove(element)
	}
	switch state {
	case http.StateNew, http.StateIdle:
		c.open[connection] = c.waiting.PushBack(connection)
	case http.StateActive:
		c.open[connection] = nil
	case http.StateClosed, http.StateHijacked:
		delete(c.open, connection)
	}
	if state == http.StateNew && len(c.open) > c.most {
		first := c.waiting.Front() // the new one itself, if all others are busy
		victim := c.waiting.Remove(first).(net.Conn)
		delete(c.open, victim)
		cut(victim)
	}
}

// cut closes a connection without a word, which its client might not take.
func cut(connection net.Conn) {
	if secured, ok := connection.(*tls.Conn); ok {
		connection = secured.NetConn()
	}
	_ = connection.Close() // its goroutine finds out
}
