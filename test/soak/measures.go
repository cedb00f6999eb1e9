package soak

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// measures are what a process takes.
type measures struct {
	goroutines float64
	// resident is its memory as the system sees it, and live the heap that was in use after the last garbage collection,
	// in bytes.
	resident, live float64
	// leads tells whether it does the registration.
	leads bool
}

// gcPercent is how much eksguard lets the heap grow between two collections, so that what the next one is to begin at
// tells what is live.
const gcPercent = 400

// metricsOf reads a page with metrics.
func metricsOf(url string) (map[string]float64, error) {
	client := &http.Client{Timeout: 10 * time.Second}
	response, err := client.Get(url)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	page := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if space := strings.LastIndexByte(line, ' '); space > 0 && line[0] != '#' {
			value, err := strconv.ParseFloat(line[space+1:], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q: %w", url, line, err)
			}
			page[line[:space]] = value
		}
	}
	return page, nil
}

// idle is the most goroutines that there may be at the end, when nobody asks, for what there was at the begin.
func (m measures) idle(leads bool) float64 {
	most := m.goroutines + idleGoroutines
	if leads && !m.leads {
		most += leaderGoroutines
	}
	return most
}

func measure(url string) (measures, error) {
	page, err := metricsOf(url)
	if err != nil {
		return measures{}, err
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "go_memstats_next_gc_bytes"} {
		if _, found := page[name]; !found {
			return measures{}, fmt.Errorf("%s: there is no %s", url, name)
		}
	}
	return measures{
		goroutines: page["go_goroutines"],
		resident:   page["process_resident_memory_bytes"],
		leads:      page[`leader_election_master_status{name="eksguard"}`] == 1,
		live:       page["go_memstats_next_gc_bytes"] / (1 + gcPercent/100.0),
	}, nil
}
