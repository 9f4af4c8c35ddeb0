// SPDX-License-Identifier: Apache-2.0

// Package verifyapp is the auditor's tool: it checks a proof file with nothing but the domain's public log key, offline, and says in plain
// words what the proof shows. cmd/strongroom-verify and 'strongroom verify' are both this code.
package verifyapp

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"strongroom/internal/app/words"
	"strongroom/internal/pure/proof"
	"strongroom/verify"
)

// Exit codes.
const (
	OK      = 0
	Failed  = 1 // a file can't be read, or the like: nothing was shown
	Usage   = 2
	Invalid = 9 // the proof does not hold
)

const usage = `%[1]s checks what a domain claims, offline: it needs the file and the domain's public log key, nothing else.

  %[1]s proof FILE --log-key KEY [-o table|json]

KEY is the public log key as 64 hex digits, or a file with them, or the domain's public file (domain.json). Have it from a source of
your own: a key that came with the proof shows nothing.

Exit status: 0 the proof holds, 9 it does not, 1 another error, 2 usage.
`

// Main runs the tool as name and gives the exit code.
func Main(name string, args []string, stdout, stderr io.Writer) int {
	err := run(name, args, stdout)
	var wrong *usageError
	switch {
	case err == nil:
		return OK
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stdout, usage, name)
		return OK
	case errors.As(err, &wrong):
		tell(stderr, err)
		fmt.Fprintf(stderr, "strongroom: hint: %s --help\n", name)
		return Usage
	case errors.Is(err, verify.ErrInvalid):
		tell(stderr, err)
		fmt.Fprintf(stderr, "strongroom: hint: get the proof again ('strongroom proof get') and compare the log key; if both are right, somebody changed the file or the log\n")
		return Invalid
	default:
		tell(stderr, err)
		return Failed
	}
}

// tell writes an error in a line. What stands in the file that was checked may be in it.
func tell(w io.Writer, err error) {
	fmt.Fprintf(w, "strongroom: error: %s\n", words.Plain(strings.ReplaceAll(err.Error(), "\n", "; ")))
}

// usageError says that the command line is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func wrong(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

func run(name string, args []string, stdout io.Writer) error {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	key := f.String("log-key", "", "")
	output := f.String("output", "table", "")
	f.StringVar(output, "o", "table", "")
	var words []string
	for rest := args; ; { // flags may stand anywhere
		if err := f.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return err
			}
			return &usageError{err}
		}
		if f.NArg() == 0 {
			break
		}
		words, rest = append(words, f.Arg(0)), f.Args()[1:]
	}
	switch {
	case len(words) == 0 || words[0] == "help":
		return flag.ErrHelp
	case words[0] != "proof":
		return wrong("%q can't be checked; what can is a proof", words[0])
	case len(words) != 2:
		return wrong("proof takes one file")
	case *key == "":
		return wrong("--log-key is required")
	case *output != "table" && *output != "json":
		return wrong("-o takes table or json, not %q", *output)
	}
	return check(words[1], *key, *output, stdout)
}

func check(path, key, output string, stdout io.Writer) error {
	pub, err := LogKey(key)
	if err != nil {
		return err
	}
	b, err := readFile(path)
	if err != nil {
		return err
	}
	r, err := verify.Proof(b, pub)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if output == "json" {
		return writeJSON(stdout, r)
	}
	return writeWords(stdout, r, pub)
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, proof.MaxFile+1))
}

// LogKey reads a public log key: 64 hex digits, or a file that holds them, or a domain's public file.
func LogKey(s string) (ed25519.PublicKey, error) {
	if b, err := parseKey(s); err == nil {
		return b, nil
	}
	b, err := readFile(s)
	if err != nil {
		return nil, wrong("--log-key: neither 64 hex digits nor a file that can be read: %v", err)
	}
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "{") {
		var d struct {
			LogKey string `json:"logKey"`
		}
		if err := json.Unmarshal(b, &d); err != nil {
			return nil, wrong("--log-key: %s is no public file of a domain: %v", s, err)
		}
		text = d.LogKey
	}
	k, err := parseKey(text)
	if err != nil {
		return nil, wrong("--log-key: %s: %v", s, err)
	}
	return k, nil
}

func parseKey(s string) (ed25519.PublicKey, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, errors.New("a log key is 64 hex digits")
	}
	return b, nil
}

// Check says whether a proof holds with a log key in hex.
func Check(file []byte, logKey string) error {
	k, err := parseKey(logKey)
	if err != nil {
		return err
	}
	_, err = verify.Proof(file, k)
	return err
}
