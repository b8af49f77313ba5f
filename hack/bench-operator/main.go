// Command bench-operator compares three clients that manage the children of EchoClusters, in turns and on one cluster: the operator of this
// project, a peer written with controller-runtime by its best practices, and a floor, which sends the fewest possible requests.
//
// The scenarios are in internal/driver/scenarios.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/driver"
	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/report"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("bench-operator: ", err)
	}
}

// run measures, prints the tables, and writes the document with its picture.
func run(ctx context.Context) error {
	options := driver.Options{Out: os.Stderr}
	var operator, peer, floor, document, clients string
	flag.StringVar(&options.Kubeconfig, "kubeconfig", "", "the administrator's kubeconfig")
	flag.StringVar(&options.AuditLog, "audit-log", "", "the API server's audit log")
	flag.StringVar(&options.CRD, "crd", "crds/echoclusters.yaml", "the CRD")
	flag.StringVar(&options.Work, "work", "", "a folder for logs and kubeconfigs")
	flag.StringVar(&operator, "operator", "", "the operator's program")
	flag.StringVar(&peer, "peer", "", "the peer's program")
	flag.StringVar(&floor, "floor", "", "the floor's program")
	flag.StringVar(&document, "document", "", "the document to write the figures into, beside which the picture goes")
	flag.StringVar(&clients, "clients", strings.Join(measure.Clients, ","), "the clients that have a turn")
	flag.IntVar(&options.Count, "count", 1000, "how many EchoClusters")
	flag.IntVar(&options.Rounds, "rounds", 1, "how many turns each client has")
	flag.DurationVar(&options.Settled, "settled", time.Minute, "how long nothing is done")
	flag.Parse()
	all := []driver.Client{
		{Name: measure.Peer, Command: func(address string) []string { return []string{peer, "--metrics", address} }},
		{Name: measure.Ours, Command: func(address string) []string { return []string{operator, "run", "--admin", address} }},
		{Name: measure.Floor, Command: func(address string) []string { return []string{floor, "--metrics", address} }},
	}
	for _, client := range all {
		if slices.Contains(strings.Split(clients, ","), client.Name) {
			options.Clients = append(options.Clients, client)
		}
	}
	begun := time.Now()
	rounds, err := driver.Run(ctx, options)
	if err != nil {
		return err
	}
	done := report.Run{Rounds: rounds, Count: options.Count, Settled: options.Settled, Took: time.Since(begun)}
	fmt.Print(done.Section())
	return write(document, done)
}

// write replaces the section of the document, and the picture beside it, which a large run has not.
func write(document string, done report.Run) error {
	text, err := os.ReadFile(document)
	if err != nil {
		return fmt.Errorf("read the document: %w", err)
	}
	replaced, err := done.Replace(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", document, err)
	}
	picture := filepath.Join(filepath.Dir(document), report.PictureFile)
	if !done.IsLarge() {
		if err := os.WriteFile(picture, []byte(done.Picture()), 0o644); err != nil {
			return fmt.Errorf("write the picture: %w", err)
		}
	}
	if err := os.WriteFile(document, []byte(replaced), 0o644); err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	return nil
}
