// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"

	"strongroom/internal/app/words"
)

// writeJSON writes data as JSON.
func (e *env) writeJSON(v any) error {
	b, err := words.JSON(v, "  ")
	if err == nil {
		_, err = e.Out.Write(b)
	}
	return err
}

// table writes rows under a heading; empty rows say so in words.
func (e *env) table(heading []string, rows [][]string) error {
	if len(rows) == 0 {
		e.say("none")
		return nil
	}
	w := tabwriter.NewWriter(e.Out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.ToUpper(row(heading...)))
	for _, r := range rows {
		fmt.Fprintln(w, row(r...))
	}
	return w.Flush()
}

// row joins the cells of a line; what others wrote may be in them.
func row(cells ...string) string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = words.Plain(c)
	}
	return strings.Join(out, "\t")
}

// pair is a name and what it is.
type pair struct{ name, value string }

// pairs writes names and values, one a line; an empty name goes on with the one above.
func (e *env) pairs(ps []pair) error {
	w := tabwriter.NewWriter(e.Out, 0, 0, 2, ' ', 0)
	for _, p := range ps {
		fmt.Fprintln(w, row(p.name, p.value))
	}
	return w.Flush()
}

// show writes data as JSON or by a function.
func (e *env) show(v any, table func() error) error {
	if e.json() {
		return e.writeJSON(v)
	}
	return table()
}

// create writes a new file; "-" is standard output. It never overwrites.
func (e *env) create(path string, b []byte, mode fs.FileMode) error {
	if path == "-" {
		_, err := e.Out.Write(b)
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return hint(fmt.Errorf("%s exists already", path), "choose another name; nothing is overwritten")
	}
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// maxInput is the largest file that is read, in bytes.
const maxInput = 16 << 20

// readInput reads a file of at most maxInput bytes; "-" is standard input.
func (e *env) readInput(path string) ([]byte, error) {
	f := e.In
	if path != "-" {
		var err error
		if f, err = os.Open(path); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	b, err := io.ReadAll(io.LimitReader(f, maxInput+1))
	if err == nil && len(b) > maxInput {
		err = fmt.Errorf("%s has more than %d bytes", path, maxInput)
	}
	return b, err
}
