package binaries

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// fingerprint is a hash of everything that decides what a step builds: its commands with their versions, and its sources.
// Where the checkout lies does not, so a moved one is built no second time.
func fingerprint(l layout.Layout, sources fs.FS, s step) (string, error) {
	hash := sha256.New()
	for _, c := range s.commands {
		for _, word := range slices.Concat(c.arguments, c.environment) {
			fmt.Fprintf(hash, "%q ", strings.ReplaceAll(word, l.Root, ""))
		}
	}
	err := copySources(sources, s, func(name string, content []byte) error {
		_, err := fmt.Fprintf(hash, "%s %d\n%s", name, len(content), content)
		return err
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}

// stampFile returns the file that holds the fingerprint of a step's present binaries.
func stampFile(l layout.Layout, s step) string { return l.Bin("." + s.outputs[0] + ".stamp") }

// fresh reports whether a step's binaries exist and were built from the current sources.
func fresh(l layout.Layout, s step, print string) bool {
	for _, output := range s.outputs {
		if _, err := os.Stat(l.Bin(output)); err != nil {
			return false
		}
	}
	stamp, err := os.ReadFile(stampFile(l, s))
	return err == nil && string(stamp) == print
}

// stamp records the fingerprint of a step's binaries.
func stamp(l layout.Layout, s step, print string) error {
	if err := os.WriteFile(stampFile(l, s), []byte(print), 0o644); err != nil {
		return fmt.Errorf("record the build of %s: %w", s.name, err)
	}
	return nil
}
