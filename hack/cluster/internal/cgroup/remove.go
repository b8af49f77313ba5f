package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// removeTime is how long the kernel may keep a group after its last process has ended.
const removeTime = 5 * time.Second

// Existing returns the folders of a group, and of all groups below it, deepest first.
func (h Hierarchies) Existing(group string) []string {
	var groups []string
	for _, root := range h.folders() {
		_ = filepath.WalkDir(filepath.Join(root, group), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				groups = append(groups, path)
			}
			return nil
		})
	}
	slices.Reverse(groups)
	return groups
}

// Remove removes a group and all below it. The kernel releases a group a moment after its last process has ended.
func (h Hierarchies) Remove(group string) error {
	for deadline := time.Now().Add(removeTime); ; time.Sleep(20 * time.Millisecond) {
		groups := h.Existing(group)
		if len(groups) == 0 {
			return nil
		}
		var failure error
		for _, path := range groups {
			if err := syscall.Rmdir(path); err != nil && !errors.Is(err, syscall.ENOENT) {
				failure = fmt.Errorf("remove cgroup %s: %w", path, err)
			}
		}
		if failure != nil && time.Now().After(deadline) {
			return failure
		}
	}
}
