// Package image reads and writes OCI image archives, and loads them into nodes without a registry.
package image

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go/v1"
)

// indexFile is the file of an OCI image layout that lists its images.
const indexFile = "index.json"

// containerdName is the annotation from which containerd takes an imported image's full name.
const containerdName = "io.containerd.image.name"

// ReadName returns the full name of the image in an archive, as pods must write it, and the archive's index with that name in
// the annotation that containerd reads. Tools such as buildah write the name where containerd takes it for a bare tag.
func ReadName(archive io.Reader) (string, []byte, error) {
	index, err := readIndex(archive)
	if err != nil {
		return "", nil, err
	}
	annotations := index.Manifests[0].Annotations
	name := annotations[containerdName]
	if name == "" {
		name = annotations[v1.AnnotationRefName]
	}
	if name == "" {
		return "", nil, errors.New("its image has no name: write the archive by `buildah push IMAGE oci-archive:FILE:NAME:TAG`")
	}
	full, err := reference.ParseDockerRef(name)
	if err != nil {
		return "", nil, fmt.Errorf("its image's name %q is none that a pod could write: %w", name, err)
	}
	index.Manifests[0].Annotations = map[string]string{containerdName: full.String()}
	text, err := json.Marshal(index)
	if err != nil {
		return "", nil, fmt.Errorf("encode index.json: %w", err)
	}
	return full.String(), text, nil
}

// ReadDigest returns the digest of the one image in an archive on disk.
func ReadDigest(path string) (digest.Digest, error) {
	var index v1.Index
	err := readFile(path, func(archive io.Reader) error {
		var err error
		index, err = readIndex(archive)
		return err
	})
	if err != nil {
		return "", err
	}
	return index.Manifests[0].Digest, nil
}

// readIndex finds an archive's index, which lists exactly one image.
func readIndex(archive io.Reader) (v1.Index, error) {
	var index v1.Index
	files := tar.NewReader(archive)
	for {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return index, errors.New("it has no index.json, so it is no OCI archive: write one by `buildah push IMAGE oci-archive:FILE:NAME:TAG`")
		}
		if err != nil {
			return index, fmt.Errorf("read the archive (is it a tar file?): %w", err)
		}
		if cleanName(header.Name) == indexFile {
			break
		}
	}
	if err := json.NewDecoder(files).Decode(&index); err != nil {
		return index, fmt.Errorf("decode index.json: %w", err)
	}
	if len(index.Manifests) != 1 {
		return index, fmt.Errorf("it holds %d images: write one image to each archive", len(index.Manifests))
	}
	return index, nil
}

// CopyWithIndex copies an archive with another index in place of its own.
func CopyWithIndex(to io.Writer, archive io.Reader, index []byte) error {
	from, copied := tar.NewReader(archive), tar.NewWriter(to)
	for {
		header, err := from.Next()
		if errors.Is(err, io.EOF) {
			return copied.Close()
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		if cleanName(header.Name) == indexFile {
			if err := writeFile(copied, indexFile, index); err != nil {
				return err
			}
			continue
		}
		if err := copied.WriteHeader(header); err != nil {
			return fmt.Errorf("copy %s of the archive: %w", header.Name, err)
		}
		if _, err := io.Copy(copied, from); err != nil {
			return fmt.Errorf("copy %s of the archive: %w", header.Name, err)
		}
	}
}

// readFile opens an archive on disk and hands it to read.
func readFile(path string, read func(io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the image archive: %w", err)
	}
	defer file.Close()
	return read(file)
}

// writeFile adds one file to an archive, without times, so that equal content makes equal archives.
func writeFile(archive *tar.Writer, name string, content []byte) error {
	header := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}
	if err := archive.WriteHeader(header); err != nil {
		return fmt.Errorf("write %s to the archive: %w", name, err)
	}
	if _, err := archive.Write(content); err != nil {
		return fmt.Errorf("write %s to the archive: %w", name, err)
	}
	return nil
}

// cleanName drops the ./ that some tools put before each name.
func cleanName(name string) string {
	if len(name) > 2 && name[:2] == "./" {
		return name[2:]
	}
	return name
}
