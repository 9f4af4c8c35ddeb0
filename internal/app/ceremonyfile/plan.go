// SPDX-License-Identifier: Apache-2.0

package ceremonyfile

import (
	"fmt"
	"strings"

	"strongroom/internal/pure/ceremony"
)

// Groups writes a hash in groups of four digits, as people read it aloud.
func Groups(hash [32]byte) string {
	digits := fmt.Sprintf("%x", hash)
	var out []string
	for i := 0; i < len(digits); i += 4 {
		out = append(out, digits[i:i+4])
	}
	return strings.Join(out, " ")
}

// Brings says what somebody brings to a ceremony.
func Brings(s ceremony.Script, p ceremony.Participant) []string {
	out := []string{"this script, on paper, with its hash", "their enrolled key"}
	if p.Role == ceremony.Administrator || p.Name == s.Of(ceremony.Witness)[0].Name {
		out = append(out, "the SHA-256 of strongroom-core, computed on a machine of their own")
	}
	for _, q := range s.Bringers() {
		if q.Name == p.Name {
			out = append(out, "their sealed share, or its words, and the key that opens it")
		}
	}
	for _, q := range s.Receivers() {
		if q.Name == p.Name {
			out = append(out, "the key of their recipient", "a tamper-evident bag")
		}
	}
	for _, name := range s.Entropy.Dice {
		if name == p.Name {
			out = append(out, "a die")
		}
	}
	return out
}

// Plan writes a script as a check list to print: the hash on page one, who takes part, and every step with room for initials and times. It is
// Markdown, and reads well as plain text.
func Plan(s ceremony.Script) string {
	var b strings.Builder
	title := s.Title
	if title == "" {
		title = "Ceremony " + s.ID
	}
	fmt.Fprintf(&b, "# %s\n\n", title)
	fmt.Fprintf(&b, "Hash of the script, to be compared by everybody:\n\n    %s\n\n", Groups(s.Hash()))
	fmt.Fprintf(&b, "| | |\n|---|---|\n")
	for _, row := range facts(s) {
		fmt.Fprintf(&b, "| %s | %s |\n", row[0], row[1])
	}
	fmt.Fprintf(&b, "\n## Who takes part\n\n| role | name | key | brings | bag | safe |\n|---|---|---|---|---|---|\n")
	for _, p := range s.Participants {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", p.Role, p.Name, p.Key.Ref(), strings.Join(Brings(s, p), "; "), p.Bag, p.Safe)
	}
	fmt.Fprintf(&b, "\nNobody has two roles. Everybody signs with their own key, and nobody leaves before the closing signatures.\n")
	fmt.Fprintf(&b, "\n## Steps\n\n| | who | what | time | initials |\n|---|---|---|---|---|\n")
	steps := s.Steps()
	for i, step := range steps {
		fmt.Fprintf(&b, "| %d | %s | %s | | |\n", i+1, step.Actor, step.Title)
	}
	for i, p := range s.Participants {
		fmt.Fprintf(&b, "| %d | %s | sign the whole transcript | | |\n", len(steps)+i+1, p.Name)
	}
	fmt.Fprintf(&b, "\nWhat departs from this list is written down by a witness, in the transcript and here:\n\n    \n\n    \n\n    \n")
	return b.String()
}

// facts are what a script decides besides people and steps.
func facts(s ceremony.Script) [][2]string {
	out := [][2]string{{"id", s.ID}, {"purpose", string(s.Purpose)}, {"profile", string(s.Profile)},
		{"shares", fmt.Sprintf("%d give the master secret", s.Threshold)}}
	if n := len(s.Receivers()); n > 0 {
		out = append(out, [2]string{"made", fmt.Sprintf("%d shares", n)})
	}
	add := func(name, value string) {
		if value != "" {
			out = append(out, [2]string{name, value})
		}
	}
	sum := func(b []byte) string {
		if len(b) != 32 {
			return ""
		}
		return Groups([32]byte(b))
	}
	add("SHA-256 of strongroom-core", sum(s.Program))
	add("hash of the rule document", sum(s.Document))
	add("domain", sum(s.Domain))
	add("identity key of the domain", sum(s.Identity))
	add("recovery record in force", sum(s.Record))
	add("root of trust", s.Root)
	add("anchor", s.Anchor)
	if s.Points != nil {
		add("control points that are on", s.Points.String())
	}
	for _, w := range s.Witnesses {
		add("log witness", w.Name+", "+w.Key)
	}
	if s.Quorum > 0 {
		add("quorum of log witnesses", fmt.Sprint(s.Quorum))
	}
	if s.Purpose == ceremony.Create {
		add("randomness of the machine", strings.Join(append([]string{ceremony.SystemSource}, s.Entropy.Sources...), ", "))
	}
	if len(s.Entropy.Dice) > 0 {
		add("dice", fmt.Sprintf("%s, %d rolls each", strings.Join(s.Entropy.Dice, ", "), s.Entropy.Rolls))
	}
	add("leaving", strings.Join(s.Leaving, ", "))
	add("joining", strings.Join(s.Joining, ", "))
	if s.Unattended {
		add("unattended", "keys come from files: an exercise, nobody's word")
	}
	return out
}
