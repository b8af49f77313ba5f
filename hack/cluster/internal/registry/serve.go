// Package registry is the cluster's own image registry: it serves images to nodes over plain HTTP, and accepts pushes.
package registry

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

const (
	// Private begins the names of the repositories that require User and Password.
	Private = "private/"
	// User and Password are no secret: they exist for tests of pull secrets.
	User     = "echo"
	Password = "echo-password"
)

// headerTime bounds how long a client may take to send the headers.
const headerTime = 10 * time.Second

// Serve serves an empty registry on an address until the context ends. Images are kept in memory and are lost with the process.
func Serve(ctx context.Context, address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", address, err)
	}
	server := &http.Server{Handler: handler(log.New(os.Stderr, "", log.LstdFlags)), ReadHeaderTimeout: headerTime}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve images: %w", err)
	}
	return nil
}

// handler is the registry. Private repositories require user and password.
func handler(log *log.Logger) http.Handler {
	open := registry.New(registry.Logger(log))
	return http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		if isPrivate(request.URL.Path) && !isAllowed(request) {
			log.Printf("%s %s 401", request.Method, request.URL.Path)
			answer.Header().Set("WWW-Authenticate", `Basic realm="echo-cluster"`)
			answer.Header().Set("Content-Type", "application/json")
			answer.WriteHeader(http.StatusUnauthorized)
			_, _ = answer.Write([]byte(`{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`))
			return
		}
		open.ServeHTTP(answer, request)
	})
}

// isPrivate reports whether a request is about a private repository.
func isPrivate(path string) bool { return strings.HasPrefix(path, "/v2/"+Private) }

// isAllowed reports whether a request has user and password.
func isAllowed(request *http.Request) bool {
	user, password, _ := request.BasicAuth()
	return user == User && subtle.ConstantTimeCompare([]byte(password), []byte(Password)) == 1
}
