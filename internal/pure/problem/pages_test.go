// SPDX-License-Identifier: Apache-2.0

package problem_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"strongroom/internal/pure/problem"
)

// pages is the folder with a page for each kind.
const pages = "../../../docs/problems"

// statusLine is how a page names the HTTP statuses of its kind, the usual one first.
var statusLine = regexp.MustCompile(`(?m)^HTTP status: ([45][0-9]{2})((?:; [45][0-9]{2} [^.]+)?)\.$`)

// TestPages: every kind has a page in docs/problems and every page is of a kind. A page says what the kind means and what to do, and
// its example is a problem document of that kind with a status that the page names.
func TestPages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join(pages, "*"))
	if err != nil || len(files) < 20 {
		t.Fatalf("found %d pages: %v", len(files), err)
	}
	for _, f := range files {
		if k, ok := strings.CutSuffix(filepath.Base(f), ".md"); !ok || !slices.Contains(problem.Kinds(), problem.Kind(k)) {
			t.Errorf("%s is the page of no kind", f)
		}
	}
	for _, k := range problem.Kinds() {
		text, err := os.ReadFile(filepath.Join(pages, string(k)+".md"))
		if err != nil {
			t.Errorf("kind %s has no page: %v", k, err)
			continue
		}
		checkPage(t, k, string(text))
	}
}

func checkPage(t *testing.T, k problem.Kind, page string) {
	t.Helper()
	status := statusLine.FindStringSubmatch(page)
	if !strings.HasPrefix(page, "# "+string(k)+"\n\n") || status == nil || !strings.Contains(page, "\n**What to do.** ") {
		t.Errorf("%s: want a title, a line of HTTP statuses and what to do", k)
		return
	}
	_, rest, ok := strings.Cut(page, "\n**Example.** ")
	_, rest, fenced := strings.Cut(rest, "\n```json\n")
	text, _, closed := strings.Cut(rest, "\n```\n")
	var example struct {
		Type      string
		Title     string
		Status    int
		Kind      problem.Kind
		Detail    string
		Rule      string
		Unmet     []problem.Unmet
		Pointer   string
		RequestID string
		Incident  string
		Retryable bool
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&example); !ok || !fenced || !closed || err != nil {
		t.Errorf("%s: the example is no problem document: %v", k, err)
		return
	}
	if example.Kind != k || example.Type != "/docs/problems/"+string(k) || example.Detail == "" || example.Title == "" {
		t.Errorf("%s: the example is %+v", k, example)
	}
	if !strings.Contains(status[1]+status[2], strconv.Itoa(example.Status)) {
		t.Errorf("%s: the example has status %d, which the page does not name", k, example.Status)
	}
}
