package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is the processor time since the machine was started, at one point in time.
type machine struct {
	at   time.Time
	busy time.Duration // by all programs and the kernel
	ours time.Duration // by this program and the cluster, not by clients
}

// readMachine reads /proc.
func readMachine() (machine, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return machine{}, fmt.Errorf("read the machine's processor time: %w", err)
	}
	m := machine{at: time.Now(), busy: parseBusy(string(stat))}
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return machine{}, err
	}
	self := fmt.Sprintf("/proc/%d/stat", os.Getpid())
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if file == self || strings.Contains(string(stat), " (kube) ") { // the one program of the control plane
			m.ours += parseCPU(string(stat))
		}
	}
	return m, nil
}

// parseBusy adds up the first line of /proc/stat without idle time, and without guest time, which is included in user time.
func parseBusy(stat string) time.Duration {
	line, _, _ := strings.Cut(stat, "\n")
	sum := time.Duration(0)
	for i, field := range strings.Fields(line) {
		const idle, waiting, guest = 4, 5, 9
		if i == 0 || i == idle || i == waiting || i >= guest {
			continue
		}
		ticks, _ := strconv.ParseInt(field, 10, 64)
		sum += time.Duration(ticks) * tick
	}
	return sum
}

// others returns the share of the processors that neither the benchmark nor a client has used between two readings.
func (m machine) others(later machine, client time.Duration) float64 {
	others := (later.busy - m.busy) - (later.ours - m.ours) - client
	return max(0, others.Seconds()) / (later.at.Sub(m.at).Seconds() * float64(runtime.NumCPU()))
}
