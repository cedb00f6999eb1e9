package local

import (
	"context"
	"fmt"
	"net"
)

const loopback = "127.0.0.1"

// reservePorts finds n different free loopback ports and holds them until release is called, which is best done right
// before the process that is to listen on them starts. Another process may still be faster: whoever starts one tries
// again with other ports then.
func reservePorts(ctx context.Context, n int) (ports []int, release func(), err error) {
	var listeners []net.Listener
	release = func() {
		for _, l := range listeners {
			_ = l.Close() // nothing was ever accepted on it
		}
	}
	for range n {
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(loopback, "0"))
		if err != nil {
			release()
			return nil, nil, fmt.Errorf("reserving a loopback port: %w", err)
		}
		listeners = append(listeners, l)
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, release, nil
}
