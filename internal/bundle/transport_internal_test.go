package bundle

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Whatever a server sends, it ends: after so many bytes, or so much time.
func TestAnswersAreBounded(t *testing.T) {
	for _, row := range []struct {
		name   string
		answer func(w http.ResponseWriter, over <-chan struct{})
		reason Reason
		want   string
	}{
		{"more than is allowed", func(w http.ResponseWriter, _ <-chan struct{}) { _, _ = w.Write(make([]byte, 2000)) }, ReasonSize,
			"it is larger than 1000 bytes, packed or unpacked: make it smaller, or raise size_limit_bytes"},
		{"drop by drop", func(w http.ResponseWriter, over <-chan struct{}) {
			_, _ = w.Write([]byte("a"))
			_ = http.NewResponseController(w).Flush() // it is seen at the other end
			<-over
		}, ReasonDownload, "the server did not send all of its answer within 1m0s"},
		{"less than was promised", func(w http.ResponseWriter, _ <-chan struct{}) {
			w.Header().Set("Content-Length", "10")
			_, _ = w.Write([]byte("a"))
		}, ReasonDownload, "read the answer: unexpected EOF"},
	} {
		t.Run(row.name, func(t *testing.T) {
			over := make(chan struct{})
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { row.answer(w, over) }))
			defer s.Close()
			defer close(over)
			client := &http.Client{Transport: &boundedTransport{base: http.DefaultTransport, limit: 1000,
				timeout: 200 * time.Millisecond, received: func([]byte) { t.Error("it was taken for a bundle") }}}
			response, err := client.Get(s.URL)
			if err == nil {
				_ = response.Body.Close()
			}
			var fault *Fault
			if !errors.As(err, &fault) || fault.Reason != row.reason || fault.Error() != row.want {
				t.Errorf("error is %v, want %s: %s", err, row.reason, row.want)
			}
		})
	}
}

// A URL may hold a token, which is not for the log.
func TestErrorsTellNoQuery(t *testing.T) {
	response, err := http.Get("http://127.0.0.1:1/bundle.tar.gz?token=secret")
	if err == nil {
		_ = response.Body.Close()
	}
	if err = withoutQuery(err); err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "/bundle.tar.gz") {
		t.Errorf("error is %v", err)
	}
}
