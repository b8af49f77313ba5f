// Package gitops holds tests that give an EchoCluster in every state to the code by which GitOps tools assess it, and compare the
// results with each other and with the table of docs/gitops.md.
package gitops
