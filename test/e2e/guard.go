package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Metric returns the value of a series, written as in the text format with its labels sorted, and 0 if there is none.
func (g *Guard) Metric(series string) float64 {
	g.t.Helper()
	return Metric(g.t, g.MetricsURL, series)
}

// Metric is Guard.Metric for the page at this address.
func Metric(t testing.TB, metricsURL, series string) float64 {
	t.Helper()
	page, err := get(metricsURL)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(page) {
		text, found := strings.CutPrefix(line, series+" ")
		if !found {
			continue
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil {
			t.Fatalf("metric %q: %v", line, err)
		}
		return value
	}
	return 0
}

// Counts returns a function that fails the test unless the series has grown by exactly n since Counts was called.
func (g *Guard) Counts(t testing.TB, series string, n float64) (check func()) {
	t.Helper()
	before := Metric(t, g.MetricsURL, series)
	return func() {
		t.Helper()
		if grown := Metric(t, g.MetricsURL, series) - before; grown != n {
			t.Errorf("%s grew by %v, want %v", series, grown, n)
		}
	}
}

// Ready asks /readyz, and returns the error that it tells.
func (g *Guard) Ready() error { return Ready(g.HealthURL) }

// Ready asks the /readyz at this address, and returns the error that it tells.
func Ready(healthURL string) error {
	_, err := get(healthURL + "/readyz?verbose")
	return err
}

// Terminate sends SIGTERM.
func (g *Guard) Terminate(t testing.TB) {
	t.Helper()
	if err := syscall.Kill(g.PID, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// get returns a page, and an error if its status is not 200.
func get(url string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return string(body), nil
}
