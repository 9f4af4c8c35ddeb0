// SPDX-License-Identifier: Apache-2.0

package verifyapp

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"strongroom/internal/app/words"
	"strongroom/verify"
)

// errTranscript says that a transcript does not hold.
var errTranscript = errors.New("the transcript does not hold")

// CeremonyCheck says what is checked of a ceremony.
type CeremonyCheck struct {
	Transcript string // file
	ScriptHash string // in hex, spaces allowed; empty: any script
	Proof      string // proof file of the domain that was made; may be empty
	LogKey     string // for it
	JSON       bool
}

// ceremonyReport is a verify.Ceremony in JSON. Names are camelCase and never change.
type ceremonyReport struct {
	Holds      bool             `json:"holds"` // true; a transcript that does not hold gives no report
	Script     string           `json:"script"`
	Compared   bool             `json:"compared"` // the script's hash, with one from elsewhere
	ID         string           `json:"id"`
	Purpose    string           `json:"purpose"`
	Profile    string           `json:"profile"`
	Unattended bool             `json:"unattended"`
	Threshold  uint32           `json:"threshold"`
	Shares     int              `json:"shares"`
	Program    string           `json:"program"`
	Recovery   string           `json:"recovery,omitempty"`
	Domain     string           `json:"domain,omitempty"` // of the proof whose genesis was made here
	Signers    []string         `json:"signers"`
	Notes      []string         `json:"notes"`
	Records    []ceremonyRecord `json:"records"`
}

type ceremonyRecord struct {
	Step   string `json:"step"`
	Actor  string `json:"actor"`
	Time   string `json:"time"`
	Detail string `json:"detail,omitempty"`
}

// Ceremony checks a transcript, and says what happened.
func Ceremony(c CeremonyCheck, stdout io.Writer) error {
	b, err := readFile(c.Transcript)
	if err != nil {
		return err
	}
	t, err := verify.Transcript(b)
	if errors.Is(err, verify.ErrNotTranscript) {
		return fmt.Errorf("%s: %w", c.Transcript, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", c.Transcript, errTranscript, err)
	}
	if c.ScriptHash != "" {
		want, err := hex.DecodeString(strings.Join(strings.Fields(c.ScriptHash), ""))
		if err != nil || len(want) != 32 {
			return wrong("--script-hash: 64 hex digits, as on page one of the script")
		}
		if t.Script != [32]byte(want) {
			return fmt.Errorf("%s: %w: it follows another script, with hash %x", c.Transcript, errTranscript, t.Script)
		}
	}
	out := ceremonyReport{Holds: true, Script: hex.EncodeToString(t.Script[:]), Compared: c.ScriptHash != "", ID: t.ID, Purpose: t.Purpose, Profile: t.Profile,
		Unattended: t.Unattended, Threshold: t.Threshold, Shares: t.Shares, Program: hex.EncodeToString(t.Program[:]), Signers: t.Signers,
		Notes: append([]string{}, t.Notes...), Records: []ceremonyRecord{}}
	if t.Recovery != [32]byte{} {
		out.Recovery = hex.EncodeToString(t.Recovery[:])
	}
	if c.Proof != "" {
		if out.Domain, err = madeDomain(c, t); err != nil {
			return err
		}
	}
	for _, r := range t.Records {
		out.Records = append(out.Records, ceremonyRecord{r.Step, r.Actor, r.Time.Format(time.RFC3339Nano), r.Detail})
	}
	if c.JSON {
		b, err := words.JSON(out, "  ")
		if err == nil {
			_, err = stdout.Write(b)
		}
		return err
	}
	return writeCeremony(stdout, t, out)
}

// madeDomain checks that the genesis in a proof of a domain is the one of the ceremony, and gives the domain.
func madeDomain(c CeremonyCheck, t *verify.Ceremony) (string, error) {
	key, err := LogKey(c.LogKey)
	if err != nil {
		return "", err
	}
	b, err := readFile(c.Proof)
	if err != nil {
		return "", err
	}
	r, err := verify.Proof(b, key)
	if err != nil {
		return "", fmt.Errorf("%s: %w", c.Proof, err)
	}
	if err := t.Made(r.Genesis); err != nil {
		return "", fmt.Errorf("%s: %w: %w", c.Transcript, errTranscript, err)
	}
	return r.Domain.String(), nil
}

// writeCeremony says it in words.
func writeCeremony(w io.Writer, t *verify.Ceremony, r ceremonyReport) error {
	var b strings.Builder
	say := func(name, format string, args ...any) {
		fmt.Fprintln(&b, words.Plain(fmt.Sprintf("%-12s"+format, append([]any{name}, args...)...)))
	}
	fmt.Fprintf(&b, "The transcript holds. %s\n\n", purposeWords(t))
	compared := "compare it with page one of the script that was reviewed"
	if r.Compared {
		compared = "the one that was given"
	}
	say("script", "%s, hash %s (%s)", t.ID, r.Script, compared)
	say("profile", "%s", t.Profile)
	if t.Unattended {
		say("note", "it was an exercise: keys came from files, and nobody's word is in it")
	}
	say("program", "strongroom-core, SHA-256 %s, compared by two people", r.Program)
	if r.Recovery != "" {
		say("recovery", "public key with SHA-256 %s", r.Recovery)
	}
	if r.Domain != "" {
		say("domain", "%s: its genesis was made here", r.Domain)
	}
	for _, s := range t.Signers {
		say("signed by", "%s", s)
	}
	for i, l := range t.Records {
		say("record", "%-4d %-8s %-12s %s  %s", i, l.Step, l.Actor, words.Time(l.Time), l.Detail)
	}
	for _, n := range t.Notes {
		say("witness", "%s", n)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// purposeWords says in a sentence what a ceremony was.
func purposeWords(t *verify.Ceremony) string {
	switch t.Purpose {
	case "create":
		return fmt.Sprintf("A master secret was made and shared: any %d of %d custodians can bring it back, and each of them has checked their share.", t.Threshold, t.Shares)
	case "restore":
		return "Custodians brought a domain's keys back into a root of trust."
	case "refresh":
		return fmt.Sprintf("The custodians got new shares of the same master secret: any %d of %d. The old ones must be destroyed.", t.Threshold, t.Shares)
	default:
		return "Custodians showed that their shares give the master secret; nothing was kept."
	}
}
