// SPDX-License-Identifier: Apache-2.0

package qrterm

import (
	"strings"
	"testing"

	"rsc.io/qr"

	"strongroom/internal/pure/offline"
)

// What is drawn is the code: each module, and the frame around it.
func TestDraw(t *testing.T) {
	t.Parallel()
	pages, err := offline.Pages([]byte(strings.Repeat("courier ", offline.PageBytes/8)))
	if err != nil {
		t.Fatal(err)
	}
	got, err := Draw(pages[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := qr.Encode(pages[0], qr.M)
	if err != nil {
		t.Fatal(err)
	}
	if c.Size > 17+4*25 {
		t.Errorf("a page takes a code of %d modules, more than version 25", c.Size)
	}
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if want := (c.Size + 2*quiet + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for i, line := range lines {
		row := []rune(strings.TrimSuffix(strings.TrimPrefix(line, blackOnWhite), plain))
		if len(row) != c.Size+2*quiet {
			t.Fatalf("line %d has %d characters", i, len(row))
		}
		for x, r := range row {
			y := 2*i - quiet
			upper, lower := r == '█' || r == '▀', r == '█' || r == '▄'
			if upper != c.Black(x-quiet, y) || lower != c.Black(x-quiet, y+1) {
				t.Fatalf("line %d, column %d: %q", i, x, r)
			}
		}
	}
	if _, err := Draw(strings.Repeat("A", 4000)); err == nil {
		t.Error("too much text is drawn")
	}
}
