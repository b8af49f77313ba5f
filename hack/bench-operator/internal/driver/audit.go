package driver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/echo-operator/echo-operator/hack/bench-operator/internal/measure"
)

// auditLog counts the requests of one user, by the audit log of the API server.
type auditLog struct {
	path    string
	user    string
	file    *os.File
	reader  *bufio.Reader
	partial []byte
}

// auditEvent has the fields of a line that are read.
type auditEvent struct {
	Stage      string `json:"stage"`
	Verb       string `json:"verb"`
	RequestURI string `json:"requestURI"`
	User       struct {
		Username string `json:"username"`
	} `json:"user"`
	ObjectRef *struct {
		Resource    string `json:"resource"`
		Subresource string `json:"subresource"`
	} `json:"objectRef"`
	ResponseStatus struct {
		Code int `json:"code"`
	} `json:"responseStatus"`
}

// openAuditLog begins at the current end of the log.
func openAuditLog(path, user string) (*auditLog, error) {
	l := &auditLog{path: path, user: user}
	if err := l.open(); err != nil {
		return nil, err
	}
	if _, err := l.file.Seek(0, io.SeekEnd); err != nil {
		return nil, fmt.Errorf("find the end of the audit log: %w", err)
	}
	return l, nil
}

func (l *auditLog) open() error {
	file, err := os.Open(l.path)
	if err != nil {
		return fmt.Errorf("open the audit log: %w", err)
	}
	if l.file != nil {
		l.file.Close()
	}
	l.file, l.reader, l.partial = file, bufio.NewReaderSize(file, 1<<20), nil
	return nil
}

// next counts the requests that were answered since the last call. A log that was rotated is read to its end first.
func (l *auditLog) next() (measure.Requests, error) {
	requests := measure.Requests{}
	for {
		if err := l.drain(requests); err != nil {
			return nil, err
		}
		isCurrent, err := l.isCurrent()
		if err != nil || isCurrent {
			return requests, err
		}
		if err := l.open(); err != nil {
			return nil, err
		}
	}
}

// drain counts all complete lines. The last line may be incomplete.
func (l *auditLog) drain(requests measure.Requests) error {
	for {
		line, err := l.reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			l.partial = append(l.partial, line...)
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		if len(l.partial) > 0 {
			line, l.partial = append(l.partial, line...), nil
		}
		if err := l.count(line, requests); err != nil {
			return err
		}
	}
}

// isCurrent reports whether the open file still has the log's name.
func (l *auditLog) isCurrent() (bool, error) {
	read, err := l.file.Stat()
	if err != nil {
		return false, fmt.Errorf("look at the audit log: %w", err)
	}
	named, err := os.Stat(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil // it is being rotated
	}
	if err != nil {
		return false, fmt.Errorf("look at the audit log: %w", err)
	}
	return os.SameFile(read, named), nil
}

// count counts one line, if it is the user's. A watch counts when it begins, all else when it ends.
func (l *auditLog) count(line []byte, requests measure.Requests) error {
	if !bytes.Contains(line, []byte(l.user)) {
		return nil
	}
	var event auditEvent
	if err := json.Unmarshal(line, &event); err != nil {
		return fmt.Errorf("decode a line of the audit log: %w", err)
	}
	stage := "ResponseComplete"
	if event.Verb == "watch" {
		stage = "ResponseStarted"
	}
	if event.User.Username != l.user || event.Stage != stage {
		return nil
	}
	request := measure.Request{Verb: event.Verb, Resource: event.RequestURI}
	if event.ObjectRef != nil {
		request.Resource = event.ObjectRef.Resource
		if event.ObjectRef.Subresource != "" {
			request.Resource += "/" + event.ObjectRef.Subresource
		}
	}
	if event.ResponseStatus.Code >= 400 {
		request.Code = event.ResponseStatus.Code
	}
	requests[request]++
	return nil
}
