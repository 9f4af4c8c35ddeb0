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
	"runtime"
	"runtime/debug"
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

  %[1]s proof FILE --log-key KEY [--witness VKEY … [--quorum N]] [-o table|json]
  %[1]s ceremony TRANSCRIPT [--script-hash HASH] [--proof FILE --log-key KEY] [-o table|json]
  %[1]s version

KEY is the public log key as 64 hex digits, or a file with them, or the domain's public file (domain.json). Have it from a source of
your own: a key that came with the proof shows nothing.

Where the domain has log witnesses, a quorum of them must have cosigned; --witness names those that you trust yourself, more than half of
which (or N) must have.

HASH is the hash on page one of the script that was reviewed: without it the transcript shows only that some script was followed. With any proof file of
the domain, ceremony checks besides that the domain's genesis is the one that was made there.

Exit status: 0 the proof holds, 9 it does not, 1 another error (the file is no proof at all, say), 2 usage.
`

// Main runs the tool as name and gives the exit code.
func Main(name string, args []string, stdout, stderr io.Writer) int {
	asJSON, err := run(name, args, stdout)
	if err == nil {
		return OK
	}
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(stdout, usage, name)
		return OK
	}
	f := failure{Kind: "error", Detail: err.Error()}
	code := Failed
	var wrong *usageError
	switch {
	case errors.As(err, &wrong):
		code, f.Kind, f.Hint = Usage, "usage", name+" --help"
	case errors.Is(err, verify.ErrNotProof):
		f.Kind, f.Hint = "not-a-proof", "'strongroom proof get' writes one"
	case errors.Is(err, verify.ErrNotTranscript):
		f.Kind, f.Hint = "not-a-transcript", "'strongroom ceremony run' writes one: transcript.cbor in its folder"
	case errors.Is(err, errTranscript):
		code, f.Kind, f.Hint = Invalid, "alarm", "compare the file with the copies that the others took with them; if they are the same, the ceremony was not what it should have been"
	case errors.Is(err, verify.ErrInvalid):
		code, f.Kind = Invalid, "alarm"
		f.Hint = "get the proof again ('strongroom proof get') and compare the log key; if both are right, somebody changed the file or the log"
	}
	if asJSON {
		if b, err := words.JSON(map[string]failure{"error": f}, ""); err == nil {
			_, _ = stderr.Write(b) // nobody is left to tell
		}
		return code
	}
	// What stands in the file that was checked may be in it.
	fmt.Fprintf(stderr, "strongroom: error: %s\n", words.Plain(strings.ReplaceAll(f.Detail, "\n", "; ")))
	if f.Hint != "" {
		fmt.Fprintf(stderr, "strongroom: hint: %s\n", f.Hint)
	}
	return code
}

// failure is an error in JSON. Kind is usage, not-a-proof, alarm (the proof does not hold) or error.
type failure struct {
	Kind   string `json:"kind"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// usageError says that the command line is wrong.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }

func wrong(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// run says besides whether JSON was asked for.
func run(name string, args []string, stdout io.Writer) (asJSON bool, err error) {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	key := f.String("log-key", "", "")
	script := f.String("script-hash", "", "")
	proofFile := f.String("proof", "", "")
	output := f.String("output", "table", "")
	f.StringVar(output, "o", "table", "")
	var by verify.Options
	f.Func("witness", "", func(s string) error { by.Witnesses = append(by.Witnesses, s); return nil })
	f.IntVar(&by.Quorum, "quorum", 0, "")
	var words []string
	for rest := args; ; { // flags may stand anywhere
		if err := f.Parse(rest); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return false, err
			}
			return *output == "json", &usageError{err}
		}
		if f.NArg() == 0 {
			break
		}
		words, rest = append(words, f.Arg(0)), f.Args()[1:]
	}
	asJSON = *output == "json"
	switch {
	case len(words) == 0 || words[0] == "help":
		return asJSON, flag.ErrHelp
	case words[0] == "version":
		return asJSON, writeVersion(stdout, asJSON)
	case *output != "table" && *output != "json":
		return asJSON, wrong("-o takes table or json, not %q", *output)
	case words[0] == "ceremony":
		if len(words) != 2 {
			return asJSON, wrong("ceremony takes one transcript")
		}
		return asJSON, Ceremony(CeremonyCheck{Transcript: words[1], ScriptHash: *script, Proof: *proofFile, LogKey: *key, JSON: asJSON}, stdout)
	case words[0] != "proof":
		return asJSON, wrong("%q can't be checked; what can is a proof, or the transcript of a ceremony", words[0])
	case len(words) != 2:
		return asJSON, wrong("proof takes one file")
	case *key == "":
		return asJSON, wrong("--log-key is required")
	}
	return asJSON, check(words[1], *key, by, *output, stdout)
}

// Version gives this program's version: the release, or for other builds the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && v == "(devel)" {
			v += " " + s.Value
		}
	}
	return v
}

func writeVersion(stdout io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(stdout).Encode(map[string]string{"version": Version(), "go": runtime.Version()})
	}
	_, err := fmt.Fprintf(stdout, "strongroom-verify  %s\ngo                 %s\n", Version(), runtime.Version())
	return err
}

func check(path, key string, by verify.Options, output string, stdout io.Writer) error {
	pub, err := LogKey(key)
	if err != nil {
		return err
	}
	b, err := readFile(path)
	if err != nil {
		return err
	}
	r, err := verify.ProofWith(b, pub, by)
	if errors.Is(err, verify.ErrOptions) {
		return &usageError{err}
	}
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
