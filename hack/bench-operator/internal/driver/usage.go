package driver

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// usage is the processor time and the memory of a process.
type usage struct {
	cpu  time.Duration // of all its threads, including ended ones
	rss  int64         // bytes
	peak int64         // bytes
}

// tick is the unit of times in /proc/PID/stat, which is 1/100 s whatever the kernel counts in (proc(5), USER_HZ).
const tick = 10 * time.Millisecond

// usage reads /proc.
func (p *process) usage() (usage, error) {
	folder := fmt.Sprintf("/proc/%d/", p.command.Process.Pid)
	stat, err := os.ReadFile(folder + "stat")
	if err != nil {
		return usage{}, fmt.Errorf("read the processor time: %w", err)
	}
	status, err := os.ReadFile(folder + "status")
	if err != nil {
		return usage{}, fmt.Errorf("read the memory: %w", err)
	}
	return parseUsage(string(stat), string(status))
}

// parseCPU reads the processor time of /proc/PID/stat, in which the name in brackets may hold anything.
func parseCPU(stat string) time.Duration {
	afterName := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	sum := time.Duration(0)
	for i, field := range afterName {
		if i == 11 || i == 12 { // utime and stime
			ticks, _ := strconv.ParseInt(field, 10, 64)
			sum += time.Duration(ticks) * tick
		}
	}
	return sum
}

// parseUsage reads /proc/PID/stat and /proc/PID/status.
func parseUsage(stat, status string) (usage, error) {
	u := usage{cpu: parseCPU(stat)}
	for name, bytes := range map[string]*int64{"VmRSS:": &u.rss, "VmHWM:": &u.peak} {
		_, rest, isThere := strings.Cut(status, "\n"+name)
		fields := strings.Fields(rest)
		if !isThere || len(fields) == 0 {
			return usage{}, fmt.Errorf("/proc/PID/status has no %s", name)
		}
		kib, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil {
			return usage{}, fmt.Errorf("/proc/PID/status has %s %q", name, fields[0])
		}
		*bytes = kib * 1024
	}
	return u, nil
}
