package proc

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Mount is one mount of this process's mount namespace.
type Mount struct {
	// Point is where it is mounted.
	Point string
	// Type is the file system's type, such as ext4, cgroup2 or nsfs.
	Type string
	// Options are the file system's own options; a cgroup v1 hierarchy lists its controllers here.
	Options []string
}

// Mounts returns this process's mounts, in the order in which they were made.
func Mounts() ([]Mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	var mounts []Mount
	for line := range strings.Lines(string(text)) {
		if mount, ok := parseMount(line); ok {
			mounts = append(mounts, mount)
		}
	}
	return mounts, nil
}

// parseMount reads one line of mountinfo (proc(5)): fixed fields, optional ones, a dash, then type, source and options.
func parseMount(line string) (Mount, bool) {
	before, after, found := strings.Cut(line, " - ")
	fields, tail := strings.Fields(before), strings.Fields(after)
	if !found || len(fields) < 5 || len(tail) < 3 {
		return Mount{}, false
	}
	return Mount{Point: unescape(fields[4]), Type: tail[0], Options: strings.Split(tail[2], ",")}, true
}

// unescape undoes the octal escapes by which mountinfo writes blanks and backslashes in paths.
func unescape(path string) string {
	var plain strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if code, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				plain.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		plain.WriteByte(path[i])
	}
	return plain.String()
}
