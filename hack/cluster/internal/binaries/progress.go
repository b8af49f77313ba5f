package binaries

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// tick is how often a long step shows that it goes on.
const tick = 30 * time.Second

// meter copies a command's output to a log, counts the packages that Go names in it, and reports from time to time.
type meter struct {
	log      io.Writer
	done     chan struct{}
	lock     sync.Mutex
	packages int
	last     []string
}

// startMeter begins to report on out.
func startMeter(out, log io.Writer) *meter {
	m := &meter{log: log, done: make(chan struct{})}
	begun, ticker := time.Now(), time.NewTicker(tick)
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-m.done:
				return
			case <-ticker.C:
				m.lock.Lock()
				fmt.Fprintf(out, "      %s, %d packages compiled\n", time.Since(begun).Round(time.Second), m.packages)
				m.lock.Unlock()
			}
		}
	}()
	return m
}

// stop ends the reports.
func (m *meter) stop() { close(m.done) }

// Write counts and keeps lines. With -v, Go prints the name of each package that it has compiled, alone on a line.
func (m *meter) Write(text []byte) (int, error) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for line := range bytes.Lines(text) {
		trimmed := strings.TrimSpace(string(line))
		if trimmed == "" {
			continue
		}
		if !strings.ContainsAny(trimmed, " :") {
			m.packages++
			continue
		}
		m.last = append(m.last, trimmed)
		m.last = m.last[max(0, len(m.last)-20):]
	}
	return m.log.Write(text)
}

// lastLines returns the end of the output, without the names of packages.
func (m *meter) lastLines() string {
	m.lock.Lock()
	defer m.lock.Unlock()
	return strings.Join(m.last, "\n")
}
