// SPDX-License-Identifier: Apache-2.0

package authority_test

import (
	"testing"

	"strongroom/internal/pure/authority"
	"strongroom/internal/pure/entry"
)

func TestLogWitnesses(t *testing.T) {
	t.Parallel()
	const (
		w1  = "witness.example/w1+aa4a09d1+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
		bad = "witness.example/w1+aa4a09d2+BOpKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs"
	)
	one := []entry.LogWitness{{Name: "w1", Key: w1}}
	for name, c := range map[string]struct {
		g  entry.Genesis
		ok bool
	}{
		"file":                       {entry.Genesis{Anchor: "file"}, true},
		"witness":                    {entry.Genesis{Anchor: "witness", Witnesses: one, Quorum: 1}, true},
		"joined":                     {entry.Genesis{Anchor: "witness+tpm", Witnesses: one, Quorum: 1}, true},
		"joined, second":             {entry.Genesis{Anchor: "tpm+witness", Witnesses: one, Quorum: 1}, true},
		"file, with witnesses":       {entry.Genesis{Anchor: "file", Witnesses: one, Quorum: 1}, false},
		"file, with a quorum":        {entry.Genesis{Anchor: "file", Quorum: 1}, false},
		"another anchor's name":      {entry.Genesis{Anchor: "witnesses", Witnesses: one, Quorum: 1}, false},
		"witness, without":           {entry.Genesis{Anchor: "witness", Quorum: 1}, false},
		"witness, without quorum":    {entry.Genesis{Anchor: "witness", Witnesses: one}, false},
		"witness, too high a quorum": {entry.Genesis{Anchor: "witness", Witnesses: one, Quorum: 2}, false},
		"witness, an absurd quorum":  {entry.Genesis{Anchor: "witness", Witnesses: one, Quorum: 1 << 63}, false},
		"a bad key":                  {entry.Genesis{Anchor: "witness", Witnesses: []entry.LogWitness{{Name: "w1", Key: bad}}, Quorum: 1}, false},
		"a bad name":                 {entry.Genesis{Anchor: "witness", Witnesses: []entry.LogWitness{{Name: "W 1", Key: w1}}, Quorum: 1}, false},
		"one key twice":              {entry.Genesis{Anchor: "witness", Witnesses: append(one[:1:1], entry.LogWitness{Name: "w2", Key: w1}), Quorum: 2}, false},
	} {
		set, err := authority.LogWitnesses(&c.g)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && authority.AnchorHasWitnesses(c.g.Anchor) != (set.Len() == 1 && set.Quorum() == 1) {
			t.Errorf("%s: %d witnesses, quorum %d", name, set.Len(), set.Quorum())
		}
	}
}
