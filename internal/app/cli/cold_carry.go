// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"strongroom/internal/edge/qrterm"
	"strongroom/internal/pure/offline"
)

// coldCarry is about bundles and results that a camera carries.
type coldCarry struct {
	Pages coldPages `cmd:"" help:"Show a small bundle or result as QR codes, or write its pages as text."`
	Join  coldJoin  `cmd:"" help:"Put a bundle or result together from the text of its pages, in any order."`
}

// maxCarried is the largest file that is made into pages, in bytes.
const maxCarried = offline.MaxPages * offline.PageBytes

type coldPages struct {
	File string `arg:"" help:"Bundle or result."`
	Text bool   `help:"Write the text of the pages, one a line, and no codes."`
	All  bool   `help:"Do not wait between the codes."`
}

// Run shows the pages.
func (c *coldPages) Run(e *env) error {
	f, err := os.Open(c.File)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // it was only read
	b, err := io.ReadAll(io.LimitReader(f, maxCarried+1))
	if err != nil {
		return err
	}
	pages, err := offline.Pages(b)
	if err != nil {
		return hint(err, "carry the file itself, on a new USB stick or a CD")
	}
	wait := !c.All && e.In != nil && term.IsTerminal(int(e.In.Fd()))
	for i, p := range pages {
		if c.Text {
			fmt.Fprintln(e.Out, p)
			continue
		}
		code, err := qrterm.Draw(p)
		if err != nil {
			return err
		}
		fmt.Fprint(e.Out, code)
		e.say("page %d of %d", i+1, len(pages))
		if wait && i+1 < len(pages) {
			e.say("Enter: the next one.")
			if _, err := bufio.NewReader(io.LimitReader(e.In, 100)).ReadString('\n'); err != nil {
				return err
			}
		}
	}
	return nil
}

type coldJoin struct {
	File string `arg:"" optional:"" help:"Text of the pages, one a line; default: standard input."`
	Out  string `required:"" placeholder:"FILE" help:"Where the bundle or result is written."`
}

// Run joins the pages.
func (c *coldJoin) Run(e *env) error {
	var in io.Reader = e.In
	if c.File != "" {
		f, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, 16*maxCarried))
	if err != nil {
		return err
	}
	b, err := offline.Join(strings.Split(string(text), "\n"))
	if err != nil {
		return hint(err, "read the pages that are named once more, and give all of them again")
	}
	if err := replace(c.Out, b, 0o600); err != nil {
		return err
	}
	e.say("%s has %d bytes; they are what was split.", c.Out, len(b))
	return nil
}
