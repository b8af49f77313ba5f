package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archive returns a tar file of one file.
func archive(t *testing.T, name, content string) *bytes.Buffer {
	t.Helper()
	var buffer bytes.Buffer
	files := tar.NewWriter(&buffer)
	if err := errors.Join(writeFile(files, "oci-layout", []byte("{}")), writeFile(files, name, []byte(content)), files.Close()); err != nil {
		t.Fatal(err)
	}
	return &buffer
}

func TestTheNameIsReadFromEitherAnnotationAndCompleted(t *testing.T) {
	for annotations, want := range map[string]string{
		`"org.opencontainers.image.ref.name":"echo.local/operator:dev"`:                                  "echo.local/operator:dev",
		`"org.opencontainers.image.ref.name":"dev","io.containerd.image.name":"echo.local/operator:dev"`: "echo.local/operator:dev",
		`"org.opencontainers.image.ref.name":"operator:1"`:                                               "docker.io/library/operator:1",
		`"org.opencontainers.image.ref.name":"localhost:5000/team/operator"`:                             "localhost:5000/team/operator:latest",
	} {
		name, index, err := ReadName(archive(t, "./index.json", `{"manifests":[{"annotations":{`+annotations+`}}]}`))
		if err != nil || name != want {
			t.Errorf("%s: got %q, %v; want %q", annotations, name, err, want)
		}
		if !strings.Contains(string(index), `"io.containerd.image.name":"`+want+`"`) {
			t.Errorf("%s: the index does not tell containerd the name: %s", annotations, index)
		}
	}
}

func TestAnArchiveWithoutOneNamedImageIsRefusedWithTheRemedy(t *testing.T) {
	for content, reason := range map[string]string{
		`{"manifests":[{}]}`:    "has no name",
		`{"manifests":[]}`:      "0 images",
		`{"manifests":[{},{}]}`: "2 images",
		`nonsense`:              "decode index.json",
		`{"manifests":[{"annotations":{"org.opencontainers.image.ref.name":"UPPER/Case"}}]}`: "none that a pod could write",
	} {
		if _, _, err := ReadName(archive(t, "index.json", content)); err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v, want %q", content, err, reason)
		}
	}
	if _, _, err := ReadName(archive(t, "manifest.json", "[]")); err == nil || !strings.Contains(err.Error(), "buildah push") {
		t.Errorf("an archive without an index: got %v", err)
	}
}

func TestACopyDiffersFromItsArchiveInTheIndexAlone(t *testing.T) {
	var copied bytes.Buffer
	if err := CopyWithIndex(&copied, archive(t, "index.json", "old"), []byte("brand new")); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for files := tar.NewReader(&copied); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(files)
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = string(content)
	}
	if len(found) != 2 || found["index.json"] != "brand new" || found["oci-layout"] != "{}" {
		t.Errorf("got %v", found)
	}
}

func TestAWrittenImageIsNamedAndEqualEveryTime(t *testing.T) {
	folder := t.TempDir()
	program := filepath.Join(folder, "pause")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	var contents [2][]byte
	for i := range contents {
		path := filepath.Join(folder, "image.tar")
		if err := WriteProgram("echo.local/pause:1", program, path); err != nil {
			t.Fatal(err)
		}
		var err error
		if contents[i], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(contents[0], contents[1]) {
		t.Error("two archives of one program differ")
	}
	if name, _, err := ReadName(bytes.NewReader(contents[0])); err != nil || name != "echo.local/pause:1" {
		t.Errorf("got name %q, %v", name, err)
	}
}
