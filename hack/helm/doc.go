// Package helm holds tests of Helm 4 with an EchoCluster in a chart. Its go.mod is where the project gets the `helm` command from:
//
//	GOWORK=off go -C hack/helm build -o "$PWD/target/helm" helm.sh/helm/v4/cmd/helm
package helm
