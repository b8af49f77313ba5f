package gitops

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const (
	project = "../.."
	page    = "docs/gitops.md"
)

// TestEveryStateIsAssessedAsTheTableSays compares the table of docs/gitops.md with the tools' assessments of the states that the
// operator reports. UPDATE_GOLDEN=1 writes the table instead.
func TestEveryStateIsAssessedAsTheTableSays(t *testing.T) {
	var rows []string
	objects := states(t)
	for _, name := range sortedNames(objects) {
		object := objects[name]
		found := assess(t, object)
		rows = append(rows, row(
			name, conditionOf(object, "Ready").summary(), conditionOf(object, "Reconciling").summary(),
			conditionOf(object, "Stalled").summary(), found.kstatus.String(), found.flux.String(), found.helm.String(),
			found.argo, found.kubectlWait(),
		))
	}
	before, table, after := splitAtTable(t, read(t, page))
	if os.Getenv("UPDATE_GOLDEN") != "" {
		text := before + strings.Join(rows, "") + after
		if err := os.WriteFile(filepath.Join(project, page), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for _, expected := range slices.Collect(strings.Lines(table)) {
		if !slices.Contains(rows, expected) {
			t.Errorf("%s has a row that does not match any state: %s", page, expected)
		}
	}
	for _, actual := range rows {
		if !strings.Contains(table, actual) {
			t.Errorf("%s lacks a row (UPDATE_GOLDEN=1 go test writes it): %s", page, actual)
		}
	}
}

func row(cells ...string) string {
	return "| " + strings.Join(cells, " | ") + " |\n"
}

// splitAtTable returns the text before the rows of the table of states, the rows, and the text after them.
func splitAtTable(t *testing.T, text string) (before, rows, after string) {
	t.Helper()
	heading := row("state", "Ready", "Reconciling", "Stalled", "kstatus", "Flux", "Helm 4", "Argo CD", "`kubectl wait`") +
		strings.Repeat("|---", 9) + "|\n"
	start := strings.Index(text, heading)
	if start < 0 {
		t.Fatalf("%s has no table with the heading\n%s", page, heading)
	}
	start += len(heading)
	end := start
	for line := range strings.Lines(text[start:]) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		end += len(line)
	}
	return text[:start], text[start:end], text[end:]
}

// states returns the EchoClusters that the operator's unit test has written, by the name of their state.
func states(t *testing.T) map[string]*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(project, "operator/tests/golden/status/*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no states: %v", err)
	}
	found := map[string]*unstructured.Unstructured{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		json, err := yaml.YAMLToJSON(text)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		object := &unstructured.Unstructured{}
		if err := object.UnmarshalJSON(json); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		found[strings.TrimSuffix(filepath.Base(file), ".yaml")] = object
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(project, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
