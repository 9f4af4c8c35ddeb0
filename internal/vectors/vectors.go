// SPDX-License-Identifier: Apache-2.0

// Package vectors reads published test vectors: official files, unchanged, in a folder outside the repository. It is imported by tests only.
//
// The folder is the one that STRONGROOM_VECTORS names; CI sets it, and a file that is missing there fails the test. Where it is not set, the
// folder shared/vectors beside the module is used if it exists, and the test is skipped, with the reason, if it does not. A file with fewer
// vectors than were published fails: a test that found nothing to check has not passed.
package vectors

import (
	"bytes"
	"encoding"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// Env names the folder of the published files.
const Env = "STRONGROOM_VECTORS"

// beside is where the folder lies next to the folder of the module.
const beside = "shared/vectors"

// Hex is a byte string that stands in hexadecimal in a vector; nil where the field is empty.
type Hex []byte

// UnmarshalText reads the digits, in any case, with or without 0x.
func (h *Hex) UnmarshalText(text []byte) error {
	digits := strings.TrimPrefix(string(text), "0x")
	if digits == "" {
		*h = nil
		return nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return fmt.Errorf("%.40q: %w", text, err)
	}
	*h = b
	return nil
}

// Load reads the vectors of a file below the folder, at least want of them. Names are like "bip/bip-0340-test-vectors.csv":
//
//   - .csv: the first line names the columns; a T is a struct whose fields have tags csv:"column", each of type string, bool (TRUE or FALSE),
//     an integer, or one with UnmarshalText. A tag without its column fails.
//   - .json: a list, decoded by encoding/json. "file.json#a.0.b" is the list in member b of element 0 of member a.
func Load[T any](t testing.TB, name string, want int) []T {
	t.Helper()
	dir := folder(t)
	file, path, _ := strings.Cut(name, "#")
	b, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
	if err != nil {
		t.Fatalf("published vectors: %v", err)
	}
	list, err := parse[T](file, path, b)
	if err == nil && (len(list) < want || len(list) == 0) {
		err = fmt.Errorf("%d vectors, %d were published", len(list), want)
	}
	if err != nil {
		t.Fatalf("published vectors %s: %v", name, err)
	}
	return list
}

// folder gives the folder of the files, or skips the test.
func folder(t testing.TB) string {
	t.Helper()
	if dir := os.Getenv(Env); dir != "" {
		return dir
	}
	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(filepath.Dir(root), filepath.FromSlash(beside))
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("%s is not set and ../%s does not exist: there are no published vectors to test with", Env, beside)
	}
	return dir
}

// moduleRoot is the folder with our go.mod, at or above the current one.
func moduleRoot() (string, error) {
	at, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		b, err := os.ReadFile(filepath.Join(at, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte("module strongroom\n")) {
			return at, nil
		}
		if at == filepath.Dir(at) {
			return "", errors.New("not inside the module strongroom")
		}
		at = filepath.Dir(at)
	}
}

func parse[T any](file, path string, b []byte) ([]T, error) {
	switch ext := filepath.Ext(file); {
	case ext == ".json":
		return parseJSON[T](path, b)
	case ext == ".csv" && path == "":
		return parseCSV[T](b)
	}
	return nil, errors.New("load .csv files, and .json files with or without a path")
}

func parseJSON[T any](path string, b []byte) ([]T, error) {
	for step := range strings.SplitSeq(path, ".") {
		if step == "" {
			continue
		}
		var next json.RawMessage
		if i, err := strconv.Atoi(step); err == nil {
			var list []json.RawMessage
			if err := json.Unmarshal(b, &list); err != nil {
				return nil, fmt.Errorf("at %q: %w", step, err)
			}
			if i >= 0 && i < len(list) {
				next = list[i]
			}
		} else {
			var members map[string]json.RawMessage
			if err := json.Unmarshal(b, &members); err != nil {
				return nil, fmt.Errorf("at %q: %w", step, err)
			}
			next = members[step]
		}
		if next == nil {
			return nil, fmt.Errorf("there is no %q", step)
		}
		b = next
	}
	var list []T
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, err
	}
	return list, nil
}

func parseCSV[T any](b []byte) ([]T, error) {
	r := csv.NewReader(bytes.NewReader(b))
	header, err := r.Read()
	if err != nil {
		return nil, err
	}
	columns := map[string]int{}
	for i, name := range header {
		columns[name] = i
	}
	var list []T
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, err
		}
		var v T
		if err := fill(reflect.ValueOf(&v).Elem(), columns, row); err != nil {
			return nil, fmt.Errorf("vector %d: %w", len(list), err)
		}
		list = append(list, v)
	}
}

// fill sets the tagged fields of a struct from a row.
func fill(v reflect.Value, columns map[string]int, row []string) error {
	if v.Kind() != reflect.Struct {
		return fmt.Errorf("a vector of a .csv file is a struct, not %s", v.Type())
	}
	for i := range v.NumField() {
		column, tagged := v.Type().Field(i).Tag.Lookup("csv")
		if !tagged {
			continue
		}
		at, ok := columns[column]
		if !ok {
			return fmt.Errorf("there is no column %q", column)
		}
		if err := set(v.Field(i), row[at]); err != nil {
			return fmt.Errorf("column %q: %w", column, err)
		}
	}
	return nil
}

func set(f reflect.Value, text string) error {
	if u, ok := f.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch {
	case f.Kind() == reflect.String:
		f.SetString(text)
	case f.Kind() == reflect.Bool && (text == "TRUE" || text == "FALSE"):
		f.SetBool(text == "TRUE")
	case f.CanInt():
		n, err := strconv.ParseInt(text, 10, f.Type().Bits())
		if err != nil {
			return err
		}
		f.SetInt(n)
	default:
		return fmt.Errorf("%.40q is no %s", text, f.Type())
	}
	return nil
}
