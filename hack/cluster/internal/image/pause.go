package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	"github.com/opencontainers/image-spec/specs-go/v1"
)

// nobody is a user without rights, as Pod Security "restricted" requires.
const nobody = "65535"

// WriteProgram writes an archive of an image that holds one static program and runs it.
func WriteProgram(name, program, path string) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return fmt.Errorf("read the program of image %s: %w", name, err)
	}
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	if err := writeFile(files, filepath.Base(program), content); err != nil {
		return err
	}
	if err := files.Close(); err != nil {
		return fmt.Errorf("write the layer of image %s: %w", name, err)
	}
	archive, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write image %s: %w", name, err)
	}
	defer archive.Close()
	layout := tar.NewWriter(archive)
	config := v1.Image{
		Platform: v1.Platform{Architecture: runtime.GOARCH, OS: runtime.GOOS},
		Config:   v1.ImageConfig{User: nobody, Entrypoint: []string{"/" + filepath.Base(program)}},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(layer.Bytes())}},
	}
	if err := writeImage(layout, name, config, layer.Bytes()); err != nil {
		return err
	}
	return layout.Close()
}

// writeImage writes the files of an OCI image layout: the layer, what names it, and the index.
func writeImage(layout *tar.Writer, name string, config v1.Image, layer []byte) error {
	layerBlob, err := writeBlob(layout, v1.MediaTypeImageLayer, layer)
	if err != nil {
		return err
	}
	configBlob, err := writeJSONBlob(layout, v1.MediaTypeImageConfig, config)
	if err != nil {
		return err
	}
	manifest := v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    configBlob,
		Layers:    []v1.Descriptor{layerBlob},
	}
	manifestBlob, err := writeJSONBlob(layout, v1.MediaTypeImageManifest, manifest)
	if err != nil {
		return err
	}
	manifestBlob.Annotations = map[string]string{v1.AnnotationRefName: name}
	index, err := json.Marshal(v1.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []v1.Descriptor{manifestBlob}})
	if err != nil {
		return fmt.Errorf("encode the index of image %s: %w", name, err)
	}
	if err := writeFile(layout, indexFile, index); err != nil {
		return err
	}
	return writeFile(layout, v1.ImageLayoutFile, []byte(`{"imageLayoutVersion":"`+v1.ImageLayoutVersion+`"}`))
}

// writeJSONBlob adds an object to an archive under its digest.
func writeJSONBlob(layout *tar.Writer, mediaType string, object any) (v1.Descriptor, error) {
	content, err := json.Marshal(object)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("encode %s: %w", mediaType, err)
	}
	return writeBlob(layout, mediaType, content)
}

// writeBlob adds content to an archive under its digest and returns what other files name it by.
func writeBlob(layout *tar.Writer, mediaType string, content []byte) (v1.Descriptor, error) {
	sum := digest.FromBytes(content)
	err := writeFile(layout, filepath.Join("blobs", sum.Algorithm().String(), sum.Encoded()), content)
	return v1.Descriptor{MediaType: mediaType, Digest: sum, Size: int64(len(content))}, err
}
