package driver

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

const me = "system:serviceaccount:bench:me"

// line is a line of an audit log.
func line(user, stage, verb, resource, subresource string, code int) string {
	return fmt.Sprintf(`{"stage":%q,"verb":%q,"user":{"username":%q},"objectRef":{"resource":%q,"subresource":%q},"responseStatus":{"code":%d}}`+"\n",
		stage, verb, user, resource, subresource, code)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = file.WriteString(text)
		file.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, log *auditLog) measure.Requests {
	t.Helper()
	requests, err := log.next()
	if err != nil {
		t.Fatal(err)
	}
	return requests
}

func TestOnlyOnesOwnRequestsCountAndEachOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, line(me, "ResponseComplete", "create", "services", "", 201))
	log, err := openAuditLog(path, me)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, line(me, "ResponseComplete", "patch", "echoclusters", "status", 200)+
		line(me+"-too", "ResponseComplete", "patch", "echoclusters", "status", 200)+
		line(me, "ResponseStarted", "watch", "services", "", 200)+line(me, "ResponseComplete", "watch", "services", "", 200)+
		line(me, "ResponseComplete", "create", "services", "", 409))
	got := read(t, log)
	for request, count := range map[measure.Request]int{
		{Verb: "patch", Resource: "echoclusters/status"}:  1,
		{Verb: "watch", Resource: "services"}:             1,
		{Verb: "create", Resource: "services", Code: 409}: 1,
		{Verb: "create", Resource: "services"}:            0,
	} {
		if got[request] != count {
			t.Errorf("%s: %d, not %d", request, got[request], count)
		}
	}
	if got := read(t, log); len(got) != 0 {
		t.Errorf("counted twice: %v", got)
	}
}

func TestLinesThatAreHalfWrittenAndLogsThatAreRotatedLoseNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit.log")
	write(t, path, "")
	log, err := openAuditLog(path, me)
	if err != nil {
		t.Fatal(err)
	}
	whole := line(me, "ResponseComplete", "create", "services", "", 201)
	write(t, path, whole[:40])
	if got := read(t, log); got.Total() != 0 {
		t.Errorf("half a line counts: %v", got)
	}
	write(t, path, whole[40:])
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	write(t, path, whole)
	if got := read(t, log); got.Total() != 2 {
		t.Errorf("got %v", got)
	}
}
