// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"errors"
	"fmt"
	"strings"

	"strongroom/internal/pure/tlog"
)

// Logs are the logs that a witness accepts: the trusted keys of each by its origin.
type Logs map[string][]tlog.Key

// ParseLogs reads a list of logs: lines "log VKEY [URL]" as in C2SP tlog-policy, empty lines, and comments that begin with #. The key's
// name is the log's origin; several keys of one origin are several lines.
func ParseLogs(text string) (Logs, error) {
	logs := Logs{}
	seen := map[string]bool{}
	err := eachLine(text, func(words []string) error {
		if words[0] != "log" || len(words) < 2 || len(words) > 3 {
			return errors.New("want \"log VKEY\", with a URL after it or not")
		}
		k, err := tlog.ParseKey(words[1])
		if err != nil {
			return err
		}
		_, public, _ := strings.Cut(strings.TrimPrefix(words[1], k.Origin()+"+"), "+")
		if seen[public] {
			return errors.New("this public key is there twice")
		}
		seen[public] = true
		logs[k.Origin()] = append(logs[k.Origin()], k)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(logs) == 0 {
		return nil, errors.New("no log is named; a line is \"log VKEY\"")
	}
	return logs, nil
}

// Listed is a log witness of a list, with its URL prefix or none.
type Listed struct {
	tlog.Witness
	URL string
}

// ParseWitnesses reads a list of log witnesses: lines "witness NAME VKEY [URL]" as in C2SP tlog-policy, empty lines, and comments that begin
// with #. Other lines of such a policy are refused: they would say something that is not heeded here.
func ParseWitnesses(text string) ([]Listed, error) {
	var out []Listed
	err := eachLine(text, func(words []string) error {
		if words[0] != "witness" || len(words) < 3 || len(words) > 4 {
			return errors.New("want \"witness NAME VKEY\", with a URL after it or not")
		}
		k, err := tlog.ParseWitnessKey(words[2])
		if err != nil {
			return err
		}
		w := Listed{Witness: tlog.Witness{Name: words[1], Key: k}}
		if len(words) == 4 {
			w.URL = words[3]
		}
		out = append(out, w)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = errors.New("no log witness is named; a line is \"witness NAME VKEY\"")
	}
	return out, err
}

// eachLine gives the words of each line that has any.
func eachLine(text string, f func(words []string) error) error {
	for i, line := range strings.Split(text, "\n") {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return fmt.Errorf("line %d holds a control character", i+1)
		}
		words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if err := f(words); err != nil {
			return fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return nil
}
