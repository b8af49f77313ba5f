// Package gitops holds tests that show an EchoCluster in every state to the programs by which GitOps tools judge it, and compare
// what they say with the table of docs/gitops.md.
package gitops
