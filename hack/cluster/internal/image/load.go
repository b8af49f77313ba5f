package image

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/config"
	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// kubernetesImages is the containerd namespace in which the kubelet's images are.
const kubernetesImages = "k8s.io"

// Load loads an archive into all given nodes at once and returns the image's full name.
func Load(ctx context.Context, l layout.Layout, nodes []layout.Node, path string) (string, error) {
	var name string
	var index []byte
	err := readFile(path, func(archive io.Reader) error {
		var err error
		name, index, err = ReadName(archive)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("load %s: %w", path, err)
	}
	all, ctx := errgroup.WithContext(ctx)
	for _, n := range nodes {
		all.Go(func() error {
			if err := loadInto(ctx, l, n, path, index); err != nil {
				return fmt.Errorf("load %s into %s: %w", path, n.Name(), err)
			}
			return nil
		})
	}
	return name, all.Wait()
}

// loadInto streams an archive, with its image named, to a node's containerd.
func loadInto(ctx context.Context, l layout.Layout, n layout.Node, path string, index []byte) error {
	return readFile(path, func(archive io.Reader) error {
		reader, writer := io.Pipe()
		go func() { writer.CloseWithError(CopyWithIndex(writer, archive, index)) }()
		defer reader.Close()
		var output bytes.Buffer
		command := exec.CommandContext(ctx, l.Bin("ctr"), "--address", layout.ContainerdSocket(n), "--namespace", kubernetesImages,
			"images", "import", "--snapshotter", config.Snapshotter(l), "-")
		command.Stdin, command.Stdout, command.Stderr = reader, &output, &output
		if err := command.Run(); err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(output.String()))
		}
		return nil
	})
}
