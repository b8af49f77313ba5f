package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// DNSReady returns why the DNS server does not answer yet, or nil.
func DNSReady(ctx context.Context) error { return answers(ctx, "DNS server", layout.DNSReadyURL) }

// RegistryReady returns why the image registry does not answer yet, or nil.
func RegistryReady(ctx context.Context) error {
	return answers(ctx, "registry", "http://"+layout.RegistryAddress+"/v2/")
}

// answers returns why a server beside the API server does not answer OK, or nil.
func answers(ctx context.Context, server, url string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("request from the %s: %w", server, err)
	}
	direct := http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy of the caller's environment
	response, err := direct.Do(request)
	if err != nil {
		return fmt.Errorf("%s: %w", server, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", server, response.Status)
	}
	return nil
}
