package registry

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/distribution/reference"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/image"
)

// Push puts the one image of an OCI archive into the registry at an address, and returns how a pod names exactly that
// image: ADDRESS/NAME@sha256:... .
//
// # Errors
//
// An invalid name, an archive without exactly one image, or a registry that does not respond. Only the last can be retried.
func Push(ctx context.Context, address, archive, name string) (string, error) {
	target, err := parseTarget(address, name)
	if err != nil {
		return "", err
	}
	manifest, err := image.ReadDigest(archive)
	if err != nil {
		return "", fmt.Errorf("push %s: %w", archive, err)
	}
	images, err := oci.NewFromTar(ctx, archive)
	if err != nil {
		return "", fmt.Errorf("read the images of %s: %w", archive, err)
	}
	repository, err := remote.NewRepository(target.Name())
	if err != nil {
		return "", fmt.Errorf("address the repository %s: %w", target.Name(), err)
	}
	repository.PlainHTTP = true
	repository.Client = &auth.Client{
		Client:     &http.Client{Transport: &http.Transport{}}, // no proxy of the caller's environment
		Credential: auth.StaticCredential(address, auth.Credential{Username: User, Password: Password}),
	}
	if _, err := oras.Copy(ctx, images, manifest.String(), repository, target.Tag(), oras.DefaultCopyOptions); err != nil {
		return "", fmt.Errorf("push %s to %s: %w", archive, target, err)
	}
	return target.Name() + "@" + manifest.String(), nil
}

// parseTarget reads NAME:TAG, with or without the registry's address before it.
func parseTarget(address, name string) (reference.NamedTagged, error) {
	parsed, err := reference.ParseNormalizedNamed(address + "/" + strings.TrimPrefix(name, address+"/"))
	if err != nil {
		return nil, fmt.Errorf("%q names no image: write NAME:TAG in small letters, such as team/echo-server:1: %w", name, err)
	}
	tagged, ok := parsed.(reference.NamedTagged)
	if _, digested := parsed.(reference.Digested); !ok || digested {
		return nil, fmt.Errorf("%q has no tag, or a digest: write NAME:TAG, such as team/echo-server:1", name)
	}
	return tagged, nil
}
