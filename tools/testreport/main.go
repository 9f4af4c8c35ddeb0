// SPDX-License-Identifier: Apache-2.0

// Command testreport reads the events of 'go test -json' and says in a few lines what a person needs: one line a package, the output of what
// failed, and 'N passed, N failed, N skipped'. It fails if a test or a build failed, if nothing ran, or if a test was skipped for a reason
// that is not in the file of allowed reasons: a test that is left out because something could be installed has not passed.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

// event is what go test says; see 'go doc test2json', and for builds 'go help buildjson'.
type event struct {
	Action     string
	Package    string
	Test       string
	Output     string
	Elapsed    float64 // seconds
	ImportPath string  // of a build event
}

// name of what the event is about.
type name struct{ pkg, test string }

// report counts and prints.
type report struct {
	out     io.Writer
	allowed []string
	output  map[name][]string // of tests that have not ended

	passed, failed, skipped int // tests; those with subtests too
	packages                int
	broken                  bool // a build or a package failed
	bad                     []string
}

func main() {
	allowed := flag.String("allowed-skips", "", "file with a part of each allowed reason on a line")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *allowed); err != nil {
		fmt.Fprintln(os.Stderr, "testreport: error:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, allowed string) error {
	r := &report{out: out, output: map[name][]string{}}
	if allowed != "" {
		b, err := os.ReadFile(allowed)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(b)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				r.allowed = append(r.allowed, line)
			}
		}
	}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			r.line(line)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
	}
	return r.close()
}

// line takes one line of input. What is no event is shown: go says there why it could not begin.
func (r *report) line(b []byte) {
	var e event
	if err := json.Unmarshal(b, &e); err != nil || e.Action == "" {
		fmt.Fprintf(r.out, "%s", b)
		return
	}
	n := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(r.out, e.Output)
	case "build-fail":
		r.broken = true
	case "output":
		r.output[n] = append(r.output[n], e.Output)
	case "pass", "fail", "skip":
		if e.Test == "" {
			r.endPackage(e, n)
		} else {
			r.endTest(e, n)
		}
		delete(r.output, n)
	}
}

func (r *report) endPackage(e event, n name) {
	r.packages++
	switch {
	case e.Action == "fail":
		r.broken = true
		r.show(n)
		fmt.Fprintf(r.out, "FAIL %-60s %8.1fs\n", e.Package, e.Elapsed)
	case e.Action == "pass":
		fmt.Fprintf(r.out, "ok   %-60s %8.1fs\n", e.Package, e.Elapsed)
	}
}

func (r *report) endTest(e event, n name) {
	switch e.Action {
	case "pass":
		r.passed++
	case "fail":
		r.failed++
		fmt.Fprintf(r.out, "--- %s %s failed\n", e.Package, e.Test)
		r.show(n)
	case "skip":
		r.skipped++
		why := strings.Join(r.output[n], "")
		if !r.mayskip(why) {
			r.bad = append(r.bad, fmt.Sprintf("%s %s: %s", e.Package, e.Test, reason(why)))
		}
	}
}

// show prints what a test said.
func (r *report) show(n name) {
	for _, line := range r.output[n] {
		fmt.Fprint(r.out, line)
	}
}

func (r *report) mayskip(why string) bool {
	for _, a := range r.allowed {
		if strings.Contains(why, a) {
			return true
		}
	}
	return false
}

// reason is the line of a skipped test's output that says why.
func reason(why string) string {
	for line := range strings.Lines(why) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "===") && !strings.HasPrefix(line, "---") {
			return line
		}
	}
	return "no reason was given"
}

// close prints the sum.
func (r *report) close() error {
	for n, lines := range r.output { // tests that never ended: a panic, a time limit
		if n.test != "" && r.broken {
			fmt.Fprintf(r.out, "--- %s %s did not end\n%s", n.pkg, n.test, strings.Join(lines, ""))
		}
	}
	for _, b := range r.bad {
		fmt.Fprintln(r.out, "--- skipped for a reason that is not allowed:", b)
	}
	fmt.Fprintf(r.out, "%d passed, %d failed, %d skipped\n", r.passed, r.failed, r.skipped)
	switch {
	case r.failed > 0 || r.broken:
		return errors.New("tests failed")
	case len(r.bad) > 0:
		return fmt.Errorf("%d tests were skipped: install what they name", len(r.bad))
	case r.passed == 0:
		return errors.New("no test ran")
	}
	return nil
}
