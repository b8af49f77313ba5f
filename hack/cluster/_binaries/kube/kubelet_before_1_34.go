//go:build before_1_34

package main

import (
	"github.com/spf13/cobra"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
)

// newKubeletCommand makes the kubelet's command as Kubernetes 1.33 and older declare it.
func newKubeletCommand() *cobra.Command {
	return kubelet.NewKubeletCommand()
}
