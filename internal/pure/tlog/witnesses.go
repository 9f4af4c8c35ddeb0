// SPDX-License-Identifier: Apache-2.0

package tlog

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxWitnesses is the most log witnesses of a set.
const MaxWitnesses = 16

// maxWitnessName is the longest name of a witness within its set, in bytes.
const maxWitnessName = 64

// ErrQuorum says that a checkpoint lacks cosignatures.
var ErrQuorum = errors.New("too few log witnesses cosigned the checkpoint")

// Witness is a log witness under the name that its set gives it. That name is for people and configuration; the key has the one that stands
// in signature lines.
type Witness struct {
	Name string
	Key  WitnessKey
}

// Witnesses is a set of log witnesses and the number of them that must cosign: more than half, so that any two quorums share a
// witness. The zero Witnesses is the empty set, which asks for nothing.
type Witnesses struct {
	list   []Witness
	quorum int
}

// NewWitnesses makes a set of 1 to MaxWitnesses. quorum 0 means the smallest majority. A name is 1 to 64 of a-z, 0-9, ".", "-" and "_";
// names and keys are distinct: one witness counts once.
func NewWitnesses(list []Witness, quorum int) (Witnesses, error) {
	if len(list) == 0 || len(list) > MaxWitnesses {
		return Witnesses{}, fmt.Errorf("%d log witnesses; name 1 to %d", len(list), MaxWitnesses)
	}
	for i, w := range list {
		if w.Name == "" || len(w.Name) > maxWitnessName || strings.Trim(w.Name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
			return Witnesses{}, fmt.Errorf("name %q of a log witness must be 1 to %d of a-z, 0-9, '.', '-' and '_'", clip(w.Name), maxWitnessName)
		}
		if w.Key.IsZero() {
			return Witnesses{}, fmt.Errorf("log witness %s has no key", w.Name)
		}
		for _, before := range list[:i] {
			if before.Name == w.Name {
				return Witnesses{}, fmt.Errorf("log witness %s is there twice", w.Name)
			}
			if before.Key.public == w.Key.public || before.Key.name == w.Key.name && before.Key.id() == w.Key.id() {
				return Witnesses{}, fmt.Errorf("log witnesses %s and %s have the same key", before.Name, w.Name)
			}
		}
	}
	majority := len(list)/2 + 1
	if quorum == 0 {
		quorum = majority
	}
	if quorum < majority || quorum > len(list) {
		return Witnesses{}, fmt.Errorf("a quorum of %d of %d log witnesses; it must be %d to %d: two quorums share a witness", quorum, len(list), majority, len(list))
	}
	return Witnesses{slices.Clone(list), quorum}, nil
}

// All lists the witnesses. The caller does not change it.
func (w Witnesses) All() []Witness { return w.list }

// Len counts the witnesses.
func (w Witnesses) Len() int { return len(w.list) }

// Quorum is how many must cosign.
func (w Witnesses) Quorum() int { return w.quorum }

// Cosigned is a verified cosignature.
type Cosigned struct {
	Witness string // its name in the set
	Time    uint64 // POSIX seconds: when, by the witness's clock, this was the largest tree it had seen
}

// OpenWitnessed reads a checkpoint of which every byte must count, as [OpenExact] does, and which a quorum of a set cosigned: each
// signature line is by one of keys or by a witness of the set, and verifies. It gives the cosignatures in the order of their lines.
func OpenWitnessed(signed []byte, set Witnesses, keys ...Key) (Checkpoint, []Cosigned, error) {
	c, err := OpenCheckpoint(signed, keys...)
	if err != nil {
		return c, nil, err
	}
	text, lines, ok := bytes.Cut(signed, []byte("\n\n"))
	if !ok {
		return Checkpoint{}, nil, fmt.Errorf("%w: no signature lines", ErrCheckpoint)
	}
	list, err := parseSigLines(lines)
	if err != nil {
		return Checkpoint{}, nil, fmt.Errorf("%w: %w", ErrCheckpoint, err)
	}
	var out []Cosigned
	seen := map[string]bool{}
	for _, l := range list {
		who := l.name + " " + string(l.id[:])
		if seen[who] {
			return Checkpoint{}, nil, fmt.Errorf("%w: two signature lines are by %s", ErrUnsigned, l.name)
		}
		seen[who] = true
		if slices.ContainsFunc(keys, func(k Key) bool { return k.made(l) }) {
			continue // verified by OpenCheckpoint
		}
		i := slices.IndexFunc(set.list, func(w Witness) bool { return w.Key.made(l) })
		if i < 0 {
			return Checkpoint{}, nil, fmt.Errorf("%w: a signature line is by %s, whose key was not given", ErrUnsigned, l.name)
		}
		at, err := set.list[i].Key.verify(string(text)+"\n", l)
		if err != nil {
			return Checkpoint{}, nil, fmt.Errorf("%w: %w", ErrUnsigned, err)
		}
		out = append(out, Cosigned{set.list[i].Name, at})
	}
	if len(out) < set.quorum {
		return Checkpoint{}, nil, fmt.Errorf("%w: %d of %d, and %d are needed", ErrQuorum, len(out), len(set.list), set.quorum)
	}
	return c, out, nil
}

// made says whether a line claims to be by k.
func (k Key) made(l sigLine) bool {
	id := k.v.KeyHash()
	return k.v.Name() == l.name && l.id == [4]byte{byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}
}
