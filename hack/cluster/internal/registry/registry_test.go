package registry

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/image"
)

// start serves an empty registry and returns its address.
func start(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(handler(log.New(io.Discard, "", 0)))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// archive writes an OCI archive of one image.
func archive(t *testing.T) string {
	t.Helper()
	program, path := filepath.Join(t.TempDir(), "program"), filepath.Join(t.TempDir(), "image.tar")
	if err := os.WriteFile(program, []byte("program"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := image.WriteProgram("echo.local/program:1", program, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// status requests a manifest and returns the status code.
func status(t *testing.T, address, path, user, password string) int {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/v2/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	return response.StatusCode
}

func TestAPushedImageIsFoundByItsTagAndByThePrintedDigest(t *testing.T) {
	address := start(t)
	name, err := Push(t.Context(), address, archive(t), "team/echo:1")
	if err != nil {
		t.Fatal(err)
	}
	digest, found := strings.CutPrefix(name, address+"/team/echo@")
	if !found {
		t.Fatalf("got %s", name)
	}
	for tag, want := range map[string]int{"1": http.StatusOK, digest: http.StatusOK, "2": http.StatusNotFound} {
		if got := status(t, address, "team/echo/manifests/"+tag, "", ""); got != want {
			t.Errorf("%s: got %d, want %d", tag, got, want)
		}
	}
}

func TestOnlyPrivateRepositoriesAskForUserAndPassword(t *testing.T) {
	address := start(t)
	path := archive(t)
	for _, name := range []string{"private/echo:1", "privateer/echo:1"} {
		if _, err := Push(t.Context(), address, path, name); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		path, user, password string
		want                 int
	}{
		{"", "", "", http.StatusOK},
		{"privateer/echo/manifests/1", "", "", http.StatusOK},
		{"private/echo/manifests/1", "", "", http.StatusUnauthorized},
		{"private/echo/manifests/1", User, "wrong", http.StatusUnauthorized},
		{"private/echo/manifests/1", "wrong", Password, http.StatusUnauthorized},
		{"private/echo/manifests/1", User, Password, http.StatusOK},
	} {
		if got := status(t, address, c.path, c.user, c.password); got != c.want {
			t.Errorf("%s as %q: got %d, want %d", c.path, c.user, got, c.want)
		}
	}
}

func TestATargetIsANameWithATagAndMayBeginWithTheAddress(t *testing.T) {
	for name, want := range map[string]string{
		"echo:1": "198.18.0.1:5000/echo:1", "198.18.0.1:5000/private/echo:v2": "198.18.0.1:5000/private/echo:v2",
	} {
		if target, err := parseTarget("198.18.0.1:5000", name); err != nil || target.String() != want {
			t.Errorf("%s: got %v, %v", name, target, err)
		}
	}
	for _, name := range []string{"", "echo", "Echo:1", "echo:", "echo:1@sha256:" + strings.Repeat("0", 64)} {
		if target, err := parseTarget("198.18.0.1:5000", name); err == nil || !strings.Contains(err.Error(), "write NAME:TAG") {
			t.Errorf("%q: got %v, %v", name, target, err)
		}
	}
}
